//! Bad input of the tools: whatever is typed, whoever goes away, the tool says what is wrong, ends with a status of
//! its own, and leaves nothing half done.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use common::{Stmfd, build_dir, must, run};
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const TOOLS: [&str; 4] = ["stmfadm", "sbdadm", "itadm", "aluaadm"];

/// What should not be there, in the place of a value or an operand. As relative paths they name nothing outside.
const HOSTILE: [&[u8]; 8] = [
    b"",
    b"\xff\xfe",
    b"a\nb\x1b[2J",
    b"%s%n$(reboot)`reboot`;",
    b"99999999999999999999999999",
    b"-",
    b"../../../../../../nonexistent/passwd",
    "\u{202e}\u{e000}".as_bytes(),
];

/// A tool at work in a directory of its own, without a terminal that it could ask, and not for ever.
fn bounded(stmfd: &Stmfd, tool: &str, directory: &Path, words: &[OsString]) -> Command {
    let mut command = Command::new("setsid");
    command
        .args(["--wait", "timeout", "-k", "1", "60"])
        .arg(build_dir().join(tool))
        .args(words)
        .env("STMF_ENDPOINT", stmfd.endpoint())
        .current_dir(directory);
    command
}

/// It ended by itself, and did not fail without a word.
fn in_good_order(output: &Output, tool: &str, words: &[OsString]) {
    let shown: Vec<String> = words
        .iter()
        .map(|word| format!("{word:?}").chars().take(60).collect())
        .collect();
    let code = output.status.code().unwrap_or(255);
    // 124: the time was over.
    assert!(code < 124, "{tool} {shown:?}: {output:?}");
    let said = output.stdout.len() + output.stderr.len();
    assert!(code == 0 || said > 0, "{tool} {shown:?} fails without a word");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("panicked"), "{tool} {shown:?}: {text}");
}

/// What the tool itself offers behind these words.
fn offered(stmfd: &Stmfd, tool: &str, words: &[&str]) -> Vec<String> {
    let mut line = vec!["__complete"];
    line.extend(words);
    let text = must(&mut stmfd.tool(tool, &line));
    text.lines()
        .map(|line| line.split('\t').next().unwrap().to_owned())
        .collect()
}

fn words(text: &[&[u8]]) -> Vec<OsString> {
    text.iter().map(|word| OsStr::from_bytes(word).to_owned()).collect()
}

/// Each option of each subcommand of each tool, as its tables say, without a value and with each of those; each subcommand with them as
/// operands.
#[test]
fn every_option_of_every_subcommand() {
    let directory = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(&directory.path().join("state"));
    let long = b"x".repeat(100_000);
    let values: Vec<&[u8]> = HOSTILE.into_iter().chain([long.as_slice()]).collect();
    let each = |tool: &str| {
        let place = directory.path().join(tool);
        std::fs::create_dir(&place).unwrap();
        let attempt = |line: Vec<OsString>| {
            let output = run(&mut bounded(&stmfd, tool, &place, &line));
            in_good_order(&output, tool, &line);
            output.status.success()
        };
        let (mut lines, mut subcommands) = (0, 0);
        for subcommand in offered(&stmfd, tool, &[""]) {
            subcommands += 1;
            for value in &values {
                attempt(words(&[subcommand.as_bytes(), value]));
                lines += 1;
            }
            for option in offered(&stmfd, tool, &[&subcommand, "-"]) {
                // These go on for ever.
                let mut start = words(&[subcommand.as_bytes()]);
                match option.as_str() {
                    "--follow" => continue,
                    "--watch" => start.push("--count=1".into()),
                    _ => {}
                }
                attempt([start.clone(), words(&[option.as_bytes()])].concat());
                // Every other one: the same words are no better there.
                for value in values.iter().step_by(2).chain([&values[1]]) {
                    let given = match option.starts_with("--") {
                        true => words(&[&[option.as_bytes(), b"=", value].concat()]),
                        false => words(&[option.as_bytes(), value]),
                    };
                    attempt([start.clone(), given].concat());
                    lines += 1;
                }
            }
        }
        (tool.to_owned(), subcommands, lines)
    };
    let counts: Vec<(String, usize, usize)> = std::thread::scope(|scope| {
        let threads = TOOLS.map(|tool| scope.spawn(move || each(tool)));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    println!("{counts:?}");
    // The service is as well as before, and nothing came of all this that a value could not name.
    assert!(must(&mut stmfd.tool("stmfadm", &["list-state"])).starts_with("Operational Status: online"));
    assert_eq!(must(&mut stmfd.tool("stmfadm", &["list-lu"])), "");
    stmfd.stop();
}

/// Values behind options that need others, and names of logical units.
#[test]
fn values_in_company() {
    let directory = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(&directory.path().join("state"));
    for line in [
        "stmfadm create-lu --create --prealloc",
        "stmfadm create-lu --create -s 1m --progress",
        "stmfadm create-lu --create -s 1m --dry-run",
        "stmfadm create-lu -p alias=a -p",
        "stmfadm modify-lu -s 1g",
        "stmfadm modify-lu -f -s 1g",
        "stmfadm add-hg-member -g nobody",
        "stmfadm add-view -h nobody -n",
        "stmfadm remove-view -l 600144F0C73ABF00000065A1B2C30001",
        "stmfadm list-view -l alias:",
        "stmfadm status --watch=0.1 --count",
        "itadm create-target -a chap -u",
        "itadm create-tpg a",
        "itadm add-portal a",
        "itadm create-initiator -S",
        "itadm modify-defaults -a radius -r",
    ] {
        let before: Vec<&str> = line.split(' ').collect();
        for value in HOSTILE {
            let mut line: Vec<OsString> = before[1..].iter().map(OsString::from).collect();
            line.extend([OsString::from_vec(value.to_vec()), "operand".into()]);
            let output = run(&mut bounded(&stmfd, before[0], directory.path(), &line));
            in_good_order(&output, before[0], &line);
            assert_ne!(output.status.code(), Some(0), "{line:?}");
        }
    }
    assert_eq!(must(&mut stmfd.tool("stmfadm", &["list-lu"])), "");
    assert_eq!(must(&mut stmfd.tool("itadm", &["list-target"])), "");
    stmfd.stop();
}

/// A command line on a terminal of its own.
struct OnTerminal {
    terminal: Child,
    shown: String,
}

impl OnTerminal {
    /// `before` comes before the tool; its process id is in the file.
    fn start(stmfd: &Stmfd, before: &str, line: &str, pid: &Path) -> OnTerminal {
        let line = format!(
            "echo $$ >{}; exec {before}{}/{line}",
            pid.display(),
            build_dir().display()
        );
        let terminal = Command::new("script")
            .args(["-q", "-e", "-c", &line, "/dev/null"])
            .env("STMF_ENDPOINT", stmfd.endpoint())
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let shown = String::new();
        OnTerminal { terminal, shown }
    }

    /// Reads until this has been shown.
    fn wait(&mut self, text: &str) {
        let output = self.terminal.stdout.as_mut().unwrap();
        while !self.shown.contains(text) {
            let mut byte = [0];
            output
                .read_exact(&mut byte)
                .unwrap_or_else(|_| panic!("no {text}: {}", self.shown));
            self.shown.push(char::from(byte[0]));
        }
    }

    fn type_in(&mut self, bytes: &[u8]) {
        self.terminal.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// All that was shown, and the exit status of the tool.
    fn end(mut self) -> (String, Option<i32>) {
        let mut rest = Vec::new();
        self.terminal.stdout.as_mut().unwrap().read_to_end(&mut rest).unwrap();
        let code = self.terminal.wait().unwrap().code();
        (self.shown + &String::from_utf8_lossy(&rest), code)
    }

    /// The terminal goes away.
    fn cut(mut self) {
        self.terminal.kill().unwrap();
        self.terminal.wait().unwrap();
    }
}

/// The tool that runs on a terminal ends with it, also where it does not hear of it by a signal.
#[test]
fn a_terminal_that_goes_away() {
    let directory = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(&directory.path().join("state"));
    for (line, shown) in [
        ("stmfadm status --watch=0.1", "LUs "),
        ("stmfadm events --follow", "\n"),
        ("itadm create-initiator -s iqn.1993-08.org.debian:01:x", "secret: "),
    ] {
        for deaf in ["", "env --ignore-signal=HUP "] {
            let pid = directory.path().join("pid");
            let mut tool = OnTerminal::start(&stmfd, deaf, line, &pid);
            tool.wait(shown);
            let pid = std::fs::read_to_string(&pid).unwrap().trim().to_owned();
            tool.cut();
            // To say more it would need the terminal.
            must(&mut stmfd.tool("stmfadm", &["create-hg", &format!("group-{pid}")]));
            must(&mut stmfd.tool("itadm", &["create-target", "-n", &format!("iqn.2026-11.example:{pid}")]));
            common::wait_for(&format!("{deaf}{line} has ended"), || {
                !Path::new("/proc").join(&pid).exists()
            });
        }
    }
    assert_eq!(must(&mut stmfd.tool("itadm", &["list-initiator"])), "");
    stmfd.stop();
}

/// A reader that has seen enough, behind every list: no word on standard error, and not the status of success.
#[test]
fn a_reader_that_has_seen_enough() {
    let directory = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(&directory.path().join("state"));
    for n in 0..3 {
        common::create_lu(
            &stmfd,
            &common::disk_file(&directory.path().join(format!("disk{n}")), 2 << 20),
        );
    }
    must(&mut stmfd.tool("itadm", &["create-target"]));
    for (tool, line) in [
        ("stmfadm", "list-lu -v"),
        ("stmfadm", "list-lu --json"),
        ("stmfadm", "list-target -v"),
        ("stmfadm", "status --watch=0.1"),
        ("stmfadm", "export-config"),
        ("stmfadm", "-?"),
        ("sbdadm", "list-lu"),
        ("itadm", "list-target -v"),
    ] {
        let mut child = stmfd
            .tool(tool, &line.split(' ').collect::<Vec<_>>())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), output.stderr.as_slice()),
            (Some(1), &b""[..]),
            "{tool} {line}"
        );
    }
    stmfd.stop();
}

/// Secrets that are none, from the terminal, from a file and from standard input.
#[test]
fn secrets() {
    let directory = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(&directory.path().join("state"));
    let host = "iqn.1993-08.org.debian:01:x";
    let length = "Secret must be between 12 and 255 characters";
    let (file, pid) = (directory.path().join("secret"), directory.path().join("pid"));
    for (secret, good) in [
        (b"".to_vec(), false),
        (b"elevenbytes".to_vec(), false),
        (vec![b'x'; 256], false),
        (vec![b'x'; 5000], false),
        (vec![b'x'; 255], true),
        (b"\xff\xfe and ten more".to_vec(), true),
        (b"$(reboot)`%s%n';--".to_vec(), true),
    ] {
        let ends = |output: &Output, how: &str| {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let shown = String::from_utf8_lossy(&secret).into_owned();
            assert_eq!(
                output.status.code(),
                Some(if good { 0 } else { 22 }),
                "{how} {shown}: {text}"
            );
            assert!(good || text.starts_with(length), "{how} {shown}: {text}");
            let listed = must(&mut stmfd.tool("itadm", &["list-initiator"]));
            assert_eq!(listed.contains(" set "), good, "{how}: {listed}");
            if good {
                must(&mut stmfd.tool("itadm", &["delete-initiator", host]));
            }
        };
        std::fs::write(&file, &secret).unwrap();
        let path = file.to_str().unwrap();
        ends(
            &run(&mut stmfd.tool("itadm", &["create-initiator", "-S", path, host])),
            "file",
        );
        let mut command = stmfd.tool("itadm", &["create-initiator", "--chap-secret-stdin", host]);
        command.stdin(std::fs::File::open(&file).unwrap());
        ends(&command.output().unwrap(), "standard input");

        // More than a line of the terminal holds does not get through it.
        if secret.len() > 4000 {
            continue;
        }
        let mut tool = OnTerminal::start(&stmfd, "", &format!("itadm create-initiator -s {host}"), &pid);
        tool.wait("Enter CHAP secret: ");
        tool.type_in(&[&secret[..], b"\n"].concat());
        if good {
            tool.wait("Re-enter secret: ");
            tool.type_in(&[&secret[..], b"\n"].concat());
        }
        let (shown, code) = tool.end();
        assert!(good || shown.contains(length), "{shown}");
        assert!(
            secret.len() < 12 || !shown.contains(&*String::from_utf8_lossy(&secret)),
            "{shown}"
        );
        assert_eq!(code, Some(if good { 0 } else { 22 }), "{shown}");
        if good {
            must(&mut stmfd.tool("itadm", &["delete-initiator", host]));
        }
    }
    stmfd.stop();
}

/// A signal in the middle of an allocation: the tool ends by it, and neither file nor logical unit is left.
#[test]
fn an_allocation_that_a_signal_ends() {
    let directory = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(&directory.path().join("state"));
    let store = directory.path().join("new.img");
    for (name, number) in [("HUP", 1), ("INT", 2), ("TERM", 15)] {
        let create = format!(
            "kill -{name} $$; exec {} create-lu --create --prealloc=full -s 1g {}",
            build_dir().join("stmfadm").display(),
            store.display()
        );
        // The signal is there from the beginning, and waits as it does while the tool has something to undo.
        let mut command = Command::new("env");
        command
            .args([format!("--default-signal={name}"), format!("--block-signal={name}")])
            .args(["sh", "-c", &create]);
        let output = run(command.env("STMF_ENDPOINT", stmfd.endpoint()));
        assert_eq!(output.status.signal(), Some(number), "{output:?}");
        assert!(output.stdout.is_empty() && !store.exists(), "{output:?}");
    }
    assert_eq!(must(&mut stmfd.tool("stmfadm", &["list-lu"])), "");
    stmfd.stop();
}
