//! Builds the C trampoline of the doors (`src/door/trampoline.c`), names the shared object, declares its version nodes.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/versions.map");
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libstmf.so.1");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--version-script={root}/src/versions.map");
}
