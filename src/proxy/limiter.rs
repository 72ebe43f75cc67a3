use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Lines that one peer can cause in [`WINDOW`].
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// Keeps a peer that sends rubbish, or a door that fails, from filling the log.
#[derive(Default)]
pub(super) struct Limiter {
    window: Mutex<Option<(Instant, u32)>>,
}

impl Limiter {
    /// Logs a warning, or counts it. The first line of a window tells how many were left out before.
    pub fn warn(&self, text: std::fmt::Arguments<'_>) {
        if let Some(left_out) = self.admit(Instant::now()) {
            match left_out {
                0 => log::warn!("pppt: {text}"),
                n => log::warn!("pppt: {text} ({n} similar lines left out before)"),
            }
        }
    }

    /// `None`: keep quiet.
    fn admit(&self, now: Instant) -> Option<u32> {
        let mut window = self.window.lock();
        match &mut *window {
            Some((began, lines)) if now.saturating_duration_since(*began) < WINDOW => {
                *lines = lines.saturating_add(1);
                (*lines <= LINES).then_some(0)
            }
            former => {
                let left_out = former.map_or(0, |(_, lines)| lines.saturating_sub(LINES));
                *former = Some((now, 1));
                Some(left_out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_takes_some_lines_and_the_next_tells_the_rest() {
        let limiter = Limiter::default();
        let now = Instant::now();
        let admitted = (0..100).filter(|_| limiter.admit(now).is_some()).count();
        assert_eq!(admitted, 10);
        assert_eq!(limiter.admit(now + WINDOW), Some(90));
        assert_eq!(limiter.admit(now + WINDOW), Some(0));
    }
}
