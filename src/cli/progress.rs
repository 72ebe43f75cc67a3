//! The progress of long work, on standard error (`cli.md` 10.4): a line that is redrawn and erased in the end, a plain line
//! every ten seconds, or JSON.
#![forbid(unsafe_code)]

use super::Console;
use super::command_line::{Invocation, PROGRESS};
use serde_json::json;
use std::time::{Duration, Instant};

/// Between two lines on a terminal, and in JSON.
const REDRAW: Duration = Duration::from_millis(200);
/// Between two plain lines.
const PLAIN: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Silent,
    /// Redrawn in its place.
    Line,
    Plain,
    Json,
}

/// One piece of work with a known end.
pub struct Progress {
    form: Form,
    command: String,
    phase: &'static str,
    total: u64,
    begun: Instant,
    shown: Option<Instant>,
}

impl Progress {
    /// As `--progress` asks: without it only on a terminal. `phase` is the word of the JSON form, an English verb.
    pub fn asked(
        invocation: &Invocation,
        command: &str,
        phase: &'static str,
        total: u64,
        console: &Console<'_>,
    ) -> Result<Progress, String> {
        let terminal = console.errors_on_terminal();
        let form = match (invocation.value(PROGRESS), terminal) {
            (Some("always") | None, true) => Form::Line,
            (Some("always"), false) => Form::Plain,
            (Some("never"), _) | (None, false) => Form::Silent,
            (Some("json"), _) => Form::Json,
            (Some(other), _) => return Err(format!("{other}: progress must be always, never or json")),
        };
        Ok(Progress {
            form,
            command: command.to_owned(),
            phase,
            total,
            begun: Instant::now(),
            shown: None,
        })
    }

    /// This much is done, in bytes.
    pub fn done(&mut self, done: u64, console: &mut Console<'_>) {
        let pause = match self.form {
            Form::Silent => return,
            Form::Line | Form::Json => REDRAW,
            Form::Plain => PLAIN,
        };
        let due = self.shown.is_none_or(|shown| shown.elapsed() >= pause);
        if !due && done < self.total {
            return;
        }
        self.shown = Some(Instant::now());
        let words = || words(&self.command, self.phase, done, self.total, self.begun.elapsed());
        match self.form {
            Form::Silent => {}
            Form::Line => console.error_text(format_args!("\r{}\x1b[K", words())),
            Form::Plain => console.error_line(words()),
            Form::Json => console.error_line(json!({"phase": self.phase, "done": done, "total": self.total})),
        }
    }

    /// Nothing is left of a line that was redrawn.
    pub fn end(self, console: &mut Console<'_>) {
        if self.form == Form::Line && self.shown.is_some() {
            console.error_text("\r\x1b[K");
        }
    }
}

/// `create-lu: allocating  42%  838 GiB of 2.00 TiB  1.9 GiB/s  0:10:27 left`
fn words(command: &str, phase: &str, done: u64, total: u64, elapsed: Duration) -> String {
    // Shown to people: rounding is no harm.
    #[allow(clippy::cast_precision_loss)]
    let (share, rate) = (
        done as f64 / total.max(1) as f64,
        done as f64 / elapsed.as_secs_f64().max(0.001),
    );
    let verb = format!("{}ing", phase.strip_suffix('e').unwrap_or(phase));
    let mut text = format!(
        "{command}: {verb} {:3.0}%  {} of {}",
        (share * 100.0).floor(),
        size(done),
        size(total)
    );
    if done > 0 && done < total {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let (rate, left) = (rate as u64, ((total - done) as f64 / rate) as u64);
        let (hours, minutes, seconds) = (left / 3600, left / 60 % 60, left % 60);
        text += &format!("  {}/s  {hours}:{minutes:02}:{seconds:02} left", size(rate));
    }
    text
}

/// Three digits and a unit.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    #[allow(clippy::cast_precision_loss)]
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = match value {
        _ if unit == 0 => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line() {
        const GIB: u64 = 1 << 30;
        assert_eq!(
            words("create-lu", "allocate", 838 * GIB, 2048 * GIB, Duration::from_secs(441)),
            "create-lu: allocating  40%  838 GiB of 2.00 TiB  1.90 GiB/s  0:10:36 left"
        );
        assert_eq!(
            words("create-lu", "allocate", 0, 4096, Duration::ZERO),
            "create-lu: allocating   0%  0 B of 4.00 KiB"
        );
        assert_eq!(
            words("create-lu", "allocate", 4096, 4096, Duration::from_secs(1)),
            "create-lu: allocating 100%  4.00 KiB of 4.00 KiB"
        );
        assert_eq!(
            (size(999), size(1000), size(u64::MAX)),
            ("999 B".into(), "0.98 KiB".into(), "16.0 EiB".into())
        );
    }

    #[test]
    fn forms() {
        let seen = |value: Option<&str>, terminal| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut console = Console::new("t", &mut out, &mut err);
            console.set_errors_on_terminal(terminal);
            let invocation = Invocation {
                options: value.map(|value| (PROGRESS, value.to_owned())).into_iter().collect(),
                ..Invocation::default()
            };
            let mut progress = Progress::asked(&invocation, "c", "allocate", 2, &console)?;
            progress.done(2, &mut console);
            progress.end(&mut console);
            Ok::<_, String>(String::from_utf8(err).unwrap())
        };
        let line = "c: allocating 100%  2 B of 2 B";
        assert_eq!(seen(None, true).unwrap(), format!("\r{line}\x1b[K\r\x1b[K"));
        assert_eq!(seen(Some("always"), false).unwrap(), format!("{line}\n"));
        assert_eq!(
            seen(Some("json"), false).unwrap(),
            "{\"done\":2,\"phase\":\"allocate\",\"total\":2}\n"
        );
        for (value, terminal) in [(None, false), (Some("never"), true)] {
            assert_eq!(seen(value, terminal).unwrap(), "");
        }
        assert!(seen(Some("often"), true).is_err());
    }
}
