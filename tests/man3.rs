//! The pages of section 3 are what `scripts/man3` makes of the headers. `scripts/man3 man` rewrites them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

fn pages(directory: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory).expect("directory of pages");
    let paths = entries.map(|entry| entry.expect("entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "3"))
        .map(|path| {
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a page"))
        })
        .collect()
}

#[test]
fn the_committed_pages_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().expect("temporary directory");
    let output = Command::new(root.join("scripts/man3")).arg(directory.path()).output();
    let output = output.expect("scripts/man3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (made, committed) = (pages(directory.path()), pages(&root.join("man")));
    let names = made.keys().chain(committed.keys());
    let stale: Vec<&String> = names.filter(|name| made.get(*name) != committed.get(*name)).collect();
    assert!(stale.is_empty(), "stale: {stale:?}: scripts/man3 man");
    assert!(made.len() > 80, "{} pages", made.len());
}

#[test]
fn man_has_nothing_to_say_about_the_pages() {
    // Links are found from the root of a manual.
    let root = tempfile::tempdir().expect("temporary directory");
    let section = root.path().join("man3");
    fs::create_dir(&section).expect("section");
    for (name, text) in pages(&Path::new(env!("CARGO_MANIFEST_DIR")).join("man")) {
        let page = section.join(&name);
        fs::write(&page, text).expect("a page");
    }
    for name in pages(&section).keys() {
        let output = Command::new("man")
            .current_dir(root.path())
            .args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
            .arg(section.join(name))
            .output()
            .expect("man");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
    }
}
