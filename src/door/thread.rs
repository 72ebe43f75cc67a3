//! Server threads of C doors: who makes them, what each one is doing, and the operations that the trampoline calls.

use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::frame::{DATA_LIMIT, DESCRIPTOR_LIMIT, Frame, NO_RESULTS, UNREFERENCED};
use super::layout::{
    CreateFunction, DOOR_DESCRIPTOR, DOOR_RELEASE, DOOR_UNREF_DATA, Procedure as ProcedurePointer, ServerFunction,
    SetupFunction, StartFunction, door_cred_t, door_desc_t, door_info_t,
};
use super::peer::Results;
use super::pool::{Pool, Taken, Worker};
use super::process::{self, process};
use super::served::{Door, Procedure};
use super::{attribute, caller, fork, sys};

/// A call, ready to run. Laid out like `struct upcall` in trampoline.c.
#[repr(C)]
pub struct Upcall {
    procedure: ProcedurePointer,
    cookie: *mut c_void,
    data: *mut c_char,
    size: usize,
    descriptors: *mut door_desc_t,
    count: c_uint,
}

/// The operations of the trampoline. Laid out like `struct operations` there.
#[repr(C)]
pub struct Operations {
    finish: unsafe extern "C" fn(*const c_char, usize, *const door_desc_t, c_uint) -> c_int,
    next: unsafe extern "C" fn(*mut Upcall) -> c_int,
    abandon: extern "C" fn(),
    bind: extern "C" fn(u64) -> c_int,
}

/// The one set of operations.
pub static OPERATIONS: Operations = Operations {
    finish: finish_entry,
    next: next_entry,
    abandon: abandon_entry,
    bind: bind_entry,
};

/// What a new thread is to do. Laid out like `struct start` in trampoline.c.
#[repr(C)]
struct Start {
    operations: *const Operations,
    door: u64,
    setup: Option<SetupFunction>,
    cookie: *mut c_void,
    expendable: c_int,
}

/// How a door of `door_xcreate` makes threads.
#[derive(Clone, Copy)]
pub struct Creation {
    /// Makes a thread.
    pub create: CreateFunction,
    /// Runs first in it.
    pub setup: Option<SetupFunction>,
    /// For both.
    pub cookie: usize,
}

unsafe extern "C" {
    fn stmf_door_start(start: *const Start) -> c_int;
    fn stmf_door_thread(argument: *mut c_void) -> *mut c_void;
    /// The C side of `door_return`.
    pub fn stmf_door_return(
        data: *const c_char,
        size: usize,
        descriptors: *const door_desc_t,
        count: c_uint,
        operations: *const Operations,
    ) -> c_int;
}

/// The creation function of `door_server_create`; 0 is the one of this library.
static CREATOR: AtomicUsize = AtomicUsize::new(0);

struct ServerThread {
    generation: u64,
    bound: Option<Arc<Door>>,
    worker: Worker,
    call: Option<Taken>,
    /// The descriptors of the call as the procedure sees them.
    descriptors: Vec<door_desc_t>,
}

thread_local! {
    static THREAD: RefCell<Option<ServerThread>> = const { RefCell::new(None) };
}

impl Drop for ServerThread {
    /// The thread ends (`pthread_exit`, cancellation) with a call in its hands: its caller gets `EINTR`.
    fn drop(&mut self) {
        if let Some(call) = self.call.take()
            && self.generation == fork::generation()
        {
            call.peer.stop_running();
            call.peer.fail(libc::EINTR);
        }
    }
}

/// Replaces the creation function; gives the previous one.
pub fn set_creator(creator: Option<ServerFunction>) -> ServerFunction {
    let new = creator.map_or(0, |creator| creator as usize);
    match CREATOR.swap(new, Ordering::AcqRel) {
        0 => default_creator,
        // SAFETY: only addresses of such functions are stored.
        previous => unsafe { std::mem::transmute::<usize, ServerFunction>(previous) },
    }
}

/// Makes one server thread, for the pool of a private door or for that of all others.
pub fn create_thread(door: Option<&Door>) {
    let mut info = door.map(|door| describe(door, false));
    let info = info.as_mut().map_or(null_mut(), std::ptr::from_mut);
    match CREATOR.load(Ordering::Acquire) {
        // SAFETY: `info` is null or live.
        0 => unsafe { default_creator(info) },
        // SAFETY: only addresses of such functions are stored.
        creator => unsafe { std::mem::transmute::<usize, ServerFunction>(creator)(info) },
    }
}

/// Makes one server thread for a door of `door_xcreate`; the result is that of the creation function.
pub fn xcreate_thread(door: &Door, creation: Creation, depleted: bool) -> c_int {
    let cookie = creation.cookie as *mut c_void;
    let Some(start) = allocate(Start {
        operations: &raw const OPERATIONS,
        door: door.id(),
        setup: creation.setup,
        cookie,
        expendable: 0,
    }) else {
        return -1;
    };
    let mut info = describe(door, depleted);
    let thread: StartFunction = stmf_door_thread;
    // SAFETY: the function came with this signature; `info` is live, and the thread takes `start`.
    let made = unsafe { (creation.create)(&raw mut info, thread, start.cast(), cookie) };
    if made != 1 {
        // SAFETY: no thread was made, so `start` is still ours.
        unsafe { libc::free(start.cast()) };
    }
    made
}

/// The creation function of this library: one detached thread that inherits the creator's signal mask.
unsafe extern "C" fn default_creator(info: *mut door_info_t) {
    // SAFETY: callers give null or a live structure; it may be unaligned for its packed members, which are copied.
    let info = unsafe { info.as_ref() }.copied();
    let door = info
        .filter(|info| info.di_attributes & attribute::PRIVATE != 0)
        .map_or(0, |info| info.di_uniquifier);
    let error = match allocate(Start {
        operations: &raw const OPERATIONS,
        door,
        setup: None,
        cookie: null_mut(),
        expendable: 1,
    }) {
        // SAFETY: `start` is from malloc and is taken.
        Some(start) => unsafe { stmf_door_start(start) },
        None => libc::ENOMEM,
    };
    if error != 0 {
        log::warn!("no further thread for doors: {}", sys::error(error));
    }
}

fn allocate(start: Start) -> Option<*mut Start> {
    // SAFETY: fresh memory of the right size, from malloc as the C side frees it.
    unsafe {
        let place = libc::malloc(size_of::<Start>()).cast::<Start>();
        if place.is_null() {
            return None;
        }
        place.write(start);
        Some(place)
    }
}

/// What `door_info` tells of a door of this process.
pub fn describe(door: &Door, depleted: bool) -> door_info_t {
    let description = door.describe();
    let depletion = if depleted { attribute::DEPLETION_CB } else { 0 };
    door_info_t {
        di_target: sys::process_id(),
        di_proc: description.procedure,
        di_data: description.cookie,
        di_attributes: description.attributes | attribute::LOCAL | depletion,
        di_uniquifier: door.id(),
        di_resv: [0; 4],
    }
}

/// Binds this thread to the pool of a private door, or to the common one.
pub fn bind(door: Option<Arc<Door>>) -> Result<(), c_int> {
    with_thread(|thread| {
        if let Some(door) = &door {
            door.pool().join();
        }
        thread.bound = door;
    })
}

/// The door that this thread is bound to.
pub fn bound() -> Option<Arc<Door>> {
    with_thread(|thread| thread.bound.clone()).ok().flatten()
}

/// The caller of the call in progress.
pub fn credentials() -> Option<door_cred_t> {
    let of_call = |thread: &mut ServerThread| {
        let call = thread.call.as_ref().filter(|call| !call.peer.internal)?;
        let (maker, sender) = (call.peer.maker, call.sender?);
        Some(door_cred_t {
            dc_euid: maker.uid,
            dc_egid: maker.gid,
            dc_ruid: sender.uid,
            dc_rgid: sender.gid,
            dc_pid: sender.pid,
            dc_resv: [0; 4],
        })
    };
    with_thread(of_call).ok().flatten()
}

fn with_thread<T>(work: impl FnOnce(&mut ServerThread) -> T) -> Result<T, c_int> {
    THREAD
        .try_with(|thread| {
            let mut thread = thread.try_borrow_mut().map_err(|_| libc::EINVAL)?;
            if thread
                .as_ref()
                .is_some_and(|thread| thread.generation != fork::generation())
            {
                // The parent's: nothing of it is this process' to answer or to close.
                std::mem::forget(thread.take());
            }
            let fresh = || ServerThread {
                generation: fork::generation(),
                bound: None,
                worker: Worker::new(),
                call: None,
                descriptors: Vec::new(),
            };
            Ok(work(thread.get_or_insert_with(fresh)))
        })
        .map_err(|_| libc::EINVAL)?
}

/// A panic here would be a defect; it ends the process instead of unwinding into C.
extern "C" fn bind_entry(door: u64) -> c_int {
    let door = process::existing().and_then(|process| process.door(door));
    match door {
        Some(door) => bind(Some(door)).err().unwrap_or(0),
        None => libc::EBADF,
    }
}

extern "C" fn abandon_entry() {
    let call = with_thread(|thread| thread.call.take()).ok().flatten();
    if let Some(call) = call {
        call.peer.stop_running();
        call.peer.fail(libc::EINTR);
    }
    // Dropped now, not by the thread's end, where other things may be gone already.
    let _ = THREAD.try_with(|thread| thread.borrow_mut().take());
}

unsafe extern "C" fn next_entry(upcall: *mut Upcall) -> c_int {
    match next() {
        Ok(call) => {
            // SAFETY: the trampoline gives room for one.
            unsafe { upcall.write(call) };
            0
        }
        Err(error) => error,
    }
}

fn next() -> Result<Upcall, c_int> {
    let (bound, mut worker) = with_thread(|thread| {
        (
            thread.bound.clone(),
            std::mem::replace(&mut thread.worker, Worker::empty()),
        )
    })?;
    let pool = match &bound {
        Some(door) => Arc::clone(door.pool()),
        None => process()
            .and_then(|process| process.shared_pool())
            .map_err(|error| sys::number(&error))?,
    };
    let Some(mut taken) = pool.next(&mut worker) else {
        return Err(libc::EINVAL);
    };
    let Procedure::Native { function, cookie, .. } = *taken.peer.door.procedure() else {
        return Err(libc::EINVAL);
    };
    let received: Vec<_> = std::mem::take(&mut taken.descriptors)
        .into_iter()
        .map(received)
        .collect();
    let unreferenced = taken.flags & UNREFERENCED != 0;
    let size = taken.length;
    let data = match size {
        _ if unreferenced => DOOR_UNREF_DATA as *mut c_char,
        0 => null_mut(),
        _ => worker.data(&taken).as_mut_ptr().cast(),
    };
    let depleted = taken.depleted;
    let door = Arc::clone(&taken.peer.door);
    if door.attributes() & attribute::NO_CANCEL == 0 {
        // SAFETY: no pointers; cannot fail.
        taken.peer.set_running(unsafe { libc::pthread_self() });
    }
    let (descriptors, count) = with_thread(|thread| {
        thread.worker = worker;
        thread.call = Some(taken);
        thread.descriptors = received;
        let count = thread.descriptors.len();
        (
            if count == 0 {
                null_mut()
            } else {
                thread.descriptors.as_mut_ptr()
            },
            count,
        )
    })?;
    if depleted {
        replenish(&door);
    }
    Ok(Upcall {
        // SAFETY: the door was created with the address of such a function.
        procedure: unsafe { std::mem::transmute::<usize, ProcedurePointer>(function) },
        cookie: cookie as *mut c_void,
        data,
        size,
        descriptors,
        // At most DESCRIPTOR_LIMIT.
        count: count as c_uint,
    })
}

/// The last free thread of a pool took a call.
fn replenish(door: &Door) {
    let Procedure::Native { creation, .. } = door.procedure() else {
        return;
    };
    match creation {
        Some(_) if door.attributes() & attribute::NO_DEPLETION_CB != 0 => {}
        Some(creation) => {
            xcreate_thread(door, *creation, true);
        }
        None => create_thread((door.attributes() & attribute::PRIVATE != 0).then_some(door)),
    }
}

/// A received descriptor as C sees it; a door's attributes and number come with it.
fn received(descriptor: OwnedFd) -> door_desc_t {
    entry(descriptor, DOOR_DESCRIPTOR)
}

/// The entry for a descriptor that now belongs to the C side.
pub fn entry(descriptor: OwnedFd, attributes: u32) -> door_desc_t {
    let label = caller::label(descriptor.as_fd()).ok();
    let door = |label: super::label::Label| {
        let local = process::existing().is_some_and(|process| process.door(label.door).is_some());
        (label.attributes | if local { attribute::LOCAL } else { 0 }, label.door)
    };
    let (more, d_id) = label.map_or((0, 0), door);
    door_desc_t {
        d_attributes: attributes | more,
        d_descriptor: descriptor.into_raw_fd(),
        d_id,
        d_resv: [0; 2],
    }
}

unsafe extern "C" fn finish_entry(
    data: *const c_char,
    size: usize,
    descriptors: *const door_desc_t,
    count: c_uint,
) -> c_int {
    let count = count as usize;
    if descriptors.is_null() && count > 0 {
        return libc::EFAULT;
    }
    let entries = match count {
        0 => &[],
        // SAFETY: the caller gives `count` live entries.
        count => unsafe { std::slice::from_raw_parts(descriptors, count) },
    };
    if data.is_null() && size > 0 {
        return libc::EFAULT;
    }
    let bytes = match size.min(DATA_LIMIT + 1) {
        0 => &[],
        // SAFETY: the caller gives `size` live bytes; they are only handed to the kernel.
        size => unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) },
    };
    let outcome = finish(bytes, entries);
    release(entries, outcome.map(drop));
    match outcome {
        Ok(Told::No) => 0,
        Ok(Told::GivenUp) => -1,
        Err(error) => error,
    }
}

/// Whether a further thread is made whenever the last free one of the door's pool is taken. The functions of programs need
/// not do that.
fn grows(door: &Door) -> bool {
    let own = matches!(door.procedure(), Procedure::Native { creation: None, .. });
    own && CREATOR.load(Ordering::Acquire) == 0
}

/// Whether the thread was told during the call that its caller gave up.
#[derive(Clone, Copy)]
enum Told {
    No,
    GivenUp,
}

fn finish(data: &[u8], entries: &[door_desc_t]) -> Result<Told, c_int> {
    // A thread without a call becomes available; what it gives is of no use.
    let Some((peer, flags, doubtful)) = with_thread(|thread| {
        let call = thread.call.as_ref()?;
        Some((Arc::clone(&call.peer), call.flags, !thread.worker.owns(data)))
    })?
    else {
        return Ok(Told::No);
    };
    if entries.len() > DESCRIPTOR_LIMIT
        || data.len() > DATA_LIMIT
        || (flags & NO_RESULTS != 0 && !(data.is_empty() && entries.is_empty()))
    {
        return Err(libc::E2BIG);
    }
    let passed = Passed::new(entries)?;
    let told = if peer.stop_running() { Told::GivenUp } else { Told::No };
    let results = Results {
        data,
        descriptors: &passed.numbers,
        doubtful,
    };
    // A thread that was told may end now, and must not have a caller rely on it.
    let keep = matches!(told, Told::No) && grows(&peer.door);
    let mut kept = None;
    match peer.reply(Frame::answer(0), &results, keep) {
        Ok(true) => kept = Some(peer),
        Ok(false) => {}
        Err(error) => match sys::number(&error) {
            libc::EBADF => return Err(libc::EINVAL),
            number @ (libc::EFAULT | libc::E2BIG) => return Err(number),
            _ => peer.fail(libc::EOVERFLOW),
        },
    }
    with_thread(|thread| {
        thread.call = None;
        thread.descriptors.clear();
        if let Some(peer) = kept {
            thread.worker.keep(peer);
        }
        told
    })
}

/// Descriptors on their way to another process.
pub struct Passed {
    /// What is sent.
    pub numbers: Vec<RawFd>,
    /// Further endpoints made for doors that count their descriptors.
    _endpoints: Vec<fork::Private>,
}

impl Passed {
    /// Checks the entries. `EINVAL`: one is not a descriptor.
    pub fn new(entries: &[door_desc_t]) -> Result<Passed, c_int> {
        let mut passed = Passed {
            numbers: Vec::with_capacity(entries.len()),
            _endpoints: Vec::new(),
        };
        for entry in entries {
            if entry.d_attributes & DOOR_DESCRIPTOR == 0 || entry.d_descriptor < 0 {
                return Err(libc::EINVAL);
            }
            let number = entry.d_descriptor;
            // SAFETY: only borrowed for this turn; a number that is not open gives errors, nothing else.
            let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
            let counting = |attributes: u32| attributes & (attribute::UNREF | attribute::UNREF_MULTI) != 0;
            match caller::label(descriptor) {
                Ok(label) if counting(label.attributes) && entry.d_attributes & DOOR_RELEASE == 0 => {
                    // One whose server is gone is passed as it is.
                    match caller::further_endpoint(descriptor, label) {
                        Ok(endpoint) => {
                            passed.numbers.push(endpoint.as_fd().as_raw_fd());
                            passed._endpoints.push(endpoint);
                        }
                        Err(_) => passed.numbers.push(number),
                    }
                }
                _ => passed.numbers.push(number),
            }
        }
        Ok(passed)
    }
}

/// Closes what was passed for release: always, except when the arguments themselves were unusable.
pub fn release(entries: &[door_desc_t], outcome: Result<(), c_int>) {
    if matches!(outcome, Err(libc::EFAULT | libc::EBADF)) {
        return;
    }
    for entry in entries {
        if entry.d_attributes & DOOR_RELEASE != 0
            && entry.d_attributes & DOOR_DESCRIPTOR != 0
            && entry.d_descriptor >= 0
        {
            // SAFETY: the caller gives the descriptor away.
            unsafe { libc::close(entry.d_descriptor) };
        }
    }
}

/// Makes a [`OwnedFd`] of a number that the C side gives up.
///
/// # Safety
/// The descriptor is open and nobody else closes it.
pub unsafe fn take(number: RawFd) -> OwnedFd {
    // SAFETY: promised by the caller.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// The pool of a new door.
pub fn pool_for(attributes: u32) -> std::io::Result<Arc<Pool>> {
    if attributes & attribute::PRIVATE != 0 {
        Pool::new().map(Arc::new)
    } else {
        process()?.shared_pool()
    }
}
