//! The status page and the metrics of `stmfd`: read-only, off unless they were asked for.
//!
//! | file | what |
//! |---|---|
//! | `http` | requests and responses as bytes: pure |
//! | `server` | the listener and its bounds |
//! | `routes` | what is at which path; other read-only views of the node get theirs there |
//! | `status` | both nodes as JSON; metrics are made in [`crate::metrics`] |
//! | `page.*` | the page; it loads nothing from elsewhere |
//!
//! Whoever reaches the port may look, so it belongs on loopback or behind something that asks who is there. Nothing can be changed
//! through it. Requests must name the server by address, `localhost` or the host's name: a page from elsewhere whose
//! name was made to lead here (DNS rebinding) is refused.
#![forbid(unsafe_code)]

mod http;
mod routes;
mod server;
mod status;

pub use server::Server;

/// For fuzzing: the beginning of what a browser sends.
#[cfg(fuzzing)]
pub fn fuzz_request(bytes: &[u8]) {
    if let Ok(Some(request)) = http::parse(bytes) {
        assert!(request.path.starts_with('/') && request.path.len() < http::MAX_HEAD);
        let longer = [bytes, b"more"].concat();
        assert_eq!(
            http::parse(&longer),
            Ok(Some(request)),
            "what comes behind it does not matter"
        );
    }
}

/// What a server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Views {
    /// The status page, and what it asks for.
    pub page: bool,
    /// Metrics for collectors.
    pub metrics: bool,
}

impl Views {
    /// Everything.
    pub const ALL: Views = Views {
        page: true,
        metrics: true,
    };
}

use std::net::{AddrParseError, IpAddr, Ipv4Addr, SocketAddr};

/// Where to listen: `ADDR:PORT`, or `PORT` of loopback.
pub fn address(text: &str) -> Result<SocketAddr, AddrParseError> {
    match text.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        Err(_) => text.parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn loopback_unless_an_address_is_given() {
        assert_eq!(address("8260").unwrap().to_string(), "127.0.0.1:8260");
        assert_eq!(address("[::1]:8260").unwrap().to_string(), "[::1]:8260");
        for bad in ["", "x", "70000", "localhost:1", ":80"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
