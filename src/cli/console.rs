//! Where a tool's output goes.
#![forbid(unsafe_code)]

use super::colour::{Environment, Painted};
use super::command_line::{EXPLAIN, Invocation};
use super::exit_class::{Class, Classes};
use crate::types::Status;
use std::fmt::Display;
use std::io::{self, Write};

/// A failure that a JSON document tells as well (`cli.md` 10.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The operand that it belongs to.
    pub operand: Option<String>,
    /// `None` for one that is not told by a status.
    pub status: Option<Status>,
    /// The command line is wrong.
    pub usage: bool,
    /// What standard error says, without the names in front.
    pub message: String,
}

/// What a command is about, for whoever explains its failures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Canonical name of the subcommand.
    pub subcommand: &'static str,
    /// Its options and operands.
    pub invocation: Invocation,
}

/// The two streams of a tool, and the names it goes by.
///
/// Nothing here fails: a tool that handles several operands must not stop in the middle because its reader has gone. The
/// first failure of standard output is kept and decides the exit status in the end ([`Console::output_failure`]).
pub struct Console<'a> {
    program: String,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    failure: Option<io::Error>,
    failures: Vec<Failure>,
    terminal: bool,
    errors_on_terminal: bool,
    silent: bool,
    environment: Environment,
    paints: bool,
    subject: Subject,
    complaints: Vec<String>,
    classes: Classes,
}

impl<'a> Console<'a> {
    /// `program` is `argv[0]`.
    pub fn new(program: &str, out: &'a mut dyn Write, err: &'a mut dyn Write) -> Console<'a> {
        Console {
            program: program.to_owned(),
            out,
            err,
            failure: None,
            failures: Vec::new(),
            terminal: false,
            errors_on_terminal: false,
            silent: false,
            environment: Environment::default(),
            paints: false,
            subject: Subject::default(),
            complaints: Vec::new(),
            classes: Classes::default(),
        }
    }

    /// The same tool with the same command, writing elsewhere.
    pub fn elsewhere<'b>(&self, out: &'b mut dyn Write, err: &'b mut dyn Write) -> Console<'b> {
        Console {
            paints: self.paints,
            subject: self.subject.clone(),
            ..Console::new(&self.program, out, err)
        }
    }

    /// Says what the environment wishes of colours.
    pub fn set_environment(&mut self, environment: Environment) {
        self.environment = environment;
    }

    /// `--color`, for a subcommand of the original or a new one.
    pub fn choose_colour(&mut self, asked: Option<&str>, new: bool) -> Result<(), String> {
        self.paints = self.environment.paints(asked, new, self.terminal)?;
        Ok(())
    }

    /// Are words painted?
    pub fn paints(&self) -> bool {
        self.paints
    }

    /// A word that tells a state.
    pub fn state<'t>(&self, word: &'t str) -> Painted<'t> {
        Painted::state(word, self.paints)
    }

    /// Says what the command is about.
    pub fn set_subject(&mut self, subcommand: &'static str, invocation: &Invocation) {
        self.subject = Subject {
            subcommand,
            invocation: invocation.clone(),
        };
    }

    /// What the command is about.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The lines on standard error of a command that is to be explained; forgets them.
    pub fn take_complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }

    /// `argv[0]` in full.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The tool's own name: the part of `argv[0]` after its last `/`, trailing slashes ignored (`cli.md` 1.1).
    pub fn tool(&self) -> &str {
        let path = self.program.trim_end_matches('/');
        path.rsplit('/').next().unwrap_or(path)
    }

    /// One line on standard output.
    pub fn line(&mut self, text: impl Display) {
        self.text(format_args!("{text}\n"));
    }

    /// Text on standard output, seen by the reader at once (`cli.md` 1.2: unbuffered).
    pub fn text(&mut self, text: impl Display) {
        if self.failure.is_some() || self.silent {
            return;
        }
        let written = self
            .out
            .write_all(text.to_string().as_bytes())
            .and_then(|()| self.out.flush());
        self.failure = written.err();
    }

    /// While a command is silent its standard output is left out, and each of its errors is remembered.
    pub fn silence(&mut self, silent: bool) {
        self.silent = silent;
    }

    /// `T: message` on standard error.
    pub fn error(&mut self, message: impl Display) {
        let message = message.to_string();
        if self.silent {
            self.remember(None, None, &message);
        }
        self.classes.add(Class::of_text(&message));
        self.complain(message);
    }

    /// The same for what is no failure.
    pub fn note(&mut self, message: impl Display) {
        self.complain(format_args!("note: {message}"));
    }

    /// A failure of this kind has been told, in whatever words.
    pub fn classify(&mut self, class: Class) {
        self.classes.add(class);
    }

    /// The kinds of the failures so far.
    pub fn classes(&self) -> Classes {
        self.classes
    }

    /// The line of [`Console::error`] for a failure that is remembered by itself.
    pub fn complain(&mut self, message: impl Display) {
        let line = format!("{}: {message}", self.tool());
        self.error_line(line);
    }

    /// `T: message`, and remembered for [`Console::failures`].
    pub fn fail(&mut self, status: Status, message: impl Display) {
        self.complain(&message);
        self.remember(None, Some(status), message);
    }

    /// `T: operand: message`, and remembered.
    pub fn fail_operand(&mut self, operand: &str, status: Status, message: impl Display) {
        self.complain(format_args!("{operand}: {message}"));
        self.remember(Some(operand), Some(status), message);
    }

    /// Remembers a failure that has been printed in a form of its own.
    pub fn remember(&mut self, operand: Option<&str>, status: Option<Status>, message: impl Display) {
        self.failures.push(Failure {
            operand: operand.map(str::to_owned),
            status,
            usage: false,
            message: message.to_string().trim_end().to_owned(),
        });
        if let Some(status) = status {
            self.classes.add(Class::of_status(status));
        }
    }

    /// Remembers what is wrong with the command line.
    pub fn remember_usage(&mut self, complaint: &str) {
        self.remember(None, None, complaint);
        self.classes.add(Class::Usage);
        if let Some(last) = self.failures.last_mut() {
            last.usage = true;
        }
    }

    /// Begins a new list of failures: for the next of several documents.
    pub fn forget_failures(&mut self) {
        self.failures.clear();
        self.classes = Classes::default();
    }

    /// Says that standard output is a terminal, which only what is new in the tools may care for.
    pub fn set_terminal(&mut self, terminal: bool) {
        self.terminal = terminal;
    }

    /// Is standard output a terminal?
    pub fn on_terminal(&self) -> bool {
        self.terminal
    }

    /// Says that standard error is a terminal.
    pub fn set_errors_on_terminal(&mut self, terminal: bool) {
        self.errors_on_terminal = terminal;
    }

    /// Is standard error a terminal?
    pub fn errors_on_terminal(&self) -> bool {
        self.errors_on_terminal
    }

    /// What was remembered so far, in order.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// One line on standard error, as it is.
    pub fn error_line(&mut self, line: impl Display) {
        if self.subject.invocation.has(EXPLAIN) {
            self.complaints.push(line.to_string());
        }
        self.error_text(format_args!("{line}\n"));
    }

    /// Text on standard error, as it is. There is nobody to tell when that fails.
    pub fn error_text(&mut self, text: impl Display) {
        let _ = self
            .err
            .write_all(text.to_string().as_bytes())
            .and_then(|()| self.err.flush());
    }

    /// The first failure to write standard output.
    pub fn output_failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }
}
