//! What is at which path.

use super::Views;
use super::http::{Refusal, Request, Response};
use super::status::Status;
use crate::framework::Framework;
use crate::metrics;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How old an answer about the node may be: many who ask cost no more than one.
const FRESH: Duration = Duration::from_millis(400);
/// LUs, targets and sessions that have metrics of their own.
const MEASURED: usize = 1000;

/// The answers of one node.
pub struct Routes {
    framework: Arc<Framework>,
    views: Views,
    host: String,
    status: Latest,
    metrics: Latest,
}

/// The last answer, and when it was made.
#[derive(Default)]
struct Latest(Mutex<Option<(Instant, Arc<[u8]>)>>);

impl Latest {
    fn get(&self, make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        let mut latest = self.0.lock();
        match &*latest {
            Some((made, bytes)) if made.elapsed() < FRESH => bytes.to_vec(),
            _ => {
                let bytes = make();
                *latest = Some((Instant::now(), bytes.as_slice().into()));
                bytes
            }
        }
    }
}

impl Routes {
    pub fn new(framework: Arc<Framework>, views: Views) -> Routes {
        let host =
            nix::unistd::gethostname().map_or_else(|_| String::new(), |host| host.to_string_lossy().into_owned());
        Routes {
            framework,
            views,
            host,
            status: Latest::default(),
            metrics: Latest::default(),
        }
    }

    pub fn answer(&self, request: &Request) -> Response {
        if !self.is_us(request.host.as_deref()) {
            return Refusal::Misdirected.into();
        }
        let Views { page, metrics } = self.views;
        match request.path.as_str() {
            "/" if page => Response::new("text/html; charset=utf-8", include_bytes!("page.html").as_slice()),
            "/page.css" if page => Response::new("text/css; charset=utf-8", include_bytes!("page.css").as_slice()),
            "/page.js" if page => Response::new("text/javascript; charset=utf-8", include_bytes!("page.js").as_slice()),
            "/status.json" if page => Response::new("application/json", self.status()),
            "/metrics" if metrics => Response::new(metrics::CONTENT_TYPE, self.metrics()),
            _ => Refusal::NotFound.into(),
        }
    }

    /// HTTP/1.0 needs no Host; browsers always send one.
    fn is_us(&self, host: Option<&str>) -> bool {
        host.is_none_or(|host| {
            host.parse::<IpAddr>().is_ok()
                || host.eq_ignore_ascii_case("localhost")
                || (!host.is_empty() && host.eq_ignore_ascii_case(&self.host))
        })
    }

    fn status(&self) -> Vec<u8> {
        self.status
            .get(|| serde_json::to_vec(&Status::of(&self.framework)).expect("plain numbers and texts"))
    }

    fn metrics(&self) -> Vec<u8> {
        self.metrics.get(|| {
            let status = self.framework.node_status(MEASURED);
            let alua = self.framework.alua_report();
            metrics::exposition(&status, &alua, metrics::Format::OpenMetrics).into_bytes()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn get(routes: &Routes, path: &str, host: Option<&str>) -> Response {
        routes.answer(&Request {
            head_only: false,
            path: path.to_owned(),
            host: host.map(str::to_owned),
        })
    }

    #[test]
    fn paths_and_hosts() {
        let routes = Routes::new(Framework::new(Store::volatile()), Views::ALL);
        for path in ["/", "/page.css", "/page.js", "/status.json"] {
            assert_eq!(get(&routes, path, Some("127.0.0.1")).status, 200, "{path}");
        }
        assert_eq!(get(&routes, "/../etc/passwd", None).status, 404);
        for (host, status) in [("localhost", 200), ("::1", 200), ("rebound.example", 421), ("", 421)] {
            assert_eq!(get(&routes, "/status.json", Some(host)).status, status, "{host}");
        }
    }

    #[test]
    fn only_what_was_asked_for() {
        for (views, page, metrics) in [
            (
                Views {
                    page: true,
                    metrics: false,
                },
                200,
                404,
            ),
            (
                Views {
                    page: false,
                    metrics: true,
                },
                404,
                200,
            ),
        ] {
            let routes = Routes::new(Framework::new(Store::volatile()), views);
            for path in ["/", "/page.css", "/page.js", "/status.json"] {
                assert_eq!(get(&routes, path, None).status, page, "{path}");
            }
            assert_eq!(get(&routes, "/metrics", None).status, metrics);
        }
    }

    #[test]
    fn a_node_without_configuration_has_a_status() {
        let routes = Routes::new(Framework::new(Store::volatile()), Views::ALL);
        let status: serde_json::Value = serde_json::from_slice(&routes.status()).unwrap();
        assert_eq!(status["node"]["operational"], "offline");
        assert_eq!(status["lus"].as_array().unwrap().len(), 0);
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        for text in [
            include_str!("page.html"),
            include_str!("page.css"),
            include_str!("page.js"),
        ] {
            // The name of a vocabulary, which nobody fetches.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("://") && !text.contains("\"//"));
        }
    }
}
