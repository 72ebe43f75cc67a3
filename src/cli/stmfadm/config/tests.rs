use super::difference::difference;
use super::document::*;
use super::wanted::merge;
use crate::types::{DevId, GroupName, Guid, Lun, Secret};
use proptest::prelude::*;

const ONE: &str = "600144F0000000000000000000000001";
const TWO: &str = "600144F0000000000000000000000002";

fn document(sections: &str) -> Document {
    let text = format!("{{\"format\": \"stmf-config\", \"version\": 1, {sections}}}");
    Document::parse(text.replace("ONE", ONE).replace("TWO", TWO).as_bytes()).unwrap()
}

#[test]
fn merging_replaces_what_is_named_and_exactness_removes_the_rest() {
    let have = document(
        r#""host-groups": [{"name": "a", "members": ["iqn.1"]}, {"name": "b", "members": []}],
           "target-groups": [{"name": "t", "members": []}],
           "views": [{"lu": "ONE", "lun": 1}, {"lu": "TWO", "lun": 2}]"#,
    );
    let file = document(
        r#""host-groups": [{"name": "c", "members": []}, {"name": "a", "members": ["hex:ff01"]}],
           "views": [{"lu": "ONE", "lun": 7, "host-group": "a"}]"#,
    );
    let names = |document: &Document| -> Vec<String> {
        let groups = document.host_groups.iter().flatten();
        groups.map(|group| group.name.to_string()).collect()
    };
    let merged = merge(&have, file.clone(), false);
    assert_eq!(names(&merged), ["a", "b", "c"]);
    let expected = [
        "+ host-group a member hex:ff01".to_owned(),
        "- host-group a member iqn.1".to_owned(),
        "+ host-group c".to_owned(),
        format!("- view {ONE} lun 1 host-group (all) target-group (all)"),
        format!("+ view {ONE} lun 7 host-group a target-group (all)"),
    ];
    assert_eq!(difference(&have, &merged), expected);
    let exact = merge(&have, file, true);
    assert_eq!(names(&exact), ["c", "a"]);
    assert_eq!(exact.views.unwrap().len(), 1);
    assert_eq!(
        exact.target_groups.unwrap().len(),
        1,
        "a section that is absent says nothing"
    );
}

#[test]
fn secrets_are_kept_compared_and_never_shown() {
    let with = |secret: &str| {
        document(&format!(
            r#""iscsi": {{"targets": [{{"name": "iqn.2026-11.example:a"{secret}}}]}}"#
        ))
    };
    let have = with(r#", "secret": "Y29ycmVjdCBob3JzZQ==""#);
    let kept = merge(&have, with(r#", "secret": "(kept)""#), false);
    assert_eq!(kept, have);
    assert!(difference(&have, &kept).is_empty());
    let lines = |file: Document| difference(&have, &merge(&have, file, false)).join("\n");
    let name = "target iqn.2026-11.example:a secret";
    assert_eq!(lines(with("")), format!("- {name} = (set)"));
    let new = lines(with(r#", "secret": "YmF0dGVyeSBzdGFwbGU=""#));
    assert_eq!(new, format!("- {name} = (set)\n+ {name} = (new)"));
    let hidden = have.without_secrets();
    assert!(hidden.print().contains("(kept)") && !format!("{hidden:?}{}", hidden.print()).contains("Y29y"));
}

fn text() -> impl Strategy<Value = String> {
    "[a-z\u{e4}\"\\\\\u{1}]{1,8}"
}

prop_compose! {
    fn lu()(guid in any::<[u8; 16]>(), file in text(), alias in proptest::option::of(text()), size: Option<u64>) -> Lu {
        Lu { file, alias, size, ..Lu::bare(Guid(guid)) }
    }
}

prop_compose! {
    fn view()(lu in any::<[u8; 16]>(), lun in 0..=Lun::MAX, group in proptest::option::of("[a-z]{1,8}")) -> View {
        let host_group = group.map(|name| GroupName::new(name.as_bytes()).unwrap());
        View { lu: Guid(lu), lun: Lun::new(lun).unwrap(), host_group, target_group: None }
    }
}

prop_compose! {
    fn any_document()(
        lus in proptest::collection::vec(lu(), 0..4),
        views in proptest::collection::vec(view(), 0..4),
        members in proptest::collection::vec(proptest::collection::vec(1u8.., 1..20), 0..4),
        secret in proptest::collection::vec(any::<u8>(), 12..40),
    ) -> Document {
        let members = members.iter().map(|member| Member(DevId::new(member).unwrap())).collect();
        let name = GroupName::new(b"g").unwrap();
        let secret = Some(SecretText::Value(Secret::new(secret).unwrap()));
        let initiator = Initiator { name: "i".into(), chap_user: None, secret };
        Document {
            format: FORMAT.into(),
            version: VERSION,
            host_groups: Some(vec![Group { name, members }]),
            logical_units: Some(lus),
            views: Some(views),
            iscsi: Some(Iscsi { initiators: Some(vec![initiator]), ..Iscsi::default() }),
            ..Document::default()
        }
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_again(document in any_document()) {
        prop_assert_eq!(Document::parse(document.print().as_bytes()).unwrap(), document);
    }

    #[test]
    fn damaged_documents_are_read_or_refused(document in any_document(), at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let mut bytes = document.print().into_bytes();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = byte;
        }
        if let Ok(other) = Document::parse(&bytes) {
            let merged = merge(&document, other, cut);
            let lines = difference(&document, &merged);
            prop_assert!(lines.iter().all(|line| !line.contains(char::is_control)));
        }
    }
}

/// The corpus of the fuzzer, each byte of it changed in turn.
#[test]
fn a_document_with_a_wrong_byte_is_read_or_refused() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/config_document");
    let mut inputs = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        super::fuzz_import(&bytes);
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1 << (at % 8);
            super::fuzz_import(&wrong);
        }
        inputs += 1;
    }
    assert!(inputs >= 4, "{corpus}");
}
