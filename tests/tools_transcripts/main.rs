//! What the tools print, line for line, as processes against a service with faults on request (`cli.md` chapters 1 to 8).
//!
//! The transcripts beside this file are written from the specification, not from the programs. The acceptance checklist
//! (`cli.md` chapter 12) that is made of them is `docs/cli-conformance.md`.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod bench;
mod report;
mod transcript;

use std::fs;
use std::path::Path;
use transcript::Case;

/// `UPDATE_CONFORMANCE=1 cargo test --test tools_transcripts` rewrites the document.
#[test]
fn every_screen_every_error_line_every_exit_status() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = fs::read_dir(root.join("tests/tools_transcripts"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    // At the same time: a transcript may wait for a state that does not come.
    let (cases, wrong): (Vec<_>, Vec<_>) = std::thread::scope(|scope| {
        let threads: Vec<_> = files.iter().map(|file| scope.spawn(|| run(file))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).unzip()
    });
    let (cases, wrong) = (cases.concat(), wrong.concat());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));

    let document = report::document(root, &cases);
    let path = root.join("docs/cli-conformance.md");
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        fs::write(&path, &document).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == document,
        "docs/cli-conformance.md is stale: UPDATE_CONFORMANCE=1 cargo test --test tools_transcripts"
    );
}

/// The commands of a transcript, and those that behaved in another way.
fn run(file: &Path) -> (Vec<Case>, Vec<String>) {
    let bench = bench::Bench::start();
    let cases = transcript::parse(&fs::read_to_string(file).unwrap());
    let mut wrong = Vec::new();
    for case in &cases {
        let seen = bench.run(case);
        if seen != case.expected {
            let (file, line, command, expected) = (file.display(), case.line, &case.command, &case.expected);
            wrong.push(format!(
                "{file}:{line}: {command}\n--- expected\n{expected}--- seen\n{seen}"
            ));
        }
    }
    (cases, wrong)
}
