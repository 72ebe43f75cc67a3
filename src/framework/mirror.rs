//! Mirroring of groups and view entries to the peer (opt-in, on both nodes): each change of this node is made on the peer too, one
//! transaction each, in their order. A change that came from the peer is not sent back.
//!
//! A change has taken effect here before the peer hears of it. What the peer refuses, or what got lost, is logged and counted, and
//! from then on the nodes count as different until a comparison says otherwise: one is made whenever the peer comes up.

use super::alua_mode::setting;
use super::effects::about_to;
use super::node_request::{NodeReply, NodeRequest, decode, encode};
use super::state::MIRROR;
use super::{ConfigChange, Effect, Framework};
use crate::types::Status;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

/// Changes that may wait for the peer.
const WAITING: usize = 10_000;
/// Comparisons in a row that changes made worthless.
const COMPARISONS: u32 = 3;

/// How mirroring goes, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorReport {
    /// It is switched on.
    pub on: bool,
    /// Changes that wait for the peer.
    pub waiting: usize,
    /// Changes that the peer has made.
    pub applied: u64,
    /// Changes that the peer has refused.
    pub refused: u64,
    /// Changes of which is not known whether the peer has made them.
    pub lost: u64,
    /// The nodes have the same groups and view entries; `None`: not known.
    pub alike: Option<bool>,
    /// The last change that was refused or lost, and why; empty if none was.
    pub trouble: String,
}

/// See the module.
#[derive(Default)]
pub(super) struct Mirror {
    on: AtomicBool,
    outbox: Mutex<Outbox>,
}

#[derive(Default)]
struct Outbox {
    report: MirrorReport,
    waiting: VecDeque<(ConfigChange, bool)>,
    /// The peer was asked to make this one.
    under_way: Option<ConfigChange>,
    /// Changes so far.
    mark: u64,
}

impl Outbox {
    fn idle(&self) -> bool {
        self.under_way.is_none() && self.waiting.is_empty()
    }

    fn fell_behind(&mut self, trouble: String, alike: Option<bool>) {
        log::error!("mirroring to the peer: {trouble}");
        (self.report.trouble, self.report.alike) = (trouble, alike);
    }
}

impl Framework {
    /// Changes go to the peer, and come from it.
    pub fn mirrors(&self) -> bool {
        self.mirror.on.load(Ordering::Acquire)
    }

    /// At start.
    pub(super) fn restore_mirror(&self, on: bool) {
        self.mirror.on.store(on, Ordering::Release);
    }

    /// Switches it on or off, for good.
    pub fn set_mirror(&self, on: bool) -> Result<(), Status> {
        {
            // The lock orders this with other changes.
            let _state = self.state.lock();
            about_to(|| Ok(vec![Effect::Mirror(on)]))?;
            self.commit(&[setting(MIRROR, if on { "on" } else { "off" })])?;
            self.mirror.on.store(on, Ordering::Release);
            let mut outbox = self.mirror.outbox.lock();
            outbox.waiting.clear();
            outbox.report.alike = None;
        }
        if on {
            self.compare_in_background();
        }
        Ok(())
    }

    /// For listings.
    pub fn mirror_report(&self) -> MirrorReport {
        let outbox = self.mirror.outbox.lock();
        MirrorReport {
            on: self.mirrors(),
            waiting: outbox.waiting.len() + usize::from(outbox.under_way.is_some()),
            ..outbox.report.clone()
        }
    }

    /// A change has taken effect. Called with the state locked, so that the order is theirs.
    pub(super) fn mirror_change(&self, change: ConfigChange) {
        if !self.mirrors() {
            return;
        }
        let mut outbox = self.mirror.outbox.lock();
        outbox.mark += 1;
        if outbox.waiting.len() >= WAITING {
            outbox.report.lost += 1;
            return outbox.fell_behind(format!("{change}: too many changes wait"), Some(false));
        }
        outbox.waiting.push_back((change, self.persists()));
        drop(outbox);
        self.mirror_next();
    }

    /// Asks the peer to make the next change, unless it is at one.
    fn mirror_next(&self) {
        let mut outbox = self.mirror.outbox.lock();
        if outbox.under_way.is_some() {
            return;
        }
        let Some((change, stored)) = outbox.waiting.pop_front() else {
            return;
        };
        outbox.under_way = Some(change.clone());
        drop(outbox);
        let framework = self.weak.clone();
        let answered = move |reply: Option<Vec<u8>>| {
            if let Some(framework) = framework.upgrade() {
                framework.mirror_answered(reply.as_deref());
            }
        };
        match self.link() {
            Some(link) => link.ask(encode(&NodeRequest::Change { change, stored }), Box::new(answered)),
            None => answered(None),
        }
    }

    fn mirror_answered(&self, reply: Option<&[u8]>) {
        let mut outbox = self.mirror.outbox.lock();
        let Some(change) = outbox.under_way.take() else { return };
        match reply.map(decode) {
            Some(Some(NodeReply::Done)) => outbox.report.applied += 1,
            Some(Some(NodeReply::Refused(why))) => {
                outbox.report.refused += 1;
                outbox.fell_behind(format!("{change}: {why}"), Some(false));
            }
            Some(_) => {
                outbox.report.lost += 1;
                outbox.fell_behind(format!("{change}: an answer that is none"), None);
            }
            None => {
                outbox.report.lost += 1;
                outbox.fell_behind(format!("{change}: no answer"), None);
            }
        }
        drop(outbox);
        self.mirror_next();
    }

    // --- comparisons ------------------------------------------------------------------------------------------------

    /// A comparison that is begun now holds if nothing has changed until its end.
    pub(super) fn mirror_mark(&self) -> Option<u64> {
        let outbox = self.mirror.outbox.lock();
        outbox.idle().then_some(outbox.mark)
    }

    /// True when the comparison that began at `mark` counts.
    pub(super) fn mirror_compared(&self, mark: Option<u64>, differences: usize) -> bool {
        let mut outbox = self.mirror.outbox.lock();
        let holds = outbox.idle() && mark == Some(outbox.mark);
        if holds {
            outbox.report.alike = Some(differences == 0);
        }
        holds
    }

    /// The peer came up, or mirroring was switched on.
    pub(super) fn compare_in_background(&self) {
        self.compare_again(COMPARISONS);
    }

    fn compare_again(&self, left: u32) {
        let Some(link) = self.link().filter(|_| self.mirrors() && left > 0) else {
            return;
        };
        let (framework, mark) = (self.weak.clone(), self.mirror_mark());
        let compare = move |reply: Option<Vec<u8>>| {
            let (Some(framework), Some(reply)) = (framework.upgrade(), reply) else {
                return;
            };
            let (Some(NodeReply::Config(peer)), Ok(here)) = (decode(&reply), framework.pair_config()) else {
                return log::error!("mirroring to the peer: no comparison");
            };
            let differences = here.differences(&peer).len();
            if !framework.mirror_compared(mark, differences) {
                return framework.compare_again(left - 1);
            }
            if differences > 0 {
                log::error!("mirroring to the peer: {differences} differences, see stmfadm compare-peer");
            }
        };
        link.ask(encode(&NodeRequest::Config), Box::new(compare));
    }
}
