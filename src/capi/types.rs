//! The structures of the API (`libstmf-api.md` 2.3). Lists are declared with one element and over-allocated.

use std::ffi::{c_char, c_int, c_uchar, c_uint, c_void};

/// `boolean_t` of libspl: an enum of 4 bytes. As an argument it may hold any number.
pub type boolean_t = c_uint;
/// `B_FALSE`.
pub(super) const B_FALSE: boolean_t = 0;
/// `B_TRUE`.
pub(super) const B_TRUE: boolean_t = 1;
/// As in libspl.
pub type uchar_t = c_uchar;
/// As in `<time.h>`.
pub type time_t = libc::time_t;

/// Longest devid, in bytes.
pub const STMF_IDENT_LENGTH: usize = 255;
/// As in `<sys/param.h>` of Linux.
pub const MAXPATHLEN: usize = 4096;

/// Name of a host or target group, NUL-terminated.
pub type stmfGroupName = [c_char; 256];
/// Name of a provider, NUL-terminated.
pub type stmfProviderName = [c_char; 256];
/// Handle of a set of LU properties.
pub type luResource = *mut c_void;

/// Name of a logical unit.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _stmfGuid {
    /// NAA type 6 for disk LUs.
    pub guid: [uchar_t; 16],
}
/// Name of a logical unit.
pub type stmfGuid = _stmfGuid;

/// Names of logical units.
#[repr(C)]
pub struct _stmfGuidList {
    /// Number of elements.
    pub cnt: u32,
    /// The elements.
    pub guid: [stmfGuid; 1],
}
/// Names of logical units.
pub type stmfGuidList = _stmfGuidList;

/// State of the service.
#[repr(C)]
pub struct _stmfState {
    /// `STMF_SERVICE_STATE_*`.
    pub operationalState: c_int,
    /// `STMF_CONFIG_STATE_*`.
    pub configState: c_int,
}
/// State of the service.
pub type stmfState = _stmfState;

/// Identifier of a port or an initiator.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _stmfDevid {
    /// Number of bytes, 1 to 255.
    pub identLength: u8,
    /// The bytes, e.g. `iqn.com.example:a`; zero behind the end.
    pub ident: [u8; STMF_IDENT_LENGTH],
}
/// Identifier of a port or an initiator.
pub type stmfDevid = _stmfDevid;

/// Identifiers.
#[repr(C)]
pub struct _stmfDevidList {
    /// Number of elements.
    pub cnt: u32,
    /// The elements.
    pub devid: [stmfDevid; 1],
}
/// Identifiers.
pub type stmfDevidList = _stmfDevidList;

/// Names of groups.
#[repr(C)]
pub struct _stmfGroupList {
    /// Number of elements.
    pub cnt: u32,
    /// The elements.
    pub name: [stmfGroupName; 1],
}
/// Names of groups.
pub type stmfGroupList = _stmfGroupList;

/// Members of a group.
#[repr(C)]
pub struct _stmfGroupProperties {
    /// Number of elements.
    pub cnt: u32,
    /// The elements.
    pub name: [stmfDevid; 1],
}
/// Members of a group.
pub type stmfGroupProperties = _stmfGroupProperties;

/// A provider.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _stmfProvider {
    /// `STMF_LU_PROVIDER_TYPE` or `STMF_PORT_PROVIDER_TYPE`.
    pub providerType: c_int,
    /// Its name.
    pub name: stmfProviderName,
}
/// A provider.
pub type stmfProvider = _stmfProvider;

/// Providers.
#[repr(C)]
pub struct _stmfProviderList {
    /// Number of elements.
    pub cnt: u32,
    /// The elements.
    pub provider: [stmfProvider; 1],
}
/// Providers.
pub type stmfProviderList = _stmfProviderList;

/// A session of an initiator on a target port.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _stmfSession {
    /// The initiator port.
    pub initiator: stmfDevid,
    /// Its alias, empty if unknown.
    pub alias: [c_char; 256],
    /// Seconds since 1970.
    pub creationTime: time_t,
}
/// A session of an initiator on a target port.
pub type stmfSession = _stmfSession;

/// Sessions.
#[repr(C)]
pub struct _stmfSessionList {
    /// Number of elements.
    pub cnt: u32,
    /// The elements.
    pub session: [stmfSession; 1],
}
/// Sessions.
pub type stmfSessionList = _stmfSessionList;

/// A view entry of a logical unit.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _stmfViewEntry {
    /// `veIndex` is valid; output only.
    pub veIndexValid: boolean_t,
    /// Unique among the entries of the LU.
    pub veIndex: u32,
    /// All hosts, `hostGroup` is not used.
    pub allHosts: boolean_t,
    /// Host group.
    pub hostGroup: stmfGroupName,
    /// All targets, `targetGroup` is not used.
    pub allTargets: boolean_t,
    /// Target group.
    pub targetGroup: stmfGroupName,
    /// `luNbr` is valid; on input: this LUN is wanted.
    pub luNbrValid: boolean_t,
    /// Logical unit number: 14 bits, big-endian, in bytes 0 and 1.
    pub luNbr: [uchar_t; 8],
}
/// A view entry of a logical unit.
pub type stmfViewEntry = _stmfViewEntry;

/// View entries.
#[repr(C)]
pub struct _stmfViewEntryList {
    /// Number of elements.
    pub cnt: u32,
    /// The elements.
    pub ve: [stmfViewEntry; 1],
}
/// View entries.
pub type stmfViewEntryList = _stmfViewEntryList;

/// Used by no function.
#[repr(C)]
pub struct _stmfViewEntryProperties {
    /// The LU.
    pub associatedLogicalUnitGuid: stmfGuid,
    /// Its view entry.
    pub viewEntry: stmfViewEntry,
}
/// Used by no function.
pub type stmfViewEntryProperties = _stmfViewEntryProperties;

/// SPC protocol identifier.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub enum _stmfProtocol {
    STMF_PROTOCOL_FIBRE_CHANNEL = 0,
    STMF_PROTOCOL_SCSI = 1,
    STMF_PROTOCOL_SSA = 2,
    STMF_PROTOCOL_IEEE_1394 = 3,
    STMF_PROTOCOL_SRP = 4,
    STMF_PROTOCOL_ISCSI = 5,
    STMF_PROTOCOL_SAS = 6,
}
/// SPC protocol identifier.
pub type stmfProtocol = _stmfProtocol;

/// Properties of a target port.
#[repr(C)]
pub struct _stmfTargetProperties {
    /// Its port provider.
    pub providerName: stmfProviderName,
    /// Display name, empty if none.
    pub alias: [c_char; 256],
    /// `STMF_TARGET_PORT_*`.
    pub status: u16,
    /// Transport.
    pub protocol: stmfProtocol,
    /// Identifier.
    pub devid: stmfDevid,
}
/// Properties of a target port.
pub type stmfTargetProperties = _stmfTargetProperties;

/// Properties of a logical unit.
#[repr(C)]
pub struct _stmfLogicalUnitProperties {
    /// Display name.
    pub alias: [c_char; 256],
    /// INQUIRY vendor identification, space-padded.
    pub vendor: [uchar_t; 8],
    /// INQUIRY product identification, space-padded.
    pub product: [uchar_t; 16],
    /// INQUIRY product revision, space-padded.
    pub revision: [uchar_t; 4],
    /// `STMF_LOGICAL_UNIT_*`.
    pub status: u32,
    /// Its LU provider.
    pub providerName: [c_char; 256],
    /// Its name.
    pub luid: stmfGuid,
}
/// Properties of a logical unit.
pub type stmfLogicalUnitProperties = _stmfLogicalUnitProperties;

/// Properties of an LU provider.
#[repr(C)]
pub struct _stmfLogicalUnitProviderProperties {
    /// Its name.
    pub providerName: [c_char; MAXPATHLEN],
    /// Always 0.
    pub instance: u32,
    /// Always 0.
    pub status: u32,
    /// Zero.
    pub rsvd: [uchar_t; 64],
}
/// Properties of an LU provider.
pub type stmfLogicalUnitProviderProperties = _stmfLogicalUnitProviderProperties;

/// Properties of a port provider.
#[repr(C)]
pub struct _stmfLocalPortProviderProperties {
    /// Its name.
    pub providerName: [c_char; MAXPATHLEN],
    /// Always 0.
    pub instance: u32,
    /// Always 0.
    pub status: u32,
    /// Zero.
    pub rsvd: [uchar_t; 64],
}
/// Properties of a port provider.
pub type stmfLocalPortProviderProperties = _stmfLocalPortProviderProperties;

/// Properties of an LU resource.
#[repr(C)]
#[allow(missing_docs)]
pub enum _stmfLuProp {
    STMF_LU_PROP_ALIAS = 1,
    STMF_LU_PROP_BLOCK_SIZE = 2,
    STMF_LU_PROP_COMPANY_ID = 3,
    STMF_LU_PROP_FILENAME = 4,
    STMF_LU_PROP_GUID = 5,
    STMF_LU_PROP_META_FILENAME = 6,
    STMF_LU_PROP_MGMT_URL = 7,
    STMF_LU_PROP_NEW = 8,
    STMF_LU_PROP_SIZE = 9,
    STMF_LU_PROP_WRITE_PROTECT = 10,
    STMF_LU_PROP_WRITE_CACHE_DISABLE = 11,
    STMF_LU_PROP_VID = 12,
    STMF_LU_PROP_PID = 13,
    STMF_LU_PROP_SERIAL_NUM = 14,
    STMF_LU_PROP_ACCESS_STATE = 15,
    STMF_LU_PROP_HOST_ID = 16,
}
