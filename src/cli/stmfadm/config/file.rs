//! The file: read with a bound, written beside and then in the place of the old one, so that there always is a whole one.

use super::document::MAX_DOCUMENT;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// All of a file, or of standard input for `-`.
pub fn read(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match path {
        "-" => io::stdin().take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?,
        path => File::open(path)?.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?,
    };
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(io::Error::other(format!("more than {MAX_DOCUMENT} bytes")));
    }
    Ok(bytes)
}

/// Replaces a file, for its owner's eyes alone; what a symbolic link leads to, too. On an error the old one is as it was. What is no
/// file (a terminal, a pipe, `/dev/full`) is written to.
pub fn replace(path: &str, bytes: &[u8]) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => replace_file(&std::fs::canonicalize(path)?, bytes),
        Ok(_) => OpenOptions::new().write(true).open(path)?.write_all(bytes),
        Err(_) => replace_file(Path::new(path), bytes),
    }
}

fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("not the name of a file"))?;
    let mut beside = name.to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    if let Err(error) = written {
        // It may never have come to be.
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.map_or_else(|| PathBuf::from("."), Path::to_owned))?.sync_all()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
