//! The disk provider under the framework: a disk is created, mapped, written, handed over, deleted and imported again,
//! by two frameworks with one installation each over the same files.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use stmf::disk::{Config, Provider};
use stmf::framework::*;
use stmf::scsi::ScsiStatus;
use stmf::store::Store;
use stmf::types::*;

struct Silent;

impl PortControl for Silent {
    fn go_online(&self) {}
    fn go_offline(&self) {}
}

/// A framework with a disk provider and one initiator logged in.
struct Node {
    framework: Arc<Framework>,
    nexus: Arc<Nexus>,
}

impl Node {
    fn new(id: u8) -> Node {
        let framework = Framework::new(Store::volatile());
        let node = NodeId::new(id).unwrap();
        let config = Config::new([id; 16], 1, Arc::new(move || node));
        framework.register_lu_provider(Arc::new(Provider::new(config)));
        framework.load().unwrap();
        framework.online().unwrap();
        let devid = DevId::new(b"iqn.2010-08.org.example:t").unwrap();
        framework
            .port_register(PortSpec {
                devid: devid.clone(),
                protocol: Protocol::Iscsi,
                provider: "iscsit",
                alias: String::new(),
                image_rtpid: None,
                control: Arc::new(Silent),
            })
            .unwrap();
        framework.port_changed(&devid, true);
        let initiator = DevId::new(b"iqn.2010-08.org.example:i").unwrap();
        let nexus = framework
            .nexus_register(NexusSpec {
                port: devid,
                transport_id: TransportId::iscsi(&initiator, [0, 0, 0, 0, 0, 1]),
                initiator,
                alias: String::new(),
                image_id: None,
            })
            .unwrap();
        Node { framework, nexus }
    }

    fn map(&self, guid: &Guid) {
        let request = ViewRequest {
            host_group: None,
            target_group: None,
            lun: Lun::new(0),
        };
        self.framework.view_add(guid, &request).unwrap();
    }

    fn command(&self, cdb: &[u8], expected: Expected, data: &[u8]) -> Outcome {
        let task = Task {
            nexus: Arc::clone(&self.nexus),
            lun: [0; 8],
            cdb: Cdb::new(cdb).unwrap(),
            tag: 1,
            attribute: TaskAttribute::Simple,
            expected,
            origin: Origin::Local,
        };
        match self.framework.start(task) {
            Started::Done(outcome) => outcome,
            Started::Ready(ready) => {
                let want = ready.want() as usize;
                let (sender, receiver) = mpsc::channel();
                ready.execute(
                    data[..want].to_vec(),
                    Box::new(move |outcome| sender.send(outcome).unwrap()),
                );
                receiver.recv_timeout(Duration::from_secs(60)).unwrap()
            }
        }
    }

    /// Reports all pending unit attentions.
    fn settle(&self) {
        for _ in 0..10 {
            if self.command(&[0; 6], Expected::default(), &[]).status == ScsiStatus::Good {
                return;
            }
        }
        panic!("unit attentions without end");
    }

    fn write(&self, fill: u8) -> Outcome {
        let expected = Expected {
            read: false,
            write: true,
            length: 512,
        };
        self.command(&[0x2a, 0, 0, 0, 0, 1, 0, 0, 1, 0], expected, &[fill; 512])
    }

    fn read(&self) -> Vec<u8> {
        let expected = Expected {
            read: true,
            write: false,
            length: 512,
        };
        self.command(&[0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0], expected, &[]).data
    }
}

fn properties(directory: &Path) -> LuProperties {
    let path = directory.join("disk");
    std::fs::File::create(&path).unwrap();
    LuProperties {
        data_file: Some(path.to_str().unwrap().to_owned()),
        size: Some(4 << 20),
        ..LuProperties::default()
    }
}

#[test]
fn a_disk_from_creation_to_handover_and_deletion() {
    let directory = tempfile::tempdir().unwrap();
    let properties = properties(directory.path());
    let path = properties.data_file.clone().unwrap();
    let (a, b) = (Node::new(0), Node::new(1));

    let guid = a.framework.lu_create(&properties).unwrap();
    assert_eq!(a.framework.lu_create(&properties), Err(Status::FileInUse));
    assert_eq!(a.framework.lu_import(&path), Err((Status::FileInUse, Some(guid))));
    assert_eq!(a.framework.lu_info(&guid).unwrap().provider, "sbd");
    a.map(&guid);
    a.settle();
    assert_eq!(a.write(1).status, ScsiStatus::Good);
    assert_eq!(a.read(), [1; 512]);
    let page = Expected {
        read: true,
        write: false,
        length: 255,
    };
    let page = a.command(&[0x12, 1, 0x83, 0, 255, 0], page, &[]).data;
    assert_eq!(page[8..24], guid.0);

    // The other node is refused, and gets it after the handover, with everything that was acknowledged.
    let (status, _) = b.framework.lu_import(&path).unwrap_err();
    assert_eq!(status, Status::AccessStateSet);
    a.framework.lu_delete(&guid).unwrap();
    assert_eq!(b.framework.lu_import(&path), Ok(guid));
    b.map(&guid);
    b.settle();
    assert_eq!(b.read(), [1; 512]);
    assert_eq!(b.write(2).status, ScsiStatus::Good);

    // A clean stop hands over as well.
    b.framework.shutdown();
    assert_eq!(a.framework.lu_import(&path), Ok(guid));
    a.settle();
    assert_eq!(a.read(), [2; 512]);
    let mut report = a.framework.lu_access(&guid).unwrap();
    assert_eq!(report.access, AccessState::Active);
    assert_eq!(report.properties.guid.take(), Some(guid));
    assert_eq!(report.properties.size, Some(4 << 20));
}

/// Many commands at once, to and from overlapping blocks, from several threads: every one ends, none fails.
#[test]
fn a_thousand_commands_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::new(0);
    let guid = node.framework.lu_create(&properties(directory.path())).unwrap();
    node.map(&guid);
    node.settle();
    let (sender, receiver) = mpsc::channel();
    for tag in 0..1000_u64 {
        let write = tag % 2 == 0;
        let block = u8::try_from(tag % 200).unwrap();
        let task = Task {
            nexus: Arc::clone(&node.nexus),
            lun: [0; 8],
            cdb: Cdb::new(&[if write { 0x2a } else { 0x28 }, 0, 0, 0, 0, block, 0, 0, 1, 0]).unwrap(),
            tag,
            attribute: TaskAttribute::Simple,
            expected: Expected {
                read: !write,
                write,
                length: 512,
            },
            origin: Origin::Local,
        };
        let Started::Ready(ready) = node.framework.start(task) else {
            panic!("refused");
        };
        let data = vec![block; ready.want() as usize];
        let sender = sender.clone();
        ready.execute(data, Box::new(move |outcome| sender.send((block, outcome)).unwrap()));
    }
    drop(sender);
    let mut ended = 0;
    while let Ok((block, outcome)) = receiver.recv_timeout(Duration::from_secs(60)) {
        assert_eq!(outcome.status, ScsiStatus::Good);
        assert!(outcome.data.iter().all(|b| *b == 0 || *b == block), "block {block}");
        ended += 1;
    }
    assert_eq!(ended, 1000);
}

const PR_LIST: Expected = Expected {
    read: false,
    write: true,
    length: 24,
};

impl Node {
    fn login(&self, isid: u8) -> Arc<Nexus> {
        let initiator = DevId::new(b"iqn.2010-08.org.example:i").unwrap();
        let spec = NexusSpec {
            port: self.nexus.port.devid.clone(),
            transport_id: TransportId::iscsi(&initiator, [0, 0, 0, 0, 0, isid]),
            initiator,
            alias: String::new(),
            image_id: None,
        };
        self.framework.nexus_register(spec).unwrap()
    }

    fn persistent(&self, action: u8, kind: u8, key: u8, action_key: u8) -> ScsiStatus {
        let mut list = [0; 24];
        (list[7], list[15]) = (key, action_key);
        let cdb = [0x5f, action, kind, 0, 0, 0, 0, 0, 24, 0];
        self.command(&cdb, PR_LIST, &list).status
    }
}

/// Hazard H9: a reservation without APTPL is still there on the other node after a planned hand-over.
#[test]
fn a_reservation_moves_with_its_lu() {
    let directory = tempfile::tempdir().unwrap();
    let properties = properties(directory.path());
    let path = properties.data_file.clone().unwrap();
    let (a, b) = (Node::new(0), Node::new(1));
    let guid = a.framework.lu_create(&properties).unwrap();
    a.map(&guid);
    a.settle();
    assert_eq!(a.persistent(0, 0, 0, 7), ScsiStatus::Good);
    assert_eq!(a.persistent(1, 3, 7, 0), ScsiStatus::Good);
    a.framework.lu_delete(&guid).unwrap();
    b.framework.lu_import(&path).unwrap();
    b.map(&guid);
    b.settle();
    // The same initiator port on a target port of the same name: the registrant.
    assert_eq!(b.write(2).status, ScsiStatus::Good);
    let stranger = Node {
        framework: Arc::clone(&b.framework),
        nexus: b.login(2),
    };
    stranger.settle();
    assert_eq!(stranger.write(3).status, ScsiStatus::ReservationConflict);
    assert_eq!(stranger.persistent(0, 0, 0, 9), ScsiStatus::Good);
    // Preempted, and told so.
    assert_eq!(stranger.persistent(5, 3, 9, 7), ScsiStatus::Good);
    assert_eq!(stranger.write(3).status, ScsiStatus::Good);
    assert_eq!(
        b.command(&[0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0], Expected::default(), &[])
            .status,
        ScsiStatus::ReservationConflict
    );
    let told = b.command(&[0; 6], Expected::default(), &[]);
    assert_eq!(told.sense[12..14], [0x2a, 0x05]);
}

#[test]
fn reserve_ends_with_its_nexus() {
    let directory = tempfile::tempdir().unwrap();
    let a = Node::new(0);
    let guid = a.framework.lu_create(&properties(directory.path())).unwrap();
    a.map(&guid);
    a.settle();
    let holder = Node {
        framework: Arc::clone(&a.framework),
        nexus: a.login(2),
    };
    holder.settle();
    let reserve = [0x16, 0, 0, 0, 0, 0];
    assert_eq!(
        holder.command(&reserve, Expected::default(), &[]).status,
        ScsiStatus::Good
    );
    assert_eq!(a.write(1).status, ScsiStatus::ReservationConflict);
    a.framework.nexus_deregister(&holder.nexus);
    assert_eq!(a.write(1).status, ScsiStatus::Good);
}

/// EXTENDED COPY reaches what the asker could reach itself, and nothing else.
#[test]
fn a_copy_needs_the_lun_map_of_the_asker() {
    let directory = tempfile::tempdir().unwrap();
    let a = Node::new(0);
    let source = a.framework.lu_create(&properties(directory.path())).unwrap();
    a.map(&source);
    let second = directory.path().join("second");
    std::fs::File::create(&second).unwrap();
    let target = a
        .framework
        .lu_create(&LuProperties {
            data_file: Some(second.to_str().unwrap().to_owned()),
            size: Some(4 << 20),
            ..LuProperties::default()
        })
        .unwrap();
    a.settle();
    assert_eq!(a.write(0x5a).status, ScsiStatus::Good);
    let mut list = vec![1, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, 0];
    for guid in [source, target] {
        list.extend([0xe4, 0, 0, 0, 1, 3, 0, 16]);
        list.extend(guid.0);
        list.extend([0, 0, 0, 0, 0, 0, 2, 0]);
    }
    list.extend([2, 0, 0, 0x18, 0, 0, 0, 1, 0, 0, 0, 1]);
    list.extend([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3]);
    let copy = || {
        let cdb = [0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 108, 0, 0];
        let expected = Expected { length: 108, ..PR_LIST };
        a.command(&cdb, expected, &list)
    };
    let hidden = copy();
    assert_eq!((hidden.sense[2], &hidden.sense[12..14]), (0xa, &[0x0d, 0x02][..]));
    let request = ViewRequest {
        host_group: None,
        target_group: None,
        lun: Lun::new(1),
    };
    a.framework.view_add(&target, &request).unwrap();
    a.settle();
    assert_eq!(copy().status, ScsiStatus::Good);
    let bytes = std::fs::read(&second).unwrap();
    assert_eq!(bytes[65536 + 3 * 512..][..512], [0x5a; 512]);
}

/// Hazard H7: the new owner reads through a cache that was filled before the other one wrote. One node opens the file, the
/// other a loop device on it, so that the kernel keeps two caches, as on two machines.
#[test]
fn nothing_old_is_read_from_the_cache_of_the_new_owner() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("disk").to_str().unwrap().to_owned();
    std::fs::File::create(&file).unwrap().set_len(8 << 20).unwrap();
    let properties = LuProperties {
        data_file: Some(file.clone()),
        ..LuProperties::default()
    };
    let (a, b) = (Node::new(0), Node::new(1));
    let guid = a.framework.lu_create(&properties).unwrap();
    a.map(&guid);
    let output = std::process::Command::new("losetup")
        .args(["--find", "--show", &file])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "losetup: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let device = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let moved = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        a.settle();
        for round in 0..4 {
            assert_eq!(a.write(10 + round).status, ScsiStatus::Good);
            a.framework.lu_standby(&guid).unwrap();
            assert_eq!(b.framework.lu_import(&device), Ok(guid));
            if round == 0 {
                b.map(&guid);
            }
            b.settle();
            assert_eq!(b.read(), [10 + round; 512], "written through the file");
            assert_eq!(b.write(20 + round).status, ScsiStatus::Good);
            b.framework.lu_standby(&guid).unwrap();
            assert_eq!(a.framework.lu_import(&file), Ok(guid));
            a.settle();
            assert_eq!(a.read(), [20 + round; 512], "written through the device");
        }
    }));
    b.framework.shutdown();
    let detached = std::process::Command::new("losetup")
        .args(["--detach", &device])
        .status()
        .unwrap();
    moved.unwrap();
    assert!(detached.success());
}
