//! The C face of the doors (`include/door.h`): `c-clients.md` chapters 6 and 7.

use std::arch::{global_asm, naked_asm};
use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::caller::{self, Arguments, Rest};
use super::frame::{DATA_LIMIT, DESCRIPTOR_LIMIT};
use super::layout::{
    CreateFunction, DOOR_DESCRIPTOR, DOOR_PARAM_DATA_MAX, DOOR_PARAM_DATA_MIN, DOOR_PARAM_DESC_MAX, DOOR_QUERY,
    Procedure as ProcedurePointer, ServerFunction, SetupFunction, door_arg_t, door_cred_t, door_desc_t, door_info_t,
};
use super::process;
use super::served::{Door, Limits, Procedure};
use super::sys::{self, Region};
use super::thread::{self, Creation, Passed};
use super::{attach, attribute};

type Outcome = Result<c_int, c_int>;

/// The panic barrier: runs the body, gives its value or, with `errno` set, -1.
macro_rules! barrier {
    ($body:block) => {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| -> Outcome { $body })) {
            Ok(Ok(value)) => value,
            Ok(Err(number)) => fail(number),
            Err(_) => fail(libc::EIO),
        }
    };
}

fn fail(number: c_int) -> c_int {
    // SAFETY: the place of this thread's errno.
    unsafe { *libc::__errno_location() = number };
    -1
}

fn number(error: std::io::Error) -> c_int {
    sys::number(&error)
}

/// Borrows a descriptor number for one call.
fn borrow<'a>(descriptor: c_int) -> Result<BorrowedFd<'a>, c_int> {
    if descriptor < 0 {
        return Err(libc::EBADF);
    }
    // SAFETY: not negative; one that is not open gives EBADF from the kernel, nothing else.
    Ok(unsafe { BorrowedFd::borrow_raw(descriptor) })
}

/// The path of a C string.
///
/// # Safety
/// `path` is null or a C string that lives as long as the result is used.
unsafe fn path<'a>(path: *const c_char) -> Result<&'a Path, c_int> {
    if path.is_null() {
        return Err(libc::EFAULT);
    }
    // SAFETY: promised by the caller.
    Ok(Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes())))
}

/// A door of this process. `EBADF`: not a door, or revoked or gone; `EPERM`: another process'.
fn own(door: c_int) -> Result<Arc<Door>, c_int> {
    let door = borrow(door)?;
    let label = caller::label(door).map_err(number)?;
    if let Some(own) = process::existing().and_then(|process| process.door(label.door)) {
        return Ok(own);
    }
    Err(if sys::is_hung_up(door) {
        libc::EBADF
    } else {
        libc::EPERM
    })
}

/// Makes a door.
///
/// # Safety
/// `procedure` is null or a server procedure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn door_create(
    procedure: Option<ProcedurePointer>,
    cookie: *mut c_void,
    attributes: c_uint,
) -> c_int {
    barrier!({
        check_attributes(attributes, attribute::CREATE)?;
        let procedure = native(procedure.ok_or(libc::EINVAL)?, cookie, None);
        let private = attributes & attribute::PRIVATE != 0;
        let pool = thread::pool_for(attributes).map_err(number)?;
        let (door, descriptor) = Door::create(attributes, procedure, pool).map_err(number)?;
        if private {
            thread::create_thread(Some(&door));
        } else if process::process().map_err(number)?.first_shared() {
            thread::create_thread(None);
        }
        Ok(descriptor.into_raw_fd())
    })
}
global_asm!(".symver door_create, door_create@@@STMF_1.0");

/// Makes a door whose threads come from a function of its own; it is private.
///
/// # Safety
/// The functions are null or have the types of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn door_xcreate(
    procedure: Option<ProcedurePointer>,
    cookie: *mut c_void,
    attributes: c_uint,
    create: Option<CreateFunction>,
    setup: Option<SetupFunction>,
    create_cookie: *mut c_void,
    threads: c_int,
) -> c_int {
    barrier!({
        check_attributes(attributes, attribute::XCREATE)?;
        let create = create.ok_or(libc::EINVAL)?;
        let wanted = usize::try_from(threads)
            .ok()
            .filter(|threads| *threads > 0)
            .ok_or(libc::EINVAL)?;
        let creation = Creation {
            create,
            setup,
            cookie: create_cookie as usize,
        };
        let procedure = native(procedure.ok_or(libc::EINVAL)?, cookie, Some(creation));
        let attributes = attributes | attribute::PRIVATE | attribute::PRIVCREATE;
        let pool = thread::pool_for(attributes).map_err(number)?;
        let (door, descriptor) = Door::create(attributes, procedure, Arc::clone(&pool)).map_err(number)?;
        for _ in 0..wanted {
            if thread::xcreate_thread(&door, creation, false) != 1 {
                door.revoke();
                return Err(libc::EAGAIN);
            }
        }
        pool.wait_joined(wanted);
        Ok(descriptor.into_raw_fd())
    })
}
global_asm!(".symver door_xcreate, door_xcreate@@@STMF_1.0");

fn check_attributes(attributes: u32, allowed: u32) -> Result<(), c_int> {
    let both = attribute::UNREF | attribute::UNREF_MULTI;
    if attributes & !allowed != 0 || attributes & both == both {
        Err(libc::EINVAL)
    } else {
        Ok(())
    }
}

fn native(procedure: ProcedurePointer, cookie: *mut c_void, creation: Option<Creation>) -> Procedure {
    Procedure::Native {
        function: procedure as usize,
        cookie: cookie as usize,
        creation,
    }
}

/// Calls a door.
///
/// # Safety
/// `params` is null or as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn door_call(door: c_int, params: *mut door_arg_t) -> c_int {
    barrier!({
        let door = borrow(door)?;
        // SAFETY: null or live, by contract.
        let Some(params) = (unsafe { params.as_mut() }) else {
            let nothing = Arguments {
                data: &[],
                descriptors: &[],
                results: false,
                interruptible: true,
                doubtful: false,
            };
            return caller::call(door, &nothing, &mut []).map(|_| 0).map_err(number);
        };
        let count = params.desc_num as usize;
        if (params.data_ptr.is_null() && params.data_size > 0)
            || (params.desc_ptr.is_null() && count > 0)
            || (params.rbuf.is_null() && params.rsize > 0)
        {
            return Err(libc::EFAULT);
        }
        let entries: Vec<door_desc_t> = match count {
            0 => Vec::new(),
            // SAFETY: `count` live entries, by contract. Copied, since results may come into the same memory.
            _ => unsafe { std::slice::from_raw_parts(params.desc_ptr, count) }.to_vec(),
        };
        // SAFETY: the pointers and sizes were promised.
        let outcome = unsafe { call(door, params, &entries) };
        thread::release(&entries, outcome);
        outcome.map(|()| 0)
    })
}
global_asm!(".symver door_call, door_call@@@STMF_1.0");

/// # Safety
/// As for [`door_call`].
unsafe fn call(door: BorrowedFd<'_>, params: &mut door_arg_t, entries: &[door_desc_t]) -> Result<(), c_int> {
    if params.data_size > DATA_LIMIT || entries.len() > DESCRIPTOR_LIMIT {
        return Err(libc::E2BIG);
    }
    let passed = Passed::new(entries)?;
    let data = match params.data_size {
        0 => &[],
        // SAFETY: live bytes, by contract. They are read before anything is written to `rbuf`, which may be the same.
        size => unsafe { std::slice::from_raw_parts(params.data_ptr.cast::<u8>(), size) },
    };
    let room: &mut [u8] = match params.rsize {
        0 => &mut [],
        // SAFETY: room for as many bytes, by contract; written only after the kernel has looked at it.
        size => unsafe { std::slice::from_raw_parts_mut(params.rbuf.cast::<u8>(), size) },
    };
    let arguments = Arguments {
        data,
        descriptors: &passed.numbers,
        results: true,
        interruptible: true,
        doubtful: true,
    };
    let results = caller::call(door, &arguments, room).map_err(number)?;
    let entry = size_of::<door_desc_t>();
    let count = results.descriptors.len();
    let place = if count == 0 {
        results.length
    } else {
        results.length.next_multiple_of(entry)
    };
    let total = place + count * entry;
    let rbuf = if total > room.len() {
        let mut region = Region::map(total).map_err(|_| libc::EOVERFLOW)?;
        results.gather(room, region.bytes()).map_err(|_| libc::EOVERFLOW)?;
        let (start, length) = region.into_raw();
        params.rbuf = start.cast();
        params.rsize = length;
        start
    } else {
        if let Rest::File(file) = &results.rest {
            sys::read_at(file.as_fd(), &mut room[..results.length], 0).map_err(|_| libc::EOVERFLOW)?;
        }
        room.as_mut_ptr()
    };
    if results.length > 0 {
        params.data_ptr = rbuf.cast();
    }
    params.data_size = results.length;
    params.desc_num = count as c_uint;
    if count > 0 {
        // SAFETY: `total` bytes from `rbuf` on are room for results, and the entries lie at their end.
        let first = unsafe { rbuf.add(place) }.cast::<door_desc_t>();
        for (index, descriptor) in results.descriptors.into_iter().enumerate() {
            // SAFETY: as above; the result memory may be aligned to anything.
            unsafe {
                first
                    .add(index)
                    .write_unaligned(thread::entry(descriptor, DOOR_DESCRIPTOR))
            };
        }
        params.desc_ptr = first;
    }
    Ok(())
}

/// Answers the call in progress and takes the next one; comes back only with an error. A bare jump to the trampoline, so
/// that no Rust frame lies on a stack that is jumped over.
///
/// # Safety
/// The data and the descriptors are as the header says. What lies on the stack of the server procedure is gone after it.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn door_return(
    data: *mut c_char,
    size: usize,
    descriptors: *mut door_desc_t,
    count: c_uint,
) -> c_int {
    naked_asm!(
        "endbr64",
        "lea r8, [rip + {operations}]",
        "jmp {trampoline}",
        operations = sym thread::OPERATIONS,
        trampoline = sym thread::stmf_door_return,
    )
}

/// As on x86-64.
///
/// # Safety
/// As there.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn door_return(
    data: *mut c_char,
    size: usize,
    descriptors: *mut door_desc_t,
    count: c_uint,
) -> c_int {
    naked_asm!(
        "hint #34",
        "adrp x4, {operations}",
        "add x4, x4, :lo12:{operations}",
        "b {trampoline}",
        operations = sym thread::OPERATIONS,
        trampoline = sym thread::stmf_door_return,
    )
}
global_asm!(".symver door_return, door_return@@@STMF_1.0");

/// Ends a door and closes the descriptor.
///
/// # Safety
/// Nobody else uses the descriptor number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn door_revoke(door: c_int) -> c_int {
    barrier!({
        own(door)?.revoke();
        // SAFETY: `own` saw that it is open; the caller gives it up.
        drop(unsafe { thread::take(door) });
        Ok(0)
    })
}
global_asm!(".symver door_revoke, door_revoke@@@STMF_1.0");

/// Tells about a door.
///
/// # Safety
/// `info` is null or room for the structure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn door_info(door: c_int, info: *mut door_info_t) -> c_int {
    barrier!({
        let told = match door {
            DOOR_QUERY => thread::describe(&*thread::bound().ok_or(libc::EBADF)?, false),
            _ => information(borrow(door)?)?,
        };
        if info.is_null() {
            return Err(libc::EFAULT);
        }
        // SAFETY: room for one, by contract.
        unsafe { info.write_unaligned(told) };
        Ok(0)
    })
}
global_asm!(".symver door_info, door_info@@@STMF_1.0");

fn information(door: BorrowedFd<'_>) -> Result<door_info_t, c_int> {
    let label = caller::label(door).map_err(number)?;
    if let Some(own) = process::existing().and_then(|process| process.door(label.door)) {
        return Ok(thread::describe(&own, false));
    }
    let mut info = door_info_t {
        di_target: label.pid,
        di_attributes: label.attributes,
        di_uniquifier: label.door,
        ..door_info_t::default()
    };
    match caller::describe(door) {
        Ok(description) => {
            info.di_proc = description.procedure;
            info.di_data = description.cookie;
            info.di_attributes = description.attributes;
        }
        Err(error) if sys::number(&error) == libc::EBADF => {
            info.di_attributes |= attribute::REVOKED;
            if !sys::is_alive(label.pid) {
                info.di_target = -1;
            }
        }
        // The server does not answer, but what never changes is known.
        Err(_) => {}
    }
    Ok(info)
}

/// Who makes the call in progress.
///
/// # Safety
/// `cred` is null or room for the structure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn door_cred(cred: *mut door_cred_t) -> c_int {
    barrier!({
        let told = thread::credentials().ok_or(libc::EINVAL)?;
        if cred.is_null() {
            return Err(libc::EFAULT);
        }
        // SAFETY: room for one, by contract.
        unsafe { cred.write(told) };
        Ok(0)
    })
}
global_asm!(".symver door_cred, door_cred@@@STMF_1.0");

/// Binds the calling thread to a private door of this process.
///
/// # Safety
/// None; all C entries are unsafe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn door_bind(door: c_int) -> c_int {
    barrier!({
        let door = match own(door) {
            Err(libc::EPERM) => return Err(libc::EINVAL),
            other => other?,
        };
        let native = matches!(door.procedure(), Procedure::Native { .. });
        if !native || door.attributes() & attribute::PRIVATE == 0 {
            return Err(libc::EINVAL);
        }
        thread::bind(Some(door)).map(|()| 0)
    })
}
global_asm!(".symver door_bind, door_bind@@@STMF_1.0");

/// Undoes `door_bind`. `EBADF`: the thread is not bound.
///
/// # Safety
/// None; all C entries are unsafe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn door_unbind() -> c_int {
    barrier!({
        thread::bound().ok_or(libc::EBADF)?;
        thread::bind(None).map(|()| 0)
    })
}
global_asm!(".symver door_unbind, door_unbind@@@STMF_1.0");

/// Reads a parameter.
///
/// # Safety
/// `value` is null or room for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn door_getparam(door: c_int, parameter: c_int, value: *mut usize) -> c_int {
    barrier!({
        let limits = match own(door) {
            Ok(own) => own.limits(),
            Err(libc::EPERM) => {
                let told = caller::describe(borrow(door)?).map_err(number)?;
                Limits {
                    descriptors_max: told.descriptors_max,
                    data_max: told.data_max,
                    data_min: told.data_min,
                }
            }
            Err(number) => return Err(number),
        };
        let found = match parameter {
            DOOR_PARAM_DESC_MAX => limits.descriptors_max,
            DOOR_PARAM_DATA_MAX => limits.data_max,
            DOOR_PARAM_DATA_MIN => limits.data_min,
            _ => return Err(libc::EINVAL),
        };
        if value.is_null() {
            return Err(libc::EFAULT);
        }
        let found = usize::try_from(found).map_err(|_| libc::EOVERFLOW)?;
        // SAFETY: room for one, by contract.
        unsafe { value.write(found) };
        Ok(0)
    })
}
global_asm!(".symver door_getparam, door_getparam@@@STMF_1.0");

/// Sets a parameter; only the process that made the door may.
///
/// # Safety
/// None; all C entries are unsafe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn door_setparam(door: c_int, parameter: c_int, value: usize) -> c_int {
    barrier!({
        let door = own(door)?;
        let refuses = door.attributes() & attribute::REFUSE_DESC != 0;
        let value = value as u64;
        door.change_limits(|limits| {
            match parameter {
                DOOR_PARAM_DESC_MAX if refuses && value != 0 => return Err(libc::ENOTSUP),
                DOOR_PARAM_DESC_MAX if value > i32::MAX as u64 => return Err(libc::ERANGE),
                DOOR_PARAM_DESC_MAX => limits.descriptors_max = value,
                DOOR_PARAM_DATA_MAX => limits.data_max = value,
                DOOR_PARAM_DATA_MIN => limits.data_min = value,
                _ => return Err(libc::EINVAL),
            }
            if limits.data_min > limits.data_max {
                Err(libc::EINVAL)
            } else {
                Ok(())
            }
        })
        .map(|()| 0)
    })
}
global_asm!(".symver door_setparam, door_setparam@@@STMF_1.0");

/// Sets the function that makes server threads (null: the library's own); gives the previous one.
///
/// # Safety
/// `create` is null or such a function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn door_server_create(create: Option<ServerFunction>) -> Option<ServerFunction> {
    // Nothing in it panics: it swaps two words.
    Some(thread::set_creator(create))
}
global_asm!(".symver door_server_create, door_server_create@@@STMF_1.0");

/// Attaches a door to a file.
///
/// # Safety
/// `path` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fattach(door: c_int, path: *const c_char) -> c_int {
    barrier!({
        let door = borrow(door)?;
        // SAFETY: promised by the caller.
        let path = unsafe { self::path(path) }?;
        attach::attach(door, path).map(|()| 0).map_err(number)
    })
}
global_asm!(".symver fattach, fattach@@@STMF_1.0");

/// Undoes `fattach`.
///
/// # Safety
/// `path` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdetach(path: *const c_char) -> c_int {
    barrier!({
        // SAFETY: promised by the caller.
        let path = unsafe { self::path(path) }?;
        attach::detach(path).map(|()| 0).map_err(number)
    })
}
global_asm!(".symver fdetach, fdetach@@@STMF_1.0");

/// Opens the door at a path; of the flags `O_CLOEXEC` counts.
///
/// # Safety
/// `path` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn door_open(path: *const c_char, flags: c_int) -> c_int {
    barrier!({
        // SAFETY: promised by the caller.
        let path = unsafe { self::path(path) }?;
        let door = attach::open(path).map_err(number)?;
        if flags & libc::O_CLOEXEC == 0 {
            sys::keep_on_exec(door.as_fd()).map_err(number)?;
        }
        Ok(door.into_raw_fd())
    })
}
global_asm!(".symver door_open, door_open@@@STMF_1.0");
