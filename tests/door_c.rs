//! Doors through the C library: the headers, and the C programs in `c-tests/`.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A directory with `libstmf.so.1`, the library built with this test, and `libstmf.so`.
fn library(directory: &Path) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let beside = test.parent().unwrap();
    let built = [beside.join("libstmf.so"), beside.join("../libstmf.so")];
    let built = built
        .iter()
        .find(|path| path.exists())
        .expect("cargo builds libstmf.so before the tests");
    for name in ["libstmf.so", "libstmf.so.1"] {
        std::os::unix::fs::symlink(std::fs::canonicalize(built).unwrap(), directory.join(name)).unwrap();
    }
    directory.to_owned()
}

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

/// Compiles a program of `c-tests/` against the built library and runs it.
fn run_program(name: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let library = library(directory.path());
    let program = directory.path().join(name);
    succeeds(
        Command::new("cc")
            .args(STRICT)
            .args(["-std=c99", "-g", "-pthread", "-I"])
            .arg(root().join("include"))
            .arg(root().join("c-tests").join(name).with_extension("c"))
            .arg("-o")
            .arg(&program)
            .arg("-L")
            .arg(&library)
            .arg("-lstmf"),
    );
    let output = succeeds(Command::new(&program).env("LD_LIBRARY_PATH", &library));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_contract_holds() {
    let output = run_program("door");
    assert_eq!(output.lines().count(), 20, "each row ran: {output}");
    assert!(output.lines().all(|line| line.ends_with(": ok")), "{output}");
}

#[test]
fn nothing_is_lost_or_mixed_under_load() {
    let output = run_program("door_stress");
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
                    .args(STRICT)
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
    let directory = tempfile::tempdir().unwrap();
    let library = library(directory.path()).join("libstmf.so");
    let output = succeeds(
        Command::new("nm")
            .args(["-D", "--defined-only", "--with-symbol-versions"])
            .arg(library),
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
