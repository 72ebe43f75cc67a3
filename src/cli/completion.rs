//! Shell completion (`cli.md` 10.8). `T completion SHELL` prints a script for the shell, which asks back with
//! `T __complete WORD...`: the words behind the tool's name, the last being the one to complete. The answers come from the
//! tables of the tools and, for names that exist now, from the service; what cannot be told is left out in silence.
#![forbid(unsafe_code)]

use super::text::printable;
use super::{Console, Service, stmfadm};
use crate::types::Guid;

/// The subcommand that prints a script.
pub const COMPLETION: &str = "completion";
/// The call that scripts make.
pub const COMPLETE: &str = "__complete";

const SHELLS: [(&str, &str); 3] = [
    ("bash", include_str!("completion/bash")),
    ("zsh", include_str!("completion/zsh")),
    ("fish", include_str!("completion/fish")),
];

/// More names than this are listed without what they stand for: it takes a call each.
const DESCRIBED: usize = 100;

/// An option of a subcommand.
pub struct Word {
    /// `None` for a long-only option.
    pub letter: Option<char>,
    /// Without the dashes.
    pub long: &'static str,
    /// It takes an argument.
    pub argument: bool,
}

/// What stands at the place that is to be completed.
pub struct Place<'a> {
    /// The subcommand.
    pub subcommand: &'a str,
    /// The option whose argument it is; `None`: an operand.
    pub option: Option<&'a str>,
    /// What is there of it.
    pub current: &'a str,
    /// All words behind the subcommand up to here.
    words: &'a [String],
}

impl Place<'_> {
    /// Was this option without an argument given before, by itself?
    pub fn has_flag(&self, letter: char, long: &str) -> bool {
        let (short, long) = (format!("-{letter}"), format!("--{long}"));
        self.words.iter().any(|word| *word == short || *word == long)
    }

    /// Does this word stand before it?
    pub fn was_given(&self, word: &str) -> bool {
        self.words.iter().any(|given| given == word)
    }

    /// The argument of an option that was given before.
    pub fn given(&self, letter: char, long: &str) -> Option<&str> {
        let (short, long) = (format!("-{letter}"), format!("--{long}"));
        self.words.iter().enumerate().rev().find_map(|(at, word)| {
            if *word == short || *word == long {
                return self.words.get(at + 1).map(String::as_str);
            }
            let attached = word.strip_prefix(&long).and_then(|rest| rest.strip_prefix('='));
            attached.or_else(|| {
                word.strip_prefix(&short)
                    .filter(|value| !word.starts_with("--") && !value.is_empty())
            })
        })
    }
}

/// What completion has to know of a tool.
pub trait Grammar {
    /// Its subcommands.
    fn subcommands(&self) -> Vec<&'static str>;
    /// The options of a subcommand.
    fn options(&self, subcommand: &str) -> Vec<Word>;
    /// What may stand at a place; nothing where the shell offers files.
    fn values(&self, place: &Place<'_>, service: &dyn Service) -> Vec<String>;
}

/// The tool's answer, if these arguments are one of the two calls.
pub fn run(
    arguments: &[String],
    grammar: &dyn Grammar,
    service: &dyn Service,
    console: &mut Console<'_>,
) -> Option<u8> {
    match arguments.split_first()? {
        (first, [shell]) if first == COMPLETION => Some(script(shell, console)),
        (first, _) if first == COMPLETION => Some(script("", console)),
        (first, words) if first == COMPLETE => {
            for candidate in candidates(words, grammar, service) {
                console.line(candidate);
            }
            Some(0)
        }
        _ => None,
    }
}

fn script(shell: &str, console: &mut Console<'_>) -> u8 {
    match SHELLS.iter().find(|(name, _)| *name == shell) {
        Some((_, text)) => {
            let text = text.replace("@TOOL@", console.tool());
            console.text(text);
            0
        }
        None => {
            let names = SHELLS.map(|(name, _)| name).join(", ");
            console.error(format_args!("{COMPLETION} requires the name of a shell: {names}"));
            1
        }
    }
}

/// Each with a TAB and a description behind it, where there is one.
fn candidates(words: &[String], grammar: &dyn Grammar, service: &dyn Service) -> Vec<String> {
    let Some((last, before)) = words.split_last() else {
        return Vec::new();
    };
    let mut found = match before.split_first() {
        None => {
            let names = grammar.subcommands().into_iter().chain([COMPLETION]);
            names.map(str::to_owned).collect()
        }
        Some((first, [])) if first == COMPLETION => SHELLS.map(|(name, _)| name.to_owned()).to_vec(),
        Some((subcommand, given)) => at_place(subcommand, given, last, grammar, service),
    };
    found.retain(|candidate| candidate.starts_with(last.as_str()));
    found
}

fn at_place(
    subcommand: &str,
    given: &[String],
    last: &str,
    grammar: &dyn Grammar,
    service: &dyn Service,
) -> Vec<String> {
    let options = grammar.options(subcommand);
    let previous = given.last().map_or("", String::as_str);
    let option = options.iter().filter(|option| option.argument).find(|option| {
        let letter = option.letter.map(|letter| format!("-{letter}"));
        letter.as_deref() == Some(previous) || previous.strip_prefix("--") == Some(option.long)
    });
    if option.is_none() && last.starts_with('-') {
        let letters = options
            .iter()
            .filter_map(|option| option.letter)
            .map(|letter| format!("-{letter}"));
        let names = options.iter().map(|option| format!("--{}", option.long));
        return names.chain(letters).collect();
    }
    let place = Place {
        subcommand,
        option: option.map(|option| option.long),
        current: last,
        words: given,
    };
    match place.option {
        Some("color") => ["auto", "always", "never"].map(str::to_owned).to_vec(),
        Some("size" | "disk-size") => sizes(last),
        _ => grammar.values(&place, service),
    }
}

/// A number with each of the letters that may follow it.
fn sizes(number: &str) -> Vec<String> {
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let letters = ["B", "K", "M", "G", "T", "P", "E"].into_iter().filter(|_| digits);
    letters.map(|letter| format!("{number}{letter}")).collect()
}

/// GUIDs, with aliases and sizes while they are few; names by alias where one is begun.
pub fn guids(place: &Place<'_>, service: &dyn Service) -> Vec<String> {
    let guids = service.lu_list().unwrap_or_default();
    let alias = |guid: &Guid| {
        let info = service.lu_info(*guid).ok();
        info.map(|info| printable(&info.alias))
            .filter(|alias| !alias.is_empty())
    };
    if place.current.starts_with("alias:") {
        let named = |guid: &Guid| Some(format!("alias:{}\t{guid}", alias(guid)?));
        return guids.iter().filter_map(named).collect();
    }
    let few = guids.len() <= DESCRIBED;
    let described = |guid: &Guid| {
        let alias = alias(guid);
        let size = service
            .lu_resource(*guid)
            .ok()
            .and_then(|report| report.properties.size);
        let words: Vec<String> = alias.into_iter().chain(size.map(stmfadm::size)).collect();
        let tab = if words.is_empty() { "" } else { "\t" };
        format!("{guid}{tab}{}", words.join(", "))
    };
    let shown = guids
        .iter()
        .map(|guid| if few { described(guid) } else { guid.to_string() });
    shown.collect()
}

/// The texts of a list that the service may refuse.
pub fn texts<T: ToString, E>(list: Result<Vec<T>, E>) -> Vec<String> {
    let list = list.unwrap_or_default();
    list.iter().map(|one| printable(&one.to_string())).collect()
}

#[cfg(test)]
mod tests;
