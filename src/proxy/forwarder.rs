use crate::framework::watch::{self, Watcher};
use parking_lot::Mutex;
use std::sync::Arc;

/// Commands that one watcher forwards in a row before it is worth its while to read the answers itself.
const ROW: u32 = 8;

/// Who forwards commands, if it is always the same watcher.
#[derive(Default)]
pub(super) struct Forwarder(Mutex<Row>);

#[derive(Default)]
struct Row {
    watcher: Option<Arc<dyn Watcher>>,
    length: u32,
}

impl Forwarder {
    /// The calling thread forwards a command.
    pub fn note(&self) {
        let own = watch::own();
        let mut row = self.0.lock();
        if is_same(&row.watcher, &own) {
            row.length = row.length.saturating_add(1);
        } else {
            *row = Row {
                watcher: own,
                length: 1,
            };
        }
    }

    /// The watcher that forwarded the last ones. It is not said again before it has forwarded as many more.
    pub fn take(&self) -> Option<Arc<dyn Watcher>> {
        let mut row = self.0.lock();
        if row.length < ROW {
            return None;
        }
        row.length = 0;
        row.watcher.clone()
    }

    /// Another one than this has forwarded the last ones.
    pub fn is_other(&self, present: &Arc<dyn Watcher>) -> bool {
        let row = self.0.lock();
        row.length >= ROW
            && row
                .watcher
                .as_ref()
                .is_none_or(|watcher| !Arc::ptr_eq(watcher, present))
    }
}

fn is_same(one: &Option<Arc<dyn Watcher>>, other: &Option<Arc<dyn Watcher>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framework::watch::Source;

    /// Not of size 0, so that two of them are not the same.
    struct Nobody(#[expect(dead_code, reason = "see above")] u8);

    impl Watcher for Nobody {
        fn watch(&self, _: Arc<dyn Source>) {}
    }

    fn note(forwarder: &Forwarder, watcher: &Arc<dyn Watcher>, times: u32) {
        watch::adopt(watcher.clone());
        (0..times).for_each(|_| forwarder.note());
    }

    #[test]
    fn the_one_that_forwards_several_in_a_row() {
        let forwarder = Forwarder::default();
        (0..ROW).for_each(|_| forwarder.note());
        assert!(forwarder.take().is_none(), "not a watcher");
        let watchers: [Arc<dyn Watcher>; 2] = [Arc::new(Nobody(1)), Arc::new(Nobody(2))];
        for _ in 0..ROW {
            watchers.iter().for_each(|watcher| note(&forwarder, watcher, ROW - 1));
            assert!(forwarder.take().is_none() && !forwarder.is_other(&watchers[0]));
        }
        note(&forwarder, &watchers[1], 1);
        assert!(forwarder.is_other(&watchers[0]) && !forwarder.is_other(&watchers[1]));
        assert!(forwarder.take().is_some_and(|other| Arc::ptr_eq(&other, &watchers[1])));
        assert!(forwarder.take().is_none(), "once");
    }
}
