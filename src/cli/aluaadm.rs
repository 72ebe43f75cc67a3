//! `aluaadm` (`cli.md` chapter 5); new are `fenced` (`alua-proxy.md` 6.6), `policy` (7.7) and `reads` (7.4).
#![forbid(unsafe_code)]

use super::command_line::{
    CHANGES, CHANGES_AND_WAITS, COLOR, DRY_RUN, EXIT_CLASS, EXPLAIN, Invocation, JSON, Operands, OptionSpec,
    Subcommand, Tool, WAIT,
};
use super::patience::Patience;
use super::text::{common_failure, passed_on};
use super::{Console, Service, completion, lu_name};
use crate::types::{Guid, NodeId, Status};

/// Runs `aluaadm`; `arguments` come after `argv[0]`. Returns the exit status.
pub fn run(arguments: &[String], service: &dyn Service, console: &mut Console<'_>) -> u8 {
    TOOL.run(arguments, service, console)
}

pub(super) const TOOL: Tool = Tool {
    values: |place, service| match place.subcommand {
        "standby" => completion::guids(place, service),
        "enable" => ["0", "1"].map(str::to_owned).to_vec(),
        _ => Vec::new(),
    },
    options: &[
        option(JSON, "json"),
        option(DRY_RUN, "dry-run"),
        option(WAIT, "wait"),
        OptionSpec {
            argument: Some("auto | always | never"),
            ..option(COLOR, "color")
        },
        option(EXPLAIN, "explain"),
        option(EXIT_CLASS, "exit-class"),
    ],
    originals: 3,
    subcommands: &[
        subcommand("standby", Operands::One("LU-name"), "", standby).with(CHANGES_AND_WAITS),
        subcommand("disable", Operands::None, "", disable),
        subcommand("enable", Operands::One("node ID (0 or 1)"), "", enable),
        subcommand("fenced", Operands::None, FENCED_HELP, fenced),
        subcommand(
            "policy",
            Operands::Many("LU-name [standby | non-optimized]"),
            POLICY_HELP,
            policy,
        ),
        subcommand("reads", Operands::Any("forward | refuse"), READS_HELP, reads),
        subcommand("mirror", Operands::Any("on | off"), MIRROR_HELP, mirror),
    ],
};

const fn option(letter: char, long: &'static str) -> OptionSpec {
    OptionSpec {
        letter,
        long,
        argument: None,
    }
}

const FENCED_HELP: &str = "\
\tDeclares that the other node cannot write to any logical unit any more: it has been
\tpowered off, or cut off from the storage. Only for cluster software that has made sure.
";

const POLICY_HELP: &str = "\
\tShows or sets what hosts may do through the node that does not own the logical unit:
\tprobe and read it (standby), or everything (non-optimized). Set where it is active.
";

const READS_HELP: &str = "\
\tShows or sets whether this node forwards READ for logical units that are standby here.
";

const MIRROR_HELP: &str = "\
\tShows or sets whether each change of groups and view entries on this node is made on the
\tother node too, and the other way round. Must be on there as well.
";

const fn subcommand(
    name: &'static str,
    operands: Operands,
    help: &'static str,
    run: fn(&Invocation, &dyn Service, &mut Console<'_>) -> u8,
) -> Subcommand {
    Subcommand {
        name,
        options: "",
        added: CHANGES,
        required: "",
        operands,
        help,
        run,
    }
}

fn standby(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let operand = invocation.operand();
    let Some(guid) = named(operand, service, console) else {
        return 1;
    };
    let mut patience = match Patience::asked(invocation) {
        Ok(patience) => patience,
        Err(message) => {
            console.error(message);
            return 1;
        }
    };
    let Err(status) = patience.ask(service, || service.lu_standby(guid)) else {
        return 0;
    };
    match status {
        Status::NotFound => console.error(format_args!("{operand}: not found")),
        other => console.fail(other, common_failure(other).unwrap_or("unknown error")),
    }
    passed_on(status.code())
}

fn named(operand: &str, service: &dyn Service, console: &mut Console<'_>) -> Option<Guid> {
    let told = |wrong: lu_name::NoLu| {
        console.error(wrong.line(operand, "must be 32 hexadecimal digits long"));
    };
    lu_name::parse(operand, service).map_err(told).ok()
}

/// One of two words, the second of which means true.
fn choice(operand: &str, words: [&str; 2], console: &mut Console<'_>) -> Option<bool> {
    let chosen = words.iter().position(|word| *word == operand);
    if chosen.is_none() {
        console.error(format_args!("{operand}: must be {} or {}", words[0], words[1]));
    }
    chosen.map(|index| index == 1)
}

/// With too few operands the subcommand only shows; then the options of changes have no meaning.
fn changes_something(invocation: &Invocation, operands: usize, console: &mut Console<'_>) -> bool {
    let meant = invocation.operands.len() >= operands || !CHANGES.iter().any(|option| invocation.has(*option));
    if !meant {
        console.error("--dry-run and --json are for changes");
    }
    meant
}

fn policy(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    const WORDS: [&str; 2] = ["standby", "non-optimized"];
    if !changes_something(invocation, 2, console) {
        return 1;
    }
    let (operand, wanted) = match &invocation.operands[..] {
        [lu] => (lu, None),
        [lu, wanted] => (lu, Some(wanted)),
        _ => {
            console.error("policy takes a logical unit name and at most one policy");
            return 1;
        }
    };
    let Some(guid) = named(operand, service, console) else {
        return 1;
    };
    let result = match wanted {
        None => service.lu_policy(guid).map(|set| console.line(WORDS[usize::from(set)])),
        Some(wanted) => match choice(wanted, WORDS, console) {
            Some(non_optimized) => service.set_lu_policy(guid, non_optimized),
            None => return 1,
        },
    };
    let Err(status) = result else { return 0 };
    match status {
        Status::NotFound => console.error(format_args!("{operand}: not found")),
        Status::AccessStateSet => console.error(format_args!("{operand}: not active on this node")),
        Status::InvalidArg => console.error(format_args!("{operand}: the other node cannot do that")),
        other => return report(Err(other), console),
    }
    passed_on(status.code())
}

fn reads(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    const WORDS: [&str; 2] = ["refuse", "forward"];
    if !changes_something(invocation, 1, console) {
        return 1;
    }
    let result = match &invocation.operands[..] {
        [] => service.standby_reads().map(|set| console.line(WORDS[usize::from(set)])),
        [wanted] => match choice(wanted, WORDS, console) {
            Some(forward) => service.set_standby_reads(forward),
            None => return 1,
        },
        _ => {
            console.error("reads takes at most one operand");
            return 1;
        }
    };
    report(result, console)
}

fn mirror(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    const WORDS: [&str; 2] = ["off", "on"];
    if !changes_something(invocation, 1, console) {
        return 1;
    }
    let result = match &invocation.operands[..] {
        [] => service
            .alua_report()
            .map(|report| console.line(WORDS[usize::from(report.mirror.on)])),
        [wanted] => match choice(wanted, WORDS, console) {
            Some(on) => service.set_mirror(on),
            None => return 1,
        },
        _ => {
            console.error("mirror takes at most one operand");
            return 1;
        }
    };
    report(result, console)
}

/// Exactly `0` or `1` (`cli.md` D-13).
fn enable(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let operand = invocation.operand();
    let node = match operand {
        "0" => NodeId::new(0),
        "1" => NodeId::new(1),
        _ => None,
    };
    match node {
        Some(node) => report(service.alua_enable(node), console),
        None => {
            console.error(format_args!("{operand}: node ID must be 0 or 1"));
            1
        }
    }
}

fn disable(_: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    report(service.alua_disable(), console)
}

fn fenced(_: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    report(service.peer_fenced(), console)
}

/// One line for a failure (`cli.md` D-14).
fn report(result: Result<(), Status>, console: &mut Console<'_>) -> u8 {
    let Err(status) = result else {
        return 0;
    };
    let text = common_failure(status).unwrap_or(match status {
        Status::Busy => "resource busy",
        _ => "unknown error",
    });
    console.fail(status, text);
    passed_on(status.code())
}

#[cfg(test)]
mod tests {
    use crate::cli::aluaadm;
    use crate::cli::script::{Ran, Script, ran, run};
    use crate::types::Status;

    const GUID: &str = "600144F0C73ABF00000065A1B2C30001";

    fn aluaadm(line: &str, script: &Script) -> Ran {
        run(aluaadm::run, &format!("/usr/sbin/aluaadm {line}"), script)
    }

    #[test]
    fn silent_when_done() {
        let script = Script::new().ok(&format!("lu_standby({GUID})"), ());
        assert_eq!(
            aluaadm(&format!("standby {}", GUID.to_lowercase()), &script),
            ran(0, "", "")
        );
        assert_eq!(
            aluaadm("enable 1", &Script::new().ok("alua_enable(NodeId(1))", ())),
            ran(0, "", "")
        );
        assert_eq!(
            aluaadm("enable 0", &Script::new().ok("alua_enable(NodeId(0))", ())),
            ran(0, "", "")
        );
        assert_eq!(
            aluaadm("Disable", &Script::new().ok("alua_disable()", ())),
            ran(0, "", "")
        );
        assert_eq!(
            aluaadm("fenced", &Script::new().ok("peer_fenced()", ())),
            ran(0, "", "")
        );
    }

    #[test]
    fn standby_failures() {
        for (status, exit, line) in [
            (Status::NotFound, 2, format!("aluaadm: {GUID}: not found\n")),
            (Status::Perm, 5, "aluaadm: permission denied\n".to_owned()),
            (
                Status::ServiceNotFound,
                9,
                "aluaadm: STMF service not found\n".to_owned(),
            ),
            (
                Status::ServiceDataVersion,
                16,
                "aluaadm: STMF service version incorrect\n".to_owned(),
            ),
            (Status::Busy, 1, "aluaadm: unknown error\n".to_owned()),
            (Status::AccessStateSet, 35, "aluaadm: unknown error\n".to_owned()),
            (Status::Error, 1, "aluaadm: unknown error\n".to_owned()),
        ] {
            let script = Script::new().fail(&format!("lu_standby({GUID})"), status);
            assert_eq!(aluaadm(&format!("standby {GUID}"), &script), ran(exit, "", &line));
        }
        let line = "aluaadm: 60: must be 32 hexadecimal digits long\n";
        assert_eq!(aluaadm("standby 60", &Script::new()), ran(1, "", line));
    }

    #[test]
    fn other_failures() {
        for (status, exit, line) in [
            (Status::Perm, 5, "aluaadm: permission denied\n"),
            (Status::Busy, 1, "aluaadm: resource busy\n"),
            (Status::ServiceNotFound, 9, "aluaadm: STMF service not found\n"),
            (Status::InvalidArg, 7, "aluaadm: unknown error\n"),
            (Status::Error, 1, "aluaadm: unknown error\n"),
        ] {
            let enable = Script::new().fail("alua_enable(NodeId(1))", status);
            assert_eq!(aluaadm("enable 1", &enable), ran(exit, "", line));
            let disable = Script::new().fail("alua_disable()", status);
            assert_eq!(aluaadm("disable", &disable), ran(exit, "", line));
            let fenced = Script::new().fail("peer_fenced()", status);
            assert_eq!(aluaadm("fenced", &fenced), ran(exit, "", line));
        }
        for bad in ["x", "2", "1x", "01"] {
            let line = format!("aluaadm: {bad}: node ID must be 0 or 1\n");
            assert_eq!(aluaadm(&format!("enable {bad}"), &Script::new()), ran(1, "", &line));
        }
    }

    #[test]
    fn policies() {
        for (set, word) in [(false, "standby"), (true, "non-optimized")] {
            let get = Script::new().ok(&format!("lu_policy({GUID})"), set);
            assert_eq!(
                aluaadm(&format!("policy {GUID}"), &get),
                ran(0, &format!("{word}\n"), "")
            );
            let put = Script::new().ok(&format!("set_lu_policy({GUID}, {set})"), ());
            assert_eq!(aluaadm(&format!("policy {GUID} {word}"), &put), ran(0, "", ""));
        }
        for (status, exit, line) in [
            (Status::NotFound, 2, format!("aluaadm: {GUID}: not found\n")),
            (
                Status::AccessStateSet,
                35,
                format!("aluaadm: {GUID}: not active on this node\n"),
            ),
            (
                Status::InvalidArg,
                7,
                format!("aluaadm: {GUID}: the other node cannot do that\n"),
            ),
            (Status::Perm, 5, "aluaadm: permission denied\n".to_owned()),
        ] {
            let script = Script::new().fail(&format!("set_lu_policy({GUID}, true)"), status);
            assert_eq!(
                aluaadm(&format!("policy {GUID} non-optimized"), &script),
                ran(exit, "", &line)
            );
        }
        let line = "aluaadm: active: must be standby or non-optimized\n";
        assert_eq!(
            aluaadm(&format!("policy {GUID} active"), &Script::new()),
            ran(1, "", line)
        );
        let line = "aluaadm: 60: must be 32 hexadecimal digits long\n";
        assert_eq!(aluaadm("policy 60", &Script::new()), ran(1, "", line));
        let line = "aluaadm: policy takes a logical unit name and at most one policy\n";
        assert_eq!(
            aluaadm(&format!("policy {GUID} standby x"), &Script::new()),
            ran(1, "", line)
        );
    }

    #[test]
    fn reads() {
        for (set, word) in [(false, "refuse"), (true, "forward")] {
            let get = Script::new().ok("standby_reads()", set);
            assert_eq!(aluaadm("reads", &get), ran(0, &format!("{word}\n"), ""));
            let put = Script::new().ok(&format!("set_standby_reads({set})"), ());
            assert_eq!(aluaadm(&format!("reads {word}"), &put), ran(0, "", ""));
        }
        let perm = Script::new().fail("set_standby_reads(true)", Status::Perm);
        assert_eq!(
            aluaadm("reads forward", &perm),
            ran(5, "", "aluaadm: permission denied\n")
        );
        let line = "aluaadm: no: must be refuse or forward\n";
        assert_eq!(aluaadm("reads no", &Script::new()), ran(1, "", line));
        assert_eq!(aluaadm("reads forward refuse", &Script::new()).status, 1);
    }

    #[test]
    fn mirror() {
        for (set, word) in [(false, "off"), (true, "on")] {
            let put = Script::new().ok(&format!("set_mirror({set})"), ());
            assert_eq!(aluaadm(&format!("mirror {word}"), &put), ran(0, "", ""));
        }
        let gone = Script::new().fail("alua_report()", Status::ServiceNotFound);
        assert_eq!(
            aluaadm("mirror", &gone),
            ran(9, "", "aluaadm: STMF service not found\n")
        );
        let line = "aluaadm: yes: must be off or on\n";
        assert_eq!(aluaadm("mirror yes", &Script::new()), ran(1, "", line));
        assert_eq!(aluaadm("mirror on off", &Script::new()).status, 1);
    }

    #[test]
    fn version_and_usage() {
        assert_eq!(aluaadm("-V", &Script::new()), ran(0, "aluaadm: Version 1.0\n", ""));
        let out = "aluaadm: no options permitted\n\nUsage:\taluaadm disable \n";
        assert_eq!(aluaadm("disable x", &Script::new()).status, 1);
        let illegal = aluaadm("disable -x", &Script::new());
        assert_eq!(
            illegal,
            ran(1, "\nUsage:\taluaadm disable \n", "disable: illegal option -- x\n")
        );
        let operand = aluaadm("disable x", &Script::new());
        assert_eq!(
            operand,
            ran(
                1,
                &out[out.find('\n').unwrap() + 1..],
                "aluaadm: disable takes no operands\n"
            )
        );
    }
}
