//! `docs/cli-conformance.md`, made of the transcripts.

use crate::transcript::Case;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// The checklist (`cli.md` chapter 12), and the tests beside the transcripts that show an item: file and function.
const CHECKLIST: [(&str, &[(&str, &str)]); 10] = [
    (
        "every subcommand: success, each failure row, empty lists, byte for byte",
        &[],
    ),
    (
        "`list-lu -v`: sixteen lines; `list-view`: four; `sbdadm list-lu`: data from line 6, nothing when empty",
        &[],
    ),
    (
        "options after an operand fail in `stmfadm`, `sbdadm`, `aluaadm` and work in `itadm`",
        &[],
    ),
    ("no failure exits 0; nothing exits 128 or more", &[]),
    (
        "a locale with other month names and a decimal comma changes nothing",
        &[],
    ),
    ("a pseudo-terminal gets the same bytes as a pipe", &[]),
    (
        "every abbreviation that was unambiguous still means the same",
        &[("src/cli/command_line.rs", "abbreviations_of_the_original_names")],
    ),
    (
        "each row of chapter 8: the value is found the way the row says",
        &[
            ("tests/tools.rs", "sessions_show_where_scripts_look_for_them"),
            ("tests/itadm.rs", "secrets_on_the_terminal_are_checked_and_not_echoed"),
        ],
    ),
    (
        "`--json` validates against its schema for 0, 1 and many objects, and on failure",
        &[("tests/tools.rs", "sessions_show_where_scripts_look_for_them")],
    ),
    (
        "`stmfproxy`: roles, node numbers, retries, exit statuses, log texts",
        &[
            ("tests/stmfproxy.rs", "calls_again_and_again"),
            ("tests/stmfproxy.rs", "exit_statuses"),
            ("tests/stmfproxy.rs", "leaves_the_terminal"),
            ("src/cli/stmfproxy/options.rs", "roles_by_host_name"),
        ],
    ),
];

/// What takes two nodes to succeed: subcommand, file and test.
const TWO_NODES: (&str, &str, &str) = (
    "compare-peer",
    "tests/peer_config.rs",
    "differences_are_told_and_taken_over",
);

/// What `itadm` can do; the other tools are asked.
const ITADM: [&str; 15] = [
    "create-target",
    "modify-target",
    "delete-target",
    "list-target",
    "create-tpg",
    "delete-tpg",
    "list-tpg",
    "create-initiator",
    "modify-initiator",
    "list-initiator",
    "delete-initiator",
    "modify-defaults",
    "list-defaults",
    "add-portal",
    "remove-portal",
];

/// The document; panics when an item of the checklist does not hold.
pub fn document(root: &Path, cases: &[Case]) -> String {
    let mut text = String::from(
        "# Conformance of the tools\n\nGenerated from the transcripts in `tests/tools_transcripts/`: \
         `UPDATE_CONFORMANCE=1 cargo test --test tools_transcripts`. Each command of a transcript is run as a process and \
         its standard output, standard error and exit status are compared byte for byte. Failures that a healthy service \
         does not have are put in between tool and service.\n\n## Acceptance checklist\n\n| item | shown by |\n|---|---|\n",
    );
    for (index, (item, tests)) in CHECKLIST.iter().enumerate() {
        let number = index + 1;
        let tag = format!("[{number}]");
        let tagged: BTreeSet<&str> = cases
            .iter()
            .filter(|c| c.row.starts_with(&tag))
            .map(|c| c.row.as_str())
            .collect();
        let mut shown = match number {
            1 => vec![coverage(root, cases)],
            4 => vec![statuses(cases)],
            9 => vec![documents(cases)],
            5 => vec![format!("all {} commands ran with `LC_ALL=de_DE.UTF-8`", cases.len())],
            _ => Vec::new(),
        };
        shown.extend(tagged.iter().map(|row| row[tag.len()..].trim().to_owned()));
        for (file, test) in *tests {
            let source = std::fs::read_to_string(root.join(file)).unwrap();
            assert!(source.contains(&format!("fn {test}")), "no {test} in {file}");
            shown.push(format!("`{file}`: `{test}`"));
        }
        assert!(!shown.is_empty(), "nothing shows item {number}: {item}");
        writeln!(text, "| {number}. {item} | {} |", shown.join("; ").replace('|', "\\|")).unwrap();
    }
    let mut section = "";
    let mut done = BTreeSet::new();
    for case in cases {
        if case.section != section {
            section = &case.section;
            write!(
                text,
                "\n## {section}\n\n| shown | commands | exit statuses |\n|---|---|---|\n"
            )
            .unwrap();
        }
        if !done.insert((section, &case.row)) {
            continue;
        }
        let same: Vec<&Case> = cases
            .iter()
            .filter(|other| other.section == section && other.row == case.row)
            .collect();
        let statuses: BTreeSet<String> = same.iter().map(|case| case.expected.status.to_string()).collect();
        let statuses: Vec<String> = statuses.into_iter().collect();
        let row = case.row.replace('|', "\\|");
        writeln!(text, "| {row} | {} | {} |", same.len(), statuses.join(", ")).unwrap();
    }
    text
}

/// Each subcommand has succeeded and has failed.
fn coverage(root: &Path, cases: &[Case]) -> String {
    let mut subcommands: BTreeMap<(&str, String), [bool; 2]> = BTreeMap::new();
    for (tool, program) in [
        ("stmfadm", env!("CARGO_BIN_EXE_stmfadm")),
        ("sbdadm", env!("CARGO_BIN_EXE_sbdadm")),
        ("aluaadm", env!("CARGO_BIN_EXE_aluaadm")),
    ] {
        let usage = Command::new(program).output().expect("each tool shows its usage");
        for line in String::from_utf8_lossy(&usage.stdout).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [_, _, name, "[-?]"] = words[..] {
                subcommands.insert((tool, name.to_owned()), [false; 2]);
            }
        }
    }
    subcommands.extend(ITADM.map(|name| (("itadm", name.to_owned()), [false; 2])));
    for case in cases {
        let words: Vec<&str> = case.command.split_whitespace().collect();
        for ((tool, name), seen) in &mut subcommands {
            let at = words
                .windows(2)
                .any(|pair| pair[0] == *tool && pair[1] == name.as_str());
            if at {
                seen[usize::from(case.expected.status != 0)] = true;
            }
        }
    }
    let (subcommand, file, test) = TWO_NODES;
    let source = std::fs::read_to_string(root.join(file)).unwrap();
    assert!(source.contains(&format!("fn {test}")), "no {test} in {file}");
    let seen_elsewhere = subcommands.get_mut(&("stmfadm", subcommand.to_owned()));
    seen_elsewhere.expect("there is such a subcommand")[0] = true;
    let holes: Vec<_> = subcommands.iter().filter(|(_, seen)| **seen != [true; 2]).collect();
    assert!(holes.is_empty(), "not seen to succeed and to fail: {holes:?}");
    format!(
        "{} subcommands, {} commands, {} of them fail as they must; `{file}`: `{test}`",
        subcommands.len(),
        cases.len(),
        cases.iter().filter(|case| case.expected.status != 0).count()
    )
}

/// Lists whose documents `check-json` has seen with no object, with one, with several, and with an error.
fn documents(cases: &[Case]) -> String {
    let mut lists: BTreeMap<String, [bool; 4]> = BTreeMap::new();
    for line in cases.iter().flat_map(|case| case.expected.out.lines()) {
        if let [tool @ ("stmfadm" | "sbdadm" | "itadm"), list, objects, errors] =
            line.split(' ').collect::<Vec<_>>()[..]
            && let (true, Ok(objects), Ok(errors)) = (
                list.starts_with("list-"),
                objects.parse::<usize>(),
                errors.parse::<usize>(),
            )
        {
            let seen = lists.entry(format!("{tool} {list}")).or_default();
            seen[objects.min(2)] = true;
            seen[3] |= errors > 0;
        }
    }
    // These are one object, or nothing; the sessions of `list-session` are seen by a test of its own.
    let single = ["stmfadm list-state", "stmfadm list-alua", "itadm list-defaults"];
    let elsewhere = "stmfadm list-session";
    let lacks = |(list, seen): &(&String, &[bool; 4])| match list.as_str() {
        list if single.contains(&list) => !seen[1] || !seen[3],
        list if list == elsewhere => !seen[0],
        _ => **seen != [true; 4],
    };
    let holes: Vec<_> = lists.iter().filter(lacks).collect();
    assert!(
        holes.is_empty(),
        "not seen with 0, 1, many objects and an error: {holes:?}"
    );
    format!("{} lists with no, one, several objects and an error", lists.len())
}

fn statuses(cases: &[Case]) -> String {
    for case in cases {
        assert!(case.expected.status < 128, "line {}: {}", case.line, case.command);
        let quiet = case.expected.err.is_empty();
        assert!(
            quiet || case.expected.status != 0,
            "line {}: {}",
            case.line,
            case.command
        );
    }
    let seen: BTreeSet<i32> = cases.iter().map(|case| case.expected.status).collect();
    let seen: Vec<String> = seen.iter().map(i32::to_string).collect();
    format!(
        "statuses seen: {}; a line on standard error never with 0",
        seen.join(", ")
    )
}
