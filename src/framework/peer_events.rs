//! What the peer says, on threads of its own: the proxy's dispatcher never waits (hazard H31). Events of one LU keep their
//! order, since a GUID always goes to the same thread. What concerns all LUs at once has a thread too, so that the
//! announcements of a registration round do not wait for the tasks of one LU to end.

use super::alua::machine::{Event, LuState};
use super::cell::{Cell, Source};
use super::ports::node_of;
use super::{Framework, PeerEvent};
use crate::types::{AccessState, Guid};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};

/// Threads for LUs. One of them waits at most for the tasks of one LU to end.
const WORKERS: usize = 4;
/// Index of the thread for everything else.
const NODE: usize = WORKERS;
/// LUs of which an announcement is held while ALUA mode is disabled (`alua-proxy.md` 8.1).
const MAX_HELD: usize = 65_536;

/// Work of one thread.
#[derive(Clone)]
enum Work {
    Peer(PeerEvent),
    OwnershipLost { guid: Guid, generation: u64 },
}

/// The threads, started with the first event.
#[derive(Default)]
pub(super) struct PeerEvents {
    workers: Mutex<Vec<Sender<Work>>>,
    /// The newest event of each LU, while the mode is disabled.
    held: Mutex<BTreeMap<Guid, PeerEvent>>,
}

fn worker_of(guid: &Guid) -> usize {
    guid.0.iter().fold(0usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
    }) % WORKERS
}

fn guid_of(event: &PeerEvent) -> Option<Guid> {
    match event {
        PeerEvent::LuActive { guid, .. } | PeerEvent::LuDeregister { guid } | PeerEvent::LuGivenUp { guid, .. } => {
            Some(*guid)
        }
        _ => None,
    }
}

impl Framework {
    /// Queues; never waits.
    pub(super) fn queue_peer_event(&self, event: PeerEvent) {
        self.queue(guid_of(&event), Work::Peer(event));
    }

    pub(super) fn queue_ownership_lost(&self, guid: Guid, generation: u64) {
        self.queue(Some(guid), Work::OwnershipLost { guid, generation });
    }

    /// To the thread of the LU, or to all.
    fn queue(&self, guid: Option<Guid>, work: Work) {
        let mut workers = self.peer_events.workers.lock();
        while workers.len() <= NODE {
            let (sender, receiver) = channel();
            let (index, framework) = (workers.len(), self.weak.clone());
            let thread = std::thread::Builder::new().name(format!("stmf-peer-{index}"));
            if let Err(error) = thread.spawn(move || work_off(index, &framework, &receiver)) {
                log::error!("no thread for what the peer says: {error}; it will be repeated");
                return;
            }
            workers.push(sender);
        }
        let chosen = match (guid, &work) {
            (Some(guid), _) => &workers[worker_of(&guid)..=worker_of(&guid)],
            // What was not mentioned is judged in the order of what was.
            (None, Work::Peer(PeerEvent::RoundComplete { .. })) => &workers[..],
            (None, _) => &workers[NODE..],
        };
        for worker in chosen {
            worker
                .send(work.clone())
                .expect("a worker lives as long as its framework");
        }
    }

    fn handle(&self, worker: usize, work: Work) {
        match work {
            Work::OwnershipLost { guid, generation } => self.ownership_lost(&guid, generation),
            Work::Peer(event) => self.handle_peer_event(worker, event),
        }
    }

    fn ownership_lost(&self, guid: &Guid, generation: u64) {
        let cell = self.cell(guid);
        let inner = cell.lock();
        // News of an earlier claim is old.
        if inner.state.generation() == Some(generation) {
            self.feed(&cell, inner, Event::OwnershipLost, Source::default());
        }
    }

    fn handle_peer_event(&self, worker: usize, event: PeerEvent) {
        let enabled = self.state.lock().alua;
        match event {
            PeerEvent::LuActive { guid, .. } | PeerEvent::LuDeregister { guid } | PeerEvent::LuGivenUp { guid, .. }
                if !enabled =>
            {
                self.hold(guid, event)
            }
            PeerEvent::LuActive {
                guid,
                name,
                generation,
                non_optimized,
                taken_over: _,
            } => self.peer_has(&guid, &name, generation, non_optimized),
            PeerEvent::LuDeregister { guid } => {
                let cell = self.cell(&guid);
                let mut inner = cell.lock();
                inner.says = Some(AccessState::Standby);
                self.feed(&cell, inner, Event::PeerDeregister, Source::default());
            }
            PeerEvent::LuGivenUp { guid, generation } => {
                let cell = self.cell(&guid);
                let mut inner = cell.lock();
                inner.says = Some(AccessState::Standby);
                inner.given_up = inner.given_up.max(Some(generation));
                if let Some(lu) = &inner.lu {
                    lu.set_peer_says(inner.says);
                }
            }
            PeerEvent::PortUp { port, rtpid } => {
                let mut state = self.state.lock();
                if state.node == Some(node_of(rtpid)) {
                    log::error!(
                        "target port {port} of the peer has identifier {rtpid}: both nodes have the same node id"
                    );
                }
                state.peer_ports.insert(port, rtpid);
            }
            PeerEvent::PortDown { port } => {
                self.state.lock().peer_ports.remove(&port);
            }
            PeerEvent::Up => {
                self.compare_in_background();
                self.state.lock().fenced = None;
                self.announce_ports();
                self.feed_all(Event::PeerUp);
            }
            PeerEvent::Down => self.feed_all(Event::PeerDown),
            PeerEvent::RoundComplete { ports, lus } => self.sweep(worker, &ports.into_iter().collect(), &lus),
            PeerEvent::PortAccepted { .. } => {}
        }
    }

    fn peer_has(&self, guid: &Guid, name: &str, generation: Option<u64>, non_optimized: Option<bool>) {
        let cell = self.cell(guid);
        let mut inner = cell.lock();
        let still_ours = inner.still_owned();
        inner.says = Some(AccessState::Active);
        let source = Source {
            path: Some(name),
            boot: false,
        };
        self.feed(&cell, inner, Event::PeerActive { generation, still_ours }, source);
        if let Some(non_optimized) = non_optimized {
            self.adopt_policy(&cell, non_optimized);
        }
    }

    /// The end of a registration round: what the peer did not mention it does not have. A Standby LU that is known only
    /// from the peer goes; one that this node has in its configuration stays, for it may be all that is left of the LU.
    fn sweep(&self, worker: usize, ports: &HashSet<crate::types::DevId>, lus: &[Guid]) {
        if worker == NODE {
            self.state.lock().peer_ports.retain(|port, _| ports.contains(port));
            return;
        }
        let mentioned: HashSet<&Guid> = lus.iter().collect();
        self.for_cells(worker, |cell| {
            if mentioned.contains(&cell.guid) {
                return;
            }
            let mut inner = cell.lock();
            inner.says = Some(AccessState::Standby);
            let ours = self.state.lock().rows.contains_key(&cell.guid);
            if !ours && matches!(inner.state, LuState::Standby { .. }) {
                self.feed(cell, inner, Event::PeerDeregister, Source::default());
            }
        });
    }

    fn for_cells(&self, worker: usize, mut each: impl FnMut(&Arc<Cell>)) {
        let cells = self.all_cells();
        cells
            .iter()
            .filter(|cell| worker_of(&cell.guid) == worker)
            .for_each(&mut each);
    }

    fn hold(&self, guid: Guid, event: PeerEvent) {
        let mut held = self.peer_events.held.lock();
        if self.state.lock().alua {
            // Enabled meanwhile; what was held has been applied.
            drop(held);
            return self.queue_peer_event(event);
        }
        if held.len() >= MAX_HELD && !held.contains_key(&guid) {
            log::error!("LU {guid}: announced by the peer while ALUA mode is disabled, and {MAX_HELD} others are held");
            return;
        }
        held.insert(guid, event);
    }

    /// ALUA mode is enabled now.
    pub(super) fn apply_held_events(&self) {
        let held = std::mem::take(&mut *self.peer_events.held.lock());
        held.into_values().for_each(|event| self.queue_peer_event(event));
    }
}

fn work_off(index: usize, framework: &Weak<Framework>, queue: &Receiver<Work>) {
    while let Ok(work) = queue.recv() {
        let Some(framework) = framework.upgrade() else { return };
        framework.handle(index, work);
    }
}
