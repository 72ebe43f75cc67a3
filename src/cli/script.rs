//! A scripted service for tests: it insists on exactly the calls it was told of, in order.

use super::{Console, Service};
use crate::framework::Effect;
use crate::types::Status;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

type Answer = Result<Box<dyn Any>, Status>;

/// Expected calls and their answers.
#[derive(Default)]
pub struct Script {
    answers: RefCell<VecDeque<(String, Answer)>>,
    pauses: Cell<u32>,
    /// Is it a rehearsal, and what it is told to do.
    telling: RefCell<Option<(bool, Vec<Effect>)>>,
}

impl Script {
    pub fn new() -> Script {
        Script::default()
    }

    /// The next call reads `call` and succeeds.
    pub fn ok<T: 'static>(self, call: &str, value: T) -> Script {
        self.answers
            .borrow_mut()
            .push_back((call.to_owned(), Ok(Box::new(value))));
        self
    }

    /// The next call reads `call` and fails.
    pub fn fail(self, call: &str, status: Status) -> Script {
        self.answers.borrow_mut().push_back((call.to_owned(), Err(status)));
        self
    }

    /// The tool wants to be told, in a rehearsal or not, and these are the effects.
    pub fn told(self, rehearsal: bool, effects: Vec<Effect>) -> Script {
        *self.telling.borrow_mut() = Some((rehearsal, effects));
        self
    }

    pub(super) fn asked_to_tell(&self, rehearsal: bool) {
        let telling = self.telling.borrow();
        assert_eq!(telling.as_ref().map(|(rehearsal, _)| *rehearsal), Some(rehearsal));
    }

    pub(super) fn effects(&self) -> Vec<Effect> {
        self.telling.take().expect("asked to tell before").1
    }

    /// How often the tool let time pass.
    pub fn pauses(&self) -> u32 {
        self.pauses.get()
    }

    pub(super) fn paused(&self, _: Duration) {
        self.pauses.set(self.pauses.get() + 1);
    }

    pub(super) fn answer<T: 'static>(&self, call: &str) -> Result<T, Status> {
        let (expected, answer) = self
            .answers
            .borrow_mut()
            .pop_front()
            .unwrap_or_else(|| panic!("call that nobody expected: {call}"));
        assert_eq!(call, expected);
        answer.map(|value| {
            *value
                .downcast::<T>()
                .unwrap_or_else(|_| panic!("answer of the wrong type for {call}"))
        })
    }
}

/// What a run left behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub status: u8,
    pub out: String,
    pub err: String,
}

/// Runs a tool on a command line that is cut at single spaces; every scripted call must have been made.
pub fn run(tool: fn(&[String], &dyn Service, &mut Console<'_>) -> u8, line: &str, script: &Script) -> Ran {
    let mut words = line.split(' ').map(str::to_owned);
    let program = words.next().unwrap();
    let arguments: Vec<String> = words.collect();
    run_words(tool, &program, &arguments, script)
}

/// As [`run`], for arguments with spaces.
pub fn run_words(
    tool: fn(&[String], &dyn Service, &mut Console<'_>) -> u8,
    program: &str,
    arguments: &[String],
    script: &Script,
) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = tool(arguments, script, &mut Console::new(program, &mut out, &mut err));
    let rest: Vec<String> = script.answers.borrow().iter().map(|(call, _)| call.clone()).collect();
    assert_eq!(rest, Vec::<String>::new(), "calls that were not made");
    assert!(script.telling.borrow().is_none(), "effects that nobody asked for");
    Ran {
        status,
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

/// A run with its three results, for `assert_eq!`.
pub fn ran(status: u8, out: &str, err: &str) -> Ran {
    Ran {
        status,
        out: out.to_owned(),
        err: err.to_owned(),
    }
}
