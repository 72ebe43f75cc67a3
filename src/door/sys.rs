//! The system calls under the doors: packet sockets, descriptors beside messages, memory files, epoll.

use std::ffi::CString;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Most descriptors that the kernel passes beside one message (`SCM_MAX_FD`).
pub const PASS_LIMIT: usize = 253;
/// Room for the control messages: [`PASS_LIMIT`] descriptors and one set of credentials, with their heads.
const CONTROL_WORDS: usize = (16 + PASS_LIMIT * 4 + 8 + 16 + 16) / 8;

/// Turns the result of a system call into a Rust one.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn check_long(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// An error made of its number.
pub fn error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

/// The number of an error; `EIO` when it has none.
pub fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// A pair of connected packet sockets, closed on exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: `ends` has room for the two descriptors.
    check(unsafe {
        libc::socketpair(
            libc::AF_UNIX,
            libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC,
            0,
            ends.as_mut_ptr(),
        )
    })?;
    // SAFETY: the kernel just made both descriptors for us.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// A new unconnected packet socket, closed on exec.
pub fn socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let made = check(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel just made the descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// Takes a connection; never waits.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: no address is asked for, so both pointers may be null.
    let made = check(unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_CLOEXEC,
        )
    })?;
    // SAFETY: the kernel just made the descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

fn address(name: &[u8]) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: all zero bytes are a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    if name.len() >= address.sun_path.len() {
        return Err(error(libc::ENAMETOOLONG));
    }
    for (place, byte) in address.sun_path.iter_mut().zip(name) {
        *place = byte.cast_signed();
    }
    Ok((
        address,
        (std::mem::offset_of!(libc::sockaddr_un, sun_path) + name.len()) as libc::socklen_t,
    ))
}

/// Gives a socket a name: a path, or, beginning with a NUL, an abstract one.
pub fn bind(socket: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let (address, length) = address(name)?;
    // SAFETY: `address` is valid for `length` bytes.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) }).map(drop)
}

/// Connects a socket to the one at a path.
pub fn connect(socket: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let (address, length) = address(name)?;
    // SAFETY: `address` is valid for `length` bytes.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) }).map(drop)
}

/// Starts to listen.
pub fn listen(socket: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) }).map(drop)
}

/// The abstract name of the socket at the other end, without its NUL. `None`: no socket, or no such name.
pub fn peer_name(socket: BorrowedFd<'_>) -> Option<Vec<u8>> {
    // SAFETY: all zero bytes are a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: `address` has room for `length` bytes.
    check(unsafe { libc::getpeername(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut length) }).ok()?;
    let used = (length as usize).checked_sub(std::mem::offset_of!(libc::sockaddr_un, sun_path))?;
    let name = address.sun_path.get(..used)?;
    let (first, rest) = name.split_first()?;
    (i32::from(address.sun_family) == libc::AF_UNIX && *first == 0)
        .then(|| rest.iter().map(|byte| byte.cast_unsigned()).collect())
}

/// Reads a socket option of fixed size.
fn option<T: Copy>(socket: BorrowedFd<'_>, name: libc::c_int, blank: T) -> io::Result<T> {
    let mut value = blank;
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` has room for `length` bytes, and the options used here fill plain numbers.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    })?;
    Ok(value)
}

/// The kernel's number of a socket, never used twice (`SO_COOKIE`).
pub fn cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    option(socket, libc::SO_COOKIE, 0u64)
}

/// Who made the other end, effective ids (`SO_PEERCRED`).
pub fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    option(socket, libc::SO_PEERCRED, libc::ucred { pid: 0, uid: 0, gid: 0 })
}

/// True for a local packet socket.
pub fn is_packet_socket(descriptor: BorrowedFd<'_>) -> bool {
    option(descriptor, libc::SO_DOMAIN, 0i32).is_ok_and(|domain| domain == libc::AF_UNIX)
        && option(descriptor, libc::SO_TYPE, 0i32).is_ok_and(|kind| kind == libc::SOCK_SEQPACKET)
}

/// True for a socket that listens.
pub fn is_listening(descriptor: BorrowedFd<'_>) -> bool {
    option(descriptor, libc::SO_ACCEPTCONN, 0i32).is_ok_and(|listens| listens != 0)
}

fn set_option<T>(socket: BorrowedFd<'_>, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: `value` is valid for its own size.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    })
    .map(drop)
}

/// Lets the kernel add the sender's credentials to each message received here.
pub fn want_credentials(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::SO_PASSCRED, &1i32)
}

/// Bounds the wait for a message. A wait with a bound is also never restarted after a signal (signal(7)).
pub fn set_receive_timeout(socket: BorrowedFd<'_>, timeout: std::time::Duration) -> io::Result<()> {
    let value = libc::timeval {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_usec: timeout.subsec_micros().into(),
    };
    set_option(socket, libc::SO_RCVTIMEO, &value)
}

/// Ends the traffic on a socket in both directions, whoever else holds it.
pub fn shut_down(socket: BorrowedFd<'_>) {
    // SAFETY: no pointers. A socket that is shut down already needs nothing.
    let _ = unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
}

/// True when the other end is closed.
pub fn is_hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut entry = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: 0,
        revents: 0,
    };
    // SAFETY: one entry.
    let ready = unsafe { libc::poll(&raw mut entry, 1, 0) };
    ready > 0 && entry.revents & (libc::POLLHUP | libc::POLLERR) != 0
}

/// Sends one message made of `parts`, with `descriptors` beside it (at most [`PASS_LIMIT`]).
pub fn send<const N: usize>(
    socket: BorrowedFd<'_>,
    parts: [&[u8]; N],
    descriptors: &[RawFd],
    flags: libc::c_int,
) -> io::Result<usize> {
    let mut vector = parts.map(|part| libc::iovec {
        iov_base: part.as_ptr().cast_mut().cast(),
        iov_len: part.len(),
    });
    let mut control = [MaybeUninit::<u64>::uninit(); CONTROL_WORDS];
    // SAFETY: all zero bytes are a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vector.as_mut_ptr();
    message.msg_iovlen = N as _;
    if !descriptors.is_empty() {
        if descriptors.len() > PASS_LIMIT {
            return Err(error(libc::EINVAL));
        }
        let bytes = size_of_val(descriptors) as libc::c_uint;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE and CMSG_LEN compute only; `control` is aligned and has room for PASS_LIMIT descriptors, so
        // the head and the numbers written here lie inside it.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(bytes) as _;
            let head = libc::CMSG_FIRSTHDR(&raw const message);
            (*head).cmsg_level = libc::SOL_SOCKET;
            (*head).cmsg_type = libc::SCM_RIGHTS;
            (*head).cmsg_len = libc::CMSG_LEN(bytes) as _;
            std::ptr::copy_nonoverlapping(descriptors.as_ptr().cast::<u8>(), libc::CMSG_DATA(head), bytes as usize);
        }
    }
    // SAFETY: the message points to live memory that is only read.
    check_long(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags | libc::MSG_NOSIGNAL) })
}

/// What [`receive`] learned besides the bytes.
pub struct Received {
    /// Bytes written into the parts.
    pub length: usize,
    /// The message was longer than the parts.
    pub truncated: bool,
    /// Some descriptors did not arrive: this process has no room for them.
    pub descriptors_lost: bool,
    /// The sender, real ids, if [`want_credentials`] was called.
    pub credentials: Option<libc::ucred>,
}

/// Receives one message into `head`, then `room`, then `overflow`; its descriptors (closed on exec) are appended to
/// `descriptors`. Length 0 with nothing else: the other end is closed.
pub fn receive(
    socket: BorrowedFd<'_>,
    parts: [&mut [u8]; 3],
    descriptors: &mut Vec<OwnedFd>,
    flags: libc::c_int,
) -> io::Result<Received> {
    let mut vector = parts.map(|part| libc::iovec {
        iov_base: part.as_mut_ptr().cast(),
        iov_len: part.len(),
    });
    let mut control = [MaybeUninit::<u64>::uninit(); CONTROL_WORDS];
    // SAFETY: all zero bytes are a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vector.as_mut_ptr();
    message.msg_iovlen = 3;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the message points to live memory that may be written.
    let length =
        check_long(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags | libc::MSG_CMSG_CLOEXEC) })?;
    let mut credentials = None;
    // SAFETY: the kernel filled `control` with well-formed heads up to msg_controllen, which the CMSG macros walk; each
    // SCM_RIGHTS entry holds descriptors just made for us, each SCM_CREDENTIALS entry one ucred.
    unsafe {
        let mut head = libc::CMSG_FIRSTHDR(&raw const message);
        while !head.is_null() {
            let data = libc::CMSG_DATA(head);
            let bytes = ((*head).cmsg_len as usize).saturating_sub(data as usize - head as usize);
            match ((*head).cmsg_level, (*head).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for index in 0..bytes / size_of::<RawFd>() {
                        let received = data.cast::<RawFd>().add(index).read_unaligned();
                        descriptors.push(OwnedFd::from_raw_fd(received));
                    }
                }
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if bytes >= size_of::<libc::ucred>() => {
                    credentials = Some(data.cast::<libc::ucred>().read_unaligned());
                }
                _ => {}
            }
            head = libc::CMSG_NXTHDR(&raw const message, head);
        }
    }
    Ok(Received {
        length,
        truncated: message.msg_flags & libc::MSG_TRUNC != 0,
        descriptors_lost: message.msg_flags & libc::MSG_CTRUNC != 0,
        credentials,
    })
}

/// A memory file that holds `data`.
pub fn memory_file(data: &[u8]) -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string.
    let made = check(unsafe { libc::memfd_create(c"door".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) })?;
    // SAFETY: the kernel just made the descriptor for us.
    let file = unsafe { OwnedFd::from_raw_fd(made) };
    let mut written = 0;
    while written < data.len() {
        let rest = &data[written..];
        // SAFETY: `rest` is live memory that is only read.
        match check_long(unsafe { libc::write(file.as_raw_fd(), rest.as_ptr().cast(), rest.len()) }) {
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(file)
}

/// True for a memory file. Reading anything else could wait for ever on somebody's pipe or file server.
pub fn is_memory_file(file: BorrowedFd<'_>) -> bool {
    // SAFETY: no pointers.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) >= 0 }
}

/// Reads a file from `offset` until `room` is full. `EINVAL`: it is shorter.
pub fn read_at(file: BorrowedFd<'_>, room: &mut [u8], offset: usize) -> io::Result<()> {
    let mut done = 0;
    while done < room.len() {
        let rest = &mut room[done..];
        let place = (offset + done).try_into().map_err(|_| error(libc::EOVERFLOW))?;
        // SAFETY: `rest` is live memory that may be written.
        match check_long(unsafe { libc::pread(file.as_raw_fd(), rest.as_mut_ptr().cast(), rest.len(), place) }) {
            Ok(0) => return Err(error(libc::EINVAL)),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Private anonymous memory of whole pages, given back when dropped.
pub struct Region {
    start: *mut u8,
    length: usize,
}

// SAFETY: a region is plain memory with one owner.
unsafe impl Send for Region {}

impl Region {
    /// Maps at least `length` bytes (at least one page).
    pub fn map(length: usize) -> io::Result<Region> {
        let length = length.max(1).next_multiple_of(page_size());
        // SAFETY: a new anonymous mapping touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Region {
            start: start.cast(),
            length,
        })
    }

    /// The memory, which is zero where nothing was written.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is live, ours alone and initialised by the kernel.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.length) }
    }

    /// Start and length; the caller unmaps it.
    pub fn into_raw(self) -> (*mut u8, usize) {
        let region = std::mem::ManuallyDrop::new(self);
        (region.start, region.length)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing refers to it any more.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}

/// Bytes of a page.
pub fn page_size() -> usize {
    // SAFETY: no pointers.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// A new epoll set, closed on exec.
pub fn epoll() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let made = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    // SAFETY: the kernel just made the descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// A counter descriptor that wakes an epoll set.
pub fn event() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let made = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the kernel just made the descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// Makes an [`event`] readable for good.
pub fn raise(event: BorrowedFd<'_>) {
    let one = 1u64;
    // SAFETY: eight live bytes. It fails only when the counter is full, and then it is readable.
    let _ = unsafe { libc::write(event.as_raw_fd(), (&raw const one).cast(), 8) };
}

/// Adds, changes or removes (`EPOLL_CTL_*`) what an epoll set watches.
pub fn watch(
    set: BorrowedFd<'_>,
    operation: i32,
    descriptor: BorrowedFd<'_>,
    events: i32,
    token: u64,
) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: events.cast_unsigned(),
        u64: token,
    };
    // SAFETY: one live event.
    check(unsafe { libc::epoll_ctl(set.as_raw_fd(), operation, descriptor.as_raw_fd(), &raw mut event) }).map(drop)
}

/// Waits for one event; gives its token and what happened. Signals do not end the wait.
pub fn wait(set: BorrowedFd<'_>) -> io::Result<(u64, i32)> {
    loop {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event.
        match check(unsafe { libc::epoll_wait(set.as_raw_fd(), &raw mut event, 1, -1) }) {
            Ok(0) => {}
            Ok(_) => return Ok((event.u64, event.events.cast_signed())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Effective user and group of this process.
pub fn effective_ids() -> (u32, u32) {
    // SAFETY: no pointers, cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Real, effective and saved user, then group, of this thread.
pub fn all_ids() -> [u32; 6] {
    let mut ids = [0; 6];
    let [ru, eu, su, rg, eg, sg] = ids.each_mut().map(std::ptr::from_mut);
    // SAFETY: six live numbers; cannot fail.
    unsafe {
        libc::getresuid(ru, eu, su);
        libc::getresgid(rg, eg, sg);
    }
    ids
}

/// This process. Asked of the kernel each time, so it is right in a child too.
pub fn process_id() -> i32 {
    // SAFETY: no pointers, cannot fail.
    unsafe { libc::getpid() }
}

/// A path for system calls that want C strings.
pub fn c_path(path: &std::path::Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| error(libc::EINVAL))
}

/// Blocks all signals in the calling thread while `work` runs, so that a thread it starts never takes one.
pub fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are plain memory filled by the calls; the old mask is put back.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut old: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old);
        let result = work();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const old, std::ptr::null_mut());
        result
    }
}

/// Longest name of a socket.
pub const NAME_LIMIT: usize = 107;

/// Whether this process may write a file, by its real ids.
pub fn check_writable(path: &std::path::Path) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: a C string.
    check(unsafe { libc::access(path.as_ptr(), libc::W_OK) }).map(drop)
}

/// Locks a file or directory for this descriptor alone; closing it unlocks.
pub fn lock(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }).map(drop)
}

/// Swaps two names in one step.
pub fn exchange(one: &std::path::Path, other: &std::path::Path) -> io::Result<()> {
    let (one, other) = (c_path(one)?, c_path(other)?);
    let here = libc::AT_FDCWD;
    // SAFETY: two C strings.
    check(unsafe { libc::renameat2(here, one.as_ptr(), here, other.as_ptr(), libc::RENAME_EXCHANGE) }).map(drop)
}

/// Asks a thread to end; it heeds that when it has cancellation enabled. The thread must not have ended.
pub fn cancel(thread: libc::pthread_t) {
    // SAFETY: the caller knows that the thread lives.
    unsafe { libc::pthread_cancel(thread) };
}

/// True when there is such a process.
pub fn is_alive(process: i32) -> bool {
    // SAFETY: signal 0 only asks.
    process > 0 && (unsafe { libc::kill(process, 0) } == 0 || number(&io::Error::last_os_error()) == libc::EPERM)
}

/// The descriptor stays open on exec.
pub fn keep_on_exec(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFD, 0) }).map(drop)
}
