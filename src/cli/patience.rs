//! `--wait[=SECONDS]` (`cli.md` 10.4): how long a tool waits for an object to get where it should be.
#![forbid(unsafe_code)]

use super::Service;
use super::command_line::{DRY_RUN, Invocation, WAIT};
use crate::types::Status;
use std::time::Duration;

/// Between two looks, or two requests to an object that is busy.
const PAUSE: Duration = Duration::from_millis(300);
/// Looks without the option: nine seconds (`cli.md` 2.9).
const LOOKS: u32 = 30;
/// Longest wait that can be asked for, in seconds.
const LONGEST: f64 = 86400.0;

/// How many pauses are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// `None`: as long as it takes.
    pauses: Option<u32>,
    /// An object that is busy is asked again.
    insistent: bool,
    /// The state is not looked at.
    none: bool,
}

impl Patience {
    /// What the command line asks for; without the option that of the original. In a rehearsal there is nothing to wait for.
    pub fn asked(invocation: &Invocation) -> Result<Patience, String> {
        let pauses = match invocation.value(WAIT) {
            None => Some(LOOKS - 1),
            Some("") => None,
            Some(text) => {
                let seconds = text
                    .parse::<f64>()
                    .ok()
                    .filter(|seconds| (0.0..=LONGEST).contains(seconds));
                let seconds = seconds.ok_or_else(|| format!("{text}: seconds to wait must be 0 to {LONGEST}"))?;
                // Within u32 by the bound above.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                Some((seconds / PAUSE.as_secs_f64()).ceil() as u32)
            }
        };
        let waits = invocation.has(WAIT);
        Ok(Patience {
            pauses,
            insistent: waits,
            none: waits && pauses == Some(0) || invocation.has(DRY_RUN),
        })
    }

    /// `--wait=0`: the request is all.
    pub fn is_none(&self) -> bool {
        self.none
    }

    /// Lets time pass; false when there is none left.
    pub fn pause(&mut self, service: &dyn Service) -> bool {
        match &mut self.pauses {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        service.pause(PAUSE);
        true
    }

    /// Asks, with the option again and again while the object is busy.
    pub fn ask<T>(&mut self, service: &dyn Service, ask: impl Fn() -> Result<T, Status>) -> Result<T, Status> {
        loop {
            match ask() {
                Err(Status::Busy | Status::LuBusy) if self.insistent && !self.none && self.pause(service) => {}
                answer => return answer,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::script::Script;
    use std::cell::Cell;

    fn asked(value: Option<&str>) -> Result<Patience, String> {
        Patience::asked(&Invocation {
            options: value.map(|value| (WAIT, value.to_owned())).into_iter().collect(),
            ..Invocation::default()
        })
    }

    fn pauses(value: Option<&str>) -> u32 {
        let script = Script::new();
        let mut patience = asked(value).unwrap();
        while script.pauses() < 1000 && patience.pause(&script) {}
        script.pauses()
    }

    #[test]
    fn seconds() {
        assert_eq!((pauses(None), pauses(Some("")), pauses(Some("0"))), (29, 1000, 0));
        assert_eq!(
            (pauses(Some("1")), pauses(Some("0.1")), pauses(Some("30"))),
            (4, 1, 100)
        );
        assert!(asked(Some("0")).unwrap().is_none() && !asked(None).unwrap().is_none());
        for bad in ["x", "-1", "86401", "NaN", "inf", "1s"] {
            assert!(asked(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn busy_objects_are_asked_again_only_with_the_option() {
        let count = Cell::new(0);
        let busy_twice = || {
            count.set(count.get() + 1);
            if count.get() < 3 { Err(Status::Busy) } else { Ok(()) }
        };
        let script = Script::new();
        assert_eq!(asked(None).unwrap().ask(&script, busy_twice), Err(Status::Busy));
        assert_eq!(asked(Some("9")).unwrap().ask(&script, busy_twice), Ok(()));
        assert_eq!((count.get(), script.pauses()), (3, 1));
    }
}
