use super::conditions::Condition;
use super::screen::size;
use crate::cli::script::{Ran, Script, ran, run};
use crate::cli::stmfadm;
use crate::framework::{
    AccessReport, AluaLu, AluaPort, AluaReport, ConfigState, IoReport, IoTotals, LuInfo, LuStatus, MirrorReport,
    NexusInfo, NodeStatus, ObjectState, Owner, PeerNode, PeerReport, PeerStatus, PortInfo, ServiceState, ViewEntry,
};
use crate::service::AluaInfo;
use crate::types::{AccessState, DevId, GroupName, Guid, LuProperties, Lun, Protocol, Status};
use std::time::Duration;

const ONE: &str = "600144F0C73ABF00000065A1B2C30001";
const TWO: &str = "600144F0C73ABF00000065A1B2D70002";
const THREE: &str = "600144F0C73ABF00000065A1B2E90003";
const TARGET: &str = "iqn.2026-11.example:a";

fn guid(text: &str) -> Guid {
    text.parse().unwrap()
}

fn state(operational: ObjectState) -> ServiceState {
    ServiceState {
        operational,
        config: ConfigState::InitDone,
    }
}

fn alua_lu(name: &str, access: AccessState, owner: Owner) -> AluaLu {
    AluaLu {
        guid: guid(name),
        access,
        owner,
        generation: None,
        lease_age: None,
        moves: 0,
        last_move: None,
        move_time: Duration::ZERO,
        moving: None,
    }
}

fn report(reachable: bool, lus: Vec<AluaLu>) -> AluaReport {
    AluaReport {
        enabled: true,
        node: 0,
        peer: PeerReport {
            status: PeerStatus {
                door: true,
                reachable,
                ..PeerStatus::default()
            },
            node: Some(1),
            silent: Some(Duration::from_millis(340)),
            round_trip: Some(Duration::from_micros(215)),
            ..PeerReport::default()
        },
        ports: vec![AluaPort {
            devid: DevId::new(TARGET.as_bytes()).unwrap(),
            rtpid: 1,
            of_peer: false,
            accepted: true,
        }],
        lus,
        mirror: MirrorReport::default(),
    }
}

/// LUs with 600 reads of 4 KB in 300 ms through this node.
fn node(host: &str, number: u8, lus: &[(&str, AccessState)]) -> NodeStatus {
    let totals = IoTotals {
        read_ops: 600,
        read_bytes: 2_400_000,
        busy_ns: 300_000_000,
        ..IoTotals::default()
    };
    let io = IoReport {
        totals,
        ..IoReport::default()
    };
    NodeStatus {
        host: host.to_owned(),
        release: "1.0.0".to_owned(),
        uptime: Duration::from_secs(60),
        operational: ObjectState::Online,
        config: ConfigState::InitDone,
        alua: true,
        node: number,
        io: io.clone(),
        lu_count: lus.len(),
        lus: lus
            .iter()
            .map(|(name, access)| LuStatus {
                guid: guid(name),
                alias: String::new(),
                state: Some(ObjectState::Online),
                access: Some(*access),
                owner: Owner::Local,
                size: (*access == AccessState::Active).then_some(2 << 40),
                views: 1,
                sessions: 1,
                io: io.clone(),
            })
            .collect(),
        port_count: 0,
        ports: Vec::new(),
        session_count: 3,
    }
}

fn here() -> NodeStatus {
    node("san-a", 0, &[(ONE, AccessState::Active), (TWO, AccessState::Standby)])
}

fn there() -> PeerNode {
    PeerNode {
        status: node("san-b", 1, &[(ONE, AccessState::Standby), (TWO, AccessState::Active)]),
        age: Duration::from_millis(1250),
    }
}

fn info(name: &str, state: Option<ObjectState>) -> LuInfo {
    LuInfo {
        guid: guid(name),
        state,
        provider: "sbd".into(),
        alias: "/srv/disks/a-rather-long-name.img".into(),
        vendor: *b"SUN     ",
        product: *b"COMSTAR         ",
        revision: *b"1.0 ",
    }
}

fn views(group: Option<&str>) -> Vec<ViewEntry> {
    vec![ViewEntry {
        index: 0,
        host_group: group.map(|name| GroupName::new(name.as_bytes()).unwrap()),
        target_group: None,
        lun: Lun::new(0).unwrap(),
    }]
}

/// One LU active here, one there, one that is not loaded; one target.
fn pair(reachable: bool, target: ObjectState, group: Option<&str>) -> Script {
    let lus = vec![
        alua_lu(ONE, AccessState::Active, Owner::Local),
        alua_lu(TWO, AccessState::Standby, Owner::Peer),
    ];
    let size = AccessReport {
        access: AccessState::Active,
        properties: LuProperties {
            size: Some(10 << 30),
            ..LuProperties::default()
        },
    };
    let devid = || DevId::new(TARGET.as_bytes()).unwrap();
    let nexus = NexusInfo {
        initiator: devid(),
        alias: String::new(),
        created: 1,
    };
    Script::new()
        .ok("state()", state(ObjectState::Online))
        .ok("alua_report()", report(reachable, lus))
        .ok("lu_list()", vec![guid(THREE), guid(ONE), guid(TWO)])
        .ok("node_status()", here())
        .ok("peer_node()", reachable.then(there))
        .ok(&format!("lu_info({ONE})"), info(ONE, Some(ObjectState::Online)))
        .ok(&format!("view_list({ONE})"), views(group))
        .ok(&format!("lu_resource({ONE})"), size)
        .ok(&format!("lu_info({TWO})"), info(TWO, Some(ObjectState::Online)))
        .fail(&format!("view_list({TWO})"), Status::NotFound)
        .ok(&format!("lu_info({THREE})"), info(THREE, None))
        .ok(&format!("view_list({THREE})"), views(None))
        .ok("target_list()", vec![devid()])
        .ok(
            &format!("target_info({:?})", devid()),
            PortInfo {
                devid: devid(),
                provider: "iscsit".into(),
                alias: String::new(),
                state: target,
                protocol: Protocol::Iscsi,
                rtpid: 1,
            },
        )
        .ok(&format!("target_sessions({:?})", devid()), vec![nexus.clone(), nexus])
}

fn stmfadm(line: &str, script: &Script) -> Ran {
    run(stmfadm::run, &format!("stmfadm {line}"), script)
}

#[test]
fn the_screen() {
    let result = stmfadm("status", &pair(true, ObjectState::Online, None));
    assert_eq!((result.status, result.err.as_str()), (0, ""));
    let expected = "\
san-a (node 0, this node)                online, initialized, ALUA enabled, up 1m 0s
san-b (node 1)                           online, initialized, ALUA enabled, reachable, heard 0.3 s ago, round trip 215 us, 0 reconnects, up 1m 0s, as it said 1.2 s ago

LUs          3   1 active here, 1 active on peer, 1 standby here, 0 in transition, 1 not loaded
Targets      1   1 online, 0 of the peer
Sessions     2   2 here, 3 on peer
I/O here       10 reads/s   0.0 writes/s   0.0 MB/s read   0.0 MB/s written   0.50 ms avg   (since start)
I/O peer       10 reads/s   0.0 writes/s   0.0 MB/s read   0.0 MB/s written   0.50 ms avg   (since start)

LU                                ALIAS                   SIZE  HERE        PEER     VIEWS  SESS     r/s     w/s    MB/s      ms
600144F0C73ABF00000065A1B2C30001  ...her-long-name.img     10G  active      standby      1     2      10     0.0     0.0    0.50
600144F0C73ABF00000065A1B2D70002  ...her-long-name.img      2T  standby     active       0     2      10     0.0     0.0    0.50
600144F0C73ABF00000065A1B2E90003  ...her-long-name.img       -  not loaded  -            1     0     0.0     0.0     0.0       -

! 600144F0C73ABF00000065A1B2E90003: 1 view entry, not loaded on this node
";
    let squeezed = |text: &str| {
        let lines = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.collect::<Vec<_>>()
    };
    assert_eq!(squeezed(&result.out), squeezed(expected));
}

#[test]
fn check_is_for_monitoring() {
    let group = GroupName::new(b"empty").unwrap();
    let members = format!("group_members(Host, {group:?})");
    let script = pair(true, ObjectState::Offline, Some("empty")).ok(&members, Vec::<DevId>::new());
    let out = format!(
        "! {THREE}: 1 view entry, not loaded on this node\n! {TARGET}: target is offline\n\
         ! empty: a view entry names this host group, which has no members\n"
    );
    assert_eq!(stmfadm("status --check", &script), ran(3, &out, ""));
    let result = stmfadm("status --check", &pair(false, ObjectState::Online, None));
    assert_eq!(result.status, 4);
    assert!(
        result.out.starts_with("! peer: no answer, last heard 0.3 s ago\n"),
        "{}",
        result.out
    );
    let gone = Script::new().fail("state()", Status::ServiceNotFound);
    let err = "stmfadm: STMF service not found\n";
    assert_eq!(stmfadm("status --check", &gone), ran(4, "", err));
    let gone = Script::new().fail("state()", Status::ServiceNotFound);
    assert_eq!(stmfadm("status", &gone), ran(1, "", err));
}

fn nothing(operational: ObjectState) -> Script {
    empty(Script::new(), operational)
}

fn empty(script: Script, operational: ObjectState) -> Script {
    let report = AluaReport {
        enabled: false,
        ..report(false, Vec::new())
    };
    script
        .ok("state()", state(operational))
        .ok("alua_report()", report)
        .ok("lu_list()", Vec::<Guid>::new())
        .ok("node_status()", node("san-a", 0, &[]))
        .ok("target_list()", Vec::<DevId>::new())
}

#[test]
fn nothing_to_say_and_the_service_offline() {
    assert_eq!(stmfadm("status --check", &nothing(ObjectState::Online)), ran(0, "", ""));
    let result = stmfadm("status --check", &nothing(ObjectState::Offline));
    assert_eq!(result.status, 4);
    assert!(result.out.ends_with(": service is offline\n"));
    let result = stmfadm(&format!("status {ONE}"), &nothing(ObjectState::Online));
    assert_eq!((result.status, result.err), (1, format!("stmfadm: {ONE}: not found\n")));
    let result = stmfadm("status 60", &Script::new());
    let err = "stmfadm: 60: must be 32 hexadecimal digits long\n";
    assert_eq!(result, ran(1, "", err));
}

#[test]
fn watches() {
    let gone = nothing(ObjectState::Online).fail("state()", Status::ServiceNotFound);
    let script = empty(gone, ObjectState::Online);
    let result = stmfadm("status --watch=0.5 --count 3", &script);
    assert_eq!((result.status, script.pauses()), (0, 2));
    assert_eq!(result.err, "stmfadm: STMF service not found\n");
    assert_eq!(result.out.matches("Targets ").count(), 2);
    for bad in [
        "--watch=x",
        "--watch=0",
        "--watch=-1",
        "--watch=nan",
        "--watch=1e9",
        "--count 0",
        "--count x",
    ] {
        let result = stmfadm(&format!("status {bad}"), &Script::new());
        assert_eq!((result.status, result.out.as_str()), (1, ""), "{bad}");
        assert!(result.err.contains(" must be "), "{}", result.err);
    }
    let documents = stmfadm(
        "status --json --count 2",
        &empty(nothing(ObjectState::Online).ok("alua()", alua()), ObjectState::Online).ok("alua()", alua()),
    );
    assert_eq!(documents.out.lines().count(), 2);
}

/// Each without what the other one has.
#[test]
fn one_of_the_nodes() {
    // Without looking at the peer.
    let local = Script::new()
        .ok("state()", state(ObjectState::Online))
        .ok(
            "alua_report()",
            report(false, vec![alua_lu(ONE, AccessState::Active, Owner::Local)]),
        )
        .ok("lu_list()", vec![guid(ONE)])
        .ok("node_status()", here())
        .ok(&format!("lu_info({ONE})"), info(ONE, Some(ObjectState::Online)))
        .ok(&format!("view_list({ONE})"), views(None))
        .fail(&format!("lu_resource({ONE})"), Status::NotFound)
        .ok("target_list()", Vec::<DevId>::new());
    let result = stmfadm("status --node=local", &local);
    assert_eq!(
        (result.status, result.out.contains("san-b")),
        (0, false),
        "{}",
        result.out
    );
    assert!(
        !result.out.contains("I/O peer") && !result.out.contains('!'),
        "{}",
        result.out
    );
    let result = stmfadm("status --node=peer", &pair(true, ObjectState::Offline, None));
    assert_eq!(
        (result.status, result.out.contains("san-a")),
        (0, false),
        "{}",
        result.out
    );
    assert!(result.out.starts_with("san-b (node 1)") && result.out.contains("I/O peer"));
    assert!(
        !result.out.contains(THREE) && result.out.contains(TWO),
        "what the peer does not know is left out"
    );
    let err = "stmfadm: both: node must be local, peer or all\n";
    assert_eq!(stmfadm("status --node=both", &Script::new()), ran(1, "", err));
}

fn alua() -> AluaInfo {
    AluaInfo {
        enabled: false,
        node: 0,
    }
}

#[test]
fn lus_worth_a_look() {
    let moving = |access, seconds| AluaLu {
        moving: Some(Duration::from_secs(seconds)),
        ..alua_lu(ONE, access, Owner::Unknown)
    };
    let seen = |lu: AluaLu, status, peer: Option<AccessState>| -> Vec<Condition> {
        let access = lu.access;
        let lus = vec![lu];
        let script = Script::new()
            .ok("state()", state(ObjectState::Online))
            .ok("alua_report()", report(true, lus))
            .ok("lu_list()", vec![guid(ONE)])
            .ok("node_status()", node("san-a", 0, &[(ONE, access)]))
            .ok(
                "peer_node()",
                peer.map(|access| PeerNode {
                    status: node("san-b", 1, &[(ONE, access)]),
                    age: Duration::ZERO,
                }),
            )
            .ok(&format!("lu_info({ONE})"), info(ONE, Some(status)))
            .ok(&format!("view_list({ONE})"), Vec::<ViewEntry>::new());
        let script = match access {
            AccessState::Active => script.fail(&format!("lu_resource({ONE})"), Status::NotFound),
            _ => script,
        };
        let script = script.ok("target_list()", Vec::<DevId>::new());
        super::Snapshot::take(&[], super::Nodes::All, &script)
            .unwrap()
            .conditions
    };
    let pair = |access, owner, status, peer| seen(alua_lu(ONE, access, owner), status, peer);
    let of = |access, owner, status| pair(access, owner, status, None);
    let codes = |list: Vec<Condition>| list.iter().map(|it| it.code).collect::<Vec<_>>();
    use ObjectState::{Offline, Online};
    assert_eq!(codes(of(AccessState::Active, Owner::Local, Online)), [""; 0]);
    assert_eq!(codes(of(AccessState::Active, Owner::Local, Offline)), ["lu-offline"]);
    assert_eq!(codes(of(AccessState::Standby, Owner::Peer, Online)), [""; 0]);
    let twice = pair(AccessState::Active, Owner::Local, Online, Some(AccessState::Active));
    assert_eq!(codes(twice), ["lu-active-twice"]);
    let moved = pair(AccessState::Active, Owner::Local, Online, Some(AccessState::Standby));
    assert_eq!(codes(moved), [""; 0]);
    assert_eq!(
        codes(of(AccessState::Standby, Owner::Unknown, Online)),
        ["lu-active-nowhere"]
    );
    assert_eq!(
        codes(seen(moving(AccessState::TransitionToStandby, 29), Online, None)),
        [""; 0]
    );
    let long = seen(moving(AccessState::TransitionToStandby, 95), Online, None);
    assert_eq!(
        (long[0].code, long[0].text.as_str()),
        ("lu-in-transition", "in transition for 1m 35s: active-to-standby")
    );
    assert!(long[0].since.as_deref().is_some_and(|since| since.ends_with('Z')));
}

#[test]
fn sizes_for_people() {
    for (bytes, text) in [
        (0, "0B"),
        (1023, "1023B"),
        (1536, "1.5K"),
        (10 << 30, "10G"),
        ((2 << 40) - 1, "2T"),
        ((10 << 30) - (64 << 10), "10G"),
        (u64::MAX, "16E"),
    ] {
        assert_eq!(size(bytes), text);
    }
}
