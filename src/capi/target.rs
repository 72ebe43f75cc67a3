//! Target ports and sessions (`libstmf-api.md` 3.8).

use super::constants::STMF_TARGET_PORT_OFFLINE;
use super::convert::{devid, output, to_devid, to_field};
use super::memory::give;
use super::types::*;
use crate::client;
use crate::framework::{NexusInfo, PortInfo};
use crate::types::Protocol;
use std::ffi::c_int;

version!(
    "SUNW_1.1",
    stmfGetTargetList,
    stmfGetTargetProperties,
    stmfGetSessionList,
    stmfOnlineTarget,
    stmfOfflineTarget,
);

/// Lists all target ports, those of the peer included. Release the list with `stmfFreeMemory`.
///
/// # Safety
/// `targetList` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetTargetList(targetList: *mut *mut stmfDevidList) -> c_int {
    barrier!({
        let out = output(targetList)?;
        let targets = client::target_list()?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { give(out, &targets, to_devid) }
    })
}

/// Tells what is known of a target port.
///
/// # Safety
/// `target` is NULL or points to a devid; `targetProps` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetTargetProperties(
    target: *mut stmfDevid,
    targetProps: *mut stmfTargetProperties,
) -> c_int {
    barrier!({
        let out = output(targetProps)?;
        // SAFETY: the caller's promise.
        let info = client::target_info(unsafe { devid(target) }?)?;
        // SAFETY: not NULL, and the caller's promise; zero first for the bytes between the fields.
        unsafe {
            super::convert::zero(out);
            out.write(to_properties(&info));
        }
        Ok(())
    })
}

fn to_properties(info: &PortInfo) -> stmfTargetProperties {
    let offline = u16::try_from(STMF_TARGET_PORT_OFFLINE).expect("5 fits");
    stmfTargetProperties {
        providerName: to_field(&info.provider),
        alias: to_field(&info.alias),
        status: offline + u16::from(info.state as u8),
        protocol: match info.protocol {
            Protocol::FibreChannel => stmfProtocol::STMF_PROTOCOL_FIBRE_CHANNEL,
            Protocol::Scsi => stmfProtocol::STMF_PROTOCOL_SCSI,
            Protocol::Ssa => stmfProtocol::STMF_PROTOCOL_SSA,
            Protocol::Ieee1394 => stmfProtocol::STMF_PROTOCOL_IEEE_1394,
            Protocol::Srp => stmfProtocol::STMF_PROTOCOL_SRP,
            Protocol::Iscsi => stmfProtocol::STMF_PROTOCOL_ISCSI,
            Protocol::Sas => stmfProtocol::STMF_PROTOCOL_SAS,
        },
        devid: to_devid(&info.devid),
    }
}

/// Lists the sessions of a target port, newest first. Release the list with `stmfFreeMemory`.
///
/// # Safety
/// `target` is NULL or points to a devid; `sessionList` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetSessionList(target: *mut stmfDevid, sessionList: *mut *mut stmfSessionList) -> c_int {
    barrier!({
        let out = output(sessionList)?;
        // SAFETY: the caller's promise.
        let sessions = client::target_sessions(unsafe { devid(target) }?)?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { give(out, &sessions, to_session) }
    })
}

fn to_session(nexus: &NexusInfo) -> stmfSession {
    stmfSession {
        initiator: to_devid(&nexus.initiator),
        alias: to_field(&nexus.alias),
        creationTime: time_t::try_from(nexus.created).unwrap_or(time_t::MAX),
    }
}

/// Brings a target port online.
///
/// # Safety
/// `target` is NULL or points to a devid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfOnlineTarget(target: *mut stmfDevid) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(client::target_online(unsafe { devid(target) }?))
}

/// Takes a target port offline; its sessions end.
///
/// # Safety
/// `target` is NULL or points to a devid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfOfflineTarget(target: *mut stmfDevid) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(client::target_offline(unsafe { devid(target) }?))
}
