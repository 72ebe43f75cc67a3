use super::*;

fn sample() -> Vec<Change> {
    let guid = Guid([0x60; 16]);
    let name = |n: &str| GroupName::new(n.as_bytes()).unwrap();
    let devid = |n: &str| DevId::new(n.as_bytes()).unwrap();
    let member = |g: &str, d: &str| Change::PutMember {
        table: GroupTable::Host,
        name: name(g),
        member: devid(d),
    };
    vec![
        Change::PutLu(LuRow {
            guid,
            path: "/a".into(),
            standby: false,
        }),
        Change::PutView(ViewRow {
            guid,
            index: 3,
            host_group: Some(name("zeta")),
            target_group: None,
            lun: Lun::new(7).unwrap(),
        }),
        Change::PutGroup {
            table: GroupTable::Host,
            name: name("zeta"),
        },
        Change::PutGroup {
            table: GroupTable::Host,
            name: name("alpha"),
        },
        member("zeta", "iqn.z"),
        member("zeta", "iqn.a"),
        Change::PutProvider(ProviderRow {
            name: "iscsit".into(),
            kind: 2,
            token: 1 << 62,
            data: vec![1, 2],
        }),
        Change::PutSetting {
            key: "alua.node".into(),
            value: "1".into(),
        },
        Change::PutPort {
            devid: devid("iqn.t"),
            rtpid: 256,
        },
    ]
}

#[test]
fn everything_survives_reopening_in_order_of_creation() {
    let dir = tempfile::tempdir().unwrap();
    Store::open(dir.path()).unwrap().commit(&sample()).unwrap();
    let loaded = Store::open(dir.path()).unwrap().load().unwrap();
    assert_eq!(loaded.lus[0].path, "/a");
    assert_eq!(loaded.views[0].index, 3);
    let groups: Vec<_> = loaded
        .groups
        .iter()
        .map(|(_, name, members)| (name.as_str(), members.len()))
        .collect();
    assert_eq!(groups, [("zeta", 2), ("alpha", 0)]);
    assert_eq!(loaded.groups[0].2[0].to_string(), "iqn.z");
    assert_eq!(loaded.providers[0].token, 1 << 62);
    assert_eq!(loaded.settings, [("alua.node".to_owned(), "1".to_owned())]);
    assert_eq!(loaded.ports[0].1, 256);
}

#[test]
fn a_failing_change_undoes_its_whole_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.commit(&sample()).unwrap();
    let twice = Change::PutMember {
        table: GroupTable::Host,
        name: GroupName::new(b"zeta").unwrap(),
        member: DevId::new(b"iqn.z").unwrap(),
    };
    let before = store.load().unwrap();
    assert!(store.commit(&[Change::RemoveLu(Guid([0x60; 16])), twice]).is_err());
    assert_eq!(store.load().unwrap(), before);
}

#[test]
fn tokens_never_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let first = store.next_token();
    assert!(first > 0);
    let second = store.next_token();
    store
        .commit(&[Change::UseToken(second), Change::UseToken(first)])
        .unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let third = store.next_token();
    assert!(third > second);
    let row = ProviderRow {
        name: "p".into(),
        kind: 1,
        token: third,
        data: Vec::new(),
    };
    store.commit(&[Change::PutProvider(row)]).unwrap();
    drop(store);
    assert!(Store::open(dir.path()).unwrap().next_token() > third);
}

#[test]
fn a_second_opener_is_told_the_pid() {
    let dir = tempfile::tempdir().unwrap();
    let _held = Store::open(dir.path()).unwrap();
    let Err(StoreError::Locked(pid)) = Store::open(dir.path()) else {
        panic!("opened twice")
    };
    assert_eq!(pid, Some(std::process::id()));
}

#[test]
fn another_version_and_a_damaged_file_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(Store::DATABASE);
    drop(Store::open(dir.path()).unwrap());
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Version(99))));
    let rubbish = b"this is not a database, but it is somebody's file".repeat(100);
    std::fs::write(&path, &rubbish).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Failed(_))));
    assert_eq!(std::fs::read(&path).unwrap(), rubbish);
}

#[test]
fn the_database_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let mode = |name: &str| {
        let metadata = std::fs::metadata(directory.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    let database = directory.path().join(Store::DATABASE);
    std::fs::write(&database, "").unwrap();
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = Store::open(directory.path()).unwrap();
    store
        .commit(&[Change::PutSetting {
            key: "k".into(),
            value: "v".into(),
        }])
        .unwrap();
    assert_eq!((mode(Store::DATABASE), mode("stmf.db-wal")), (0o600, 0o600));
}

/// What makes no sense is left out, the rest is loaded; nothing panics.
#[test]
fn rows_of_any_type_and_value() {
    use rusqlite::types::Value;
    let values = [
        Value::Null,
        Value::Integer(0),
        Value::Integer(-1),
        Value::Integer(i64::MAX),
        Value::Real(0.5),
        Value::Text(String::new()),
        Value::Text("*".repeat(300)),
        Value::Blob(vec![0x60; 16]),
        Value::Blob(vec![0; 300]),
    ];
    // A member of a group.
    for value in &values {
        let group = vec![Value::Integer(1), Value::Integer(0), Value::Text("g".into())];
        let member = vec![Value::Integer(1), Value::Integer(1), value.clone()];
        fuzz_rows(&[("grp", group), ("member", member)]);
    }
    let tables = [
        ("lu", 3),
        ("view", 5),
        ("grp", 3),
        ("member", 3),
        ("provider", 4),
        ("setting", 2),
        ("port", 2),
    ];
    for (table, columns) in tables {
        for first in &values {
            for second in &values {
                let row = |n: usize| {
                    if n.is_multiple_of(2) {
                        first.clone()
                    } else {
                        second.clone()
                    }
                };
                fuzz_rows(&[(table, (0..columns).map(row).collect())]);
            }
        }
    }
}

#[test]
fn a_database_with_wrong_bytes_is_loaded_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    Store::open(directory.path()).unwrap().commit(&sample()).unwrap();
    let path = directory.path().join(Store::DATABASE);
    let good = std::fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(good.len() / 60) {
        let mut wrong = good.clone();
        wrong[at] ^= 0xff;
        std::fs::write(&path, wrong).unwrap();
        fuzz_damage(&path);
    }
}
