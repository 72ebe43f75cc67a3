use super::counters::count;
use super::dispatcher::Dispatcher;
use super::engine::{Class, own_handshake};
use super::lane::Lane;
use super::message::{Body, Capabilities, Handshake, Integrity, Message};
use super::provider::Shared;
use super::queue::Event;
use super::sender::Sender;
use crate::types::{NodeId, Status};
use parking_lot::Mutex;
use std::sync::Arc;

/// Where messages of the peer come in.
#[derive(Clone)]
pub(super) struct Entrance {
    pub shared: Arc<Shared>,
    pub dispatcher: Arc<Mutex<Dispatcher>>,
}

impl Entrance {
    /// Handles what was left, unless another thread does.
    pub fn help(&self) {
        Dispatcher::help(&self.dispatcher, &self.shared.queue);
    }

    /// Leaves a message of the peer for [`Entrance::help`]; its parts as for [`Message::from_parts`], and the lane that it came
    /// through, if it did.
    pub fn leave(&self, sender: &Sender, lane: Option<&Lane>, head: &[u8], raw: Vec<u8>) -> Result<(), Status> {
        let counters = &self.shared.life.counters;
        let integrity = lane.map_or(Integrity::Checksum, Lane::integrity);
        let length = head.len() + raw.len();
        let message = match Message::from_parts(head, raw, integrity) {
            Ok(message) => message,
            Err(error) if error.is_malformed() => {
                count(&counters.refused);
                let limiter = &self.shared.life.limiter;
                limiter.warn(format_args!("{length} bytes of the peer are no message: {error}"));
                return Err(Status::PostMsgFailed);
            }
            Err(error) => {
                count(&counters.dropped);
                let limiter = &self.shared.life.limiter;
                limiter.warn(format_args!("message of the peer dropped: {error}"));
                return Ok(());
            }
        };
        let enabled = *self.shared.enabled.lock();
        if enabled.is_none() && !is_registration(&message.body) {
            count(&counters.refused);
            return Err(Status::PostMsgFailed);
        }
        counters.received(&message.body);
        let limit = self.shared.life.config.receive_queue;
        let echo = match (&message.body, enabled) {
            (Body::EchoRequest(data), Some(node)) => Some(self.echo(data, node, integrity)),
            (Body::EchoReply(data), _) => {
                let there = Handshake::from_reply(data).map(|peer| peer.capabilities);
                if let Some(lane) = lane.filter(|_| there.is_some_and(|peer| peer.has(Capabilities::SEALED))) {
                    lane.set_sealed_there();
                }
                None
            }
            _ => None,
        };
        let event = Event::Message(sender.door(), message);
        match echo {
            None => self.shared.queue.leave(event, limit),
            Some(reply) => {
                // At once, whatever else is waiting (8.5); but a flood of them fills no memory.
                if !sender.full() {
                    sender.enqueue(Class::Control, Message::new(0, Body::EchoReply(reply)));
                    sender.flush();
                }
                self.shared.queue.leave_if_room(event, 2 * limit);
            }
        }
        Ok(())
    }

    fn echo(&self, data: &[u8], node: NodeId, integrity: Integrity) -> Vec<u8> {
        let Some(probe) = Handshake::from_probe(data) else {
            return data.to_vec();
        };
        let mut own = own_handshake(self.shared.life.seeds, node, probe.nonce);
        if integrity == Integrity::Records {
            own.capabilities = own.capabilities.with(Capabilities::SEALED);
        }
        own.reply()
    }
}

/// Held while ALUA mode is disabled (ruling 1).
fn is_registration(body: &Body) -> bool {
    matches!(
        body,
        Body::RegisterPort { .. }
            | Body::DeregisterPort { .. }
            | Body::RegisterLun(_)
            | Body::DeregisterLun(_)
            | Body::LunActive(_)
    )
}
