//! The common subcommand parser of `stmfadm`, `sbdadm` and `aluaadm` (`cli.md` 1.3, 1.4).
//!
//! Its rules fit no argument crate: scanning stops at the first operand, long names are shortened over the whole tool's
//! table, an option's argument may begin with a dash, and most complaints go to standard output.
#![forbid(unsafe_code)]

use super::completion::{self, Grammar, Place, Word};
use super::exit_class::{self, Class};
use super::watch::{self, Rhythm};
use super::{Console, Service, document, effects, explain, usage, version};

/// Longest option argument, in bytes (`cli.md` 1.3).
const MAX_ARGUMENT: usize = 512;

/// `--json`, in the tables of all tools.
pub const JSON: char = '\u{e000}';

/// `--dry-run` of every subcommand that changes something.
pub const DRY_RUN: char = '\u{e004}';
/// Options that those take that the service tells the effects of.
pub const CHANGES: &[char] = &[DRY_RUN, JSON];

/// `--check` of `stmfadm status`.
pub const CHECK: char = '\u{e001}';
/// `--watch[=SECONDS]` of `stmfadm status` and the lists.
pub const WATCH: char = '\u{e002}';
/// `--count` of those.
pub const COUNT: char = '\u{e003}';
/// Options of lists.
pub const LISTS: &[char] = &[JSON, WATCH, COUNT];

/// `--color=auto|always|never`, of every subcommand.
pub const COLOR: char = '\u{e00a}';
/// `--explain`, of every subcommand.
pub const EXPLAIN: char = '\u{e00b}';
/// `--exit-class`, of every subcommand.
pub const EXIT_CLASS: char = '\u{e00f}';
/// Options that every subcommand takes.
const EVERYWHERE: [char; 3] = [COLOR, EXPLAIN, EXIT_CLASS];

/// `--wait[=SECONDS]` of those that wait for a state.
pub const WAIT: char = '\u{e005}';
/// `--create` of `create-lu`.
pub const CREATE: char = '\u{e006}';
/// `--prealloc` of `create-lu`.
pub const PREALLOC: char = '\u{e007}';
/// `--progress` of `create-lu`.
pub const PROGRESS: char = '\u{e008}';
/// `--verify` of `import-lu`.
pub const VERIFY: char = '\u{e009}';
/// `--scan` of `import-lu`.
pub const SCAN: char = '\u{e00c}';
/// `--node` of `stmfadm status`.
pub const NODE: char = '\u{e00d}';
/// `--chap-secret-stdin` of `itadm`.
pub const SECRET_STDIN: char = '\u{e00e}';
/// [`CHANGES`], and [`WAIT`].
pub const CHANGES_AND_WAITS: &[char] = &[DRY_RUN, JSON, WAIT];

/// Its argument may be left out; it is never the next word.
pub const fn is_optional(letter: char) -> bool {
    matches!(letter, WATCH | WAIT)
}

/// Options that the original does not have are long only (`cli.md` 10.0): in place of a letter they have a character of
/// Unicode's private use area, which stands for them within the tool and is no letter on a command line.
pub const fn is_added(letter: char) -> bool {
    '\u{e000}' <= letter && letter <= '\u{f8ff}'
}

/// An option of a tool.
#[derive(Debug)]
pub struct OptionSpec {
    /// Short form; see [`is_added`].
    pub letter: char,
    /// Long form, without the dashes.
    pub long: &'static str,
    /// The word for its argument in the usage text; `None`: it takes none.
    pub argument: Option<&'static str>,
}

/// What a subcommand takes besides options; the text is the operand's word in the usage text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operands {
    /// Nothing.
    None,
    /// Exactly one.
    One(&'static str),
    /// One or more.
    Many(&'static str),
    /// Any number.
    Any(&'static str),
}

/// One row of a tool's table.
pub struct Subcommand {
    /// Canonical, lower-case name.
    pub name: &'static str,
    /// Letters it takes, in the order of the usage text.
    pub options: &'static str,
    /// Options it takes that the original does not have; its usage text does not change (`cli.md` 10.9).
    pub added: &'static [char],
    /// Letters it requires.
    pub required: &'static str,
    /// Operands it takes.
    pub operands: Operands,
    /// Further lines of its usage text, each ended by a newline.
    pub help: &'static str,
    /// Does it; returns the exit status.
    pub run: fn(&Invocation, &dyn Service, &mut Console<'_>) -> u8,
}

impl Subcommand {
    /// The same row with long-only options.
    pub const fn with(self, added: &'static [char]) -> Subcommand {
        Subcommand { added, ..self }
    }

    /// Its effects are told by the service.
    fn is_told(&self) -> bool {
        CHANGES.iter().all(|option| self.added.contains(option))
    }

    /// It prints a list, which can be watched; `status` looks after that itself.
    fn is_list(&self) -> bool {
        self.name.starts_with("list-") && self.added.contains(&WATCH)
    }

    /// Does this command line ask for a JSON document, so that nothing else may come on standard output?
    fn wants_document(&self, arguments: &[String]) -> bool {
        self.added.contains(&JSON) && document::asked(arguments)
    }
}

/// A tool: the one table that drives the parser and the usage text.
pub struct Tool {
    /// Every option of the tool.
    pub options: &'static [OptionSpec],
    /// Subcommands in the order of the usage text.
    pub subcommands: &'static [Subcommand],
    /// So many of them, the first ones, are the original's.
    pub originals: usize,
    /// What may stand at a place of the command line, for completion.
    pub values: fn(&Place<'_>, &dyn Service) -> Vec<String>,
}

/// A command line that passed all checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Options in the order typed, with their arguments (empty for those that take none).
    pub options: Vec<(char, String)>,
    /// Operands in order.
    pub operands: Vec<String>,
}

impl Invocation {
    /// Was the option given?
    pub fn has(&self, letter: char) -> bool {
        self.options.iter().any(|(given, _)| *given == letter)
    }

    /// Its argument; the last one counts.
    pub fn value(&self, letter: char) -> Option<&str> {
        self.options
            .iter()
            .rev()
            .find(|(given, _)| *given == letter)
            .map(|(_, value)| value.as_str())
    }

    /// The operand of a subcommand that takes exactly one.
    pub fn operand(&self) -> &str {
        self.operands.first().map_or("", String::as_str)
    }
}

/// What an option before the subcommand asks for.
enum Leading {
    Help,
    Version,
}

/// Why a scan ended early.
#[derive(Debug, PartialEq, Eq)]
enum ScanEnd {
    /// `-?` or `--help`.
    Help,
    /// An argument above [`MAX_ARGUMENT`].
    TooLong,
    /// A complaint without the subcommand in front.
    Bad(String),
}

impl Tool {
    /// Runs a tool's command line: `arguments` come after `argv[0]`.
    pub fn run(&self, arguments: &[String], service: &dyn Service, console: &mut Console<'_>) -> u8 {
        let exit = self.run_line(arguments, service, console);
        exit_class::of(exit, arguments, console)
    }

    fn run_line(&self, arguments: &[String], service: &dyn Service, console: &mut Console<'_>) -> u8 {
        let Some((first, rest)) = arguments.split_first() else {
            usage::short(self, console);
            return 1;
        };
        if let Some(exit) = completion::run(arguments, self, service, console) {
            return exit;
        }
        if first.starts_with('-') && first != "-" && first != "--" {
            return self.leading_option(first, rest, console);
        }
        match self.subcommands.iter().find(|s| s.name.eq_ignore_ascii_case(first)) {
            Some(subcommand) => self.run_subcommand(subcommand, first, rest, service, console),
            None => {
                console.classify(Class::Usage);
                let line = format!("{}: invalid subcommand", console.tool());
                console.line(line);
                usage::short(self, console);
                if explain::asked(rest) {
                    let names = self.subcommands.iter().map(|row| row.name);
                    explain::offer(first, names, console);
                }
                1
            }
        }
    }

    /// Scan A: only help and version are known (`cli.md` 1.3).
    fn leading_option(&self, word: &str, rest: &[String], console: &mut Console<'_>) -> u8 {
        let (meaning, name) = match word.strip_prefix("--") {
            Some(long) => {
                let fits = |(known, _): &(&str, Leading)| known.starts_with(long);
                let meaning = [("help", Leading::Help), ("version", Leading::Version)]
                    .into_iter()
                    .find(fits);
                (
                    meaning.map(|(_, meaning)| meaning),
                    long.split('=').next().unwrap_or(long).to_owned(),
                )
            }
            None => match word.chars().nth(1) {
                Some('?') => (Some(Leading::Help), String::new()),
                Some('V') => (Some(Leading::Version), String::new()),
                other => (None, other.map(String::from).unwrap_or_default()),
            },
        };
        match meaning {
            Some(Leading::Help) => usage::full(self, console),
            Some(Leading::Version) => version::print(rest, console),
            None => {
                // Here, and only here, the program's name stands in full.
                let line = format!("{}: illegal option -- {name}", console.program());
                console.error_line(line);
                usage::short(self, console);
                return 1;
            }
        }
        0
    }

    fn run_subcommand(
        &self,
        subcommand: &Subcommand,
        typed: &str,
        arguments: &[String],
        service: &dyn Service,
        console: &mut Console<'_>,
    ) -> u8 {
        let scanned = self.scan(arguments);
        let complaint = match &scanned {
            Err(ScanEnd::Help) => {
                usage::block(self, subcommand, console);
                return 0;
            }
            Err(ScanEnd::TooLong) => Some("option too long".to_owned()),
            Err(ScanEnd::Bad(complaint)) => Some(complaint.clone()),
            Ok(invocation) => self.check(subcommand, invocation).err(),
        };
        if complaint.is_some() {
            console.classify(Class::Usage);
        }
        if let Some(complaint) = complaint.filter(|_| subcommand.wants_document(arguments)) {
            match scanned {
                Err(_) => console.error_line(format_args!("{typed}: {complaint}")),
                Ok(_) => console.complain(&complaint),
            }
            return document::refused(subcommand.name, &complaint, service, console);
        }
        let invocation = match scanned {
            Ok(invocation) => invocation,
            Err(ScanEnd::Bad(complaint)) => {
                console.error_line(format_args!("{typed}: {complaint}"));
                if let (true, Some(name)) = (explain::asked(arguments), complaint.strip_prefix("illegal option -- ")) {
                    let options = self.options(subcommand.name);
                    explain::offer(name, options.iter().map(|option| option.long), console);
                }
                usage::block(self, subcommand, console);
                return 1;
            }
            Err(ScanEnd::TooLong | ScanEnd::Help) => {
                let line = format!("{}: option too long", console.tool());
                console.line(line);
                return 1;
            }
        };
        if let Err(complaint) = self.check(subcommand, &invocation) {
            // Check 8 alone goes to standard error (`cli.md` 1.4, D-26).
            if complaint.ends_with("takes no operands") {
                console.complain(complaint);
            } else {
                let line = format!("{}: {complaint}", console.tool());
                console.line(line);
            }
            usage::block(self, subcommand, console);
            return 1;
        }
        let exit = self.perform(subcommand, &invocation, service, console);
        if invocation.has(EXPLAIN) {
            explain::failures(service, console);
        }
        exit
    }

    /// A command line that passed all checks.
    fn perform(
        &self,
        subcommand: &Subcommand,
        invocation: &Invocation,
        service: &dyn Service,
        console: &mut Console<'_>,
    ) -> u8 {
        console.set_subject(subcommand.name, invocation);
        let new = !self.subcommands[..self.originals]
            .iter()
            .any(|row| row.name == subcommand.name);
        let refused = |complaint: &str, console: &mut Console<'_>| {
            console.complain(complaint);
            console.classify(Class::Usage);
            match invocation.has(JSON) {
                true => document::refused(subcommand.name, complaint, service, console),
                false => 1,
            }
        };
        if let Err(complaint) = console.choose_colour(invocation.value(COLOR), new) {
            return refused(&complaint, console);
        }
        if subcommand.is_list() {
            return match Rhythm::of(invocation) {
                Ok(None) => (subcommand.run)(invocation, service, console),
                Ok(Some(rhythm)) => watch::repeat(&rhythm, invocation.has(JSON), service, console, &mut |console| {
                    (subcommand.run)(invocation, service, console)
                }),
                Err(complaint) => refused(&complaint, console),
            };
        }
        // A scan only looks.
        if !subcommand.is_told() || invocation.has(SCAN) {
            return (subcommand.run)(invocation, service, console);
        }
        // Each operand is evaluated against what is there now.
        let operands = &invocation.operands;
        let again = |at: &usize| {
            operands[..*at]
                .iter()
                .any(|one| one.eq_ignore_ascii_case(&operands[*at]))
        };
        if let Some(at) = (0..operands.len()).find(again).filter(|_| invocation.has(DRY_RUN)) {
            let complaint = format!("{}: named twice, which --dry-run cannot evaluate", operands[at]);
            return refused(&complaint, console);
        }
        effects::run(subcommand.name, invocation, service, console, |console| {
            (subcommand.run)(invocation, service, console)
        })
    }

    /// Scan B: options up to the first operand.
    fn scan(&self, arguments: &[String]) -> Result<Invocation, ScanEnd> {
        let mut invocation = Invocation::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            if let Some(long) = word.strip_prefix("--") {
                let option = self.scan_long(long, &mut words)?;
                invocation.options.push(option);
            } else if word.starts_with('-') && word.len() > 1 {
                self.scan_letters(&word[1..], &mut words, &mut invocation.options)?;
            } else {
                invocation.operands.push(word.clone());
                break;
            }
        }
        invocation.operands.extend(words.cloned());
        Ok(invocation)
    }

    fn scan_long(&self, long: &str, words: &mut std::slice::Iter<'_, String>) -> Result<(char, String), ScanEnd> {
        let (name, attached) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        let bad = |what: &str| Err(ScanEnd::Bad(format!("{what} -- {name}")));
        let (letter, takes_argument) = match self.long_name(name) {
            Ok(found) => found,
            Err(what) => return bad(what),
        };
        if takes_argument {
            return match attached.or_else(|| words.next().map(String::as_str)) {
                Some(value) => Ok((letter, bounded(value)?)),
                None => bad("option requires an argument"),
            };
        }
        match (letter, attached) {
            (_, Some(value)) if is_optional(letter) => Ok((letter, bounded(value)?)),
            (_, Some(_)) => bad("option doesn't take an argument"),
            ('?', None) => Err(ScanEnd::Help),
            (_, None) => Ok((letter, String::new())),
        }
    }

    /// A complete name wins; else a prefix that fits one name of the whole table, `help` included. The names of the
    /// original come first, so that what could be shortened before still means the same (`cli.md` 10.0).
    fn long_name(&self, name: &str) -> Result<(char, bool), &'static str> {
        let options = self.options.iter().map(|o| (o.long, o.letter, o.argument.is_some()));
        let (added, mut original): (Vec<_>, Vec<_>) = options.partition(|(_, letter, _)| is_added(*letter));
        original.push(("help", '?', false));
        for table in [original, added] {
            if let Some((_, letter, argument)) = table.iter().find(|(long, _, _)| *long == name) {
                return Ok((*letter, *argument));
            }
            let mut fitting = table
                .iter()
                .filter(|(long, _, _)| !name.is_empty() && long.starts_with(name));
            match (fitting.next(), fitting.next()) {
                (Some((_, letter, argument)), None) => return Ok((*letter, *argument)),
                (Some(_), Some(_)) => return Err("ambiguous option"),
                (None, _) => {}
            }
        }
        Err("illegal option")
    }

    fn scan_letters(
        &self,
        cluster: &str,
        words: &mut std::slice::Iter<'_, String>,
        options: &mut Vec<(char, String)>,
    ) -> Result<(), ScanEnd> {
        for (at, letter) in cluster.char_indices() {
            if letter == '?' {
                return Err(ScanEnd::Help);
            }
            let known = |o: &&OptionSpec| o.letter == letter && !is_added(letter);
            let Some(option) = self.options.iter().find(known) else {
                return Err(ScanEnd::Bad(format!("illegal option -- {letter}")));
            };
            if option.argument.is_none() {
                options.push((letter, String::new()));
                continue;
            }
            let attached = &cluster[at + letter.len_utf8()..];
            let value = if attached.is_empty() {
                words.next().map(String::as_str)
            } else {
                Some(attached)
            };
            let Some(value) = value else {
                return Err(ScanEnd::Bad(format!("option requires an argument -- {letter}")));
            };
            options.push((letter, bounded(value)?));
            break;
        }
        Ok(())
    }

    /// The checks after scanning, in the order of `cli.md` 1.4.
    fn check(&self, subcommand: &Subcommand, invocation: &Invocation) -> Result<(), String> {
        let (name, given) = (subcommand.name, &invocation.options);
        for (letter, _) in given {
            if subcommand.added.contains(letter) || EVERYWHERE.contains(letter) {
                continue;
            }
            if let Some(option) = self.options.iter().find(|o| o.letter == *letter && is_added(*letter)) {
                return Err(format!("'--{}': invalid option", option.long));
            }
            if subcommand.options.is_empty() {
                return Err("no options permitted".to_owned());
            }
            if !subcommand.options.contains(*letter) {
                return Err(format!("'-{letter}': invalid option"));
            }
        }
        if given.is_empty() && !subcommand.required.is_empty() {
            return Err("at least one option required".to_owned());
        }
        let required = given
            .iter()
            .filter(|(letter, _)| subcommand.required.contains(*letter))
            .count();
        if required != subcommand.required.len() {
            return Err(format!("Following option(s) required: {}", subcommand.required));
        }
        match (subcommand.operands, invocation.operands.len()) {
            (Operands::One(_) | Operands::Many(_), 0) => Err(format!("{name} requires an operand")),
            (Operands::None, 1..) => Err(format!("{name} takes no operands")),
            (Operands::One(_), 2..) => Err(format!("{name} accepts only a single operand")),
            _ => Ok(()),
        }
    }
}

impl Grammar for Tool {
    fn subcommands(&self) -> Vec<&'static str> {
        self.subcommands.iter().map(|subcommand| subcommand.name).collect()
    }

    fn options(&self, subcommand: &str) -> Vec<Word> {
        let named = |row: &&Subcommand| row.name.eq_ignore_ascii_case(subcommand);
        let Some(row) = self.subcommands.iter().find(named) else {
            return Vec::new();
        };
        let taken = |option: &&OptionSpec| {
            let letter = option.letter;
            row.options.contains(letter) || row.added.contains(&letter) || EVERYWHERE.contains(&letter)
        };
        let words = self.options.iter().filter(taken).map(|option| Word {
            letter: Some(option.letter).filter(|letter| !is_added(*letter)),
            long: option.long,
            argument: option.argument.is_some(),
        });
        words.collect()
    }

    fn values(&self, place: &Place<'_>, service: &dyn Service) -> Vec<String> {
        (self.values)(place, service)
    }
}

fn bounded(value: &str) -> Result<String, ScanEnd> {
    if value.len() > MAX_ARGUMENT {
        Err(ScanEnd::TooLong)
    } else {
        Ok(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::script::{Ran, Script, ran, run};

    const fn letter(letter: char, long: &'static str, argument: Option<&'static str>) -> OptionSpec {
        OptionSpec { letter, long, argument }
    }

    fn echo(invocation: &Invocation, _: &dyn Service, console: &mut Console<'_>) -> u8 {
        let options: String = invocation
            .options
            .iter()
            .map(|(letter, value)| format!("{letter}={value};"))
            .collect();
        console.line(format_args!("{options} {}", invocation.operands.join(",")));
        0
    }

    const fn row(name: &'static str, options: &'static str, required: &'static str, operands: Operands) -> Subcommand {
        Subcommand {
            name,
            options,
            added: &[],
            required,
            operands,
            help: "",
            run: echo,
        }
    }

    const TOOL: Tool = Tool {
        values: |_, _| Vec::new(),
        originals: 5,
        options: &[
            letter('a', "all", None),
            letter('g', "group-name", Some("group-name")),
            letter('l', "lun", Some("number")),
            letter('n', "lunatic", None),
            letter('s', "size", Some("size")),
            letter('v', "verbose", None),
        ],
        subcommands: &[
            row("add-it", "avglns", "", Operands::Many("thing")),
            row("list-view", "l", "l", Operands::Any("ve-number")),
            row("list-state", "", "", Operands::None),
            row("one", "s", "", Operands::One("LU-name")),
            row("two", "gl", "gl", Operands::None),
        ],
    };

    fn tool(arguments: &[String], service: &dyn Service, console: &mut Console<'_>) -> u8 {
        TOOL.run(arguments, service, console)
    }

    fn typed(line: &str) -> Ran {
        run(
            tool,
            &format!("/usr/sbin/tool{}{line}", if line.is_empty() { "" } else { " " }),
            &Script::new(),
        )
    }

    fn echoed(line: &str) -> String {
        let result = typed(line);
        assert_eq!((result.status, result.err.as_str()), (0, ""), "{line}: {result:?}");
        result.out.trim_end_matches('\n').to_owned()
    }

    const SHORT: &str = "Usage:\ttool -?,-V,--help\nUsage:\ttool add-it [-?]\nUsage:\ttool list-view [-?]\n\
                         Usage:\ttool list-state [-?]\nUsage:\ttool one [-?]\nUsage:\ttool two [-?]\n";
    const ADD: &str = "\nUsage:\ttool add-it [OPTIONS] <thing ...>\n\tOPTIONS:\n\t\t-a, --all  \n\t\t-v, --verbose  \n\
                       \t\t-g, --group-name  <group-name>\n\t\t-l, --lun  <number>\n\t\t-n, --lunatic  \n\
                       \t\t-s, --size  <size>\n";
    const VIEW: &str = "\nUsage:\ttool list-view <OPTIONS> [ve-number ...]\n\tOPTIONS:\n\t\t-l, --lun  <number>\n";
    const STATE: &str = "\nUsage:\ttool list-state \n";
    const ONE: &str = "\nUsage:\ttool one [OPTIONS] <LU-name>\n\tOPTIONS:\n\t\t-s, --size  <size>\n";
    const TWO: &str =
        "\nUsage:\ttool two <OPTIONS> \n\tOPTIONS:\n\t\t-g, --group-name  <group-name>\n\t\t-l, --lun  <number>\n";

    #[test]
    fn scan_a() {
        assert_eq!(typed(""), ran(1, SHORT, ""));
        let full = format!("Usage:\ttool -?,-V\n{ADD}{VIEW}{STATE}{ONE}{TWO}");
        for help in ["-?", "--help", "-? add-it", "--h"] {
            assert_eq!(typed(help), ran(0, &full, ""), "{help}");
        }
        for version in ["-V", "--version", "-V x"] {
            assert_eq!(typed(version), ran(0, "tool: Version 1.0\n", ""), "{version}");
        }
        // Here the program's name stands in full.
        assert_eq!(typed("-x"), ran(1, SHORT, "/usr/sbin/tool: illegal option -- x\n"));
        assert_eq!(
            typed("--colour list-state"),
            ran(1, SHORT, "/usr/sbin/tool: illegal option -- colour\n")
        );
        assert_eq!(
            typed("list-l"),
            ran(1, &format!("tool: invalid subcommand\n{SHORT}"), "")
        );
    }

    #[test]
    fn scan_b() {
        assert_eq!(echoed("ADD-IT x"), " x");
        assert_eq!(echoed("add-it -av x y"), "a=;v=; x,y");
        assert_eq!(echoed("add-it -gweb x"), "g=web; x");
        assert_eq!(echoed("add-it -avg web x"), "a=;v=;g=web; x");
        assert_eq!(echoed("add-it --group=web --group-name hosts x"), "g=web;g=hosts; x");
        assert_eq!(
            echoed("add-it --lun 5 x"),
            "l=5; x",
            "a complete name wins over a longer one"
        );
        assert_eq!(echoed("add-it --luna x"), "n=; x");
        assert_eq!(
            echoed("add-it -l -a x"),
            "l=-a; x",
            "the next word is the argument, whatever it looks like"
        );
        assert_eq!(echoed("add-it -s -- x"), "s=--; x");
        assert_eq!(echoed("add-it -a -- -v x"), "a=; -v,x");
        assert_eq!(echoed("add-it - -v"), " -,-v", "scanning stops at the first operand");
        assert_eq!(echoed("add-it x -v"), " x,-v");
        for help in ["add-it -?", "add-it --help", "add-it --he"] {
            assert_eq!(typed(help), ran(0, ADD, ""));
        }
        assert_eq!(
            typed("two -a? rest -x"),
            ran(0, TWO, ""),
            "help ends it, whatever else the line says"
        );
    }

    /// `cli.md` 12.7: what a shortened name meant before there were new options.
    #[test]
    fn abbreviations_of_the_original_names_keep_their_meaning() {
        use crate::cli::{sbdadm, stmfadm};
        const STMFADM: &[(&str, char)] = &[
            ("all", 'a'),
            ("group-name", 'g'),
            ("keep-views", 'k'),
            ("lu-name", 'l'),
            ("lun", 'n'),
            ("lu-prop", 'p'),
            ("file", 'f'),
            ("size", 's'),
            ("target-group", 't'),
            ("host-group", 'h'),
            ("verbose", 'v'),
            ("help", '?'),
        ];
        const SBDADM: &[(&str, char)] = &[("disk-size", 's'), ("size", 's'), ("keep-views", 'k'), ("help", '?')];
        for (tool, original) in [(&stmfadm::TOOL, STMFADM), (&sbdadm::TOOL, SBDADM)] {
            let prefixes = original
                .iter()
                .flat_map(|(long, _)| (1..=long.len()).map(|end| &long[..end]));
            for prefix in prefixes {
                let fitting: Vec<char> = original
                    .iter()
                    .filter(|(long, _)| long.starts_with(prefix))
                    .map(|(_, letter)| *letter)
                    .collect();
                let whole = original
                    .iter()
                    .find(|(long, _)| *long == prefix)
                    .map(|(_, letter)| *letter);
                let expected = match (whole, &fitting[..]) {
                    (Some(letter), _) => Ok(letter),
                    (None, [letter]) => Ok(*letter),
                    (None, _) => Err("ambiguous option"),
                };
                assert_eq!(tool.long_name(prefix).map(|(letter, _)| letter), expected, "{prefix}");
            }
        }
    }

    /// A letter that stands for two options would make one of them the other; two names of one option are wanted.
    #[test]
    fn each_option_has_a_letter_of_its_own() {
        use crate::cli::{sbdadm, stmfadm};
        for (tool, synonyms) in [
            (&stmfadm::TOOL, ["with-secrets", "secrets"]),
            (&sbdadm::TOOL, ["disk-size", "size"]),
        ] {
            let mut names = std::collections::HashMap::<char, Vec<&str>>::new();
            for option in tool.options {
                names.entry(option.letter).or_default().push(option.long);
            }
            let shared: Vec<_> = names.into_values().filter(|names| names.len() > 1).collect();
            assert_eq!(shared, [synonyms]);
        }
    }

    #[test]
    fn complaints_of_scan_b_begin_with_the_subcommand_as_typed() {
        for (line, err) in [
            ("Add-It -x", "Add-It: illegal option -- x\n"),
            ("add-it -V", "add-it: illegal option -- V\n"),
            ("add-it --colour=red", "add-it: illegal option -- colour\n"),
            ("add-it --lu 5", "add-it: ambiguous option -- lu\n"),
            ("add-it --=x", "add-it: illegal option -- \n"),
            ("add-it -g", "add-it: option requires an argument -- g\n"),
            ("add-it --group", "add-it: option requires an argument -- group\n"),
            ("add-it --all=1", "add-it: option doesn't take an argument -- all\n"),
            ("add-it --help=1", "add-it: option doesn't take an argument -- help\n"),
        ] {
            assert_eq!(typed(line), ran(1, ADD, err), "{line}");
        }
        let long = "x".repeat(513);
        assert_eq!(
            typed(&format!("add-it -g {long} x")),
            ran(1, "tool: option too long\n", "")
        );
        assert_eq!(
            echoed(&format!("add-it -g {} x", &long[1..])),
            format!("g={}; x", &long[1..])
        );
    }

    #[test]
    fn checks_in_their_order() {
        for (line, usage, complaint) in [
            ("list-state -v x", STATE, "no options permitted"),
            ("list-view -v", VIEW, "'-v': invalid option"),
            ("one -s 1 -a -v", ONE, "'-a': invalid option"),
            ("list-view", VIEW, "at least one option required"),
            ("two -g a", TWO, "Following option(s) required: gl"),
            ("list-view -l 1 -l 2", VIEW, "Following option(s) required: l"),
            ("add-it -a", ADD, "add-it requires an operand"),
            ("ONE", ONE, "one requires an operand"),
            ("one x -s", ONE, "one accepts only a single operand"),
        ] {
            assert_eq!(
                typed(line),
                ran(1, &format!("tool: {complaint}\n{usage}"), ""),
                "{line}"
            );
        }
        // Check 8 alone goes to standard error.
        assert_eq!(
            typed("LIST-STATE x"),
            ran(1, STATE, "tool: list-state takes no operands\n")
        );
    }
}
