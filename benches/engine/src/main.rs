//! compio on io_uring against an epoll loop with inline page-cache reads and an I/O pool, over loopback TCP.
//!
//! `engine-experiment [seconds [rounds]]` prints one line per pattern: requests a second and CPU microseconds of the
//! server per request, median over the rounds; the three servers take turns inside each round.
mod epoll;
mod ring;
mod wire;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wire::{HEADER, Request};

const FILE: u64 = 1 << 28;
const WORKERS: usize = 2;
const SERVERS: [&str; 3] = ["epoll", "compio", "compio+inline"];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|a| a == "--serve") {
        serve(
            &arguments[2],
            arguments[3].parse().expect("a number"),
            Path::new(&arguments[4]),
        );
        return;
    }
    let seconds: f64 = arguments.get(1).map_or(1.0, |a| a.parse().expect("seconds"));
    let rounds: usize = arguments.get(2).map_or(5, |a| a.parse().expect("rounds"));
    let file = std::env::temp_dir().join(format!("engine-experiment-{}", std::process::id()));
    std::fs::write(&file, vec![7u8; FILE as usize]).expect("the test file");
    println!(
        "| block | depth | connections | epoll | compio | compio+inline | compio x epoll | compio+inline x epoll | cpu us/op epoll / compio / compio+inline |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for length in [4096u32, 65536] {
        for depth in [1usize, 32] {
            for connections in [1usize, 8] {
                let mut rates = [const { Vec::new() }; 3];
                let mut cpus = [const { Vec::new() }; 3];
                let mut ratios = [const { Vec::new() }; 3];
                for _ in 0..rounds {
                    for (i, server) in SERVERS.iter().enumerate() {
                        let (rate, cpu) = run(server, &file, length, depth, connections, seconds);
                        rates[i].push(rate);
                        cpus[i].push(cpu);
                        ratios[i].push(rate / rates[0].last().expect("epoll came first"));
                    }
                }
                let r: Vec<f64> = rates.iter_mut().map(|v| median(v)).collect();
                let c: Vec<f64> = cpus.iter_mut().map(|v| median(v)).collect();
                println!(
                    "| {}k | {depth} | {connections} | {:.1}k | {:.1}k | {:.1}k | {:.2} | {:.2} | {:.1} / {:.1} / {:.1} |",
                    length / 1024,
                    r[0] / 1e3,
                    r[1] / 1e3,
                    r[2] / 1e3,
                    median(&mut ratios[1]),
                    median(&mut ratios[2]),
                    c[0],
                    c[1],
                    c[2],
                );
            }
        }
    }
    std::fs::remove_file(&file).expect("the test file");
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The server process: takes its connections first, then deals them to its workers. Ends when they are closed.
fn serve(engine: &str, connections: usize, path: &Path) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    println!("{}", listener.local_addr().expect("bound").port());
    let mut hands = Vec::new();
    hands.resize_with(WORKERS, Vec::new);
    for i in 0..connections {
        let (stream, _) = listener.accept().expect("accept");
        stream.set_nodelay(true).expect("nodelay");
        hands[i % WORKERS].push(stream);
    }
    let workers: Vec<_> = hands
        .into_iter()
        .filter(|hand| !hand.is_empty())
        .map(|hand: Vec<TcpStream>| {
            let (engine, path) = (engine.to_owned(), PathBuf::from(path));
            std::thread::spawn(move || match engine.as_str() {
                "epoll" => epoll::serve(hand, std::fs::File::open(path).expect("open")),
                "compio" => ring::serve(hand, path, false),
                _ => ring::serve(hand, path, true),
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("worker");
    }
    // SAFETY: all zeros is a valid value of this C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: a writable struct of the right type.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let us = |t: libc::timeval| t.tv_sec * 1_000_000 + t.tv_usec;
    println!("{}", us(usage.ru_utime) + us(usage.ru_stime));
}

fn run(engine: &str, file: &Path, length: u32, depth: usize, connections: usize, seconds: f64) -> (f64, f64) {
    let mut child = std::process::Command::new(std::env::current_exe().expect("self"))
        .args(["--serve", engine, &connections.to_string()])
        .arg(file)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("server");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("piped")));
    let port: u16 = lines.next().expect("a line").expect("text").parse().expect("a port");
    let begin = Instant::now();
    let end = begin + Duration::from_secs_f64(seconds);
    let clients: Vec<_> = (0..connections)
        .map(|seed| {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
            std::thread::spawn(move || client(stream, length, depth, end, seed as u64 + 1))
        })
        .collect();
    let count: u64 = clients.into_iter().map(|c| c.join().expect("client")).sum();
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    let cpu: f64 = lines
        .next()
        .expect("a line")
        .expect("text")
        .parse()
        .expect("microseconds");
    child.wait().expect("server");
    (rate, cpu / count as f64)
}

/// Keeps `depth` requests outstanding; answers that came together are replaced together.
fn client(mut stream: TcpStream, length: u32, depth: usize, end: Instant, mut seed: u64) -> u64 {
    stream.set_nodelay(true).expect("nodelay");
    let mut next = |id: u32| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        Request {
            length,
            id,
            offset: seed % (FILE / u64::from(length)) * u64::from(length),
        }
        .to_bytes()
    };
    let mut requests: Vec<u8> = (0..depth as u32).flat_map(&mut next).collect();
    stream.write_all(&requests).expect("send");
    let whole = HEADER + length as usize;
    let mut buffer = vec![0; 1 << 20];
    let (mut have, mut count) = (0, 0);
    while Instant::now() < end {
        let n = stream.read(&mut buffer[have..]).expect("receive");
        assert!(n > 0, "the server closed");
        have += n;
        requests.clear();
        let answers = have / whole;
        for i in 0..answers {
            let answer = Request::parse(&buffer[i * whole..]);
            assert!(answer.length == length && buffer[i * whole + whole - 1] == 7);
            requests.extend_from_slice(&next(answer.id));
        }
        count += answers as u64;
        buffer.copy_within(answers * whole..have, 0);
        have -= answers * whole;
        stream.write_all(&requests).expect("send");
    }
    count
}
