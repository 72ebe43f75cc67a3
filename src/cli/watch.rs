//! `--watch[=SECONDS]` and `--count=N` (`cli.md` 10.3): a screen again and again.
#![forbid(unsafe_code)]

use super::command_line::{COUNT, Invocation, WATCH};
use super::text::printable;
use super::{Console, Service, document, values};
use crate::terminal::{Key, Terminal};
use crate::types::Status;
use std::time::Duration;

/// Between two screens, in seconds.
const INTERVALS: std::ops::RangeInclusive<f64> = 0.1..=86400.0;

/// How often, and how many screens.
pub struct Rhythm {
    interval: Duration,
    count: Option<u64>,
}

impl Rhythm {
    /// As the command line asks; `None`: one screen, as without the options.
    pub fn of(invocation: &Invocation) -> Result<Option<Rhythm>, String> {
        let count = match invocation.value(COUNT) {
            None => None,
            Some(text) => Some(
                values::decimal(text)
                    .filter(|count| *count > 0)
                    .ok_or_else(|| format!("{text}: count must be a number from 1"))?,
            ),
        };
        if !invocation.has(WATCH) && count.is_none() {
            return Ok(None);
        }
        let interval = match invocation.value(WATCH) {
            None | Some("") => 1.0,
            Some(text) => text
                .parse::<f64>()
                .ok()
                .filter(|seconds| INTERVALS.contains(seconds))
                .ok_or_else(|| {
                    format!(
                        "{text}: seconds between screens must be {} to {}",
                        INTERVALS.start(),
                        INTERVALS.end()
                    )
                })?,
        };
        Ok(Some(Rhythm {
            interval: Duration::from_secs_f64(interval),
            count,
        }))
    }
}

/// Prints a screen; returns its exit status.
pub type Screen<'a> = dyn FnMut(&mut Console<'_>) -> u8 + 'a;

/// Shows `screen` again and again; the exit status is that of the last one, or 0 when the user has left. `json`: each is one
/// document, and nothing else is printed.
pub fn repeat(
    rhythm: &Rhythm,
    json: bool,
    service: &dyn Service,
    console: &mut Console<'_>,
    screen: &mut Screen<'_>,
) -> u8 {
    if console.on_terminal()
        && !json
        && let Some(terminal) = Terminal::open()
    {
        return on_terminal(rhythm, &terminal, console, screen);
    }
    let (mut exit, mut left) = (0, rhythm.count);
    while left != Some(0) {
        if !json {
            console.line(document::utc(document::now()).unwrap_or_default());
        }
        // The service may go away and come back meanwhile.
        console.forget_failures();
        exit = screen(console);
        left = left.map(|left| left - 1);
        if left == Some(0) || console.output_failure().is_some() {
            break;
        }
        service.pause(rhythm.interval);
    }
    exit
}

/// What was shown last, and since when the service has been gone.
#[derive(Default)]
struct Shown {
    lines: Vec<String>,
    lost: Option<String>,
}

fn on_terminal(rhythm: &Rhythm, terminal: &Terminal, console: &mut Console<'_>, screen: &mut Screen<'_>) -> u8 {
    console.text(terminal.enter());
    let (mut shown, mut drawn) = (Shown::default(), Vec::new());
    let (mut exit, mut left) = (0, rhythm.count);
    loop {
        exit = shown.renew(console, screen).unwrap_or(exit);
        let lines = shown.lines(terminal.size());
        console.text(difference(&drawn, &lines));
        drawn = lines;
        left = left.map(|left| left - 1);
        if left == Some(0) || console.output_failure().is_some() {
            break;
        }
        match terminal.wait(rhythm.interval) {
            Key::None => {}
            Key::Leave => {
                exit = 0;
                break;
            }
            // Drawn for another size: all of it again.
            Key::Resized => drawn.clear(),
        }
    }
    console.text(terminal.leave());
    exit
}

impl Shown {
    /// The next screen; `None`: the service is gone, and the last screen stays.
    fn renew(&mut self, console: &Console<'_>, screen: &mut Screen<'_>) -> Option<u8> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut inside = console.elsewhere(&mut out, &mut err);
        let exit = screen(&mut inside);
        let gone = |failure: &super::Failure| failure.status == Some(Status::ServiceNotFound);
        let lost = inside.failures().iter().any(gone);
        drop(inside);
        let now = document::utc(document::now()).unwrap_or_default();
        if lost {
            self.lost.get_or_insert(now);
            return None;
        }
        self.lost = None;
        let texts = [String::from_utf8_lossy(&out), String::from_utf8_lossy(&err)];
        let lines = texts.iter().flat_map(|text| text.lines().map(str::to_owned));
        self.lines = std::iter::once(now).chain(lines).collect();
        Some(exit)
    }

    /// As much as there is room for. Greyed while the service is gone.
    fn lines(&self, (columns, rows): (usize, usize)) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        if let Some(since) = &self.lost {
            lines.push(cut(&format!("STMF service not found since {since}"), columns));
        }
        for line in &self.lines {
            let line = cut(line, columns);
            lines.push(match self.lost {
                Some(_) => format!("\u{1b}[2m{}\u{1b}[0m", plain(&line)),
                None => line,
            });
        }
        lines.truncate(rows.max(1));
        lines
    }
}

/// A line without sequences.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        text += before;
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    text + rest
}

/// At most so many columns; sequences of colour take none. A TAB is shown as far as it reaches.
fn cut(line: &str, columns: usize) -> String {
    let (mut text, mut width, mut sequence) = (String::new(), 0, false);
    for letter in line.chars() {
        if sequence || letter == '\u{1b}' {
            sequence = letter != 'm';
            text.push(letter);
            continue;
        }
        let letters = match letter {
            '\t' => " ".repeat(8 - width % 8),
            letter => printable(letter.encode_utf8(&mut [0; 4])),
        };
        for letter in letters.chars() {
            if width < columns {
                text.push(letter);
                width += 1;
            }
        }
    }
    text
}

/// What makes one screen of the other: only lines that differ are written.
fn difference(before: &[String], now: &[String]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    if before.is_empty() {
        text += "\u{1b}[2J";
    }
    for (row, line) in now.iter().enumerate() {
        if before.get(row) != Some(line) {
            write!(text, "\u{1b}[{};1H{line}\u{1b}[K", row + 1).expect("a text grows");
        }
    }
    if before.len() > now.len() {
        write!(text, "\u{1b}[{};1H\u{1b}[J", now.len() + 1).expect("a text grows");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::script::Script;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn only_what_changed_is_drawn() {
        let two = texts(&["a", "b"]);
        assert_eq!(
            difference(&[], &two),
            "\u{1b}[2J\u{1b}[1;1Ha\u{1b}[K\u{1b}[2;1Hb\u{1b}[K"
        );
        assert_eq!(difference(&two, &two), "");
        assert_eq!(difference(&two, &texts(&["a", "c"])), "\u{1b}[2;1Hc\u{1b}[K");
        assert_eq!(difference(&two, &texts(&["a"])), "\u{1b}[2;1H\u{1b}[J");
    }

    #[test]
    fn lines_are_cut_to_the_terminal() {
        assert_eq!(cut("abcdef", 3), "abc");
        assert_eq!(cut("\u{1b}[32mabcdef\u{1b}[0m", 3), "\u{1b}[32mabc\u{1b}[0m");
        assert_eq!(
            (cut("\tx", 9), cut("a\u{7}b", 9)),
            ("        x".to_owned(), "a?b".to_owned())
        );
        assert_eq!(plain("a \u{1b}[31mb\u{1b}[0m c"), "a b c");
    }

    #[test]
    fn a_lost_service_leaves_the_last_screen_greyed() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let console = Console::new("t", &mut out, &mut err);
        let mut shown = Shown::default();
        let mut line = |console: &mut Console<'_>| {
            console.line("Host Group: web");
            0
        };
        assert_eq!(shown.renew(&console, &mut line), Some(0));
        assert_eq!(shown.lines((80, 24))[1..], ["Host Group: web"]);
        let mut gone = |console: &mut Console<'_>| {
            console.fail(Status::ServiceNotFound, "STMF service not found");
            1
        };
        assert_eq!(shown.renew(&console, &mut gone), None);
        let lines = shown.lines((80, 24));
        assert!(lines[0].starts_with("STMF service not found since 20"), "{lines:?}");
        assert_eq!(lines[2], "\u{1b}[2mHost Group: web\u{1b}[0m");
        assert_eq!(shown.renew(&console, &mut line), Some(0));
        assert_eq!(shown.lines((4, 2))[1..], ["Host"]);
    }

    #[test]
    fn off_a_terminal_the_time_comes_first() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console::new("t", &mut out, &mut err);
        let rhythm = Rhythm {
            interval: Duration::from_secs(1),
            count: Some(2),
        };
        let script = Script::new();
        let mut screen = |console: &mut Console<'_>| {
            console.line("x");
            7
        };
        assert_eq!(repeat(&rhythm, false, &script, &mut console, &mut screen), 7);
        assert_eq!(script.pauses(), 1);
        drop(console);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(matches!(lines[..], [first, "x", second, "x"] if first.ends_with('Z') && second.starts_with("20")));
    }
}
