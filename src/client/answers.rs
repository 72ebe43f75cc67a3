//! Answers that are remembered as long as they are known to be true ([`crate::changes`]): cluster software looks an LU up by
//! listing all of them and asking each one for its file, again and again.
#![forbid(unsafe_code)]

use super::LuResource;
use crate::changes::{Stamp, Watch};
use crate::types::Guid;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Snapshots kept, a few hundred bytes each.
const MOST: usize = 10_000;

/// Answers of one service with one stamp.
#[derive(Default)]
pub(super) struct Answers {
    of: Option<(Weak<Watch>, Stamp)>,
    list: Option<Vec<Guid>>,
    resources: HashMap<Guid, LuResource>,
}

impl Answers {
    /// These answers, if they are true now.
    pub fn valid(&self, watch: &Arc<Watch>) -> Option<&Answers> {
        let (of, stamp) = self.of.as_ref()?;
        (of.as_ptr() == Arc::as_ptr(watch) && watch.still(*stamp)).then_some(self)
    }

    /// To keep answers with this stamp; those with another one go.
    pub fn begin(&mut self, watch: &Arc<Watch>, stamp: Stamp) {
        let same = |(of, kept): &(Weak<Watch>, Stamp)| of.as_ptr() == Arc::as_ptr(watch) && *kept == stamp;
        if !self.of.as_ref().is_some_and(same) {
            *self = Answers {
                of: Some((Arc::downgrade(watch), stamp)),
                ..Answers::default()
            };
        }
    }

    pub fn list(&self) -> Option<Vec<Guid>> {
        self.list.clone()
    }

    pub fn keep_list(&mut self, list: Vec<Guid>) {
        self.list = Some(list);
    }

    pub fn resource(&self, guid: &Guid) -> Option<LuResource> {
        self.resources.get(guid).cloned()
    }

    pub fn keep_resource(&mut self, guid: Guid, resource: LuResource) {
        if self.resources.len() < MOST {
            self.resources.insert(guid, resource);
        }
    }
}
