//! `Request`/`Response` and the one dispatcher that runs a request against a framework. The encoding is postcard behind a
//! one-byte protocol version; descriptors travel beside it.
#![forbid(unsafe_code)]

mod batch;
mod dispatch;
mod privilege;
mod provider_data;
mod proxy_doors;
mod request;
mod start;
mod telling;
mod wire;

pub use batch::{BATCH_MAX, LuOutcome};
pub use request::{AluaInfo, Call, PROTOCOL_VERSION, ProxyHandle, Request, Response, TELLING_VERSION, Told};
pub use start::{Options, Service, StartError};
pub use wire::{
    MAX_REQUEST, MAX_RESPONSE, WireError, decode_request, decode_response, decode_telling, decode_told, encode_call,
    encode_request, encode_response, encode_telling, encode_told,
};

/// Name of the LU provider whose LUs have properties.
const DISK_PROVIDER: &str = "sbd";
