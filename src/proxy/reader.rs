use super::assembler::Assembler;
use super::entrance::Entrance;
use super::lane::Lane;
use super::sender::Sender;
use crate::framework::watch::{Source, Watcher};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// Messages that are decoded before they are handled: far fewer than make [`super::queue::Queue::leave`] wait.
const AT_ONCE: usize = 64;
/// A watcher that has not come for so long has nothing to come for, or cannot.
const PATIENCE: Duration = Duration::from_millis(100);

/// Reads what the peer sends through a lane. As a rule its own thread waits for that. While a single watcher forwards
/// commands, the watcher's thread does, and has each outcome without a hand-over.
pub(super) struct Reader {
    entrance: Entrance,
    sender: Arc<Sender>,
    lane: Arc<Lane>,
    /// What a watcher needs to read; `None` while the own thread reads.
    lent: Mutex<Option<Lent>>,
    returned: Condvar,
}

struct Lent {
    assembler: Assembler,
    to: Arc<dyn Watcher>,
    /// The watcher has come since the own thread looked.
    used: bool,
    state: State,
}

enum State {
    Lent,
    /// Given back; how the stream ended, if it did.
    Back(Option<io::Result<()>>),
}

impl Reader {
    pub fn new(entrance: Entrance, sender: Arc<Sender>, lane: Arc<Lane>) -> Arc<Reader> {
        Arc::new(Reader {
            entrance,
            sender,
            lane,
            lent: Mutex::new(None),
            returned: Condvar::new(),
        })
    }

    /// Until the stream ends: how. `received` came before.
    pub fn run(self: &Arc<Reader>, received: &[u8]) -> io::Result<()> {
        let mut assembler = Assembler::default();
        self.handle(&mut assembler, received)?;
        self.entrance.help();
        while self.take_in(&mut assembler, true)?.is_some() {
            while let Some(watcher) = self.entrance.shared.forwarder.take() {
                let back = self.lend(assembler, watcher);
                assembler = back.assembler;
                if let State::Back(Some(end)) = back.state {
                    return end;
                }
            }
        }
        Ok(())
    }

    /// Until the watcher gives it back, or does not come.
    fn lend(self: &Arc<Reader>, assembler: Assembler, watcher: Arc<dyn Watcher>) -> Lent {
        *self.lent.lock() = Some(Lent {
            assembler,
            to: watcher.clone(),
            used: false,
            state: State::Lent,
        });
        watcher.watch(self.clone());
        let mut lent = self.lent.lock();
        loop {
            let late = self.returned.wait_for(&mut lent, PATIENCE).timed_out();
            if let Some(back) = lent.take_if(|lent| {
                let given_back = matches!(lent.state, State::Back(_));
                given_back || late && !std::mem::take(&mut lent.used)
            }) {
                return back;
            }
        }
    }

    /// Receives once and handles what came; `None` at the end. True when there may be more. `WouldBlock`: there is nothing, and
    /// it is not to wait.
    fn take_in(&self, assembler: &mut Assembler, wait: bool) -> io::Result<Option<bool>> {
        let (mut came, mut handled) = (false, Ok(()));
        let received = self.lane.receive(wait, |bytes| {
            came = true;
            if handled.is_ok() {
                handled = self.handle(assembler, bytes);
            }
        });
        if came {
            self.entrance.help();
        }
        handled?;
        match received? {
            None if assembler.is_partial() => Err(io::ErrorKind::UnexpectedEof.into()),
            received => Ok(received),
        }
    }

    /// What is left for the entrance afterwards is far less than makes [`super::queue::Queue::leave`] wait.
    fn handle(&self, assembler: &mut Assembler, mut bytes: &[u8]) -> io::Result<()> {
        let mut left = 0;
        while let Some((head, raw)) = assembler.next(&mut bytes).map_err(io::Error::other)? {
            // Refused ones have been counted and told; the peer is not told (H29).
            let _ = self.entrance.leave(&self.sender, Some(&self.lane), head, raw);
            left += 1;
            if left % AT_ONCE == 0 {
                self.entrance.help();
            }
        }
        Ok(())
    }
}

impl Source for Reader {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.lane.descriptor()
    }

    fn serve(&self) -> bool {
        let mut slot = self.lent.lock();
        let Some(lent) = slot.as_mut().filter(|lent| matches!(lent.state, State::Lent)) else {
            return false;
        };
        lent.used = true;
        let end = loop {
            match self.take_in(&mut lent.assembler, false) {
                Ok(Some(true)) => {}
                Ok(Some(false)) => break None,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break None,
                ended => break Some(ended.map(drop)),
            }
        };
        let other = || self.entrance.shared.forwarder.is_other(&lent.to);
        if end.is_none() && !other() {
            return true;
        }
        lent.state = State::Back(end);
        self.returned.notify_one();
        false
    }
}
