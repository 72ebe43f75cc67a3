//! The channel between the nodes, and liveness.

use crate::checker::Verdict;
use crate::node::Task;
use crate::rules::Rule;
use crate::world::World;
use std::time::Duration;
use stmf::framework::alua::machine::Event;
use stmf::types::AccessState;

const ECHO: Duration = Duration::from_secs(2);
const SILENCE: Duration = Duration::from_secs(6);
const RESEND: Duration = Duration::from_secs(8);
/// A forwarded write begins so long after its token was given out, or never.
pub const WRITE_LIFE: Duration = Duration::from_secs(4);

#[derive(Debug, Clone, Copy)]
pub enum Message {
    /// LUN_ACTIVE or REGISTER_LUN with its generation.
    Active(u64),
    Deregister,
    /// DEREGISTER_LUN with a generation: that claim was given up.
    GivenUp(u64),
    /// End of a registration round; was the LU mentioned?
    Round(bool),
    /// A probe, with its nonce.
    Echo(u64),
    Read {
        op: u64,
        block: usize,
    },
    /// A write under the policy `non-optimized`.
    Write {
        op: u64,
        block: usize,
        durable: bool,
        generation: u64,
        /// Nonce of the receiver's newest probe.
        token: u64,
    },
    /// `done`: GOOD, else it did not and will not happen.
    WriteReply {
        op: u64,
        done: bool,
    },
    ReadReply {
        op: u64,
        value: Option<u64>,
    },
}

pub struct Envelope {
    at: Duration,
    to: usize,
    incarnation: u64,
    message: Message,
}

impl World {
    /// Loses, repeats, delays and reorders.
    pub fn send(&mut self, from: usize, message: Message) {
        if !self.nodes[from].enabled && !matches!(message, Message::Echo(_) | Message::Deregister) {
            return;
        }
        let mut copies = 1;
        if !self.quiet {
            if self.partitioned || self.rng.chance(5) {
                copies = 0;
                self.count("message lost");
            } else if self.rng.chance(5) {
                copies = 2;
                self.count("message repeated");
            }
        }
        for copy in 0..copies {
            // The second copy often comes when the first one has long been answered.
            let behind = copy > 0 && self.rng.chance(40);
            let late = !self.quiet && self.rng.chance(5);
            if late {
                self.count("message delayed");
            }
            self.channel.push(Envelope {
                at: self.now
                    + self.rng.ms(match (late, behind) {
                        (true, _) => 40_000,
                        (_, true) => 5_000,
                        _ => 60,
                    }),
                to: 1 - from,
                incarnation: self.nodes[from].incarnation,
                message,
            });
        }
    }

    pub fn deliver(&mut self) -> Verdict {
        let mut i = 0;
        while i < self.channel.len() {
            // After a pause what was begun may go on before anything is heard.
            let frozen = self.now < self.nodes[self.channel[i].to].frozen_until + Duration::from_millis(200);
            if frozen || self.channel[i].at > self.now {
                i += 1;
                continue;
            }
            if self.channel[..i].iter().any(|earlier| earlier.to == self.channel[i].to) {
                self.count("message reordered");
            }
            let envelope = self.channel.remove(i);
            if self.nodes[envelope.to].up {
                self.receive(envelope)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, envelope: Envelope) -> Verdict {
        let n = envelope.to;
        let (now, node) = (self.now, &mut self.nodes[n]);
        node.heard_at = now;
        let restarted = node.peer_incarnation != Some(envelope.incarnation);
        if restarted {
            node.says = None;
            node.peer_incarnation = Some(envelope.incarnation);
        }
        if restarted || !node.peer_up {
            node.peer_up = true;
            if !self.broken(Rule::FencedIsCleared) {
                self.nodes[n].fenced = false;
            }
            self.feed(n, Event::PeerUp)?;
            self.round(n);
        }
        match envelope.message {
            Message::Echo(token) => {
                if self.nodes[n].peer_token < Some(token) {
                    self.nodes[n].peer_token = Some(token);
                    self.nodes[n].peer_token_at = self.now;
                }
                Ok(())
            }
            Message::Active(generation) => {
                self.nodes[n].peer_generation = self.nodes[n].peer_generation.max(generation);
                self.nodes[n].says = Some(AccessState::Active);
                self.registration(n, Some(generation))
            }
            Message::Deregister => {
                self.nodes[n].says = None;
                self.registration(n, None)
            }
            Message::GivenUp(generation) => {
                self.nodes[n].given_up = self.nodes[n].given_up.max(Some(generation));
                self.nodes[n].says = Some(AccessState::Standby);
                Ok(())
            }
            Message::Round(true) => Ok(()),
            Message::Round(false) => {
                self.nodes[n].says = Some(AccessState::Standby);
                self.registration(n, None)
            }
            Message::Read { op, block } => {
                if self.nodes[n].active() {
                    let due = self.now + self.rng.ms(50);
                    self.nodes[n].tasks.push(Task {
                        op,
                        block,
                        write: None,
                        durable: false,
                        started: None,
                        start_by: None,
                        limit: None,
                        due,
                        landed: false,
                        forwarded: true,
                    });
                } else {
                    self.send(n, Message::ReadReply { op, value: None });
                }
                Ok(())
            }
            Message::ReadReply { op, value } => self.read_ends(op, value),
            Message::Write {
                op,
                block,
                durable,
                generation,
                token,
            } => {
                self.forwarded_write(n, op, block, durable, generation, token);
                Ok(())
            }
            Message::WriteReply { op, done } => {
                self.write_ends(op, done);
                Ok(())
            }
        }
    }

    /// The owner's checks of 7.7.
    fn forwarded_write(&mut self, n: usize, op: u64, block: usize, durable: bool, generation: u64, token: u64) {
        if !self.nodes[n].seen.insert(op) && !self.broken(Rule::WriteOnce) {
            return self.count("repeated write dropped");
        }
        let issued = self.nodes[n]
            .tokens
            .iter()
            .find(|(nonce, _)| *nonce == token)
            .map(|(_, at)| *at);
        let start_by = match issued {
            _ if self.broken(Rule::WriteToken) => Some(Duration::MAX),
            issued => issued.map(|at| at + WRITE_LIFE).filter(|by| self.now < *by),
        };
        let ours = self.nodes[n].state.generation() == Some(generation);
        if !self.nodes[n].active() || !ours || start_by.is_none() {
            self.count("late write refused");
            return self.send(n, Message::WriteReply { op, done: false });
        }
        let due = self.now + self.access_time();
        self.count("forwarded write");
        self.nodes[n].tasks.push(Task {
            op,
            block,
            write: Some(op),
            durable,
            started: None,
            start_by: start_by.filter(|_| !self.broken(Rule::WriteStart)),
            limit: issued.map(|at| at + WRITE_LIFE),
            due,
            landed: false,
            forwarded: true,
        });
    }

    /// Held while the mode is disabled, the newest only.
    fn registration(&mut self, n: usize, generation: Option<u64>) -> Verdict {
        if !self.nodes[n].enabled {
            self.nodes[n].held = Some(generation);
            return Ok(());
        }
        let still_ours = !self.nodes[n].state.store_open() || self.still_ours(n);
        self.feed(
            n,
            match generation {
                Some(_) => Event::PeerActive { generation, still_ours },
                None => Event::PeerDeregister,
            },
        )
    }

    /// What is Active here was announced just before.
    fn round(&mut self, n: usize) {
        let active = self.nodes[n].active();
        self.send(n, Message::Round(active));
    }

    pub fn enable(&mut self, n: usize) -> Verdict {
        self.nodes[n].enabled = true;
        self.feed(n, Event::AluaEnable)?;
        self.round(n);
        match self.nodes[n].held.take() {
            Some(held) => self.registration(n, held),
            None => Ok(()),
        }
    }

    pub fn disable(&mut self, n: usize) -> Verdict {
        self.nodes[n].enabled = false;
        self.feed(n, Event::AluaDisable)
    }

    /// The daemon of this node was replaced: nothing is known of the peer until it is heard again.
    pub fn replace_door(&mut self, n: usize) -> Verdict {
        self.count("door replaced");
        if self.broken(Rule::WriteOnceForAllDoors) {
            self.nodes[n].seen.clear();
        }
        self.peer_gone(n)
    }

    fn peer_gone(&mut self, n: usize) -> Verdict {
        self.nodes[n].peer_up = false;
        self.outlast_all(n);
        self.feed(n, Event::PeerDown)
    }

    pub fn liveness(&mut self, n: usize) -> Verdict {
        if self.now >= self.nodes[n].next_echo {
            self.nodes[n].next_echo = self.now + ECHO;
            let nonce = self.next_value;
            self.next_value += 1;
            let (now, tokens) = (self.now, &mut self.nodes[n].tokens);
            tokens.push_front((nonce, now));
            tokens.truncate(8);
            self.send(n, Message::Echo(nonce));
        }
        if self.now >= self.nodes[n].next_register && self.nodes[n].active() {
            self.nodes[n].next_register = self.now + RESEND;
            let generation = self.nodes[n].state.generation().expect("Active");
            self.send(n, Message::Active(generation));
        }
        if self.nodes[n].peer_up && self.now > self.nodes[n].heard_at + SILENCE {
            self.count("peer down");
            return self.peer_gone(n);
        }
        Ok(())
    }
}
