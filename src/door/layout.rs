//! The structures of `include/sys/door.h`, member for member.
#![forbid(unsafe_code)]
#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_int, c_uint, c_void};

/// A descriptor entry is a file descriptor.
pub const DOOR_DESCRIPTOR: u32 = 0x10000;
/// Close it in the sender.
pub const DOOR_RELEASE: u32 = 0x40000;
/// For `door_info`: the door that this thread is bound to.
pub const DOOR_QUERY: c_int = -2;
/// The data pointer of an unreferenced notification.
pub const DOOR_UNREF_DATA: usize = 1;
/// Parameter: largest number of descriptors.
pub const DOOR_PARAM_DESC_MAX: c_int = 1;
/// Parameter: largest number of argument bytes.
pub const DOOR_PARAM_DATA_MAX: c_int = 2;
/// Parameter: smallest number of argument bytes.
pub const DOOR_PARAM_DATA_MIN: c_int = 3;

/// A passed descriptor. The union of the header is written out: the descriptor, then the number of a received door.
#[repr(C, packed(4))]
#[derive(Debug, Clone, Copy, Default)]
pub struct door_desc_t {
    /// [`DOOR_DESCRIPTOR`] and others.
    pub d_attributes: u32,
    /// The descriptor.
    pub d_descriptor: c_int,
    /// Number of a door.
    pub d_id: u64,
    /// The rest of the five reserved words.
    pub d_resv: [c_int; 2],
}

/// What `door_info` tells.
#[repr(C, packed(4))]
#[derive(Debug, Clone, Copy, Default)]
pub struct door_info_t {
    /// Process of the server, or -1.
    pub di_target: libc::pid_t,
    /// Server procedure.
    pub di_proc: u64,
    /// Cookie.
    pub di_data: u64,
    /// Attributes.
    pub di_attributes: u32,
    /// Number of the door.
    pub di_uniquifier: u64,
    /// Reserved.
    pub di_resv: [c_int; 4],
}

/// Arguments and results of `door_call`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct door_arg_t {
    /// Argument, then result bytes.
    pub data_ptr: *mut c_char,
    /// Their number.
    pub data_size: usize,
    /// Argument, then result descriptors.
    pub desc_ptr: *mut door_desc_t,
    /// Their number.
    pub desc_num: c_uint,
    /// Room for results.
    pub rbuf: *mut c_char,
    /// Its size.
    pub rsize: usize,
}

/// The immediate caller.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct door_cred_t {
    /// Effective user.
    pub dc_euid: libc::uid_t,
    /// Effective group.
    pub dc_egid: libc::gid_t,
    /// Real user.
    pub dc_ruid: libc::uid_t,
    /// Real group.
    pub dc_rgid: libc::gid_t,
    /// Process.
    pub dc_pid: libc::pid_t,
    /// Reserved.
    pub dc_resv: [c_int; 4],
}

/// A server procedure.
pub type Procedure = unsafe extern "C" fn(*mut c_void, *mut c_char, usize, *mut door_desc_t, c_uint);
/// Makes a server thread.
pub type ServerFunction = unsafe extern "C" fn(*mut door_info_t);
/// Makes a server thread for a door of `door_xcreate`.
pub type CreateFunction = unsafe extern "C" fn(*mut door_info_t, StartFunction, *mut c_void, *mut c_void) -> c_int;
/// What such a thread runs.
pub type StartFunction = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
/// Runs first in such a thread.
pub type SetupFunction = unsafe extern "C" fn(*mut c_void);

const _: () = {
    assert!(size_of::<door_desc_t>() == 24 && align_of::<door_desc_t>() == 4);
    assert!(size_of::<door_info_t>() == 48);
    assert!(size_of::<door_arg_t>() == 48 || size_of::<usize>() != 8);
    assert!(size_of::<door_cred_t>() == 36);
};
