//! The channel and the peer at its other end: may we send, is it there, what can it do.

use super::super::message::{Body, Capabilities, Handshake, MAX_MESSAGE};
use super::seq::Sequence;
use super::{Config, Seeds};
use crate::framework::PeerStatus;
use crate::types::NodeId;
use std::collections::VecDeque;
use std::time::Duration;

/// Former lives of the peer that are remembered, so that late messages of them are refused.
const FORMER_LIVES: usize = 16;

/// Least time between two probes.
const PROBE_PAUSE: Duration = Duration::from_millis(100);

/// What the peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Not known: treated as an original.
    Unknown,
    /// Answers a probe with a plain copy.
    Original,
    /// One of ours, with what both can.
    Ours(Capabilities),
}

/// Whose life a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Same,
    New,
    Former,
}

/// What was seen of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Seen {
    /// Its node id; `None`: an original peer, or not yet known.
    pub node: Option<u8>,
    /// Its present life; `None`: an original peer, or never heard.
    pub incarnation: Option<u64>,
    /// When its last message came; `None`: never heard.
    pub heard: Option<Duration>,
    /// From a probe to its answer, the last time.
    pub round_trip: Option<Duration>,
    /// How often it came up.
    pub ups: u64,
    /// Since when it is there; `None`: it is not.
    pub up_since: Option<Duration>,
}

/// The nonces of our latest probes. The peer sends the newest that it has seen with a forwarded write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens([(u64, Duration); 8]);

impl Tokens {
    fn new(seed: u64) -> Tokens {
        Tokens([(seed, Duration::ZERO); 8])
    }

    fn issue(&mut self, now: Duration) -> u64 {
        let nonce = self.0[0].0.wrapping_add(1);
        self.0.rotate_right(1);
        self.0[0] = (nonce, now);
        nonce
    }

    /// When it was given out; `None`: never, or long ago.
    pub fn issued(&self, nonce: u64) -> Option<Duration> {
        let newest_first = self.0.iter();
        newest_first
            .filter(|(issued, _)| *issued == nonce)
            .map(|(_, at)| *at)
            .next()
    }
}

pub(super) struct Link {
    /// The installed door.
    pub door: Option<u32>,
    /// Ruling 15: something may go through this door.
    pub gate: bool,
    /// ALUA mode.
    pub enabled: Option<NodeId>,
    /// A door call does not return.
    pub stuck: bool,
    /// The peer answers.
    pub up: bool,
    /// Sequence numbers of the peer's present life.
    pub sequence: Sequence,
    own: Seeds,
    kind: Kind,
    /// Probes given out, the newest first: nonce and when.
    tokens: Tokens,
    /// Nonce of the newest probe of the peer, and when it came.
    peer_token: Option<(u64, Duration)>,
    life: Option<u64>,
    former: VecDeque<u64>,
    opened: Duration,
    heard: Duration,
    last_probe: Duration,
    next_probe: Duration,
    /// The peer answered a probe once, so its silence means something.
    echoes: bool,
    /// When it last answered one.
    answered: Duration,
    /// From the last probe to its answer.
    round_trip: Option<Duration>,
    /// The peer's node id, from its handshake.
    node: Option<u8>,
    /// How often the peer came up, and the last time.
    ups: (u64, Duration),
    /// Doors removed whose images are still being torn down.
    clearing: Vec<u32>,
}

impl Link {
    pub fn new(own: Seeds) -> Link {
        Link {
            door: None,
            gate: false,
            enabled: None,
            stuck: false,
            up: false,
            sequence: Sequence::default(),
            own,
            kind: Kind::Unknown,
            tokens: Tokens::new(own.incarnation.rotate_left(32) ^ own.ids),
            peer_token: None,
            life: None,
            former: VecDeque::new(),
            opened: Duration::ZERO,
            heard: Duration::ZERO,
            last_probe: Duration::ZERO,
            next_probe: Duration::ZERO,
            echoes: false,
            answered: Duration::ZERO,
            round_trip: None,
            node: None,
            ups: (0, Duration::ZERO),
            clearing: Vec::new(),
        }
    }

    /// Messages may be sent.
    pub fn open(&self) -> bool {
        self.door.is_some() && self.gate && self.enabled.is_some() && !self.stuck
    }

    pub fn installed(&mut self, door: u32) {
        // The numbers of the peer's life go on: a message that came through the former door is repeated here, not new.
        self.door = Some(door);
        self.gate = false;
        self.stuck = false;
    }

    /// True when it was the installed one.
    pub fn remove(&mut self, door: u32) -> bool {
        let present = self.door == Some(door);
        if present {
            self.door = None;
            self.gate = false;
            self.stuck = false;
        }
        present
    }

    pub fn clearing(&mut self, door: u32) {
        self.clearing.push(door);
    }

    pub fn take_clearing(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.clearing)
    }

    pub fn enable(&mut self, node: NodeId) {
        self.enabled = Some(node);
        self.gate |= self.door.is_some();
    }

    /// The channel has just become usable.
    pub fn start(&mut self, now: Duration) {
        self.opened = now;
        self.heard = now;
        self.next_probe = now;
        self.echoes = false;
    }

    pub fn comes_up(&mut self, now: Duration) {
        self.up = true;
        self.ups = (self.ups.0 + 1, now);
    }

    /// Registrations wait a moment for the answer to the first probe, so that a round is not sent twice.
    pub fn may_announce(&self, now: Duration, config: &Config) -> bool {
        self.open() && (self.up || now.saturating_sub(self.opened) >= config.greeting)
    }

    pub fn heard(&mut self, now: Duration) {
        self.heard = now;
    }

    /// Nothing arrives, or (one of ours answers at once) nothing of ours arrives there: then announcements are lost, and the
    /// peer that comes up again is told everything (hazard H5).
    pub fn silent(&self, now: Duration, config: &Config) -> bool {
        let since = |at: Duration| now.saturating_sub(at) >= config.silence;
        self.up && self.echoes && (since(self.heard) || self.ours() && since(self.answered))
    }

    /// Data of an ECHO_REQUEST, when it is time for one.
    pub fn probe(&mut self, now: Duration, config: &Config) -> Option<Vec<u8>> {
        let node = self.enabled?;
        if now < self.next_probe {
            return None;
        }
        self.last_probe = now;
        self.next_probe = now + config.probe;
        Some(own_handshake(self.own, node, self.tokens.issue(now)).probe())
    }

    /// The peer has spoken while it was taken for gone: it will answer a probe now.
    pub fn hasten_probe(&mut self, now: Duration) {
        if now.saturating_sub(self.last_probe) >= PROBE_PAUSE {
            self.next_probe = self.next_probe.min(now);
        }
    }

    pub fn next(&self, now: Duration, config: &Config) -> Duration {
        let down = if self.up && self.echoes {
            let oldest = if self.ours() {
                self.heard.min(self.answered)
            } else {
                self.heard
            };
            oldest + config.silence
        } else {
            self.next_probe
        };
        self.next_probe.min(down).max(now)
    }

    /// True when this message is evidence that our messages reach the peer and it is not yet known to be there.
    pub fn proves_up(&mut self, now: Duration, body: &Body, config: &Config) -> bool {
        if self.up {
            return false;
        }
        match body {
            Body::EchoReply(data) => self.recognise(data).is_some(),
            Body::Status { .. } | Body::ScsiStatus(_) | Body::ScsiData(_) | Body::XferDone { .. } => true,
            // It talks, and has never answered a probe.
            _ => !self.echoes && now.saturating_sub(self.opened) >= config.registration,
        }
    }

    /// ECHO_REQUEST of the peer.
    pub fn echo_request(&mut self, now: Duration, data: &[u8]) {
        if let Some(probe) = Handshake::from_probe(data) {
            self.peer_token = Some((probe.nonce, now));
        }
    }

    /// What a write to the peer carries, and a moment before which the peer did not give it out.
    pub fn peer_token(&self) -> Option<(u64, Duration)> {
        self.peer_token
    }

    pub fn tokens(&self) -> Tokens {
        self.tokens
    }

    pub fn echo_reply(&mut self, now: Duration, data: &[u8]) {
        let Some(kind) = self.recognise(data) else { return };
        self.answered = now;
        self.round_trip = Some(now.saturating_sub(self.last_probe));
        self.node = Handshake::from_reply(data).map(|peer| peer.node);
        if kind != self.kind {
            match kind {
                Kind::Ours(capabilities) => {
                    log::info!("pppt: the peer is one of ours, capabilities {:#x}", capabilities.0)
                }
                _ => log::info!("pppt: the peer is an original one"),
            }
        }
        self.kind = kind;
        self.echoes = true;
    }

    fn recognise(&self, data: &[u8]) -> Option<Kind> {
        if let Some(peer) = Handshake::from_reply(data) {
            if self.enabled.is_some_and(|own| own.get() == peer.node) {
                log::error!("pppt: both nodes are configured as ALUA node {}", peer.node);
            }
            return self
                .tokens
                .issued(peer.nonce)
                .is_some()
                .then(|| Kind::Ours(peer.capabilities.and(Capabilities::ALL)));
        }
        let copy = Handshake::from_probe(data)?;
        (self.tokens.issued(copy.nonce).is_some() && copy.incarnation == self.own.incarnation).then_some(Kind::Original)
    }

    pub fn incarnation(&mut self, incarnation: u64) -> Life {
        if self.life == Some(incarnation) {
            return Life::Same;
        }
        if self.former.contains(&incarnation) {
            return Life::Former;
        }
        self.sequence = Sequence::default();
        match self.life.replace(incarnation) {
            None => Life::Same,
            Some(former) => {
                self.former.push_back(former);
                if self.former.len() > FORMER_LIVES {
                    self.former.pop_front();
                }
                Life::New
            }
        }
    }

    pub fn forget_peer(&mut self) {
        self.kind = Kind::Unknown;
        (self.round_trip, self.node) = (None, None);
        self.peer_token = None;
    }

    pub fn ours(&self) -> bool {
        matches!(self.kind, Kind::Ours(_))
    }

    pub fn capabilities(&self) -> Capabilities {
        match self.kind {
            Kind::Ours(capabilities) => capabilities,
            _ => Capabilities::default(),
        }
    }

    pub fn wire(&self) -> Option<Capabilities> {
        (self.kind != Kind::Original).then(|| self.capabilities())
    }

    /// What is known of the peer, for listings.
    pub fn seen(&self) -> Seen {
        let ever = self.life.is_some() || self.up;
        Seen {
            node: self.node,
            incarnation: self.life,
            heard: ever.then_some(self.heard),
            round_trip: self.round_trip,
            ups: self.ups.0,
            up_since: self.up.then_some(self.ups.1),
        }
    }

    pub fn status(&self) -> PeerStatus {
        PeerStatus {
            door: self.door.is_some(),
            reachable: self.open() && self.up,
            writes: self.capabilities().has(Capabilities::WRITES),
            original: match self.kind {
                Kind::Unknown => None,
                Kind::Original => Some(true),
                Kind::Ours(_) => Some(false),
            },
        }
    }
}

/// This node's values in a handshake.
pub(in super::super) fn own_handshake(own: Seeds, node: NodeId, nonce: u64) -> Handshake {
    Handshake {
        nonce,
        incarnation: own.incarnation,
        capabilities: Capabilities::ALL,
        node: node.get(),
        enabled: true,
        largest: u32::try_from(MAX_MESSAGE).expect("16 MiB"),
    }
}
