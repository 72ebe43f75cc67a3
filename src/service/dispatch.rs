//! Runs a request against the node: one arm for each request, no policy.

use super::{AluaInfo, Call, ProxyHandle, Request, Response, Service, privilege, wire};
use crate::changes;
use crate::door::Credentials;
use crate::framework::effects::rehearsing;
use crate::framework::with_persist_method;
use crate::proxy::sealed;
use crate::types::{Guid, LuProperties, NodeId, ProviderKey, ProviderKind, ProviderName, Status};
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Longest wait of one request; the library asks again.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Longest time in which an LU takes no commands and is not yet given up.
const STAND_DOWN_MAX: Duration = Duration::from_secs(50);

impl Service {
    /// Runs one request of a caller. The descriptors returned travel with the response.
    pub fn dispatch(
        &self,
        call: impl Into<Call>,
        descriptors: Vec<OwnedFd>,
        caller: Credentials,
    ) -> (Response, Vec<OwnedFd>) {
        let Call { persist, request } = call.into();
        let open_to_all = self.read_by_all && request.only_reads();
        if !open_to_all && !privilege::allowed(caller, self.door_group) {
            log::warn!("refused a request of process {}, user {}", caller.pid, caller.uid);
            return (Response::Failed(Status::Perm), Vec::new());
        }
        if matches!(request, Request::Watch) {
            return (Response::Done, self.watch(caller));
        }
        if matches!(request, Request::IscsiSecrets) && !privilege::owner(caller) {
            return (Response::Failed(Status::Perm), Vec::new());
        }
        let response = with_persist_method(persist, || self.run(request, descriptors)).unwrap_or_else(Response::Failed);
        (response, Vec::new())
    }

    /// [`Service::dispatch`] for bytes from a door: whatever they are, the answer is a response.
    pub fn handle_bytes(
        &self,
        bytes: &[u8],
        descriptors: Vec<OwnedFd>,
        caller: Credentials,
    ) -> (Vec<u8>, Vec<OwnedFd>) {
        let (telling, request) = match wire::decode_telling(bytes) {
            Some(telling) => (true, telling),
            None => (false, wire::decode_request(bytes).map(|call| (false, call))),
        };
        let (rehearsal, request) = match request {
            Ok(request) => request,
            Err(error) => {
                log::warn!("request of process {}: {error}", caller.pid);
                let refusal = Response::Failed(error.status());
                return (wire::encode_response(&refusal), Vec::new());
            }
        };
        // A bug in one call must not end the thread that serves the door, nor leave the caller without an answer.
        if telling {
            let told = catch_unwind(AssertUnwindSafe(|| self.tell(rehearsal, request, caller)));
            let told = told.unwrap_or_else(|_| Response::Failed(Status::Error).into());
            return (wire::encode_told(&told), Vec::new());
        }
        let answer = catch_unwind(AssertUnwindSafe(|| self.dispatch(request, descriptors, caller)));
        let (response, descriptors) = answer.unwrap_or_else(|_| (Response::Failed(Status::Error), Vec::new()));
        (wire::encode_response(&response), descriptors)
    }

    fn run(&self, request: Request, descriptors: Vec<OwnedFd>) -> Result<Response, Status> {
        let f = &*self.framework;
        Ok(match request {
            Request::GetState => Response::State(f.state()),
            Request::Online => done(f.online())?,
            Request::Offline => done(f.offline())?,

            Request::LuList => Response::Guids(f.lu_list()),
            Request::LuInfo(guid) => Response::Lu(f.lu_info(&guid)?),
            Request::LuResource(guid) => self.lu_resource(&guid)?,
            Request::LuCreate(properties) => {
                properties.check()?;
                Response::Guid(f.lu_create(&properties)?)
            }
            Request::LuImport(path) if path.len() > LuProperties::MAX_PATH || path.contains('\0') => {
                Response::ImportFailed(Status::MetaFileName, None)
            }
            Request::LuImport(path) => match f.lu_import(&path) {
                Ok(guid) => Response::Guid(guid),
                Err((status, guid)) => Response::ImportFailed(status, guid),
            },
            Request::LuDelete(guid) => done(f.lu_delete(&guid))?,
            Request::LuModify(guid, change) => {
                self.disk_lu(&guid)?;
                change.check()?;
                done(f.lu_modify(&guid, &change))?
            }
            Request::LuModifyFile(path, _) if path.len() > LuProperties::MAX_PATH || path.contains('\0') => {
                return Err(Status::MetaFileName);
            }
            Request::LuModifyFile(path, change) => {
                change.check()?;
                done(f.lu_modify_file(&path, &change))?
            }
            Request::LuOnline(guid) => done(f.lu_online(&guid))?,
            Request::LuOffline(guid) => done(f.lu_offline(&guid))?,
            Request::LuStandby(guid) => done(f.lu_standby(&guid))?,

            Request::GroupCreate(kind, name) => done(f.group_create(kind, &name))?,
            Request::GroupDelete(kind, name) => done(f.group_delete(kind, &name))?,
            Request::GroupList(kind) => Response::Groups(f.group_list(kind)?),
            Request::GroupMembers(kind, name) => Response::DevIds(f.group_members(kind, &name)?),
            Request::GroupAdd(kind, name, member) => done(f.group_add(kind, &name, &member))?,
            Request::GroupRemove(kind, name, member) => done(f.group_remove(kind, &name, &member))?,

            Request::ViewAdd(guid, view) => Response::View(f.view_add(&guid, &view)?),
            Request::ViewRemove(guid, index) => done(f.view_remove(&guid, index))?,
            Request::ViewList(guid) => Response::Views(f.view_list(&guid)?),

            Request::ViewCheck(view) => Response::Lun(f.view_check(&view)?),

            Request::Providers(kind) => Response::Providers(self.providers(kind)),
            Request::ProviderDataGet(key) => Response::ProviderData(f.provider_data(&key)?),
            Request::ProviderDataSet(key, data, token) => Response::Token(self.set_provider_data(&key, data, token)?),
            Request::ProviderDataClear(key) => done(self.clear_provider_data(&key))?,
            Request::ProviderDataList => Response::Providers(f.provider_data_list()?),

            Request::LoadConfig => done(self.reload())?,
            Request::LoadDefaultStates => done(f.load_default_states())?,
            Request::SetDefaultState(which, online) => done(f.set_default_state(which, online))?,
            Request::GetDefaultState(which) => Response::DefaultState(f.default_state(which)?),
            Request::SetMgmtUrl(url) => done(f.set_mgmt_url(url.as_deref()))?,
            Request::GetMgmtUrl => Response::MgmtUrl(f.mgmt_url()?),
            Request::SetPersistMethod(method) => done(f.set_persist_method(method))?,
            Request::GetPersistMethod => Response::PersistMethod(f.persist_method()),

            Request::TargetList => Response::DevIds(f.port_list()),
            Request::TargetInfo(devid) => Response::Target(f.port_info(&devid)?),
            Request::TargetSessions(devid) => Response::Sessions(f.port_nexuses(&devid)?),
            Request::TargetOnline(devid) => done(f.port_online(&devid))?,
            Request::TargetOffline(devid) => done(f.port_offline(&devid))?,

            Request::SetAlua { enabled, node } => done(self.set_alua(enabled, node))?,
            Request::GetAlua => {
                let (enabled, node) = f.alua();
                Response::Alua(AluaInfo {
                    enabled,
                    node: node.get(),
                })
            }
            Request::AluaReport => Response::AluaReport(Box::new(f.alua_report())),
            Request::NodeStatus => Response::NodeStatus(Box::new(f.node_status(usize::MAX))),
            Request::PeerNode => Response::PeerNode(f.peer_node().map(Box::new)),
            Request::ComparePeer => Response::Comparison(f.compare_peer()?),
            Request::OverwritePeer => Response::Overwritten(f.overwrite_peer()?),
            Request::SetMirror(on) => done(f.set_mirror(on))?,
            Request::PeerFenced => done(f.peer_fenced())?,

            Request::GetLuPolicy(guid) => Response::LuPolicy(f.lu_policy(&guid)?),
            Request::SetLuPolicy(guid, non_optimized) => done(f.set_lu_policy(&guid, non_optimized))?,
            Request::GetStandbyReads => Response::StandbyReads(f.standby_reads()),
            Request::SetStandbyReads(forward) => done(f.set_standby_reads(forward))?,

            Request::InitProxyDoor => {
                let mut descriptors = descriptors.into_iter();
                let life_line = descriptors.next().ok_or(Status::Error)?;
                Response::Proxy(self.doors.install(descriptors.next(), life_line)?)
            }
            Request::DestroyProxyDoor(handle) => {
                self.doors.destroy(handle);
                Response::Done
            }
            Request::PostProxyMsg(handle, message) => done(self.doors.post(handle, &message))?,
            Request::CarryProxyStream(handle, node, received) => {
                let socket = descriptors.into_iter().next().ok_or(Status::Error)?;
                self.carry(handle, node, socket, None, &received)?
            }
            Request::CarrySealedStream(handle, node, received) => {
                let mut descriptors = descriptors.into_iter();
                let socket = descriptors.next().ok_or(Status::Error)?;
                let keys = sealed::take(descriptors.next().ok_or(Status::Error)?).map_err(|error| {
                    log::error!("keys of the stream to the peer: {error}");
                    Status::Error
                })?;
                self.carry(handle, node, socket, Some(keys), &received)?
            }

            // Answered with a descriptor, by `dispatch`.
            Request::Watch => Response::Done,

            Request::IscsiListing => Response::IscsiListing(Box::new(self.iscsi()?.listing())),
            Request::WaitFor(wanted, milliseconds) => {
                let patience = Duration::from_millis(milliseconds.into());
                done(f.wait_for(&wanted, patience.min(WAIT_MAX)))?
            }
            Request::LuStandDown(guid, milliseconds) => {
                let patience = Duration::from_millis(milliseconds.into());
                done(f.lu_stand_down(&guid, patience.min(STAND_DOWN_MAX)))?
            }
            Request::MoveLu(guid, milliseconds) => {
                let patience = Duration::from_millis(milliseconds.into());
                Response::Moved(f.move_lu(&guid, patience.min(STAND_DOWN_MAX))?)
            }
            Request::Events(after, milliseconds) => {
                let patience = Duration::from_millis(milliseconds.into());
                Response::Events(f.events(after, patience.min(WAIT_MAX)))
            }
            Request::LuImportMany(files) => Response::LuOutcomes(self.import_many(&files)?),
            Request::LuStandbyMany(lus) => Response::LuOutcomes(self.standby_many(&lus)?),

            Request::IscsiSecrets => Response::IscsiSecrets(self.iscsi()?.secrets()),
            Request::IscsiChange(change) => {
                let changed = self.iscsi()?.change(*change);
                Response::IscsiChanged(changed.map_err(|error| {
                    if !rehearsing() {
                        log::warn!("iSCSI configuration: refused: {error}");
                    }
                    error.refusal()
                }))
            }
        })
    }

    fn carry(
        &self,
        handle: ProxyHandle,
        node: NodeId,
        socket: OwnedFd,
        keys: Option<sealed::Keys>,
        received: &[u8],
    ) -> Result<Response, Status> {
        let begin = || self.framework.set_alua(true, Some(node));
        let ended = self.doors.carry(handle, socket, keys, received, begin)?;
        let number = ended.map_or_else(|error| error_number(&error), |()| 0);
        Ok(Response::ProxyStreamEnded(number))
    }

    fn set_alua(&self, enabled: bool, node: u8) -> Result<(), Status> {
        if !enabled {
            return self.framework.set_alua(false, None);
        }
        let node = NodeId::new(node).ok_or(Status::InvalidArg)?;
        self.framework.set_alua(true, Some(node))
    }

    /// What a caller remembers he is not asked again whether he may know. So only those get the counts who always may.
    fn watch(&self, caller: Credentials) -> Vec<OwnedFd> {
        let descriptor = changes::descriptor().filter(|_| privilege::allowed(caller, None));
        let copy = descriptor.map(|descriptor| descriptor.try_clone_to_owned()).transpose();
        copy.unwrap_or_else(|error| {
            log::warn!("no descriptor of the counts of changes: {error}");
            None
        })
        .into_iter()
        .collect()
    }

    /// A registered LU of the disk provider: `NotFound`, `InvalidArg`.
    fn disk_lu(&self, guid: &Guid) -> Result<(), Status> {
        let info = self.framework.lu_info(guid)?;
        if info.state.is_none() {
            return Err(Status::NotFound);
        }
        if info.provider != super::DISK_PROVIDER {
            return Err(Status::InvalidArg);
        }
        Ok(())
    }

    /// Providers of the service, and those of ports that others have registered.
    fn providers(&self, kind: ProviderKind) -> Vec<ProviderKey> {
        let f = &*self.framework;
        let mut names = std::collections::BTreeSet::new();
        match kind {
            ProviderKind::Lu => {
                names.insert(super::DISK_PROVIDER.to_owned());
            }
            ProviderKind::Port => {
                names.insert(crate::proxy::PROVIDER.to_owned());
                if self.iscsi().is_ok() {
                    names.insert(crate::iscsi::PROVIDER.to_owned());
                }
                let ports = f.port_list();
                names.extend(ports.iter().filter_map(|port| Some(f.port_info(port).ok()?.provider)));
            }
        }
        let names = names.into_iter().filter_map(|name| ProviderName::try_from(name).ok());
        names.map(|name| ProviderKey { kind, name }).collect()
    }

    /// `stmfGetLuResource`: only LUs of the disk provider have properties (`libstmf-api.md` 3.9).
    fn lu_resource(&self, guid: &Guid) -> Result<Response, Status> {
        self.disk_lu(guid)?;
        Ok(Response::Resource(Box::new(self.framework.lu_access(guid)?)))
    }
}

/// What a stream that is out of step ends with.
fn error_number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EPROTO)
}

fn done(result: Result<(), Status>) -> Result<Response, Status> {
    result.map(|()| Response::Done)
}
