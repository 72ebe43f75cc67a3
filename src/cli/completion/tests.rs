use crate::cli::script::{Script, ran, run_words};
use crate::cli::{aluaadm, itadm, sbdadm, stmfadm};
use crate::framework::{AccessReport, GroupKind, LuInfo, ViewEntry};
use crate::iscsi::admin::{GroupInfo, Listing};
use crate::types::{AccessState, DevId, GroupName, Guid, LuProperties, Lun, Status};

const GUID: &str = "600144F0C73ABF00000065A1B2C30001";

fn completed(tool: &str, line: &str, script: &Script) -> Vec<String> {
    let main = match tool {
        "stmfadm" => stmfadm::run,
        "sbdadm" => sbdadm::run,
        "aluaadm" => aluaadm::run,
        _ => itadm::run,
    };
    let words: Vec<String> = ["__complete"]
        .into_iter()
        .chain(line.split(' '))
        .map(str::to_owned)
        .collect();
    let result = run_words(main, tool, &words, script);
    assert_eq!((result.status, result.err.as_str()), (0, ""), "{line}");
    result.out.lines().map(str::to_owned).collect()
}

fn guid() -> Guid {
    GUID.parse().unwrap()
}

fn lus() -> Script {
    let info = LuInfo {
        guid: guid(),
        state: None,
        provider: String::new(),
        alias: "vm01\n".into(),
        vendor: [b' '; 8],
        product: [b' '; 16],
        revision: [b' '; 4],
    };
    Script::new()
        .ok("lu_list()", vec![guid()])
        .ok(&format!("lu_info({GUID})"), info)
}

fn sized() -> Script {
    let properties = LuProperties {
        size: Some(10 << 30),
        ..LuProperties::default()
    };
    let access = AccessState::Active;
    lus().ok(&format!("lu_resource({GUID})"), AccessReport { access, properties })
}

#[test]
fn subcommands_and_options() {
    let none = Script::new();
    assert_eq!(completed("stmfadm", "on", &none), ["online-lu", "online-target"]);
    assert_eq!(completed("sbdadm", "c", &none), ["create-lu", "completion"]);
    assert_eq!(completed("itadm", "list-t", &none), ["list-target", "list-tpg"]);
    assert_eq!(
        completed("stmfadm", "list-view -", &none),
        [
            "--lu-name",
            "--json",
            "--watch",
            "--count",
            "--color",
            "--explain",
            "--exit-class",
            "-l"
        ]
    );
    assert_eq!(
        completed("stmfadm", "status --c", &none),
        ["--check", "--count", "--color"]
    );
    assert_eq!(
        completed("itadm", "list-tpg --", &none),
        [
            "--parsable",
            "--verbose",
            "--json",
            "--watch",
            "--count",
            "--color",
            "--explain",
            "--exit-class"
        ]
    );
    assert_eq!(completed("stmfadm", "nonsense -", &none), [""; 0]);
    assert_eq!(completed("aluaadm", "completion z", &none), ["zsh"]);
}

#[test]
fn names_that_exist_now() {
    let described = format!("{GUID}\tvm01?, 10G");
    assert_eq!(
        completed("stmfadm", "delete-lu -k 6001", &sized()),
        [described.as_str()]
    );
    assert_eq!(
        completed("stmfadm", "list-view --lu-name ", &sized()),
        [described.as_str()]
    );
    assert_eq!(completed("sbdadm", "modify-lu -s 1g ", &sized()), [described.as_str()]);
    assert_eq!(completed("aluaadm", "standby ", &sized()), [described.as_str()]);
    let by_alias = format!("alias:vm01?\t{GUID}");
    assert_eq!(completed("stmfadm", "online-lu alias:v", &lus()), [by_alias.as_str()]);
    assert_eq!(completed("aluaadm", "enable ", &Script::new()), ["0", "1"]);
    let name = |text: &str| GroupName::new(text.as_bytes()).unwrap();
    let script = Script::new().ok("group_list(Host)", vec![name("esx"), name("backup")]);
    assert_eq!(completed("stmfadm", "add-view -h e", &script), ["esx"]);
    let script = Script::new().ok("group_list(Target)", vec![name("front")]);
    assert_eq!(completed("stmfadm", "add-tg-member -g ", &script), ["front"]);
    let member = DevId::new(b"iqn.x:y").unwrap();
    let call = format!("group_members({:?}, {:?})", GroupKind::Host, name("esx"));
    for given in ["-g esx", "-gesx", "--group-name=esx"] {
        let script = Script::new().ok(&call, vec![member.clone()]);
        let line = format!("remove-hg-member {given} ");
        assert_eq!(completed("stmfadm", &line, &script), ["iqn.x:y"], "{given}");
    }
    let view = ViewEntry {
        index: 7,
        host_group: None,
        target_group: None,
        lun: Lun::new(0).unwrap(),
    };
    let script = Script::new().ok(&format!("view_list({GUID})"), vec![view]);
    assert_eq!(completed("stmfadm", &format!("remove-view -l {GUID} "), &script), ["7"]);
    let listing = Listing {
        groups: vec![GroupInfo {
            name: "tpgA".into(),
            portals: Vec::new(),
        }],
        ..Listing::default()
    };
    let script = Script::new().ok("iscsi_listing()", listing);
    assert_eq!(completed("itadm", "create-target -t ", &script), ["tpgA", "default"]);
}

#[test]
fn values_files_and_sizes() {
    let none = Script::new();
    assert_eq!(completed("itadm", "list-tpg --color a", &none), ["auto", "always"]);
    assert_eq!(
        completed("stmfadm", "create-lu -s 10", &none),
        ["10B", "10K", "10M", "10G", "10T", "10P", "10E"]
    );
    assert_eq!(completed("sbdadm", "create-lu -s 10g", &none), [""; 0]);
    assert_eq!(completed("stmfadm", "create-lu --prealloc f", &none), ["full"]);
    assert_eq!(completed("stmfadm", "status --node ", &none), ["local", "peer", "all"]);
    assert_eq!(completed("stmfadm", "modify-lu -p al", &none), ["alias="]);
    assert_eq!(completed("stmfadm", "create-lu -p w", &none).len(), 4);
    // Where files are wanted the shell knows better.
    assert_eq!(completed("stmfadm", "create-lu ", &none), [""; 0]);
    assert_eq!(completed("stmfadm", "modify-lu -f ", &none), [""; 0]);
}

#[test]
fn a_service_that_does_not_answer_is_no_news() {
    let script = Script::new().fail("lu_list()", Status::ServiceNotFound);
    assert_eq!(completed("stmfadm", "delete-lu ", &script), [""; 0]);
    let script = Script::new().fail("iscsi_listing()", Status::Perm);
    assert_eq!(completed("itadm", "delete-target ", &script), [""; 0]);
}

#[test]
fn scripts_for_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let words = ["completion", shell].map(str::to_owned);
        let result = run_words(itadm::run, "/sbin/itadm", &words, &Script::new());
        assert_eq!((result.status, result.err.as_str()), (0, ""));
        assert!(result.out.contains("itadm"));
        assert!(!result.out.contains("@TOOL@"));
    }
    for wrong in [
        &["completion"][..],
        &["completion", "ksh"],
        &["completion", "bash", "x"],
    ] {
        let words: Vec<String> = wrong.iter().map(|word| (*word).to_owned()).collect();
        let err = "stmfadm: completion requires the name of a shell: bash, zsh, fish\n";
        assert_eq!(
            run_words(stmfadm::run, "stmfadm", &words, &Script::new()),
            ran(1, "", err)
        );
    }
}
