//! The LU provider `sbd`: create and import (`libstmf-api.md` 3.9, `alua-proxy.md` 6.6).
#![forbid(unsafe_code)]

use super::Config;
use super::block_file::{self, Access, Backup, BlockFile, FileId, Kind};
use super::guid;
use super::lease::{Identity, Leases};
use super::lu::{Disk, Lu, SharedUrl, data_offset};
use super::medium::Medium;
use super::metadata::{LuInfo, Metadata, MetadataError, Order, SHARED_SIZE};
use super::ownership::{self, ClaimError, Ownership};
use super::pool::Pool;
use super::registry::{Registration, Registry};
use super::reservations::Reservations;
use super::size;
use crate::changes::Change;
use crate::framework::alua::ownership::InstallationId;
use crate::framework::effects::{about_to, rehearsing};
use crate::framework::{Effect, ImportError, LuProvider, PeerView, Unit};
use crate::types::{Guid, LuChange, LuProperties, Status};
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// The disk provider.
pub struct Provider {
    leases: Arc<Leases>,
    pool: Arc<Pool>,
    registry: Registry,
    mgmt_url: SharedUrl,
}

impl Provider {
    /// A provider without LUs; it starts no thread yet.
    pub fn new(config: Config) -> Provider {
        let identity = Identity {
            installation: InstallationId(config.installation),
            incarnation: config.incarnation,
            node: config.node,
        };
        Provider {
            leases: Arc::new(Leases::new(identity, config.lease)),
            pool: Arc::new(Pool::new(config.io_threads)),
            registry: Registry::default(),
            mgmt_url: SharedUrl::default(),
        }
    }

    fn register(&self, path: &str, file: FileId) -> Result<Registration, Status> {
        self.registry.register(&[file]).ok_or_else(|| {
            log::error!("{path}: backs a registered LU already");
            Status::FileInUse
        })
    }

    fn open_lu(
        &self,
        metadata: Metadata,
        data: File,
        path: &str,
        owner: Arc<Ownership>,
        files: Vec<Registration>,
    ) -> Result<Arc<Disk>, MetadataError> {
        let medium = Medium::new(path.to_owned(), data, data_offset(&metadata.info), metadata.info.size);
        let reservations = Reservations::load(&metadata, owner.handover())?;
        let pool = Arc::clone(&self.pool);
        owner.settle();
        Ok(Arc::new(Disk::new(Lu::new(
            metadata,
            medium,
            owner,
            pool,
            files,
            reservations,
            Arc::clone(&self.mgmt_url),
        ))))
    }
}

/// Logs a failure with the file's name; `EACCES` and `EPERM` are told as such, everything else as `status`.
fn failed(path: &str, what: &str, error: &io::Error, status: Status) -> Status {
    log::error!("{path}: {what}: {error}");
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => Status::Perm,
        _ => status,
    }
}

fn refuse(path: &str, why: impl Display, status: Status) -> Status {
    log::error!("{path}: {why}");
    status
}

/// The store of an LU to be created, checked, locked and not yet changed.
struct Store {
    carrier: BlockFile,
    data: File,
    size: u64,
}

/// What a change does, told from the metadata in a file of this kind; a status if it cannot be done.
type Telling<'a> = dyn Fn(&LuInfo, Kind) -> Result<Vec<Effect>, Status> + 'a;

impl LuProvider for Provider {
    fn name(&self) -> &'static str {
        "sbd"
    }

    fn create(&self, properties: &LuProperties, taken: &dyn Fn(&Guid) -> bool) -> Result<Arc<dyn Unit>, Status> {
        Ok(self.create_disk(properties, taken)?)
    }

    fn set_mgmt_url(&self, url: Option<&str>) {
        let _change = Change::begin();
        self.mgmt_url.store(url.map(|url| Arc::new(url.to_owned())));
    }

    fn identify(&self, path: &str) -> Result<Guid, Status> {
        let (_, kind) = look(path, Status::MetaFileName)?;
        Ok(peek(path, kind)?.info.guid)
    }

    fn import(&self, path: &str, peer: PeerView) -> Result<Arc<dyn Unit>, ImportError> {
        Ok(self.import_disk(path, peer)?)
    }

    fn rehearse_modify(&self, path: &str, peer: PeerView, change: &LuChange) -> Result<(), ImportError> {
        let modified = |before: &LuInfo, kind| {
            // The file of an LU that is not to be protected any more has to be writable.
            let protected = before.write_protected && *change != LuChange::WriteProtect(false);
            let opened = LuInfo {
                write_protected: protected,
                ..before.clone()
            };
            let (data_path, data, _registered) = self.open_store(path, &opened, kind)?;
            if let LuChange::Size(bytes) = change {
                let base = data_offset(before);
                let kind = block_file::kind(&data)
                    .map_err(|error| failed(&data_path, "determining its kind", &error, Status::DataFileName))?;
                size::of_new(&data, kind, &data_path, base, Some(*bytes), before.block_shift)?;
            }
            Ok(vec![Effect::LuModified(before.guid, change.clone())])
        };
        self.import_telling(path, peer, &modified).map(drop)
    }
}

impl Provider {
    /// [`LuProvider::create`].
    pub fn create_disk(&self, properties: &LuProperties, taken: &dyn Fn(&Guid) -> bool) -> Result<Arc<Disk>, Status> {
        let block_shift = size::block_shift(properties.block_size)?;
        let data_path = properties.data_file.as_deref().ok_or(Status::MissingPropVal)?;
        let (data_id, kind) = look(data_path, Status::DataFileName)?;
        let mut files = vec![self.register(data_path, data_id)?];
        if let Some(path) = &properties.meta_file {
            files.push(self.register(path, look(path, Status::MetaFileName)?.0)?);
        }
        let store = Store::open(properties, data_path, kind, block_shift)?;
        let guid = match properties.guid {
            Some(guid) if !guid.is_naa6() => return Err(Status::InvalidArg),
            Some(guid) if taken(&guid) => return Err(Status::GuidInUse),
            Some(guid) => guid,
            None => guid::generate(properties, taken).ok_or(Status::Error)?,
        };
        let info = lu_info(properties, guid, store.size, block_shift);
        let path = store.carrier.path().to_owned();
        let backup = Backup::take(&store.carrier)
            .map_err(|error| failed(&path, "reading the metadata area", &error, Status::MetaCreation))?;
        let peer = PeerView::default();
        let created = || {
            let (file, size) = (data_path.to_owned(), store.size);
            about_to(|| Ok(vec![Effect::LuCreated { guid, file, size }]))
        };
        let owner = match ownership::claim(store.carrier, guid, &peer, &self.leases, &self.pool, created) {
            Ok(owner) => owner,
            Err(ClaimError::Refused) => return Err(Status::FileInUse),
            Err(ClaimError::Ended(status)) => return Err(status),
            Err(ClaimError::Io(error)) => return Err(failed(&path, "claiming", &error, Status::MetaCreation)),
        };
        let metadata = Metadata {
            order: Order::NATIVE,
            info,
            others: Vec::new(),
        };
        if let Err(error) = owner.with_file(|file| file.write_metadata(&metadata)) {
            owner.undo_create(&backup);
            return Err(failed(&path, "writing metadata", &error, Status::MetaCreation));
        }
        self.open_lu(metadata, store.data, data_path, owner, files)
            .map_err(|error| refuse(&path, error, Status::Error))
    }

    /// [`LuProvider::import`].
    pub fn import_disk(&self, path: &str, peer: PeerView) -> Result<Arc<Disk>, ImportError> {
        let imported = |before: &LuInfo, kind| {
            if rehearsing() {
                self.open_store(path, before, kind)?;
            }
            Ok(vec![Effect::LuImported(before.guid, path.to_owned())])
        };
        self.import_telling(path, peer, &imported)
    }

    /// `effects`: of what is in the metadata, when all is checked and nothing has changed ([`about_to`]).
    fn import_telling(&self, path: &str, peer: PeerView, effects: &Telling<'_>) -> Result<Arc<Disk>, ImportError> {
        let (id, kind) = look(path, Status::MetaFileName)?;
        let carrier_held = self.register(path, id)?;
        let before = peek(path, kind)?.info;
        let refused = ImportError::Refused(before.guid);
        let carrier = match open_carrier(path, kind, before.write_protected) {
            Ok(Some(carrier)) => carrier,
            Ok(None) => return Err(refused),
            Err(error) => return Err(failed(path, "opening", &error, Status::MetaFileName).into()),
        };
        let telling = || about_to(|| effects(&before, kind));
        let owner = match ownership::claim(carrier, before.guid, &peer, &self.leases, &self.pool, telling) {
            Ok(owner) => owner,
            Err(ClaimError::Refused) => return Err(refused),
            Err(ClaimError::Ended(status)) => return Err(status.into()),
            Err(ClaimError::Io(error)) => return Err(failed(path, "claiming", &error, Status::Error).into()),
        };
        self.load(path, &before, kind, &owner, carrier_held).map_err(|status| {
            owner.undo();
            status.into()
        })
    }

    /// Opens the LU of a claimed store. The metadata are read once more: the former owner may have changed them.
    fn load(
        &self,
        path: &str,
        before: &LuInfo,
        kind: Kind,
        owner: &Arc<Ownership>,
        carrier: Registration,
    ) -> Result<Arc<Disk>, Status> {
        let metadata = owner.with_file(BlockFile::read_metadata);
        let metadata = metadata
            .map_err(|error| failed(path, "reading metadata", &error, Status::MetaFileName))?
            .map_err(|error| refuse(path, error, Status::MetaFileName))?;
        if metadata.info.guid != before.guid {
            return Err(refuse(
                path,
                "another LU was created here meanwhile",
                Status::MetaFileName,
            ));
        }
        let (data_path, data, registered) = self.open_store(path, &metadata.info, kind)?;
        let files = std::iter::once(carrier).chain(registered).collect();
        block_file::invalidate(&data)
            .map_err(|error| failed(&data_path, "dropping its cached pages", &error, Status::DataFileName))?;
        let metadata = follow_move(metadata, path, owner);
        self.open_lu(metadata, data, &data_path, Arc::clone(owner), files)
            .map_err(|error| refuse(path, error, Status::MetaFileName))
    }

    /// The data file that the metadata at `path` tell of: its path, open and checked, and the registration of one that is
    /// not the carrier.
    fn open_store(
        &self,
        path: &str,
        info: &LuInfo,
        kind: Kind,
    ) -> Result<(String, File, Option<Registration>), Status> {
        let (data_path, data_kind, registered) = if info.separate_meta {
            let no_name = || refuse(path, "the metadata name no data file", Status::DataFileName);
            let data_path = info.data_name.clone().ok_or_else(no_name)?;
            let (id, kind) = look(&data_path, Status::DataFileName)?;
            let registered = self.register(&data_path, id)?;
            (data_path, kind, Some(registered))
        } else {
            (path.to_owned(), kind, None)
        };
        let data = open_data(&data_path, data_kind, !info.write_protected, info.separate_meta)?;
        size::check_stored(&data, data_kind, &data_path, info)?;
        Ok((data_path, data, registered))
    }
}

impl From<Status> for ImportError {
    fn from(status: Status) -> ImportError {
        ImportError::Failed(status)
    }
}

impl Store {
    fn open(properties: &LuProperties, data_path: &str, kind: Kind, block_shift: u8) -> Result<Store, Status> {
        let write = !properties.write_protect.unwrap_or(false);
        let separate = properties.meta_file.is_some();
        let data = open_data(data_path, kind, write, separate)?;
        let base = if separate { 0 } else { SHARED_SIZE };
        let size = size::of_new(&data, kind, data_path, base, properties.size, block_shift)?;
        let (path, kind, status) = match &properties.meta_file {
            Some(path) => (path.as_str(), look(path, Status::MetaFileName)?.1, Status::MetaFileName),
            None => (data_path, kind, Status::DataFileName),
        };
        let carrier = match open_carrier(path, kind, false) {
            Ok(Some(carrier)) => carrier,
            Ok(None) => return Err(Status::FileInUse),
            Err(error) => return Err(failed(path, "opening", &error, status)),
        };
        if separate && kind == Kind::Device {
            let room = carrier
                .size()
                .map_err(|error| failed(path, "its size", &error, status))?;
            if room < SHARED_SIZE {
                return Err(refuse(path, "too small for metadata", status));
            }
        }
        Ok(Store { carrier, data, size })
    }
}

fn look(path: &str, status: Status) -> Result<(FileId, Kind), Status> {
    block_file::look(path).map_err(|error| failed(path, "not usable", &error, status))
}

/// The metadata at `path`, beside whoever owns them.
fn peek(path: &str, kind: Kind) -> Result<Metadata, Status> {
    BlockFile::open(path, kind, Access::PEEK)
        .and_then(|file| file.read_metadata())
        .map_err(|error| failed(path, "reading metadata", &error, Status::MetaFileName))?
        .map_err(|error| refuse(path, error, Status::MetaFileName))
}

/// Opens and locks the carrier; read-only for a write-protected LU on a medium that cannot be written. `None`: somebody
/// has it.
fn open_carrier(path: &str, kind: Kind, write_protected: bool) -> io::Result<Option<BlockFile>> {
    let carrier = match BlockFile::open(path, kind, Access::OWN) {
        Err(error) if write_protected && matches!(error.raw_os_error(), Some(libc::EROFS | libc::EACCES)) => {
            BlockFile::open(path, kind, Access::OWN_READ_ONLY)
        }
        result => result,
    };
    let locked = match carrier {
        Ok(carrier) => carrier.lock()?.then_some(carrier),
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => None,
        Err(error) => return Err(error),
    };
    if locked.is_none() {
        log::error!("{path}: in use: another process has it locked");
    }
    Ok(locked)
}

/// Opens the data file; when it does not carry the metadata it gets a lock of its own. A store that need not be written
/// (write protect) is open for writing all the same if it can be: the protection may be lifted later.
fn open_data(path: &str, kind: Kind, write: bool, separate: bool) -> Result<File, Status> {
    let open = |write| {
        let access = Access {
            write,
            exclusive: separate,
        };
        block_file::open(path, kind, access, 0)
    };
    let opened = match open(true) {
        Err(error) if !write && read_only(&error) => open(false),
        result => result,
    };
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
            return Err(failed(path, "in use", &error, Status::FileInUse));
        }
        Err(error) => return Err(failed(path, "opening", &error, Status::DataFileName)),
    };
    if separate && kind == Kind::Regular {
        match block_file::lock(&file, write) {
            Ok(true) => {}
            Ok(false) => return Err(refuse(path, "in use: another process has it locked", Status::FileInUse)),
            Err(error) => return Err(failed(path, "locking", &error, Status::DataFileName)),
        }
    }
    Ok(file)
}

fn read_only(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EROFS | libc::EACCES | libc::EPERM | libc::ETXTBSY)
    )
}

/// Metadata of a file that was moved get its present name. When they cannot be written the LU works all the same.
fn follow_move(mut metadata: Metadata, path: &str, owner: &Ownership) -> Metadata {
    let info = &mut metadata.info;
    let name = if info.separate_meta {
        &mut info.meta_name
    } else {
        &mut info.data_name
    };
    if name.as_deref() != Some(path) {
        *name = Some(path.to_owned());
        let written = owner.with_file(|file| match file.writable() {
            true => file.write_metadata(&metadata),
            false => Ok(()),
        });
        if let Err(error) = written {
            log::warn!("{path}: its new name could not be stored: {error}");
        }
    }
    metadata
}

fn lu_info(properties: &LuProperties, guid: Guid, size: u64, block_shift: u8) -> LuInfo {
    LuInfo {
        guid,
        size,
        block_shift,
        separate_meta: properties.meta_file.is_some(),
        meta_name: properties.meta_file.clone(),
        data_name: properties.data_file.clone(),
        alias: properties.alias.clone(),
        serial: properties.serial.clone(),
        mgmt_url: properties.mgmt_url.clone().filter(|url| !url.is_empty()),
        vendor: properties.vendor.as_deref().map(padded),
        product: properties.product.as_deref().map(padded),
        revision: None,
        write_protected: properties.write_protect.unwrap_or(false),
        write_cache_disabled: properties.write_cache_disable.unwrap_or(false),
    }
}

/// Space-padded, cut to the field.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    for (to, from) in field.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    field
}
