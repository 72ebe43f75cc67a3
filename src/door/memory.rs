//! Memory that the two ends of a channel share. While a server thread waits at it, a call without descriptors goes from hand
//! to hand: the caller writes, wakes the thread and sleeps at the same word. All else goes as packets (`channel`).
//!
//! It begins with [`Head`]; from [`DATA`] on there is room for [`INLINE_LIMIT`] bytes. [`Head::word`] says who is at work:
//!
//! | word | meaning | next |
//! |---|---|---|
//! | `AWAY` | no server thread waits here: calls go as packets | server: `READY` |
//! | `READY` | a server thread waits here; the caller may write | caller: `CALL`, or `AWAY` when he sends a packet; server, when it waits no longer: `AWAY` |
//! | `CALL` | a call lies here, and the caller sleeps here | server: `TAKEN` |
//! | `TAKEN` | a server thread has it | server, after it wrote the reply: `READY` or `AWAY` |
//!
//! A caller who has slept for [`PATIENCE`] adds `PATIENT` to `CALL` or `TAKEN` and waits at his socket, where he hears of the
//! server's end and costs nothing: the reply comes as a packet. So no end is looked for while calls are quick, and nobody wakes
//! up in vain while they are slow.
//!
//! Neither end believes the other: head and word are read once and bounded, data are copied before anybody looks at them, and the
//! file can neither shrink nor be on a device, so touching it cannot fail.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::fork::{self, Private};
use super::frame::INLINE_LIMIT;
use super::{pages, sys};

const AWAY: u32 = 0;
const READY: u32 = 1;
const CALL: u32 = 2;
const TAKEN: u32 = 3;
/// Added to the last two: the caller waits at his socket.
const PATIENT: u32 = 4;

/// Where the data begin: in the middle of a page, since big buffers mostly begin 16 bytes into one. Copies to a place that is
/// a few bytes further into its page than the source take 15 times as long on some processors (`rep movsb`).
const DATA: usize = 2048;
const LENGTH: usize = DATA + INLINE_LIMIT;

/// How long a caller sleeps at the memory: within this time he learns that the server has ended.
const PATIENCE: Duration = Duration::from_millis(5);

#[repr(C)]
struct Head {
    /// Who is at work. Both ends sleep here.
    word: AtomicU32,
    /// Flags of the call ([`super::frame::Frame::flags`]), then status of the reply.
    code: AtomicU32,
    /// Bytes of the call, then of the reply.
    length: AtomicU32,
    /// The reply is a packet.
    at_socket: AtomicU32,
}

/// One end's mapping.
pub struct Memory {
    start: *mut u8,
    /// Of the process that mapped it; a child has no mapping there.
    generation: u64,
}

// SAFETY: the word says which end may touch the rest, and at each end one thread at a time has the channel.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

/// A reply that lies in the memory.
pub struct Answer {
    /// 0 or an error number.
    pub status: u32,
    /// Bytes to [`Memory::read`].
    pub length: usize,
}

/// Why a server thread waits no longer.
pub enum Event {
    /// The thread has taken a call with these flags; so many bytes to [`Memory::read`].
    Call {
        /// As in a frame.
        flags: u32,
        /// At most [`INLINE_LIMIT`].
        length: usize,
    },
    /// There is, or will be at once, something at the socket.
    Packet,
    /// Nothing came.
    Nothing,
}

impl Memory {
    /// New memory, and the file for the other end.
    pub fn create() -> io::Result<(Memory, Private)> {
        let file = fork::private(|| pages::sealed_file(LENGTH))?;
        Ok((Memory::map(file.as_fd())?, file))
    }

    /// The memory that a caller made. `EINVAL`: touching it could fail.
    pub fn open(file: BorrowedFd<'_>) -> io::Result<Memory> {
        if !pages::is_sealed_file(file, LENGTH) {
            return Err(sys::error(libc::EINVAL));
        }
        Memory::map(file)
    }

    fn map(file: BorrowedFd<'_>) -> io::Result<Memory> {
        let start = pages::map_shared(file, LENGTH)?;
        Ok(Memory {
            start,
            generation: fork::generation(),
        })
    }

    fn head(&self) -> &Head {
        // SAFETY: the mapping is live, page aligned and longer than a head, which is made of atomic numbers.
        unsafe { &*self.start.cast::<Head>() }
    }

    fn change(&self, from: u32, to: u32) -> bool {
        self.head()
            .word
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// As [`Memory::change`], and whoever sleeps there looks at it.
    fn hand_over(&self, from: u32, to: u32) -> bool {
        let changed = self.change(from, to);
        if changed {
            pages::wake(&self.head().word);
        }
        changed
    }

    fn write(&self, code: u32, data: &[u8]) {
        let head = self.head();
        head.code.store(code, Ordering::Relaxed);
        head.length.store(data.len() as u32, Ordering::Relaxed);
        head.at_socket.store(0, Ordering::Relaxed);
        assert!(data.len() <= INLINE_LIMIT, "looked at by the callers");
        // SAFETY: fits, by the line above. Nobody here has a reference to the memory, and what the other end does at the same
        // time against the rules only changes bytes.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), self.start.add(DATA), data.len()) };
    }

    /// Copies bytes from `offset` on.
    pub fn read(&self, room: &mut [u8], offset: usize) {
        assert!(
            offset <= INLINE_LIMIT && room.len() <= INLINE_LIMIT - offset,
            "lengths from the other end were bounded"
        );
        // SAFETY: inside of the mapping, by the line above; else as in `write`.
        unsafe { std::ptr::copy_nonoverlapping(self.start.add(DATA + offset), room.as_mut_ptr(), room.len()) };
    }

    /// The length that the other end wrote, read once.
    fn length(&self) -> Option<usize> {
        let length = self.head().length.load(Ordering::Relaxed) as usize;
        (length <= INLINE_LIMIT).then_some(length)
    }

    /// The caller calls, if a server thread waits here and the data fit. `readable` is asked before they are touched.
    pub fn call(&self, flags: u16, data: &[u8], readable: impl FnOnce() -> bool) -> bool {
        if self.head().word.load(Ordering::Acquire) != READY || data.len() > INLINE_LIMIT || !readable() {
            return false;
        }
        self.write(flags.into(), data);
        self.hand_over(READY, CALL)
    }

    /// The caller is about to send a packet.
    pub fn ring(&self) {
        if self.head().word.swap(AWAY, Ordering::AcqRel) == READY {
            pages::wake(&self.head().word);
        }
    }

    /// The caller waits for the reply. `None`: it comes as a packet. `EINTR`: a signal was caught and `interruptible`, or the
    /// server does not keep the rules.
    pub fn await_answer(&self, interruptible: bool) -> io::Result<Option<Answer>> {
        let head = self.head();
        loop {
            let word = head.word.load(Ordering::Acquire);
            match word {
                CALL | TAKEN => {}
                AWAY | READY if head.at_socket.load(Ordering::Relaxed) != 0 => return Ok(None),
                AWAY | READY => {
                    let status = head.code.load(Ordering::Relaxed);
                    let length = self.length().ok_or_else(|| sys::error(libc::EINTR))?;
                    return Ok(Some(Answer { status, length }));
                }
                _ => return Err(sys::error(libc::EINTR)),
            }
            match pages::sleep_at(&head.word, word, PATIENCE)
                .as_ref()
                .map_err(sys::number)
            {
                Ok(()) | Err(libc::EAGAIN) => {}
                // The word tells whether the reply came first.
                Err(libc::EINTR) if interruptible && matches!(head.word.load(Ordering::Acquire), CALL | TAKEN) => {
                    return Err(sys::error(libc::EINTR));
                }
                Err(libc::EINTR) if interruptible => {}
                Err(_) if self.change(word, word | PATIENT) => return Ok(None),
                Err(_) => {}
            }
        }
    }

    /// The caller's call lies where he put it; no thread has it.
    pub fn is_untaken(&self) -> bool {
        self.head().word.load(Ordering::Acquire) == CALL | PATIENT
    }

    /// A server thread will wait here. To be said before it sends a packet after which the caller may call again.
    pub fn offer(&self) {
        self.change(AWAY, READY);
    }

    /// Nobody waits here any more; a thread that does looks at its socket.
    pub fn withdraw(&self) {
        self.hand_over(READY, AWAY);
    }

    /// A server thread waits. Whatever ends its sleep, the word tells what there is to do.
    pub fn await_call(&self, mut patience: Duration) -> Event {
        let head = self.head();
        loop {
            match head.word.load(Ordering::Acquire) {
                READY if !patience.is_zero() => {
                    let _ = pages::sleep_at(&head.word, READY, patience);
                    patience = Duration::ZERO;
                }
                READY => {
                    if self.change(READY, AWAY) {
                        return Event::Nothing;
                    }
                }
                word if word & !PATIENT == CALL => {
                    if !self.change(word, word - CALL + TAKEN) {
                        continue;
                    }
                    let flags = head.code.load(Ordering::Relaxed);
                    let Some(length) = self.length() else {
                        return Event::Packet;
                    };
                    return Event::Call { flags, length };
                }
                _ => return Event::Packet,
            }
        }
    }

    /// Replies to a call that was taken here; `keep`: the thread will wait here. False: the caller waits at his socket.
    pub fn reply(&self, status: u32, data: &[u8], keep: bool) -> bool {
        if self.head().word.load(Ordering::Relaxed) != TAKEN {
            return false;
        }
        self.write(status, data);
        self.hand_over(TAKEN, if keep { READY } else { AWAY })
    }

    /// The reply to a call that was taken here was sent as a packet.
    pub fn replied_at_socket(&self, keep: bool) {
        let next = if keep { READY } else { AWAY };
        self.head().at_socket.store(1, Ordering::Relaxed);
        // The second time because he may just have run out of patience. If it fails too he has gone on to his next call.
        let _ = self.hand_over(TAKEN, next) || self.change(TAKEN | PATIENT, next);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.generation == fork::generation() {
            pages::unmap(self.start, LENGTH);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Two mappings of one memory: caller and server.
    fn ends() -> (Memory, Memory) {
        let (caller, file) = Memory::create().unwrap();
        let server = Memory::open(file.as_fd()).unwrap();
        (caller, server)
    }

    fn call(memory: &Memory, data: &[u8]) -> bool {
        memory.call(0, data, || true)
    }

    #[test]
    fn a_call_goes_there_and_back() {
        let (caller, server) = ends();
        assert!(!call(&caller, b"nobody there"));
        server.offer();
        assert!(!caller.call(0, b"unreadable", || false));
        assert!(!call(&caller, &vec![0; INLINE_LIMIT + 1]));
        assert!(call(&caller, b"question"));
        let Event::Call { flags: 0, length: 8 } = server.await_call(Duration::ZERO) else {
            panic!("no call");
        };
        let mut room = [0; 8];
        server.read(&mut room, 0);
        assert_eq!(&room, b"question");
        assert!(server.reply(3, b"an answer", true));
        let answer = caller.await_answer(true).unwrap().unwrap();
        assert_eq!((answer.status, answer.length), (3, 9));
        caller.read(&mut room[..6], 3);
        assert_eq!(&room[..6], b"answer");
        // The thread is there still, then not.
        assert!(call(&caller, &vec![1; INLINE_LIMIT]));
        assert!(matches!(
            server.await_call(Duration::ZERO),
            Event::Call {
                length: INLINE_LIMIT,
                ..
            }
        ));
        assert!(server.reply(0, b"", false));
        assert_eq!(caller.await_answer(true).unwrap().unwrap().length, 0);
        assert!(!call(&caller, b"nobody there"));
    }

    #[test]
    fn a_thread_leaves_when_nothing_comes_or_a_packet_does() {
        let (caller, server) = ends();
        server.offer();
        assert!(matches!(server.await_call(Duration::from_millis(1)), Event::Nothing));
        assert!(!call(&caller, b"nobody there"));
        server.offer();
        caller.ring();
        assert!(matches!(server.await_call(FOR_EVER), Event::Packet));
        server.offer();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| server.await_call(FOR_EVER));
            server.withdraw();
            assert!(matches!(waiting.join().unwrap(), Event::Packet));
        });
    }

    const FOR_EVER: Duration = Duration::from_secs(1000);

    #[test]
    fn a_patient_caller_is_answered_at_his_socket() {
        let (caller, server) = ends();
        server.offer();
        assert!(call(&caller, b"slow"));
        assert!(caller.await_answer(true).unwrap().is_none());
        assert!(caller.is_untaken());
        assert!(matches!(server.await_call(FOR_EVER), Event::Call { length: 4, .. }));
        assert!(!caller.is_untaken());
        assert!(!server.reply(0, b"", true));
        server.replied_at_socket(true);
        // A reply too big for the memory, to one who waits there.
        assert!(call(&caller, b"big"));
        assert!(matches!(server.await_call(FOR_EVER), Event::Call { length: 3, .. }));
        server.replied_at_socket(true);
        assert!(caller.await_answer(true).unwrap().is_none());
        // He is quicker than the thread that answered him.
        assert!(call(&caller, b"slow"));
        assert!(caller.await_answer(true).unwrap().is_none());
        assert!(matches!(server.await_call(FOR_EVER), Event::Call { .. }));
        caller.ring();
        server.replied_at_socket(true);
        assert!(matches!(server.await_call(FOR_EVER), Event::Packet));
    }

    #[test]
    fn nonsense_is_bounded() {
        let (caller, server) = ends();
        server.offer();
        assert!(call(&caller, b"x"));
        caller.head().length.store(u32::MAX, Ordering::Relaxed);
        assert!(matches!(server.await_call(FOR_EVER), Event::Packet));
        server.head().word.store(READY, Ordering::Relaxed);
        assert_eq!(sys::number(&caller.await_answer(true).err().unwrap()), libc::EINTR);
        for word in [5, 77, u32::MAX] {
            server.head().word.store(word, Ordering::Relaxed);
            assert!(matches!(server.await_call(FOR_EVER), Event::Packet));
            assert_eq!(sys::number(&caller.await_answer(true).err().unwrap()), libc::EINTR);
        }
    }
}
