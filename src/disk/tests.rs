//! Provider and ownership on real files.

mod fence;

use super::Provider;
use super::lu::Disk;
use super::testing::{KEY, cdb, create, execute, execute_by, properties, provider, read, run, write};
use crate::framework::alua::ownership::{Found, InstallationId, Record, lease_file_name};
use crate::framework::{ImportError, Outcome, PeerView, Release, Unit};
use crate::scsi::{ScsiStatus, Sense};
use crate::types::{AccessState, Guid, LuChange, LuProperties, NodeId, Status};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const WRITE_BLOCK_0: [u8; 10] = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const READ_BLOCK_0: [u8; 10] = [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const LONG: Duration = Duration::from_secs(60);

const FENCED: PeerView = PeerView {
    reachable: false,
    original: false,
    says: None,
    fenced: true,
    cold_start: false,
    given_up: None,
};

const ACTIVE: PeerView = PeerView {
    reachable: true,
    original: false,
    says: Some(AccessState::Active),
    fenced: false,
    cold_start: false,
    given_up: None,
};

fn path(properties: &LuProperties) -> &str {
    properties.data_file.as_deref().unwrap()
}

fn import(provider: &Provider, path: &str) -> Result<Arc<Disk>, ImportError> {
    provider.import_disk(path, PeerView::default())
}

#[track_caller]
fn failure<T>(result: Result<T, ImportError>) -> ImportError {
    result.err().expect("refused")
}

fn record(path: &str) -> Record {
    match Found::decode(&std::fs::read(path).unwrap()) {
        Found::Valid(record) => record,
        other => panic!("{other:?}"),
    }
}

fn put_record(path: &str, record: &Record) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&record.encode(), 0).unwrap();
}

fn write_block_0(disk: &Disk, fill: u8) -> Outcome {
    run(disk, &WRITE_BLOCK_0, write(512), &[fill; 512])
}

fn block_0(disk: &Disk) -> Vec<u8> {
    run(disk, &READ_BLOCK_0, read(512), &[]).data
}

/// What the store of another machine looks like: a claimed record of installation 9, node 1.
fn foreign(path: &str, lease_in_directory: bool) -> Record {
    let guid = Guid([0x60; 16]);
    let mine = Record {
        guid,
        lease_in_directory,
        lease_ms: 1000,
        ..Record::lease_file(InstallationId([9; 16]), 3, NodeId::new(1).unwrap())
    };
    let record = Record::claimed(mine, &Found::decode(&std::fs::read(path).unwrap()));
    put_record(path, &record);
    record
}

// --- create and import -----------------------------------------------------------------------------------------------

#[test]
fn everything_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let properties = LuProperties {
        alias: Some("al".into()),
        block_size: Some(4096),
        mgmt_url: Some("http://a/ http://b/".into()),
        vendor: Some("ACME".into()),
        product: Some("DISK".into()),
        serial: Some("0815".into()),
        write_cache_disable: Some(true),
        ..properties(directory.path(), "disk")
    };
    let first = provider(0);
    let disk = create(&first, &properties);
    let (guid, before) = (disk.guid(), disk.properties());
    assert_eq!(before.alias.as_deref(), Some("al"));
    assert_eq!(before.guid, Some(guid));
    assert_eq!(first_identify(&first, path(&properties)), guid);
    let data = [5; 4096];
    let written = run(&disk, &WRITE_BLOCK_0, write(4096), &data);
    assert_eq!(written.status, ScsiStatus::Good);
    disk.release(Release::Handover).unwrap();
    drop((disk, first));

    let again = import(&provider(0), path(&properties)).unwrap();
    assert_eq!(again.properties(), before);
    assert_eq!(again.generation(), 2);
    assert_eq!(run(&again, &READ_BLOCK_0, read(4096), &[]).data, data);
    let file = std::fs::read(path(&properties)).unwrap();
    assert_eq!(file[65536..65536 + 4096], data, "user data follow the first 64 KiB");
}

#[test]
fn changes_survive_a_restart_wherever_the_metadata_are() {
    for separate in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let meta = directory.path().join("meta");
        std::fs::File::create(&meta).unwrap();
        let properties = LuProperties {
            meta_file: separate.then(|| meta.to_str().unwrap().to_owned()),
            ..properties(directory.path(), "disk")
        };
        let first = provider(0);
        let disk = create(&first, &properties);
        assert_eq!(write_block_0(&disk, 7).status, ScsiStatus::Good);
        for change in [
            LuChange::WriteCacheDisable(true),
            LuChange::Size(3 << 20),
            LuChange::Alias("other".into()),
            LuChange::MgmtUrl(Some("http://a/".into())),
            LuChange::WriteProtect(true),
        ] {
            Unit::modify(&*disk, &change).unwrap();
        }
        // The host's own change is saved there as well (SP).
        let select = [0x15, 0x11, 0, 0, 24, 0];
        let mut list = [0; 24];
        list[4..6].copy_from_slice(&[0x08, 0x12]);
        list[6] = 0x04;
        assert_eq!(run(&disk, &select, write(24), &list).status, ScsiStatus::Good);
        let before = disk.properties();
        assert_eq!((before.write_cache_disable, before.size), (Some(false), Some(3 << 20)));
        let name = disk.name();
        disk.release(Release::Handover).unwrap();
        drop((disk, first));

        let again = import(&provider(0), &name).unwrap();
        assert_eq!(again.properties(), before, "separate: {separate}");
        assert_eq!(write_block_0(&again, 8).sense[12], 0x27, "write-protected");
        assert_eq!(block_0(&again), [7; 512]);
    }
}

#[test]
fn as_large_as_a_file_can_be() {
    // A file system of memory has no limit of its own.
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let size = (1_u64 << 63) - (128 << 10);
    let properties = LuProperties {
        size: Some(size),
        ..properties(directory.path(), "disk")
    };
    let disk = create(&provider(0), &properties);
    let last = size / 512 - 1;
    let capacity = run(
        &disk,
        &[0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0],
        read(32),
        &[],
    );
    assert_eq!(capacity.data[..8], last.to_be_bytes());
    let at = |opcode: u8, lba: u64| {
        let mut cdb = [0; 16];
        cdb[0] = opcode;
        cdb[2..10].copy_from_slice(&lba.to_be_bytes());
        cdb[13] = 1;
        cdb
    };
    assert_eq!(
        run(&disk, &at(0x8a, last), write(512), &[3; 512]).status,
        ScsiStatus::Good
    );
    assert_eq!(run(&disk, &at(0x88, last), read(512), &[]).data, [3; 512]);
    assert_eq!(run(&disk, &at(0x88, last + 1), read(512), &[]).sense[12], 0x21);
}

fn first_identify(provider: &Provider, path: &str) -> Guid {
    crate::framework::LuProvider::identify(provider, path).unwrap()
}

#[test]
fn refused_creates_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("disk");
    std::fs::write(&file, vec![0; 2 << 20]).unwrap();
    let before = std::fs::read(&file).unwrap();
    let good = LuProperties {
        data_file: Some(file.to_str().unwrap().into()),
        ..LuProperties::default()
    };
    let text = |name: &str| Some(directory.path().join(name).to_str().unwrap().to_owned());
    let cases = [
        (LuProperties::default(), Status::MissingPropVal),
        (
            LuProperties {
                block_size: Some(768),
                ..good.clone()
            },
            Status::InvalidBlkSize,
        ),
        (
            LuProperties {
                data_file: Some("disk".into()),
                ..good.clone()
            },
            Status::DataFileName,
        ),
        (
            LuProperties {
                data_file: text("none"),
                ..good.clone()
            },
            Status::DataFileName,
        ),
        (
            LuProperties {
                data_file: text("."),
                ..good.clone()
            },
            Status::DataFileName,
        ),
        (
            LuProperties {
                data_file: Some("/dev/null".into()),
                ..good.clone()
            },
            Status::DataFileName,
        ),
        (
            LuProperties {
                meta_file: text("none"),
                ..good.clone()
            },
            Status::MetaFileName,
        ),
        (
            LuProperties {
                meta_file: text("disk"),
                ..good.clone()
            },
            Status::FileInUse,
        ),
        (
            LuProperties {
                size: Some(1000),
                ..good.clone()
            },
            Status::FileSizeInvalid,
        ),
        (
            LuProperties {
                size: Some((1 << 20) + 1),
                ..good.clone()
            },
            Status::FileSizeInvalid,
        ),
        (
            LuProperties {
                size: Some(1 << 62),
                ..good.clone()
            },
            Status::SizeOutOfRange,
        ),
        (
            LuProperties {
                guid: Some(Guid([0x50; 16])),
                ..good.clone()
            },
            Status::InvalidArg,
        ),
        (
            LuProperties {
                guid: Some(Guid([0x60; 16])),
                ..good.clone()
            },
            Status::GuidInUse,
        ),
        // Longer than the metadata area: fails after the claim.
        (
            LuProperties {
                mgmt_url: Some("u".repeat(70_000)),
                ..good.clone()
            },
            Status::MetaCreation,
        ),
    ];
    let provider = provider(0);
    for (properties, status) in cases {
        let result = provider.create_disk(&properties, &|guid| *guid == Guid([0x60; 16]));
        assert_eq!(result.err(), Some(status), "{properties:?}");
        assert!(std::fs::read(&file).unwrap() == before, "{status:?}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no lease file");
    let disk = provider.create_disk(&good, &|_| false).unwrap();
    assert_eq!(disk.properties().size, Some((2 << 20) - 65536));
}

#[test]
fn a_failed_create_shrinks_the_file_again() {
    let directory = tempfile::tempdir().unwrap();
    let properties = LuProperties {
        mgmt_url: Some("u".repeat(70_000)),
        ..properties(directory.path(), "disk")
    };
    let result = provider(0).create_disk(&properties, &|_| false);
    assert_eq!(result.err(), Some(Status::MetaCreation));
    assert_eq!(std::fs::metadata(path(&properties)).unwrap().len(), 0);
}

#[test]
fn one_file_backs_one_lu_whatever_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let provider = provider(0);
    let first = properties(directory.path(), "disk");
    let _disk = create(&provider, &first);
    let (link, hard) = (directory.path().join("link"), directory.path().join("hard"));
    std::os::unix::fs::symlink(path(&first), &link).unwrap();
    std::fs::hard_link(path(&first), &hard).unwrap();
    let other = properties(directory.path(), "other");
    for name in [Path::new(path(&first)), &link, &hard] {
        let name = name.to_str().unwrap();
        let as_data = LuProperties {
            data_file: Some(name.into()),
            ..first.clone()
        };
        assert_eq!(
            provider.create_disk(&as_data, &|_| false).err(),
            Some(Status::FileInUse)
        );
        let as_meta = LuProperties {
            meta_file: Some(name.into()),
            ..other.clone()
        };
        assert_eq!(
            provider.create_disk(&as_meta, &|_| false).err(),
            Some(Status::FileInUse)
        );
        let imported = import(&provider, name);
        assert_eq!(failure(imported), ImportError::Failed(Status::FileInUse));
    }
    create(&provider, &other);
}

#[test]
fn metadata_in_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let meta = directory.path().join("meta");
    std::fs::File::create(&meta).unwrap();
    let properties = LuProperties {
        meta_file: Some(meta.to_str().unwrap().into()),
        ..properties(directory.path(), "disk")
    };
    let first = provider(0);
    let disk = create(&first, &properties);
    assert_eq!(disk.name(), meta.to_str().unwrap());
    assert_eq!(write_block_0(&disk, 7).status, ScsiStatus::Good);
    assert_eq!(
        std::fs::read(path(&properties)).unwrap(),
        [7; 512],
        "from the first byte"
    );
    // Another node cannot use the data file under metadata of its own, either.
    let stolen = LuProperties {
        meta_file: None,
        ..properties.clone()
    };
    assert_eq!(
        provider(1).create_disk(&stolen, &|_| false).err(),
        Some(Status::FileInUse)
    );
    disk.release(Release::Handover).unwrap();
    drop(disk);
    std::fs::rename(path(&properties), directory.path().join("away")).unwrap();
    let before = std::fs::read(&meta).unwrap();
    let imported = import(&first, meta.to_str().unwrap());
    assert_eq!(failure(imported), ImportError::Failed(Status::DataFileName));
    assert!(std::fs::read(&meta).unwrap() == before, "the claim is undone");
    std::fs::rename(directory.path().join("away"), path(&properties)).unwrap();
    let disk = import(&first, meta.to_str().unwrap()).unwrap();
    assert_eq!(disk.properties().meta_file, properties.meta_file);
    assert_eq!(block_0(&disk), [7; 512]);
}

#[test]
fn stores_that_are_no_lu() {
    let directory = tempfile::tempdir().unwrap();
    let provider = provider(0);
    let good = properties(directory.path(), "disk");
    create(&provider, &good).release(Release::Handover).unwrap();
    let bytes = std::fs::read(path(&good)).unwrap();
    let damage = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        let name = directory.path().join("damaged");
        std::fs::write(&name, &bytes).unwrap();
        let imported = import(&provider, name.to_str().unwrap());
        assert_eq!(failure(imported), ImportError::Failed(Status::MetaFileName));
        assert!(std::fs::read(&name).unwrap() == bytes, "nothing changed");
    };
    damage(&|bytes| bytes.clear());
    damage(&|bytes| bytes.truncate(4096 + 100));
    damage(&|bytes| bytes[4096..].fill(0));
    damage(&|bytes| bytes[4096 + 100] ^= 1);
    damage(&|bytes| {
        // Major version 2, with a right checksum.
        bytes[4096 + 40] += 1;
        bytes[4096 + 47] += 1;
    });
    for name in ["none", "."] {
        let name = directory.path().join(name);
        let imported = import(&provider, name.to_str().unwrap());
        assert_eq!(failure(imported), ImportError::Failed(Status::MetaFileName));
    }
    assert_eq!(
        failure(import(&provider, "disk")),
        ImportError::Failed(Status::MetaFileName)
    );
}

#[test]
fn a_moved_file_is_known_by_its_new_name() {
    let directory = tempfile::tempdir().unwrap();
    let provider = provider(0);
    let properties = properties(directory.path(), "disk");
    create(&provider, &properties).release(Release::Handover).unwrap();
    let moved = directory.path().join("moved");
    std::fs::rename(path(&properties), &moved).unwrap();
    let moved = moved.to_str().unwrap();
    let disk = import(&provider, moved).unwrap();
    assert_eq!(disk.properties().data_file.as_deref(), Some(moved));
    drop(disk);
    let area = std::fs::read(moved).unwrap()[4096..].to_vec();
    let metadata = super::metadata::Metadata::decode(&area[..60_000.min(area.len())]).unwrap();
    assert_eq!(metadata.info.data_name.as_deref(), Some(moved));
}

// --- ownership -------------------------------------------------------------------------------------------------------

#[test]
fn a_store_is_refused_while_it_is_locked_and_granted_after_release() {
    let directory = tempfile::tempdir().unwrap();
    let properties = properties(directory.path(), "disk");
    let (a, b) = (provider(0), provider(1));
    let disk = create(&a, &properties);
    let guid = disk.guid();
    assert_eq!(write_block_0(&disk, 1).status, ScsiStatus::Good);
    assert!(disk.owned());
    for peer in [PeerView::default(), FENCED] {
        let imported = b.import_disk(path(&properties), peer);
        assert_eq!(failure(imported), ImportError::Refused(guid));
    }
    assert_eq!(b.create_disk(&properties, &|_| false).err(), Some(Status::FileInUse));
    assert!(disk.owned());
    disk.release(Release::Handover).unwrap();
    assert!(!disk.owned());
    assert!(record(path(&properties)).released);
    let late = write_block_0(&disk, 2);
    assert_eq!(late.sense, Sense::ALUA_TRANSITION.to_fixed());

    let taken = import(&b, path(&properties)).unwrap();
    assert_eq!((taken.guid(), taken.generation()), (guid, 2));
    assert_eq!(
        block_0(&taken),
        [1; 512],
        "acknowledged writes are there, later ones are not"
    );
    let last = record(path(&properties));
    assert_eq!((last.owner, last.node.get()), (InstallationId([1; 16]), 1));

    // And back, while the former object still exists.
    taken.release(Release::Handover).unwrap();
    assert_eq!(import(&a, path(&properties)).unwrap().generation(), 3);
    drop(disk);
}

#[test]
fn the_same_installation_comes_back_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let properties = properties(directory.path(), "disk");
    drop(create(&provider(0), &properties));
    assert!(!record(path(&properties)).released);
    // Whatever the peer says, which would refuse another installation.
    let disk = provider(0).import_disk(path(&properties), ACTIVE).unwrap();
    assert_eq!(disk.generation(), 2);
}

#[test]
fn the_store_of_a_dead_owner_is_granted_once_its_lease_stands_still() {
    let directory = tempfile::tempdir().unwrap();
    let properties = properties(directory.path(), "disk");
    let a = provider(0);
    let disk = create(&a, &properties);
    let guid = disk.guid();
    drop(disk);
    let b = provider(1);
    let imported = b.import_disk(path(&properties), ACTIVE);
    assert_eq!(
        failure(imported),
        ImportError::Refused(guid),
        "the order of calls is wrong"
    );
    let began = Instant::now();
    let disk = import(&b, path(&properties)).unwrap();
    assert!(began.elapsed() >= Duration::from_secs(6), "lease of 1 s and 5 s more");
    assert_eq!(disk.generation(), 2);
}

#[test]
fn a_fenced_peer_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let properties = properties(directory.path(), "disk");
    drop(create(&provider(0), &properties));
    let disk = provider(1).import_disk(path(&properties), FENCED).unwrap();
    assert_eq!(disk.generation(), 2);
}

/// The owner is on another machine, where the lock does not reach.
#[test]
fn a_moving_lease_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let properties = properties(directory.path(), "disk");
    let disk = create(&provider(0), &properties);
    let guid = disk.guid();
    disk.release(Release::Handover).unwrap();
    drop(disk);
    foreign(path(&properties), true);
    let lease = directory.path().join(lease_file_name(&InstallationId([9; 16])));
    let lease = lease.to_str().unwrap().to_owned();
    let mut renewed = Record::lease_file(InstallationId([9; 16]), 3, NodeId::new(1).unwrap());
    std::fs::write(&lease, vec![0; 4096]).unwrap();
    put_record(&lease, &renewed);
    let (stop, stopped) = mpsc::channel::<()>();
    let owner = std::thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(50)).is_err() {
            renewed.counter += 1;
            put_record(&lease, &renewed);
        }
    });
    let before = std::fs::read(path(&properties)).unwrap();
    let b = provider(1);
    assert_eq!(failure(import(&b, path(&properties))), ImportError::Refused(guid));
    assert_eq!(b.create_disk(&properties, &|_| false).err(), Some(Status::FileInUse));
    assert!(std::fs::read(path(&properties)).unwrap() == before, "nothing changed");
    stop.send(()).unwrap();
    owner.join().unwrap();
}

#[test]
fn a_disk_label_stays_and_the_lock_decides() {
    let directory = tempfile::tempdir().unwrap();
    let properties = properties(directory.path(), "disk");
    let mut label = vec![0; 4096];
    label[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(path(&properties), &label).unwrap();
    let a = provider(0);
    let disk = create(&a, &properties);
    assert_eq!(disk.generation(), 0);
    assert!(disk.owned());
    let refused = import(&provider(1), path(&properties));
    assert_eq!(failure(refused), ImportError::Refused(disk.guid()));
    disk.release(Release::Handover).unwrap();
    assert_eq!(std::fs::read(path(&properties)).unwrap()[..4096], label);
    assert!(import(&provider(1), path(&properties)).is_ok());
}

#[test]
fn one_lease_file_for_all_disks_of_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let a = provider(0);
    let disks: Vec<_> = ["one", "two", "three"]
        .iter()
        .map(|name| create(&a, &properties(directory.path(), name)))
        .collect();
    let lease = directory.path().join(lease_file_name(&InstallationId([0; 16])));
    let counter = || record(lease.to_str().unwrap()).counter;
    let before = counter();
    while counter() < before + 3 {
        std::thread::sleep(Duration::from_millis(20));
    }
    for disk in &disks {
        assert!(lease.exists());
        disk.release(Release::Handover).unwrap();
    }
    assert!(!lease.exists(), "the last one takes it away");
}

#[test]
fn reset_and_flush() {
    let directory = tempfile::tempdir().unwrap();
    let a = provider(0);
    let disk = create(&a, &properties(directory.path(), "disk"));
    disk.flush().unwrap();
    disk.reset();
    assert_eq!(disk.properties().write_cache_disable, Some(false));
    disk.release(Release::Lost).unwrap();
    assert_eq!(disk.flush(), Err(Status::Error));
    disk.release(Release::Handover).unwrap();
}
