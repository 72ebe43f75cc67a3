//! `Request`/`Response` and the one dispatcher that runs a request against a framework. The encoding is postcard behind a
//! one-byte protocol version; descriptors travel beside it.
#![forbid(unsafe_code)]

mod request;

pub use request::{AluaInfo, PROTOCOL_VERSION, ProxyHandle, Request, Response, TargetInfo};
