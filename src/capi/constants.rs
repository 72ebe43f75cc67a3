//! The numbers of the API (`libstmf-api.md` 1.1, 2.1, 2.2). The few names that are not numbers (aliases of statuses, access
//! states) are written at the head of the header, in `cbindgen.toml`.

use std::ffi::c_int;

/// 0x0000: done.
pub const STMF_STATUS_SUCCESS: c_int = 0x0000;
/// 0x8000: unclassified failure.
pub const STMF_STATUS_ERROR: c_int = 0x8000;
/// 0x8001: the thing is in use or changing state; retry later.
pub const STMF_ERROR_BUSY: c_int = 0x8001;
/// 0x8002: named object doesn't exist.
pub const STMF_ERROR_NOT_FOUND: c_int = 0x8002;
/// 0x8003: the group exists, the member isn't in it.
pub const STMF_ERROR_MEMBER_NOT_FOUND: c_int = 0x8003;
/// 0x8004: the group of an add/remove member call doesn't exist.
pub const STMF_ERROR_GROUP_NOT_FOUND: c_int = 0x8004;
/// 0x8005: caller lacks privilege.
pub const STMF_ERROR_PERM: c_int = 0x8005;
/// 0x8006: out of memory in the library.
pub const STMF_ERROR_NOMEM: c_int = 0x8006;
/// 0x8007: an argument is malformed, NULL where not allowed, or out of range.
pub const STMF_ERROR_INVALID_ARG: c_int = 0x8007;
/// 0x8008: group exists already; member already in this or another group.
pub const STMF_ERROR_EXISTS: c_int = 0x8008;
/// 0x8009: the service (its definition or its store) can't be found.
pub const STMF_ERROR_SERVICE_NOT_FOUND: c_int = 0x8009;
/// 0x800a: the service is online already, or must be offline for this call.
pub const STMF_ERROR_SERVICE_ONLINE: c_int = 0x800a;
/// 0x800b: the service is offline already.
pub const STMF_ERROR_SERVICE_OFFLINE: c_int = 0x800b;
/// 0x800c: a view entry refers to the group.
pub const STMF_ERROR_GROUP_IN_USE: c_int = 0x800c;
/// 0x800d: the requested LUN is taken in an overlapping view.
pub const STMF_ERROR_LUN_IN_USE: c_int = 0x800d;
/// 0x800e: the same LU already has an overlapping view entry.
pub const STMF_ERROR_VE_CONFLICT: c_int = 0x800e;
/// 0x800f: the live configuration isn't initialised.
pub const STMF_ERROR_CONFIG_NONE: c_int = 0x800f;
/// 0x8010: the store has a schema version this library doesn't know.
pub const STMF_ERROR_SERVICE_DATA_VERSION: c_int = 0x8010;
/// 0x8011: a view entry names a host group that doesn't exist.
pub const STMF_ERROR_INVALID_HG: c_int = 0x8011;
/// 0x8012: a view entry names a target group that doesn't exist.
pub const STMF_ERROR_INVALID_TG: c_int = 0x8012;
/// 0x8013: token given to a protected set isn't the current one.
pub const STMF_ERROR_PROV_DATA_STALE: c_int = 0x8013;
/// 0x8014: the property has no value on this resource.
pub const STMF_ERROR_NO_PROP: c_int = 0x8014;
/// 0x8015: property value missing.
pub const STMF_ERROR_NO_PROP_VAL: c_int = 0x8015;
/// 0x8016: a mandatory property wasn't set.
pub const STMF_ERROR_MISSING_PROP_VAL: c_int = 0x8016;
/// 0x8017: historic twin of STMF_ERROR_INVALID_BLKSIZE; never returned.
pub const STMF_ERROR_INVALID_BLOCKSIZE: c_int = 0x8017;
/// 0x8018: historic twin of STMF_ERROR_FILE_IN_USE; never returned.
pub const STMF_ERROR_FILE_ALREADY: c_int = 0x8018;
/// 0x8019: property text has the wrong length, or the number is too large for the property.
pub const STMF_ERROR_INVALID_PROPSIZE: c_int = 0x8019;
/// 0x8020: the property can't be used in this call.
pub const STMF_ERROR_INVALID_PROP: c_int = 0x8020;
/// 0x8021: persist method couldn't be read from or written to the store.
pub const STMF_ERROR_PERSIST_TYPE: c_int = 0x8021;
/// 0x8022: the target must be offline first.
pub const STMF_ERROR_TG_ONLINE: c_int = 0x8022;
/// 0x8023: access-state change failed, or the LU isn't Active and the call needs it to be.
pub const STMF_ERROR_ACCESS_STATE_SET: c_int = 0x8023;
/// 0x8024: property isn't available because the LU isn't Active.
pub const STMF_ERROR_NO_PROP_STANDBY: c_int = 0x8024;
/// 0x8025: peer message couldn't be handed to the proxy service.
pub const STMF_ERROR_POST_MSG_FAILED: c_int = 0x8025;
/// 0x8026: a proxy door is established already.
pub const STMF_ERROR_DOOR_INSTALLED: c_int = 0x8026;
/// 0x8100: the backing or metadata file belongs to a registered LU.
pub const STMF_ERROR_FILE_IN_USE: c_int = 0x8100;
/// 0x8101: block size not allowed.
pub const STMF_ERROR_INVALID_BLKSIZE: c_int = 0x8101;
/// 0x8102: GUID belongs to a registered LU.
pub const STMF_ERROR_GUID_IN_USE: c_int = 0x8102;
/// 0x8103: metadata file missing, unusable, or holds no LU metadata.
pub const STMF_ERROR_META_FILE_NAME: c_int = 0x8103;
/// 0x8104: data file missing or unusable.
pub const STMF_ERROR_DATA_FILE_NAME: c_int = 0x8104;
/// 0x8105: LU size isn't supported.
pub const STMF_ERROR_SIZE_OUT_OF_RANGE: c_int = 0x8105;
/// 0x8106: another operation holds this LU.
pub const STMF_ERROR_LU_BUSY: c_int = 0x8106;
/// 0x8107: metadata couldn't be written.
pub const STMF_ERROR_META_CREATION: c_int = 0x8107;
/// 0x8108: backing file or requested size unusable (below 1 MiB, not a multiple of the block size).
pub const STMF_ERROR_FILE_SIZE_INVALID: c_int = 0x8108;
/// 0x8109: requested write-cache setting can't be provided.
pub const STMF_ERROR_WRITE_CACHE_SET: c_int = 0x8109;
/// `stmfLogicalUnitProperties.status`.
pub const STMF_LOGICAL_UNIT_OFFLINE: c_int = 0;
/// `stmfLogicalUnitProperties.status`.
pub const STMF_LOGICAL_UNIT_OFFLINING: c_int = 1;
/// `stmfLogicalUnitProperties.status`.
pub const STMF_LOGICAL_UNIT_ONLINE: c_int = 2;
/// `stmfLogicalUnitProperties.status`.
pub const STMF_LOGICAL_UNIT_ONLINING: c_int = 3;
/// `stmfLogicalUnitProperties.status`.
pub const STMF_LOGICAL_UNIT_UNREGISTERED: c_int = 4;
/// `stmfTargetProperties.status`.
pub const STMF_TARGET_PORT_OFFLINE: c_int = 5;
/// `stmfTargetProperties.status`.
pub const STMF_TARGET_PORT_OFFLINING: c_int = 6;
/// `stmfTargetProperties.status`.
pub const STMF_TARGET_PORT_ONLINE: c_int = 7;
/// `stmfTargetProperties.status`.
pub const STMF_TARGET_PORT_ONLINING: c_int = 8;
/// `stmfState.operationalState`.
pub const STMF_SERVICE_STATE_ONLINE: c_int = 9;
/// `stmfState.operationalState`.
pub const STMF_SERVICE_STATE_OFFLINE: c_int = 10;
/// `stmfState.operationalState`.
pub const STMF_SERVICE_STATE_ONLINING: c_int = 11;
/// `stmfState.operationalState`.
pub const STMF_SERVICE_STATE_OFFLINING: c_int = 12;
/// `stmfState.operationalState`.
pub const STMF_SERVICE_STATE_UNKNOWN: c_int = 13;
/// `stmfState.configState`.
pub const STMF_CONFIG_STATE_NONE: c_int = 14;
/// `stmfState.configState`.
pub const STMF_CONFIG_STATE_INIT: c_int = 15;
/// `stmfState.configState`.
pub const STMF_CONFIG_STATE_INIT_DONE: c_int = 16;
/// `stmfState.configState`.
pub const STMF_CONFIG_STATE_UNKNOWN: c_int = 17;
/// STMF property.
pub const STMF_DEFAULT_LU_STATE: c_int = 18;
/// STMF property.
pub const STMF_DEFAULT_TARGET_PORT_STATE: c_int = 19;
/// Initiator name type; used by no function.
pub const STMF_FC_PORT_WWN: c_int = 1;
/// Initiator name type; used by no function.
pub const STMF_ISCSI_NAME: c_int = 2;
/// Provider type.
pub const STMF_LU_PROVIDER_TYPE: c_int = 1;
/// Provider type.
pub const STMF_PORT_PROVIDER_TYPE: c_int = 2;
/// LU resource type.
pub const STMF_DISK: c_int = 0;
/// Persist method.
pub const STMF_PERSIST_SMF: c_int = 1;
/// Persist method.
pub const STMF_PERSIST_NONE: c_int = 2;
/// SCSI identifier type; used by no function.
pub const EUI_64_TYPE: c_int = 2;
/// SCSI identifier type; used by no function.
pub const NAA_TYPE: c_int = 3;
/// SCSI identifier type; used by no function.
pub const SCSI_NAME_TYPE: c_int = 8;
/// SCSI code set; used by no function.
pub const BINARY_CODE_SET: c_int = 1;
/// SCSI code set; used by no function.
pub const ASCII_CODE_SET: c_int = 2;
/// SCSI code set; used by no function.
pub const UTF_8_CODE_SET: c_int = 3;
