//! Builds the C trampoline of the doors (`src/door/trampoline.c`), names the shared object and declares its version nodes.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/door/trampoline.c");
    println!("cargo:rerun-if-changed=src/versions.map");
    cc::Build::new()
        .file("src/door/trampoline.c")
        .flag("-std=gnu11")
        .flag("-fvisibility=hidden")
        // pthread_exit and cancellation unwind these frames.
        .flag("-fexceptions")
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(true)
        .compile("stmf_door_trampoline");
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    // Its threads outlive a dlclose.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libstmf.so.1");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--version-script={root}/src/versions.map");
}
