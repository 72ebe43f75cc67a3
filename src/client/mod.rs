//! The safe Rust API of libstmf: resolves the endpoint (`STMF_ENDPOINT`), sends a [`Request`], gets a [`Response`].
//!
//! Nothing happens before the first call: no thread, no connection (programs fork after loading the library).

mod answers;
mod at_exit;
mod devid;
mod endpoint;
mod extras;
mod handles;
mod link;
mod modify;
mod persist;
mod process;
mod resource;
mod signals;
mod size;
mod telling;

pub use devid::{MAX_ISCSI_NAME, devid_from_iscsi_name, devid_from_wwn};
pub use endpoint::{DEFAULT_DOOR, ENDPOINT_VARIABLE, Endpoint, InvalidEndpoint, require_daemon};
pub use extras::{lu_import_many, lu_stand_down, lu_standby_many, wait_for};
pub use modify::{global_lu_property, lu_change, lu_modify, lu_modify_file, set_global_lu_property};
pub use persist::{persist_method, service_persist_method, set_persist_method, set_service_persist_method};
pub use resource::{LuProperty, LuResource};
pub use size::parse_size;
pub use telling::{tell, told};

use crate::door::fork::private_pair;
use crate::framework::{
    AccessReport, AluaReport, DefaultState, Difference, Event, GroupKind, LuInfo, MoveTrouble, NexusInfo, NodeStatus,
    PeerNode, PeerTrouble, PortInfo, ProviderData, ServiceState, ViewEntry, ViewRequest,
};
use crate::iscsi::admin as iscsi;
use crate::proxy::sealed::{self, Keys};
use crate::service::{AluaInfo, Request, Response};
use crate::types::{DevId, GroupName, Guid, LuProperties, Lun, NodeId, ProviderKey, ProviderKind, Secret, Status};
use extras::milliseconds;
use handles::Door;
use process::Process;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Sends one request to this process's endpoint.
pub fn send(request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<Response, Status> {
    Process::current().send(request, descriptors)
}

/// An answer that does not fit the request: a service of another version, or a bug.
fn unexpected<T>(response: Response) -> Result<T, Status> {
    match response {
        Response::Failed(status) => Err(status),
        other => {
            log::error!("unexpected response from the service: {other:?}");
            Err(Status::Error)
        }
    }
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) -> $out:ty = $request:expr, $pattern:pat => $value:expr;)*) => {
        $($(#[$doc])*
        pub fn $name($($arg: $ty),*) -> Result<$out, Status> {
            match send(&$request, &[])? {
                $pattern => Ok($value),
                other => unexpected(other),
            }
        })*
    };
}

calls! {
    /// `stmfGetState`.
    state() -> ServiceState = Request::GetState, Response::State(s) => s;
    /// `stmfOnline`.
    online() -> () = Request::Online, Response::Done => ();
    /// `stmfOffline`.
    offline() -> () = Request::Offline, Response::Done => ();
    /// `stmfGetLogicalUnitProperties`.
    lu_info(guid: Guid) -> LuInfo = Request::LuInfo(guid), Response::Lu(l) => l;
    /// What [`lu_snapshot`] is made of.
    lu_resource(guid: Guid) -> AccessReport = Request::LuResource(guid), Response::Resource(r) => *r;
    /// `stmfCreateLu`.
    lu_create(properties: LuProperties) -> Guid = Request::LuCreate(Box::new(properties)), Response::Guid(g) => g;
    /// `stmfDeleteLu`.
    lu_delete(guid: Guid) -> () = Request::LuDelete(guid), Response::Done => ();
    /// `stmfOnlineLogicalUnit`.
    lu_online(guid: Guid) -> () = Request::LuOnline(guid), Response::Done => ();
    /// `stmfOfflineLogicalUnit`.
    lu_offline(guid: Guid) -> () = Request::LuOffline(guid), Response::Done => ();
    /// `stmfLuStandby`.
    lu_standby(guid: Guid) -> () = Request::LuStandby(guid), Response::Done => ();
    /// `stmfCreateHostGroup`, `stmfCreateTargetGroup`.
    group_create(kind: GroupKind, name: GroupName) -> () = Request::GroupCreate(kind, name), Response::Done => ();
    /// `stmfDeleteHostGroup`, `stmfDeleteTargetGroup`.
    group_delete(kind: GroupKind, name: GroupName) -> () = Request::GroupDelete(kind, name), Response::Done => ();
    /// `stmfGetHostGroupList`, `stmfGetTargetGroupList`.
    group_list(kind: GroupKind) -> Vec<GroupName> = Request::GroupList(kind), Response::Groups(l) => l;
    /// `stmfGetHostGroupMembers`, `stmfGetTargetGroupMembers`.
    group_members(kind: GroupKind, name: GroupName) -> Vec<DevId> = Request::GroupMembers(kind, name), Response::DevIds(l) => l;
    /// `stmfAddToHostGroup`, `stmfAddToTargetGroup`.
    group_add(kind: GroupKind, name: GroupName, member: DevId) -> () = Request::GroupAdd(kind, name, member), Response::Done => ();
    /// `stmfRemoveFromHostGroup`, `stmfRemoveFromTargetGroup`.
    group_remove(kind: GroupKind, name: GroupName, member: DevId) -> () = Request::GroupRemove(kind, name, member), Response::Done => ();
    /// `stmfAddViewEntry`.
    view_add(guid: Guid, request: ViewRequest) -> ViewEntry = Request::ViewAdd(guid, request), Response::View(v) => v;
    /// `stmfRemoveViewEntry`.
    view_remove(guid: Guid, index: u32) -> () = Request::ViewRemove(guid, index), Response::Done => ();
    /// `stmfGetViewEntryList`; empty for a GUID without entries.
    view_list(guid: Guid) -> Vec<ViewEntry> = Request::ViewList(guid), Response::Views(l) => l;
    /// `stmfValidateView`: the LUN that could be used.
    view_check(request: ViewRequest) -> Lun = Request::ViewCheck(request), Response::Lun(l) => l;
    /// `stmfGetLogicalUnitProviderList`, `stmfGetLocalPortProviderList`.
    providers(kind: ProviderKind) -> Vec<ProviderKey> = Request::Providers(kind), Response::Providers(l) => l;
    /// `stmfGetProviderDataProt`.
    provider_data(key: ProviderKey) -> ProviderData = Request::ProviderDataGet(key), Response::ProviderData(d) => d;
    /// `stmfSetProviderDataProt`: the new token.
    set_provider_data(key: ProviderKey, data: Vec<u8>, token: Option<u64>) -> u64 =
        Request::ProviderDataSet(key, data, token), Response::Token(t) => t;
    /// `stmfClearProviderData`.
    clear_provider_data(key: ProviderKey) -> () = Request::ProviderDataClear(key), Response::Done => ();
    /// `stmfGetProviderDataList`.
    provider_data_list() -> Vec<ProviderKey> = Request::ProviderDataList, Response::Providers(l) => l;
    /// `stmfLoadConfig`.
    load_config() -> () = Request::LoadConfig, Response::Done => ();
    /// `stmfLoadStmfProps`.
    load_default_states() -> () = Request::LoadDefaultStates, Response::Done => ();
    /// `stmfSetStmfProp`.
    set_default_state(which: DefaultState, online: bool) -> () = Request::SetDefaultState(which, online), Response::Done => ();
    /// `stmfGetStmfProp`: true for online.
    default_state(which: DefaultState) -> bool = Request::GetDefaultState(which), Response::DefaultState(s) => s;
    /// `stmfGetTargetList`.
    target_list() -> Vec<DevId> = Request::TargetList, Response::DevIds(l) => l;
    /// `stmfGetTargetProperties`.
    target_info(target: DevId) -> PortInfo = Request::TargetInfo(target), Response::Target(t) => t;
    /// `stmfGetSessionList`.
    target_sessions(target: DevId) -> Vec<NexusInfo> = Request::TargetSessions(target), Response::Sessions(l) => l;
    /// `stmfOnlineTarget`.
    target_online(target: DevId) -> () = Request::TargetOnline(target), Response::Done => ();
    /// `stmfOfflineTarget`.
    target_offline(target: DevId) -> () = Request::TargetOffline(target), Response::Done => ();
    /// `stmfSetAluaState(B_TRUE, node)`.
    alua_enable(node: NodeId) -> () = Request::SetAlua { enabled: true, node: node.get() }, Response::Done => ();
    /// `stmfSetAluaState(B_FALSE, …)`.
    alua_disable() -> () = Request::SetAlua { enabled: false, node: 0 }, Response::Done => ();
    /// `stmfGetAluaState`.
    alua() -> AluaInfo = Request::GetAlua, Response::Alua(a) => a;
    /// `stmfadm list-alua`.
    alua_report() -> AluaReport = Request::AluaReport, Response::AluaReport(report) => *report;
    /// This node with its counters.
    node_status() -> NodeStatus = Request::NodeStatus, Response::NodeStatus(status) => *status;
    /// The peer, as it says itself; `None`: it never did.
    peer_node() -> Option<PeerNode> = Request::PeerNode, Response::PeerNode(peer) => peer.map(|peer| *peer);
    /// Groups and view entries that the two nodes do not have alike.
    compare_peer() -> Result<Vec<Difference>, PeerTrouble> = Request::ComparePeer, Response::Comparison(c) => c;
    /// Gives the peer the groups and view entries of this node.
    overwrite_peer() -> Result<(), PeerTrouble> = Request::OverwritePeer, Response::Overwritten(o) => o;
    /// Groups and view entries are mirrored to the peer.
    set_mirror(on: bool) -> () = Request::SetMirror(on), Response::Done => ();
    /// Moves an LU to the peer; the commands that run may take so long.
    move_lu(guid: Guid, patience: Duration) -> Result<(), MoveTrouble> =
        Request::MoveLu(guid, milliseconds(patience)), Response::Moved(moved) => moved;
    /// What has happened behind event number `after`; waits so long for one.
    events(after: u64, patience: Duration) -> Vec<Event> =
        Request::Events(after, milliseconds(patience)), Response::Events(events) => events;
    /// `aluaadm fenced`.
    peer_fenced() -> () = Request::PeerFenced, Response::Done => ();
    /// Access policy of an LU: true for `non-optimized`.
    lu_policy(guid: Guid) -> bool = Request::GetLuPolicy(guid), Response::LuPolicy(p) => p;
    /// Sets it, on both nodes.
    set_lu_policy(guid: Guid, non_optimized: bool) -> () = Request::SetLuPolicy(guid, non_optimized), Response::Done => ();
    /// READ on Standby LUs of this node is forwarded.
    standby_reads() -> bool = Request::GetStandbyReads, Response::StandbyReads(r) => r;
    /// `alua/standby-reads`.
    set_standby_reads(forward: bool) -> () = Request::SetStandbyReads(forward), Response::Done => ();
    /// `itadm list-…`.
    iscsi_listing() -> iscsi::Listing = Request::IscsiListing, Response::IscsiListing(l) => *l;
    /// The management URL of LUs without one of their own.
    mgmt_url() -> Option<String> = Request::GetMgmtUrl, Response::MgmtUrl(u) => u;
    /// Sets or removes it.
    set_mgmt_url(url: Option<String>) -> () = Request::SetMgmtUrl(url), Response::Done => ();
    /// CHAP secrets, `target/NAME` or `initiator/NAME`.
    iscsi_secrets() -> Vec<(String, Secret)> = Request::IscsiSecrets, Response::IscsiSecrets(s) => s;
    /// The other subcommands of `itadm`: the name of the object, or why not.
    iscsi_change(change: iscsi::Change) -> Result<String, iscsi::Refusal> =
        Request::IscsiChange(Box::new(change)), Response::IscsiChanged(r) => r;
}

/// `stmfGetLogicalUnitList`.
pub fn lu_list() -> Result<Vec<Guid>, Status> {
    Process::current().remembered(
        |answers| answers.list(),
        || match send(&Request::LuList, &[])? {
            Response::Guids(list) => Ok(list),
            other => unexpected(other),
        },
        |answers, list| answers.keep_list(list),
    )
}

/// `stmfGetLuResource`.
pub fn lu_snapshot(guid: Guid) -> Result<LuResource, Status> {
    Process::current().remembered(
        |answers| answers.resource(&guid),
        || lu_resource(guid).map(LuResource::from),
        |answers, resource| answers.keep_resource(guid, resource),
    )
}

/// A group that cannot exist, because its name is none, in a view entry: `missing`, unless the service cannot be reached
/// (order of checks, `libstmf-api.md` 1.2).
pub fn no_such_group<T>(missing: Status) -> Result<T, Status> {
    state()?;
    Err(missing)
}

/// `stmfImportLu`. With `FileInUse` the GUID is told as well.
pub fn lu_import(path: &str) -> Result<Guid, (Status, Option<Guid>)> {
    match send(&Request::LuImport(path.to_owned()), &[]).map_err(|status| (status, None))? {
        Response::Guid(guid) => Ok(guid),
        Response::ImportFailed(status, guid) => Err((status, guid)),
        other => unexpected(other).map_err(|status| (status, None)),
    }
}

/// [`lu_import`] for the bytes of a path. Paths of the configuration are UTF-8: another path names no LU, which is found
/// out after the service was reached (`libstmf-api.md` 1.2).
pub fn lu_import_bytes(path: &[u8]) -> Result<Guid, (Status, Option<Guid>)> {
    match std::str::from_utf8(path) {
        Ok(path) => lu_import(path),
        Err(_) => Err((state().err().unwrap_or(Status::MetaFileName), None)),
    }
}

/// `stmfInitProxyDoor`: installs the door; the number is this process's handle.
pub fn init_proxy_door(door: BorrowedFd<'_>) -> Result<i32, Status> {
    init_proxy_door_or_nothing(Some(door))
}

/// [`init_proxy_door`] for a number that may be no open descriptor (`None`): the service decides what is wrong first, a
/// door that is installed already or this one (`libstmf-api.md` 6.2).
pub fn init_proxy_door_or_nothing(door: Option<BorrowedFd<'_>>) -> Result<i32, Status> {
    let (mine, theirs) = private_pair().map_err(|error| {
        log::error!("socket pair for a proxy door: {error}");
        Status::NoMem
    })?;
    let process = Process::current();
    let descriptors: Vec<BorrowedFd<'_>> = std::iter::once(theirs.as_fd()).chain(door).collect();
    match process.send(&Request::InitProxyDoor, &descriptors)? {
        Response::Proxy(handle) => Ok(process.handles.insert(Door {
            handle,
            life_line: mine,
        })),
        other => unexpected(other),
    }
}

/// Hangs up (`poll`: POLLHUP) once the door of this handle is gone: the service that had it ended, or the handle was
/// destroyed. `InvalidArg` when the number is no handle of this process.
pub fn proxy_door_life_line(handle: i32) -> Result<OwnedFd, Status> {
    let life_line = Process::current().handles.life_line(handle).ok_or(Status::InvalidArg)?;
    life_line.map_err(|error| {
        log::error!("cannot duplicate the life line of proxy door {handle}: {error}");
        Status::NoMem
    })
}

/// `stmfDestroyProxyDoor`. A number that is no handle of this process has no effect.
pub fn destroy_proxy_door(handle: i32) {
    let process = Process::current();
    let Some(door) = process.handles.remove(handle) else {
        return;
    };
    // Waits until the door is gone. If the service cannot be reached, the life line (dropped here) says the same.
    if let Err(status) = process.send(&Request::DestroyProxyDoor(door.handle), &[]) {
        log::debug!("destroying proxy door {handle}: {status}");
    }
}

/// `stmfPostProxyMsg`. `InvalidArg` when the number is no handle of this process, `Perm`, else `PostMsgFailed`.
pub fn post_proxy_msg(handle: i32, message: &[u8]) -> Result<(), Status> {
    let process = Process::current();
    let door = process.handles.get(handle).ok_or(Status::InvalidArg)?;
    if message.is_empty() {
        return Err(Status::PostMsgFailed);
    }
    match process.send(&Request::PostProxyMsg(door, message.to_vec()), &[]) {
        Ok(Response::Done) => Ok(()),
        Ok(Response::Failed(Status::Perm)) | Err(Status::Perm) => Err(Status::Perm),
        Ok(Response::Failed(_)) | Err(_) => Err(Status::PostMsgFailed),
        Ok(other) => unexpected(other),
    }
}

/// Lets the service carry the peer's messages of an installed door itself, over a stream socket to the peer, both ways, until
/// that ends: framed as [`crate::proxy::stream`] says, and with `keys` inside of records of TLS. ALUA mode is enabled for it,
/// as this node. `received` came before. `Ok`: how it ended, an error number or 0. `PostMsgFailed` when the door is gone or
/// has a stream already.
pub fn carry_proxy_stream(
    handle: i32,
    node: NodeId,
    socket: BorrowedFd<'_>,
    keys: Option<Keys>,
    received: &[u8],
) -> Result<i32, Status> {
    let process = Process::current();
    let door = process.handles.get(handle).ok_or(Status::PostMsgFailed)?;
    let received = received.to_vec();
    let answer = match keys {
        None => process.send(&Request::CarryProxyStream(door, node, received), &[socket])?,
        Some(keys) => {
            let file = sealed::lend(&keys).map_err(|error| {
                log::error!("keys of the stream to the peer: {error}");
                Status::NoMem
            })?;
            // Only the service has them from now on.
            drop(keys);
            process.send(
                &Request::CarrySealedStream(door, node, received),
                &[socket, file.as_fd()],
            )?
        }
    };
    match answer {
        Response::ProxyStreamEnded(error) => Ok(error),
        other => unexpected(other),
    }
}
