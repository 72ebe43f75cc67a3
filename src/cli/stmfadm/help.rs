//! `help`, which is new (`cli.md` 10.9): the usage text, the options that the usage text of an old subcommand may not show,
//! examples, and on a terminal the manual.

mod manual;

use super::TOOL;
use crate::cli::command_line::{
    COUNT, CREATE, DRY_RUN, Invocation, JSON, PREALLOC, PROGRESS, SCAN, Subcommand, VERIFY, WAIT, WATCH,
};
use crate::cli::{Console, Service, usage};

/// What an option does that has no letter; those that the help of their only subcommand tells of, in the same columns, are not here.
const ADDED: &[(char, &str, &str)] = &[
    (DRY_RUN, "--dry-run", "tell what would happen, and change nothing"),
    (JSON, "--json", "print one JSON document"),
    (
        WAIT,
        "--wait[=seconds]",
        "wait as long as it takes, or this long; 0: not at all",
    ),
    (CREATE, "--create", "create the file if it does not exist; needs -s"),
    (
        PREALLOC,
        "--prealloc=none|metadata|full",
        "allocate the blocks of the file",
    ),
    (
        PROGRESS,
        "--progress=always|never|json",
        "show how far the allocation is",
    ),
    (VERIFY, "--verify", "check the file before anything of it is touched"),
    (
        SCAN,
        "--scan",
        "list what could be imported; the operand is a directory",
    ),
    (
        WATCH,
        "--watch[=seconds]",
        "again and again, every second or as often as said",
    ),
    (COUNT, "--count=number", "as many times"),
];

const EXAMPLES: &[(&str, &str)] = &[
    ("create-hg", "stmfadm create-hg esx-prod"),
    (
        "add-hg-member",
        "stmfadm add-hg-member -g esx-prod iqn.1998-01.com.vmware:esx1",
    ),
    ("create-lu", "stmfadm create-lu -p alias=vm01 /dev/zvol/tank/vm01"),
    (
        "create-lu",
        "stmfadm create-lu --create --prealloc=full -s 10g /srv/lu/vm02.img",
    ),
    ("import-lu", "stmfadm import-lu --verify /srv/lu/vm02.img"),
    ("import-lu", "stmfadm import-lu --scan /srv/lu"),
    ("modify-lu", "stmfadm modify-lu -s 20g 600144F0C73ABF00000065A1B2C30001"),
    (
        "delete-lu",
        "stmfadm delete-lu --dry-run 600144F0C73ABF00000065A1B2C30001",
    ),
    (
        "add-view",
        "stmfadm add-view -h esx-prod -n 5 600144F0C73ABF00000065A1B2C30001",
    ),
    ("list-view", "stmfadm list-view -l 600144F0C73ABF00000065A1B2C30001"),
    (
        "remove-view",
        "stmfadm remove-view -l 600144F0C73ABF00000065A1B2C30001 0",
    ),
    (
        "offline-lu",
        "stmfadm offline-lu --wait=60 600144F0C73ABF00000065A1B2C30001",
    ),
    ("list-lu", "stmfadm list-lu --json | jq -r '.data[].guid'"),
    ("status", "stmfadm status --watch=5"),
    ("list-map", "stmfadm list-map iqn.1998-01.com.vmware:esx1"),
    ("move-lu", "stmfadm move-lu --to=peer alias:vm01"),
    ("events", "stmfadm events --follow"),
    (
        "export-config",
        "stmfadm export-config --with-secrets /var/backups/stmf.json",
    ),
];

/// `help [SUBCOMMAND ...]`.
pub fn help(invocation: &Invocation, _: &dyn Service, console: &mut Console<'_>) -> u8 {
    if invocation.operands.is_empty() {
        usage::short(&TOOL, console);
        console.line("\nMore of a subcommand: stmfadm help SUBCOMMAND. All of it: man stmfadm.");
        console.line("Every subcommand takes --explain (more about an error), --color=auto|always|never, and");
        console.line("--exit-class (exit statuses that tell the kind of a failure).");
        return 0;
    }
    let mut exit = 0;
    for operand in &invocation.operands {
        match TOOL
            .subcommands
            .iter()
            .find(|row| row.name.eq_ignore_ascii_case(operand))
        {
            Some(row) => explain(row, console),
            None => {
                console.error(format_args!("{operand}: no such subcommand"));
                exit = 1;
            }
        }
    }
    exit
}

fn explain(row: &Subcommand, console: &mut Console<'_>) {
    usage::block(&TOOL, row, console);
    let told = |option: &str| row.help.contains(option.split(['=', '[']).next().unwrap_or(option));
    let added = ADDED.iter().filter(|(letter, ..)| row.added.contains(letter));
    for (_, option, what) in added.filter(|(_, option, _)| !told(option)) {
        console.line(format_args!("\t{option:<30} {what}"));
    }
    let mut examples = EXAMPLES.iter().filter(|(name, _)| *name == row.name).peekable();
    if examples.peek().is_some() {
        console.line("\tEXAMPLES:");
    }
    for (_, example) in examples {
        console.line(format_args!("\t\t{example}"));
    }
    if console.on_terminal() {
        console.line("\tMANUAL:");
        for line in manual::entry(row.name) {
            console.line(format_args!("\t{line}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::script::{Script, ran, run};
    use crate::cli::stmfadm;

    #[test]
    fn a_subcommand_with_options_and_examples() {
        let out = "\nUsage:\tstmfadm offline-lu <LU-name>\n\
                   \t--dry-run                      tell what would happen, and change nothing\n\
                   \t--json                         print one JSON document\n\
                   \t--wait[=seconds]               wait as long as it takes, or this long; 0: not at all\n\
                   \tEXAMPLES:\n\t\tstmfadm offline-lu --wait=60 600144F0C73ABF00000065A1B2C30001\n";
        assert_eq!(
            run(stmfadm::run, "stmfadm help Offline-LU", &Script::new()),
            ran(0, out, "")
        );
        let err = "stmfadm: fly: no such subcommand\n";
        assert_eq!(run(stmfadm::run, "stmfadm help fly", &Script::new()), ran(1, "", err));
    }

    #[test]
    fn every_option_is_explained_somewhere() {
        for row in TOOL.subcommands {
            for letter in row.added {
                let option = TOOL.options.iter().find(|option| option.letter == *letter).unwrap();
                let listed = ADDED.iter().any(|(known, ..)| known == letter);
                let named = row.help.contains(&format!("--{}", option.long));
                assert!(listed || named, "{}: {}", row.name, option.long);
            }
        }
        for (name, example) in EXAMPLES {
            assert!(
                TOOL.subcommands.iter().any(|row| row.name == *name) && example.contains(name),
                "{example}"
            );
        }
    }
}
