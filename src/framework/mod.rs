//! The state machine between ports and logical units: service state, providers, ports, sessions, LUs, groups, view
//! entries, LUN maps, task routing, ALUA (`scsi-sbd.md` chapter 1, `alua-proxy.md` chapters 2, 6, 7).
//!
//! Sockets, files and clocks come in as traits: [`LuProvider`]/[`Unit`] (disk), [`PeerLink`] (proxy),
//! [`PortControl`] (iSCSI).
//!
//! | subject | files |
//! |---|---|
//! | the contract with the neighbours | `api`, `task`, `unit`, `peer`, `port` |
//! | the way of a command | `routing`, then `dlun0` (no LU), `standby` (to the peer), `identity` (INQUIRY in their stead) |
//! | one nexus on one LU | `itl`, `attention` (unit attentions), `live` (tasks), `task_management` |
//! | the order of an LU's commands | `task_set` (pure), `turns` |
//! | what hosts did with an LU | `io` (totals) |
//! | who sees what | `views` (pure), `groups` (the calls), `mapping`, `lun_map` |
//! | management | `effects` (what changes do), `state`, `service`, `lus`, `modify`, `ports`, `providers` with `sbd_data`, `defaults`, `persistence` |
//! | what has happened | `events` |
//! | waiting for descriptors | `watch` |
//! | access state | `alua` (pure), `cell` (performs its actions for one LU), `alua_mode`, `peer_events`, `alua_report`, `move_lu` |
#![forbid(unsafe_code)]

pub mod alua;
mod alua_mode;
mod alua_report;
mod api;
mod attention;
mod cell;
mod changes;
mod defaults;
mod dlun0;
pub mod effects;
pub mod events;
mod groups;
mod identity;
mod io;
mod itl;
mod latency;
mod live;
mod logical_unit;
mod lun_map;
mod lus;
mod mapping;
mod mirror;
mod modify;
mod move_lu;
mod node_request;
mod node_status;
mod pair_config;
mod parts;
mod peer;
mod peer_events;
mod persistence;
mod policy;
mod port;
mod ports;
mod providers;
mod routing;
mod sbd_data;
mod service;
mod stand_down;
mod standby;
mod state;
mod task;
mod task_management;
mod task_set;
mod turns;
mod unit;
mod views;
pub mod watch;

pub use alua_report::{AluaLu, AluaPort, AluaReport, Owner};
pub use api::{
    AccessReport, ConfigState, DefaultState, Framework, GroupKind, LuInfo, NexusInfo, PortInfo, ProviderData,
    ServiceState, ViewEntry, ViewRequest,
};
pub use changes::Wanted;
pub use effects::{Effect, IscsiObject};
pub use events::{Event, Happening};
pub use io::{IoReport, IoTotals};
pub use latency::{Latency, OCTAVES};
pub use live::LiveTask;
pub use lun_map::LunMap;
pub use mirror::MirrorReport;
pub use move_lu::MoveTrouble;
pub use node_request::{PeerNode, PeerTrouble, Refusal};
pub use node_status::{LuStatus, NodeStatus, PortStatus, SessionStatus};
pub use pair_config::{ConfigChange, Difference, PairConfig};
pub use parts::{PartDone, PartEnd, Parts};
pub use peer::{
    AnnouncedLu, Announcement, Answered, MessageCount, PeerEvent, PeerLink, PeerReport, PeerStatus, PeerView,
};
pub use persistence::{method_of_call, with_persist_method};
pub use port::{Nexus, NexusSpec, ObjectState, Port, PortControl, PortSpec};
pub use providers::MAX_PROVIDER_DATA;
pub use sbd_data::lu_files;
pub use standby::{changes_settings, forwarded_by_default};
pub use task::{
    Cdb, Done, Expected, Handler, Origin, Outcome, ReadyTask, Residual, Start, Started, Task, TaskAttribute,
    TaskHandle, TmDone, TmFunction, TmRequest, TmResponse,
};
pub use unit::{ImportError, Inquiry, LuNexuses, LuProvider, Release, Unit};

#[cfg(test)]
mod tests;
