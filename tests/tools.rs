//! The tools as processes against a real `stmfd`: what a script sees (`cli.md` chapter 8).

mod common;

use common::{Stmfd, build_dir, must, run};
use std::process::{Command, Stdio};

fn status_and_err(command: &mut Command) -> (Option<i32>, String) {
    let output = run(command);
    assert_eq!(output.stdout, b"");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

#[test]
fn a_disk_from_nothing_to_visible_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let tool = |name: &str, line: &str| stmfd.tool(name, &line.split(' ').collect::<Vec<_>>());
    let store = dir.path().join("disk.img");
    std::fs::File::create(&store).unwrap().set_len(10 << 20).unwrap();
    let store = store.to_str().unwrap();

    let out = must(&mut tool(
        "stmfadm",
        &format!("create-lu -p alias=disk -p vid=ACME -s 4m {store}"),
    ));
    let guid = out
        .strip_prefix("Logical unit created: ")
        .unwrap()
        .trim_end()
        .to_owned();
    let lower = guid.to_lowercase();
    let (code, err) = status_and_err(&mut tool("stmfadm", &format!("create-lu {store}")));
    assert_eq!((code, err), (Some(1), format!("stmfadm: filename {store}: in use\n")));

    must(&mut tool("stmfadm", "create-hg hosts"));
    must(&mut tool("stmfadm", "add-hg-member -g hosts iqn.1998-01.com.example:A"));
    must(&mut tool("stmfadm", &format!("add-view -h hosts -n 4 {lower}")));
    let (code, err) = status_and_err(&mut tool("stmfadm", &format!("add-view -h hosts {guid}")));
    assert_eq!((code, err.as_str()), (Some(1), "stmfadm: view entry exists\n"));
    let (code, err) = status_and_err(&mut tool("stmfadm", "delete-hg hosts"));
    assert_eq!(
        (code, err.as_str()),
        (Some(1), "stmfadm: hosts: group is in use by existing view entry\n")
    );
    assert_eq!(
        must(&mut tool("stmfadm", &format!("list-view -l {guid}"))),
        "View Entry: 0\n    Host group   : hosts\n    Target group : All\n    LUN          : 4\n"
    );
    assert_eq!(
        must(&mut tool("stmfadm", "list-hg -v")),
        "Host Group: hosts\n\tMember: iqn.1998-01.com.example:a\n"
    );
    let expected = format!(
        "LU Name: {guid}\n    Operational Status: Online\n    Provider Name     : sbd\n    Alias             : disk\n    \
         View Entry Count  : 1\n    Data File         : {store}\n    Meta File         : not set\n    \
         Size              : 4194304\n    Block Size        : 512\n    Management URL    : not set\n    \
         Vendor ID         : ACME    \n    Product ID        : COMSTAR         \n    \
         Serial Num        : not set\n    Write Protect     : Disabled\n    Writeback Cache   : Enabled\n    \
         Access State      : Active\n"
    );
    assert_eq!(must(&mut tool("stmfadm", "list-lu -v")), expected);

    assert_eq!(must(&mut tool("stmfadm", &format!("offline-lu {guid}"))), "");
    assert!(must(&mut tool("stmfadm", "list-lu -v")).contains("Operational Status: Offline\n"));
    assert_eq!(must(&mut tool("stmfadm", &format!("online-lu {guid}"))), "");

    assert_eq!(must(&mut tool("stmfadm", &format!("delete-lu -k {guid}"))), "");
    let unloaded = must(&mut tool("stmfadm", "list-lu -v"));
    assert_eq!(unloaded.lines().nth(1), Some("    Operational Status: unregistered"));
    assert_eq!(
        must(&mut tool("stmfadm", &format!("import-lu {store}"))),
        format!("Logical unit imported: {guid}\n")
    );
    assert_eq!(must(&mut tool("stmfadm", &format!("delete-lu {guid}"))), "");
    let (code, err) = status_and_err(&mut tool("stmfadm", &format!("delete-lu {guid}")));
    assert_eq!((code, err), (Some(1), format!("stmfadm: {lower}: not found\n")));
    assert_eq!(must(&mut tool("stmfadm", "list-lu")), "");
    stmfd.stop();
}

#[test]
fn targets() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let tool = |name: &str, line: &str| stmfd.tool(name, &line.split(' ').collect::<Vec<_>>());
    let name = "iqn.2010-08.org.illumos:02:rack4";
    assert_eq!(must(&mut tool("itadm", "list-target")), "");
    let create = "create-target -l front -n iqn.2010-08.org.illumos:02:RACK4";
    assert_eq!(
        must(&mut tool("itadm", create)),
        format!("Target {name} successfully created\n")
    );
    let (code, err) = status_and_err(&mut tool("itadm", create));
    assert_eq!(code, Some(17));
    assert!(err.ends_with("itadm create-target failed with error 17\n"), "{err}");
    assert_eq!(
        must(&mut tool("itadm", "list-target -p")),
        format!("{name}\tonline\t0\n")
    );
    let verbose = must(&mut tool("stmfadm", "list-target -v"));
    assert_eq!(
        verbose,
        format!(
            "Target: {name}\n    Operational Status: Online\n    Provider Name     : iscsit\n    \
             Alias             : front\n    Protocol          : iSCSI\n    Sessions          : 0\n"
        )
    );
    let (code, err) = status_and_err(&mut tool("itadm", &format!("delete-target {name}")));
    assert_eq!(code, Some(16));
    assert!(err.ends_with("itadm delete-target failed with error 16\n"), "{err}");
    assert_eq!(must(&mut tool("stmfadm", &format!("offline-target {name}"))), "");
    assert_eq!(must(&mut tool("itadm", &format!("delete-target {name}"))), "");
    let (code, err) = status_and_err(&mut tool("itadm", &format!("delete-target {name} -f")));
    assert_eq!(
        (code, err.lines().next()),
        (Some(1), Some(&*format!("Target {name} not found")))
    );
}

#[test]
fn alua() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let tool = |name: &str, line: &str| stmfd.tool(name, &line.split(' ').collect::<Vec<_>>());
    assert_eq!(must(&mut tool("aluaadm", "enable 1")), "");
    assert!(must(&mut tool("stmfadm", "list-state")).ends_with("ALUA Status       : enabled\nALUA Node         : 1\n"));
    assert_eq!(must(&mut tool("aluaadm", "fenced")), "");
    assert_eq!(must(&mut tool("aluaadm", "disable")), "");
    assert!(
        must(&mut tool("stmfadm", "list-state")).ends_with("ALUA Status       : disabled\nALUA Node         : 1\n")
    );
    let guid = "600144F0C73ABF00000065A1B2C30001";
    let (code, err) = status_and_err(&mut tool("aluaadm", &format!("standby {guid}")));
    assert_eq!((code, err), (Some(2), format!("aluaadm: {guid}: not found\n")));
}

/// Never a framework of the tool's own: its changes would end with it.
#[test]
fn without_a_service() {
    let tool = |name: &str, line: &str, endpoint: &str| {
        let mut command = Command::new(build_dir().join(name));
        command.args(line.split(' ')).env("STMF_ENDPOINT", endpoint);
        status_and_err(&mut command)
    };
    let nobody = "daemon:/nonexistent/door";
    let not_found = |tool: &str| format!("{tool}: STMF service not found\n");
    assert_eq!(tool("stmfadm", "list-state", nobody), (Some(9), not_found("stmfadm")));
    assert_eq!(tool("stmfadm", "create-hg x", nobody), (Some(1), not_found("stmfadm")));
    assert_eq!(tool("aluaadm", "enable 0", nobody), (Some(9), not_found("aluaadm")));
    assert_eq!(tool("itadm", "list-target", nobody).0, Some(1));
    let (code, err) = tool("stmfadm", "list-state", "deamon");
    assert_eq!(code, Some(1));
    assert!(err.starts_with("stmfadm: STMF_ENDPOINT='deamon': "), "{err}");
}

/// A command that waits for its answer when `stmfd` is killed ends with the line for that, and does not hang.
#[test]
fn stmfd_dies_in_the_middle_of_a_command() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let signal = |name: &str, pid: u32| must(Command::new("kill").args([name, &pid.to_string()]));
    for (tool, line, expected) in [
        ("stmfadm", "list-lu", "stmfadm: "),
        ("stmfadm", "create-hg web", "stmfadm: "),
        ("stmfadm", "status --check", "stmfadm: "),
        ("stmfadm", "export-config", "stmfadm: "),
        ("sbdadm", "create-lu /srv/none.img", "sbdadm: "),
        ("itadm", "create-target", "The iSCSI target service must be online"),
        ("aluaadm", "enable 0", "aluaadm: "),
    ] {
        let stmfd = Stmfd::start(tempfile::tempdir_in(dir.path()).unwrap().path());
        let pid = stmfd.pid();
        signal("-STOP", pid);
        let mut command = stmfd.tool(tool, &line.split(' ').collect::<Vec<_>>());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Long enough to have sent its request; if not, the door is found dead, which is the same to the user.
        std::thread::sleep(std::time::Duration::from_millis(300));
        stmfd.kill();
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code().is_some_and(|code| (1..128).contains(&code)),
            "{err}"
        );
        let lines = if tool == "itadm" { 3 } else { 1 };
        assert!(err.starts_with(expected) && err.lines().count() == lines, "{err}");
        assert_eq!(output.stdout, b"");
    }
    // Others are not disturbed.
    must(&mut stmfd.tool("stmfadm", &["list-state"]));
    stmfd.stop();
}

/// Of many who ask for the same at once, one gets it; the others are told that somebody was faster.
#[test]
fn two_tools_change_the_same_object() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let of_tool = |tool: &str, line: &str| {
        let start = || {
            let mut command = stmfd.tool(tool, &line.split(' ').collect::<Vec<_>>());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children: Vec<_> = (0..6).map(|_| start()).collect();
        let outputs: Vec<_> = children
            .into_iter()
            .map(|child| child.wait_with_output().unwrap())
            .collect();
        let done = outputs.iter().filter(|output| output.status.success()).count();
        let said = |output: &std::process::Output| String::from_utf8(output.stderr.clone()).unwrap();
        let refusals: Vec<String> = outputs.iter().map(said).filter(|text| !text.is_empty()).collect();
        (done, refusals)
    };
    let at_once = |line: &str| of_tool("stmfadm", line);
    let (done, refusals) = at_once("create-hg web");
    assert_eq!(
        (done, refusals),
        (1, vec!["stmfadm: web: already exists\n".to_owned(); 5])
    );
    let store = common::disk_file(&dir.path().join("disk"), 2 << 20);
    let (done, refusals) = at_once(&format!("create-lu {store}"));
    assert_eq!(
        (done, refusals),
        (1, vec![format!("stmfadm: filename {store}: in use\n"); 5])
    );
    let guid = must(&mut stmfd.tool("stmfadm", &["list-lu"]))
        .replace("LU Name: ", "")
        .trim()
        .to_owned();
    let (done, refusals) = at_once(&format!("add-view {guid}"));
    assert_eq!(
        (done, refusals),
        (1, vec!["stmfadm: view entry exists\n".to_owned(); 5])
    );
    let (done, refusals) = at_once(&format!("delete-lu {guid}"));
    // One that finds the LU gone and its entry still there removes the entry, and is as right as the one before it.
    assert!(done >= 1 && done + refusals.len() == 6, "{done} {refusals:?}");
    let gone = format!("stmfadm: {}: not found\n", guid.to_lowercase());
    assert!(
        refusals
            .iter()
            .all(|text| *text == gone || text == "stmfadm: resource busy\n"),
        "{refusals:?}"
    );
    assert_eq!(must(&mut stmfd.tool("stmfadm", &["list-lu"])), "");

    let (done, refusals) = of_tool("itadm", "create-tpg front 192.0.2.1");
    let taken = "Target Portal Group front already exists\nitadm create-tpg failed with error 1\n";
    let overtaken = "Configuration changed during processing.";
    assert_eq!((done, refusals.len()), (1, 5));
    assert!(
        refusals.iter().all(|text| text == taken || text.starts_with(overtaken)),
        "{refusals:?}"
    );
    stmfd.stop();
}

/// A signal that the tool was started to ignore (`nohup`, a job in the background of a script) is no interrupt.
#[test]
fn an_ignored_interrupt_stays_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let store = dir.path().join("new.img");
    let stmfadm = build_dir().join("stmfadm");
    let create = format!(
        "kill -INT $$; kill -HUP $$; exec {} create-lu --create --prealloc=full -s 1m {}",
        stmfadm.display(),
        store.display()
    );
    let mut command = Command::new("env");
    command.args([
        "--ignore-signal=INT",
        "--ignore-signal=HUP",
        "--block-signal=INT",
        "--block-signal=HUP",
        "sh",
        "-c",
        &create,
    ]);
    let out = must(command.env("STMF_ENDPOINT", stmfd.endpoint()));
    assert!(out.starts_with("Logical unit created: ") && store.exists(), "{out}");
    stmfd.stop();
}

/// Sessions of two initiators: names, counts and times where scripts look for them (`cli.md` chapter 8), and in JSON.
#[test]
fn sessions_show_where_scripts_look_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let url = common::serve(&stmfd, &common::disk_file(&dir.path().join("disk"), 16 << 20));
    let tool = |name: &str, line: &str| must(&mut stmfd.tool(name, &line.split(' ').collect::<Vec<_>>()));
    let check = |schema: &str, document: &str| {
        let (root, file) = (env!("CARGO_MANIFEST_DIR"), dir.path().join("document"));
        std::fs::write(&file, document).unwrap();
        let checker = format!("{root}/tests/tools_transcripts/check-json");
        must(Command::new(checker).arg(schema).arg(file))
    };
    let mut hosts = Vec::new();
    for count in 1..=2 {
        let name = format!("iqn.2026-11.example:HOST{count}");
        let mut host = Command::new("iscsi-perf");
        host.args(["-i", &name, "-m", "1", "-b", "1", "-t", "600", &url]);
        hosts.push(host.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        common::wait_for("the session begins", || {
            tool("stmfadm", "list-target -v").contains(&format!("Sessions          : {count}\n"))
        });
        let document = tool("stmfadm", "list-session --json");
        assert_eq!(
            check("stmfadm-list-session", &document),
            format!("stmfadm list-session {count} 0\n")
        );
        let document = tool("stmfadm", "list-target --json");
        assert_eq!(check("stmfadm-list-target", &document), "stmfadm list-target 1 0\n");
    }
    let listed = tool("stmfadm", "list-target -v");
    let line = |label: &str| {
        listed
            .lines()
            .filter(|line| line.trim_start().starts_with(label))
            .count()
    };
    assert_eq!(
        (line("Initiator: iqn.2026-11.example:host"), line("Logged in since: ")),
        (2, 2),
        "{listed}"
    );
    assert_eq!(listed.matches("Online").count(), 1, "{listed}");
    assert!(
        listed.to_lowercase().find(":host2") < listed.to_lowercase().find(":host1"),
        "the latest first: {listed}"
    );
    let since = listed
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("Logged in since: "))
        .unwrap();
    assert_eq!(since.len(), 24, "{since}");
    assert_eq!(
        tool("itadm", "list-target -p").trim_end().rsplit('\t').next(),
        Some("2")
    );
    let map = tool("stmfadm", "list-map --json iqn.2026-11.example:host1");
    assert!(map.contains("\"logged_in\":true") && map.contains("\"lun\":0"), "{map}");
    check("stmfadm-status", &tool("stmfadm", "status --json"));
    for mut host in hosts {
        host.kill().unwrap();
        host.wait().unwrap();
    }
    common::wait_for("the sessions have ended", || {
        tool("stmfadm", "events").matches(" ended\n").count() == 2
    });
    let events = tool("stmfadm", "events --json");
    assert_eq!(events.matches("\"login\"").count(), 2, "{events}");
    check("stmfadm-events", &events);
    stmfd.stop();
}

/// A sparse store in a file system that is nearly full (`cli.md` 10.2). Needs the right to mount.
#[test]
fn a_store_that_runs_out_of_room_is_worth_a_look() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let small = common::SmallStore::new(&dir.path().join("small"));
    let guid = common::create_lu(&stmfd, &common::disk_file(&small.0.join("lu"), 64 << 20));
    let check = || run(&mut stmfd.tool("stmfadm", &["status", "--check"]));
    assert_eq!(check().status.code(), Some(0));
    std::fs::write(small.0.join("other"), vec![1; (16 << 20) - (512 << 10)]).unwrap();
    let seen = check();
    let text = String::from_utf8(seen.stdout).unwrap();
    assert_eq!(seen.status.code(), Some(3), "{text}");
    assert!(
        text.starts_with(&format!("! {guid}: store nearly full: ")) && text.lines().count() == 1,
        "{text}"
    );
    must(&mut stmfd.tool("stmfadm", &["delete-lu", &guid]));
    stmfd.stop();
}

/// A list whose reader cannot take it, and a terminal that goes away.
#[test]
fn output_that_goes_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    must(&mut stmfd.tool("stmfadm", &["create-hg", "web"]));
    let mut full = stmfd.tool("stmfadm", &["list-hg"]);
    full.stdout(std::fs::File::create("/dev/full").unwrap())
        .stderr(Stdio::piped());
    let output = full.spawn().unwrap().wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && err.starts_with("stmfadm: cannot write output: "),
        "{err}"
    );

    // A secret is asked for, and the terminal is gone: nobody answers.
    let line = format!(
        "{} create-initiator -s iqn.1993-08.org.debian:01:x",
        build_dir().join("itadm").display()
    );
    let mut terminal = Command::new("script")
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .env("STMF_ENDPOINT", stmfd.endpoint())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = String::new();
    let mut output = terminal.stdout.take().unwrap();
    while !shown.ends_with("secret: ") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut output, &mut byte).unwrap();
        shown.push(char::from(byte[0]));
    }
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    assert_eq!(must(&mut stmfd.tool("itadm", &["list-initiator"])), "");
    stmfd.stop();
}

#[test]
fn stmfd_tells_the_service_manager_that_it_lives() {
    let dir = tempfile::tempdir().unwrap();
    let manager = common::ServiceManager::start(dir.path());
    let portal = format!("127.0.0.1:{}", common::free_port());
    let mut command = Stmfd::command(dir.path(), &portal);
    manager.watch(&mut command);
    let stmfd = Stmfd::start_command(command, dir.path(), &portal);
    assert_eq!(manager.told(3), ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    stmfd.stop();
}
