//! Attributes of doors (`c-clients.md` chapter 7).
#![forbid(unsafe_code)]

/// One unreferenced notification.
pub const UNREF: u32 = 0x01;
/// A pool of threads of its own.
pub const PRIVATE: u32 = 0x02;
/// Reported: made by this process.
pub const LOCAL: u32 = 0x04;
/// Reported: revoked.
pub const REVOKED: u32 = 0x08;
/// An unreferenced notification each time.
pub const UNREF_MULTI: u32 = 0x10;
/// Reported: one descriptor is left.
pub const IS_UNREF: u32 = 0x20;
/// No descriptors in calls.
pub const REFUSE_DESC: u32 = 0x40;
/// The server thread is not told that its caller gave up.
pub const NO_CANCEL: u32 = 0x80;
/// `door_xcreate`: no call of the creation function when the last thread is taken.
pub const NO_DEPLETION_CB: u32 = 0x100;
/// `door_xcreate` made it.
pub const PRIVCREATE: u32 = 0x200;
/// In the information for the creation function: called because the last thread is taken.
pub const DEPLETION_CB: u32 = 0x400;

/// Attributes that `door_create` takes.
pub const CREATE: u32 = UNREF | PRIVATE | UNREF_MULTI | REFUSE_DESC | NO_CANCEL;
/// Attributes that `door_xcreate` takes.
pub const XCREATE: u32 = CREATE | NO_DEPLETION_CB | PRIVCREATE;
