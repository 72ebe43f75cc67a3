//! The state machine between ports and logical units: service state, providers, ports, sessions, LUs, groups, view
//! entries, LUN maps, task routing, ALUA (`scsi-sbd.md` chapter 1, `alua-proxy.md` chapters 2, 6, 7).
//!
//! Sockets, files and clocks come in as traits: [`LuProvider`]/[`Unit`] (disk), [`PeerLink`] (proxy),
//! [`PortControl`] (iSCSI).
#![forbid(unsafe_code)]

pub mod alua;
mod api;
mod live;
mod lun_map;
mod peer;
mod port;
mod task;
mod unit;

pub use api::{AccessReport, Framework, GroupKind, LuInfo, NexusInfo, PortInfo, ServiceState, ViewEntry, ViewRequest};
pub use live::LiveTask;
pub use lun_map::LunMap;
pub use peer::{Announcement, PeerEvent, PeerLink, PeerStatus, PeerView};
pub use port::{Nexus, NexusSpec, ObjectState, Port, PortControl, PortSpec};
pub use task::{
    Cdb, Done, Expected, Handler, Origin, Outcome, ReadyTask, Residual, Start, Started, Task, TaskAttribute,
    TaskHandle, TmDone, TmFunction, TmRequest, TmResponse,
};
pub use unit::{ImportError, Inquiry, LuNexuses, LuProvider, Release, Unit};
