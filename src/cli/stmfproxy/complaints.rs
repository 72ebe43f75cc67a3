//! Warnings that strangers can cause: each told once a minute, and few of them, so that nobody fills the log.
#![forbid(unsafe_code)]

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Different lines in one [`WINDOW`].
const LINES: usize = 8;
const WINDOW: Duration = Duration::from_secs(60);

/// What has been told lately.
#[derive(Default)]
pub struct Complaints {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    began: Option<Instant>,
    told: Vec<String>,
    left_out: u64,
}

impl Complaints {
    /// Logs a warning, or counts it. The first line of a window tells how many were left out before it.
    pub fn warn(&self, text: String) {
        match self.state.lock().admit(&text, Instant::now()) {
            Some(0) => log::warn!("{text}"),
            Some(left_out) => log::warn!("{text} ({left_out} such lines left out before)"),
            None => log::debug!("{text}"),
        }
    }
}

impl State {
    /// `None`: keep quiet.
    fn admit(&mut self, text: &str, now: Instant) -> Option<u64> {
        if self
            .began
            .is_none_or(|began| now.saturating_duration_since(began) >= WINDOW)
        {
            self.began = Some(now);
            self.told.clear();
        }
        if self.told.len() >= LINES || self.told.iter().any(|told| told == text) {
            self.left_out += 1;
            return None;
        }
        self.told.push(text.to_owned());
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_and_floods_are_counted() {
        let (mut state, now) = (State::default(), Instant::now());
        assert_eq!(state.admit("a", now), Some(0));
        assert_eq!((state.admit("a", now), state.admit("b", now)), (None, Some(1)));
        let told = (0..100).filter(|n| state.admit(&n.to_string(), now).is_some()).count();
        assert_eq!(told, LINES - 2);
        assert_eq!(state.admit("a", now + WINDOW), Some(94));
        assert_eq!(state.admit("b", now + WINDOW), Some(0));
    }
}
