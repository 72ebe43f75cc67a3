//! The parser of `itadm` (`cli.md` 4.1): options and operands mix, names are matched exactly, complaints go to standard
//! error and usage to standard output.

use crate::cli::Console;

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
];

/// Known to scripts, not served yet.
const UNSERVED: &[&str] = &[
    "modify-target",
    "create-tpg",
    "delete-tpg",
    "list-tpg",
    "create-initiator",
    "modify-initiator",
    "list-initiator",
    "delete-initiator",
    "modify-defaults",
    "list-defaults",
];

/// What `itadm` does.
#[expect(clippy::enum_variant_names, reason = "portal groups and initiators come")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subcommand {
    CreateTarget,
    DeleteTarget,
    ListTarget,
}

impl Subcommand {
    const ALL: [Subcommand; 3] = [
        Subcommand::CreateTarget,
        Subcommand::DeleteTarget,
        Subcommand::ListTarget,
    ];

    /// As typed, exactly.
    pub fn name(self) -> &'static str {
        match self {
            Subcommand::CreateTarget => "create-target",
            Subcommand::DeleteTarget => "delete-target",
            Subcommand::ListTarget => "list-target",
        }
    }

    /// Letters of the original; those that are not `served` are refused by name.
    fn options(self) -> (&'static str, &'static str) {
        match self {
            Subcommand::CreateTarget => ("asSunlt", "nl"),
            Subcommand::DeleteTarget => ("f", "f"),
            Subcommand::ListTarget => ("pv", "pv"),
        }
    }

    fn synopsis(self) -> &'static str {
        match self {
            Subcommand::CreateTarget => "[-n <target-node-name>] [-l <alias>]",
            Subcommand::DeleteTarget => "[-f] <target-node-name>",
            Subcommand::ListTarget => "[-pv] [<target-node-name>]",
        }
    }
}

/// A command line that passed all checks.
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed {
    pub subcommand: Subcommand,
    pub options: Vec<(char, String)>,
    pub operands: Vec<String>,
}

impl Parsed {
    pub fn has(&self, letter: char) -> bool {
        self.options.iter().any(|(given, _)| *given == letter)
    }

    /// The last one counts.
    pub fn value(&self, letter: char) -> Option<&str> {
        self.options
            .iter()
            .rev()
            .find(|(given, _)| *given == letter)
            .map(|(_, value)| value.as_str())
    }

    pub fn operand(&self) -> &str {
        self.operands.first().map_or("", String::as_str)
    }
}

/// Parses, or says why not and returns the exit status.
pub fn parse(arguments: &[String], posixly_correct: bool, console: &mut Console<'_>) -> Result<Parsed, u8> {
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
        let line = format!("{}: Version 1.0", console.tool());
        console.line(line);
        return Err(0);
    }
    let Some(subcommand) = Subcommand::ALL.into_iter().find(|s| s.name() == first) else {
        if UNSERVED.contains(&first.as_str()) {
            console.error_line(format_args!("Error, {first} is not available in this version"));
        } else {
            console.error_line("Error, no subcommand specified");
            overall_usage(console);
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
    match scanned {
        Ok(scanned) if scanned.help => {
            usage(subcommand, console);
            Err(0)
        }
        Ok(scanned) => Ok(scanned.parsed),
        Err(complaint) => {
            console.error_line(complaint);
            usage(subcommand, console);
            Err(1)
        }
    }
}

struct Scanned {
    parsed: Parsed,
    help: bool,
}

impl Scanned {
    fn check_operands(self) -> Result<Scanned, String> {
        let (subcommand, count) = (self.parsed.subcommand, self.parsed.operands.len());
        let name = subcommand.name();
        match (subcommand, count) {
            (Subcommand::DeleteTarget, 0) => Err(format!("Error, {name} requires an operand")),
            (Subcommand::DeleteTarget | Subcommand::ListTarget, 2..) => {
                Err(format!("Error, {name} accepts only a single operand"))
            }
            (Subcommand::CreateTarget, 1..) => Err(format!("Error, {name} does not support any operands")),
            _ => Ok(self),
        }
    }
}

fn scan(subcommand: Subcommand, arguments: &[String], posixly_correct: bool) -> Result<Scanned, String> {
    let mut scanned = Scanned {
        parsed: Parsed {
            subcommand,
            options: Vec::new(),
            operands: Vec::new(),
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
            scanned.parsed.operands.push(word.clone());
            if posixly_correct {
                break;
            }
        }
    }
    scanned.parsed.operands.extend(words.cloned());
    Ok(scanned)
}

fn scan_long(long: &str, words: &mut std::slice::Iter<'_, String>, scanned: &mut Scanned) -> Result<(), String> {
    let (name, attached) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (long, None),
    };
    let unknown = || format!("Unrecognized option --{name}");
    let (letter, takes_argument) = long_name(name).ok_or_else(unknown)?;
    let word = format!("--{name}");
    match (takes_argument, attached) {
        (false, Some(_)) => Err(unknown()),
        (false, None) => accept(letter, &word, String::new(), scanned),
        (true, value) => {
            let value = value.or_else(|| words.next().map(String::as_str));
            let value = value.ok_or_else(|| format!("Option {word} requires an operand"))?;
            accept(letter, &word, value.to_owned(), scanned)
        }
    }
}

/// A complete name wins; else a prefix that fits one name of the whole table. Names of one letter count once.
fn long_name(name: &str) -> Option<(char, bool)> {
    if let Some((letter, _, argument)) = OPTIONS.iter().find(|(_, long, _)| *long == name) {
        return Some((*letter, *argument));
    }
    let mut fitting = OPTIONS
        .iter()
        .filter(|(_, long, _)| !name.is_empty() && long.starts_with(name));
    match (fitting.next(), fitting.next()) {
        (Some((letter, _, argument)), None) => Some((*letter, *argument)),
        _ => None,
    }
}

fn scan_letters(cluster: &str, words: &mut std::slice::Iter<'_, String>, scanned: &mut Scanned) -> Result<(), String> {
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
                return Err(format!("Option {word} requires an operand"));
            }
            None => return Err(format!("Unrecognized option {word}")),
        };
        return accept(letter, &word, value.to_owned(), scanned);
    }
    Ok(())
}

fn letter_option(letter: char) -> Option<(char, bool)> {
    OPTIONS
        .iter()
        .find(|(known, _, _)| *known == letter)
        .map(|(_, _, argument)| (letter, *argument))
}

fn takes(subcommand: Subcommand, letter: char) -> bool {
    subcommand.options().0.contains(letter)
}

fn accept(letter: char, word: &str, value: String, scanned: &mut Scanned) -> Result<(), String> {
    let (known, served) = scanned.parsed.subcommand.options();
    match letter {
        'h' => scanned.help = true,
        _ if served.contains(letter) => scanned.parsed.options.push((letter, value)),
        _ if known.contains(letter) => return Err(format!("Error, option {word} is not available in this version")),
        _ => return Err(format!("Unrecognized option {word}")),
    }
    Ok(())
}

fn overall_usage(console: &mut Console<'_>) {
    console.line("usage: itadm <subcommand> <args> ...");
    Subcommand::ALL
        .into_iter()
        .for_each(|subcommand| synopsis(subcommand, console));
}

fn usage(subcommand: Subcommand, console: &mut Console<'_>) {
    console.line("usage:");
    synopsis(subcommand, console);
}

fn synopsis(subcommand: Subcommand, console: &mut Console<'_>) {
    console.line(format_args!("\t{}\t{}", subcommand.name(), subcommand.synopsis()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::script::{Ran, ran};

    fn refused(line: &str, posixly_correct: bool) -> Ran {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = parse(&words, posixly_correct, &mut Console::new("itadm", &mut out, &mut err)).unwrap_err();
        ran(
            status,
            &String::from_utf8(out).unwrap(),
            &String::from_utf8(err).unwrap(),
        )
    }

    fn accepted(line: &str) -> (String, Vec<String>) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let parsed = parse(&words, false, &mut Console::new("itadm", &mut out, &mut err)).unwrap();
        assert!(out.is_empty() && err.is_empty());
        (
            parsed
                .options
                .iter()
                .map(|(letter, value)| format!("{letter}={value};"))
                .collect(),
            parsed.operands,
        )
    }

    const CREATE: &str = "usage:\n\tcreate-target\t[-n <target-node-name>] [-l <alias>]\n";
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
            (
                "create-target -s",
                CREATE,
                "Error, option -s is not available in this version\n",
            ),
            (
                "create-target --tpg a",
                CREATE,
                "Error, option --tpg is not available in this version\n",
            ),
            (
                "create-target -a chap",
                CREATE,
                "Error, option -a is not available in this version\n",
            ),
            (
                "create-target -S /f",
                CREATE,
                "Error, option -S is not available in this version\n",
            ),
            (
                "create-target -u me",
                CREATE,
                "Error, option -u is not available in this version\n",
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
        let all = "usage: itadm <subcommand> <args> ...\n\tcreate-target\t[-n <target-node-name>] [-l <alias>]\n\
                   \tdelete-target\t[-f] <target-node-name>\n\tlist-target\t[-pv] [<target-node-name>]\n";
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
        assert_eq!(
            refused("create-tpg a 1.2.3.4", false),
            ran(1, "", "Error, create-tpg is not available in this version\n")
        );
    }
}
