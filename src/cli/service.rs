//! Who answers a tool: the service behind libstmf, or a script in tests.
#![forbid(unsafe_code)]

use crate::client;
use crate::framework::{
    AccessReport, AluaReport, DefaultState, Difference, Effect, Event, GroupKind, LuInfo, MoveTrouble, NexusInfo,
    NodeStatus, PeerNode, PeerTrouble, PortInfo, ProviderData, ServiceState, ViewEntry, ViewRequest,
};
use crate::iscsi::admin as iscsi;
use crate::service::AluaInfo;
use crate::types::{
    DevId, GroupName, Guid, LuChange, LuProperties, NodeId, PersistMethod, ProviderKey, Secret, Status,
};
use std::time::Duration;

/// What is gone meanwhile is left out of a listing.
pub fn still_there<T>(result: Result<T, Status>) -> Result<Option<T>, Status> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Status::NotFound | Status::GroupNotFound) => Ok(None),
        Err(status) => Err(status),
    }
}

/// This process's endpoint ([`crate::client`]).
pub struct Daemon;

macro_rules! service {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $out:ty;)*) => {
        /// The calls of [`crate::client`] that tools make, name for name, and the clock they wait by.
        #[allow(missing_docs)]
        pub trait Service {
            $(fn $name(&self, $($arg: $ty),*) -> Result<$out, Status>;)*
            /// With `FileInUse` the GUID is told as well.
            fn lu_import(&self, path: &str) -> Result<Guid, (Status, Option<Guid>)>;
            fn lu_modify_file(&self, path: &str, change: LuChange) -> Result<(), Status>;
            /// From now on changes are told of; in a rehearsal none is made.
            fn tell(&self, rehearsal: bool);
            /// Ends it: what they did, or would have done.
            fn told(&self) -> Vec<Effect>;
            /// Lets time pass between two looks at a state.
            fn pause(&self, time: Duration);
        }

        impl Service for Daemon {
            $(fn $name(&self, $($arg: $ty),*) -> Result<$out, Status> {
                client::$name($($arg),*)
            })*
            fn lu_import(&self, path: &str) -> Result<Guid, (Status, Option<Guid>)> {
                client::lu_import(path)
            }
            fn lu_modify_file(&self, path: &str, change: LuChange) -> Result<(), Status> {
                client::lu_modify_file(path.as_bytes(), change)
            }
            fn tell(&self, rehearsal: bool) {
                client::tell(rehearsal);
            }
            fn told(&self) -> Vec<Effect> {
                client::told()
            }
            fn pause(&self, time: Duration) {
                std::thread::sleep(time);
            }
        }

        #[cfg(test)]
        impl Service for super::script::Script {
            $(fn $name(&self, $($arg: $ty),*) -> Result<$out, Status> {
                let arguments: Vec<String> = vec![$(format!("{:?}", $arg)),*];
                self.answer(&format!("{}({})", stringify!($name), arguments.join(", ")))
            })*
            fn lu_import(&self, path: &str) -> Result<Guid, (Status, Option<Guid>)> {
                self.answer(&format!("lu_import({path:?})")).map_err(|status| (status, None))
            }
            fn lu_modify_file(&self, path: &str, change: LuChange) -> Result<(), Status> {
                self.answer(&format!("lu_modify_file({path:?}, {change:?})"))
            }
            fn tell(&self, rehearsal: bool) {
                self.asked_to_tell(rehearsal);
            }
            fn told(&self) -> Vec<Effect> {
                self.effects()
            }
            fn pause(&self, time: Duration) {
                self.paused(time);
            }
        }
    };
}

service! {
    state() -> ServiceState;
    lu_list() -> Vec<Guid>;
    lu_info(guid: Guid) -> LuInfo;
    lu_resource(guid: Guid) -> AccessReport;
    lu_create(properties: LuProperties) -> Guid;
    lu_modify(guid: Guid, change: LuChange) -> ();
    lu_delete(guid: Guid) -> ();
    lu_online(guid: Guid) -> ();
    lu_offline(guid: Guid) -> ();
    lu_standby(guid: Guid) -> ();
    group_create(kind: GroupKind, name: GroupName) -> ();
    group_delete(kind: GroupKind, name: GroupName) -> ();
    group_list(kind: GroupKind) -> Vec<GroupName>;
    group_members(kind: GroupKind, name: GroupName) -> Vec<DevId>;
    group_add(kind: GroupKind, name: GroupName, member: DevId) -> ();
    group_remove(kind: GroupKind, name: GroupName, member: DevId) -> ();
    view_add(guid: Guid, request: ViewRequest) -> ViewEntry;
    view_remove(guid: Guid, index: u32) -> ();
    view_list(guid: Guid) -> Vec<ViewEntry>;
    target_list() -> Vec<DevId>;
    target_info(target: DevId) -> PortInfo;
    target_sessions(target: DevId) -> Vec<NexusInfo>;
    target_online(target: DevId) -> ();
    target_offline(target: DevId) -> ();
    alua_enable(node: NodeId) -> ();
    alua_disable() -> ();
    alua() -> AluaInfo;
    alua_report() -> AluaReport;
    node_status() -> NodeStatus;
    peer_node() -> Option<PeerNode>;
    compare_peer() -> Result<Vec<Difference>, PeerTrouble>;
    overwrite_peer() -> Result<(), PeerTrouble>;
    move_lu(guid: Guid, patience: Duration) -> Result<(), MoveTrouble>;
    events(after: u64, patience: Duration) -> Vec<Event>;
    set_mirror(on: bool) -> ();
    peer_fenced() -> ();
    default_state(which: DefaultState) -> bool;
    set_default_state(which: DefaultState, online: bool) -> ();
    mgmt_url() -> Option<String>;
    set_mgmt_url(url: Option<String>) -> ();
    service_persist_method() -> PersistMethod;
    set_service_persist_method(method: PersistMethod) -> ();
    provider_data(key: ProviderKey) -> ProviderData;
    set_provider_data(key: ProviderKey, data: Vec<u8>, token: Option<u64>) -> u64;
    clear_provider_data(key: ProviderKey) -> ();
    provider_data_list() -> Vec<ProviderKey>;
    iscsi_secrets() -> Vec<(String, Secret)>;
    lu_policy(guid: Guid) -> bool;
    set_lu_policy(guid: Guid, non_optimized: bool) -> ();
    standby_reads() -> bool;
    set_standby_reads(forward: bool) -> ();
    iscsi_listing() -> iscsi::Listing;
    iscsi_change(change: iscsi::Change) -> Result<String, iscsi::Refusal>;
}
