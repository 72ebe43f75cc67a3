//! What there is to say, read once; also the data of `--json`.

use super::conditions::{self, Condition};
use super::figures::Percentiles;
use super::{Nodes, store};
use crate::cli::Service;
use crate::cli::document::set;
use crate::cli::service::still_there;
use crate::cli::stmfadm::listing;
use crate::cli::text::state_lower;
use crate::framework::{
    AccessReport, AluaLu, AluaReport, ConfigState, GroupKind, IoTotals, LuStatus, NodeStatus, Owner, PeerNode,
    PortStatus, ServiceState, SessionStatus, ViewEntry,
};
use crate::types::{AccessState, DevId, GroupName, Guid, Status};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

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
    /// Sessions of this node's own targets.
    #[serde(skip)]
    pub sessions: Vec<(String, SessionStatus)>,
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
    pub link_up_s: Option<u64>,
    pub reconnects: Option<u64>,
    /// Of what the peer says of itself: how long ago it said so.
    pub age_ms: Option<u64>,
    pub uptime_s: Option<u64>,
    pub lus: Option<usize>,
    pub sessions: Option<usize>,
    /// Totals over all LUs through this node.
    pub io: Option<IoTotals>,
    #[serde(skip)]
    pub uptime: Duration,
}

/// A logical unit.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Lu {
    /// As in `list-lu --json`.
    #[serde(flatten)]
    pub listed: listing::json::Lu,
    #[serde(skip)]
    pub guid: String,
    #[serde(skip)]
    pub status: &'static str,
    #[serde(skip)]
    pub alias: Option<String>,
    #[serde(skip)]
    pub size: Option<u64>,
    /// `None` for one that is not loaded.
    pub access_here: Option<&'static str>,
    /// What follows from what the peer has said.
    pub access_peer: Option<&'static str>,
    #[serde(skip)]
    pub view_entry_count: usize,
    /// Sessions that see it here, and there.
    pub sessions: usize,
    pub sessions_peer: Option<usize>,
    /// Totals through this node, and through the peer.
    pub io: IoTotals,
    pub io_peer: Option<IoTotals>,
    /// Through this node.
    pub read_latency: Percentiles,
    pub write_latency: Percentiles,
    /// There may soon be no room for what hosts write.
    #[serde(skip)]
    pub nearly_full: Option<String>,
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
    /// Totals through it.
    pub io: IoTotals,
}

impl Snapshot {
    /// Reads everything, or the LUs that are named. Objects that go away meanwhile are left out.
    pub fn take(wanted: &[Guid], which: Nodes, service: &dyn Service) -> Result<Snapshot, Status> {
        let state = service.state()?;
        let report = service.alua_report()?;
        let mut guids = service.lu_list()?;
        guids.sort_unstable();
        let (found, missing): (Vec<Guid>, Vec<Guid>) =
            wanted.iter().partition(|guid| guids.binary_search(guid).is_ok());
        let guids = if wanted.is_empty() { guids } else { found };
        let here = service.node_status()?;
        let there = if report.enabled && which != Nodes::Local {
            service.peer_node()?
        } else {
            None
        };
        let counted = |status: &NodeStatus| -> HashMap<Guid, LuStatus> {
            status.lus.iter().map(|lu| (lu.guid, lu.clone())).collect()
        };
        let (own, its) = (counted(&here), there.as_ref().map(|there| counted(&there.status)));
        let access: BTreeMap<Guid, &AluaLu> = report.lus.iter().map(|lu| (lu.guid, lu)).collect();
        let mut lus = Vec::with_capacity(guids.len());
        let mut named = HashSet::new();
        for guid in guids {
            if let Some(lu) = still_there(Lu::read(guid, access.get(&guid).copied(), &report, &mut named, service))? {
                let its = its.as_ref().map(|its| its.get(&guid));
                lus.push(lu.counted(own.get(&guid), its));
            }
        }
        let of_peer: BTreeSet<&DevId> = report
            .ports
            .iter()
            .filter(|it| it.of_peer)
            .map(|it| &it.devid)
            .collect();
        let ports: BTreeMap<&DevId, &PortStatus> = here.ports.iter().map(|port| (&port.devid, port)).collect();
        let mut targets = Vec::new();
        for target in service.target_list()?.into_iter().rev() {
            let io = ports.get(&target).map(|port| port.io.totals).unwrap_or_default();
            targets.extend(still_there(Target::read(
                &target,
                of_peer.contains(&target),
                io,
                service,
            ))?);
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
        let mut nodes = nodes(&state, &report, &here, there.as_ref());
        match which {
            Nodes::All => {}
            Nodes::Local => {
                nodes.retain(|node| node.local);
                targets.retain(|target| !target.of_peer);
            }
            Nodes::Peer => {
                nodes.retain(|node| !node.local);
                targets.retain(|target| target.of_peer);
                lus.retain(|lu| lu.access_peer.is_some());
                empty.clear();
            }
        }
        let conditions = conditions::of(&nodes, &lus, &targets, &report, &empty);
        Ok(Snapshot {
            nodes,
            lus,
            targets,
            conditions,
            sessions: if which == Nodes::Peer {
                Vec::new()
            } else {
                own_sessions(&here)
            },
            missing,
        })
    }
}

fn own_sessions(here: &NodeStatus) -> Vec<(String, SessionStatus)> {
    let own = here.ports.iter().filter(|port| !port.of_peer);
    own.flat_map(|port| {
        let name = port.devid.to_string();
        port.sessions.iter().map(move |session| (name.clone(), session.clone()))
    })
    .collect()
}

fn config_word(config: ConfigState) -> &'static str {
    match config {
        ConfigState::None => "uninitialized",
        ConfigState::Init => "initializing",
        ConfigState::InitDone => "initialized",
    }
}

fn milliseconds(time: Duration) -> Option<u64> {
    u64::try_from(time.as_millis()).ok()
}

fn nodes(state: &ServiceState, report: &AluaReport, own: &NodeStatus, peer_node: Option<&PeerNode>) -> Vec<Node> {
    let here = Node {
        local: true,
        host: set(&own.host).map(str::to_owned),
        node: Some(report.node),
        operational: Some(state_lower(state.operational)),
        config: Some(config_word(state.config)),
        alua_enabled: Some(report.enabled),
        link: None,
        last_heard_ms: None,
        round_trip_us: None,
        link_up_s: None,
        reconnects: None,
        age_ms: None,
        uptime_s: Some(own.uptime.as_secs()),
        lus: Some(own.lu_count),
        sessions: Some(own.session_count),
        io: Some(own.io.totals),
        uptime: own.uptime,
    };
    let peer = &report.peer;
    let said = peer_node.map(|peer| &peer.status);
    let there = report.enabled.then(|| Node {
        local: false,
        host: said.and_then(|said| set(&said.host)).map(str::to_owned),
        node: peer.node.or(said.map(|said| said.node)),
        operational: said.map(|said| state_lower(said.operational)),
        config: said.map(|said| config_word(said.config)),
        alua_enabled: said.map(|said| said.alua),
        link: Some(match (peer.status.door, peer.status.reachable) {
            (false, _) => "no-door",
            (true, true) => "reachable",
            (true, false) => "unreachable",
        }),
        last_heard_ms: peer.silent.and_then(milliseconds),
        round_trip_us: peer.round_trip.and_then(|time| u64::try_from(time.as_micros()).ok()),
        link_up_s: peer.up.map(|up| up.as_secs()),
        reconnects: Some(peer.reconnects),
        age_ms: peer_node.and_then(|peer| milliseconds(peer.age)),
        uptime_s: said.map(|said| said.uptime.as_secs()),
        lus: said.map(|said| said.lu_count),
        sessions: said.map(|said| said.session_count),
        io: said.map(|said| said.io.totals),
        uptime: said.map(|said| said.uptime).unwrap_or_default(),
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
        let stored = match active {
            true => still_there(service.lu_resource(guid))?.map(|report| report.properties),
            false => None,
        };
        let size = stored.as_ref().and_then(|stored| stored.size);
        let file = stored.as_ref().and_then(|stored| stored.data_file.clone());
        let mut listed = listing::json::Lu::new(&info, Some(views.len()));
        if let Some(alua) = alua {
            listed.fill(&AccessReport {
                access: alua.access,
                properties: stored.unwrap_or_default(),
            });
        }
        Ok(Lu {
            listed,
            guid: guid.to_string(),
            status: info.state.map_or("unregistered", state_lower),
            alias: set(&info.alias).map(str::to_owned),
            size,
            access_here: alua.map(|lu| access(lu.access)),
            access_peer: alua.and_then(|lu| on_the_peer(lu, report)),
            view_entry_count: views.len(),
            sessions: 0,
            sessions_peer: None,
            io: IoTotals::default(),
            io_peer: None,
            read_latency: Percentiles::default(),
            write_latency: Percentiles::default(),
            nearly_full: file.and_then(|file| store::nearly_full(&file, size.unwrap_or(0))),
        })
    }

    /// With what the nodes count. `its`: the peer has told, and it knows the LU or not.
    fn counted(mut self, own: Option<&LuStatus>, its: Option<Option<&LuStatus>>) -> Lu {
        if let Some(own) = own {
            (self.sessions, self.io) = (own.sessions, own.io.totals);
            self.read_latency = (&own.io.read_latency).into();
            self.write_latency = (&own.io.write_latency).into();
        }
        if let Some(its) = its {
            self.access_peer = its.and_then(|its| its.access).map(access);
            self.sessions_peer = Some(its.map_or(0, |its| its.sessions));
            self.io_peer = its.map(|its| its.io.totals);
            if let (None, Some(size)) = (self.size, its.and_then(|its| its.size)) {
                self.size = Some(size);
                self.listed.know_size(size);
            }
        }
        self
    }

    /// The node that has the store executes all commands, those that the other one forwards too.
    pub fn served_by_peer(&self) -> bool {
        self.access_here != Some("active") && self.access_peer == Some("active") && self.io_peer.is_some()
    }
}

fn name_groups(view: &ViewEntry, named: &mut HashSet<(GroupKind, GroupName)>) {
    let hosts = view.host_group.iter().map(|name| (GroupKind::Host, name.clone()));
    let targets = view.target_group.iter().map(|name| (GroupKind::Target, name.clone()));
    named.extend(hosts.chain(targets));
}

/// For a peer that does not tell its states: what is Active here is Standby there, and the other way round.
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
    fn read(target: &DevId, of_peer: bool, io: IoTotals, service: &dyn Service) -> Result<Target, Status> {
        let info = service.target_info(target.clone())?;
        let sessions = service.target_sessions(target.clone())?;
        Ok(Target {
            name: target.to_string(),
            status: state_lower(info.state),
            of_peer,
            sessions: sessions.len(),
            io,
        })
    }
}
