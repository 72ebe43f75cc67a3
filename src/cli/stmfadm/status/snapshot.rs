//! What there is to say, read once; also the data of `--json`.

use super::conditions::{self, Condition};
use crate::cli::Service;
use crate::cli::document::set;
use crate::cli::text::state_lower;
use crate::framework::{AluaLu, AluaReport, ConfigState, GroupKind, Owner, ServiceState, ViewEntry};
use crate::types::{AccessState, DevId, GroupName, Guid, Status};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The pair as this node sees it.
#[derive(Debug, Serialize)]
pub struct Snapshot {
    /// This node, then the peer while ALUA is enabled.
    pub nodes: Vec<Node>,
    /// By GUID.
    pub lus: Vec<Lu>,
    /// The newest first.
    pub targets: Vec<Target>,
    /// What is worth a look.
    pub conditions: Vec<Condition>,
    /// LUs that were named and do not exist.
    #[serde(skip)]
    pub missing: Vec<Guid>,
}

/// One of the two nodes; `None` is not known.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Node {
    pub local: bool,
    pub host: Option<String>,
    pub node: Option<u8>,
    pub operational: Option<&'static str>,
    pub config: Option<&'static str>,
    pub alua_enabled: Option<bool>,
    /// Of the peer: `reachable`, `unreachable`, `no-door`.
    pub link: Option<&'static str>,
    pub last_heard_ms: Option<u64>,
    pub round_trip_us: Option<u64>,
}

/// A logical unit.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Lu {
    pub guid: String,
    pub status: &'static str,
    pub alias: Option<String>,
    pub size: Option<u64>,
    /// `None` for one that is not loaded.
    pub access_here: Option<&'static str>,
    /// What follows from what the peer has said.
    pub access_peer: Option<&'static str>,
    pub view_entry_count: usize,
}

/// A target port of this node.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Target {
    pub name: String,
    pub status: &'static str,
    /// It is the image of a port of the peer.
    pub of_peer: bool,
    pub sessions: usize,
}

impl Snapshot {
    /// Reads everything, or the LUs that are named. Objects that go away meanwhile are left out.
    pub fn take(wanted: &[Guid], service: &dyn Service) -> Result<Snapshot, Status> {
        let state = service.state()?;
        let report = service.alua_report()?;
        let mut guids = service.lu_list()?;
        guids.sort_unstable();
        let (found, missing): (Vec<Guid>, Vec<Guid>) =
            wanted.iter().partition(|guid| guids.binary_search(guid).is_ok());
        let guids = if wanted.is_empty() { guids } else { found };
        let access: BTreeMap<Guid, &AluaLu> = report.lus.iter().map(|lu| (lu.guid, lu)).collect();
        let mut lus = Vec::with_capacity(guids.len());
        let mut named = HashSet::new();
        for guid in guids {
            if let Some(lu) = still_there(Lu::read(guid, access.get(&guid).copied(), &report, &mut named, service))? {
                lus.push(lu);
            }
        }
        let of_peer: BTreeSet<&DevId> = report
            .ports
            .iter()
            .filter(|it| it.of_peer)
            .map(|it| &it.devid)
            .collect();
        let mut targets = Vec::new();
        for target in service.target_list()?.into_iter().rev() {
            targets.extend(still_there(Target::read(&target, of_peer.contains(&target), service))?);
        }
        let mut named: Vec<_> = named.into_iter().collect();
        named.sort_by(|a, b| a.1.cmp(&b.1));
        let mut empty = Vec::new();
        for (kind, name) in named {
            let members = still_there(service.group_members(kind, name.clone()))?;
            if members.is_some_and(|members| members.is_empty()) {
                empty.push((kind, name));
            }
        }
        let nodes = nodes(&state, &report);
        let conditions = conditions::of(&nodes, &lus, &targets, &report, &empty);
        Ok(Snapshot {
            nodes,
            lus,
            targets,
            conditions,
            missing,
        })
    }
}

fn still_there<T>(result: Result<T, Status>) -> Result<Option<T>, Status> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Status::NotFound | Status::GroupNotFound) => Ok(None),
        Err(status) => Err(status),
    }
}

fn nodes(state: &ServiceState, report: &AluaReport) -> Vec<Node> {
    let host = nix::unistd::gethostname().ok();
    let here = Node {
        local: true,
        host: host.map(|host| host.to_string_lossy().into_owned()),
        node: Some(report.node),
        operational: Some(state_lower(state.operational)),
        config: Some(match state.config {
            ConfigState::None => "uninitialized",
            ConfigState::Init => "initializing",
            ConfigState::InitDone => "initialized",
        }),
        alua_enabled: Some(report.enabled),
        link: None,
        last_heard_ms: None,
        round_trip_us: None,
    };
    let peer = &report.peer;
    let there = report.enabled.then(|| Node {
        local: false,
        host: None,
        node: peer.node,
        operational: None,
        config: None,
        alua_enabled: None,
        link: Some(match (peer.status.door, peer.status.reachable) {
            (false, _) => "no-door",
            (true, true) => "reachable",
            (true, false) => "unreachable",
        }),
        last_heard_ms: peer.silent.and_then(|time| u64::try_from(time.as_millis()).ok()),
        round_trip_us: peer.round_trip.and_then(|time| u64::try_from(time.as_micros()).ok()),
    });
    std::iter::once(here).chain(there).collect()
}

impl Lu {
    /// Groups that its view entries name are added to `named`.
    fn read(
        guid: Guid,
        alua: Option<&AluaLu>,
        report: &AluaReport,
        named: &mut HashSet<(GroupKind, GroupName)>,
        service: &dyn Service,
    ) -> Result<Lu, Status> {
        let info = service.lu_info(guid)?;
        let views = still_there(service.view_list(guid))?.unwrap_or_default();
        views.iter().for_each(|view| name_groups(view, named));
        let active = alua.is_some_and(|lu| lu.access == AccessState::Active);
        let size = match active {
            true => still_there(service.lu_resource(guid))?.and_then(|report| report.properties.size),
            false => None,
        };
        Ok(Lu {
            guid: guid.to_string(),
            status: info.state.map_or("unregistered", state_lower),
            alias: set(&info.alias).map(str::to_owned),
            size,
            access_here: alua.map(|lu| access(lu.access)),
            access_peer: alua.and_then(|lu| on_the_peer(lu, report)),
            view_entry_count: views.len(),
        })
    }
}

fn name_groups(view: &ViewEntry, named: &mut HashSet<(GroupKind, GroupName)>) {
    let hosts = view.host_group.iter().map(|name| (GroupKind::Host, name.clone()));
    let targets = view.target_group.iter().map(|name| (GroupKind::Target, name.clone()));
    named.extend(hosts.chain(targets));
}

/// The peer does not tell its states; but what is Active here is Standby there, and the other way round.
fn on_the_peer(lu: &AluaLu, report: &AluaReport) -> Option<&'static str> {
    match (lu.access, lu.owner) {
        _ if !report.enabled => None,
        (AccessState::Standby, Owner::Peer) => Some("active"),
        (AccessState::Active, _) if report.peer.status.reachable => Some("standby"),
        _ => None,
    }
}

/// As in `list-lu --json`.
fn access(access: AccessState) -> &'static str {
    match access {
        AccessState::Active => "active",
        AccessState::Standby => "standby",
        AccessState::TransitionToStandby => "active-to-standby",
        AccessState::TransitionToActive => "standby-to-active",
    }
}

impl Target {
    fn read(target: &DevId, of_peer: bool, service: &dyn Service) -> Result<Target, Status> {
        let info = service.target_info(target.clone())?;
        let sessions = service.target_sessions(target.clone())?;
        Ok(Target {
            name: target.to_string(),
            status: state_lower(info.state),
            of_peer,
            sessions: sessions.len(),
        })
    }
}
