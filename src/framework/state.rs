//! What a node's framework knows, under one mutex that no command takes. It is held for short work and for the commit of
//! a transaction, never while an LU, a port or the peer is waited for.

use super::logical_unit::LogicalUnit;
use super::views::Views;
use super::{ConfigState, Framework, Nexus, ObjectState, Port};
use crate::changes;
use crate::store::{Change, LuRow, ProviderRow, StoreError};
use crate::types::{DevId, Guid, NodeId, ProviderKey, Status};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// The two default states (`stmfSetStmfProp`) as settings; value `online` or `offline`, missing means online.
pub(super) const DEFAULT_LU_STATE: &str = "default-lu-state";
pub(super) const DEFAULT_TARGET_STATE: &str = "default-target-state";
/// ALUA mode, `true` or `false`, and the last node enabled.
pub(super) const ALUA_ENABLED: &str = "alua.enabled";
pub(super) const ALUA_NODE: &str = "alua.node";
/// Persist method of the service, `smf` (default) or `none`.
pub(super) const PERSIST_METHOD: &str = "persist-method";
/// The management URL of LUs without one of their own.
pub(super) const MGMT_URL: &str = "mgmt-url";
/// `forward` (default) or `refuse` (ruling 13).
pub(super) const STANDBY_READS: &str = "alua/standby-reads";
/// `on` or `off` (default): groups and view entries are mirrored to the peer.
pub(super) const MIRROR: &str = "alua/mirror";

/// Access policy of an LU, by its GUID behind this; `non-optimized`, missing means `standby` (`alua-proxy.md` 7.7).
pub(super) const POLICY: &str = "alua/policy/";

/// Everything but the LUs' access states.
pub(super) struct State {
    /// The service was brought online.
    pub running: bool,
    /// An inventory change is in progress (`stmfOnline`, `stmfOffline`).
    pub changing: bool,
    /// Config state.
    pub config: ConfigState,
    /// Default states.
    pub lus_online: bool,
    pub ports_online: bool,
    /// Default states of LUs and ports as they are stored.
    pub stored_defaults: (bool, bool),
    pub mgmt_url: Option<String>,
    /// Provider data; of `sbd` what the rows do not say.
    pub providers: BTreeMap<ProviderKey, ProviderRow>,
    pub views: Views,
    /// Registered LUs.
    pub lus: BTreeMap<Guid, Arc<LogicalUnit>>,
    /// Their names. An import names an LU by its path.
    pub names: HashMap<String, Guid>,
    /// The LU list of the provider, as stored.
    pub rows: BTreeMap<Guid, LuRow>,
    /// In order of registration.
    pub ports: Vec<Arc<Port>>,
    /// In order of registration.
    pub nexuses: Vec<Arc<Nexus>>,
    /// rtpids of local ports, registered or not.
    pub rtpids: BTreeMap<DevId, u16>,
    /// Ports that the peer has told us about; remembered while it is unreachable (`alua-proxy.md` 7.3).
    pub peer_ports: BTreeMap<DevId, u16>,
    /// Ports that come back online once their sessions are gone, because their identifiers have changed.
    pub restarting: HashSet<DevId>,
    /// Last nexus id given out.
    pub last_nexus: u64,
    /// ALUA mode.
    pub alua: bool,
    /// Last node id that was enabled.
    pub node: Option<NodeId>,
    /// LUs with the policy `non-optimized`.
    pub non_optimized: HashSet<Guid>,
    /// `aluaadm fenced` calls so far.
    pub fences: u64,
    /// The last of them, until the peer is heard again.
    pub fenced: Option<u64>,
}

impl Default for State {
    fn default() -> Self {
        State {
            running: false,
            changing: false,
            config: ConfigState::None,
            lus_online: true,
            ports_online: true,
            stored_defaults: (true, true),
            mgmt_url: None,
            providers: BTreeMap::new(),
            views: Views::default(),
            lus: BTreeMap::new(),
            names: HashMap::new(),
            rows: BTreeMap::new(),
            ports: Vec::new(),
            nexuses: Vec::new(),
            rtpids: BTreeMap::new(),
            peer_ports: BTreeMap::new(),
            restarting: HashSet::new(),
            last_nexus: 0,
            alua: false,
            node: None,
            non_optimized: HashSet::new(),
            fences: 0,
            fenced: None,
        }
    }
}

/// The lock on the state. Whoever gets at it for writing makes a change of it, however little.
#[derive(Default)]
pub(super) struct StateLock(Mutex<State>);

/// The state, locked.
pub(super) struct StateGuard<'a> {
    state: MutexGuard<'a, State>,
    change: Option<changes::Change>,
}

impl StateLock {
    pub fn lock(&self) -> StateGuard<'_> {
        StateGuard {
            state: self.0.lock(),
            change: None,
        }
    }
}

impl Deref for StateGuard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for StateGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.change.get_or_insert_with(changes::Change::begin);
        &mut self.state
    }
}

impl State {
    pub fn port(&self, devid: &DevId) -> Result<&Arc<Port>, Status> {
        self.ports.iter().find(|p| p.devid == *devid).ok_or(Status::NotFound)
    }

    pub fn lu(&self, guid: &Guid) -> Result<&Arc<LogicalUnit>, Status> {
        self.lus.get(guid).ok_or(Status::NotFound)
    }

    /// State of an LU or port that registers now.
    pub fn initial(&self, online_by_default: bool) -> ObjectState {
        match self.running && online_by_default {
            true => ObjectState::Online,
            false => ObjectState::Offline,
        }
    }
}

impl Framework {
    /// Writes one LU row and remembers it.
    pub(super) fn put_row(&self, row: LuRow) -> Result<(), Status> {
        let mut state = self.state.lock();
        if state.rows.get(&row.guid) == Some(&row) {
            return Ok(());
        }
        let put = Change::PutLu(row.clone());
        // The Standby mark is no part of the list that callers see.
        if state.rows.get(&row.guid).is_some_and(|old| old.path == row.path) {
            self.commit(&[put])?;
        } else {
            let list = self.touched_list(&state);
            self.commit(&[put, Change::PutProvider(list.clone())])?;
            Framework::list_is_touched(&mut state, list);
        }
        state.rows.insert(row.guid, row);
        Ok(())
    }

    /// Forgets one LU row; returns what it was.
    pub(super) fn remove_row(&self, guid: &Guid) -> Result<Option<LuRow>, Status> {
        let mut state = self.state.lock();
        let row = state.rows.get(guid).cloned();
        if row.is_some() {
            self.commit_without_rows(&mut state, &[*guid], Vec::new())?;
        }
        Ok(row)
    }

    /// Forgets LU rows, in one transaction with these changes.
    pub(super) fn commit_without_rows(
        &self,
        state: &mut State,
        guids: &[Guid],
        mut changes: Vec<Change>,
    ) -> Result<(), Status> {
        let known: Vec<Guid> = guids
            .iter()
            .filter(|guid| state.rows.contains_key(guid))
            .copied()
            .collect();
        if known.is_empty() {
            return self.commit(&changes);
        }
        let list = self.touched_list(state);
        changes.extend(known.iter().copied().map(Change::RemoveLu));
        changes.push(Change::PutProvider(list.clone()));
        self.commit(&changes)?;
        Framework::list_is_touched(state, list);
        known.iter().for_each(|guid| drop(state.rows.remove(guid)));
        Ok(())
    }
}

pub(super) fn store_status(error: &StoreError) -> Status {
    match error {
        StoreError::Locked(_) => Status::Busy,
        StoreError::Version(_) => Status::ServiceDataVersion,
        _ => Status::Error,
    }
}
