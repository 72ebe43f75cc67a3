//! Changing the properties of an open LU (`libstmf-api.md` 3.9 `stmfModifyLu`, 4.4): metadata first, then the live state.
#![forbid(unsafe_code)]

use super::block_file;
use super::lu::{Lu, data_offset};
use super::metadata::LuInfo;
use super::size;
use crate::framework::Effect;
use crate::framework::effects::about_to;
use crate::types::{LuChange, Status};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

impl Lu {
    /// Changes a property; on failure the old value stays.
    pub fn modify(&self, change: &LuChange) -> Result<(), Status> {
        self.check(change)?;
        about_to(|| Ok(vec![Effect::LuModified(self.info().guid, change.clone())]))?;
        match change {
            LuChange::Alias(alias) => self.change_info(|info| info.alias = Some(alias.clone())),
            LuChange::MgmtUrl(url) => {
                self.change_info(|info| info.mgmt_url = url.clone().filter(|url| !url.is_empty()))
            }
            LuChange::Size(bytes) => self.change_info(|info| info.size = *bytes),
            LuChange::WriteProtect(protect) => self.change_info(|info| info.write_protected = *protect),
            LuChange::WriteCacheDisable(disable) => self.change_write_cache(!disable),
        }
    }

    fn check(&self, change: &LuChange) -> Result<(), Status> {
        match change {
            LuChange::Size(bytes) => self.check_size(*bytes),
            LuChange::WriteProtect(false) => self.check_writable(),
            _ => Ok(()),
        }
    }

    fn change_info(&self, change: impl Fn(&mut LuInfo)) -> Result<(), Status> {
        let saved = self.save(|metadata| change(&mut metadata.info));
        saved.map_err(|error| self.refuse(&format!("metadata cannot be written: {error}"), Status::MetaCreation))?;
        self.update_info(change);
        Ok(())
    }

    /// As for a new LU (step 6 of `stmfCreateLu`). The file is not resized.
    fn check_size(&self, bytes: u64) -> Result<(), Status> {
        let open = self.medium().open();
        let data = open.as_deref().ok_or(Status::AccessStateSet)?;
        let path = self.medium().path();
        let info = self.info();
        let kind = block_file::kind(data)
            .map_err(|error| self.refuse(&format!("its kind cannot be determined: {error}"), Status::DataFileName))?;
        size::of_new(data, kind, path, data_offset(&info), Some(bytes), info.block_shift).map(drop)
    }

    /// The data file of a protected LU is open for writing wherever it can be.
    fn check_writable(&self) -> Result<(), Status> {
        let open = self.medium().open();
        let data = open.as_deref().ok_or(Status::AccessStateSet)?;
        let flags = fcntl(data, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
        match flags {
            Ok(flags) if flags & OFlag::O_ACCMODE == OFlag::O_RDWR => {}
            _ => return Err(self.refuse("the data file cannot be written", Status::DataFileName)),
        }
        // Data beside the metadata have a lock of their own, shared so far.
        match self.info().separate_meta.then(|| block_file::lock(data, true)) {
            None | Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => Err(self.refuse("in use by another process", Status::DataFileName)),
            Some(Err(error)) => Err(self.refuse(&format!("cannot be locked: {error}"), Status::DataFileName)),
        }
    }

    /// Writes that were acknowledged from the cache are durable before its disabling is.
    fn change_write_cache(&self, enable: bool) -> Result<(), Status> {
        let before = self.write_cache();
        self.set_write_cache(enable);
        let done = self.flush_for(enable).and_then(|()| {
            self.save_write_cache(enable)
                .map_err(|error| self.refuse(&format!("metadata cannot be written: {error}"), Status::MetaCreation))
        });
        done.inspect_err(|_| self.set_write_cache(before))
    }

    fn flush_for(&self, enable: bool) -> Result<(), Status> {
        let open = self.medium().open();
        let data = open.as_deref().ok_or(Status::AccessStateSet)?;
        match enable {
            true => Ok(()),
            false => self
                .medium()
                .flush(data)
                .map_err(|error| self.refuse(&format!("cannot be flushed: {error}"), Status::WriteCacheSet)),
        }
    }

    fn refuse(&self, why: &str, status: Status) -> Status {
        log::error!("{}: {why}", self.medium().path());
        status
    }
}
