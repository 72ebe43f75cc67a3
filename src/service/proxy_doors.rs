//! The one proxy door of a service, and its life line: the client that installed the door keeps one end of a socket pair;
//! when that end hangs up, because the client destroyed its handle or died, the door goes.

use super::ProxyHandle;
use crate::proxy::Proxy;
use crate::proxy::sealed::Keys;
use crate::types::Status;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Shutdown, shutdown};
use parking_lot::Mutex;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Weak};

/// At most one installed door.
pub(super) struct ProxyDoors {
    proxy: Arc<Proxy>,
    installed: Mutex<Option<Installed>>,
}

struct Installed {
    handle: ProxyHandle,
    /// The proxy's number of the door.
    door: u32,
    life_line: Arc<OwnedFd>,
}

impl ProxyDoors {
    pub(super) fn new(proxy: Arc<Proxy>) -> Arc<ProxyDoors> {
        Arc::new(ProxyDoors {
            proxy,
            installed: Mutex::new(None),
        })
    }

    /// `stmfInitProxyDoor`: a second door is refused before the new one is looked at (`libstmf-api.md` 6.2).
    pub(super) fn install(self: &Arc<Self>, door: Option<OwnedFd>, life_line: OwnedFd) -> Result<ProxyHandle, Status> {
        let mut installed = self.installed.lock();
        if let Some(old) = installed.take_if(|old| hung_up(&old.life_line)) {
            // Its watcher has not run yet.
            self.destroy_installed(&old);
        }
        if installed.is_some() {
            return Err(Status::DoorInstalled);
        }
        let handle = random_handle()?;
        let new = Installed {
            handle,
            door: self.proxy.install_door(door.ok_or(Status::InvalidArg)?)?,
            life_line: Arc::new(life_line),
        };
        if let Err(error) = watch(Arc::downgrade(self), handle, Arc::clone(&new.life_line)) {
            log::error!("cannot watch the owner of the proxy door: {error}");
            self.destroy_installed(&new);
            return Err(Status::NoMem);
        }
        *installed = Some(new);
        Ok(handle)
    }

    /// `stmfDestroyProxyDoor`; no effect unless this door is installed.
    pub(super) fn destroy(&self, handle: ProxyHandle) {
        let mut installed = self.installed.lock();
        if let Some(old) = installed.take_if(|old| old.handle == handle) {
            self.destroy_installed(&old);
        }
    }

    fn destroy_installed(&self, old: &Installed) {
        if let Err(status) = self.proxy.destroy_door(old.door) {
            // The proxy has given it up by itself: its server was gone.
            log::debug!("destroying the proxy door: {status}");
        }
        if let Err(error) = shutdown(old.life_line.as_raw_fd(), Shutdown::Both) {
            log::debug!("life line of the proxy door: {error}");
        }
    }

    /// At the end of the service.
    pub(super) fn destroy_any(&self) {
        let handle = self.installed.lock().as_ref().map(|installed| installed.handle);
        if let Some(handle) = handle {
            self.destroy(handle);
        }
    }

    /// `stmfPostProxyMsg`. A handle that a client still has but the service does not know any more belongs to a service
    /// that has ended: the post fails, the argument is not wrong.
    pub(super) fn post(&self, handle: ProxyHandle, message: &[u8]) -> Result<(), Status> {
        self.proxy.post(self.number(handle)?, message)
    }

    /// [`Proxy::carry`]; the caller is kept until it ends.
    pub(super) fn carry(
        &self,
        handle: ProxyHandle,
        socket: OwnedFd,
        keys: Option<Keys>,
        received: &[u8],
        begin: impl FnOnce() -> Result<(), Status>,
    ) -> Result<io::Result<()>, Status> {
        self.proxy.carry(self.number(handle)?, socket, keys, received, begin)
    }

    fn number(&self, handle: ProxyHandle) -> Result<u32, Status> {
        match &*self.installed.lock() {
            Some(installed) if installed.handle == handle => Ok(installed.door),
            _ => Err(Status::PostMsgFailed),
        }
    }
}

/// Handles are random, so that one of an earlier service never names a door of this one.
fn random_handle() -> Result<ProxyHandle, Status> {
    match getrandom::u64() {
        Ok(number) => Ok(ProxyHandle(number)),
        Err(error) => {
            log::error!("no random numbers: {error}");
            Err(Status::Error)
        }
    }
}

/// POLLHUP and POLLERR are reported without being asked for; data is never sent on a life line and would be ignored.
fn hung_up(life_line: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(life_line.as_fd(), PollFlags::empty())];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(n) if n > 0)
}

/// One thread for the installed door; it ends when either side hangs up.
fn watch(doors: Weak<ProxyDoors>, handle: ProxyHandle, life_line: Arc<OwnedFd>) -> std::io::Result<()> {
    let wait = move || {
        let mut fds = [PollFd::new(life_line.as_fd(), PollFlags::empty())];
        while poll(&mut fds, PollTimeout::NONE) == Err(nix::errno::Errno::EINTR) {}
        if let Some(doors) = doors.upgrade() {
            doors.destroy(handle);
        }
    };
    std::thread::Builder::new()
        .name("proxy-lifeline".to_owned())
        .spawn(wait)
        .map(drop)
}
