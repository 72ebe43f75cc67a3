//! The service: loading the configuration, online, offline, the end (`libstmf-api.md` 1.7, 3.3).

use super::alua::machine::Event;
use super::cell::Source;

use super::changes;
use super::events::{self, Happening};
use super::ports::{begin_port_change, tell};
use super::providers::key_of;
use super::state::{
    ALUA_ENABLED, ALUA_NODE, DEFAULT_LU_STATE, DEFAULT_TARGET_STATE, MGMT_URL, MIRROR, PERSIST_METHOD, STANDBY_READS,
    State, store_status,
};
use super::views::Views;
use super::{ConfigState, Framework, GroupKind, ObjectState, Port, ServiceState, ViewEntry};
use crate::store::{GroupTable, LuRow, Snapshot};
use crate::types::{NodeId, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// LUs that are imported at load, or given up at the end, at the same time: each waits for its disk.
const AT_ONCE: usize = 8;

/// Does the work for all items, several at a time.
fn for_all<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..AT_ONCE.min(items.len()) {
            scope.spawn(work);
        }
        work();
    });
}

impl State {
    /// As the original computes it: a single object on its way counts.
    pub fn operational(&self) -> ObjectState {
        let any = |wanted| {
            self.changing
                || self.ports.iter().any(|p| p.state() == wanted)
                || self.lus.values().any(|lu| lu.state() == wanted)
        };
        match self.running {
            true if any(ObjectState::Onlining) => ObjectState::Onlining,
            true => ObjectState::Online,
            false if any(ObjectState::Offlining) => ObjectState::Offlining,
            false => ObjectState::Offline,
        }
    }

    /// Groups, view entries, provider data and the LU list become those of the store.
    fn restore_objects(&mut self, snapshot: &Snapshot) {
        self.views = Views::default();
        for (table, name, members) in &snapshot.groups {
            let kind = match table {
                GroupTable::Host => GroupKind::Host,
                GroupTable::Target => GroupKind::Target,
            };
            self.views.group_create(kind, name);
            members
                .iter()
                .for_each(|member| self.views.group_add(kind, name, member));
        }
        for row in &snapshot.views {
            let entry = ViewEntry {
                index: row.index,
                host_group: row.host_group.clone(),
                target_group: row.target_group.clone(),
                lun: row.lun,
            };
            self.views.add(row.guid, entry);
        }
        self.rows = snapshot.lus.iter().map(|row| (row.guid, row.clone())).collect();
        let providers = snapshot.providers.iter();
        self.providers = providers.filter_map(|row| Some((key_of(row)?, row.clone()))).collect();
    }

    fn restore_settings(&mut self, snapshot: &Snapshot) {
        self.rtpids.extend(snapshot.ports.iter().cloned());
        for (key, value) in &snapshot.settings {
            match key.as_str() {
                DEFAULT_LU_STATE => self.lus_online = value != "offline",
                DEFAULT_TARGET_STATE => self.ports_online = value != "offline",
                MGMT_URL => self.mgmt_url = Some(value.clone()),
                ALUA_ENABLED => self.alua = value == "true",
                ALUA_NODE => self.node = value.parse().ok().and_then(NodeId::new),
                _ => self.restore_policy(key, value),
            }
        }
        self.stored_defaults = (self.lus_online, self.ports_online);
    }
}

impl Framework {
    pub(super) fn service_state(&self) -> ServiceState {
        let state = self.state.lock();
        ServiceState {
            operational: state.operational(),
            config: state.config,
        }
    }

    /// Loads the configuration unless it is loaded. Others wait for the end of it.
    pub(super) fn load_once(&self) -> Result<(), Status> {
        let _loading = self.loading.lock();
        if self.state.lock().config == ConfigState::InitDone {
            return Ok(());
        }
        let snapshot = self.store.load().map_err(|error| {
            log::error!("configuration store: {error}");
            store_status(&error)
        })?;
        let live_only = setting(&snapshot, PERSIST_METHOD) == Some("none");
        self.live_only.store(live_only, Ordering::Release);
        self.state.lock().restore_settings(&snapshot);
        if let Some(provider) = self.provider() {
            provider.set_mgmt_url(setting(&snapshot, MGMT_URL));
        }
        let refuse_reads = snapshot
            .settings
            .iter()
            .any(|(key, value)| key == STANDBY_READS && value == "refuse");
        self.standby_reads.store(!refuse_reads, Ordering::Release);
        self.restore_mirror(setting(&snapshot, MIRROR).is_some_and(|value| value == "on"));
        // "Enabled, peer unknown": nothing is announced until the cluster software enables again.
        self.alua_on.store(self.state.lock().alua, Ordering::Release);
        self.load_objects(&snapshot)
    }

    /// `stmfLoadConfig`: `ServiceOnline` unless offline. A configuration that cannot be read changes nothing.
    pub fn reload(&self) -> Result<(), Status> {
        let _loading = self.loading.lock();
        if self.state.lock().operational() != ObjectState::Offline {
            return Err(Status::ServiceOnline);
        }
        let snapshot = self.store.load().map_err(|error| {
            log::error!("configuration store: {error}");
            store_status(&error)
        })?;
        self.load_objects(&snapshot)
    }

    /// With method NONE nothing is loaded (`libstmf-api.md` 3.3). LUs that are registered stay as they are.
    fn load_objects(&self, snapshot: &Snapshot) -> Result<(), Status> {
        self.state.lock().config = ConfigState::Init;
        let loaded = self.restore(snapshot);
        self.state.lock().config = match loaded {
            Ok(()) => ConfigState::InitDone,
            Err(_) => ConfigState::None,
        };
        loaded
    }

    fn restore(&self, snapshot: &Snapshot) -> Result<(), Status> {
        if self.persists() && self.store.persistent() {
            let wanted = {
                let mut state = self.state.lock();
                state.restore_objects(snapshot);
                self.complete_list(&mut state);
                let missing = snapshot.lus.iter().filter(|row| !state.lus.contains_key(&row.guid));
                missing.cloned().collect::<Vec<_>>()
            };
            for_all(&wanted, |row| self.load_lu(row));
        }
        Ok(())
    }

    fn load_lu(&self, row: &LuRow) {
        let event = match row.standby {
            true => Event::BootStandby,
            false => Event::BootImport,
        };
        let source = Source {
            path: Some(&row.path),
            boot: true,
        };
        let cell = self.cell(&row.guid);
        if let Some(Err(status)) = self.feed(&cell, cell.lock(), event, source) {
            log::warn!("LU {}: {} is not imported: {status}", row.guid, row.path);
        }
    }

    pub(super) fn go_online(&self) -> Result<(), Status> {
        let (ports, lus) = {
            let mut state = self.state.lock();
            match state.operational() {
                ObjectState::Online => return Err(Status::ServiceOnline),
                _ if state.config != ConfigState::InitDone => return Err(Status::ConfigNone),
                ObjectState::Onlining | ObjectState::Offlining => return Err(Status::Busy),
                ObjectState::Offline => {}
            }
            state.running = true;
            state.changing = true;
            let ports = if state.ports_online {
                changing_ports(&state, true)
            } else {
                Vec::new()
            };
            let lus: Vec<_> = if state.lus_online {
                state.lus.values().cloned().collect()
            } else {
                Vec::new()
            };
            (ports, lus)
        };
        ports.iter().for_each(|port| tell(port, true));
        // The others stay offline; the unit has logged why.
        let lus: Vec<_> = lus.into_iter().filter(|lu| lu.check_store().is_ok()).collect();
        let mut state = self.state.lock();
        lus.iter().for_each(|lu| lu.set_state(ObjectState::Online));
        let unmapped = state.remap_nexuses(|_| true);
        state.changing = false;
        changes::note();
        drop(state);
        events::happened(Happening::ServiceState(ObjectState::Online));
        unmapped.stop_unattended();
        Ok(())
    }

    pub(super) fn go_offline(&self) -> Result<(), Status> {
        let (ports, lus) = {
            let mut state = self.state.lock();
            match state.operational() {
                ObjectState::Offline => return Err(Status::ServiceOffline),
                ObjectState::Onlining | ObjectState::Offlining => return Err(Status::Busy),
                ObjectState::Online => {}
            }
            state.running = false;
            state.changing = true;
            let lus: Vec<_> = state.lus.values().cloned().collect();
            (changing_ports(&state, false), lus)
        };
        ports.iter().for_each(|port| tell(port, false));
        let online: Vec<_> = lus.iter().filter(|lu| lu.state() == ObjectState::Online).collect();
        for_all(&online, |lu| {
            if !self.take_offline(lu) {
                log::warn!("LU {}: commands still run; it goes offline when they end", lu.guid);
            }
        });
        self.state.lock().changing = false;
        changes::note();
        events::happened(Happening::ServiceState(ObjectState::Offline));
        Ok(())
    }

    pub(super) fn stop(&self) {
        if let Err(status @ (Status::Busy | Status::Error)) = self.go_offline() {
            log::warn!("shutdown: the service could not be taken offline first: {status}");
        }
        for_all(&self.all_cells(), |cell| self.give_up_at_shutdown(cell));
    }
}

fn setting<'a>(snapshot: &'a Snapshot, key: &str) -> Option<&'a str> {
    let mut settings = snapshot.settings.iter();
    settings.find(|(k, _)| k == key).map(|(_, value)| value.as_str())
}

/// Local ports that change; their new state is shown already.
fn changing_ports(state: &State, online: bool) -> Vec<Arc<Port>> {
    let local = state.ports.iter().filter(|p| !p.image);
    local
        .filter(|p| begin_port_change(p, online) == Ok(true))
        .cloned()
        .collect()
}
