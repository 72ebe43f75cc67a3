//! A disk under the store that is full, read-only or broken, from every write on that a change makes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Controls the failures of the disk under a `stmfd` (`faulty_disk.c`).
pub struct FaultyDisk {
    library: PathBuf,
    control: File,
    path: PathBuf,
}

impl FaultyDisk {
    /// One that works for now.
    pub fn new(scratch: &Path) -> FaultyDisk {
        let library = scratch.join("faulty_disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/faulty_disk.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]);
        let compiled = compiler.arg(&library).arg(source).arg("-ldl").status();
        assert!(compiled.expect("cc is there").success());
        let path = scratch.join("control");
        std::fs::write(&path, [0; 20]).expect("a file");
        let control = File::options().read(true).write(true).open(&path).expect("a file");
        FaultyDisk { library, control, path }
    }

    /// Puts it under the files of a directory.
    pub fn under(&self, directory: &Path, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAULTY_CONTROL", &self.path)
            .env("FAULTY_DIRECTORY", directory);
    }

    /// After `passes` more writes the next `limit` ones fail.
    pub fn fail(&self, error: i32, passes: i32, limit: i32) {
        self.set(4, passes);
        self.set(8, limit);
        self.set(12, 0);
        self.set(0, error);
    }

    /// Reads fail with this error from now on; 0: they do not.
    pub fn fail_reads(&self, error: i32) {
        self.set(16, error);
    }

    /// Ends the failing of writes; how many have failed.
    pub fn work(&self) -> i32 {
        self.set(0, 0);
        let mut failures = [0; 4];
        self.control.read_exact_at(&mut failures, 12).expect("a file");
        i32::from_ne_bytes(failures)
    }

    fn set(&self, at: u64, value: i32) {
        self.control.write_all_at(&value.to_ne_bytes(), at).expect("a file");
    }
}
