//! Provider data of a provider that runs here goes through it: it puts the change in force, or refuses it, and stores it
//! (`libstmf-api.md` 5.3, `iscsi-target.md` 16.2). All other data is opaque.

use super::Service;
use crate::framework::MAX_PROVIDER_DATA;
use crate::iscsi::{ChangeError, Provider, key};
use crate::types::{ProviderKey, Status};

impl Service {
    /// The provider whose data this is, if it runs here.
    fn owner(&self, data: &ProviderKey) -> Option<&Provider> {
        self.iscsi().ok().filter(|_| *data == key())
    }

    pub(super) fn set_provider_data(
        &self,
        key: &ProviderKey,
        data: Vec<u8>,
        token: Option<u64>,
    ) -> Result<u64, Status> {
        match self.owner(key) {
            Some(_) if data.len() > MAX_PROVIDER_DATA => Err(Status::Error),
            Some(owner) => owner.set_data(&data, token).map_err(|error| refused("set", error)),
            None => self.framework.set_provider_data(key, data, token),
        }
    }

    pub(super) fn clear_provider_data(&self, key: &ProviderKey) -> Result<(), Status> {
        match self.owner(key) {
            Some(owner) => owner.clear_data().map_err(|error| refused("cleared", error)),
            None => self.framework.clear_provider_data(key),
        }
    }

    /// `stmfLoadConfig`; a provider follows what was loaded.
    pub(super) fn reload(&self) -> Result<(), Status> {
        match self.iscsi() {
            Ok(owner) => owner
                .reload(|| self.framework.reload())
                .map_err(|error| refused("loaded", error)),
            Err(_) => self.framework.reload(),
        }
    }
}

/// The status for the caller, the reason for the log unless it is one of the framework's, which has said it. What cannot be a configuration is an invalid argument, whatever is
/// wrong with it; `Busy` is a target that would have to go offline first.
fn refused(what: &str, error: ChangeError) -> Status {
    if !matches!(error, ChangeError::Save(_)) {
        log::warn!("provider data of iscsit is not {what}: {error}");
    }
    error.data_status()
}
