//! A channel between two of our nodes that loses, repeats and reorders: every command ends exactly once, and never with GOOD
//! and other data than the active node read.

use super::*;
use crate::scsi::ScsiStatus;
use proptest::prelude::*;

/// What happens to one message.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    Lost,
    Twice,
    /// Behind the next one.
    Late,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        1 => Just(Fate::Late),
    ]
}

/// Data of the command with this tag.
fn data(tag: u8, length: usize) -> Vec<u8> {
    pattern(length).into_iter().map(|byte| byte ^ tag).collect()
}

fn carry(from: &mut Node, to: &mut Node, now: Duration, fates: &mut impl Iterator<Item = Fate>, faults: &mut usize) {
    let mut late: Option<Message> = None;
    for message in from.sent() {
        let fate = fates.next().unwrap_or(Fate::Arrives);
        *faults += usize::from(!matches!(fate, Fate::Arrives));
        match fate {
            Fate::Arrives => to.post(now, message),
            Fate::Lost => {}
            Fate::Twice => {
                to.post(now, message.clone());
                to.post(now, message);
            }
            Fate::Late => {
                if let Some(former) = late.replace(message) {
                    to.post(now, former);
                }
                continue;
            }
        }
        if let Some(message) = late.take() {
            to.post(now, message);
        }
    }
    if let Some(message) = late {
        to.post(now, message);
    }
}

/// Lets the active node execute what it was given.
fn execute(node: &mut Node, now: Duration, length: usize) {
    for command in std::mem::take(&mut node.started) {
        node.engine
            .finished(now, command.id, Outcome::data_in(data(command.cdb[1], length)));
    }
    for management in std::mem::take(&mut node.managed) {
        node.engine.managed(now, management.id, TmResponse::Complete);
    }
    node.perform(now);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Hazards H17 and H21: with loss, repetition and reordering every task ends once, with its own data.
    #[test]
    fn commands_end_once_and_never_with_wrong_data(
        fates in proptest::collection::vec(fate(), 50..400),
        length in 1usize..40_000,
        commands in 1u8..20,
    ) {
        let mut pair = Pair::up();
        // Many pieces of little data.
        pair.a.engine.config.piece = 4096;
        let mut fates = fates.into_iter();
        let mut faults = 0;
        for tag in 0..commands {
            let mut cdb = [0x28; 10];
            cdb[1] = tag;
            let expected = Expected { read: true, write: false, length: u32::try_from(length).unwrap() };
            pair.b.forward(pair.now, u64::from(tag), &cdb, expected, &[]);
        }
        for _ in 0..400 {
            pair.now += SECOND / 4;
            pair.a.tick(pair.now);
            pair.b.tick(pair.now);
            let Pair { now, a, b } = &mut pair;
            carry(b, a, *now, &mut fates, &mut faults);
            execute(a, *now, length);
            carry(a, b, *now, &mut fates, &mut faults);
        }
        prop_assert!(faults > 0 || fates.len() > 0, "the channel was never at fault");
        let mut outcomes = pair.b.outcomes();
        outcomes.sort_by_key(|(tag, _)| *tag);
        let tags: Vec<u64> = outcomes.iter().map(|(tag, _)| *tag).collect();
        prop_assert_eq!(tags, (0..u64::from(commands)).collect::<Vec<_>>());
        for (tag, outcome) in outcomes {
            if outcome.status == ScsiStatus::Good {
                prop_assert!(outcome.data == data(u8::try_from(tag).unwrap(), length), "task {}", tag);
            }
        }
        prop_assert!(pair.a.engine.active.is_idle() && pair.b.engine.standby.is_idle());
    }
}
