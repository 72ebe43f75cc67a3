use super::*;
use proptest::prelude::*;

fn name(text: &str) -> GroupName {
    GroupName::new(text.as_bytes()).unwrap()
}

fn devid(text: &str) -> DevId {
    DevId::new(text.as_bytes()).unwrap()
}

fn guid(n: u8) -> Guid {
    Guid([n; 16])
}

fn request(host: Option<&str>, target: Option<&str>, lun: Option<u16>) -> ViewRequest {
    ViewRequest {
        host_group: host.map(name),
        target_group: target.map(name),
        lun: lun.and_then(Lun::new),
    }
}

fn with_groups() -> Views {
    let mut views = Views::default();
    for group in ["a", "b"] {
        views.group_create(GroupKind::Host, &name(group));
        views.group_create(GroupKind::Target, &name(group));
    }
    views
}

fn add(views: &mut Views, n: u8, request: &ViewRequest) -> Result<ViewEntry, Status> {
    let entry = views.check_add(&guid(n), request)?;
    views.add(guid(n), entry.clone());
    Ok(entry)
}

#[test]
fn groups_keep_order_and_refuse_duplicates() {
    let mut views = with_groups();
    assert_eq!(views.group_list(GroupKind::Host), [name("a"), name("b")]);
    assert_eq!(
        views.check_group_create(GroupKind::Host, &name("a")),
        Err(Status::Exists)
    );
    assert_eq!(views.check_group_create(GroupKind::Target, &name("c")), Ok(()));
    let host = devid("iqn.1994-05.com.example:h");
    assert_eq!(
        views.check_group_add(GroupKind::Host, &name("x"), &host),
        Err(Status::GroupNotFound)
    );
    views.group_add(GroupKind::Host, &name("a"), &host);
    for group in ["a", "b"] {
        assert_eq!(
            views.check_group_add(GroupKind::Host, &name(group), &host),
            Err(Status::Exists)
        );
    }
    assert_eq!(
        views.check_group_add(GroupKind::Target, &name("a"), &host),
        Ok(()),
        "separate name spaces"
    );
    assert_eq!(
        views.check_group_remove(GroupKind::Host, &name("b"), &host),
        Err(Status::MemberNotFound)
    );
    assert_eq!(
        views.check_group_remove(GroupKind::Host, &name("x"), &host),
        Err(Status::GroupNotFound)
    );
    assert_eq!(views.group_members(GroupKind::Host, &name("a")), Ok(vec![host.clone()]));
    assert_eq!(views.group_members(GroupKind::Host, &name("x")), Err(Status::NotFound));
    views.group_remove(GroupKind::Host, &name("a"), &host);
    assert_eq!(views.group_members(GroupKind::Host, &name("a")), Ok(vec![]));
}

#[test]
fn a_used_group_stays() {
    let mut views = with_groups();
    let entry = add(&mut views, 1, &request(Some("a"), None, None)).unwrap();
    assert_eq!(
        views.check_group_delete(GroupKind::Host, &name("a")),
        Err(Status::GroupInUse)
    );
    assert_eq!(views.check_group_delete(GroupKind::Target, &name("a")), Ok(()));
    assert_eq!(
        views.check_group_delete(GroupKind::Host, &name("x")),
        Err(Status::NotFound)
    );
    views.remove(&guid(1), entry.index);
    assert_eq!(views.check_group_delete(GroupKind::Host, &name("a")), Ok(()));
    let member = devid("eui.0123456789ABCDEF");
    views.group_add(GroupKind::Host, &name("a"), &member);
    views.group_delete(GroupKind::Host, &name("a"));
    assert_eq!(views.check_group_add(GroupKind::Host, &name("b"), &member), Ok(()));
}

#[test]
fn statuses_come_in_the_order_of_the_table() {
    let mut views = with_groups();
    add(&mut views, 1, &request(None, None, Some(0))).unwrap();
    assert_eq!(
        add(&mut views, 1, &request(Some("x"), Some("x"), Some(0))),
        Err(Status::InvalidHg)
    );
    assert_eq!(
        add(&mut views, 1, &request(Some("a"), Some("x"), Some(0))),
        Err(Status::InvalidTg)
    );
    assert_eq!(
        add(&mut views, 1, &request(Some("a"), None, Some(0))),
        Err(Status::VeConflict)
    );
    assert_eq!(
        add(&mut views, 2, &request(Some("a"), Some("b"), Some(0))),
        Err(Status::LunInUse)
    );
    assert_eq!(
        add(&mut views, 2, &request(Some("a"), Some("b"), None))
            .unwrap()
            .lun
            .get(),
        1
    );
    assert_eq!(views.check_remove(&guid(2), 1), Err(Status::NotFound));
    assert_eq!(views.check_remove(&guid(3), 0), Err(Status::NotFound));
}

#[test]
fn disjoint_entries_share_a_number_and_an_index_is_reused() {
    let mut views = with_groups();
    let first = add(&mut views, 1, &request(Some("a"), None, None)).unwrap();
    let other = add(&mut views, 2, &request(Some("b"), None, None)).unwrap();
    assert_eq!((first.lun, other.lun), (Lun::new(0).unwrap(), Lun::new(0).unwrap()));
    let second = add(&mut views, 1, &request(Some("b"), None, None)).unwrap();
    assert_eq!((second.index, second.lun.get()), (1, 1));
    views.remove(&guid(1), 0);
    assert_eq!(add(&mut views, 1, &request(Some("a"), None, Some(9))).unwrap().index, 0);
    assert_eq!(views.list(&guid(1)).iter().map(|e| e.index).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn no_number_left() {
    let mut views = Views::default();
    for n in 0..=Lun::MAX {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        let entry = views
            .check_add(&Guid(id), &request(None, None, Lun::new(n).map(Lun::get)))
            .unwrap();
        views.add(Guid(id), entry);
    }
    assert_eq!(
        views.check_add(&guid(0xff), &request(None, None, None)),
        Err(Status::Error)
    );
}

#[test]
fn a_lun_follows_the_groups() {
    let mut views = with_groups();
    let (host, port) = (devid("iqn.host"), devid("iqn.port"));
    add(&mut views, 1, &request(Some("a"), Some("a"), Some(7))).unwrap();
    assert_eq!(views.lun_of(&guid(1), &host, &port), None);
    views.group_add(GroupKind::Host, &name("a"), &host);
    assert_eq!(views.lun_of(&guid(1), &host, &port), None);
    views.group_add(GroupKind::Target, &name("a"), &port);
    assert_eq!(views.lun_of(&guid(1), &host, &port), Lun::new(7));
}

fn any_side() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![Just(None), Just(Some("a")), Just(Some("b"))]
}

proptest! {
    /// Whatever is added and removed, no initiator sees two LUs under one number, nor one LU twice.
    #[test]
    fn maps_are_functions(steps in prop::collection::vec(
        (0u8..6, any_side(), any_side(), prop::option::of(0u16..4), any::<bool>()), 1..40,
    )) {
        let mut views = with_groups();
        let (host, port) = (devid("iqn.host"), devid("iqn.port"));
        views.group_add(GroupKind::Host, &name("a"), &host);
        views.group_add(GroupKind::Target, &name("b"), &port);
        for (n, h, t, lun, remove) in steps {
            if remove {
                if let Some(entry) = views.list(&guid(n)).first() {
                    views.remove(&guid(n), entry.index);
                }
            } else if let Err(status) = add(&mut views, n, &request(h, t, lun)) {
                prop_assert!(matches!(status, Status::VeConflict | Status::LunInUse));
            }
            let mut seen = BTreeSet::new();
            for n in 0..6 {
                if let Some(lun) = views.lun_of(&guid(n), &host, &port) {
                    prop_assert!(seen.insert(lun));
                }
                let entries = views.list(&guid(n));
                for (i, a) in entries.iter().enumerate() {
                    prop_assert!(!entries[i + 1..].iter().any(|b| overlap(&sides_of(a), &sides_of(b))));
                }
            }
            let stored: usize = views.taken.values().map(BTreeSet::len).sum();
            prop_assert_eq!(stored, (0..6).map(|n| views.list(&guid(n)).len()).sum::<usize>());
        }
    }
}
