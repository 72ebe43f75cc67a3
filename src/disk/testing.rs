//! A provider with short timings, and disks driven below the framework.

use super::command::{self, Call, Job};
use super::gate::TaskKey;
use super::lu::Disk;
use super::sys::Mode;
use super::{Config, LeaseTimes, Provider};
use crate::framework::{Expected, Nexus, Outcome, Start};
use crate::scsi::ScsiStatus;
use crate::scsi::vpd::TargetPort;
use crate::types::{DevId, LuProperties, NodeId, Protocol};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

pub const KEY: TaskKey = TaskKey { nexus: 1, tag: 1 };

/// A provider of installation `n`, node `n % 2`, with the shortest lease that the record allows.
pub fn provider(n: u8) -> Provider {
    let node = NodeId::new(n % 2).unwrap();
    Provider::new(Config {
        installation: [n; 16],
        incarnation: 7,
        node: Arc::new(move || node),
        lease: LeaseTimes {
            length: Duration::from_secs(1),
            renewal: Duration::from_millis(100),
            margin: Duration::from_millis(200),
        },
        io_threads: 2,
    })
}

/// Properties of a 1 MiB disk in `directory`, whose file `name` is made empty.
pub fn properties(directory: &Path, name: &str) -> LuProperties {
    let path = directory.join(name);
    std::fs::File::create(&path).unwrap();
    LuProperties {
        data_file: Some(path.to_str().unwrap().to_owned()),
        size: Some(1 << 20),
        ..LuProperties::default()
    }
}

/// Creates the disk.
pub fn create(provider: &Provider, properties: &LuProperties) -> Arc<Disk> {
    provider.create_disk(properties, &|_| false).unwrap()
}

pub fn cdb(bytes: &[u8]) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[..bytes.len()].copy_from_slice(bytes);
    cdb
}

/// The initiator expects `length` bytes from the device.
pub fn read(length: u32) -> Expected {
    Expected {
        read: true,
        write: false,
        length,
    }
}

/// The initiator sends `length` bytes.
pub fn write(length: u32) -> Expected {
    Expected {
        read: false,
        write: true,
        length,
    }
}

/// First answer to a command through iSCSI port `iqn.a`, rtpid 1, group 0.
pub fn start(disk: &Disk, cdb: &[u8; 16], expected: Expected) -> Start {
    let devid = DevId::new(b"iqn.a").unwrap();
    let port = TargetPort {
        protocol: Protocol::Iscsi,
        devid: &devid,
        rtpid: 1,
        group: NodeId::new(0).unwrap(),
    };
    let lu = disk.lu();
    command::start(&Call {
        lu,
        cdb,
        expected,
        nexus: 1,
        port,
    })
}

/// Begins to execute a command that was accepted, of nexus 1.
pub fn execute(disk: &Disk, cdb: &[u8; 16], expected: Expected, data: &[u8]) -> mpsc::Receiver<Outcome> {
    execute_from(&Nexus::detached(1), disk, cdb, expected, data)
}

/// Begins to execute a command that was accepted.
pub fn execute_from(
    nexus: &Arc<Nexus>,
    disk: &Disk,
    cdb: &[u8; 16],
    expected: Expected,
    data: &[u8],
) -> mpsc::Receiver<Outcome> {
    begin(nexus, disk, cdb, expected, data, None)
}

/// As a write of the peer that must have begun at some boot time.
pub fn execute_by(
    disk: &Disk,
    cdb: &[u8; 16],
    expected: Expected,
    data: &[u8],
    by: Duration,
) -> mpsc::Receiver<Outcome> {
    begin(&Nexus::detached(1), disk, cdb, expected, data, Some(by))
}

fn begin(
    nexus: &Arc<Nexus>,
    disk: &Disk,
    cdb: &[u8; 16],
    expected: Expected,
    data: &[u8],
    start_by: Option<Duration>,
) -> mpsc::Receiver<Outcome> {
    let (sender, receiver) = mpsc::channel();
    command::execute(Job {
        lu: Arc::clone(disk.lu()),
        cdb: *cdb,
        expected,
        key: TaskKey {
            nexus: nexus.id,
            tag: 1,
        },
        start_by,
        inline: Mode::Brief,
        nexus: Arc::clone(nexus),
        data: data.to_vec(),
        done: Box::new(move |outcome| sender.send(outcome).unwrap()),
    });
    receiver
}

/// Runs a whole command of nexus 1; of `data` as much goes as is wanted.
pub fn run(disk: &Disk, bytes: &[u8], expected: Expected, data: &[u8]) -> Outcome {
    run_from(&Nexus::detached(1), disk, bytes, expected, data)
}

/// Runs a whole command of a nexus, reservations included.
pub fn run_from(nexus: &Arc<Nexus>, disk: &Disk, bytes: &[u8], expected: Expected, data: &[u8]) -> Outcome {
    let cdb = cdb(bytes);
    if disk.lu().reservations().refuse(nexus, &cdb) {
        return Outcome::status(ScsiStatus::ReservationConflict);
    }
    match start(disk, &cdb, expected) {
        Start::Done(outcome) => outcome,
        Start::Execute { want } => {
            assert!(want <= expected.length);
            let outcome = execute_from(nexus, disk, &cdb, expected, &data[..want as usize]);
            outcome.recv_timeout(Duration::from_secs(60)).unwrap()
        }
        Start::InParts(parts) => panic!("nobody is here who would put {parts:?} together"),
    }
}
