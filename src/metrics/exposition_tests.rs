use super::super::text::{Exposition, Format};
use super::*;
use crate::framework::{AluaPort, Framework};
use crate::store::Store;
use crate::types::{DevId, Guid};

#[path = "../../tests/common/openmetrics.rs"]
mod openmetrics;

fn node() -> (NodeStatus, AluaReport) {
    let framework = Framework::new(Store::volatile());
    (framework.node_status(10), framework.alua_report())
}

/// A node with LUs, targets and sessions, whose names want to break out of their quotes.
fn busy() -> (NodeStatus, AluaReport) {
    let (mut status, mut alua) = node();
    let devid = DevId::new(b"iqn.2026-11.example:a").unwrap();
    let session = |id| SessionStatus {
        id,
        initiator: DevId::new(b"iqn.i\"\\").unwrap(),
        alias: String::new(),
        created: 1_800_000_000,
        luns: 2,
        io: IoReport::default(),
    };
    status.ports = vec![PortStatus {
        devid: devid.clone(),
        alias: "a\nb".to_owned(),
        state: ObjectState::Online,
        of_peer: false,
        io: IoReport::default(),
        session_count: 3,
        sessions: vec![session(1), session(2)],
    }];
    (status.port_count, status.session_count, status.lu_count) = (1, 3, 2);
    status.lus = vec![LuStatus {
        guid: Guid([1; 16]),
        alias: "x\\".to_owned(),
        state: Some(ObjectState::Online),
        access: Some(AccessState::Standby),
        owner: crate::framework::Owner::Peer,
        size: None,
        views: 1,
        sessions: 2,
        io: IoReport::default(),
    }];
    alua.ports = vec![AluaPort {
        devid,
        rtpid: 1,
        of_peer: false,
        accepted: true,
    }];
    (status, alua)
}

fn read(text: &str) -> openmetrics::Samples {
    openmetrics::read(text).unwrap_or_else(|fault| panic!("{fault}\n{text}"))
}

#[test]
fn an_empty_and_a_busy_node_keep_to_the_standard() {
    let (status, alua) = node();
    read(&exposition(&status, &alua, Format::OpenMetrics));
    let (status, alua) = busy();
    let samples = read(&exposition(&status, &alua, Format::OpenMetrics));
    let get = |name: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        samples.get(&(name.to_owned(), labels)).copied()
    };
    let lu = "01".repeat(16);
    assert_eq!(get("stmf_unlisted_objects", &[("kind", "lu")]), Some(1.0));
    assert_eq!(get("stmf_unlisted_objects", &[("kind", "session")]), Some(1.0));
    assert_eq!(
        get("stmf_lu_access", &[("lu", &lu), ("stmf_lu_access", "standby")]),
        Some(1.0)
    );
    assert_eq!(
        get("stmf_lu_access", &[("lu", &lu), ("stmf_lu_access", "active")]),
        Some(0.0)
    );
    assert_eq!(
        get("stmf_target_accepted", &[("target", "iqn.2026-11.example:a")]),
        Some(1.0)
    );
    assert_eq!(get("stmf_read_latency_seconds_bucket", &[("le", "+Inf")]), Some(0.0));
    assert_eq!(
        get(
            "stmf_target_info",
            &[("alias", "a\nb"), ("node", "this"), ("target", "iqn.2026-11.example:a")]
        ),
        Some(1.0)
    );
}

#[test]
fn the_reader_is_strict() {
    let good = "# TYPE a counter\na_total 1\n# EOF\n";
    assert!(openmetrics::read(good).is_ok());
    for bad in [
        "# TYPE a counter\na_total 1\n",
        "# TYPE a counter\na 1\n# EOF\n",
        "a 1\n# EOF\n",
        "# TYPE a gauge\na 1\n\n# EOF\n",
        "# TYPE a gauge\na  1\n# EOF\n",
        "# TYPE a gauge\na{b=\"\\x\"} 1\n# EOF\n",
        "# TYPE a gauge\na{b=\"1\",b=\"2\"} 1\n# EOF\n",
        "# TYPE a gauge\na 1\na 2\n# EOF\n",
        "# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n",
        "# TYPE a gauge\na{b=\"1\"} 1\na{b=\"2\"} 1\na{b=\"1\"} 1\n# EOF\n",
        "# TYPE a gauge\na 1\n# TYPE b gauge\n# TYPE a gauge\n# EOF\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum 1\n# EOF\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_count 1\na_sum 1\n# EOF\n",
        "# TYPE a stateset\na{a=\"x\"} 2\n# EOF\n",
    ] {
        assert!(openmetrics::read(bad).is_err(), "{bad}");
    }
    let mut text = Exposition::new(Format::OpenMetrics);
    text.family("a_bytes", Kind::Counter, "bytes", "A.")
        .sample(&[("b", "\"\\\n")], 1);
    assert_eq!(read(&text.end()).len(), 1);
}

/// The format of Prometheus has the same samples, and only types that it knows, of families that are named like their samples.
#[test]
fn prometheus_has_the_same() {
    let (status, alua) = busy();
    let [ours, theirs] = [Format::OpenMetrics, Format::Prometheus].map(|format| exposition(&status, &alua, format));
    let samples = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(samples(&ours), samples(&theirs));
    let (mut family, mut kind) = ("", "");
    for line in theirs.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["#", "TYPE", name, word] => (family, kind) = (name, word),
            ["#", "HELP", name, ..] => assert_eq!(name, family),
            ["#", ..] => panic!("{line}"),
            _ => {
                let name = line.split(['{', ' ']).next().unwrap();
                let suffix = name
                    .strip_prefix(family)
                    .unwrap_or_else(|| panic!("{line} in {family}"));
                match kind {
                    "counter" => assert!(suffix.is_empty() && name.ends_with("_total"), "{line}"),
                    "gauge" => assert_eq!(suffix, "", "{line}"),
                    "histogram" => assert!(["_bucket", "_count", "_sum"].contains(&suffix), "{line}"),
                    other => panic!("{other} is no type"),
                }
            }
        }
    }
}
