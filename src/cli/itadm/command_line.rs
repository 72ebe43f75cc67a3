//! The parser of `itadm` (`cli.md` 4.1): options and operands mix, names are matched exactly, complaints go to standard
//! error and usage to standard output.

use super::secret::{self, NoSecret};
use crate::cli::command_line::{
    COLOR, COUNT, DRY_RUN, EXIT_CLASS, EXPLAIN, Invocation, JSON, SECRET_STDIN, WATCH, is_added, is_optional,
};
use crate::cli::completion::{Grammar, Place, Word};
use crate::cli::exit_class::Class;
use crate::cli::text::printable;
use crate::cli::{Console, Service, document, explain, version};
use crate::iscsi::admin::GroupInfo;
use crate::types::Secret;
use std::ops::Deref;

/// iSNS servers that may be named.
const ISNS_SERVERS_MAX: usize = 8;
/// Letter, long name, takes an argument.
const OPTIONS: &[(char, &str, bool)] = &[
    ('l', "alias", true),
    ('a', "auth-method", true),
    ('s', "chap-secret", false),
    ('S', "chap-secret-file", true),
    ('u', "chap-user", true),
    ('f', "force", false),
    ('h', "help", false),
    ('i', "isns", true),
    ('I', "isns-server", true),
    ('n', "node-name", true),
    ('p', "parsable", false),
    ('d', "radius-secret", false),
    ('D', "radius-secret-file", true),
    ('r', "radius-server", true),
    ('t', "tpg-tag", true),
    ('v', "verbose", false),
    (JSON, "json", false),
    (DRY_RUN, "dry-run", false),
    (SECRET_STDIN, "chap-secret-stdin", false),
    (WATCH, "watch", false),
    (COUNT, "count", true),
    (COLOR, "color", true),
    (EXPLAIN, "explain", false),
    (EXIT_CLASS, "exit-class", false),
];

/// What `itadm` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subcommand {
    CreateTarget,
    ModifyTarget,
    DeleteTarget,
    ListTarget,
    CreateTpg,
    DeleteTpg,
    ListTpg,
    CreateInitiator,
    ModifyInitiator,
    ListInitiator,
    DeleteInitiator,
    ModifyDefaults,
    ListDefaults,
    AddPortal,
    RemovePortal,
}

/// How many operands a subcommand takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operands {
    None,
    AtMostOne,
    One,
    Some,
}

/// A subcommand, its name, its letters, its operands, its synopsis.
type Row = (Subcommand, &'static str, &'static str, Operands, &'static str);

const TARGET_OPTIONS: &str = "asSunlt";
const SUBCOMMANDS: &[Row] = &[
    (
        Subcommand::CreateTarget,
        "create-target",
        TARGET_OPTIONS,
        Operands::None,
        "[-a radius|chap|none|default] [-s] [-S <chap-secret-path>] [-u <chap-user-name>] [-n <target-node-name>] \
         [-l <alias>] [-t <tpg-name>[,<tpg-name>]...]",
    ),
    (
        Subcommand::ModifyTarget,
        "modify-target",
        TARGET_OPTIONS,
        Operands::One,
        "[-a radius|chap|none|default] [-s] [-S <chap-secret-path>] [-u <chap-user-name>] [-n <target-node-name>] \
         [-l <alias>] [-t <tpg-name>[,<tpg-name>]...] <target-node-name>",
    ),
    (
        Subcommand::DeleteTarget,
        "delete-target",
        "f",
        Operands::One,
        "[-f] <target-node-name>",
    ),
    (
        Subcommand::ListTarget,
        "list-target",
        "pv",
        Operands::AtMostOne,
        "[-pv] [<target-node-name>]",
    ),
    (
        Subcommand::CreateTpg,
        "create-tpg",
        "",
        Operands::Some,
        "<tpg-name> <IP-address>[:<port>]...",
    ),
    (
        Subcommand::DeleteTpg,
        "delete-tpg",
        "f",
        Operands::One,
        "[-f] <tpg-name>",
    ),
    (
        Subcommand::ListTpg,
        "list-tpg",
        "pv",
        Operands::AtMostOne,
        "[-pv] [<tpg-name>]",
    ),
    (
        Subcommand::CreateInitiator,
        "create-initiator",
        "sSu",
        Operands::One,
        "[-s] [-S <chap-secret-path>] [-u <chap-username>] <initiator-node-name>",
    ),
    (
        Subcommand::ModifyInitiator,
        "modify-initiator",
        "sSu",
        Operands::One,
        "[-s] [-S <chap-secret-path>] [-u <chap-username>] <initiator-node-name>",
    ),
    (
        Subcommand::ListInitiator,
        "list-initiator",
        "pv",
        Operands::AtMostOne,
        "[-pv] [<initiator-node-name>]",
    ),
    (
        Subcommand::DeleteInitiator,
        "delete-initiator",
        "",
        Operands::One,
        "<initiator-node-name>",
    ),
    (
        Subcommand::ModifyDefaults,
        "modify-defaults",
        "ardDiI",
        Operands::None,
        "[-a radius|chap|none] [-r <IP-address>[:<port>]] [-d] [-D <radius-secret-path>] [-i enable|disable] \
         [-I <IP-address>[:<port>][,<IP-address>[:<port>]]...]",
    ),
    (Subcommand::ListDefaults, "list-defaults", "p", Operands::None, "[-p]"),
    // What the original does not have comes last.
    (
        Subcommand::AddPortal,
        "add-portal",
        "",
        Operands::Some,
        "<tpg-name> <IP-address>[:<port>]...",
    ),
    (
        Subcommand::RemovePortal,
        "remove-portal",
        "",
        Operands::Some,
        "<tpg-name> <IP-address>[:<port>]...",
    ),
];

impl Subcommand {
    fn row(self) -> &'static Row {
        let row = SUBCOMMANDS.iter().find(|row| row.0 == self);
        row.expect("every subcommand has a row")
    }

    /// As typed, exactly.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Does it only read?
    pub fn lists(self) -> bool {
        self.name().starts_with("list-")
    }

    /// Is it none of the original's?
    pub fn is_new(self) -> bool {
        matches!(self, Subcommand::AddPortal | Subcommand::RemovePortal)
    }

    /// Does it take the option?
    fn takes(self, letter: char) -> bool {
        match letter {
            JSON | COLOR | EXPLAIN | EXIT_CLASS => true,
            DRY_RUN => !self.lists(),
            WATCH | COUNT => self.lists(),
            SECRET_STDIN => self.row().2.contains('s'),
            letter => self.row().2.contains(letter),
        }
    }
}

/// The tables, for completion.
pub struct Tables;

impl Grammar for Tables {
    fn subcommands(&self) -> Vec<&'static str> {
        SUBCOMMANDS.iter().map(|row| row.1).collect()
    }

    fn options(&self, subcommand: &str) -> Vec<Word> {
        let Some(row) = SUBCOMMANDS.iter().find(|row| row.1 == subcommand) else {
            return Vec::new();
        };
        let words = OPTIONS.iter().filter(|(letter, ..)| row.0.takes(*letter));
        let words = words.map(|(letter, long, argument)| Word {
            letter: Some(*letter).filter(|letter| !is_added(*letter)),
            long,
            argument: *argument,
        });
        words.collect()
    }

    fn values(&self, place: &Place<'_>, service: &dyn Service) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match (place.option, place.subcommand) {
            (Some("auth-method"), "modify-defaults") => return words(&["none", "chap", "radius"]),
            (Some("auth-method"), _) => return words(&["none", "chap", "radius", "default"]),
            (Some("tpg-tag") | None, _) => {}
            (Some(_), _) => return Vec::new(),
        }
        let Ok(listing) = service.iscsi_listing() else {
            return Vec::new();
        };
        let names: Vec<String> = match (place.option, place.subcommand) {
            (Some(_), _) => listing
                .groups
                .into_iter()
                .map(|it| it.name)
                .chain(["default".to_owned()])
                .collect(),
            (None, "modify-target" | "delete-target" | "list-target") => {
                listing.targets.into_iter().map(|it| it.name).collect()
            }
            (None, "delete-tpg" | "list-tpg" | "add-portal") => listing.groups.into_iter().map(|it| it.name).collect(),
            (None, "remove-portal") => portals(place, listing.groups),
            (None, "modify-initiator" | "delete-initiator" | "list-initiator") => {
                listing.initiators.into_iter().map(|it| it.name).collect()
            }
            (None, _) => Vec::new(),
        };
        names.iter().map(|name| printable(name)).collect()
    }
}

/// Names of groups, and behind one its portals.
fn portals(place: &Place<'_>, groups: Vec<GroupInfo>) -> Vec<String> {
    match groups.iter().find(|group| place.was_given(&group.name)) {
        Some(group) => group.portals.iter().map(ToString::to_string).collect(),
        None => groups.into_iter().map(|it| it.name).collect(),
    }
}

/// A command line that passed all checks.
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed {
    pub subcommand: Subcommand,
    pub given: Invocation,
    /// The last one that was typed or read.
    pub secret: Option<Secret>,
}

impl Deref for Parsed {
    type Target = Invocation;

    fn deref(&self) -> &Invocation {
        &self.given
    }
}

/// Parses, or says why not and returns the exit status.
pub fn parse(
    arguments: &[String],
    posixly_correct: bool,
    service: &dyn Service,
    console: &mut Console<'_>,
) -> Result<Parsed, u8> {
    let Some((first, rest)) = arguments.split_first() else {
        overall_usage(console);
        return Err(1);
    };
    // The original has neither without a subcommand (`cli.md` D-10).
    if matches!(first.as_str(), "-h" | "-?" | "--help") {
        overall_usage(console);
        return Err(0);
    }
    if matches!(first.as_str(), "-V" | "--version") {
        version::print(rest, console);
        return Err(0);
    }
    let Some(&(subcommand, ..)) = SUBCOMMANDS.iter().find(|row| row.1 == first) else {
        console.error_line("Error, no subcommand specified");
        console.classify(Class::Usage);
        overall_usage(console);
        if explain::asked(rest) {
            explain::offer(first, SUBCOMMANDS.iter().map(|row| row.1), console);
        }
        return Err(1);
    };
    let scanned = scan(subcommand, rest, posixly_correct).and_then(|scanned| {
        if scanned.help {
            Ok(scanned)
        } else {
            scanned.check_operands()
        }
    });
    let json = document::asked(rest);
    match scanned {
        Ok(scanned) if scanned.help => {
            usage(subcommand, console);
            Err(0)
        }
        Ok(scanned) => Ok(scanned.parsed),
        Err(complaint) => {
            console.error_line(&complaint.line);
            console.classify(complaint.class());
            if json {
                document::refused(subcommand.name(), &complaint.line, service, console);
            } else {
                usage(subcommand, console);
            }
            Err(complaint.status)
        }
    }
}

/// What is wrong with a command line, and the exit status.
struct Complaint {
    line: String,
    status: u8,
}

impl Complaint {
    /// A secret that cannot be read is no fault of the command line.
    fn class(&self) -> Class {
        match self.status {
            1 | 22 => Class::Usage,
            _ => Class::Other,
        }
    }
}

impl From<String> for Complaint {
    fn from(line: String) -> Complaint {
        Complaint { line, status: 1 }
    }
}

impl From<NoSecret> for Complaint {
    fn from(why: NoSecret) -> Complaint {
        Complaint {
            status: why.status(),
            line: why.to_string(),
        }
    }
}

struct Scanned {
    parsed: Parsed,
    help: bool,
}

impl Scanned {
    fn check_operands(self) -> Result<Scanned, Complaint> {
        let (subcommand, count) = (self.parsed.subcommand, self.parsed.operands.len());
        let name = subcommand.name();
        match (subcommand.row().3, count) {
            (Operands::One | Operands::Some, 0) => Err(format!("Error, {name} requires an operand").into()),
            (Operands::One | Operands::AtMostOne, 2..) => {
                Err(format!("Error, {name} accepts only a single operand").into())
            }
            (Operands::None, 1..) => Err(format!("Error, {name} does not support any operands").into()),
            _ if self.parsed.has(JSON) && self.parsed.has('p') => {
                Err("Option --json and -p exclude each other".to_owned().into())
            }
            _ => Ok(self),
        }
    }
}

fn scan(subcommand: Subcommand, arguments: &[String], posixly_correct: bool) -> Result<Scanned, Complaint> {
    let mut scanned = Scanned {
        parsed: Parsed {
            subcommand,
            given: Invocation::default(),
            secret: None,
        },
        help: false,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            scan_long(long, &mut words, &mut scanned)?;
        } else if word.starts_with('-') && word.len() > 1 {
            scan_letters(&word[1..], &mut words, &mut scanned)?;
        } else {
            scanned.parsed.given.operands.push(word.clone());
            if posixly_correct {
                break;
            }
        }
    }
    scanned.parsed.given.operands.extend(words.cloned());
    Ok(scanned)
}

fn scan_long(long: &str, words: &mut std::slice::Iter<'_, String>, scanned: &mut Scanned) -> Result<(), Complaint> {
    let (name, attached) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (long, None),
    };
    let unknown = || format!("Unrecognized option --{name}");
    let (letter, takes_argument) = long_name(name).ok_or_else(unknown)?;
    let word = format!("--{name}");
    match (takes_argument, attached) {
        (false, Some(value)) if is_optional(letter) => accept(letter, &word, value.to_owned(), scanned),
        (false, Some(_)) => Err(unknown().into()),
        (false, None) => accept(letter, &word, String::new(), scanned),
        (true, value) => {
            let value = value.or_else(|| words.next().map(String::as_str));
            let value = value.ok_or_else(|| format!("Option {word} requires an operand"))?;
            accept(letter, &word, value.to_owned(), scanned)
        }
    }
}

/// A complete name wins; else a prefix that fits one name of the whole table. The names of the original come first
/// (`cli.md` 10.0).
fn long_name(name: &str) -> Option<(char, bool)> {
    if let Some((letter, _, argument)) = OPTIONS.iter().find(|(_, long, _)| *long == name) {
        return Some((*letter, *argument));
    }
    let fitting = |added: bool| {
        let fits =
            move |row: &&(char, &str, bool)| is_added(row.0) == added && !name.is_empty() && row.1.starts_with(name);
        OPTIONS.iter().filter(fits).collect::<Vec<_>>()
    };
    match (&fitting(false)[..], &fitting(true)[..]) {
        ([(letter, _, argument)], _) | ([], [(letter, _, argument)]) => Some((*letter, *argument)),
        _ => None,
    }
}

fn scan_letters(
    cluster: &str,
    words: &mut std::slice::Iter<'_, String>,
    scanned: &mut Scanned,
) -> Result<(), Complaint> {
    for (at, letter) in cluster.char_indices() {
        let word = format!("-{letter}");
        let known = if letter == '?' {
            Some(('h', false))
        } else {
            letter_option(letter)
        };
        let (letter, takes_argument) = known.ok_or_else(|| format!("Unrecognized option {word}"))?;
        if !takes_argument {
            accept(letter, &word, String::new(), scanned)?;
            continue;
        }
        // An option that the subcommand does not take is unknown before it lacks an argument.
        let attached = &cluster[at + letter.len_utf8()..];
        let value = if attached.is_empty() {
            words.next().map(String::as_str)
        } else {
            Some(attached)
        };
        let value = match value {
            Some(value) => value,
            None if takes(scanned.parsed.subcommand, letter) => {
                return Err(format!("Option {word} requires an operand").into());
            }
            None => return Err(format!("Unrecognized option {word}").into()),
        };
        return accept(letter, &word, value.to_owned(), scanned);
    }
    Ok(())
}

fn letter_option(letter: char) -> Option<(char, bool)> {
    OPTIONS
        .iter()
        .find(|(known, _, _)| *known == letter && !is_added(letter))
        .map(|(_, _, argument)| (letter, *argument))
}

fn takes(subcommand: Subcommand, letter: char) -> bool {
    subcommand.row().2.contains(letter)
}

/// Takes an option; secrets are asked for and read here, in the order of the options (`cli.md` 4.1).
fn accept(letter: char, word: &str, value: String, scanned: &mut Scanned) -> Result<(), Complaint> {
    match letter {
        'h' => scanned.help = true,
        _ if !scanned.parsed.subcommand.takes(letter) => return Err(format!("Unrecognized option {word}").into()),
        's' => scanned.parsed.secret = Some(secret::ask("CHAP")?),
        SECRET_STDIN => scanned.parsed.secret = Some(secret::read_stdin()?),
        'd' => scanned.parsed.secret = Some(secret::ask("RADIUS")?),
        'i' if !"enable".starts_with(value.as_str()) && !"disable".starts_with(value.as_str()) || value.is_empty() => {
            return Err("invalid value for -i".to_owned().into());
        }
        'I' if value.split(',').count() > ISNS_SERVERS_MAX => {
            let most = ISNS_SERVERS_MAX;
            return Err(format!("Too many iSNS servers specified, maximum of {most} allowed").into());
        }
        'S' | 'D' => scanned.parsed.secret = Some(secret::read_file(&value)?),
        _ => scanned.parsed.given.options.push((letter, value)),
    }
    Ok(())
}

fn overall_usage(console: &mut Console<'_>) {
    console.line("usage: itadm <subcommand> <args> ...");
    SUBCOMMANDS.iter().for_each(|row| synopsis(row.0, console));
}

fn usage(subcommand: Subcommand, console: &mut Console<'_>) {
    console.line("usage:");
    synopsis(subcommand, console);
}

fn synopsis(subcommand: Subcommand, console: &mut Console<'_>) {
    console.line(format_args!("\t{}\t{}", subcommand.name(), subcommand.row().4));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::script::{Ran, Script, ran};

    fn refused(line: &str, posixly_correct: bool) -> Ran {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = parse(
            &words,
            posixly_correct,
            &Script::new(),
            &mut Console::new("itadm", &mut out, &mut err),
        )
        .unwrap_err();
        ran(
            status,
            &String::from_utf8(out).unwrap(),
            &String::from_utf8(err).unwrap(),
        )
    }

    fn accepted(line: &str) -> (String, Vec<String>) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let parsed = parse(
            &words,
            false,
            &Script::new(),
            &mut Console::new("itadm", &mut out, &mut err),
        )
        .unwrap();
        assert!(out.is_empty() && err.is_empty());
        (
            parsed
                .options
                .iter()
                .map(|(letter, value)| format!("{letter}={value};"))
                .collect(),
            parsed.given.operands,
        )
    }

    const CREATE: &str = "usage:\n\tcreate-target\t[-a radius|chap|none|default] [-s] [-S <chap-secret-path>] \
                          [-u <chap-user-name>] [-n <target-node-name>] [-l <alias>] [-t <tpg-name>[,<tpg-name>]...]\n";
    const DEFAULTS: &str = "usage:\n\tmodify-defaults\t[-a radius|chap|none] [-r <IP-address>[:<port>]] [-d] \
                            [-D <radius-secret-path>] [-i enable|disable] \
                            [-I <IP-address>[:<port>][,<IP-address>[:<port>]]...]\n";
    const INITIATOR: &str =
        "usage:\n\tcreate-initiator\t[-s] [-S <chap-secret-path>] [-u <chap-username>] <initiator-node-name>\n";
    const DELETE: &str = "usage:\n\tdelete-target\t[-f] <target-node-name>\n";
    const LIST: &str = "usage:\n\tlist-target\t[-pv] [<target-node-name>]\n";

    #[test]
    fn options_and_operands_mix() {
        assert_eq!(accepted("delete-target NAME -f"), ("f=;".into(), vec!["NAME".into()]));
        assert_eq!(
            accepted("list-target -v NAME --parsable"),
            ("v=;p=;".into(), vec!["NAME".into()])
        );
        assert_eq!(accepted("delete-target -- -f"), (String::new(), vec!["-f".into()]));
        assert_eq!(
            accepted("create-target -nNAME --node=N --al x"),
            ("n=NAME;n=N;l=x;".into(), vec![])
        );
        assert_eq!(accepted("create-target -n -l"), ("n=-l;".into(), vec![]));
        assert_eq!(
            refused("delete-target NAME -f", true),
            ran(1, DELETE, "Error, delete-target accepts only a single operand\n")
        );
    }

    #[test]
    fn complaints() {
        for (line, usage, err) in [
            ("create-target -x", CREATE, "Unrecognized option -x\n"),
            ("create-target --colour=red", CREATE, "Unrecognized option --colour\n"),
            ("create-target --force", CREATE, "Unrecognized option --force\n"),
            ("create-target -n", CREATE, "Option -n requires an operand\n"),
            ("create-target --alias", CREATE, "Option --alias requires an operand\n"),
            (
                "create-target NAME",
                CREATE,
                "Error, create-target does not support any operands\n",
            ),
            ("modify-defaults -i x", DEFAULTS, "invalid value for -i\n"),
            (
                "modify-defaults -I 1,2,3,4,5,6,7,8,9",
                DEFAULTS,
                "Too many iSNS servers specified, maximum of 8 allowed\n",
            ),
            ("create-initiator -a chap", INITIATOR, "Unrecognized option -a\n"),
            (
                "create-initiator",
                INITIATOR,
                "Error, create-initiator requires an operand\n",
            ),
            (
                "list-defaults x",
                "usage:\n\tlist-defaults\t[-p]\n",
                "Error, list-defaults does not support any operands\n",
            ),
            ("delete-target", DELETE, "Error, delete-target requires an operand\n"),
            (
                "delete-target a b",
                DELETE,
                "Error, delete-target accepts only a single operand\n",
            ),
            ("delete-target -n", DELETE, "Unrecognized option -n\n"),
            (
                "list-target a b",
                LIST,
                "Error, list-target accepts only a single operand\n",
            ),
            ("list-target --verbose=1", LIST, "Unrecognized option --verbose\n"),
            // is, node..: isns and isns-server both fit `isn`.
            ("list-target --isn x", LIST, "Unrecognized option --isn\n"),
        ] {
            assert_eq!(refused(line, false), ran(1, usage, err), "{line}");
        }
    }

    #[test]
    fn help_version_and_unknown_subcommands() {
        let target = "[-a radius|chap|none|default] [-s] [-S <chap-secret-path>] [-u <chap-user-name>] \
                      [-n <target-node-name>] [-l <alias>] [-t <tpg-name>[,<tpg-name>]...]";
        let initiator = "[-s] [-S <chap-secret-path>] [-u <chap-username>] <initiator-node-name>";
        let all = format!(
            "usage: itadm <subcommand> <args> ...\n\
             \tcreate-target\t{target}\n\tmodify-target\t{target} <target-node-name>\n\
             \tdelete-target\t[-f] <target-node-name>\n\tlist-target\t[-pv] [<target-node-name>]\n\
             \tcreate-tpg\t<tpg-name> <IP-address>[:<port>]...\n\tdelete-tpg\t[-f] <tpg-name>\n\
             \tlist-tpg\t[-pv] [<tpg-name>]\n\tcreate-initiator\t{initiator}\n\tmodify-initiator\t{initiator}\n\
             \tlist-initiator\t[-pv] [<initiator-node-name>]\n\tdelete-initiator\t<initiator-node-name>\n\
             \tmodify-defaults\t[-a radius|chap|none] [-r <IP-address>[:<port>]] [-d] [-D <radius-secret-path>] \
             [-i enable|disable] [-I <IP-address>[:<port>][,<IP-address>[:<port>]]...]\n\tlist-defaults\t[-p]\n\
             \tadd-portal\t<tpg-name> <IP-address>[:<port>]...\n\tremove-portal\t<tpg-name> <IP-address>[:<port>]...\n"
        );
        let all = all.as_str();
        assert_eq!(refused("", false), ran(1, all, ""));
        for line in ["-h", "-?", "--help"] {
            assert_eq!(refused(line, false), ran(0, all, ""));
        }
        for line in ["list-target -h", "list-target a b -?", "list-target --help"] {
            assert_eq!(refused(line, false), ran(0, LIST, ""));
        }
        assert_eq!(refused("--version", false), ran(0, "itadm: Version 1.0\n", ""));
        assert_eq!(
            refused("LIST-TARGET", false),
            ran(1, all, "Error, no subcommand specified\n")
        );
    }
}
