//! ALUA mode and access states (`libstmf-api.md` 6.2). `node` has 8 bits as in the seed; the 32-bit variants serve callers
//! that were written for the original header (6.4).

use super::convert::{guid, output};
use super::types::*;
use crate::client;
use crate::types::{NodeId, Status};
use std::ffi::c_int;

version!("SUNW_1.1", stmfSetAluaState, stmfGetAluaState, stmfLuStandby);
version!("STMF_1.0", stmfSetAluaState32, stmfGetAluaState32);

/// Switches ALUA mode on as this node (0 or 1), or off, where `node` is ignored. Enabling again repeats the registration
/// with the peer.
#[unsafe(no_mangle)]
pub extern "C" fn stmfSetAluaState(enabled: boolean_t, node: u8) -> c_int {
    barrier!(set_alua(enabled, u32::from(node)))
}

/// `stmfSetAluaState` for callers with a 32-bit `node`.
#[unsafe(no_mangle)]
pub extern "C" fn stmfSetAluaState32(enabled: boolean_t, node: u32) -> c_int {
    barrier!(set_alua(enabled, node))
}

fn set_alua(enabled: boolean_t, node: u32) -> Result<(), Status> {
    match enabled {
        B_FALSE => client::alua_disable(),
        B_TRUE => {
            let node = u8::try_from(node).ok().and_then(NodeId::new);
            client::alua_enable(node.ok_or(Status::InvalidArg)?)
        }
        _ => Err(Status::InvalidArg),
    }
}

/// Tells ALUA mode and the node last enabled.
///
/// # Safety
/// Both pointers are NULL or valid for writing; one byte is written to `node`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetAluaState(enabled: *mut boolean_t, node: *mut u8) -> c_int {
    barrier!({
        let (enabled, node) = (output(enabled)?, output(node)?);
        let alua = client::alua()?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe {
            enabled.write(boolean_t::from(alua.enabled));
            node.write(alua.node);
        }
        Ok(())
    })
}

/// `stmfGetAluaState` for callers with a 32-bit `node`: four bytes are written.
///
/// # Safety
/// Both pointers are NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetAluaState32(enabled: *mut boolean_t, node: *mut u32) -> c_int {
    barrier!({
        let (enabled, node) = (output(enabled)?, output(node)?);
        let alua = client::alua()?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe {
            enabled.write(boolean_t::from(alua.enabled));
            node.write(u32::from(alua.node));
        }
        Ok(())
    })
}

/// Gives a logical unit up: Transition to Standby, with its store flushed and closed, when this returns.
///
/// # Safety
/// `luGuid` is NULL or points to a GUID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfLuStandby(luGuid: *mut stmfGuid) -> c_int {
    barrier!({
        // SAFETY: the caller's promise.
        client::lu_standby(unsafe { guid(luGuid) }?)
    })
}
