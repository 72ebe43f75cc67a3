//! `stmfadm` (`cli.md` chapter 2).
#![forbid(unsafe_code)]

mod alua;
mod backing_file;
mod compare;
mod config;
mod events;
mod group;
mod help;
mod listing;
pub(super) mod lu;
mod map;
pub(super) mod modify;
mod movement;
mod scan;
mod session;
mod state;
mod status;
mod target;
mod values;
mod view;

#[cfg(fuzzing)]
pub use config::fuzz_import;

pub(super) use config::VERSION as EXPORT_VERSION;
pub(super) use status::size;

use super::command_line::{
    CHANGES, CHANGES_AND_WAITS, CHECK, COLOR, COUNT, CREATE, DRY_RUN, EXIT_CLASS, EXPLAIN, JSON, LISTS, NODE, Operands,
    OptionSpec, PREALLOC, PROGRESS, SCAN, Subcommand, Tool, VERIFY, WAIT, WATCH,
};
use super::{Console, Service};

/// Runs `stmfadm`; `arguments` come after `argv[0]`. Returns the exit status.
pub fn run(arguments: &[String], service: &dyn Service, console: &mut Console<'_>) -> u8 {
    TOOL.run(arguments, service, console)
}

/// Two texts for one fault; scripts match both, each where it belongs (`cli.md` D-25).
const DIGITS: &str = "must be 32 hexadecimal digits";
const DIGITS_LONG: &str = "must be 32 hexadecimal digits long";

const fn option(letter: char, long: &'static str, argument: Option<&'static str>) -> OptionSpec {
    OptionSpec { letter, long, argument }
}

const OPTIONS: &[OptionSpec] = &[
    option('a', "all", None),
    option('g', "group-name", Some("group-name")),
    option('k', "keep-views", None),
    option('l', "lu-name", Some("LU-Name")),
    option('n', "lun", Some("logical-unit-number")),
    option('p', "lu-prop", Some("logical-unit-property=value")),
    option('f', "file", None),
    option('s', "size", Some("size K/M/G/T/P")),
    option('t', "target-group", Some("group-name")),
    option('h', "host-group", Some("group-name")),
    option('v', "verbose", None),
    option(JSON, "json", None),
    option(DRY_RUN, "dry-run", None),
    option(WAIT, "wait", None),
    option(CREATE, "create", None),
    option(PREALLOC, "prealloc", Some("none | metadata | full")),
    option(PROGRESS, "progress", Some("always | never | json")),
    option(VERIFY, "verify", None),
    option(config::WITH_SECRETS, "with-secrets", None),
    // A shorter name of the same option (`cli.md` 10.10).
    option(config::WITH_SECRETS, "secrets", None),
    option(config::EXACT, "exact", None),
    option(CHECK, "check", None),
    option(WATCH, "watch", None),
    option(COUNT, "count", Some("number")),
    option(NODE, "node", Some("local | peer | all")),
    option(status::FORMAT, "format", Some("prometheus")),
    option(SCAN, "scan", None),
    option(movement::TO, "to", Some("peer")),
    option(events::FOLLOW, "follow", None),
    option(compare::OVERWRITE, "overwrite-peer", None),
    option(COLOR, "color", Some("auto | always | never")),
    option(EXPLAIN, "explain", None),
    option(EXIT_CLASS, "exit-class", None),
];

const ADD_VIEW_HELP: &str = "\
\tWithout -h all initiators see the logical unit, without -t through all targets.
\tWithout -n the lowest free logical unit number is taken.
";

const CREATE_LU_HELP: &str = "\
\tProperties for -p:
\t\talias     display name, up to 255 bytes
\t\tblk       block size in bytes, a power of two, 512 to 32768
\t\tguid      32 hexadecimal digits
\t\thost-id   8 hexadecimal digits, for a generated GUID
\t\tmeta      absolute path of a separate metadata file
\t\tmgmt-url  management URLs, separated by spaces
\t\toui       6 hexadecimal digits, company id for a generated GUID
\t\tpid       product identification, up to 16 bytes
\t\tserial    serial number, up to 252 bytes
\t\tvid       vendor identification, up to 8 bytes
\t\twcd       true or false: write cache disabled
\t\twp        true or false: write protected
\tSizes: a number and one of B K M G T P E, powers of 1024.
";

const MODIFY_LU_HELP: &str = "\
\tWith -f the operand is the data file, or the separate metadata file; the logical unit
\tneed not be loaded then.
\tProperties for -p:
\t\talias     display name, up to 255 bytes
\t\tmgmt-url  management URLs, separated by spaces; empty removes them
\t\twcd       true or false: write cache disabled
\t\twp        true or false: write protected
\tSizes: a number and one of B K M G T P E, powers of 1024.
";

const EXPORT_HELP: &str = "\
\tWrites the configuration as JSON to the file, or to standard output. The file is for its
\towner's eyes alone.
\t--secrets, --with-secrets      with the CHAP secrets
";

const IMPORT_HELP: &str = "\
\tShows what changes (- and +), then changes it. The file is - for standard input.
\t--dry-run                      only shows it
\t--exact                        what the file does not name is removed
";

const COMPARE_HELP: &str = "\
\tGroups, view entries and logical unit numbers that the two nodes do not have alike; exit
\tstatus 3 if there are some, 4 if the peer does not answer.
\t--json                         as one JSON document
\t--overwrite-peer               first gives the peer the groups and view entries of
\t                               this node, all or none of them; mirroring must be on
\t                               there (aluaadm mirror on)
";

const MAP_HELP: &str = "\
\tWhich initiator sees which logical unit under which number through which target of this
\tnode. Without an operand all that are in a host group or have a session, and any other.
";

const MOVE_HELP: &str = "\
\tGives up a logical unit that is active here, and has the peer take it over; when the peer
\tdoes not, it is taken back. Exit status 3 if that fails too.
\t--to=peer                      to the other node, which is the only place there is
";

const EVENTS_HELP: &str = "\
\tLogins, logouts and changes of states on this node since the service was started, the
\tnewest few thousand.
\t--follow                       goes on with what happens
\t--json                         as one JSON document; with --follow one for each time
\t                               something happens
";

const STATUS_HELP: &str = "\
\tThis node, its peer, logical units, targets, and what is worth a look.
\t-v, --verbose                  latencies and sessions too
\t--check                        only what is worth a look; exit status 3 if there is
\t                               some, 4 if the service or the peer is not there
\t--json                         as one JSON document
\t--watch[=seconds]              again and again, every second or as often as said
\t--count=number                 as many times
\t--node=local|peer|all          one node, or both
\t--format=prometheus            the totals of this node as metrics, in the text
\t                               format of Prometheus
";

/// The table of `cli.md` 2.2, in the order of the usage text.
pub(super) const TOOL: Tool = Tool {
    values: values::values,
    options: OPTIONS,
    originals: 24,
    subcommands: &[
        Subcommand {
            name: "add-hg-member",
            options: "g",
            added: CHANGES,
            required: "g",
            operands: Operands::Many("group-member"),
            help: "",
            run: group::add_host,
        },
        Subcommand {
            name: "add-tg-member",
            options: "g",
            added: CHANGES,
            required: "g",
            operands: Operands::Many("group-member"),
            help: "",
            run: group::add_target,
        },
        Subcommand {
            name: "add-view",
            options: "nth",
            added: CHANGES,
            required: "",
            operands: Operands::One("LU-name"),
            help: ADD_VIEW_HELP,
            run: view::add,
        },
        plain("create-hg", "", Operands::One("group-name"), group::create_host).with(CHANGES),
        plain("create-tg", "", Operands::One("group-name"), group::create_target).with(CHANGES),
        Subcommand {
            name: "create-lu",
            options: "ps",
            added: &[DRY_RUN, JSON, CREATE, PREALLOC, PROGRESS],
            required: "",
            operands: Operands::One("lu file"),
            help: CREATE_LU_HELP,
            run: lu::create,
        },
        plain("delete-hg", "", Operands::One("group-name"), group::delete_host).with(CHANGES),
        Subcommand {
            name: "modify-lu",
            options: "psf",
            added: CHANGES,
            required: "",
            operands: Operands::One("LU-name"),
            help: MODIFY_LU_HELP,
            run: modify::modify,
        },
        plain("delete-lu", "k", Operands::Many("LU-name"), lu::delete).with(CHANGES_AND_WAITS),
        plain("delete-tg", "", Operands::One("group-name"), group::delete_target).with(CHANGES),
        plain("import-lu", "", Operands::One("file name"), lu::import).with(&[DRY_RUN, JSON, VERIFY, SCAN]),
        plain("list-hg", "v", Operands::Any("group-name"), group::list_host).with(LISTS),
        plain("list-lu", "v", Operands::Any("LU-name"), listing::list).with(LISTS),
        plain("list-state", "", Operands::None, state::list).with(LISTS),
        plain("list-target", "v", Operands::Any("target-name"), target::list).with(LISTS),
        plain("list-tg", "v", Operands::Any("group-name"), group::list_target).with(LISTS),
        Subcommand {
            name: "list-view",
            options: "l",
            added: LISTS,
            required: "l",
            operands: Operands::Any("ve-number"),
            help: "",
            run: view::list,
        },
        plain("online-lu", "", Operands::One("LU-name"), state::online_lu).with(CHANGES_AND_WAITS),
        plain("offline-lu", "", Operands::One("LU-name"), state::offline_lu).with(CHANGES_AND_WAITS),
        plain("online-target", "", Operands::One("target-name"), state::online_target).with(CHANGES_AND_WAITS),
        plain(
            "offline-target",
            "",
            Operands::One("target-name"),
            state::offline_target,
        )
        .with(CHANGES_AND_WAITS),
        Subcommand {
            name: "remove-hg-member",
            options: "g",
            added: CHANGES,
            required: "g",
            operands: Operands::Many("group-member"),
            help: "",
            run: group::remove_host,
        },
        Subcommand {
            name: "remove-tg-member",
            options: "g",
            added: CHANGES,
            required: "g",
            operands: Operands::Many("group-member"),
            help: "",
            run: group::remove_target,
        },
        Subcommand {
            name: "remove-view",
            options: "la",
            added: CHANGES,
            required: "l",
            operands: Operands::Any("ve-number"),
            help: "",
            run: view::remove,
        },
        plain("list-alua", "v", Operands::None, alua::list).with(LISTS),
        Subcommand {
            name: "export-config",
            options: "",
            added: &[config::WITH_SECRETS],
            required: "",
            operands: Operands::Any("file"),
            help: EXPORT_HELP,
            run: config::export,
        },
        Subcommand {
            name: "import-config",
            options: "",
            added: &[DRY_RUN, config::EXACT],
            required: "",
            operands: Operands::One("file"),
            help: IMPORT_HELP,
            run: config::import,
        },
        Subcommand {
            name: "status",
            options: "v",
            added: &[JSON, CHECK, WATCH, COUNT, NODE, status::FORMAT],
            required: "",
            operands: Operands::Any("LU-name"),
            help: STATUS_HELP,
            run: status::status,
        },
        plain("list-session", "v", Operands::None, session::list).with(LISTS),
        Subcommand {
            name: "compare-peer",
            options: "",
            added: &[JSON, compare::OVERWRITE],
            required: "",
            operands: Operands::None,
            help: COMPARE_HELP,
            run: compare::compare,
        },
        plain("help", "", Operands::Any("subcommand"), help::help),
        Subcommand {
            help: MAP_HELP,
            ..plain("list-map", "", Operands::Any("initiator"), map::list)
        }
        .with(LISTS),
        Subcommand {
            help: MOVE_HELP,
            ..plain("move-lu", "", Operands::One("LU-name"), movement::move_lu)
        }
        .with(&[DRY_RUN, JSON, movement::TO]),
        Subcommand {
            help: EVENTS_HELP,
            ..plain("events", "", Operands::None, events::events)
        }
        .with(&[JSON, events::FOLLOW]),
        Subcommand {
            help: IMPORT_HELP,
            ..plain("apply-config", "", Operands::One("file"), config::import)
        }
        .with(&[DRY_RUN, config::EXACT]),
    ],
};

/// A row that requires no option and has no further help.
const fn plain(
    name: &'static str,
    options: &'static str,
    operands: Operands,
    run: fn(&super::command_line::Invocation, &dyn Service, &mut Console<'_>) -> u8,
) -> Subcommand {
    Subcommand {
        name,
        options,
        added: &[],
        required: "",
        operands,
        help: "",
        run,
    }
}
