//! An initiator that sends anything: every PDU opcode and every SCSI opcode, with random bytes, before login, in it and
//! after it.

use super::initiator::Initiator;
use super::rng::Rng;
use super::served::{APART, KEYS, Served, TARGET, exercise, host};
use super::{number, several};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use stmf::iscsi::pdu::{HEADER, Header, NO_TAG, opcode};

/// Memory that the daemon may come to. Freed buffers stay in its heap, up to 256 MiB.
const MEMORY_MAX: u64 = 700 << 20;

#[test]
fn a_hostile_initiator_harms_nobody_else() {
    let seconds = number("STMF_HOSTILE_SECONDS", 5);
    let seed = number("STMF_HOSTILE_SEED", u64::from(std::process::id()));
    println!("STMF_HOSTILE_SEED={seed} STMF_HOSTILE_SECONDS={seconds}");
    let served = Served::start();
    let end = Instant::now() + Duration::from_secs(seconds);
    several(4, |thread| {
        if thread > 0 {
            let mut rng = Rng::new(seed.wrapping_add(thread as u64));
            while Instant::now() < end {
                attack(served.address, u8::try_from(thread).unwrap(), &mut rng, end);
            }
        } else {
            // Somebody else, all the time.
            let mut good = served.login(&host(0));
            let mut version = 0;
            while Instant::now() < end {
                exercise(&mut good, version % 1000 * 64, 64, version);
                version += 1;
            }
            assert!(version > 0);
            good.logout();
        }
    });
    let middle = served.memory();
    assert!(middle < MEMORY_MAX, "{middle} bytes");
    // Once more, as long: it grows no further.
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut rng = Rng::new(!seed);
    while Instant::now() < end {
        attack(served.address, 0, &mut rng, end);
    }
    let after = served.memory();
    println!("memory: {middle} bytes, then {after}");
    assert!(after < middle + (128 << 20), "{middle}, then {after} bytes");
    served.wait_idle();
    served.login(&host(0)).logout();
    served.login(APART).logout();
}

/// One connection, until it is closed or has said enough.
fn attack(address: SocketAddr, isid: u8, rng: &mut Rng, end: Instant) {
    let keys: Vec<(&str, &str)> = KEYS
        .iter()
        .copied()
        .chain([("HeaderDigest", "None"), ("MaxOutstandingR2T", "8")])
        .collect();
    let logged_in = rng.below(8) > 0;
    let (mut stream, mut cmd_sn) = if logged_in {
        let mut initiator = Initiator::connect(address);
        initiator.isid = isid;
        let answer = initiator.try_login(APART, TARGET, &keys);
        if answer.header.0[36] != 0 {
            return;
        }
        (initiator.stream, initiator.cmd_sn)
    } else {
        (TcpStream::connect(address).unwrap(), 0)
    };
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut answers = vec![0; 1 << 20];
    let mut r2t = None;
    for _ in 0..1000 {
        let (bytes, numbered) = request(rng, cmd_sn, logged_in, r2t.as_ref());
        if Instant::now() > end || stream.write_all(&bytes).is_err() {
            return;
        }
        cmd_sn = cmd_sn.wrapping_add(u32::from(numbered));
        // Sometimes it does not take its answers.
        if rng.below(4) > 0 {
            match stream.read(&mut answers) {
                Ok(0) => return,
                Ok(_) => {
                    r2t = answers
                        .first_chunk()
                        .copied()
                        .map(Header)
                        .filter(|it| it.opcode() == opcode::R2T)
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return,
            }
        }
    }
}

/// A PDU, and whether it uses a CmdSN.
fn request(rng: &mut Rng, cmd_sn: u32, logged_in: bool, r2t: Option<&Header>) -> (Vec<u8>, bool) {
    let mut header = Header([0; HEADER]);
    header.0.fill_with(|| byte(rng));
    // Half of them commands; those are what goes deepest.
    let op = if rng.below(2) == 0 {
        opcode::SCSI_COMMAND
    } else if rng.below(4) > 0 {
        [0, 2, 4, 5, 5, 16][usize::try_from(rng.below(6)).unwrap()]
    } else {
        u8::try_from(rng.below(0x40)).unwrap()
    };
    // A tag that may be in use is sent outside of the order: a refusal would leave a gap that nothing gets past.
    let again = rng.below(8) == 0;
    let immediate = again || rng.below(8) == 0;
    let recent = |rng: &mut Rng, among| cmd_sn.wrapping_sub(u32::try_from(rng.below(among)).unwrap());
    header.0[0] = op | if immediate { 0x40 } else { 0 };
    let mut numbered = false;
    // Fields that let it pass the first checks, most of the time.
    if rng.below(8) > 0 {
        header.0[4] = 0;
        let itt = if again || op == opcode::DATA_OUT {
            recent(rng, 16)
        } else {
            cmd_sn
        };
        header.set_lun([0; 8]).set_word::<16>(itt);
        header.set_word::<24>(cmd_sn);
        numbered = !immediate && matches!(op, 0 | 1 | 2 | 4 | 6) && logged_in;
        match op {
            opcode::SCSI_COMMAND => {
                header.0[1] = 0x81 | byte(rng) & 0x66;
                header.set_word::<20>(u32::try_from(rng.below(70_000)).unwrap());
                header.0[33] &= byte(rng);
                if rng.below(2) == 0 {
                    header.0[34..38].copy_from_slice(&[0, 0, byte(rng) & 0x7f, byte(rng)]);
                    header.0[38..46].fill(0);
                    header.0[40 + usize::try_from(rng.below(4)).unwrap()] = byte(rng);
                }
            }
            opcode::DATA_OUT => {
                header.set_word::<20>(if rng.below(64) == 0 { 1 } else { NO_TAG });
                header.set_word::<36>(u32::try_from(rng.below(3)).unwrap());
                header.set_word::<40>(u32::try_from(rng.below(3)).unwrap() * 512);
                if let Some(r2t) = r2t {
                    header.set_word::<16>(r2t.itt()).set_word::<20>(r2t.ttt());
                    header.set_word::<40>(r2t.word::<40>());
                }
            }
            opcode::LOGOUT => header.0[1] = 0x80 | byte(rng) & 3,
            opcode::TASK_MANAGEMENT => {
                header.0[1] = 0x80 | byte(rng) & 0xf;
                header.set_word::<20>(recent(rng, 16)).set_word::<32>(recent(rng, 16));
            }
            _ => {}
        }
    }
    let length = match rng.below(4) {
        0 => rng.below(8192),
        1 => rng.below(64),
        _ => 0,
    };
    let length = usize::try_from(length).unwrap();
    if rng.below(512) > 0 {
        header.set_data_length(length);
        header.0[4] &= 3;
    }
    let mut bytes = header.0.to_vec();
    bytes.resize(HEADER + usize::from(header.0[4]) * 4 + length.next_multiple_of(4), 0);
    bytes[HEADER..].fill_with(|| byte(rng));
    (bytes, numbered)
}

fn byte(rng: &mut Rng) -> u8 {
    u8::try_from(rng.below(256)).unwrap()
}
