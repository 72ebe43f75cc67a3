//! From C arguments to values of the system, and back into C fields.
//!
//! Rules: NULL is `InvalidArg`; a string is never read past its NUL, nor further than the longest that can be valid; nothing
//! behind `identLength` is read.

use super::types::*;
use crate::types::{DevId, GroupName, Guid, InvalidName, Status};
use std::ffi::c_char;
use std::ptr::{addr_of, addr_of_mut};

/// A pointer that must not be NULL.
pub(super) fn required<T>(pointer: *const T) -> Result<*const T, Status> {
    if pointer.is_null() {
        Err(Status::InvalidArg)
    } else {
        Ok(pointer)
    }
}

/// An output pointer that must not be NULL.
pub(super) fn output<T>(pointer: *mut T) -> Result<*mut T, Status> {
    if pointer.is_null() {
        Err(Status::InvalidArg)
    } else {
        Ok(pointer)
    }
}

/// The GUID behind an argument.
///
/// # Safety
/// `pointer` is NULL or points to a `stmfGuid`.
pub(super) unsafe fn guid(pointer: *const stmfGuid) -> Result<Guid, Status> {
    let pointer = required(pointer)?;
    // SAFETY: not NULL, and the caller's promise; a GUID is bytes.
    Ok(Guid(unsafe { (*pointer).guid }))
}

/// The bytes of a C string. Of one that has no NUL within `most` bytes, these: more than any valid one has, which the caller
/// refuses.
///
/// # Safety
/// `pointer` is NULL or points to a NUL-terminated string or to `most` bytes, which outlive the result.
pub(super) unsafe fn text<'a>(pointer: *const c_char, most: usize) -> Result<&'a [u8], Status> {
    let pointer = required(pointer)?;
    // SAFETY: not NULL, and the caller's promise: nothing is read behind the NUL, nor behind `most` bytes.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast(), libc::strnlen(pointer, most)) })
}

/// A group name, which may be shorter than its type: at most 256 bytes are read, none behind a NUL.
///
/// # Safety
/// `pointer` points to a NUL-terminated string or to 256 bytes.
pub(super) unsafe fn name(pointer: *const stmfGroupName) -> Result<GroupName, InvalidName> {
    let bytes = pointer.cast::<u8>();
    // SAFETY: within 256 bytes, and `take_while` stops at the first NUL.
    let read = (0..size_of::<stmfGroupName>()).map(|i| unsafe { bytes.add(i).read() });
    let name: Vec<u8> = read.take_while(|byte| *byte != 0).collect();
    // 256 bytes without NUL are too long for a name.
    GroupName::new(&name)
}

/// [`name`] as an argument of its own.
///
/// # Safety
/// As for [`name`], or NULL.
pub(super) unsafe fn group_name(pointer: *const stmfGroupName) -> Result<GroupName, Status> {
    let pointer = required(pointer)?;
    // SAFETY: not NULL, and the caller's promise.
    unsafe { name(pointer) }.map_err(|_| Status::InvalidArg)
}

/// A devid, of which only `identLength` bytes are read.
///
/// # Safety
/// `pointer` is NULL or points to a `stmfDevid` whose first `1 + identLength` bytes are there.
pub(super) unsafe fn devid(pointer: *const stmfDevid) -> Result<DevId, Status> {
    let pointer = required(pointer)?;
    // SAFETY: not NULL, and the caller's promise; no reference to the whole structure is made.
    let bytes = unsafe {
        let length = usize::from(addr_of!((*pointer).identLength).read());
        std::slice::from_raw_parts(addr_of!((*pointer).ident).cast::<u8>(), length)
    };
    DevId::new(bytes).map_err(|_| Status::InvalidArg)
}

/// A devid for the caller, zero behind its end.
pub(super) fn to_devid(devid: &DevId) -> stmfDevid {
    let bytes = devid.as_bytes();
    let mut out = stmfDevid {
        identLength: u8::try_from(bytes.len()).expect("a devid has at most 255 bytes"),
        ident: [0; STMF_IDENT_LENGTH],
    };
    out.ident[..bytes.len()].copy_from_slice(bytes);
    out
}

/// A text field for the caller: at most N - 1 bytes, NUL-terminated, zero behind the end. A longer text is cut between
/// characters.
pub(super) fn to_field<const N: usize>(text: &str) -> [c_char; N] {
    let mut out = [0; N];
    let end = (0..N.min(text.len() + 1))
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    for (to, from) in out.iter_mut().zip(text[..end].bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    out
}

/// Property getters (`libstmf-api.md` 1.9): a text that fits is copied and `*length` stays; else `*length` is the size
/// needed and the buffer gets a prefix.
///
/// # Safety
/// `length` points to the size of `buffer`.
pub(super) unsafe fn give_text(text: &str, buffer: *mut c_char, length: *mut usize) -> Result<(), Status> {
    let needed = text.len() + 1;
    // SAFETY: the caller's promise.
    let room = unsafe { length.read() };
    let copied = text.len().min(room.saturating_sub(1));
    if room > 0 {
        // SAFETY: `copied + 1 <= room` bytes of the buffer are written.
        unsafe {
            buffer.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), copied);
            buffer.add(copied).write(0);
        }
    }
    if room < needed {
        // SAFETY: the caller's promise.
        unsafe { length.write(needed) };
        return Err(Status::InvalidArg);
    }
    Ok(())
}

/// Zeroes a structure of the caller.
///
/// # Safety
/// `pointer` is valid for writing a T, for which all bytes zero is a value.
pub(super) unsafe fn zero<T>(pointer: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { addr_of_mut!(*pointer).write_bytes(0, 1) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_up_to_the_nul_only() {
        let short = Box::new(*b"HG\0");
        // SAFETY: NUL-terminated.
        let read = unsafe { group_name(short.as_ptr().cast()) };
        assert_eq!(read.unwrap().as_str(), "HG");
        let full = [b'x'; 256];
        // SAFETY: 256 bytes.
        assert_eq!(unsafe { group_name(full.as_ptr().cast()) }, Err(Status::InvalidArg));
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { group_name(std::ptr::null()) }, Err(Status::InvalidArg));
    }

    #[test]
    fn texts_are_read_up_to_the_nul_or_the_limit_only() {
        let short = Box::new(*b"text\0");
        let endless = Box::new([b'x'; 8]);
        // SAFETY: NUL-terminated, or as many bytes as said.
        unsafe {
            assert_eq!(text(short.as_ptr().cast(), 100), Ok(&b"text"[..]));
            assert_eq!(text(endless.as_ptr().cast(), 8), Ok(&endless[..]));
            assert_eq!(text(std::ptr::null(), 8), Err(Status::InvalidArg));
        }
    }

    #[test]
    fn devids_are_read_up_to_their_length_only() {
        let short = Box::new(*b"\x05iqn.x");
        // SAFETY: length byte and that many bytes.
        let read = unsafe { devid(short.as_ptr().cast()) }.unwrap();
        assert_eq!(read.as_bytes(), b"iqn.x");
        let back = to_devid(&read);
        assert_eq!((back.identLength, &back.ident[..6]), (5, &b"iqn.x\0"[..]));
        for bad in [&b"\0"[..], b"\x03a\0b"] {
            // SAFETY: length byte and that many bytes.
            assert_eq!(unsafe { devid(bad.as_ptr().cast()) }, Err(Status::InvalidArg));
        }
    }

    #[test]
    fn buffers_of_getters() {
        for (room, expected, needed, content) in [
            (5, Ok(()), 5, &b"text\0#"[..]),
            (6, Ok(()), 6, b"text\0#"),
            (4, Err(Status::InvalidArg), 5, b"tex\0##"),
            (1, Err(Status::InvalidArg), 5, b"\0#####"),
            (0, Err(Status::InvalidArg), 5, b"######"),
        ] {
            let mut buffer = *b"######";
            let mut length = room;
            // SAFETY: `room` bytes of the buffer are there.
            let result = unsafe { give_text("text", buffer.as_mut_ptr().cast(), &mut length) };
            assert_eq!(
                (result, length, &buffer[..]),
                (expected, needed, content),
                "room {room}"
            );
        }
    }

    #[test]
    fn fields_are_cut_between_characters() {
        let field: [c_char; 4] = to_field("aäö");
        assert_eq!(field.map(|c| c as u8), *b"a\xc3\xa4\0");
    }
}
