//! The manual pages of section 8 name everything that is in the tools' tables (`cli.md` 10.9).

use super::completion::Grammar;
use super::{aluaadm, itadm, sbdadm, stmfadm};

const PAGES: [(&str, &dyn Grammar, &str); 4] = [
    ("stmfadm", &stmfadm::TOOL, include_str!("../../man/stmfadm.8")),
    ("sbdadm", &sbdadm::TOOL, include_str!("../../man/sbdadm.8")),
    ("itadm", &itadm::Tables, include_str!("../../man/itadm.8")),
    ("aluaadm", &aluaadm::TOOL, include_str!("../../man/aluaadm.8")),
];

/// As it is read: without fonts.
fn plain(page: &str) -> String {
    let mut text = page.replace("\\-", "-");
    for font in ["\\fB", "\\fI", "\\fR"] {
        text = text.replace(font, "");
    }
    text
}

/// Lines of the synopsis, with those that go on in the next one.
fn synopsis(page: &str) -> Vec<String> {
    let begin = page.split(".SH SYNOPSIS\n").nth(1).expect("a synopsis");
    let text = begin.split(".SH ").next().expect("its end");
    text.replace("\n    ", " ").lines().map(str::to_owned).collect()
}

/// Does it stand there, and is it not only the beginning of a longer word?
fn stands(word: &str, line: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|next: char| next == '-' || next.is_alphanumeric());
    line.match_indices(word)
        .any(|(at, _)| !goes_on(&line[at + word.len()..]))
}

#[test]
fn each_subcommand_and_each_option() {
    for (tool, tables, page) in PAGES {
        let page = plain(page);
        let synopsis = synopsis(&page);
        for subcommand in tables.subcommands() {
            let lines: Vec<&String> = synopsis
                .iter()
                .filter(|line| stands(&format!(" {subcommand}"), line))
                .collect();
            let other_name = subcommand == "import-config";
            assert!(
                !lines.is_empty() || other_name,
                "{tool} {subcommand} is not in the synopsis"
            );
            for option in tables.options(subcommand) {
                let long = format!("--{}", option.long);
                assert!(stands(&long, &page), "{tool} {long}");
                if let (Some(letter), false) = (option.letter, other_name) {
                    let letter = format!("-{letter}");
                    let named = lines.iter().any(|line| stands(&letter, line));
                    assert!(named, "{tool} {subcommand} {letter} is not in the synopsis");
                    let both = format!("{letter}, {long}");
                    assert!(page.contains(&both) || option.long == "size", "{tool}: {both}");
                }
            }
        }
    }
}

#[test]
fn sections() {
    let all = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "SUBCOMMANDS",
        "OUTPUT",
        "JSON",
        "EXIT STATUS",
        "ENVIRONMENT",
        "FILES",
        "EXAMPLES",
        "SEE ALSO",
    ];
    for (tool, _, page) in PAGES {
        for section in all {
            assert!(page.contains(&format!(".SH {section}\n")), "{tool} has no {section}");
        }
    }
}
