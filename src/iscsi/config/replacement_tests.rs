use super::*;
use crate::iscsi::admin::{Change, InitiatorChange, TargetChange};
use proptest::prelude::*;

const A: &str = "iqn.2026-11.example:a";
const B: &str = "iqn.2026-11.example:b";
const HOST: &str = "iqn.2026-11.example:host";

fn list(pairs: Vec<(&str, Value)>) -> NvList {
    let mut list = NvList::new();
    pairs.into_iter().for_each(|(name, value)| list.push(name, value));
    list
}

fn nested(pairs: Vec<(&str, Value)>) -> Value {
    Value::List(list(pairs))
}

fn string(text: &str) -> Value {
    Value::String(text.into())
}

fn strings(texts: &[&str]) -> Value {
    Value::StringArray(texts.iter().map(|text| (*text).into()).collect())
}

/// One target with these properties.
fn target(name: &str, properties: Vec<(&str, Value)>) -> NvList {
    list(vec![(
        "targetList",
        nested(vec![(name, nested(vec![("properties", nested(properties))]))]),
    )])
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text.into()).unwrap())
}

/// A target and an initiator with secrets.
fn guarded() -> Config {
    let changes = [
        Change::CreateTarget(TargetChange {
            name: Some(A.into()),
            secret: secret("target secret"),
            ..TargetChange::default()
        }),
        Change::CreateInitiator {
            name: HOST.into(),
            change: InitiatorChange {
                secret: secret("initiator secret"),
                ..InitiatorChange::default()
            },
        },
    ];
    changes
        .iter()
        .fold(Config::default(), |config, change| config.changed(change).unwrap().0)
}

#[test]
fn what_this_program_writes_it_takes_back_secrets_included() {
    let config = guarded();
    let back = config.replaced(&config.pack()).unwrap();
    assert_eq!((back.config, back.renamed), (config, vec![]));
    let empty = guarded().replaced(&NvList::new().pack()).unwrap();
    assert_eq!(empty.config, Config::default());
}

#[test]
fn values_arrive() {
    let data = list(vec![
        ("cfgVersion", Value::UInt32(1)),
        ("mine", Value::UInt64(9)),
        (
            "tpgList",
            nested(vec![(
                "front",
                nested(vec![("portalList", strings(&["192.0.2.1:3260", "[2001:db8::1]:3261"]))]),
            )]),
        ),
        (
            "targetList",
            nested(vec![(
                "IQN.2026-11.example:A",
                nested(vec![
                    (
                        "properties",
                        nested(vec![
                            ("alias", string("disk a")),
                            ("auth", string("chap")),
                            ("targetchapuser", string("none")),
                            ("targetchapsecret", string("Y29ycmVjdCBob3JzZQ==")),
                        ]),
                    ),
                    ("generation", Value::UInt64(7)),
                    (
                        "tpgtList",
                        nested(vec![("front", nested(vec![("tag", Value::UInt16(5))]))]),
                    ),
                ]),
            )]),
        ),
        (
            "globalProperties",
            nested(vec![("auth", string("none")), ("isns", Value::BooleanValue(false))]),
        ),
    ]);
    let config = Config::default().replaced(&list_pack(&data)).unwrap().config;
    let target = config.target(A).unwrap();
    assert_eq!(target.alias.as_deref(), Some("disk a"));
    assert_eq!((target.auth, target.chap_user.as_deref()), (Some(Auth::Chap), None));
    assert_eq!(target.secret, secret("correct horse"));
    let tags: Vec<_> = target.bindings.iter().map(|b| (b.group.as_str(), b.tag)).collect();
    assert_eq!(tags, [("front", 5)]);
    assert_eq!(config.group("front").unwrap().portals.len(), 2);
    let again = NvList::unpack(&config.pack(), &Limits::PROVIDER_DATA).unwrap();
    assert_eq!(again.get("mine"), Some(&Value::UInt64(9)), "pairs of others stay");
    let text = String::from_utf8_lossy(&config.pack()).into_owned();
    assert!(!text.contains("Y29y") && text.contains("disk a"));
}

fn list_pack(list: &NvList) -> Vec<u8> {
    list.pack()
}

#[test]
fn secrets_stay_go_and_follow_a_rename() {
    let config = guarded();
    let kept = config.replaced(&target(A, vec![]).pack()).unwrap().config;
    assert_eq!(kept.target(A).unwrap().secret, secret("target secret"));
    let gone = config.replaced(&target(A, vec![("targetchapsecret", string(""))]).pack());
    assert_eq!(gone.unwrap().config.target(A).unwrap().secret, None);
    let other = config.replaced(&target(B, vec![]).pack()).unwrap();
    assert_eq!(
        (other.config.target(B).unwrap().secret.clone(), other.renamed),
        (None, vec![])
    );
    let renamed = config
        .replaced(&target(B, vec![("oldtargetname", string(A))]).pack())
        .unwrap();
    assert_eq!(renamed.renamed, [(A.to_owned(), B.to_owned())]);
    assert_eq!(renamed.config.target(B).unwrap().secret, secret("target secret"));
    assert!(!String::from_utf8_lossy(&renamed.config.pack()).contains("oldtargetname"));
}

#[test]
fn what_makes_no_sense_is_refused_and_named() {
    let bound = |tag: Value, group: &str| {
        list(vec![
            (
                "tpgList",
                nested(vec![("g", nested(vec![("portalList", strings(&["192.0.2.1:3260"]))]))]),
            ),
            (
                "targetList",
                nested(vec![(
                    A,
                    nested(vec![("tpgtList", nested(vec![(group, nested(vec![("tag", tag)]))]))]),
                )]),
            ),
        ])
    };
    let groups = |pairs| list(vec![("tpgList", nested(pairs))]);
    let portals = |texts: &[&str]| nested(vec![("portalList", strings(texts))]);
    let globals = |pairs| list(vec![("globalProperties", nested(pairs))]);
    for (data, named) in [
        (list(vec![("cfgVersion", Value::UInt32(2))]), "cfgVersion"),
        (list(vec![("cfgVersion", Value::UInt64(1))]), "cfgVersion"),
        (list(vec![("targetList", Value::UInt64(1))]), "targetList"),
        (list(vec![("targetList", nested(vec![(A, Value::Boolean)]))]), A),
        (target("not a name", vec![]), "not a name"),
        (target(A, vec![("alias", Value::UInt64(1))]), "alias"),
        (target(A, vec![("alias", string(&"x".repeat(256)))]), "alias"),
        (target(A, vec![("alias", Value::String(vec![0xff]))]), "alias"),
        (target(A, vec![("auth", string("kerberos"))]), "auth"),
        (target(A, vec![("colour", string("red"))]), "colour"),
        (
            target(A, vec![("targetchapsecret", string("c2hvcnQ="))]),
            "targetchapsecret",
        ),
        (target(A, vec![("targetchapsecret", string("!"))]), "targetchapsecret"),
        (bound(Value::UInt16(1), "g"), "tag"),
        (bound(Value::UInt64(2), "g"), "tag"),
        (bound(Value::UInt16(2), "other"), "other"),
        (groups(vec![("g", portals(&[]))]), "portal"),
        (groups(vec![("g", portals(&["192.0.2.1"]))]), "portalList"),
        (
            groups(vec![("a", portals(&["192.0.2.1:1"])), ("b", portals(&["192.0.2.1:1"]))]),
            "192.0.2.1:1",
        ),
        (groups(vec![("a,b", portals(&["192.0.2.1:1"]))]), "a,b"),
        (globals(vec![("auth", string("maybe"))]), "auth"),
        (globals(vec![("isns", string("yes"))]), "isns"),
        (globals(vec![("isnsserver", strings(&["h"; 9]))]), "isnsserver"),
        (globals(vec![("colour", string("red"))]), "colour"),
    ] {
        let refusal = guarded().replaced(&data.pack()).unwrap_err().to_string();
        assert!(refusal.contains(named), "{refusal} does not name {named}");
    }
    let twice = list(vec![(
        "targetList",
        nested(vec![(A, nested(vec![])), ("IQN.2026-11.EXAMPLE:A", nested(vec![]))]),
    )]);
    assert_eq!(guarded().replaced(&twice.pack()), Err(Refusal::Exists(A.into())));
    let both = nested(vec![(
        "properties",
        nested(vec![("chapsecret", string("Y29ycmVjdCBob3JzZQ=="))]),
    )]);
    let mut shared = target(A, vec![("targetchapsecret", string("Y29ycmVjdCBob3JzZQ=="))]);
    shared.push("iniList", nested(vec![(HOST, both)]));
    let refusal = guarded().replaced(&shared.pack()).unwrap_err().to_string();
    assert!(refusal.contains("secret of a target"), "{refusal}");
    assert!(guarded().replaced(b"rubbish").is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_configuration_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..400, with: u8) {
        let _ = guarded().replaced(&bytes);
        let mut packed = guarded().pack();
        let at = at % packed.len();
        packed[at] = with;
        let _ = guarded().replaced(&packed);
    }
}
