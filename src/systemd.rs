//! The service manager's notification protocol, `sd_notify(3)`: one datagram to `$NOTIFY_SOCKET`.
#![forbid(unsafe_code)]

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread;
use std::time::Duration;

/// Tells the service manager again and again that this process lives, from a thread of its own, as long as `lives` says so; a `lives`
/// that does not come back keeps that thread waiting. Does nothing where nobody wants to hear it.
pub fn keep_alive(lives: impl Fn() -> bool + Send + 'static) -> io::Result<()> {
    let Some(interval) = watchdog() else {
        return Ok(());
    };
    thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || tell(lives, interval))
        .map(drop)
}

fn tell(lives: impl Fn() -> bool, interval: Duration) {
    loop {
        if lives() {
            notify("WATCHDOG=1");
        }
        thread::sleep(interval);
    }
}

/// How often the service manager wants to hear of a process that lives (`WATCHDOG=1`, `sd_watchdog_enabled(3)`): half of the
/// time after which it would give it up. `None`: it does not want to, or means another process.
fn watchdog() -> Option<Duration> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let limit = number("WATCHDOG_USEC").filter(|limit| *limit > 1)?;
    let meant = std::env::var_os("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(std::process::id().into());
    meant.then(|| Duration::from_micros(limit / 2))
}

/// Tells the service manager, if there is one. A failure is logged: the service works without.
pub fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let path = path.as_encoded_bytes();
    let address = match path.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(std::ffi::OsStr::new(&*String::from_utf8_lossy(path))),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        log::warn!("service manager was not notified of {state}: {error}");
    }
}
