//! Builds the C trampoline of the doors (`src/door/trampoline.c`) and names the shared object.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libstmf.so.1");
}
