//! What a client may ask of a service, and what it answers.

use super::LuOutcome;
use crate::framework::{
    AccessReport, AluaReport, DefaultState, Difference, Effect, Event, GroupKind, LuInfo, MoveTrouble, NexusInfo,
    NodeStatus, PeerNode, PeerTrouble, PortInfo, ProviderData, ServiceState, ViewEntry, ViewRequest, Wanted,
};
use crate::iscsi::admin as iscsi;
use crate::types::{
    DevId, GroupName, Guid, LuChange, LuProperties, Lun, NodeId, PersistMethod, ProviderKey, ProviderKind, Secret,
    Status,
};
use serde::{Deserialize, Serialize};

/// First byte of every request and response.
/// - 1: first version.
pub const PROTOCOL_VERSION: u8 = 1;

/// First byte of a request that is to tell what it does ([`Told`]), and of the answer.
pub const TELLING_VERSION: u8 = 2;

/// Names an installed proxy door within the service. It dies with the client: the client keeps one end of a socket pair
/// whose other end travels with [`Request::InitProxyDoor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProxyHandle(pub u64);

/// One request = one libstmf call, or one call of an administrative tool.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Request {
    GetState,
    Online,
    Offline,
    LuList,
    LuInfo(Guid),
    /// `stmfGetLuResource`.
    LuResource(Guid),
    LuCreate(Box<LuProperties>),
    LuImport(String),
    LuDelete(Guid),
    LuModify(Guid, LuChange),
    /// `stmfModifyLuByFname`.
    LuModifyFile(String, LuChange),
    LuOnline(Guid),
    LuOffline(Guid),
    LuStandby(Guid),
    GroupCreate(GroupKind, GroupName),
    GroupDelete(GroupKind, GroupName),
    GroupList(GroupKind),
    GroupMembers(GroupKind, GroupName),
    GroupAdd(GroupKind, GroupName, DevId),
    GroupRemove(GroupKind, GroupName, DevId),
    ViewAdd(Guid, ViewRequest),
    ViewRemove(Guid, u32),
    ViewList(Guid),
    ViewCheck(ViewRequest),
    TargetList,
    TargetInfo(DevId),
    TargetSessions(DevId),
    TargetOnline(DevId),
    TargetOffline(DevId),
    /// Registered providers of a kind, by name.
    Providers(ProviderKind),
    ProviderDataGet(ProviderKey),
    /// Data, and the token that must be current.
    ProviderDataSet(ProviderKey, #[serde(with = "serde_bytes")] Vec<u8>, Option<u64>),
    ProviderDataClear(ProviderKey),
    ProviderDataList,
    LoadConfig,
    LoadDefaultStates,
    SetDefaultState(DefaultState, bool),
    GetDefaultState(DefaultState),
    /// `None` removes it.
    SetMgmtUrl(Option<String>),
    GetMgmtUrl,
    SetPersistMethod(PersistMethod),
    GetPersistMethod,
    SetAlua {
        enabled: bool,
        node: u8,
    },
    GetAlua,
    PeerFenced,
    /// Descriptors: one end of the client's life line, then the door; no door when the client's number was no descriptor.
    InitProxyDoor,
    DestroyProxyDoor(ProxyHandle),
    PostProxyMsg(ProxyHandle, #[serde(with = "serde_bytes")] Vec<u8>),
    /// itadm: the iSCSI configuration.
    IscsiListing,
    /// itadm: change it.
    IscsiChange(Box<iscsi::Change>),
    /// stmfadm export-config: the secrets. For the super-user and the service's own user alone.
    IscsiSecrets,
    /// `stmfadm list-alua`.
    AluaReport,
    /// Access policy `non-optimized` of an LU.
    GetLuPolicy(Guid),
    SetLuPolicy(Guid, bool),
    /// READ on Standby LUs is forwarded.
    GetStandbyReads,
    SetStandbyReads(bool),
    /// The counts of changes ([`crate::changes`]): their descriptor comes back, or none.
    Watch,
    /// `stmfxWait...`: at most this many milliseconds.
    WaitFor(Wanted, u32),
    /// `stmfxLuStandDown`: how many milliseconds the commands that run may take.
    LuStandDown(Guid, u32),
    /// `stmfxImportLus`, at most [`super::BATCH_MAX`].
    LuImportMany(Vec<String>),
    /// `stmfxStandbyLus`, at most [`super::BATCH_MAX`].
    LuStandbyMany(Vec<Guid>),
    /// This node with its counters.
    NodeStatus,
    /// The peer, as it says itself.
    PeerNode,
    /// `stmfadm compare-peer`.
    ComparePeer,
    /// `stmfadm compare-peer --overwrite-peer`.
    OverwritePeer,
    /// `aluaadm mirror`.
    SetMirror(bool),
    /// The installed door's messages go over the stream socket that comes with this, both ways, until it ends, with ALUA mode
    /// enabled as this node; the bytes have been received from it already. Answered at the end.
    CarryProxyStream(ProxyHandle, NodeId, Vec<u8>),
    /// `stmfadm move-lu`: how many milliseconds the commands that run may take.
    MoveLu(Guid, u32),
    /// `stmfadm events`: those behind this number; waits at most so many milliseconds for one.
    Events(u64, u32),
    /// As [`Request::CarryProxyStream`], for a socket that carries records of TLS. Their keys come with it too, in a file
    /// ([`crate::proxy::sealed::lend`]); the bytes have been opened already.
    CarrySealedStream(ProxyHandle, NodeId, Vec<u8>),
}

impl Request {
    /// Changes nothing, holds no thread, and tells no secret: what may be open to everybody. Data of other providers may be secret.
    pub(super) fn only_reads(&self) -> bool {
        matches!(
            self,
            Request::GetState
                | Request::LuList
                | Request::LuInfo(_)
                | Request::LuResource(_)
                | Request::GroupList(_)
                | Request::GroupMembers(..)
                | Request::ViewList(_)
                | Request::ViewCheck(_)
                | Request::TargetList
                | Request::TargetInfo(_)
                | Request::TargetSessions(_)
                | Request::Providers(_)
                | Request::ProviderDataList
                | Request::GetDefaultState(_)
                | Request::GetMgmtUrl
                | Request::GetPersistMethod
                | Request::GetAlua
                | Request::IscsiListing
                | Request::AluaReport
                | Request::GetLuPolicy(_)
                | Request::GetStandbyReads
                | Request::Watch
        )
    }
}

/// A request and how its caller wants changes to be kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// The caller's persist method; `None`: the service's.
    pub persist: Option<PersistMethod>,
    /// What is asked.
    pub request: Request,
}

impl From<Request> for Call {
    fn from(request: Request) -> Call {
        Call { persist: None, request }
    }
}

/// The answer to a request that was to tell what it does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// What it did, or in a rehearsal would have done.
    pub effects: Vec<Effect>,
    /// In a rehearsal, that of a request that had been carried out.
    pub response: Response,
}

impl From<Response> for Told {
    fn from(response: Response) -> Told {
        Told {
            effects: Vec::new(),
            response,
        }
    }
}

/// ALUA mode and node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AluaInfo {
    /// Mode.
    pub enabled: bool,
    /// Last node enabled, 0 if none ever was.
    pub node: u8,
}

/// The answer. Which variant comes with which request follows from the types.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Response {
    Done,
    Failed(Status),
    /// `stmfImportLu` with `FileInUse` tells the GUID as well.
    ImportFailed(Status, Option<Guid>),
    State(ServiceState),
    Guids(Vec<Guid>),
    Guid(Guid),
    Lu(LuInfo),
    Resource(Box<AccessReport>),
    Groups(Vec<GroupName>),
    DevIds(Vec<DevId>),
    View(ViewEntry),
    Views(Vec<ViewEntry>),
    Lun(Lun),
    Providers(Vec<ProviderKey>),
    ProviderData(ProviderData),
    Token(u64),
    DefaultState(bool),
    MgmtUrl(Option<String>),
    PersistMethod(PersistMethod),
    Target(PortInfo),
    Sessions(Vec<NexusInfo>),
    Alua(AluaInfo),
    Proxy(ProxyHandle),
    IscsiListing(Box<iscsi::Listing>),
    /// The name of the object in the form it has now.
    IscsiChanged(Result<String, iscsi::Refusal>),
    /// `target/NAME` or `initiator/NAME`, and its secret.
    IscsiSecrets(Vec<(String, Secret)>),
    AluaReport(Box<AluaReport>),
    LuPolicy(bool),
    StandbyReads(bool),
    /// For each LU of a batch, in order.
    LuOutcomes(Vec<LuOutcome>),
    NodeStatus(Box<NodeStatus>),
    PeerNode(Option<Box<PeerNode>>),
    Comparison(Result<Vec<Difference>, PeerTrouble>),
    Overwritten(Result<(), PeerTrouble>),
    /// Why: an error number, 0 for an end between two messages.
    ProxyStreamEnded(i32),
    Moved(Result<(), MoveTrouble>),
    Events(Vec<Event>),
}
