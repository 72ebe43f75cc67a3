use super::*;
use crate::iscsi::admin::{Change, DefaultsChange, InitiatorChange, Set, TargetChange};

const NAME: &str = "iqn.2026-11.example:a";

fn secret_of(text: &str) -> Option<Secret> {
    Some(Secret::new(text.into()).unwrap())
}

fn full() -> Config {
    let changes = [
        Change::CreateGroup {
            name: "g".into(),
            portals: vec!["192.0.2.1:3260".parse().unwrap(), "[2001:db8::1]:3261".parse().unwrap()],
        },
        Change::CreateTarget(TargetChange {
            name: Some(NAME.into()),
            alias: Set::To("disk a".into()),
            auth: Set::To(Auth::Chap),
            chap_user: Set::To("t".into()),
            secret: secret_of("target secret"),
            groups: Some(vec!["g".into()]),
        }),
        Change::CreateTarget(TargetChange {
            name: Some("iqn.2026-11.example:b".into()),
            ..TargetChange::default()
        }),
        Change::CreateInitiator {
            name: "iqn.2026-11.example:Host".into(),
            change: InitiatorChange {
                chap_user: Set::To("u".into()),
                secret: secret_of("initiator secret"),
            },
        },
        Change::Defaults(DefaultsChange::auth(Auth::None)),
    ];
    changes
        .iter()
        .fold(Config::default(), |config, change| config.changed(change).unwrap().0)
}

#[test]
fn everything_survives_packing_and_secrets_go_apart() {
    let config = full();
    let (bytes, secrets) = (config.pack(), config.secrets());
    assert_eq!(Config::unpack(&bytes, &secrets).unwrap(), config);
    let keys: Vec<&str> = secrets.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "iscsit.secret/initiator/iqn.2026-11.example:Host",
            "iscsit.secret/target/iqn.2026-11.example:a"
        ]
    );
    let shown = format!("{config:?} {}", String::from_utf8_lossy(&bytes));
    for secret in ["target secret", "initiator secret"] {
        let base64 = chap::to_base64(secret.as_bytes());
        assert!(!shown.contains(secret) && !shown.contains(&base64));
        assert!(!shown.contains(&format!("{:?}", secret.as_bytes())));
    }
}

#[test]
fn secrets_inside_the_data_are_understood_and_moved() {
    let mut properties = NvList::new();
    properties.push("chapsecret", Value::String(b"Y29ycmVjdCBob3JzZQ==".into()));
    let mut fields = NvList::new();
    fields.push("properties", Value::List(properties));
    let mut initiators = NvList::new();
    initiators.push("iqn.2026-11.example:host", Value::List(fields));
    let mut list = NvList::new();
    list.push("iniList", Value::List(initiators));
    let config = Config::unpack(&list.pack(), &BTreeMap::new()).unwrap();
    let base64: Vec<String> = config.secrets().into_values().collect();
    assert_eq!(base64, ["Y29ycmVjdCBob3JzZQ=="]);
    assert!(!String::from_utf8_lossy(&config.pack()).contains("chapsecret"));
}

#[test]
fn what_is_not_understood_is_kept() {
    let mut targets = NvList::new();
    targets.push("not a name", Value::List(NvList::new()));
    targets.push(NAME, Value::UInt64(1));
    let mut globals = NvList::new();
    globals.push("isns", Value::BooleanValue(true));
    globals.push("isnsserver", Value::StringArray(vec![b"192.0.2.5:3205".into()]));
    globals.push("radiusserver", Value::String(b"192.0.2.6:1812".into()));
    let mut list = NvList::new();
    list.push("targetList", Value::List(targets));
    list.push("globalProperties", Value::List(globals));
    list.push("future", Value::UInt64(9));
    let config = Config::unpack(&list.pack(), &BTreeMap::new()).unwrap();
    assert_eq!(config.targets, []);
    let defaults = config.list_defaults();
    assert!(defaults.isns && defaults.isns_servers == ["192.0.2.5:3205"] && !defaults.radius_secret);
    let changed = config
        .changed(&Change::Defaults(DefaultsChange::auth(Auth::Chap)))
        .unwrap()
        .0;
    let again = NvList::unpack(&changed.pack(), &Limits::PROVIDER_DATA).unwrap();
    assert_eq!(again.get("future"), Some(&Value::UInt64(9)));
    assert_eq!(again.get("targetList"), list.get("targetList"));
    let Some(Value::List(globals)) = again.get("globalProperties") else {
        panic!("no globals")
    };
    assert_eq!(globals.get("isns"), Some(&Value::BooleanValue(true)));
    assert_eq!(globals.get("auth"), Some(&Value::String(b"chap".into())));
}

#[test]
fn rubbish_newer_versions_and_unknown_methods_are_refused() {
    assert!(Config::unpack(b"rubbish", &BTreeMap::new()).is_err());
    let mut list = NvList::new();
    list.push("cfgVersion", Value::UInt32(2));
    assert!(Config::unpack(&list.pack(), &BTreeMap::new()).is_err());
    let mut globals = NvList::new();
    globals.push("auth", Value::String(b"kerberos".into()));
    let mut list = NvList::new();
    list.push("globalProperties", Value::List(globals));
    assert!(Config::unpack(&list.pack(), &BTreeMap::new()).is_err());
}
