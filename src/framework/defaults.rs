//! Settings of the service: default states (`stmfSetStmfProp`), and the management URL of all LUs
//! (`stmfSetGlobalLuProp`).

use super::state::{DEFAULT_LU_STATE, DEFAULT_TARGET_STATE, MGMT_URL};
use super::{DefaultState, Framework};
use crate::store::Change;
use crate::types::{LuProperties, Status};

impl Framework {
    /// `stmfSetStmfProp`: stored whatever the persist method, in force from the next start or load of the properties on.
    pub fn set_default_state(&self, which: DefaultState, online: bool) -> Result<(), Status> {
        let key = match which {
            DefaultState::Lus => DEFAULT_LU_STATE,
            DefaultState::Targets => DEFAULT_TARGET_STATE,
        };
        let value = if online { "online" } else { "offline" };
        let mut state = self.configured()?;
        self.commit(&[Change::PutSetting {
            key: key.to_owned(),
            value: value.to_owned(),
        }])?;
        match which {
            DefaultState::Lus => state.stored_defaults.0 = online,
            DefaultState::Targets => state.stored_defaults.1 = online,
        }
        Ok(())
    }

    /// `stmfGetStmfProp`: what is stored.
    pub fn default_state(&self, which: DefaultState) -> Result<bool, Status> {
        let (lus, targets) = self.configured()?.stored_defaults;
        Ok(match which {
            DefaultState::Lus => lus,
            DefaultState::Targets => targets,
        })
    }

    /// `stmfLoadStmfProps`: what is stored is in force.
    pub fn load_default_states(&self) -> Result<(), Status> {
        let mut state = self.configured()?;
        (state.lus_online, state.ports_online) = state.stored_defaults;
        Ok(())
    }

    /// The management URL of LUs without one of their own.
    pub fn mgmt_url(&self) -> Result<Option<String>, Status> {
        Ok(self.configured()?.mgmt_url.clone())
    }

    /// Sets it; `None` or empty removes it.
    pub fn set_mgmt_url(&self, url: Option<&str>) -> Result<(), Status> {
        let url = url.filter(|url| !url.is_empty());
        if url.is_some_and(|url| url.len() > LuProperties::MAX_URL) {
            return Err(Status::InvalidPropSize);
        }
        if url.is_some_and(|url| url.contains('\0')) {
            return Err(Status::InvalidArg);
        }
        let key = MGMT_URL.to_owned();
        let change = match url {
            Some(url) => Change::PutSetting {
                key,
                value: url.to_owned(),
            },
            None => Change::RemoveSetting { key },
        };
        let mut state = self.configured()?;
        // The one setting that follows the persist method.
        if self.persists() {
            self.commit(&[change])?;
        }
        state.mgmt_url = url.map(str::to_owned);
        if let Some(provider) = self.provider() {
            provider.set_mgmt_url(url);
        }
        Ok(())
    }
}
