//! Lists for the caller: one zeroed block of the C library, which callers release with `stmfFreeMemory` or with `free`
//! (ruling 16).

use super::convert::output;
use super::types::*;
use crate::types::Status;
use std::ffi::c_void;

/// A list type of the API: `cnt`, then elements.
///
/// # Safety
/// The type is `repr(C)`, its first field is a `u32` count, `OFFSET` is the offset of its array of `Element`s, and all
/// bytes zero is a value of it.
pub(super) unsafe trait List {
    /// What it lists.
    type Element: Copy;
    /// Where the elements begin.
    const OFFSET: usize;
}

macro_rules! lists {
    ($($list:ty, $field:ident, $element:ty;)*) => {
        $(
            // SAFETY: as the structures are declared in `types.rs`.
            unsafe impl List for $list {
                type Element = $element;
                const OFFSET: usize = std::mem::offset_of!($list, $field);
            }
        )*
    };
}

lists! {
    stmfGuidList, guid, stmfGuid;
    stmfDevidList, devid, stmfDevid;
    stmfGroupList, name, stmfGroupName;
    stmfGroupProperties, name, stmfDevid;
    stmfSessionList, session, stmfSession;
    stmfViewEntryList, ve, stmfViewEntry;
    stmfProviderList, provider, stmfProvider;
}

/// Allocates a list of these elements and gives it to the caller. The block has room for one element even when there is
/// none.
///
/// # Safety
/// `out` is valid for writing.
pub(super) unsafe fn give_list<L: List>(out: *mut *mut L, elements: &[L::Element]) -> Result<(), Status> {
    let count = u32::try_from(elements.len()).map_err(|_| Status::NoMem)?;
    let size = size_of::<L>().max(L::OFFSET + size_of_val(elements));
    // SAFETY: calloc has no preconditions.
    let block = unsafe { libc::calloc(1, size) }.cast::<u8>();
    if block.is_null() {
        return Err(Status::NoMem);
    }
    // SAFETY: the block has `size` bytes, aligned for any type; layout as the trait promises.
    unsafe {
        block.cast::<u32>().write(count);
        let array = block.add(L::OFFSET).cast::<L::Element>();
        array.copy_from_nonoverlapping(elements.as_ptr(), elements.len());
        out.write(block.cast());
    }
    Ok(())
}

/// Makes a list out of values and gives it to the caller.
///
/// # Safety
/// `out` is valid for writing.
pub(super) unsafe fn give<L: List, T>(
    out: *mut *mut L,
    values: &[T],
    convert: impl Fn(&T) -> L::Element,
) -> Result<(), Status> {
    let out = output(out)?;
    let elements: Vec<L::Element> = values.iter().map(convert).collect();
    // SAFETY: the caller's promise.
    unsafe { give_list(out, &elements) }
}

version!("SUNW_1.1", stmfFreeMemory);
/// Releases a list that the library handed out. NULL has no effect.
///
/// # Safety
/// `memory` is NULL or a list of this library that was not released before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfFreeMemory(memory: *mut c_void) {
    // SAFETY: lists are from calloc; free accepts NULL.
    unsafe { libc::free(memory) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_one_zeroed_block() {
        for n in [0usize, 1, 3] {
            let guids: Vec<u8> = (0..n).map(|i| i as u8 + 1).collect();
            let mut list: *mut stmfGuidList = std::ptr::null_mut();
            // SAFETY: `list` is writable, and what is read is inside the block.
            unsafe {
                give(&mut list, &guids, |b| stmfGuid { guid: [*b; 16] }).unwrap();
                assert_eq!((*list).cnt as usize, n);
                let elements = std::slice::from_raw_parts(list.cast::<u8>().add(4), 16 * n.max(1));
                for (i, byte) in elements.iter().enumerate() {
                    assert_eq!(*byte as usize, if n == 0 { 0 } else { i / 16 + 1 });
                }
                stmfFreeMemory(list.cast());
            }
        }
    }
}
