//! HTTP/1.1 (RFC 9112) as far as one page needs it: GET and HEAD without a body, one request per connection. Pure.

use std::borrow::Cow;

/// Longest request line and header fields together, bytes. Browsers send about 1 KiB.
pub const MAX_HEAD: usize = 8 << 10;

/// A request that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// HEAD: only the header fields are wanted.
    pub head_only: bool,
    /// Path without the query.
    pub path: String,
    /// The Host field, without the port.
    pub host: Option<String>,
}

/// Why there will be no other answer. The numbers are HTTP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Refusal {
    /// No HTTP request.
    BadRequest = 400,
    /// Nothing at this path.
    NotFound = 404,
    /// Another method than GET and HEAD.
    MethodNotAllowed = 405,
    /// The request did not come in time.
    Timeout = 408,
    /// The request names another server.
    Misdirected = 421,
    /// Longer than [`MAX_HEAD`].
    TooLarge = 431,
    /// Too many connections.
    Busy = 503,
    /// Another version than 1.x.
    Version = 505,
}

/// The request at the beginning of the bytes; `None` while its end has not come.
pub fn parse(bytes: &[u8]) -> Result<Option<Request>, Refusal> {
    let bounded = &bytes[..bytes.len().min(MAX_HEAD)];
    let Some(end) = bounded.windows(4).position(|four| four == b"\r\n\r\n") else {
        return match bytes.len() < MAX_HEAD {
            true => Ok(None),
            false => Err(Refusal::TooLarge),
        };
    };
    let text = std::str::from_utf8(&bounded[..end]).map_err(|_| Refusal::BadRequest)?;
    let mut lines = text.split("\r\n");
    let (head_only, path) = request_line(lines.next().unwrap_or_default())?;
    let mut host = None;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Refusal::BadRequest)?;
        if name.is_empty() || name.contains([' ', '\t']) {
            return Err(Refusal::BadRequest);
        }
        // RFC 9112 3.2: exactly one.
        if name.eq_ignore_ascii_case("host") && host.replace(without_port(value.trim()).to_owned()).is_some() {
            return Err(Refusal::BadRequest);
        }
    }
    Ok(Some(Request { head_only, path, host }))
}

fn request_line(line: &str) -> Result<(bool, String), Refusal> {
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::BadRequest);
    };
    match version.strip_prefix("HTTP/") {
        Some("1.0" | "1.1") => {}
        Some(_) => return Err(Refusal::Version),
        None => return Err(Refusal::BadRequest),
    }
    let head_only = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Err(Refusal::MethodNotAllowed),
    };
    let path = target.split('?').next().unwrap_or_default();
    match path.starts_with('/') {
        true => Ok((head_only, path.to_owned())),
        false => Err(Refusal::BadRequest),
    }
}

fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP's number.
    pub status: u16,
    /// Media type.
    pub content_type: &'static str,
    /// Content.
    pub body: Cow<'static, [u8]>,
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Response {
        Response {
            status: refusal as u16,
            content_type: "text/plain; charset=utf-8",
            body: Cow::Owned(format!("{} {}\n", refusal as u16, reason(refusal as u16)).into_bytes()),
        }
    }
}

/// Only this server's own script and style, nothing from elsewhere, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl Response {
    /// Good content.
    pub fn new(content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Response {
        Response {
            status: 200,
            content_type,
            body: body.into(),
        }
    }

    /// The bytes to send, after which the connection ends.
    pub fn encode(&self, head_only: bool) -> Vec<u8> {
        let allow = if self.status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
        let mut bytes = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n\
             Content-Security-Policy: {POLICY}\r\n{allow}\r\n",
            self.status,
            reason(self.status),
            self.content_type,
            self.body.len(),
        )
        .into_bytes();
        if !head_only {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn get(text: &str) -> Result<Option<Request>, Refusal> {
        parse(text.as_bytes())
    }

    #[test]
    fn requests() {
        let request = get("GET /status.json?x=1 HTTP/1.1\r\nHost: localhost:8260\r\nA: b\r\n\r\n").unwrap();
        let expected = Request {
            head_only: false,
            path: "/status.json".into(),
            host: Some("localhost".into()),
        };
        assert_eq!(request, Some(expected));
        let request = get("HEAD / HTTP/1.0\r\nhost:[::1]:80\r\n\r\nrest").unwrap().unwrap();
        assert_eq!((request.head_only, request.host.as_deref()), (true, Some("::1")));
        assert_eq!(get("GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
        assert_eq!(get(""), Ok(None));
    }

    #[test]
    fn what_is_refused() {
        for (text, refusal) in [
            ("POST / HTTP/1.1\r\n\r\n", Refusal::MethodNotAllowed),
            ("GET / HTTP/2.0\r\n\r\n", Refusal::Version),
            ("GET /\r\n\r\n", Refusal::BadRequest),
            ("GET  / HTTP/1.1\r\n\r\n", Refusal::BadRequest),
            ("GET http://x/ HTTP/1.1\r\n\r\n", Refusal::BadRequest),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Refusal::BadRequest),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", Refusal::BadRequest),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Refusal::BadRequest),
            ("\r\n\r\n", Refusal::BadRequest),
        ] {
            assert_eq!(get(text), Err(refusal), "{text:?}");
        }
        assert_eq!(parse(b"GET /\xff HTTP/1.1\r\n\r\n"), Err(Refusal::BadRequest));
        assert_eq!(parse(&vec![b'a'; MAX_HEAD]), Err(Refusal::TooLarge));
    }

    #[test]
    fn responses() {
        let text = String::from_utf8(Response::new("text/plain", &b"hello"[..]).encode(false)).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nhello"));
        assert!(text.contains("\r\nContent-Length: 5\r\n"));
        let text = String::from_utf8(Response::from(Refusal::MethodNotAllowed).encode(true)).unwrap();
        assert!(text.contains("\r\nAllow: GET, HEAD\r\n") && text.ends_with("\r\n\r\n"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let whole = parse(&bytes);
            // What was decided does not change when more comes.
            let mut more = bytes.clone();
            more.extend_from_slice(b"x");
            if whole != Ok(None) {
                prop_assert_eq!(parse(&more), whole);
            }
        }

        #[test]
        fn a_request_in_pieces_is_the_same(path in "/[a-z.]{0,20}", cut in 0_usize..40) {
            let text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let cut = cut.min(text.len() - 1);
            prop_assert_eq!(parse(&text.as_bytes()[..cut]), Ok(None));
            prop_assert_eq!(parse(text.as_bytes()).unwrap().unwrap().path, path);
        }
    }
}
