use super::super::message::{Body, Message};
use super::super::{Config, Proxy, Upcall};
use crate::disk;
use crate::framework::watch;
use crate::framework::*;
use crate::scsi::ScsiStatus;
use crate::store::Store;
use crate::types::*;
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

pub const BLOCK: usize = 512;
/// Bytes of the test LU.
pub const SIZE: usize = 8 << 20;
/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Quick enough for tests, slow enough for a busy machine.
pub fn config() -> Config {
    Config {
        probe: Duration::from_millis(200),
        // A busy machine is not a dead peer; tests of PeerDown wait as long as the default says.
        silence: PATIENCE,
        greeting: Duration::from_millis(50),
        registration: Duration::from_millis(500),
        round: Duration::from_millis(500),
        upcall_pause: Duration::from_millis(20),
        ..Config::default()
    }
}

/// What happens to a message on its way.
pub type Filter = Box<dyn Fn(Message) -> Vec<Message> + Send + Sync>;

/// One direction of the channel: a door whose server posts to the other node at once.
#[derive(Default)]
pub struct Wire {
    receiver: Mutex<Option<(Weak<Proxy>, u32)>>,
    filter: Mutex<Option<Filter>>,
    pub carried: AtomicU64,
}

impl Wire {
    pub fn filter(&self, filter: impl Fn(Message) -> Vec<Message> + Send + Sync + 'static) {
        *self.filter.lock() = Some(Box::new(filter));
    }

    /// Everything is accepted and nothing arrives.
    pub fn cut(&self) {
        self.filter(|_| Vec::new());
    }

    pub fn heal(&self) {
        *self.filter.lock() = None;
    }

    fn connect(&self, proxy: &Arc<Proxy>, door: u32) {
        *self.receiver.lock() = Some((Arc::downgrade(proxy), door));
    }

    /// Straight to the receiver.
    pub fn inject(&self, message: &Message) {
        let receiver = self.receiver.lock().clone();
        if let Some((proxy, door)) = receiver
            && let Some(proxy) = proxy.upgrade()
        {
            let _ = proxy.post(door, &message.encode());
        }
    }
}

impl Upcall for Wire {
    fn call(&self, bytes: &[u8]) -> io::Result<u32> {
        self.carried.fetch_add(1, Ordering::Relaxed);
        let receiver = self.receiver.lock().clone();
        let Some(proxy) = receiver.as_ref().and_then(|(proxy, _)| proxy.upgrade()) else {
            return Ok(libc::ENOTCONN.cast_unsigned());
        };
        let door = receiver.expect("checked").1;
        let filter = self.filter.lock();
        match &*filter {
            None => {
                drop(filter);
                // As the demo daemon: what the framework says to it does not reach the sender.
                let _ = proxy.post(door, bytes);
            }
            Some(change) => {
                let messages = change(Message::decode(bytes).unwrap());
                drop(filter);
                for message in messages {
                    let _ = proxy.post(door, &message.encode());
                }
            }
        }
        Ok(0)
    }
}

/// A local port that does at once what it is told, on a thread of its own: locks may be held by the caller.
struct LocalPort {
    devid: DevId,
    framework: Weak<Framework>,
}

impl LocalPort {
    fn report(&self, online: bool) {
        let (devid, framework) = (self.devid.clone(), self.framework.clone());
        std::thread::spawn(move || {
            if let Some(framework) = framework.upgrade() {
                framework.port_changed(&devid, online);
            }
        });
    }
}

impl PortControl for LocalPort {
    fn go_online(&self) {
        self.report(true);
    }
    fn go_offline(&self) {
        self.report(false);
    }
}

pub struct Node {
    pub number: u8,
    pub framework: Arc<Framework>,
    pub proxy: Arc<Proxy>,
    pub door: Mutex<u32>,
    /// From this node to the other.
    pub wire: Arc<Wire>,
    nexus: Mutex<Option<Arc<Nexus>>>,
    tag: AtomicU64,
}

impl Node {
    fn new(number: u8, config: Config) -> Node {
        let framework = Framework::new(Store::volatile());
        let node = NodeId::new(number).unwrap();
        let disks = disk::Config::new([number + 1; 16], 7, Arc::new(move || node));
        framework.register_lu_provider(Arc::new(disk::Provider::new(disks)));
        let proxy = Proxy::new(&framework, config).unwrap();
        framework.set_peer_link(proxy.clone());
        framework.load().unwrap();
        framework.online().unwrap();
        let node = Node {
            number,
            framework,
            proxy,
            door: Mutex::new(0),
            wire: Arc::default(),
            nexus: Mutex::new(None),
            tag: AtomicU64::new(1),
        };
        let spec = PortSpec {
            devid: node.port(),
            protocol: Protocol::Iscsi,
            provider: "test",
            alias: String::new(),
            image_rtpid: None,
            control: Arc::new(LocalPort {
                devid: node.port(),
                framework: Arc::downgrade(&node.framework),
            }),
        };
        node.framework.port_register(spec).unwrap();
        node
    }

    pub fn port(&self) -> DevId {
        DevId::new(format!("iqn.2010-08.org.example:node{}-t0", self.number).as_bytes()).unwrap()
    }

    pub fn install(&self) {
        *self.door.lock() = self.proxy.install_upcall(self.wire.clone()).unwrap();
    }

    pub fn enable(&self) {
        self.framework.set_alua(true, NodeId::new(self.number)).unwrap();
    }

    pub fn ready(&self) -> bool {
        let status = self.proxy.status();
        let port = self.nexus().port.clone();
        status.reachable && self.proxy.port_accepted(&port)
    }

    pub fn nexus(&self) -> Arc<Nexus> {
        self.nexus
            .lock()
            .get_or_insert_with(|| self.login([0x23, 0, 0, 0, 0, self.number]))
            .clone()
    }

    fn login(&self, isid: [u8; 6]) -> Arc<Nexus> {
        let initiator = DevId::new(b"iqn.1998-01.com.example:esx01").unwrap();
        let spec = NexusSpec {
            port: self.port(),
            transport_id: TransportId::iscsi(&initiator, isid),
            initiator,
            alias: String::new(),
            image_id: None,
        };
        wait("the port online", || {
            self.framework.port_info(&self.port()).unwrap().state == ObjectState::Online
        });
        self.framework.nexus_register(spec).unwrap()
    }

    /// Another session of the same initiator is used from now on; gives the present one.
    pub fn change_nexus(&self, isid: [u8; 6]) -> Arc<Nexus> {
        let other = self.login(isid);
        self.set_nexus(other)
    }

    pub fn set_nexus(&self, nexus: Arc<Nexus>) -> Arc<Nexus> {
        self.nexus.lock().replace(nexus).expect("logged in")
    }

    pub fn logout(&self) {
        let nexus = self.nexus.lock().take().expect("logged in");
        self.framework.nexus_deregister(&nexus);
    }

    pub fn access(&self, guid: &Guid) -> Option<AccessState> {
        self.framework.lu_access(guid).ok().map(|report| report.access)
    }

    /// Starts a command; its outcome comes through the channel.
    pub fn start(&self, cdb: &[u8], expected: Expected, data: &[u8]) -> mpsc::Receiver<Outcome> {
        let task = Task {
            nexus: self.nexus(),
            lun: [0; 8],
            cdb: Cdb::new(cdb).unwrap(),
            tag: self.tag.fetch_add(1, Ordering::Relaxed),
            attribute: TaskAttribute::Simple,
            expected,
            origin: Origin::Local,
        };
        let (sender, outcome) = mpsc::channel();
        match self.framework.start(task) {
            Started::Done(outcome) => sender.send(outcome).unwrap(),
            Started::Ready(ready) => {
                let data = data[..ready.want() as usize].to_vec();
                ready.execute(data, Box::new(move |outcome| drop(sender.send(outcome))));
            }
        }
        watch::perform_left();
        outcome
    }

    /// Runs a command; unit attentions are taken note of and the command repeated.
    pub fn run(&self, cdb: &[u8], expected: Expected, data: &[u8]) -> Outcome {
        for _ in 0..8 {
            let outcome = self
                .start(cdb, expected, data)
                .recv_timeout(PATIENCE)
                .expect("every command ends");
            if outcome.status != ScsiStatus::CheckCondition || outcome.sense[2] & 0xf != 6 {
                return outcome;
            }
        }
        panic!("unit attentions without end");
    }

    pub fn write(&self, at: usize, data: &[u8]) {
        let expected = Expected {
            read: false,
            write: true,
            length: u32::try_from(data.len()).unwrap(),
        };
        let outcome = self.run(&cdb(0x2a, at, data.len()), expected, data);
        assert_eq!(outcome.status, ScsiStatus::Good, "{:?}", outcome.sense);
    }

    pub fn read(&self, at: usize, length: usize) -> Outcome {
        self.run(&cdb(0x28, at, length), read(length), &[])
    }
}

pub fn read(length: usize) -> Expected {
    Expected {
        read: true,
        write: false,
        length: u32::try_from(length).unwrap(),
    }
}

pub fn cdb(opcode: u8, at: usize, length: usize) -> [u8; 10] {
    let lba = u32::try_from(at / BLOCK).unwrap().to_be_bytes();
    let blocks = u16::try_from(length / BLOCK).unwrap().to_be_bytes();
    [opcode, 0, lba[0], lba[1], lba[2], lba[3], 0, blocks[0], blocks[1], 0]
}

/// 02/04/0C and its kin.
pub fn sense(outcome: &Outcome) -> (u8, u8, u8) {
    assert_eq!(outcome.status, ScsiStatus::CheckCondition);
    (outcome.sense[2] & 0xf, outcome.sense[12], outcome.sense[13])
}

pub fn wait(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Node a has the LU Active, with [`content`] in it; node b sees it through the peer.
pub struct Pair {
    pub a: Node,
    pub b: Node,
    pub guid: Guid,
    pub path: String,
    _directory: tempfile::TempDir,
}

/// Not the same in any two blocks.
pub fn content() -> Vec<u8> {
    (0..SIZE / 8)
        .flat_map(|n| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes())
        .collect()
}

impl Pair {
    /// Doors installed, nothing enabled; `prepare` may change the wires.
    pub fn prepared(prepare: impl Fn(&Pair)) -> Pair {
        Pair::configured(config(), prepare)
    }

    /// A peer that falls silent is noticed.
    pub fn watchful(prepare: impl Fn(&Pair)) -> Pair {
        let silence = Config::default().silence;
        Pair::configured(Config { silence, ..config() }, prepare)
    }

    fn configured(config: Config, prepare: impl Fn(&Pair)) -> Pair {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (Node::new(0, config), Node::new(1, config));
        a.install();
        b.install();
        a.wire.connect(&b.proxy, *b.door.lock());
        b.wire.connect(&a.proxy, *a.door.lock());
        let (guid, path) = create(&a, directory.path());
        for node in [&a, &b] {
            let request = ViewRequest {
                host_group: None,
                target_group: None,
                lun: Lun::new(0),
            };
            node.framework.view_add(&guid, &request).unwrap();
        }
        let piece = 256 << 10;
        for (n, data) in content().chunks(piece).enumerate() {
            a.write(n * piece, data);
        }
        let pair = Pair {
            a,
            b,
            guid,
            path,
            _directory: directory,
        };
        prepare(&pair);
        pair
    }

    pub fn new() -> Pair {
        let pair = Pair::prepared(|_| ());
        pair.enable();
        pair
    }

    pub fn enable(&self) {
        self.a.enable();
        self.b.enable();
        self.wait_ready();
        wait("the Standby LU", || {
            self.b.access(&self.guid) == Some(AccessState::Standby)
        });
    }

    pub fn wait_ready(&self) {
        wait("acquaintance", || self.a.ready() && self.b.ready());
    }

    /// A door of a restarted daemon.
    pub fn reinstall(&self) {
        for node in [&self.a, &self.b] {
            node.proxy.destroy_door(*node.door.lock()).unwrap();
        }
        self.a.install();
        self.b.install();
        self.connect();
    }

    /// What goes into one node's door comes out at the other.
    pub fn connect(&self) {
        self.a.wire.connect(&self.b.proxy, *self.b.door.lock());
        self.b.wire.connect(&self.a.proxy, *self.a.door.lock());
    }
}

fn create(node: &Node, directory: &Path) -> (Guid, String) {
    let path = directory.join("lu").to_str().unwrap().to_owned();
    std::fs::File::create(&path).unwrap();
    let properties = LuProperties {
        data_file: Some(path.clone()),
        size: Some(SIZE as u64),
        ..LuProperties::default()
    };
    (node.framework.lu_create(&properties).unwrap(), path)
}

/// True for what carries data or status of a command.
pub fn is_data(message: &Message) -> bool {
    matches!(message.body, Body::ScsiData(_) | Body::ScsiStatus(_))
}

impl Wire {
    pub fn take_filter(&self) -> Option<Filter> {
        self.filter.lock().take()
    }

    pub fn put_filter(&self, filter: Option<Filter>) {
        *self.filter.lock() = filter;
    }
}
