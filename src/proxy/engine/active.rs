//! The peer's side of things on this node: images of its ports, its sessions, and the commands it forwards to us
//! (`alua-proxy.md` 5.3 to 5.8).

mod collect;
mod commands;
mod images;
mod round;
mod sessions;

use super::super::codes;
use super::super::message::{Body, Capabilities, Lun, PortId, ScsiCmd, ScsiData, ScsiStatus as StatusMessage, Sync};
use super::announcer::Announcer;
use super::{Class, Context, Outcome, Output, PeerEvent, TmFunction, TmResponse};
use crate::framework::{Expected, Residual};
use crate::scsi::{ScsiStatus, Sense};
use crate::types::{AccessState, DevId, Guid, Status, TransportId};
use round::Round;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// Ended sessions that are remembered, so that a late SCSI_CMD does not open them again (8.4, hazard H17).
const REMEMBERED_SESSIONS: usize = 1024;
/// Aborted tasks that are remembered. One of our nodes has at most 1024 under way.
const REMEMBERED_ABORTS: usize = 1024;
/// Commands that wait for their session to open. More would mean that the framework hangs.
const WAITING_COMMANDS: usize = 1024;
/// Images of ports: a node has 255 relative target port identifiers (8.1).
const MAX_IMAGES: usize = 255;
/// Sessions of the peer. Far more than a node has initiators.
const MAX_SESSIONS: usize = 16_384;
/// Commands of the peer under way here. One of our nodes forwards at most 1024; an original knows no limit.
const MAX_TASKS: usize = 8192;
/// LU provider of disks; announcements for others are ignored.
const DISK_PROVIDER: &[u8] = b"sbd";

/// A command of the peer, for the framework.
pub(in super::super) struct Command {
    /// Task message id; also the tag on the nexus.
    pub id: u64,
    pub session: u64,
    pub lun: [u8; 8],
    pub cdb: Vec<u8>,
    pub attribute: u8,
    pub expected: Expected,
    pub data: Vec<u8>,
    /// `icsc_lun_id`, `None` when zero.
    pub lun_id: Option<Guid>,
    /// [`crate::framework::Origin::Peer`].
    pub start_by: Option<Duration>,
}

/// A task management function of the peer, for the framework.
pub(in super::super) struct Management {
    pub id: u64,
    pub session: u64,
    pub lun: [u8; 8],
    pub function: TmFunction,
    pub referenced_tag: u64,
    pub lun_id: Option<Guid>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The framework is asked for it.
    Registering,
    Offline,
    Online,
    /// No new sessions; goes when the last has ended.
    Removing,
}

struct Image {
    protocol: u8,
    rtpid: u16,
    phase: Phase,
    /// The framework was asked to remove it; until the answer, or until this time comes for the next attempt.
    removal: Option<Duration>,
    /// DEREGISTER_PROXY_PORTs to answer when it is gone.
    answers: Vec<u64>,
    /// Register it again with this rtpid when it is gone, and answer this message.
    again: Option<(u16, u64)>,
    /// REGISTER_PROXY_PORTs to answer.
    registrations: Vec<u64>,
}

enum Nexus {
    /// Waits for an older session of the same pair to end, or for the framework.
    Opening {
        asked: bool,
        waiting: Vec<ScsiCmd>,
    },
    Open,
    Closing,
}

struct Session {
    port: DevId,
    initiator: DevId,
    transport_id: TransportId,
    nexus: Nexus,
}

enum Progress {
    /// A write of which not all data is here yet.
    Collecting(Box<Collection>),
    Running,
    /// The outcome is here; its data goes out in pieces.
    Sending {
        outcome: Outcome,
        given: usize,
        unconfirmed: usize,
        deadline: Duration,
    },
}

/// The data of a forwarded write, asked for by R2T in pieces.
struct Collection {
    cmd: ScsiCmd,
    total: usize,
    /// Asked for up to here.
    asked: usize,
    /// Pieces under way: length, and when they were asked for, by offset.
    wanted: BTreeMap<usize, (usize, Duration)>,
    /// The newest question that was answered: then the peer still had the command.
    fresh: Duration,
    deadline: Duration,
}

struct Task {
    session: u64,
    guid: Guid,
    expected: Expected,
    sent: u32,
    progress: Progress,
}

#[derive(Default)]
pub(super) struct Active {
    pub round: Round,
    images: HashMap<DevId, Image>,
    sessions: HashMap<u64, Session>,
    tasks: HashMap<u64, Task>,
    management: HashMap<u64, (u64, Guid)>,
    /// Ended sessions, and when.
    ended: VecDeque<(u64, Duration)>,
    /// Tasks that the peer has aborted, and when: its command may be overtaken by that.
    aborted: VecDeque<(u64, Duration)>,
    /// Ownership generations that the peer announced.
    generations: HashMap<Guid, u64>,
}

impl Active {
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.images.values().all(|image| image.phase != Phase::Removing)
    }

    /// Nothing of the peer is left.
    pub fn is_cleared(&self) -> bool {
        self.images.is_empty() && self.sessions.is_empty()
    }

    /// Ownership generation under which the peer has this LU Active.
    pub fn generation(&self, guid: &Guid) -> Option<u64> {
        self.generations.get(guid).copied()
    }

    pub fn lun(&mut self, cx: &mut Context<'_>, lun: Lun, taken_over: bool) {
        if lun.provider != DISK_PROVIDER {
            return log::info!("pppt: LU {} of an unknown provider ignored", lun.guid);
        }
        let name = lun.cb_arg.split(|byte| *byte == 0).next().unwrap_or_default();
        let Ok(name) = std::str::from_utf8(name) else {
            return log::error!("pppt: LU {} ignored: its name is not UTF-8", lun.guid);
        };
        // The original copies it as a C string and overruns its buffer when the NUL is missing.
        if name.is_empty() || lun.cb_arg.last() != Some(&0) {
            return log::error!("pppt: LU {} ignored: it has no name", lun.guid);
        }
        match lun.generation {
            Some(generation) if self.generations.len() < cx.config.objects => {
                self.generations.insert(lun.guid, generation);
            }
            _ => drop(self.generations.remove(&lun.guid)),
        }
        cx.out.push(Output::Event(PeerEvent::LuActive {
            guid: lun.guid,
            name: name.to_owned(),
            generation: lun.generation,
            non_optimized: lun.non_optimized,
            taken_over,
        }));
    }

    /// DEREGISTER_LUN; with a state other than Active the LU was given up, not deleted.
    pub fn lun_gone(&mut self, cx: &mut Context<'_>, lun: &Lun) {
        if lun.provider != DISK_PROVIDER {
            return;
        }
        let guid = lun.guid;
        self.generations.remove(&guid);
        let given_up = lun.access_state == Some(AccessState::Standby as u8);
        cx.out.push(Output::Event(match lun.generation.filter(|_| given_up) {
            Some(generation) => PeerEvent::LuGivenUp { guid, generation },
            None => PeerEvent::LuDeregister { guid },
        }));
    }

    /// After a message with `icx_sync`: what a complete round did not mention is gone (capability 3).
    pub fn round_ended(&mut self, cx: &mut Context<'_>, sync: Option<Sync>) {
        let Some(Sync::Last { objects }) = sync else { return };
        let Some((ports, lus)) = self.round.end(objects) else {
            return;
        };
        if !cx.capabilities.has(Capabilities::SWEEP) {
            return;
        }
        let gone: Vec<DevId> = self
            .images
            .keys()
            .filter(|port| !ports.contains(port))
            .cloned()
            .collect();
        for port in gone {
            log::info!("pppt: the peer no longer has port {port}");
            self.remove_image(cx, &port);
        }
        cx.out.push(Output::Event(PeerEvent::RoundComplete { ports, lus }));
    }

    pub fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        self.give_up_collecting(cx);
        self.aborted
            .retain(|(_, at)| now.saturating_sub(*at) < cx.config.remember_sessions);
        self.tasks.retain(|id, task| match task.progress {
            Progress::Sending { deadline, .. } if now >= deadline => {
                log::warn!("pppt: the peer does not take the data of task {id:#x}; dropped");
                false
            }
            _ => true,
        });
        let due = |(port, image): (&DevId, &Image)| {
            (image.phase == Phase::Removing && image.removal.is_some_and(|at| now >= at)).then(|| port.clone())
        };
        for port in self.images.iter().filter_map(due).collect::<Vec<_>>() {
            self.ask_removal(cx, &port);
        }
    }
}
