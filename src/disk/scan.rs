//! Which LU a file could be imported as, found by looking at its metadata, past the page cache and beside whoever owns it.
#![forbid(unsafe_code)]

use super::block_file::{Access, BlockFile, look};
use super::metadata::MetadataError;
use crate::types::Guid;
use std::io;
use std::path::{Path, PathBuf};

/// A file that carries the metadata of an LU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// Identity of the LU.
    pub guid: Guid,
    /// Bytes that initiators see.
    pub size: u64,
    /// Display name.
    pub alias: Option<String>,
    /// The data file, where it is another one.
    pub data_file: Option<String>,
}

/// A file that could not be looked at, and why.
pub type Unreadable = (PathBuf, io::Error);

/// Looks at one file, by its absolute path. What is no metadata, or damaged, is an error that carries a `MetadataError`;
/// neither a regular file nor a block device: [`io::ErrorKind::InvalidInput`].
pub fn file(path: &Path) -> io::Result<Found> {
    let text = path
        .to_str()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8"))?;
    let (_, kind) = look(text)?;
    let metadata = BlockFile::open(text, kind, Access::PEEK)?
        .read_metadata()?
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let info = metadata.info;
    Ok(Found {
        path: path.to_owned(),
        guid: info.guid,
        size: info.size,
        alias: info.alias,
        data_file: info.data_name.filter(|_| info.separate_meta),
    })
}

/// The files of a directory, not of those below it, in the order of their names: those that carry metadata, and those that
/// could not be looked at or whose metadata are damaged, with the reason.
pub fn directory(path: &Path) -> io::Result<(Vec<Found>, Vec<Unreadable>)> {
    let mut paths = std::fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for path in paths {
        match file(&path) {
            Ok(one) => found.push(one),
            Err(error) if is_no_lu(&error) => {}
            Err(error) => wrong.push((path, error)),
        }
    }
    Ok((found, wrong))
}

fn is_no_lu(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<MetadataError>());
    inner == Some(&MetadataError::NoMagic) || inner.is_none() && error.kind() == io::ErrorKind::InvalidInput
}
