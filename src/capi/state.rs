//! State of the service (`libstmf-api.md` 3.3).

use super::constants::*;
use super::convert::output;
use super::types::*;
use crate::client;
use crate::framework::{ConfigState, ObjectState};
use std::ffi::c_int;

version!("SUNW_1.1", stmfGetState);
/// Tells the operational state and the state of the configuration.
///
/// # Safety
/// `state` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetState(state: *mut stmfState) -> c_int {
    barrier!({
        let out = output(state)?;
        let state = client::state()?;
        let value = stmfState {
            operationalState: match state.operational {
                ObjectState::Online => STMF_SERVICE_STATE_ONLINE,
                ObjectState::Offline => STMF_SERVICE_STATE_OFFLINE,
                ObjectState::Onlining => STMF_SERVICE_STATE_ONLINING,
                ObjectState::Offlining => STMF_SERVICE_STATE_OFFLINING,
            },
            configState: match state.config {
                ConfigState::None => STMF_CONFIG_STATE_NONE,
                ConfigState::Init => STMF_CONFIG_STATE_INIT,
                ConfigState::InitDone => STMF_CONFIG_STATE_INIT_DONE,
            },
        };
        // SAFETY: not NULL, and the caller's promise.
        unsafe { out.write(value) };
        Ok(())
    })
}

version!("SUNWprivate", stmfOnline, stmfOffline);
/// Begins to serve initiators.
#[unsafe(no_mangle)]
pub extern "C" fn stmfOnline() -> c_int {
    barrier!(client::online())
}

/// Stops serving initiators; the configuration stays.
#[unsafe(no_mangle)]
pub extern "C" fn stmfOffline() -> c_int {
    barrier!(client::offline())
}
