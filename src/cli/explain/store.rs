//! What is wrong with a backing store.

use crate::cli::console::Subject;
use crate::cli::text::reason;
use crate::disk::scan;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Smallest LU, bytes (`scsi-sbd.md`).
const SMALLEST: u64 = 1 << 20;

/// By the error line of a subcommand that has a file as its operand.
pub fn detail(subject: &Subject, reason: &str) -> Option<String> {
    let operand = subject.invocation.operands.first()?;
    let creates = subject.subcommand == "create-lu";
    if !creates && subject.subcommand != "import-lu" {
        return None;
    }
    match reason {
        "data file error" if creates => trouble(operand, true),
        "data file error" => Some(format!(
            "the data file that the metadata in {operand} name cannot be used"
        )),
        "meta file error" if creates => trouble(meta(subject)?, false),
        "meta file error" => trouble(operand, false).or_else(|| {
            scan::file(Path::new(operand))
                .err()
                .map(|error| format!("{operand}: {error}"))
        }),
        "could not create meta file" => {
            let file = if creates {
                meta(subject).unwrap_or(operand)
            } else {
                operand
            };
            trouble(file, false)
        }
        "file size invalid" => {
            let length = fs::metadata(operand).ok()?.len();
            Some(format!(
                "{operand} has {length} bytes; a logical unit has at least {SMALLEST}, and its metadata in the same file 65536 more"
            ))
        }
        _ => trouble(operand, creates),
    }
}

/// The argument of the last `-p meta=`.
fn meta(subject: &Subject) -> Option<&str> {
    let values = subject
        .invocation
        .options
        .iter()
        .rev()
        .filter(|(letter, _)| *letter == 'p');
    let mut metas = values.filter_map(|(_, value)| {
        value
            .split_once('=')
            .filter(|(name, _)| name.eq_ignore_ascii_case("meta"))
    });
    metas.next().map(|(_, path)| path)
}

/// Why a file cannot be a store, as far as it can be seen from here. `creates`: it may be made first.
fn trouble(path: &str, creates: bool) -> Option<String> {
    let failed = |error: io::Error| {
        let missing = creates && error.kind() == io::ErrorKind::NotFound;
        let hint = if missing {
            format!(" (try: truncate -s 10G {path})")
        } else {
            String::new()
        };
        format!("{path}: {}{hint}", reason(&error))
    };
    if !path.starts_with('/') {
        return Some(format!("{path}: is not an absolute path"));
    }
    let kind = match fs::metadata(path) {
        Err(error) => return Some(failed(error)),
        Ok(metadata) => metadata.file_type(),
    };
    if kind.is_dir() {
        return Some(format!("{path}: Is a directory"));
    }
    if !kind.is_file() && !kind.is_block_device() {
        return Some(format!("{path}: is neither a regular file nor a block device"));
    }
    File::options().read(true).write(true).open(path).err().map(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_seen() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().to_str().unwrap();
        assert_eq!(trouble("lu.img", true).unwrap(), "lu.img: is not an absolute path");
        assert_eq!(
            trouble(&format!("{place}/lu"), true).unwrap(),
            format!("{place}/lu: No such file or directory (try: truncate -s 10G {place}/lu)")
        );
        assert_eq!(trouble(place, true).unwrap(), format!("{place}: Is a directory"));
        assert_eq!(
            trouble("/dev/null", true).unwrap(),
            "/dev/null: is neither a regular file nor a block device"
        );
        fs::write(directory.path().join("lu"), "").unwrap();
        assert_eq!(trouble(&format!("{place}/lu"), true), None);
    }
}
