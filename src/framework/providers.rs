//! Provider data: one opaque list and a token for each provider (`libstmf-api.md` chapter 5). The list of provider `sbd`
//! follows the LU rows.

use super::sbd_data::SbdData;
use super::state::{State, store_status};
use super::{Framework, ProviderData};
use crate::store::{Change, LuRow, ProviderRow};
use crate::types::{Guid, ProviderKey, ProviderKind, ProviderName, Status};

/// Longest list, bytes.
pub const MAX_PROVIDER_DATA: usize = 16 << 20;

fn is_sbd(key: &ProviderKey) -> bool {
    key.kind == ProviderKind::Lu && key.name.as_str() == "sbd"
}

fn sbd() -> ProviderKey {
    ProviderKey {
        kind: ProviderKind::Lu,
        name: ProviderName::new(b"sbd").expect("a provider name"),
    }
}

/// The key of a row; `None` for a row that is none of ours.
pub(super) fn key_of(row: &ProviderRow) -> Option<ProviderKey> {
    Some(ProviderKey {
        kind: ProviderKind::from_number(row.kind.into()).ok()?,
        name: ProviderName::new(row.name.as_bytes()).ok()?,
    })
}

impl State {
    /// What callers see.
    fn provider_data(&self, key: &ProviderKey) -> Option<ProviderData> {
        let stored = self.providers.get(key)?;
        let data = match is_sbd(key) {
            true => SbdData::join(
                &stored.data,
                self.rows.values().map(|row| (&row.guid, row.path.as_str())),
            ),
            false => stored.data.clone(),
        };
        Some(ProviderData {
            data,
            token: stored.token,
        })
    }
}

impl Framework {
    /// `NotFound` when there is none.
    pub fn provider_data(&self, key: &ProviderKey) -> Result<ProviderData, Status> {
        self.configured()?.provider_data(key).ok_or(Status::NotFound)
    }

    /// Keys that have data.
    pub fn provider_data_list(&self) -> Result<Vec<ProviderKey>, Status> {
        Ok(self.configured()?.providers.keys().cloned().collect())
    }

    /// Replaces the data. With a token: only if it is the current one (0 for no data), else `ProvDataStale`. Returns the
    /// new token.
    pub fn set_provider_data(&self, key: &ProviderKey, data: Vec<u8>, token: Option<u64>) -> Result<u64, Status> {
        if data.len() > MAX_PROVIDER_DATA {
            return Err(Status::Error);
        }
        let mut state = self.configured()?;
        let current = state.providers.get(key).map_or(0, |row| row.token);
        if token.is_some_and(|token| token != current) {
            return Err(Status::ProvDataStale);
        }
        let mut changes = Vec::new();
        let mut rows = None;
        let data = if is_sbd(key) {
            let split = SbdData::split(&data).map_err(|_| Status::Error)?;
            let list = new_rows(&state, split.lus);
            changes.push(Change::RemoveAllLus);
            changes.extend(list.iter().cloned().map(Change::PutLu));
            rows = Some(list);
            split.others
        } else {
            data
        };
        let row = self.new_row(key, data);
        let token = row.token;
        changes.push(Change::PutProvider(row.clone()));
        self.commit(&changes)?;
        if let Some(rows) = rows {
            state.rows = rows.into_iter().map(|row| (row.guid, row)).collect();
        }
        state.providers.insert(key.clone(), row);
        Ok(token)
    }

    /// The current token: 0 for no data.
    pub fn provider_token(&self, key: &ProviderKey) -> Result<u64, Status> {
        Ok(self.configured()?.providers.get(key).map_or(0, |row| row.token))
    }

    /// For a provider of this process, which owns its data: replaces it, in one transaction with what else belongs to it.
    /// Returns the new token.
    pub fn put_provider_data(&self, key: &ProviderKey, data: Vec<u8>, mut also: Vec<Change>) -> Result<u64, Status> {
        let mut state = self.configured()?;
        let row = self.new_row(key, data);
        let token = row.token;
        also.push(Change::PutProvider(row.clone()));
        self.commit(&also)?;
        state.providers.insert(key.clone(), row);
        Ok(token)
    }

    /// `NotFound` when there is none, neither live nor stored.
    pub fn clear_provider_data(&self, key: &ProviderKey) -> Result<(), Status> {
        self.remove_provider_data(key, Vec::new())
    }

    /// [`Framework::clear_provider_data`] for a provider of this process, in one transaction with what else belongs to it.
    pub fn remove_provider_data(&self, key: &ProviderKey, mut also: Vec<Change>) -> Result<(), Status> {
        let mut state = self.configured()?;
        let known = state.providers.contains_key(key) || (self.persists() && self.is_stored(key)?);
        if !known {
            return Err(Status::NotFound);
        }
        also.push(Change::RemoveProvider {
            name: key.name.as_str().to_owned(),
            kind: key.kind as u8,
        });
        if is_sbd(key) {
            also.push(Change::RemoveAllLus);
        }
        self.commit(&also)?;
        state.providers.remove(key);
        if is_sbd(key) {
            state.rows.clear();
        }
        Ok(())
    }

    fn is_stored(&self, key: &ProviderKey) -> Result<bool, Status> {
        let snapshot = self.store.load().map_err(|error| store_status(&error))?;
        Ok(snapshot.providers.iter().any(|row| key_of(row).as_ref() == Some(key)))
    }

    fn new_row(&self, key: &ProviderKey, data: Vec<u8>) -> ProviderRow {
        ProviderRow {
            name: key.name.as_str().to_owned(),
            kind: key.kind as u8,
            token: self.store.next_token(),
            data,
        }
    }

    /// The LU list with its own token, for a change of the rows: a writer with the old token comes too late.
    pub(super) fn touched_list(&self, state: &State) -> ProviderRow {
        let key = sbd();
        let others = state.providers.get(&key).map(|row| row.data.clone());
        self.new_row(&key, others.unwrap_or_else(SbdData::empty))
    }

    /// Remembers what [`Framework::touched_list`] made, once it is stored.
    pub(super) fn list_is_touched(state: &mut State, row: ProviderRow) {
        state.providers.insert(sbd(), row);
    }

    /// At load: a store with LUs and no list, of a release that kept none.
    pub(super) fn complete_list(&self, state: &mut State) {
        if !state.rows.is_empty() && !state.providers.contains_key(&sbd()) {
            let row = self.touched_list(state);
            Framework::list_is_touched(state, row);
        }
    }
}

/// Rows for a list; an LU that was marked Standby stays so.
fn new_rows(state: &State, lus: std::collections::BTreeMap<Guid, String>) -> Vec<LuRow> {
    lus.into_iter()
        .map(|(guid, path)| LuRow {
            guid,
            path,
            standby: state.rows.get(&guid).is_some_and(|row| row.standby),
        })
        .collect()
}
