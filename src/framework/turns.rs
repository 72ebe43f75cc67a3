//! The order of the commands of one LU: a [`TaskSet`] that many threads share, and what waits in it.
//!
//! As long as all commands are SIMPLE there is nothing to decide and nobody is entered: a command costs the look at one flag.
//! The first ORDERED or HEAD OF QUEUE command enters those that are under way as one member, the *crowd*, which leaves when the
//! last of them is gone; from then on everybody is entered, until nobody is left.

use super::TaskAttribute;
use super::task_set::{Attribute, TaskSet};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};

/// Goes on with a command, or ends it when it was stopped meanwhile.
type Run = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    set: TaskSet,
    /// Dormant commands that are complete otherwise.
    waiting: HashMap<u64, Run>,
}

/// The order of one LU.
#[derive(Default)]
pub(super) struct Turns {
    /// The set has members.
    managed: AtomicBool,
    state: Mutex<State>,
}

/// The place of one command in the set. It keeps it until [`Turn::leave`].
pub(super) struct Turn {
    turns: Arc<Turns>,
    number: u64,
}

impl Turns {
    /// A command arrives. `None`: there is nothing to wait for. Called with the lock of the nexus's tasks held, so that
    /// whoever is not entered here is seen by the one who counts the crowd.
    ///
    /// The second place, if any, is that of the crowd: the caller lets it leave when the commands that are under way without a
    /// place are gone.
    pub fn enter(self: &Arc<Self>, attribute: TaskAttribute) -> (Option<Turn>, Option<Turn>) {
        let attribute = match attribute {
            TaskAttribute::Ordered => Attribute::Ordered,
            TaskAttribute::HeadOfQueue => Attribute::HeadOfQueue,
            // There is no ACA condition without NACA (SAM-4 8.7.5).
            TaskAttribute::Untagged | TaskAttribute::Simple | TaskAttribute::Aca => Attribute::Simple,
        };
        if attribute == Attribute::Simple && !self.managed.load(Ordering::Acquire) {
            return (None, None);
        }
        let set = &mut self.state.lock().set;
        let place = |number| Turn {
            turns: self.clone(),
            number,
        };
        let crowd = set.is_empty().then(|| set.enter(Attribute::Simple).0);
        if attribute == Attribute::Simple
            && let Some(crowd) = crowd
        {
            // The last member left between the look at the flag and now.
            set.leave(crowd);
            return (None, None);
        }
        self.managed.store(true, Ordering::Release);
        (Some(place(set.enter(attribute).0)), crowd.map(place))
    }
}

impl Turn {
    /// True when the command may be executed now.
    pub fn has_come(&self) -> bool {
        self.turns.state.lock().set.enabled(self.number)
    }

    /// Calls `run` when it may be executed, or, with [`Turn::withdraw`], when it was stopped; on this thread only when that is
    /// so already.
    pub fn wait(&self, stopped: impl Fn() -> bool, run: Run) {
        let mut state = self.turns.state.lock();
        // Under the lock, so that a stop since then finds it waiting.
        if state.set.enabled(self.number) || stopped() {
            drop(state);
            return run();
        }
        state.waiting.insert(self.number, run);
    }

    /// The command was stopped. True when it waited: it goes on, to its end.
    pub fn withdraw(&self) -> bool {
        let waiting = self.turns.state.lock().waiting.remove(&self.number);
        waiting.map(go_on).is_some()
    }

    /// The command is over; what waited for it goes on. To do it again has no effect.
    pub fn leave(&self) {
        let next: Vec<Run> = {
            let mut state = self.turns.state.lock();
            let enabled = state.set.leave(self.number);
            if state.set.is_empty() {
                self.turns.managed.store(false, Ordering::Release);
            }
            enabled
                .into_iter()
                .filter_map(|number| state.waiting.remove(&number))
                .collect()
        };
        next.into_iter().for_each(go_on);
    }
}

/// On a thread of its own: who ends a command may hold locks that the next one needs, and a long queue would be a deep stack.
fn go_on(run: Run) {
    static RUNNER: OnceLock<Option<Sender<Run>>> = OnceLock::new();
    let runner = RUNNER.get_or_init(|| {
        let (sender, receiver) = channel::<Run>();
        let body = move || {
            for run in receiver {
                if catch_unwind(AssertUnwindSafe(run)).is_err() {
                    log::error!("a command that waited for its turn has panicked");
                }
            }
        };
        let thread = std::thread::Builder::new().name("task-set".into()).spawn(body);
        thread
            .map_err(|error| log::error!("a thread for commands that wait for their turn: {error}"))
            .is_ok()
            .then_some(sender)
    });
    let refused = match runner {
        Some(runner) => runner.send(run).err().map(|refused| refused.0),
        None => Some(run),
    };
    if let Some(run) = refused {
        run();
    }
}
