//! `sbdadm` (`cli.md` chapter 3): the older tool for disk LUs, whose list has one line an LU.
#![forbid(unsafe_code)]

mod lu;
mod table;

use super::command_line::{
    CHANGES, CHANGES_AND_WAITS, COLOR, COUNT, DRY_RUN, EXIT_CLASS, EXPLAIN, Invocation, JSON, LISTS, Operands,
    OptionSpec, Subcommand, Tool, WAIT, WATCH,
};
use super::{Console, Service, completion};

/// Runs `sbdadm`; `arguments` come after `argv[0]`. Returns the exit status.
pub fn run(arguments: &[String], service: &dyn Service, console: &mut Console<'_>) -> u8 {
    TOOL.run(arguments, service, console)
}

const SIZE: Option<&str> = Some("Size with <none>/k/m/g/t/p/e modifier");

const fn option(letter: char, long: &'static str, argument: Option<&'static str>) -> OptionSpec {
    OptionSpec { letter, long, argument }
}

pub(super) const TOOL: Tool = Tool {
    values: |place, service| match (place.option, place.subcommand) {
        (None, "delete-lu" | "modify-lu") => completion::guids(place, service),
        _ => Vec::new(),
    },
    options: &[
        option('s', "disk-size", SIZE),
        // The manual's name of the same option (`cli.md` D-08); the usage text shows the first.
        option('s', "size", SIZE),
        option('k', "keep-views", None),
        option(JSON, "json", None),
        option(DRY_RUN, "dry-run", None),
        option(WAIT, "wait", None),
        option(WATCH, "watch", None),
        option(COUNT, "count", Some("number")),
        option(COLOR, "color", Some("auto | always | never")),
        option(EXPLAIN, "explain", None),
        option(EXIT_CLASS, "exit-class", None),
    ],
    originals: 5,
    subcommands: &[
        row(
            "create-lu",
            "s",
            "",
            Operands::One("Full path of the file to initialize"),
            lu::create,
        )
        .with(CHANGES),
        row(
            "delete-lu",
            "k",
            "",
            Operands::One("GUID of the LU to deregister"),
            super::stmfadm::lu::delete,
        )
        .with(CHANGES_AND_WAITS),
        row(
            "import-lu",
            "",
            "",
            Operands::One("filename of the LU to import"),
            lu::import,
        )
        .with(CHANGES),
        row("list-lu", "", "", Operands::None, table::list).with(LISTS),
        row(
            "modify-lu",
            "s",
            "s",
            Operands::One("Full path of the LU or GUID of a registered LU"),
            lu::modify,
        )
        .with(CHANGES),
    ],
};

const fn row(
    name: &'static str,
    options: &'static str,
    required: &'static str,
    operands: Operands,
    run: fn(&Invocation, &dyn Service, &mut Console<'_>) -> u8,
) -> Subcommand {
    Subcommand {
        name,
        options,
        added: &[],
        required,
        operands,
        help: "",
        run,
    }
}

#[cfg(test)]
mod tests;
