//! A running `stmfd` with one target and two LUs: everybody sees the first, except one host, which sees the second alone.

use super::common::{PATIENCE, Stmfd, free_port, must, run, wait_for};
use super::initiator::{Initiator, read10, write10};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;
use stmf::iscsi::pdu::{NO_TAG, opcode};
use tempfile::TempDir;

pub const TARGET: &str = "iqn.2026-11.example:disk";
/// The host with an LU of its own.
pub const APART: &str = "iqn.2026-11.example:apart";
/// What qemu-img says it is.
const QEMU: &str = "iqn.2008-11.org.linux-kvm";
pub const KEYS: &[(&str, &str)] = &[
    ("InitialR2T", "No"),
    ("ImmediateData", "Yes"),
    ("FirstBurstLength", "65536"),
    ("MaxRecvDataSegmentLength", "262144"),
    ("DefaultTime2Retain", "0"),
];

pub struct Served {
    stmfd: Option<Stmfd>,
    pub address: SocketAddr,
    directory: TempDir,
}

impl Served {
    pub fn start() -> Served {
        Served::start_with(&[])
    }

    /// The same with more options of the daemon.
    pub fn start_with(options: &[&str]) -> Served {
        let directory = tempfile::tempdir().unwrap();
        let portal = format!("127.0.0.1:{}", free_port());
        let mut command = Stmfd::command(directory.path(), &portal);
        command.args(options);
        let stmfd = Stmfd::start_command(command, directory.path(), &portal);
        let served = Served {
            address: stmfd.portal.parse().unwrap(),
            stmfd: Some(stmfd),
            directory,
        };
        served.tool("stmfadm", &["create-hg", "apart"]);
        served.tool("stmfadm", &["add-hg-member", "-g", "apart", APART]);
        served.tool("stmfadm", &["create-hg", "others"]);
        for number in 0..8 {
            served.tool("stmfadm", &["add-hg-member", "-g", "others", &host(number)]);
        }
        served.tool("stmfadm", &["add-hg-member", "-g", "others", QEMU]);
        for (group, size) in [("others", "64m"), ("apart", "16m")] {
            let file = served.directory.path().join(group);
            std::fs::File::create(&file).unwrap();
            let out = served.tool("stmfadm", &["create-lu", "-s", size, file.to_str().unwrap()]);
            let guid = out.trim().rsplit(' ').next().unwrap();
            served.tool("stmfadm", &["add-view", "-h", group, guid]);
        }
        served.tool("itadm", &["create-target", "-n", TARGET]);
        served.wait_online();
        served
    }

    pub fn tool(&self, name: &str, arguments: &[&str]) -> String {
        must(&mut self.stmfd.as_ref().unwrap().tool(name, arguments))
    }

    /// The same; whether it succeeded.
    pub fn try_tool(&self, name: &str, arguments: &[&str]) -> bool {
        run(&mut self.stmfd.as_ref().unwrap().tool(name, arguments))
            .status
            .success()
    }

    pub fn targets(&self) -> String {
        self.tool("itadm", &["list-target", "-p"])
    }

    pub fn wait_online(&self) {
        wait_for("the target is online", || self.targets().contains("\tonline\t"));
    }

    /// Until no session is left.
    pub fn wait_idle(&self) {
        wait_for("the sessions end", || self.targets().trim_end().ends_with("\t0"));
    }

    /// SIGTERM; it must end by itself, with success.
    pub fn stop(&mut self) {
        self.stmfd.take().unwrap().stop();
    }

    pub fn start_again(&mut self) {
        self.stmfd = Some(Stmfd::start_at(self.directory.path(), &self.address.to_string()));
        self.wait_online();
    }

    pub fn pid(&self) -> u32 {
        self.stmfd.as_ref().unwrap().pid()
    }

    /// Memory of the daemon, bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    /// Its open descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(self.proc("fd")).unwrap().count()
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.pid())
    }

    pub fn url(&self) -> String {
        format!("iscsi://{}/{TARGET}/0", self.address)
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn login(&self, host: &str) -> Initiator {
        let mut initiator = Initiator::login(self.address, host, TARGET, KEYS);
        initiator.test_unit_ready();
        initiator
    }
}

/// A host that sees the first LU.
pub fn host(number: usize) -> String {
    format!("iqn.2026-11.example:host{number}")
}

/// Blocks that tell where they are and which write they are of.
pub fn stamped(lba: u32, blocks: u16, version: u32) -> Vec<u8> {
    let mut data = Vec::new();
    for block in 0..u32::from(blocks) {
        let word = [(lba + block).to_be_bytes(), version.to_be_bytes()].concat();
        (0..64).for_each(|_| data.extend_from_slice(&word));
    }
    data
}

/// One verified write and read.
pub fn exercise(initiator: &mut Initiator, lba: u32, blocks: u16, version: u32) {
    let data = stamped(lba, blocks, version);
    let immediate = data.len().min(4096);
    assert_eq!(initiator.write(&write10(lba, blocks), &data, immediate, 0, 65536), 0);
    let length = u32::try_from(data.len()).unwrap();
    assert!(initiator.read(&read10(lba, blocks), length) == (0, data), "lba {lba}");
}

/// A write over a connection that may end at any moment: status, or `None` when it has ended. A request of the target to
/// log out is followed.
pub fn try_write(initiator: &mut Initiator, lba: u32, blocks: u16, version: u32) -> Option<u8> {
    let data = stamped(lba, blocks, version);
    let header = Initiator::command(&write10(lba, blocks), 0xa0, u32::try_from(data.len()).unwrap());
    let itt = initiator.try_request(header, &data)?;
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "no answer");
        let pdu = initiator.try_receive()?.header;
        match pdu.opcode() {
            opcode::SCSI_RESPONSE if pdu.itt() == itt => return Some(pdu.0[3]),
            opcode::NOP_IN if pdu.itt() == NO_TAG => {}
            opcode::ASYNC_MESSAGE if pdu.0[36] == 1 && initiator.obedient => {
                initiator.try_request(stmf::iscsi::pdu::Header::new(opcode::LOGOUT), &[])?;
            }
            // Commands are refused when the time to log out is over.
            opcode::ASYNC_MESSAGE | opcode::LOGOUT_RESPONSE | opcode::REJECT => {}
            other => panic!("{other:#x}"),
        }
    }
}
