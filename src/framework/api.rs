//! The framework's face to services, ports and the proxy. Every management call is one transaction: it either fails and
//! changes nothing, or live state and store have both changed (`libstmf-api.md` 1.8).

use super::cell::Cell;
use super::groups::By;
use super::mirror::Mirror;
use super::node_request::PeerMemory;
use super::peer_events::PeerEvents;
use super::state::StateLock;
use super::*;
use crate::store::Store;
use crate::types::*;
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

/// `stmfState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Operational state.
    pub operational: ObjectState,
    /// Whether the configuration is loaded.
    pub config: ConfigState,
}

/// Config state (`libstmf-api.md` 1.7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigState {
    /// Nothing is loaded.
    #[default]
    None,
    /// Being loaded: who needs the configuration waits for the end of it.
    Init,
    /// Loaded.
    InitDone,
}

/// Host groups and target groups are separate name spaces with the same rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GroupKind {
    /// Initiators.
    Host,
    /// Target ports.
    Target,
}

/// `stmfLogicalUnitProperties`; `state` is `None` for a GUID that only has view entries (unregistered).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LuInfo {
    /// Identity.
    pub guid: Guid,
    /// State of a registered LU.
    pub state: Option<ObjectState>,
    /// LU provider, empty when unregistered.
    pub provider: String,
    /// Alias, never longer than 255 bytes.
    pub alias: String,
    /// T10 vendor, product, revision, space-padded; zeros when not known.
    pub vendor: [u8; 8],
    /// Product.
    pub product: [u8; 16],
    /// Revision.
    pub revision: [u8; 4],
}

/// `stmfTargetProperties`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortInfo {
    /// Identity.
    pub devid: DevId,
    /// Port provider.
    pub provider: String,
    /// Display name, empty if none.
    pub alias: String,
    /// State.
    pub state: ObjectState,
    /// Transport.
    pub protocol: Protocol,
    /// Relative target port identifier.
    pub rtpid: u16,
}

/// `stmfSession`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NexusInfo {
    /// Initiator port name.
    pub initiator: DevId,
    /// Alias, empty if unknown.
    pub alias: String,
    /// Seconds since 1970.
    pub created: u64,
}

/// A view entry of an LU (`libstmf-api.md` 3.5). `None` for a group means "all".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewEntry {
    /// Unique per GUID.
    pub index: u32,
    /// Host group, `None`: all hosts.
    pub host_group: Option<GroupName>,
    /// Target group, `None`: all targets.
    pub target_group: Option<GroupName>,
    /// Logical unit number.
    pub lun: Lun,
}

/// A view entry to be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewRequest {
    /// Host group, `None`: all hosts.
    pub host_group: Option<GroupName>,
    /// Target group, `None`: all targets.
    pub target_group: Option<GroupName>,
    /// Wanted LUN; `None`: the smallest free one.
    pub lun: Option<Lun>,
}

/// What `stmfGetLuResource` snapshots: all properties, and the access state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessReport {
    /// Access state on this node.
    pub access: AccessState,
    /// Properties; only meaningful while Active.
    pub properties: LuProperties,
}

/// Which objects a default state is for (`stmfSetStmfProp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefaultState {
    /// Logical units.
    Lus,
    /// Target ports.
    Targets,
}

/// The data of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderData {
    /// Packed nvlist (XDR).
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// For a set that must not overwrite somebody else's.
    pub token: u64,
}

/// One node's framework. Cheap to share; all methods may be called from any thread.
///
/// Locks, outermost first: `loading` or `alua_change`; the lock of one cell; `state`; `cells`, the locks within an LU.
/// Units, ports and the link are called without `state` held, except for short questions that take no lock of ours.
pub struct Framework {
    pub(super) store: Store,
    pub(super) state: StateLock,
    /// Access state of each LU.
    pub(super) cells: Mutex<HashMap<Guid, Arc<Cell>>>,
    pub(super) provider: OnceLock<Arc<dyn LuProvider>>,
    pub(super) link: ArcSwapOption<Arc<dyn PeerLink>>,
    pub(super) peer_events: PeerEvents,
    /// One load at a time.
    pub(super) loading: Mutex<()>,
    /// One change of ALUA mode at a time.
    pub(super) alua_change: Mutex<()>,
    /// ALUA mode, for commands and announcements.
    pub(super) alua_on: AtomicBool,
    /// The persist method of the service is NONE.
    pub(super) live_only: AtomicBool,
    /// READ on a Standby LU is forwarded.
    pub(super) standby_reads: AtomicBool,
    pub(super) mirror: Mirror,
    pub(super) peer_memory: PeerMemory,
    pub(super) started: Instant,
    pub(super) weak: Weak<Framework>,
}

#[allow(missing_docs)]
impl Framework {
    // --- construction: providers are registered before `load` -------------------------------------------------------

    /// An offline framework with config state "none".
    pub fn new(store: Store) -> Arc<Framework> {
        Arc::new_cyclic(|weak| Framework {
            store,
            state: StateLock::default(),
            cells: Mutex::default(),
            provider: OnceLock::new(),
            link: ArcSwapOption::empty(),
            peer_events: PeerEvents::default(),
            loading: Mutex::default(),
            alua_change: Mutex::default(),
            alua_on: AtomicBool::new(false),
            live_only: AtomicBool::new(false),
            standby_reads: AtomicBool::new(true),
            mirror: Mirror::default(),
            peer_memory: PeerMemory::default(),
            started: Instant::now(),
            weak: weak.clone(),
        })
    }
    pub fn store(&self) -> &Store {
        &self.store
    }
    pub fn register_lu_provider(&self, provider: Arc<dyn LuProvider>) {
        if self.provider.set(provider).is_err() {
            log::error!("a second LU provider is ignored");
        }
    }
    pub fn set_peer_link(&self, link: Arc<dyn PeerLink>) {
        self.link.store(Some(Arc::new(link)));
    }
    /// `stmfLoadConfig`: groups, views, ALUA node, then every LU of the store through Claim; refused ones come up Standby
    /// with the "stale" mark (H1), unusable ones are logged and skipped.
    pub fn load(&self) -> Result<(), Status> {
        self.load_once()
    }

    // --- service ----------------------------------------------------------------------------------------------------

    pub fn state(&self) -> ServiceState {
        self.service_state()
    }
    pub fn online(&self) -> Result<(), Status> {
        self.go_online()
    }
    pub fn offline(&self) -> Result<(), Status> {
        self.go_offline()
    }
    /// For a clean stop: service offline, every unit released (`Release::Handover` marks the record released, so that the
    /// peer may take over at once); the configuration stays.
    pub fn shutdown(&self) {
        self.stop();
    }

    // --- logical units ----------------------------------------------------------------------------------------------

    /// Registered LUs plus GUIDs that have view entries, ascending.
    pub fn lu_list(&self) -> Vec<Guid> {
        self.list_lus()
    }
    pub fn lu_info(&self, guid: &Guid) -> Result<LuInfo, Status> {
        self.info_of_lu(guid)
    }
    pub fn lu_access(&self, guid: &Guid) -> Result<AccessReport, Status> {
        self.access_of_lu(guid)
    }
    pub fn lu_create(&self, properties: &LuProperties) -> Result<Guid, Status> {
        self.create_lu(properties)
    }
    /// The GUID is returned also with `FileInUse`.
    pub fn lu_import(&self, path: &str) -> Result<Guid, (Status, Option<Guid>)> {
        self.import_lu(path)
    }
    pub fn lu_delete(&self, guid: &Guid) -> Result<(), Status> {
        self.delete_lu(guid)
    }
    pub fn lu_online(&self, guid: &Guid) -> Result<(), Status> {
        self.online_lu(guid)
    }
    pub fn lu_offline(&self, guid: &Guid) -> Result<(), Status> {
        self.offline_lu(guid)
    }
    pub fn lu_standby(&self, guid: &Guid) -> Result<(), Status> {
        self.standby_lu(guid)
    }

    // --- groups and views -------------------------------------------------------------------------------------------

    pub fn group_create(&self, kind: GroupKind, name: &GroupName) -> Result<(), Status> {
        self.create_group(kind, name, By::Caller)
    }
    pub fn group_delete(&self, kind: GroupKind, name: &GroupName) -> Result<(), Status> {
        self.delete_group(kind, name, By::Caller)
    }
    pub fn group_list(&self, kind: GroupKind) -> Result<Vec<GroupName>, Status> {
        Ok(self.configured()?.views.group_list(kind))
    }
    pub fn group_members(&self, kind: GroupKind, name: &GroupName) -> Result<Vec<DevId>, Status> {
        self.configured()?.views.group_members(kind, name)
    }
    pub fn group_add(&self, kind: GroupKind, name: &GroupName, member: &DevId) -> Result<(), Status> {
        self.add_member(kind, name, member, By::Caller)
    }
    pub fn group_remove(&self, kind: GroupKind, name: &GroupName, member: &DevId) -> Result<(), Status> {
        self.remove_member(kind, name, member, By::Caller)
    }
    pub fn view_add(&self, guid: &Guid, request: &ViewRequest) -> Result<ViewEntry, Status> {
        self.add_view(guid, request, By::Caller)
    }
    pub fn view_remove(&self, guid: &Guid, index: u32) -> Result<(), Status> {
        self.remove_view(guid, |_| Ok(Some(index)), By::Caller)
    }
    /// Empty for a GUID without entries.
    pub fn view_list(&self, guid: &Guid) -> Result<Vec<ViewEntry>, Status> {
        Ok(self.configured()?.views.list(guid))
    }

    // --- target ports and nexuses -----------------------------------------------------------------------------------

    pub fn port_list(&self) -> Vec<DevId> {
        self.state.lock().ports.iter().map(|p| p.devid.clone()).collect()
    }
    pub fn port_info(&self, devid: &DevId) -> Result<PortInfo, Status> {
        self.ports_info(devid)
    }
    pub fn port_nexuses(&self, devid: &DevId) -> Result<Vec<NexusInfo>, Status> {
        self.nexus_infos(devid)
    }
    pub fn port_online(&self, devid: &DevId) -> Result<(), Status> {
        self.change_port(devid, true)
    }
    pub fn port_offline(&self, devid: &DevId) -> Result<(), Status> {
        self.change_port(devid, false)
    }
    /// Registers a port; if the service is online (and for images always) it is told to go online.
    pub fn port_register(&self, spec: PortSpec) -> Result<Arc<Port>, Status> {
        self.register_port(spec, false)
    }
    /// As [`Framework::port_register`], for a port that was offline before it was deregistered.
    pub fn port_register_offline(&self, spec: PortSpec) -> Result<Arc<Port>, Status> {
        self.register_port(spec, true)
    }
    /// The provider has another display name for its port.
    pub fn port_rename(&self, devid: &DevId, alias: &str) -> Result<(), Status> {
        alias.clone_into(&mut self.state.lock().port(devid)?.alias.lock());
        Ok(())
    }
    /// Only when offline and without nexuses, else `Busy`.
    pub fn port_deregister(&self, devid: &DevId) -> Result<(), Status> {
        self.deregister_port(devid)
    }
    /// A provider reports the end of `go_online` (true) or `go_offline` (false).
    pub fn port_changed(&self, devid: &DevId, online: bool) {
        self.port_is(devid, online);
    }
    /// A login has reached full feature phase. `Busy` when the port is not online.
    pub fn nexus_register(&self, spec: NexusSpec) -> Result<Arc<Nexus>, Status> {
        self.register_nexus(spec)
    }
    /// The nexus is lost; its live tasks are aborted. Returns when no task of it can touch a store any more.
    pub fn nexus_deregister(&self, nexus: &Arc<Nexus>) {
        self.deregister_nexus(nexus);
    }

    // --- tasks ------------------------------------------------------------------------------------------------------

    /// Takes a command: REPORT LUNS, unmapped LUNs, unit attentions, access state and the LU's own checks of the CDB.
    /// Never blocks.
    pub fn start(&self, task: Task) -> Started {
        routing::start(self, task)
    }
    /// Task management; `done` when every task it names is gone.
    pub fn task_management(&self, request: TmRequest, done: TmDone) {
        task_management::task_management(self, request, done);
    }

    // --- ALUA -------------------------------------------------------------------------------------------------------

    /// `stmfSetAluaState` (`alua-proxy.md` 2.1). `node` is ignored when disabling.
    pub fn set_alua(&self, enabled: bool, node: Option<NodeId>) -> Result<(), Status> {
        match (enabled, node) {
            (true, Some(node)) => self.enable_alua(node),
            (true, None) => Err(Status::InvalidArg),
            (false, _) => self.disable_alua(),
        }
    }
    /// Mode, and the last node that was enabled (0 if none ever was).
    pub fn alua(&self) -> (bool, NodeId) {
        let state = self.state.lock();
        (state.alua, state.node.unwrap_or(NodeId::new(0).expect("0 is a node")))
    }
    /// `aluaadm fenced`: the cluster software vouches that the peer cannot write. The peer counts as gone from now on,
    /// whatever it said last. Holds for one import of each LU, and until the peer is heard again: a peer that has come back
    /// unheard may own an LU again.
    pub fn peer_fenced(&self) -> Result<(), Status> {
        effects::about_to(|| Ok(vec![Effect::PeerFenced]))?;
        if let Some(link) = self.link() {
            link.presume_gone();
        }
        let mut state = self.state.lock();
        state.fences += 1;
        state.fenced = Some(state.fences);
        Ok(())
    }
    /// The proxy decoded something the peer said. Never blocks: it queues work for the LU.
    pub fn peer_event(&self, event: PeerEvent) {
        self.queue_peer_event(event);
    }
}

impl ReadyTask {
    /// Executes the command. `data` has exactly [`ReadyTask::want`] bytes. `done` gets the outcome once, possibly before
    /// this returns; TASK ABORTED if the task was aborted meanwhile.
    #[allow(clippy::boxed_local, reason = "a ready task is one pointer for the ports")]
    pub fn execute(self: Box<Self>, data: Vec<u8>, done: Done) {
        routing::execute(*self, data, done);
    }

    /// Executes the next part of a command that is [`ReadyTask::in_parts`], or a whole one. As [`ReadyTask::execute`].
    #[allow(clippy::boxed_local, reason = "a ready task is one pointer for the ports")]
    pub fn execute_part(self: Box<Self>, data: Vec<u8>, done: PartDone) {
        parts::execute(*self, data, done);
    }
}
