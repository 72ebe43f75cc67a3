use super::*;
use crate::iscsi::admin::{Auth, DefaultsChange};
use crate::types::Secret;
use proptest::prelude::*;

const NAME: &str = "iqn.2026-11.example:a";

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text.into()).unwrap())
}

fn create(name: &str) -> Change {
    Change::CreateTarget(TargetChange {
        name: Some(name.into()),
        ..TargetChange::default()
    })
}

fn group(name: &str, portals: &[&str]) -> Change {
    Change::CreateGroup {
        name: name.into(),
        portals: portals.iter().map(|portal| portal.parse().unwrap()).collect(),
    }
}

fn bind(groups: &[&str]) -> Change {
    Change::ModifyTarget {
        name: NAME.into(),
        change: TargetChange {
            groups: Some(groups.iter().map(|&group| group.into()).collect()),
            ..TargetChange::default()
        },
    }
}

fn after(changes: &[Change]) -> Config {
    changes
        .iter()
        .fold(Config::default(), |config, change| config.changed(change).unwrap().0)
}

fn tags(config: &Config) -> Vec<(&str, u16)> {
    let bindings = &config.target(NAME).unwrap().bindings;
    bindings
        .iter()
        .map(|binding| (binding.group.as_str(), binding.tag))
        .collect()
}

#[test]
fn tags_follow_names_or_the_highest_and_stay() {
    let mut config = after(&[
        create(NAME),
        group("a", &["192.0.2.1:3260"]),
        group("7", &["192.0.2.2:3260"]),
        group("c", &["192.0.2.3:3260"]),
        group("1", &["192.0.2.4:3260"]),
        bind(&["a", "7", "c", "1"]),
    ]);
    assert_eq!(tags(&config), [("a", 2), ("7", 7), ("c", 8), ("1", 9)]);
    config = config.changed(&bind(&["1", "7"])).unwrap().0;
    assert_eq!(tags(&config), [("7", 7), ("1", 9)]);
    config = config.changed(&bind(&["a", "1"])).unwrap().0;
    assert_eq!(tags(&config), [("1", 9), ("a", 10)]);
    config = config.changed(&bind(&[])).unwrap().0;
    assert_eq!(tags(&config), []);
}

#[test]
fn the_last_tag_is_followed_by_the_lowest_free_one() {
    let binding = |tag: u16| Binding {
        group: tag.to_string(),
        tag,
    };
    assert_eq!(free_tag(&[binding(65535), binding(2)], "a"), Some(3));
    let all: Vec<Binding> = (2..=65535).map(binding).collect();
    assert_eq!(free_tag(&all, "a"), None);
}

#[test]
fn groups_are_bound_once_and_kept_while_bound() {
    let config = after(&[create(NAME), group("a", &["192.0.2.1:3260", "192.0.2.1:3260"])]);
    let refused = |change: &Change| config.changed(change).unwrap_err();
    assert_eq!(refused(&bind(&["b"])), Refusal::NoGroup("b".into()));
    assert_eq!(refused(&bind(&["a", "a"])), Refusal::GroupTwice("a".into()));
    assert_eq!(refused(&group("a", &["192.0.2.9:1"])), Refusal::Exists("a".into()));
    let portal = "192.0.2.1:3260".parse().unwrap();
    assert_eq!(
        refused(&group("b", &["[::ffff:192.0.2.1]:3260"])),
        Refusal::PortalInUse(portal)
    );
    assert_eq!(refused(&group("b", &[])), Refusal::NoPortal);
    assert_eq!(config.group("a").unwrap().portals, [portal]);
    let bound = config.changed(&bind(&["a"])).unwrap().0;
    let delete = |force| Change::DeleteGroup {
        name: "a".into(),
        force,
    };
    assert_eq!(bound.changed(&delete(false)).unwrap_err(), Refusal::Busy("a".into()));
    let deleted = bound.changed(&delete(true)).unwrap().0;
    assert_eq!((tags(&deleted), deleted.groups.len()), (vec![], 0));
}

#[test]
fn names_are_unique_in_every_letter_case() {
    let config = after(&[create(NAME)]);
    let taken = Err(Refusal::Exists(NAME.into()));
    assert_eq!(config.changed(&create("IQN.2026-11.EXAMPLE:A")), taken);
    let initiator = |name: &str| Change::CreateInitiator {
        name: name.into(),
        change: InitiatorChange::default(),
    };
    let config = config.changed(&initiator("iqn.2026-11.example:Host")).unwrap().0;
    let taken = Err(Refusal::Exists("iqn.2026-11.example:host".into()));
    assert_eq!(config.changed(&initiator("iqn.2026-11.example:host")), taken);
    let rename = |to: &str| Change::ModifyTarget {
        name: NAME.into(),
        change: TargetChange {
            name: Some(to.into()),
            ..TargetChange::default()
        },
    };
    let (renamed, name) = config.changed(&rename("iqn.2026-11.example:B")).unwrap();
    assert_eq!(name, "iqn.2026-11.example:b");
    assert!(renamed.target(NAME).is_none() && renamed.target(&name).is_some());
    assert_eq!(config.changed(&rename("iqn.2026-11.example:A")).unwrap().1, NAME);
}

#[test]
fn a_secret_is_never_shared_by_the_two_sides() {
    let initiator = Change::CreateInitiator {
        name: "iqn.2026-11.example:host".into(),
        change: InitiatorChange {
            secret: secret("correct horse"),
            ..InitiatorChange::default()
        },
    };
    let mut change = TargetChange {
        name: Some(NAME.into()),
        secret: secret("correct horse"),
        ..TargetChange::default()
    };
    let config = after(std::slice::from_ref(&initiator));
    assert!(config.changed(&Change::CreateTarget(change.clone())).is_err());
    let config = after(&[Change::CreateTarget(change.clone())]);
    assert!(config.changed(&initiator).is_err());
    change.secret = secret("battery staple");
    assert!(after(&[initiator]).changed(&Change::CreateTarget(change)).is_ok());
}

#[test]
fn odd_texts_are_refused_and_radius_without_a_server() {
    let config = after(&[create(NAME)]);
    let refused = |change: TargetChange| {
        let name = NAME.to_owned();
        config
            .changed(&Change::ModifyTarget { name, change })
            .unwrap_err()
            .to_string()
    };
    let alias = Set::To("a\nb".to_owned());
    assert!(
        refused(TargetChange {
            alias,
            ..TargetChange::default()
        })
        .starts_with("alias: ")
    );
    assert!(
        config
            .changed(&Change::Defaults(DefaultsChange::auth(Auth::Radius)))
            .is_err()
    );
    let config = config
        .changed(&Change::Defaults(DefaultsChange::auth(Auth::Chap)))
        .unwrap()
        .0;
    assert_eq!(config.auth(config.target(NAME).unwrap()), Auth::Chap);
}

proptest! {
    #[test]
    fn whatever_is_bound_tags_are_distinct_and_legal(sets in prop::collection::vec(
        prop::sample::subsequence(vec!["2", "3", "65534", "65535", "x", "y", "0", "1"], 0..8), 1..6)) {
        let names = ["2", "3", "65534", "65535", "x", "y", "0", "1"];
        let mut changes = vec![create(NAME)];
        for (number, name) in names.iter().enumerate() {
            changes.push(group(name, &[&format!("192.0.2.{number}:1")]));
        }
        let mut config = after(&changes);
        for set in sets {
            config = config.changed(&bind(&set)).unwrap().0;
            let bound = tags(&config);
            let distinct: std::collections::HashSet<u16> = bound.iter().map(|(_, tag)| *tag).collect();
            prop_assert_eq!(distinct.len(), set.len());
            prop_assert!(distinct.iter().all(|tag| *tag >= 2));
        }
    }
}

#[test]
fn portals_come_and_go() {
    let portals = |texts: &[&str]| texts.iter().map(|portal| portal.parse().unwrap()).collect();
    let add = |name: &str, texts: &[&str]| Change::AddPortals {
        name: name.into(),
        portals: portals(texts),
    };
    let remove = |name: &str, texts: &[&str]| Change::RemovePortals {
        name: name.into(),
        portals: portals(texts),
    };
    let two = after(&[group("a", &["192.0.2.1:3260"]), group("b", &["192.0.2.2:3260"])]);
    let shown = |config: &Config| -> Vec<String> {
        let group = config.groups.iter().find(|group| group.name == "a").unwrap();
        group.portals.iter().map(SocketAddr::to_string).collect()
    };
    let (more, name) = two
        .changed(&add("a", &["[::ffff:192.0.2.3]:3260", "192.0.2.1:3260"]))
        .unwrap();
    assert_eq!(
        (name.as_str(), shown(&more)),
        ("a", vec!["192.0.2.1:3260".to_owned(), "192.0.2.3:3260".to_owned()])
    );
    let (less, _) = more.changed(&remove("a", &["192.0.2.1:3260"])).unwrap();
    assert_eq!(shown(&less), ["192.0.2.3:3260"]);
    let other = "192.0.2.2:3260".parse().unwrap();
    let refusal = |config: &Config, change: Change| config.changed(&change).unwrap_err();
    assert_eq!(
        refusal(&two, add("a", &["192.0.2.2:3260"])),
        Refusal::PortalInUse(other)
    );
    assert_eq!(
        refusal(&two, remove("a", &["192.0.2.2:3260"])),
        Refusal::NotInGroup(other)
    );
    assert_eq!(refusal(&two, remove("a", &["192.0.2.1:3260"])), Refusal::NoPortal);
    for change in [add("c", &["192.0.2.9:3260"]), remove("c", &["192.0.2.9:3260"])] {
        assert_eq!(refusal(&two, change), Refusal::NotFound("c".into()));
    }
}
