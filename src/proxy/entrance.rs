use super::counters::count;
use super::dispatcher::Dispatcher;
use super::engine::{Class, own_handshake};
use super::message::{Body, Handshake, Message};
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

    /// Leaves a message of the peer for [`Entrance::help`].
    pub fn leave(&self, sender: &Sender, bytes: &[u8]) -> Result<(), Status> {
        let counters = &self.shared.life.counters;
        let message = match Message::decode(bytes) {
            Ok(message) => message,
            Err(error) if error.is_malformed() => {
                count(&counters.refused);
                let limiter = &self.shared.life.limiter;
                limiter.warn(format_args!(
                    "{} bytes of the peer are no message: {error}",
                    bytes.len()
                ));
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
            (Body::EchoRequest(data), Some(node)) => Some(self.echo(data, node)),
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

    fn echo(&self, data: &[u8], node: NodeId) -> Vec<u8> {
        match Handshake::from_probe(data) {
            Some(probe) => own_handshake(self.shared.life.seeds, node, probe.nonce).reply(),
            None => data.to_vec(),
        }
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
