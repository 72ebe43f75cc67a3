//! One node at one moment, for whoever looks at it: this node's own status page, metrics and tools, and the peer's.

use super::{AluaLu, ConfigState, Framework, IoReport, Latency, Nexus, ObjectState, Owner, Port};
use crate::types::{AccessState, DevId, Guid};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A node with its LUs, targets and sessions. Counters are totals since the start of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Host name, empty if it has none.
    pub host: String,
    /// Release of the software.
    pub release: String,
    /// Since the start of the service.
    pub uptime: Duration,
    /// Operational state of the service.
    pub operational: ObjectState,
    /// Whether the configuration is loaded.
    pub config: ConfigState,
    /// ALUA mode.
    pub alua: bool,
    /// Last node enabled, 0 if none ever was.
    pub node: u8,
    /// Over all LUs, those that are not listed included.
    pub io: IoReport,
    /// LUs, those that are not listed included.
    pub lu_count: usize,
    /// By GUID.
    pub lus: Vec<LuStatus>,
    /// Targets, those of the peer and those that are not listed included.
    pub port_count: usize,
    /// In the order of their registration.
    pub ports: Vec<PortStatus>,
    /// Sessions of this node's own targets, those that are not listed included.
    pub session_count: usize,
}

/// A registered LU, or a GUID that only has view entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LuStatus {
    /// Identity.
    pub guid: Guid,
    /// Alias.
    pub alias: String,
    /// `None`: not registered.
    pub state: Option<ObjectState>,
    /// Access state on this node; `None`: not registered.
    pub access: Option<AccessState>,
    /// Who has the store.
    pub owner: Owner,
    /// Bytes; `None` while it is not Active here.
    pub size: Option<u64>,
    /// View entries.
    pub views: usize,
    /// Sessions of this node's own targets that see it.
    pub sessions: usize,
    /// What hosts have read and written through this node.
    pub io: IoReport,
}

/// A target port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    /// Identity.
    pub devid: DevId,
    /// Display name.
    pub alias: String,
    /// State.
    pub state: ObjectState,
    /// The image of a target of the peer, through which the peer forwards commands.
    pub of_peer: bool,
    /// What hosts have read and written through it.
    pub io: IoReport,
    /// Sessions, those that are not listed included.
    pub session_count: usize,
    /// The oldest first.
    pub sessions: Vec<SessionStatus>,
}

/// A session of an initiator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Number of the session on this node.
    pub id: u64,
    /// Initiator port name.
    pub initiator: DevId,
    /// Alias, empty if unknown.
    pub alias: String,
    /// Seconds since 1970.
    pub created: u64,
    /// LUs that it sees.
    pub luns: usize,
    /// What it has read and written.
    pub io: IoReport,
}

impl NodeStatus {
    /// As much as a message to the other node may carry: the latencies of single LUs, targets and sessions are left out.
    pub fn without_details(mut self) -> NodeStatus {
        let lean = |io: &mut IoReport| {
            (io.read_latency, io.write_latency) = (Latency::default(), Latency::default());
        };
        self.lus.iter_mut().for_each(|lu| lean(&mut lu.io));
        for port in &mut self.ports {
            lean(&mut port.io);
            port.sessions.iter_mut().for_each(|session| lean(&mut session.io));
        }
        self
    }
}

impl Framework {
    /// This node now. At most `listed` LUs, targets and sessions are listed, the counts tell of all. Each object is looked at by
    /// itself; one that goes away meanwhile is left out.
    pub fn node_status(&self, listed: usize) -> NodeStatus {
        let report = self.alua_report();
        let service = self.state();
        let guids = self.lu_list();
        let accesses: HashMap<Guid, &AluaLu> = report.lus.iter().map(|lu| (lu.guid, lu)).collect();
        let (ports, nexuses) = {
            let state = self.state.lock();
            (state.ports.clone(), state.nexuses.clone())
        };
        let mut lus = Vec::with_capacity(guids.len().min(listed));
        let mut io = IoReport::default();
        for guid in &guids {
            // What is not registered has never served anybody.
            let counted = self.lu_io(guid).unwrap_or_default();
            io.add(&counted);
            if lus.len() < listed {
                lus.extend(self.lu_status(guid, accesses.get(guid).copied(), counted));
            }
        }
        let mut left = listed;
        NodeStatus {
            host: hostname(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: self.started.elapsed(),
            operational: service.operational,
            config: service.config,
            alua: report.enabled,
            node: report.node,
            io,
            lu_count: guids.len(),
            lus,
            port_count: ports.len(),
            ports: ports
                .iter()
                .take(listed)
                .map(|port| port_status(port, &nexuses, &mut left))
                .collect(),
            session_count: nexuses.iter().filter(|nexus| !nexus.port.image).count(),
        }
    }

    fn lu_status(&self, guid: &Guid, alua: Option<&AluaLu>, io: IoReport) -> Option<LuStatus> {
        let info = self.lu_info(guid).ok()?;
        let lu = self.state.lock().lus.get(guid).cloned();
        Some(LuStatus {
            guid: *guid,
            alias: info.alias,
            state: info.state,
            access: alua.map(|lu| lu.access),
            owner: alua.map_or(Owner::Unknown, |lu| lu.owner),
            size: self.lu_access(guid).ok().and_then(|report| report.properties.size),
            views: self.view_list(guid).map_or(0, |views| views.len()),
            sessions: lu.map_or(0, |lu| lu.itls().iter().filter(|itl| itl.seen()).count()),
            io,
        })
    }

    /// What hosts have read and written of a registered LU through this node, and how long it took.
    fn lu_io(&self, guid: &Guid) -> Option<IoReport> {
        let lu = self.state.lock().lus.get(guid).cloned();
        lu.map(|lu| lu.io.report())
    }
}

fn port_status(port: &Arc<Port>, nexuses: &[Arc<Nexus>], left: &mut usize) -> PortStatus {
    let own: Vec<&Arc<Nexus>> = nexuses.iter().filter(|nexus| nexus.port.devid == port.devid).collect();
    let sessions: Vec<SessionStatus> = own.iter().take(*left).map(|nexus| session_status(nexus)).collect();
    *left -= sessions.len();
    PortStatus {
        devid: port.devid.clone(),
        alias: port.alias.lock().clone(),
        state: port.state(),
        of_peer: port.image,
        io: port.io.report(),
        session_count: own.len(),
        sessions,
    }
}

fn session_status(nexus: &Nexus) -> SessionStatus {
    SessionStatus {
        id: nexus.id,
        initiator: nexus.initiator.clone(),
        alias: nexus.alias.clone(),
        created: nexus.created,
        luns: nexus.lun_map.load().itls().count(),
        io: nexus.io.report(),
    }
}

fn hostname() -> String {
    nix::unistd::gethostname().map_or_else(|_| String::new(), |host| host.to_string_lossy().into_owned())
}
