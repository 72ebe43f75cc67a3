//! The form of a transcript.
//!
//! ```text
//! ## heading
//! # what the next commands show; [n] in front: for item n of the acceptance checklist
//! @ fail LuDelete Busy      the service answers so from now on; `@ clear` ends it
//! $ command of a shell, in the directory $DIR
//! |line on standard output  after the bar, to the end of the line
//! !line on standard error
//! = exit status, if not 0
//! ```

use std::fmt;

/// What a command left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub out: String,
    pub err: String,
    pub status: i32,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (mark, text) in [('|', &self.out), ('!', &self.err)] {
            for line in text.split_inclusive('\n') {
                write!(f, "{mark}{line}")?;
            }
            if !text.is_empty() && !text.ends_with('\n') {
                writeln!(f, "\\ (no newline)")?;
            }
        }
        writeln!(f, "= {}", self.status)
    }
}

/// One command.
#[derive(Debug, Clone)]
pub struct Case {
    pub section: String,
    pub row: String,
    pub line: usize,
    /// Directives that come before it.
    pub directives: Vec<String>,
    pub command: String,
    pub expected: Outcome,
}

/// The commands of a transcript, in order.
pub fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let (mut section, mut row, mut directives) = (String::new(), String::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        if let Some(heading) = line.strip_prefix("## ") {
            (section, row) = (heading.to_owned(), String::new());
        } else if let Some(title) = line.strip_prefix("# ") {
            row = title.to_owned();
        } else if let Some(directive) = line.strip_prefix("@ ") {
            directives.push(directive.to_owned());
        } else if let Some(command) = line.strip_prefix("$ ") {
            cases.push(Case {
                section: section.clone(),
                row: row.clone(),
                line: number,
                directives: std::mem::take(&mut directives),
                command: command.to_owned(),
                expected: Outcome::default(),
            });
        } else if let Some(out) = line.strip_prefix('|') {
            let outcome = last(&mut cases);
            outcome.out = format!("{}{out}\n", outcome.out);
        } else if let Some(err) = line.strip_prefix('!') {
            let outcome = last(&mut cases);
            outcome.err = format!("{}{err}\n", outcome.err);
        } else if let Some(status) = line.strip_prefix("= ") {
            last(&mut cases).status = status.parse().expect("an exit status");
        } else {
            assert!(line.is_empty(), "line {number} of a transcript: {line:?}");
        }
    }
    cases
}

fn last(cases: &mut [Case]) -> &mut Outcome {
    &mut cases.last_mut().expect("a command comes first").expected
}
