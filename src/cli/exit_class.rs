//! `--exit-class` (`cli.md` 10.10): an exit status that says of what kind a failure was, in place of the original's, which says
//! little. The kind follows from the status that the service gave, or from the line on standard error, whose text is fixed.
#![forbid(unsafe_code)]

use super::Console;
use super::command_line::EXIT_CLASS;
use crate::types::Status;

/// The kinds; the number is the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// None of the others, or several of them.
    Other = 1,
    /// The command line is wrong, or a value in it.
    Usage = 2,
    /// What is named does not exist.
    NotFound = 3,
    /// What is to be made exists, or what is to be used or deleted is in use.
    Taken = 4,
    /// The caller may not do this.
    Permission = 5,
    /// Another time it may succeed.
    Busy = 6,
    /// Nobody answers.
    Unreachable = 7,
}

impl Class {
    /// Of a failure that the service told.
    pub fn of_status(status: Status) -> Class {
        match status {
            Status::InvalidArg
            | Status::InvalidProp
            | Status::InvalidPropSize
            | Status::InvalidBlkSize
            | Status::InvalidBlockSize => Class::Usage,
            Status::NotFound
            | Status::MemberNotFound
            | Status::GroupNotFound
            | Status::InvalidHg
            | Status::InvalidTg => Class::NotFound,
            Status::Exists
            | Status::FileInUse
            | Status::FileAlready
            | Status::GuidInUse
            | Status::GroupInUse
            | Status::LunInUse
            | Status::VeConflict => Class::Taken,
            Status::Perm => Class::Permission,
            Status::Busy | Status::LuBusy => Class::Busy,
            Status::ServiceNotFound => Class::Unreachable,
            _ => Class::Other,
        }
    }

    /// Of an error line, without the tool's name.
    pub fn of_text(message: &str) -> Class {
        let message = message.trim_end_matches(['!', '.', '\n']);
        // The last one: options that do not go together.
        if message.starts_with("invalid property specified: ") || message.starts_with("--") {
            return Class::Usage;
        }
        let (about, reason) = message.rsplit_once(": ").unwrap_or(("", message));
        let numbered = about.starts_with("could not set property") || about == "unknown error";
        if let Some(status) = Status::ALL
            .iter()
            .find(|it| numbered && it.code().to_string() == reason)
        {
            return Class::of_status(*status);
        }
        match reason {
            "STMF target must be offline" | "STMF service must be offline" => Class::Other,
            "permission denied" => Class::Permission,
            "STMF service not found" => Class::Unreachable,
            "resource busy" => Class::Busy,
            "in use"
            | "guid in use"
            | "already exists"
            | "view entry exists"
            | "LUN already in use"
            | "group is in use by existing view entry" => Class::Taken,
            "not found" | "no views found" | "invalid host group" | "invalid target group" | "no such subcommand" => {
                Class::NotFound
            }
            "unrecognized device id"
            | "invalid input"
            | "no view entries specified"
            | "size param invalid"
            | "could not set filename"
            | "bad format"
            | "invalid length"
            | "invalid block size"
            | "invalid property for modify" => Class::Usage,
            reason if reason.starts_with("invalid property specifier") || wants(reason) => Class::Usage,
            _ => Class::Other,
        }
    }

    /// Of a line of `itadm`, and its closing line's number.
    pub fn of_iscsi(line: &str, number: i32) -> Class {
        let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
        match number {
            _ if has(&[
                " not found",
                "not defined",
                "does not exist",
                " is not in target portal group ",
            ]) =>
            {
                Class::NotFound
            }
            _ if has(&[" already ", ": File exists"]) => Class::Taken,
            16 | 17 => Class::Taken,
            14 | 22 => Class::Usage,
            _ => Class::Other,
        }
    }
}

/// A line that says what a word of the command line must be.
fn wants(reason: &str) -> bool {
    reason.contains("must be ") || reason.contains("takes at most one")
}

/// What the failures of a command have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Classes(Option<Class>);

impl Classes {
    /// One more failure.
    pub fn add(&mut self, class: Class) {
        self.0 = match self.0 {
            Some(other) if other != class => Some(Class::Other),
            _ => Some(class),
        };
    }
}

/// The exit status that is asked for. One that no failure stands behind, as that of `status --check`, stays.
pub fn of(exit: u8, arguments: &[String], console: &Console<'_>) -> u8 {
    let asked = match console.subject().subcommand {
        // A command line that was not understood.
        "" => {
            let mut options = arguments.iter().take_while(|word| *word != "--");
            options.any(|word| word == "--exit-class")
        }
        _ => console.subject().invocation.has(EXIT_CLASS),
    };
    match console.classes().0 {
        Some(class) if asked && exit != 0 => class as u8,
        _ => exit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::program::ToolMain;
    use crate::cli::script::{Script, run};
    use crate::cli::{aluaadm, itadm, sbdadm, stmfadm};

    const GUID: &str = "600144F0C73ABF00000065A1B2C30001";

    /// A tool, a command line, what the service answers, the exit status without and with the option.
    type Case<'a> = (ToolMain, &'a str, &'a dyn Fn() -> Script, u8, u8);

    #[test]
    fn of_the_texts_of_the_contract() {
        for (text, class) in [
            ("web: already exists", Class::Taken),
            ("filename /a: b: in use", Class::Taken),
            ("LUN already in use", Class::Taken),
            ("web: not found", Class::NotFound),
            ("600144f0: no views found", Class::NotFound),
            ("could not set property: alias: 32770", Class::NotFound),
            ("could not set property: size: 32775", Class::Usage),
            ("unknown error: 32773", Class::Permission),
            ("permission denied", Class::Permission),
            ("a: resource busy", Class::Busy),
            ("STMF service not found", Class::Unreachable),
            ("x: must be 32 hexadecimal digits long", Class::Usage),
            ("20000: Logical unit number must be less than 16384", Class::Usage),
            ("invalid property specified: not found", Class::Usage),
            ("alias: invalid property specifier- prop=val\n", Class::Usage),
            ("unable to set blk: bad format", Class::Usage),
            ("STMF target must be offline", Class::Other),
            ("data file error", Class::Other),
            ("unknown error", Class::Other),
        ] {
            assert_eq!(Class::of_text(text), class, "{text}");
        }
    }

    #[test]
    fn failures_of_one_kind_have_it_others_are_others() {
        let mut classes = Classes::default();
        classes.add(Class::NotFound);
        classes.add(Class::NotFound);
        assert_eq!(classes, Classes(Some(Class::NotFound)));
        classes.add(Class::Busy);
        classes.add(Class::NotFound);
        assert_eq!(classes, Classes(Some(Class::Other)));
    }

    #[test]
    fn instead_of_the_statuses_of_the_original() {
        let refused = |call: &str, status| Script::new().fail(call, status);
        let standby = format!("lu_standby({GUID})");
        let named = format!("aluaadm standby {GUID}");
        let cases: [Case<'_>; 11] = [
            (
                stmfadm::run,
                "stmfadm list-state",
                &|| refused("state()", Status::ServiceNotFound),
                9,
                7,
            ),
            (stmfadm::run, "stmfadm delete-lu x", &Script::new, 1, 2),
            (stmfadm::run, "stmfadm fly", &Script::new, 1, 2),
            (stmfadm::run, "stmfadm list-lu --fly", &Script::new, 1, 2),
            (stmfadm::run, "stmfadm list-lu --watch=0", &Script::new, 1, 2),
            (stmfadm::run, "stmfadm remove-hg-member -g a b c", &Script::new, 2, 2),
            (sbdadm::run, "sbdadm create-lu -s x /a", &Script::new, 1, 2),
            (aluaadm::run, &named, &|| refused(&standby, Status::Busy), 1, 6),
            (aluaadm::run, "aluaadm enable 2", &Script::new, 1, 2),
            (
                itadm::run,
                "itadm list-target",
                &|| refused("state()", Status::ServiceNotFound),
                1,
                7,
            ),
            (itadm::run, "itadm list-target a b", &Script::new, 1, 2),
        ];
        for (main, line, script, plain, class) in cases {
            let before = run(main, line, &script());
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            let line = format!("{} {} --exit-class {}", words[0], words[1], words.get(2).unwrap_or(&""));
            let after = run(main, line.trim_end(), &script());
            assert_eq!((before.status, after.status), (plain, class), "{line}");
            assert_eq!((before.out, before.err), (after.out, after.err), "{line}");
        }
    }
}
