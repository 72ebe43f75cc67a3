//! Asks the RADIUS server, on a thread for each question: workers and other logins do not wait (`iscsi-target.md` 13.3).

use super::directory::LoginStatus;
use super::engine::thread;
use super::node::Node;
use super::radius::{PACKET_MAX, Question, Request};
use super::session::ConnectionId;
use super::worker::Mail;
use crate::types::Secret;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Tries, and how long each waits for an answer.
const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(5);
/// Questions under way at a time.
const QUESTIONS_MAX: usize = 64;

/// Asks; the answer is [`Mail::Verified`].
pub fn ask(node: &Arc<Node>, connection: ConnectionId, question: Question) {
    let answer = move |node: &Node, verdict| node.post(connection, Mail::Verified(connection, verdict));
    let config = node.config.load_full();
    let Some((server, secret)) = config.radius() else {
        return answer(node, Err(LoginStatus::TARGET_ERROR));
    };
    let secret = secret.clone();
    if node.questions.fetch_add(1, Ordering::AcqRel) >= QUESTIONS_MAX {
        node.questions.fetch_sub(1, Ordering::AcqRel);
        log::warn!("RADIUS server {server}: {QUESTIONS_MAX} questions wait already");
        return answer(node, Err(LoginStatus::OUT_OF_RESOURCES));
    }
    let asking = node.clone();
    let body = move || {
        let verdict = match inquire(server, &secret, &question) {
            Ok(true) => Ok(()),
            Ok(false) => Err(LoginStatus::AUTHENTICATION_FAILED),
            Err(error) => {
                log::error!("RADIUS server {server}: {error}");
                Err(LoginStatus::AUTHENTICATION_FAILED)
            }
        };
        asking.questions.fetch_sub(1, Ordering::AcqRel);
        answer(&asking, verdict);
    };
    if let Err(error) = thread::spawn("iscsi-radius", body) {
        node.questions.fetch_sub(1, Ordering::AcqRel);
        log::error!("asking the RADIUS server: {error}");
        answer(node, Err(LoginStatus::OUT_OF_RESOURCES));
    }
}

fn inquire(server: SocketAddr, secret: &Secret, question: &Question) -> io::Result<bool> {
    let mut random = [0; 17];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let [identifier, authenticator @ ..] = random;
    let Some(request) = Request::new(question, secret, identifier, authenticator) else {
        return Ok(false);
    };
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // Connected: the kernel lets nothing in that does not come from the server.
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for _ in 0..TRIES {
        let end = Instant::now() + PATIENCE;
        // A port that nobody listens on shows as an error of the next call; the server may be starting.
        if let Err(error) = socket.send(&request.bytes) {
            last = error;
        }
        let mut reply = [0; PACKET_MAX];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut reply) {
                Ok(count) => {
                    if let Some(verdict) = request.verdict(&reply[..count], secret) {
                        return Ok(verdict);
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => {
                    last = error;
                    std::thread::sleep(left.min(Duration::from_millis(200)));
                }
            }
        }
    }
    Err(last)
}
