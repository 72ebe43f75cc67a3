//! The ABI from three sides: the Rust definitions against the header (`ctest`), the header against a table of the contract
//! (`c-tests/abi.c`, `c-tests/prototypes.c`), the library against that of the last release (`scripts/abi`).

#[path = "common/c.rs"]
mod c;

use c::{Bench, COMPILERS, NVPAIR, WARNINGS, root, text};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the definitions of `src/capi` need of the rest of the crate.
const SURROUNDINGS: &str = "pub enum nvlist_t {}\n";

/// A crate of the types, constants and functions of the library: the texts of `src/capi`, functions without their bodies.
fn definitions() -> String {
    let directory = root().join("src/capi");
    let read = |name: &str| fs::read_to_string(directory.join(name)).expect(name);
    let mut crate_text = SURROUNDINGS.to_owned();
    for name in ["types.rs", "constants.rs"] {
        let text = read(name);
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("//!") && *line != "use std::ffi::c_int;");
        crate_text.extend(lines.flat_map(|line| [line, "\n"]));
    }
    crate_text += "unsafe extern \"C\" {\n";
    for entry in fs::read_dir(&directory).expect("src/capi") {
        let text = fs::read_to_string(entry.expect("entry").path()).expect("source");
        for piece in text
            .split("extern \"C\" fn ")
            .skip(1)
            .filter(|piece| piece.starts_with("stmf"))
        {
            let signature = piece.split(" {").next().expect("a body follows");
            crate_text += &format!("pub fn {signature};\n");
        }
    }
    crate_text
        .replace("pub(super)", "pub")
        .replace("libc::time_t", "std::ffi::c_long")
        + "}\n"
}

fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

fn host() -> String {
    let version = text(&rustc().arg("-vV").output().expect("rustc"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc tells its host").to_owned()
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("a command");
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    text(&output)
}

/// Compares a crate of definitions with the header: what the comparing program said, and whether it was content.
fn compare(definitions: &str) -> (String, bool) {
    let bench = Bench::new();
    let directory = bench.directory.path();
    let definitions_file = bench.path("definitions.rs");
    fs::write(&definitions_file, definitions).expect("definitions");
    let mut generator = ctest::TestGenerator::new();
    generator
        .header("libstmf.h")
        .out_dir(directory)
        .target(&host())
        .edition(2024);
    let generated = generator.generate_files(&definitions_file, "generated");
    generated.expect("ctest reads the definitions");
    succeeds(
        Command::new("gcc")
            .arg("-c")
            .args(NVPAIR)
            .arg("-I")
            .arg(root().join("include"))
            .arg(bench.path("generated.c"))
            .arg("-o")
            .arg(bench.path("generated.o")),
    );
    let main = bench.path("main.rs");
    let include = |path: &Path| format!("include!(r#\"{}\"#);\n", path.display());
    fs::write(
        &main,
        include(&definitions_file) + &include(&bench.path("generated.rs")),
    )
    .expect("main");
    let program = bench.path("main");
    succeeds(
        rustc()
            .args(["--edition", "2024", "-A", "warnings", "-lstmf", "-lnvpair"])
            .arg(&main)
            .arg("-L")
            .arg(directory)
            .arg("-C")
            .arg(format!("link-arg={}", bench.path("generated.o").display()))
            .arg("-o")
            .arg(&program),
    );
    let output = Command::new(&program).env("LD_LIBRARY_PATH", directory).output();
    let output = output.expect("the comparing program");
    (text(&output), output.status.success())
}

#[test]
fn the_header_says_what_the_library_defines() {
    let definitions = definitions();
    let (said, content) = compare(&definitions);
    assert!(content, "{said}");
    let count = said
        .lines()
        .find_map(|line| line.strip_prefix("PASSED ")?.strip_suffix(" tests"));
    let count: u32 = count.and_then(|count| count.parse().ok()).expect(&said);
    assert!(count > 390, "only {count} comparisons");

    // It would notice: a field of another size, a number, a field's place.
    let wrong = definitions
        .replacen("pub operationalState: c_int", "pub operationalState: i64", 1)
        .replacen("STMF_PERSIST_NONE: c_int = 2", "STMF_PERSIST_NONE: c_int = 3", 1);
    assert_ne!(wrong, definitions);
    let (said, content) = compare(&wrong);
    assert!(!content, "{said}");
    for name in ["_stmfState", "STMF_PERSIST_NONE"] {
        assert!(said.contains(name), "{name} is not among {said}");
    }
}

#[test]
fn the_header_declares_what_the_contract_writes() {
    let tests = root().join("c-tests");
    for compiler in COMPILERS {
        for (language, standard) in [("c", "-std=c11"), ("c++", "-std=c++17")] {
            for opt_in in ["-DNOTHING", "-DLIBSTMF_ILLUMOS_COMPAT"] {
                let mut command = Command::new(compiler);
                command
                    .args(["-fsyntax-only", standard, opt_in])
                    .args(WARNINGS)
                    .args(NVPAIR)
                    .arg("-I")
                    .arg(root().join("include"));
                succeeds(command.args(["-x", language]).arg(tests.join("prototypes.c")));
            }
        }
    }
    let count = |path: &str| {
        let text = fs::read_to_string(root().join(path)).expect(path);
        let names = text.lines().filter_map(|line| {
            let rest = line
                .strip_prefix("int stmf")
                .or_else(|| line.strip_prefix("void stmf"))?;
            Some(rest.split('(').next()?.to_owned())
        });
        names.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(count("c-tests/prototypes.c"), count("include/libstmf.h"));
}
