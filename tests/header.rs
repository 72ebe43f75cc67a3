//! `include/libstmf.h` is what cbindgen makes of `src/capi`. `UPDATE_HEADER=1 cargo test --test header` rewrites it.

use std::path::Path;

#[test]
fn the_committed_header_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let builder = cbindgen::Builder::new()
        .with_config(config)
        .with_src(root.join("src/capi/mod.rs"));
    let mut generated = Vec::new();
    builder.generate().expect("cbindgen").write(&mut generated);
    let generated = String::from_utf8(generated).expect("a header is text");

    let path = root.join("include/libstmf.h");
    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::write(&path, &generated).expect("include/libstmf.h");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = generated.lines().zip(committed.lines()).position(|(a, b)| a != b);
    assert!(
        committed == generated,
        "include/libstmf.h is stale from line {} on: UPDATE_HEADER=1 cargo test --test header",
        difference.map_or(generated.lines().count().min(committed.lines().count()), |line| line
            + 1)
    );
}
