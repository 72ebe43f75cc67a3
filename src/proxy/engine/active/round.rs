use super::super::super::message::{Body, Sync};
use super::super::held::Object;
use crate::types::{DevId, Guid};
use std::collections::BTreeSet;

/// What the peer mentioned in its registration round (`icx_sync`, `alua-proxy.md` 5.12, hazard H14). Only a round that
/// arrived whole says what is gone: the sender gives the number of its objects at the end.
#[derive(Default)]
pub(in super::super) struct Round {
    mentioned: BTreeSet<Object>,
    spoilt: bool,
}

impl Round {
    pub fn note(&mut self, body: &Body, sync: Option<Sync>) {
        let Some(object) = Object::of(body) else { return };
        if matches!(body, Body::DeregisterPort { .. } | Body::DeregisterLun(_)) {
            self.mentioned.remove(&object);
        } else if sync.is_some() {
            self.mentioned.insert(object);
        }
    }

    /// Messages are missing. What was lost before the round began does not matter to it.
    pub fn spoil(&mut self) {
        self.spoilt |= !self.mentioned.is_empty();
    }

    pub fn clear(&mut self) {
        *self = Round::default();
    }

    /// Ports and LUs of a whole round; `None` when some are missing.
    pub fn end(&mut self, objects: Option<u32>) -> Option<(Vec<DevId>, Vec<Guid>)> {
        let round = std::mem::take(self);
        let whole = objects.and_then(|n| usize::try_from(n).ok()) == Some(round.mentioned.len());
        if round.spoilt || !whole {
            return None;
        }
        let (mut ports, mut lus) = (Vec::new(), Vec::new());
        for object in round.mentioned {
            match object {
                Object::Port(port) => ports.push(port),
                Object::Lu(guid) => lus.push(guid),
            }
        }
        Some((ports, lus))
    }
}
