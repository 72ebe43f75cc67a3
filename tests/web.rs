//! The status page of a running `stmfd`: what it says, what it refuses, what it survives.

mod common;
#[path = "common/openmetrics.rs"]
mod openmetrics;

use common::{Stmfd, free_port, qemu_io, serve, wait_for};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// Starts `stmfd` with a status page; gives its port too.
fn start(dir: &Path) -> (Stmfd, u16) {
    let (portal, port) = (format!("127.0.0.1:{}", free_port()), free_port());
    let mut command = Stmfd::command(dir, &portal);
    command.args(["--web", &port.to_string()]);
    (Stmfd::start_command(command, dir, &portal), port)
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the page listens");
    stream.set_read_timeout(Some(common::PATIENCE)).expect("timeout");
    stream
}

/// Sends the text and gives the whole answer. An answer that came before everything was sent counts too.
fn exchange(port: u16, text: &str) -> String {
    let mut stream = connect(port);
    let sent = stream.write_all(text.as_bytes());
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    assert!(!answer.is_empty(), "no answer: {sent:?} {read:?}");
    String::from_utf8(answer).expect("UTF-8")
}

fn get(port: u16, path: &str) -> String {
    exchange(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"))
}

fn status(port: u16) -> serde_json::Value {
    let answer = get(port, "/status.json");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    serde_json::from_str(body).expect("JSON")
}

#[test]
fn it_shows_what_hosts_do() {
    let dir = tempfile::tempdir().expect("directory");
    let (stmfd, port) = start(dir.path());
    let page = get(port, "/");
    assert!(page.contains("<html lang=\"en\">") && page.contains("Content-Security-Policy: default-src 'none'"));
    let url = serve(&stmfd, &common::disk_file(&dir.path().join("disk"), 16 * common::MIB));
    qemu_io(&url, &["write -P 7 0 1M", "read -P 7 0 512k"]).expect("I/O");
    wait_for("the totals have arrived", || {
        let io = &status(port)["io"];
        io["write_bytes"].as_u64() >= Some(common::MIB) && io["read_bytes"].as_u64() >= Some(common::MIB / 2)
    });
    let now = status(port);
    assert_eq!(now["node"]["operational"], "online");
    assert_eq!(
        (now["lu_count"].as_u64(), now["target_count"].as_u64()),
        (Some(1), Some(1))
    );
    let lu = &now["lus"][0];
    assert_eq!(
        (&lu["access"], &lu["owner"], &lu["state"]),
        (&"active".into(), &"local".into(), &"online".into())
    );
    assert_eq!(lu["io"], now["io"]);
    assert!(lu["io"]["busy_ns"].as_u64() > Some(0));
    assert_eq!(now["targets"][0]["name"], "iqn.2026-11.example:t");
    stmfd.stop();
}

#[test]
fn metrics_keep_to_the_standard_and_count_what_hosts_do() {
    let dir = tempfile::tempdir().expect("directory");
    let (portal, port) = (format!("127.0.0.1:{}", free_port()), free_port());
    let mut command = Stmfd::command(dir.path(), &portal);
    command.args(["--metrics", &port.to_string()]);
    let stmfd = Stmfd::start_command(command, dir.path(), &portal);
    assert!(
        get(port, "/").starts_with("HTTP/1.1 404 "),
        "the page was not asked for"
    );
    let scrape = || {
        let answer = get(port, "/metrics");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let media = "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains(media), "{head}");
        openmetrics::read(body).unwrap_or_else(|fault| panic!("{fault}\n{body}"))
    };
    scrape();
    let url = serve(&stmfd, &common::disk_file(&dir.path().join("disk"), 16 * common::MIB));
    qemu_io(&url, &["write -P 7 0 1M", "read -P 7 0 512k"]).expect("I/O");
    let sum = |samples: &openmetrics::Samples, name: &str| -> f64 {
        samples
            .iter()
            .filter(|((sample, _), _)| sample == name)
            .map(|(_, value)| value)
            .sum()
    };
    wait_for("the totals have arrived", || {
        let samples = scrape();
        sum(&samples, "stmf_write_bytes_total") >= 1048576.0 && sum(&samples, "stmf_read_bytes_total") >= 524288.0
    });
    let samples = scrape();
    for kind in ["lu", "target"] {
        for what in [
            "read_bytes_total",
            "write_bytes_total",
            "read_latency_seconds_count",
            "write_latency_seconds_sum",
        ] {
            let (one, all) = (
                sum(&samples, &format!("stmf_{kind}_{what}")),
                sum(&samples, &format!("stmf_{what}")),
            );
            assert!(one > 0.0 && (one - all).abs() < 1e-9, "{kind} {what}: {one}, {all}");
        }
    }
    stmfd.stop();
}

#[test]
fn it_refuses_and_survives_bad_requests() {
    let dir = tempfile::tempdir().expect("directory");
    let (stmfd, port) = start(dir.path());
    for (request, answer) in [
        ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "405"),
        (
            "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            "404",
        ),
        ("GET / HTTP/1.1\r\nHost: rebound.example\r\n\r\n".to_owned(), "421"),
        (format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(16 << 10)), "431"),
        ("\u{0}\r\n\r\n".to_owned(), "400"),
    ] {
        let got = exchange(port, &request);
        assert!(got.starts_with(&format!("HTTP/1.1 {answer} ")), "{answer}: {got}");
    }
    // More than it takes, all silent: one more is turned away, and once these are gone all is as before.
    let mut silent = Vec::new();
    wait_for("one is turned away", || {
        let mut one = connect(port);
        let timeout = one.set_read_timeout(Some(Duration::from_millis(50)));
        timeout.expect("a timeout");
        let mut answer = [0; 13];
        let turned_away = one.read_exact(&mut answer).is_ok() && answer == *b"HTTP/1.1 503 ";
        silent.push(one);
        turned_away
    });
    drop(silent);
    wait_for("it answers again", || {
        get(port, "/status.json").starts_with("HTTP/1.1 200 ")
    });
    stmfd.stop();
}

#[test]
fn it_is_off_unless_asked_for_and_its_address_is_checked() {
    let dir = tempfile::tempdir().expect("directory");
    let busy = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let taken = busy.local_addr().expect("address").port().to_string();
    for (value, exit) in [("nonsense", 96), (taken.as_str(), 1)] {
        let mut command = Stmfd::command(dir.path(), &format!("127.0.0.1:{}", free_port()));
        let output = common::run(command.args(["--web", value]));
        assert_eq!(output.status.code(), Some(exit), "{value}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(value), "names {value}");
    }
    let stmfd = Stmfd::start(dir.path());
    let listening = common::must(std::process::Command::new("ss").args(["-Hltnp"]));
    let mine = listening
        .lines()
        .filter(|line| line.contains(&format!("pid={},", stmfd.pid())))
        .count();
    assert_eq!(mine, 1, "only the iSCSI portal: {listening}");
    stmfd.stop();
}
