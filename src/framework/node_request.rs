//! What the nodes of a pair ask each other about themselves, over the daemons' own link ([`super::PeerLink::ask`]).
//!
//! One version byte, then postcard; at most 8 MiB (the link's bound). Never towards an original peer.

use super::{ConfigChange, Difference, Framework, NodeStatus, PairConfig, with_persist_method};
use crate::types::{Guid, PersistMethod, Status};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// First byte. The fields of what is sent, [`NodeStatus`] with all that is in it too, are part of the version; nodes of different
/// versions know nothing of each other but what the peer protocol itself says.
/// - 1: first version.
const VERSION: u8 = 1;
/// LUs, targets and sessions in the status that the other node gets; with names and counters of 150 bytes, 1.5 MiB.
const LISTED: usize = 5000;
/// How old the peer's status may be: many who look cost the peer no more than one.
const FRESH: Duration = Duration::from_millis(800);
/// Whoever looks waits so long for the peer.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);
/// Longer than the link waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);

/// What a node asks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum NodeRequest {
    /// [`NodeStatus`].
    Status,
    /// [`PairConfig`].
    Config,
    /// Apply this change, as durable as it was made.
    Change { change: ConfigChange, stored: bool },
    /// Have exactly these groups and view entries.
    Replace(PairConfig),
    /// Take over this LU, which the asker has given up.
    Import(Guid),
}

/// What the other answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum NodeReply {
    Status(Box<NodeStatus>),
    Config(PairConfig),
    Done,
    Refused(Refusal),
}

/// Why a node does not do what the other one asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Mirroring is not switched on there.
    NotMirrored,
    /// It conflicts with what is there.
    Conflict(Status),
    /// It speaks another version of this.
    NotUnderstood,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::NotMirrored => f.write_str("mirroring is off on the peer"),
            Refusal::Conflict(status) => write!(f, "conflict on the peer: {status}"),
            Refusal::NotUnderstood => f.write_str("the peer does not understand it"),
        }
    }
}

/// Why the peer's groups and view entries cannot be compared or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerTrouble {
    /// It is not there, is an original one, or did not answer.
    NoAnswer,
    /// It does not want to.
    Refused(Refusal),
}

/// The peer, and how long ago it said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerNode {
    /// What it said.
    pub status: NodeStatus,
    /// Age of that.
    pub age: Duration,
}

/// The latest status of the peer.
#[derive(Default)]
pub(super) struct PeerMemory(Mutex<Option<(Instant, NodeStatus)>>);

pub(super) fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION]).expect("plain data encodes into a growing buffer")
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match bytes.split_first()? {
        (&VERSION, body) => match postcard::take_from_bytes(body) {
            Ok((value, [])) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

impl Framework {
    /// Answers a request of the other node, whatever the bytes are. May wait for the disk.
    pub fn answer_node_request(&self, request: &[u8]) -> Vec<u8> {
        encode(&match decode(request) {
            Some(NodeRequest::Status) => NodeReply::Status(Box::new(self.node_status(LISTED).without_details())),
            Some(NodeRequest::Config) => match self.pair_config() {
                Ok(config) => NodeReply::Config(config),
                Err(status) => NodeReply::Refused(Refusal::Conflict(status)),
            },
            Some(NodeRequest::Change { .. } | NodeRequest::Replace(_)) if !self.mirrors() => {
                NodeReply::Refused(Refusal::NotMirrored)
            }
            Some(NodeRequest::Change { change, stored }) => {
                let method = (!stored).then_some(PersistMethod::None);
                let applied = with_persist_method(method, || self.apply_mirrored(&change));
                log_applied(&change, applied);
                done(applied)
            }
            Some(NodeRequest::Replace(config)) => {
                let replaced = self.replace_config(&config);
                match replaced {
                    Ok(()) => log::info!("groups and view entries of the peer were taken over"),
                    Err(status) => log::error!("groups and view entries of the peer were not taken over: {status}"),
                }
                done(replaced)
            }
            Some(NodeRequest::Import(guid)) => done(self.import_for_peer(&guid)),
            None => NodeReply::Refused(Refusal::NotUnderstood),
        })
    }

    /// What the peer says of itself: just now, or what it said last. `None`: it never said anything, or cannot.
    pub fn peer_node(&self) -> Option<PeerNode> {
        // Others who look meanwhile wait for this answer.
        let mut latest = self.peer_memory.0.lock();
        let fresh = latest.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH);
        if !fresh && let Ok(NodeReply::Status(status)) = self.ask_peer(&NodeRequest::Status, STATUS_PATIENCE) {
            *latest = Some((Instant::now(), *status));
        }
        latest.as_ref().map(|(at, status)| PeerNode {
            status: status.clone(),
            age: at.elapsed(),
        })
    }

    /// Groups and view entries that the two nodes do not have alike.
    pub fn compare_peer(&self) -> Result<Result<Vec<Difference>, PeerTrouble>, Status> {
        let here = self.pair_config()?;
        let before = self.mirror_mark();
        Ok(match self.ask_peer(&NodeRequest::Config, PATIENCE) {
            Ok(NodeReply::Config(peer)) => {
                let differences = here.differences(&peer);
                self.mirror_compared(before, differences.len());
                Ok(differences)
            }
            other => Err(trouble(other)),
        })
    }

    /// Gives the peer the groups and view entries of this node, all or none of them.
    pub fn overwrite_peer(&self) -> Result<Result<(), PeerTrouble>, Status> {
        let here = self.pair_config()?;
        let before = self.mirror_mark();
        Ok(match self.ask_peer(&NodeRequest::Replace(here), PATIENCE) {
            Ok(NodeReply::Done) => {
                self.mirror_compared(before, 0);
                Ok(())
            }
            other => Err(trouble(other)),
        })
    }

    pub(super) fn ask_peer(&self, request: &NodeRequest, patience: Duration) -> Result<NodeReply, PeerTrouble> {
        let link = self.link().filter(|link| link.status().reachable);
        let link = link.ok_or(PeerTrouble::NoAnswer)?;
        let (sender, reply) = mpsc::channel();
        // Whoever waited may have gone.
        link.ask(encode(request), Box::new(move |reply| drop(sender.send(reply))));
        let reply = reply
            .recv_timeout(patience)
            .ok()
            .flatten()
            .ok_or(PeerTrouble::NoAnswer)?;
        match decode(&reply) {
            Some(NodeReply::Refused(refusal)) => Err(PeerTrouble::Refused(refusal)),
            Some(reply) => Ok(reply),
            None => Err(PeerTrouble::Refused(Refusal::NotUnderstood)),
        }
    }

    /// Groups and view entries of this node.
    pub(super) fn pair_config(&self) -> Result<PairConfig, Status> {
        Ok(self.configured()?.views.config())
    }
}

fn trouble(reply: Result<NodeReply, PeerTrouble>) -> PeerTrouble {
    match reply {
        Err(trouble) => trouble,
        Ok(_) => PeerTrouble::Refused(Refusal::NotUnderstood),
    }
}

fn done(result: Result<(), Status>) -> NodeReply {
    match result {
        Ok(()) => NodeReply::Done,
        Err(status) => NodeReply::Refused(Refusal::Conflict(status)),
    }
}

fn log_applied(change: &ConfigChange, applied: Result<(), Status>) {
    match applied {
        Ok(()) => log::info!("from the peer: {change}"),
        Err(status) => log::error!("from the peer: {change}: refused: {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use proptest::prelude::*;

    fn ask(framework: &Framework, request: &NodeRequest) -> NodeReply {
        decode(&framework.answer_node_request(&encode(request))).unwrap()
    }

    #[test]
    fn a_node_tells_of_itself_and_changes_only_when_it_mirrors() {
        let framework = Framework::new(Store::volatile());
        framework.load().unwrap();
        assert!(matches!(ask(&framework, &NodeRequest::Status), NodeReply::Status(status) if status.lu_count == 0));
        let empty = PairConfig::default();
        assert!(matches!(ask(&framework, &NodeRequest::Config), NodeReply::Config(config) if config == empty));
        let refused = ask(&framework, &NodeRequest::Replace(empty));
        assert!(matches!(refused, NodeReply::Refused(Refusal::NotMirrored)));
        assert_eq!(framework.compare_peer().unwrap(), Err(PeerTrouble::NoAnswer));
        assert_eq!(framework.peer_node(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(mut bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
            let framework = Framework::new(Store::volatile());
            bytes[0] = VERSION;
            prop_assert!(decode::<NodeReply>(&framework.answer_node_request(&bytes)).is_some());
            let _ = decode::<NodeReply>(&bytes);
        }
    }
}
