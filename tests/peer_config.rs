//! Two real nodes: what each shows of the other, the comparison of their groups and view entries, and mirroring.

mod common;

use common::{Stmfd, build_dir, create_lu, disk_file, free_port, must, qemu_io, run, wait_for};
use std::process::{Child, Command, Stdio};

/// Two nodes with a channel; nothing is configured but a target on each.
struct Pair {
    dir: tempfile::TempDir,
    nodes: [Option<Stmfd>; 2],
    proxies: [Option<Child>; 2],
    channel: String,
}

impl Pair {
    fn start() -> Pair {
        Pair::start_nodes(|command| command)
    }

    /// The same, but node 1 sees an empty directory in place of `private`. Needs the right to mount.
    fn start_with_private_storage() -> Pair {
        Pair::start_nodes(|command| {
            let mut apart = Command::new("unshare");
            // An `exec`, so that signals reach the node.
            let hide = "mkdir -p $0/../private && mount -t tmpfs none $0/../private && exec \"$@\"";
            let state = command.get_args().nth(2).expect("the state directory").to_owned();
            apart.args(["--mount", "sh", "-c", hide]).arg(state);
            apart.arg(command.get_program()).args(command.get_args());
            apart
        })
    }

    fn start_nodes(second: impl Fn(Command) -> Command) -> Pair {
        let mut pair = Pair {
            dir: tempfile::tempdir().expect("temporary directory"),
            nodes: [None, None],
            proxies: [None, None],
            channel: format!("127.0.0.1:{}", free_port()),
        };
        for node in [0, 1] {
            let (state, portal) = (
                pair.dir.path().join(format!("node{node}")),
                format!("127.0.0.1:{}", free_port()),
            );
            let command = Stmfd::command(&state, &portal);
            let command = if node == 1 { second(command) } else { command };
            std::fs::create_dir(&state).expect("a state directory");
            pair.nodes[node] = Some(Stmfd::start_command(command, &state, &portal));
            pair.must(
                node,
                "itadm",
                &["create-target", "-n", &format!("iqn.2026-11.example:t{node}")],
            );
        }
        for node in [1, 0] {
            pair.start_proxy(node);
        }
        for node in [0, 1] {
            pair.wait_reachable(node, true);
        }
        pair
    }

    fn start_proxy(&mut self, node: usize) {
        let role = if node == 0 { "--connect" } else { "--listen" };
        let child = Command::new(build_dir().join("stmfproxy"))
            .args(["-f", "--plain", "-n", &node.to_string(), role, &self.channel])
            .env("STMF_ENDPOINT", self.node(node).endpoint())
            .stdin(Stdio::null())
            .spawn();
        self.proxies[node] = Some(child.expect("stmfproxy starts"));
    }

    fn stop_proxy(&mut self, node: usize) {
        let mut child = self.proxies[node].take().expect("running");
        child.kill().expect("kill");
        child.wait().expect("wait");
    }

    fn node(&self, node: usize) -> &Stmfd {
        self.nodes[node].as_ref().expect("running")
    }

    fn must(&self, node: usize, tool: &str, arguments: &[&str]) -> String {
        must(&mut self.node(node).tool(tool, arguments))
    }

    /// Exit status and standard output.
    fn run(&self, node: usize, tool: &str, arguments: &[&str]) -> (i32, String) {
        let output = run(&mut self.node(node).tool(tool, arguments));
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().expect("it exits"), out)
    }

    fn json(&self, node: usize, arguments: &[&str]) -> serde_json::Value {
        let (_, out) = self.run(node, "stmfadm", arguments);
        let document: serde_json::Value = serde_json::from_str(&out).expect(&out);
        document["data"].clone()
    }

    fn wait_reachable(&self, node: usize, reachable: bool) {
        wait_for("the peer is there, or gone", || {
            self.json(node, &["list-alua", "--json"])["peer"]["reachable"] == reachable
        });
    }

    fn mirror(&self, node: usize) -> serde_json::Value {
        self.json(node, &["list-alua", "--json"])["mirror"].clone()
    }

    fn mirror_settled(&self, node: usize) -> serde_json::Value {
        wait_for("the peer has answered", || self.mirror(node)["waiting"] == 0);
        self.mirror(node)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for child in self.proxies.iter_mut().flatten() {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn each_node_shows_both() {
    let mut pair = Pair::start();
    let guid = create_lu(pair.node(0), &disk_file(&pair.dir.path().join("disk"), 16 << 20));
    wait_for("both show the LU", || {
        let lus = pair.json(1, &["status", "--json"])["lus"].clone();
        lus[0]["guid"] == guid.as_str() && lus[0]["access_here"] == "standby" && lus[0]["access_peer"] == "active"
    });
    let data = pair.json(1, &["status", "--json"]);
    let peer = &data["nodes"][1];
    assert_eq!(
        (&peer["node"], &peer["operational"], &peer["link"]),
        (&0.into(), &"online".into(), &"reachable".into())
    );
    assert!(
        peer["age_ms"].as_u64().is_some() && peer["uptime_s"].as_u64().is_some(),
        "{peer}"
    );
    assert_eq!(peer["lus"], 1);
    assert!(
        data["lus"][0]["size"].as_u64() > Some(15 << 20),
        "the peer tells the size: {data}"
    );
    let (exit, out) = pair.run(1, "stmfadm", &["status"]);
    assert!(
        exit == 0 && out.contains("I/O peer") && out.contains("as it said"),
        "{out}"
    );
    let alua = pair.json(0, &["list-alua", "--json"]);
    assert_eq!(
        (&alua["peer"]["kind"], &alua["lus"][0]["owner"]),
        (&"ours".into(), &"this-node".into())
    );

    // The peer goes: what it said last stays, with its age.
    pair.stop_proxy(0);
    pair.wait_reachable(1, false);
    let data = pair.json(1, &["status", "--json"]);
    let peer = &data["nodes"][1];
    assert_eq!((&peer["operational"], &peer["lus"]), (&"online".into(), &1.into()));
    assert!(data["conditions"].to_string().contains("peer-unreachable"), "{data}");
    let age = |data: &serde_json::Value| data["nodes"][1]["age_ms"].as_u64().expect("an age");
    let before = age(&data);
    wait_for("it ages", || age(&pair.json(1, &["status", "--json"])) > before);
    assert_eq!(pair.run(1, "stmfadm", &["compare-peer"]), (4, String::new()));
}

#[test]
fn differences_are_told_and_taken_over() {
    let pair = Pair::start();
    assert_eq!(pair.run(0, "stmfadm", &["compare-peer"]), (0, String::new()));
    let lu = "600144F0C73ABF00000065A1B2C30001";
    for (node, lun, member) in [(0, "1", "iqn.2026-11.example:h0"), (1, "2", "iqn.2026-11.example:h1")] {
        pair.must(node, "stmfadm", &["create-hg", "hosts"]);
        pair.must(node, "stmfadm", &["add-hg-member", "-g", "hosts", member]);
        pair.must(node, "stmfadm", &["add-view", "-h", "hosts", "-n", lun, lu]);
    }
    pair.must(1, "stmfadm", &["create-tg", "there"]);
    let (exit, out) = pair.run(0, "stmfadm", &["compare-peer"]);
    let expected = format!(
        "host group hosts: iqn.2026-11.example:h0 only on this node, iqn.2026-11.example:h1 only on the peer\n\
         target group there: only on the peer\n\
         LU {lu}: view entry for host group hosts, target group All: LUN 1 on this node, 2 on the peer\n"
    );
    assert_eq!((exit, out), (3, expected));
    assert_eq!(
        pair.json(0, &["compare-peer", "--json"]).as_array().map(Vec::len),
        Some(3)
    );

    // The other administrator has to agree first.
    assert_eq!(pair.run(0, "stmfadm", &["compare-peer", "--overwrite-peer"]).0, 1);
    assert_eq!(pair.run(0, "stmfadm", &["compare-peer"]).0, 3);
    pair.must(1, "aluaadm", &["mirror", "on"]);
    assert_eq!(
        pair.run(0, "stmfadm", &["compare-peer", "--overwrite-peer"]),
        (0, String::new())
    );
    let members = pair.must(1, "stmfadm", &["list-hg", "-v"]);
    assert!(members.contains("h0") && !members.contains("h1"), "{members}");
    assert!(!pair.must(1, "stmfadm", &["list-tg"]).contains("there"));
    assert!(
        pair.must(1, "stmfadm", &["list-view", "-l", lu])
            .contains("LUN          : 1")
    );
}

#[test]
fn changes_are_mirrored() {
    let mut pair = Pair::start();
    for node in [0, 1] {
        assert_eq!(pair.must(node, "aluaadm", &["mirror"]), "off\n");
        pair.must(node, "aluaadm", &["mirror", "on"]);
    }
    wait_for("both are compared", || {
        [0, 1].iter().all(|node| pair.mirror(*node)["alike"] == true)
    });
    let lu = "600144F0C73ABF00000065A1B2C30001";
    for n in 0..20 {
        pair.must(0, "stmfadm", &["create-hg", &format!("g{n}")]);
        pair.must(
            0,
            "stmfadm",
            &[
                "add-hg-member",
                "-g",
                &format!("g{n}"),
                &format!("iqn.2026-11.example:h{n}"),
            ],
        );
        pair.must(
            0,
            "stmfadm",
            &["add-view", "-h", &format!("g{n}"), "-n", &n.to_string(), lu],
        );
    }
    pair.must(0, "stmfadm", &["remove-view", "-l", lu, "7"]);
    // A rehearsal is for this node alone.
    for rehearsed in [
        &["create-hg", "--dry-run", "new"][..],
        &["delete-hg", "--dry-run", "g7"],
        &["add-view", "--dry-run", "-n", "900", "600144F0C73ABF00000065A1B2C30009"],
        &["remove-view", "--dry-run", "-l", lu, "-a"],
    ] {
        assert!(pair.must(0, "stmfadm", rehearsed).starts_with("would "));
    }
    pair.must(0, "aluaadm", &["mirror", "--dry-run", "off"]);
    let mirror = pair.mirror_settled(0);
    assert_eq!(
        (&mirror["applied"], &mirror["refused"], &mirror["lost"]),
        (&61.into(), &0.into(), &0.into()),
        "{mirror}"
    );
    assert_eq!(pair.mirror(1)["applied"], 0, "nothing is sent back");
    assert_eq!(pair.run(1, "stmfadm", &["compare-peer"]), (0, String::new()));

    // A target of node 0 in a group: on node 1 it is the image of a target of the peer.
    pair.must(0, "stmfadm", &["create-tg", "targets"]);
    pair.must(0, "stmfadm", &["offline-target", "iqn.2026-11.example:t0"]);
    pair.must(
        0,
        "stmfadm",
        &["add-tg-member", "-g", "targets", "iqn.2026-11.example:t0"],
    );
    pair.must(0, "stmfadm", &["online-target", "iqn.2026-11.example:t0"]);
    let mirror = pair.mirror_settled(0);
    assert_eq!(
        (&mirror["applied"], &mirror["refused"]),
        (&63.into(), &0.into()),
        "{mirror}"
    );

    // A LUN that the peer has taken in the meantime.
    pair.stop_proxy(0);
    for node in [0, 1] {
        pair.wait_reachable(node, false);
    }
    pair.must(
        1,
        "stmfadm",
        &["add-view", "-n", "100", "600144F0C73ABF00000065A1B2C30002"],
    );
    pair.start_proxy(0);
    for node in [0, 1] {
        pair.wait_reachable(node, true);
        wait_for("the difference is noticed", || pair.mirror(node)["alike"] == false);
    }
    pair.must(
        0,
        "stmfadm",
        &["add-view", "-n", "100", "600144F0C73ABF00000065A1B2C30003"],
    );
    let mirror = pair.mirror_settled(0);
    assert_eq!(mirror["refused"], 1, "{mirror}");
    assert!(
        mirror["trouble"]
            .as_str()
            .expect("a text")
            .contains("conflict on the peer"),
        "{mirror}"
    );
    let (exit, out) = pair.run(0, "stmfadm", &["status", "--check"]);
    assert!(
        exit == 3 && out.contains("! mirror: groups or view entries differ"),
        "{out}"
    );
    assert_eq!(
        pair.run(0, "stmfadm", &["compare-peer", "--overwrite-peer"]),
        (0, String::new())
    );
    assert!(
        pair.must(1, "stmfadm", &["list-view", "-l", "600144F0C73ABF00000065A1B2C30003"])
            .contains("LUN          : 100")
    );

    // The setting and what was mirrored are there after a restart.
    let node = pair.nodes[1].take().expect("running");
    node.stop();
    pair.nodes[1] = Some(Stmfd::start(&pair.dir.path().join("node1")));
    assert_eq!(pair.must(1, "aluaadm", &["mirror"]), "on\n");
    assert!(pair.must(1, "stmfadm", &["list-hg"]).contains("g19"));
}

/// `stmfadm move-lu` of an LU whose store the peer cannot open: the line says so, and the LU is served by its owner as before.
#[test]
fn a_refused_move_leaves_the_lu_where_it_was() {
    let pair = Pair::start_with_private_storage();
    let guid = create_lu(
        pair.node(0),
        &disk_file(&pair.dir.path().join("private/disk"), 16 << 20),
    );
    let access = |node, state: &str| {
        let text = String::from_utf8(run(&mut pair.node(node).tool("stmfadm", &["list-lu", "-v", &guid])).stdout);
        text.expect("UTF-8")
            .ends_with(&format!("Access State      : {state}\n"))
    };
    wait_for("the peer knows the LU", || access(1, "Standby"));
    pair.must(0, "stmfadm", &["add-view", "-n", "0", &guid]);
    let url = format!("iscsi://{}/iqn.2026-11.example:t0/0", pair.node(0).portal);
    qemu_io(&url, &["write -P 0x5a 1M 1M"]).expect("a write before");
    for options in [&["--to=peer"][..], &["--to", "peer", "--exit-class"]] {
        let line = [&["move-lu"], options, &[guid.as_str()]].concat();
        let output = run(&mut pair.node(0).tool("stmfadm", &line));
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        let refused =
            format!("stmfadm: {guid}: is active here again: the peer could not take it over, its log tells why\n");
        assert_eq!(
            (output.status.code(), output.stdout, text),
            (Some(1), Vec::new(), refused)
        );
        assert!(access(0, "Active"));
        qemu_io(&url, &["read -P 0x5a 1M 1M", "write -P 0x5a 1M 1M"]).expect("it is served");
        wait_for("the peer has it as before", || access(1, "Standby"));
    }
    // The store comes into reach of the peer: the same command does it.
    let (disk, other) = (pair.dir.path().join("private/disk"), pair.dir.path().join("disk"));
    std::fs::hard_link(&disk, &other).expect("a second name");
    let there = |program: &str, arguments: &[&std::path::Path]| {
        let node = pair.node(1).pid().to_string();
        let mut command = Command::new("nsenter");
        must(command.args(["--mount", "--target", &node, program]).args(arguments));
    };
    there("touch", &[&disk]);
    there("mount", &["--bind".as_ref(), &other, &disk]);
    pair.must(0, "stmfadm", &["move-lu", &guid]);
    assert!(access(1, "Active") && access(0, "Standby"));
}
