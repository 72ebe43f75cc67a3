//! Doors through the C library: the headers, and the C programs in `c-tests/`.
#![allow(clippy::unwrap_used)]

#[path = "common/c.rs"]
mod c;

use c::{Bench, SANITIZERS, VALGRIND, WARNINGS, library, root};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A program of `c-tests/`, compiled against the built library.
struct Program {
    bench: Bench,
    executable: PathBuf,
}

impl Program {
    fn compile(name: &str, flags: &[&str]) -> Program {
        let bench = Bench::new();
        let executable = bench.path(name);
        succeeds(
            Command::new("cc")
                .args(WARNINGS)
                .args(["-std=c99", "-g", "-pthread"])
                .args(flags)
                .arg("-I")
                .arg(root().join("include"))
                .arg(root().join("c-tests").join(name).with_extension("c"))
                .arg("-o")
                .arg(&executable)
                .arg("-L")
                .arg(bench.directory.path())
                .arg("-lstmf"),
        );
        Program { bench, executable }
    }

    /// What it prints when it is run by this command, which may be the program itself.
    fn run_by(&self, command: &mut Command) -> String {
        let output = succeeds(command.env("LD_LIBRARY_PATH", self.bench.directory.path()));
        String::from_utf8(output.stdout).unwrap()
    }

    fn run(&self) -> String {
        self.run_by(&mut Command::new(&self.executable))
    }
}

/// The rows that ran, one line each.
fn rows(output: &str) -> Vec<&str> {
    output.lines().map(|line| line.strip_suffix(": ok").unwrap()).collect()
}

const ROWS: usize = 20;

#[test]
fn the_contract_holds() {
    let output = Program::compile("door", &[]).run();
    assert_eq!(rows(&output).len(), ROWS, "{output}");
}

#[test]
fn the_contract_holds_under_sanitizers() {
    let program = Program::compile("door", &SANITIZERS);
    // LeakSanitizer needs ptrace, which containers refuse.
    let output = program.run_by(Command::new(&program.executable).env("ASAN_OPTIONS", "detect_leaks=0"));
    assert_eq!(rows(&output).len(), ROWS, "{output}");
}

/// Addresses that the program gives on purpose, at which the kernel is asked to look first.
const REFUSED_ADDRESSES: &str = "\
{
   data of a packet
   Memcheck:Param
   sendmsg(msg.msg_iov[1])
   fun:__libc_sendmsg
   ...
}
{
   room for a packet
   Memcheck:Param
   recvmsg(msg.msg_iov[1])
   fun:__recvmsg_syscall
   ...
}
{
   whether they can be read
   Memcheck:Param
   epoll_ctl(event)
   fun:syscall
   fun:*door*pages*is_readable*
   ...
}
{
   whether they can be written
   Memcheck:Param
   getcpu(cpu)
   fun:syscall
   fun:*door*pages*is_writable*
   ...
}
";

/// No bad access and no use of what is not initialised. Leaks are not looked for: a procedure that returns through
/// `door_return` never comes back to free what it returns.
#[test]
fn valgrind_finds_no_error() {
    // DWARF 4, which Debian 12's valgrind reads.
    let program = Program::compile("door", &["-gdwarf-4"]);
    let suppressions = program.bench.path("suppressions");
    std::fs::write(&suppressions, REFUSED_ADDRESSES).unwrap();
    let output = program.run();
    for row in rows(&output) {
        // valgrind takes open descriptors above the limit for closed ones.
        if row == "short of everything" {
            continue;
        }
        let mut command = Command::new("valgrind");
        command
            .args(VALGRIND)
            .args(["--leak-check=no", &format!("--suppressions={}", suppressions.display())])
            .arg(&program.executable)
            .arg(row);
        assert_eq!(rows(&program.run_by(&mut command)), [row]);
    }
}

#[test]
fn nothing_is_lost_or_mixed_under_load() {
    let output = Program::compile("door_stress", &[]).run();
    assert!(output.contains("processes killed"), "{output}");
}

/// What the header fixes, for C and C++.
const LAYOUT: &str = r#"
int layout[
    sizeof(door_desc_t) == 24 && sizeof(door_info_t) == 48 && sizeof(door_cred_t) == 36 &&
    (sizeof(void *) != 8 || sizeof(door_arg_t) == 48) &&
    DOOR_UNREF == 1 && DOOR_PRIVATE == 2 && DOOR_LOCAL == 4 && DOOR_REVOKED == 8 && DOOR_UNREF_MULTI == 0x10 &&
    DOOR_IS_UNREF == 0x20 && DOOR_REFUSE_DESC == 0x40 && DOOR_NO_CANCEL == 0x80 && DOOR_NO_DEPLETION_CB == 0x100 &&
    DOOR_PRIVCREATE == 0x200 && DOOR_DEPLETION_CB == 0x400 && DOOR_DESCRIPTOR == 0x10000 && DOOR_RELEASE == 0x40000 &&
    DOOR_INVAL == -1 && DOOR_QUERY == -2 && DOOR_PARAM_DESC_MAX == 1 && DOOR_PARAM_DATA_MAX == 2 &&
    DOOR_PARAM_DATA_MIN == 3 && DOOR_CREATE_MASK == 0x3d3 && DOOR_ATTR_MASK == 0x3ff ? 1 : -1];
int (*create)(door_server_procedure_t *, void *, unsigned int) = door_create;
int (*give_back)(char *, size_t, door_desc_t *, unsigned int) = door_return;
int use(void) { door_info_t info; return door_info(DOOR_QUERY, &info) + (DOOR_UNREF_DATA == 0); }
"#;

const OTHERS: &str =
    "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n#include <sys/types.h>\n";

#[test]
fn the_header_compiles_first_last_and_alone() {
    let directory = tempfile::tempdir().unwrap();
    let door = "#include <door.h>\n";
    let spl = Path::new("/usr/include/libspl");
    let orders = [
        ("alone", format!("{door}{LAYOUT}")),
        ("first", format!("{door}{OTHERS}{LAYOUT}")),
        ("last", format!("{OTHERS}{door}{LAYOUT}")),
        ("twice", format!("{door}{door}#include <sys/door.h>\n{LAYOUT}")),
        ("sys", "#include <sys/door.h>\ndoor_desc_t entry;\n".to_owned()),
    ];
    for (order, text) in &orders {
        for (compiler, language, suffix) in [("cc", "-std=c99", "c"), ("c++", "-std=c++17", "cc")] {
            let source = directory.path().join(order).with_extension(suffix);
            std::fs::write(&source, text).unwrap();
            let command = || {
                let mut command = Command::new(compiler);
                command
                    .args(WARNINGS)
                    .arg(language)
                    .args(["-fsyntax-only", "-I"])
                    .arg(root().join("include"));
                command
            };
            succeeds(command().arg(&source));
            if spl.is_dir() {
                // Its own headers need GNU extensions and are not pedantic; -isystem keeps their warnings out.
                succeeds(command().args(["-D_GNU_SOURCE", "-isystem"]).arg(spl).arg(&source));
            }
        }
    }
}

#[test]
fn every_door_export_has_its_version() {
    let output = succeeds(
        Command::new("nm")
            .args(["-D", "--defined-only", "--with-symbol-versions"])
            .arg(library()),
    );
    let mut found: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .filter(|name| name.starts_with("door_") || name.contains("attach") || name.contains("detach"))
        .map(str::to_owned)
        .collect();
    found.sort();
    let names = [
        "door_bind",
        "door_call",
        "door_create",
        "door_cred",
        "door_getparam",
        "door_info",
        "door_open",
        "door_return",
        "door_revoke",
        "door_server_create",
        "door_setparam",
        "door_unbind",
        "door_xcreate",
        "fattach",
        "fdetach",
    ];
    let expected: Vec<String> = names.iter().map(|name| format!("{name}@@STMF_1.0")).collect();
    assert_eq!(found, expected);
}
