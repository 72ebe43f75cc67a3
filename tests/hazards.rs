//! Every hazard of two-node operation is covered by a test that names it (`alua-proxy.md` 6.8): `H12` in the comment of a
//! test is the marker. docs/hazards.md is made from the markers.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// What goes wrong in the original, H1 first.
const HAZARDS: [&str; 33] = [
    "boot import of an LU that the peer has taken over",
    "the peer announces an LU that is Active here, and the store stays open",
    "both nodes enable with the LU Active: both yield",
    "import before standby: two writers",
    "LUN_ACTIVE is lost",
    "cached writes are not flushed at close",
    "the importing node has an old page cache",
    "writes that were submitted before the close arrive after it",
    "reservations without APTPL are lost at a move",
    "reservation keys of a former ownership come back",
    "DEREGISTER_LUN deletes an LU that is not Standby",
    "LU numbers differ: a command runs on another LU",
    "registrations before the peer is enabled are lost",
    "objects deleted while the channel was down stay for ever",
    "STATUS says success for every failure",
    "message and session ids start again after a reboot",
    "nothing keeps messages in order",
    "standby of a Standby LU",
    "task management is answered before the peer acted",
    "the last piece of a long READ has the size of the buffer",
    "answers find a task that has ended",
    "relative target port identifiers run out or change",
    "unit attentions are told through the wrong path",
    "disabling during a move deletes the LU",
    "the node id changes while ALUA is enabled",
    "an import fails after the peer has released the LU",
    "the door refuses, or the peer is silent",
    "two sessions of one initiator are taken for one",
    "unchecked input",
    "both nodes announce at once and neither reads",
    "the receive path waits for tasks",
    "ports are not found because of their code set",
    "sense data is used after its message is gone",
];

/// A test and the hazards that its comment names.
struct Marked {
    path: String,
    test: String,
    hazards: Vec<usize>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("directory of sources") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Numbers of the words `H1` to `H33` in a comment.
fn named(comment: &str) -> impl Iterator<Item = usize> {
    comment
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(|word| word.strip_prefix('H')?.parse().ok())
        .filter(|number| (1..=HAZARDS.len()).contains(number))
}

/// The marked tests of one file: a comment, attributes with `#[test]` among them, a function.
fn marked(path: &Path) -> Vec<Marked> {
    let text = fs::read_to_string(path).expect("source");
    let (mut hazards, mut is_test, mut found) = (Vec::new(), false, Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            hazards.extend(named(comment));
        } else if line.starts_with("#[") {
            is_test |= line == "#[test]";
        } else {
            let name = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next());
            if let Some(test) = name.filter(|_| is_test && !hazards.is_empty()) {
                found.push(Marked {
                    path: path.strip_prefix(root()).expect("below the root").display().to_string(),
                    test: test.to_owned(),
                    hazards: std::mem::take(&mut hazards),
                });
            }
            hazards.clear();
            is_test = false;
        }
    }
    found
}

#[test]
fn every_hazard_has_a_test_that_names_it() {
    let mut files = Vec::new();
    for directory in ["src", "tests"] {
        sources(&root().join(directory), &mut files);
    }
    files.sort();
    let mut tests: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for Marked { path, test, hazards } in files.iter().flat_map(|path| marked(path)) {
        for hazard in hazards {
            tests.entry(hazard).or_default().push(format!("`{path}`: `{test}`"));
        }
    }
    let holes: Vec<usize> = (1..=HAZARDS.len())
        .filter(|number| !tests.contains_key(number))
        .collect();
    assert!(holes.is_empty(), "no test names hazard {holes:?}");

    let mut table = String::from(
        "# Hazards of two-node operation and the tests that name them\n\n\
         Generated from the comments of the tests: `UPDATE_HAZARDS=1 cargo test --test hazards`. The seeded simulation\n\
         (`tests/pair_sim.rs`) covers H1 to H9 as well: each of its rules, broken, is noticed.\n\n\
         | no. | what goes wrong in the original | tests |\n|---|---|---|\n",
    );
    for (number, tests) in &tests {
        writeln!(
            table,
            "| H{number} | {} | {} |",
            HAZARDS[number - 1],
            tests.join("<br>")
        )
        .expect("a String");
    }
    let path = root().join("docs/hazards.md");
    if std::env::var_os("UPDATE_HAZARDS").is_some() {
        fs::write(&path, &table).expect("docs/hazards.md");
    }
    assert!(
        fs::read_to_string(&path).is_ok_and(|committed| committed == table),
        "docs/hazards.md is stale: UPDATE_HAZARDS=1 cargo test --test hazards"
    );
}
