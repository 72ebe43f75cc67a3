use super::super::message::{Body, Message};
use crate::types::{DevId, Guid};
use std::collections::BTreeMap;

/// A port or LU of the peer. Ports come first: commands need them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    Port(DevId),
    Lu(Guid),
}

impl Object {
    /// What a registration or its withdrawal is about.
    pub fn of(body: &Body) -> Option<Object> {
        Some(match body {
            Body::RegisterPort { port, .. } | Body::DeregisterPort { port, .. } => Object::Port(port.ident.clone()),
            Body::RegisterLun(lun) | Body::DeregisterLun(lun) | Body::LunActive(lun) => Object::Lu(lun.guid),
            _ => return None,
        })
    }
}

/// Registrations that arrived while ALUA mode is off here, the newest per object (ruling 1, hazard H13).
#[derive(Default)]
pub(super) struct Held {
    messages: BTreeMap<Object, Message>,
}

impl Held {
    pub fn hold(&mut self, message: Message, limit: usize) {
        let Some(object) = Object::of(&message.body) else {
            return;
        };
        if self.messages.len() >= limit && !self.messages.contains_key(&object) {
            log::warn!(
                "pppt: the peer registered more than {limit} objects while ALUA is disabled; {object:?} ignored"
            );
            return;
        }
        self.messages.insert(object, message);
    }

    pub fn take(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages).into_values().collect()
    }

    pub fn clear(&mut self) {
        self.messages.clear();
    }
}
