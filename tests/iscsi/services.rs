//! RADIUS and iSNS with the servers of the distribution: freeradius, isnsd.

use super::initiator::Initiator;
use super::node::{Node, TARGET, wait};
use super::tools::run_with;
use super::{HOST, KEYS};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use stmf::iscsi::admin::{Auth, Change, DefaultsChange, Set, TargetChange};
use stmf::types::{DevId, Secret};

const SHARED: &str = "shared by both";
const USER: &str = "alice";
const PASSWORD: &str = "wonderland-2026";
const TARGET_SECRET: &str = "target-says-this";

/// A server's process, killed when dropped.
struct Server(Child);

impl Server {
    fn start(command: &mut Command) -> Server {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Server(child.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn freeradius(directory: &Path, address: SocketAddr) -> Server {
    let place = directory.display();
    let port = address.port();
    let config = format!(
        "prefix = /usr\nlibdir = /usr/lib/freeradius\nlogdir = {place}\nraddbdir = {place}\nrun_dir = {place}\n\
         db_dir = {place}\nradacctdir = {place}\npidfile = {place}/pid\n\
         log {{\n destination = files\n file = {place}/log\n}}\n\
         client local {{\n ipaddr = 127.0.0.1\n secret = \"{SHARED}\"\n require_message_authenticator = yes\n}}\n\
         modules {{\n chap {{\n }}\n files {{\n  filename = {place}/users\n }}\n}}\n\
         server default {{\n listen {{\n  type = auth\n  ipaddr = 127.0.0.1\n  port = {port}\n }}\n\
         authorize {{\n  chap\n  files\n }}\n authenticate {{\n  Auth-Type CHAP {{\n   chap\n  }}\n }}\n}}\n"
    );
    std::fs::write(directory.join("radiusd.conf"), config).unwrap();
    let users = format!("{USER} Cleartext-Password := \"{PASSWORD}\"\n");
    std::fs::write(directory.join("users"), users).unwrap();
    // Its files may not be writable by others, which the directory of the test is not.
    Server::start(Command::new("freeradius").arg("-f").arg("-d").arg(directory))
}

fn with_radius(server: SocketAddr) -> Node {
    let node = Node::start();
    let change = DefaultsChange {
        radius_server: Set::To(server),
        radius_secret: Some(Secret::new(SHARED.into()).unwrap()),
        ..DefaultsChange::auth(Auth::Radius)
    };
    node.provider.change(Change::Defaults(change)).unwrap();
    node
}

fn inquiry(node: &Node, user: &str, password: &str) -> (bool, String) {
    let url = format!("iscsi://{user}%{password}@{}/{TARGET}/0", node.address);
    run_with("iscsi-inq", &[&url], &[])
}

#[test]
fn freeradius_says_who_may_log_in() {
    let directory = tempfile::tempdir().unwrap();
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = freeradius(directory.path(), address);
    let node = with_radius(address);
    // The server may take a moment: until then its answers are missing and asked for again.
    let (passed, text) = inquiry(&node, USER, PASSWORD);
    let log = || std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
    assert!(passed && text.contains("Vendor:SUN"), "{text}\n{}", log());
    for (user, password) in [(USER, "looking-glass"), ("bob", PASSWORD)] {
        let (passed, text) = inquiry(&node, user, password);
        assert!(!passed, "{user}: {text}");
    }
    // Mutual CHAP: the target answers with a secret that is stored here.
    let change = TargetChange {
        secret: Some(Secret::new(TARGET_SECRET.into()).unwrap()),
        chap_user: Set::To("target".into()),
        ..TargetChange::default()
    };
    let name = TARGET.to_owned();
    node.provider.change(Change::ModifyTarget { name, change }).unwrap();
    let mutual = |secret: &str| {
        let url = format!(
            "iscsi://{USER}%{PASSWORD}@{}/{TARGET}/0?target_user=target&target_password={secret}",
            node.address
        );
        run_with("iscsi-inq", &[&url], &[])
    };
    let (passed, text) = mutual(TARGET_SECRET);
    assert!(passed, "{text}");
    let (passed, text) = mutual("not the target's");
    assert!(!passed, "{text}");
    wait(|| node.sessions() == 0);
    drop(server);
}

#[test]
fn a_radius_server_that_is_silent_delays_nobody_else() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let node = with_radius(silent.local_addr().unwrap());
    let other = node.provider.create_target(None, None).unwrap();
    let change = TargetChange {
        auth: Set::To(Auth::None),
        ..TargetChange::default()
    };
    let name = other.clone();
    node.provider.change(Change::ModifyTarget { name, change }).unwrap();
    wait(|| node.online(&other));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| inquiry(&node, USER, PASSWORD));
        let mut packet = [0; 4096];
        silent.recv(&mut packet).unwrap();
        assert_eq!(packet[0], 1, "Access-Request");
        let begin = Instant::now();
        for _ in 0..20 {
            Initiator::login(node.address, HOST, &other, KEYS).logout();
        }
        assert!(begin.elapsed() < Duration::from_secs(10));
        // Three tries of five seconds; then the login is refused.
        assert!(!asking.join().unwrap().0);
    });
}

#[test]
fn without_a_radius_secret_the_login_fails_with_its_status() {
    let node = Node::start();
    let change = TargetChange {
        auth: Set::To(Auth::Radius),
        ..TargetChange::default()
    };
    let name = TARGET.to_owned();
    node.provider.change(Change::ModifyTarget { name, change }).unwrap();
    let answer = Initiator::connect(node.address).try_login(HOST, TARGET, KEYS).header;
    assert_eq!((answer.0[36], answer.0[37]), (3, 0));
}

/// What isnsd knows.
fn registered(config: &Path, kind: &str) -> String {
    let mut command = Command::new("isnsadm");
    command.args(["--local", "-c"]).arg(config).args(["--list", kind]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn isnsd_knows_the_targets_that_are_online() {
    let directory = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = directory.path().display();
    let config = directory.path().join("isnsd.conf");
    let text = format!(
        "HostName = isns.example\nSourceName = iqn.2026-11.example:isns\nSecurity = 0\nSLPRegister = 0\n\
         DefaultDiscoveryDomain = 1\nDatabase = {place}/db\nPIDFile = {place}/pid\nControlSocket = {place}/control\n\
         BindAddress = {address}\nServerAddress = {address}\n"
    );
    std::fs::write(&config, text).unwrap();
    let server = Server::start(Command::new("isnsd").arg("-f").arg("-c").arg(&config));
    wait(|| directory.path().join("control").exists());

    let node = Node::start();
    let portals: Vec<SocketAddr> = vec!["127.0.0.1:1".parse().unwrap()];
    let group = Change::CreateGroup {
        name: "second".into(),
        portals,
    };
    node.provider.change(group).unwrap();
    let two = TargetChange {
        name: Some("iqn.2026-11.example:two".into()),
        groups: Some(vec!["second".into()]),
        ..TargetChange::default()
    };
    let two = node.provider.change(Change::CreateTarget(two)).unwrap();
    wait(|| node.online(&two));
    // One server that is not there does not keep the other from being told.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let enable = DefaultsChange {
        isns: Some(true),
        isns_servers: Some(vec![nobody, address]),
        ..DefaultsChange::default()
    };
    node.provider.change(Change::Defaults(enable)).unwrap();
    wait(|| registered(&config, "nodes").contains(TARGET));
    let nodes = registered(&config, "nodes");
    assert!(nodes.contains(&two) && nodes.contains("a disk"), "{nodes}");
    let groups = registered(&config, "portal-groups");
    assert_eq!(groups.matches("Portal group tag = 1").count(), 1, "{groups}");
    assert_eq!(groups.matches("Portal group tag = 2").count(), 1, "{groups}");
    let portals = registered(&config, "portals");
    assert!(portals.contains(&format!("{}/tcp", node.address.port())), "{portals}");

    let devid = DevId::new(two.as_bytes()).unwrap();
    node.framework.port_offline(&devid).unwrap();
    wait(|| !registered(&config, "nodes").contains(&two));
    assert!(registered(&config, "nodes").contains(TARGET));
    node.framework.port_online(&devid).unwrap();
    wait(|| registered(&config, "nodes").contains(&two));
    node.provider.stop();
    wait(|| registered(&config, "entities").is_empty());
    drop(server);
}
