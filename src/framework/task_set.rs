//! The task set of an LU (SAM-4 8.8): which of its commands may be executed now. Pure.
//!
//! A command is *enabled* (it may be executed) or *dormant* (it waits). HEAD OF QUEUE commands are enabled at once. SIMPLE ones
//! wait for every HEAD OF QUEUE command and for older ORDERED ones, ORDERED ones for every HEAD OF QUEUE command and for all older
//! ones. What is enabled stays so.

use std::collections::{BTreeMap, BTreeSet};

/// What decides about the order (SAM-4 8.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// SIMPLE.
    Simple,
    /// ORDERED.
    Ordered,
    /// HEAD OF QUEUE.
    HeadOfQueue,
}

/// The set. Members have numbers that rise with their arrival.
#[derive(Debug, Default)]
pub struct TaskSet {
    members: BTreeMap<u64, Attribute>,
    dormant: BTreeSet<u64>,
    ordered: BTreeSet<u64>,
    heads: usize,
    last: u64,
}

impl TaskSet {
    /// Takes in a command that is younger than all others. Its number, and whether it is enabled.
    pub fn enter(&mut self, attribute: Attribute) -> (u64, bool) {
        self.last += 1;
        let number = self.last;
        let enabled = self.may_begin(number, attribute);
        self.members.insert(number, attribute);
        match attribute {
            Attribute::Simple => {}
            Attribute::Ordered => {
                self.ordered.insert(number);
            }
            Attribute::HeadOfQueue => self.heads += 1,
        }
        if !enabled {
            self.dormant.insert(number);
        }
        (number, enabled)
    }

    /// A command has ended, or was aborted. Those that are enabled by that, oldest first. Nothing when it is not there.
    pub fn leave(&mut self, number: u64) -> Vec<u64> {
        match self.members.remove(&number) {
            Some(Attribute::HeadOfQueue) => self.heads -= 1,
            Some(Attribute::Ordered) => {
                self.ordered.remove(&number);
            }
            Some(Attribute::Simple) => {}
            None => return Vec::new(),
        }
        self.dormant.remove(&number);
        let mut enabled = Vec::new();
        // What holds one dormant command holds all younger ones.
        while let Some(&next) = self.dormant.first()
            && self.may_begin(next, self.members[&next])
        {
            self.dormant.remove(&next);
            enabled.push(next);
        }
        enabled
    }

    /// True when a member may be executed.
    pub fn enabled(&self, number: u64) -> bool {
        !self.dormant.contains(&number)
    }

    /// True when there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn may_begin(&self, number: u64, attribute: Attribute) -> bool {
        match attribute {
            Attribute::HeadOfQueue => true,
            _ if self.heads > 0 => false,
            Attribute::Ordered => self
                .members
                .first_key_value()
                .is_none_or(|(&oldest, _)| oldest >= number),
            Attribute::Simple => self.ordered.first().is_none_or(|&oldest| oldest > number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Attribute::{HeadOfQueue, Ordered, Simple};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn simple_commands_run_together() {
        let mut set = TaskSet::default();
        assert_eq!((set.enter(Simple), set.enter(Simple)), ((1, true), (2, true)));
        assert_eq!(set.leave(1), Vec::<u64>::new());
        assert!(!set.is_empty());
        assert_eq!(set.leave(2), Vec::<u64>::new());
        assert!(set.is_empty());
    }

    #[test]
    fn an_ordered_command_waits_for_the_older_and_holds_the_younger() {
        let mut set = TaskSet::default();
        for (attribute, expected) in [
            (Simple, true),
            (Simple, true),
            (Ordered, false),
            (Simple, false),
            (Simple, false),
        ] {
            assert_eq!(set.enter(attribute).1, expected);
        }
        assert_eq!(set.leave(2), Vec::<u64>::new());
        assert_eq!(set.leave(1), [3]);
        assert!(set.enabled(3) && !set.enabled(4));
        assert_eq!(set.leave(3), [4, 5]);
    }

    #[test]
    fn the_head_of_the_queue_starts_at_once_and_holds_all_that_have_not_begun() {
        let mut set = TaskSet::default();
        for (attribute, expected) in [
            (Ordered, true),
            (HeadOfQueue, true),
            (Simple, false),
            (HeadOfQueue, true),
        ] {
            assert_eq!(set.enter(attribute).1, expected);
        }
        assert_eq!((set.leave(1), set.leave(4)), (vec![], vec![]));
        assert_eq!(set.leave(2), [3]);
    }

    #[test]
    fn an_aborted_command_that_waited_holds_nobody() {
        let mut set = TaskSet::default();
        set.enter(Simple);
        set.enter(Ordered);
        set.enter(Simple);
        assert_eq!(set.leave(2), [3]);
        assert_eq!(set.leave(2), Vec::<u64>::new(), "it is gone already");
    }

    /// The rules as SAM-4 8.7 has them, looked up in a list.
    #[derive(Default)]
    struct Model(Vec<(u64, Attribute, bool)>);

    impl Model {
        fn may_begin(&self, number: u64, attribute: Attribute) -> bool {
            let heads = self.0.iter().any(|(_, other, _)| *other == HeadOfQueue);
            let older = || self.0.iter().filter(|(other, ..)| *other < number);
            match attribute {
                HeadOfQueue => true,
                Ordered => !heads && older().next().is_none(),
                Simple => !heads && older().all(|(_, other, _)| *other != Ordered),
            }
        }

        fn enter(&mut self, number: u64, attribute: Attribute) -> bool {
            let enabled = self.may_begin(number, attribute);
            self.0.push((number, attribute, enabled));
            enabled
        }

        fn leave(&mut self, number: u64) -> Vec<u64> {
            self.0.retain(|(other, ..)| *other != number);
            let mut enabled = Vec::new();
            for at in 0..self.0.len() {
                let (other, attribute, before) = self.0[at];
                if !before && self.may_begin(other, attribute) {
                    self.0[at].2 = true;
                    enabled.push(other);
                }
            }
            enabled
        }
    }

    fn attribute() -> impl Strategy<Value = Attribute> {
        prop_oneof![4 => Just(Simple), 2 => Just(Ordered), 1 => Just(HeadOfQueue)]
    }

    proptest! {
        #[test]
        fn does_what_the_standard_says(steps in proptest::collection::vec((any::<bool>(), attribute(), any::<prop::sample::Index>()), 1..80)) {
            let (mut set, mut model) = (TaskSet::default(), Model::default());
            for (enter, attribute, which) in steps {
                if enter || model.0.is_empty() {
                    let (number, enabled) = set.enter(attribute);
                    prop_assert_eq!(enabled, model.enter(number, attribute));
                } else {
                    // Enabled ones end, dormant ones are aborted.
                    let number = which.get(&model.0).0;
                    prop_assert_eq!(set.leave(number), model.leave(number));
                }
                for (number, _, enabled) in &model.0 {
                    prop_assert_eq!(set.enabled(*number), *enabled);
                }
            }
            // Nothing waits for ever: whatever is there, something of it is enabled.
            while let Some(&(number, ..)) = model.0.iter().find(|(.., enabled)| *enabled) {
                prop_assert_eq!(set.leave(number), model.leave(number));
            }
            prop_assert!(model.0.is_empty() && set.is_empty());
        }
    }
}
