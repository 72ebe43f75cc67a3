//! A small blocking initiator: just enough to say anything to a target, also what no initiator should say.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use stmf::iscsi::pdu::{HEADER, Header, NO_TAG, opcode};

pub struct Pdu {
    pub header: Header,
    pub data: Vec<u8>,
}

pub struct Initiator {
    pub stream: TcpStream,
    pub cmd_sn: u32,
    /// The session to join, and the one that was entered.
    pub tsih: u16,
    pub cid: u16,
    /// Last byte of the ISID.
    pub isid: u8,
    /// Logs out when the target asks for it.
    pub obedient: bool,
    pub next_itt: u32,
}

impl Initiator {
    pub fn connect(address: SocketAddr) -> Initiator {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        Initiator {
            stream,
            cmd_sn: 10,
            tsih: 0,
            cid: 0,
            isid: 0,
            obedient: true,
            next_itt: 1,
        }
    }

    /// Straight to full feature phase in one request.
    pub fn login(address: SocketAddr, host: &str, target: &str, keys: &[(&str, &str)]) -> Initiator {
        let mut initiator = Initiator::connect(address);
        let answer = initiator.try_login(host, target, keys);
        assert_eq!((answer.header.0[36], answer.header.0[37]), (0, 0));
        assert_eq!(answer.header.0[1], 0x87, "full feature phase");
        assert_ne!(answer.header.half::<14>(), 0, "a TSIH");
        initiator
    }

    pub fn try_login(&mut self, host: &str, target: &str, keys: &[(&str, &str)]) -> Pdu {
        let mut text = format!("InitiatorName={host}\0");
        if target.is_empty() {
            text += "SessionType=Discovery\0";
        } else {
            text += &format!("TargetName={target}\0");
        }
        for (key, value) in keys {
            text += &format!("{key}={value}\0");
        }
        let mut header = Header::new(opcode::LOGIN | 0x40);
        header
            .set_byte::<1>(0x87)
            .set_byte::<8>(0x80)
            .set_byte::<13>(self.isid)
            .set_half::<14>(self.tsih)
            .set_half::<20>(self.cid)
            .set_word::<24>(self.cmd_sn);
        self.send(header, text.as_bytes());
        let answer = self.receive();
        self.tsih = answer.header.half::<14>();
        answer
    }

    /// A discovery login to a target that may close at any moment; true when it could be sent.
    pub fn hello(&mut self) -> bool {
        let text = b"InitiatorName=iqn.2026-11.example:late\0SessionType=Discovery\0\0";
        let mut header = Header::new(opcode::LOGIN | 0x40);
        header.set_byte::<1>(0x87).set_data_length(text.len());
        let mut bytes = header.0.to_vec();
        bytes.extend_from_slice(text);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.stream.write_all(&bytes).is_ok()
    }

    pub fn send(&mut self, mut header: Header, data: &[u8]) {
        header.set_data_length(data.len());
        let mut bytes = header.0.to_vec();
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.stream.write_all(&bytes).unwrap();
    }

    /// Sends a numbered request under a new tag, which is returned.
    pub fn request(&mut self, mut header: Header, data: &[u8]) -> u32 {
        let itt = self.next_itt;
        self.next_itt += 1;
        header.set_word::<16>(itt).set_word::<24>(self.cmd_sn);
        self.cmd_sn = self.cmd_sn.wrapping_add(1);
        self.send(header, data);
        itt
    }

    /// The same over a connection that may be closed: `None`.
    pub fn try_request(&mut self, mut header: Header, data: &[u8]) -> Option<u32> {
        let itt = self.next_itt;
        self.next_itt += 1;
        header
            .set_word::<16>(itt)
            .set_word::<24>(self.cmd_sn)
            .set_data_length(data.len());
        self.cmd_sn = self.cmd_sn.wrapping_add(1);
        let mut bytes = header.0.to_vec();
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.stream.write_all(&bytes).ok()?;
        Some(itt)
    }

    /// The beginning of a Data-Out that announces 65536 bytes.
    pub fn part_of_data_out(&mut self, itt: u32, ttt: u32, length: usize) {
        let mut header = Header::new(opcode::DATA_OUT);
        header.set_word::<16>(itt).set_word::<20>(ttt).set_data_length(65536);
        let mut bytes = header.0.to_vec();
        bytes.resize(HEADER + length, 0x55);
        self.stream.write_all(&bytes).unwrap();
    }

    pub fn try_receive(&mut self) -> Option<Pdu> {
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header).ok()?;
        let header = Header(header);
        let mut data = vec![0; header.data_length().next_multiple_of(4)];
        self.stream.read_exact(&mut data).ok()?;
        data.truncate(header.data_length());
        Some(Pdu { header, data })
    }

    pub fn receive(&mut self) -> Pdu {
        self.try_receive().expect("an answer")
    }

    /// True when the target closes without another answer.
    pub fn closed(&mut self) -> bool {
        self.try_receive().is_none()
    }

    pub fn command(cdb: &[u8], flags: u8, length: u32) -> Header {
        let mut header = Header::new(opcode::SCSI_COMMAND);
        header.set_byte::<1>(flags | 1).set_word::<20>(length);
        header.0[32..32 + cdb.len()].copy_from_slice(cdb);
        header
    }

    /// A command that reads: status, residual flags and count, and the data.
    pub fn read(&mut self, cdb: &[u8], length: u32) -> (u8, Vec<u8>) {
        let itt = self.request(Self::command(cdb, 0xc0, length), &[]);
        let mut data = Vec::new();
        loop {
            let pdu = self.receive();
            assert_eq!(pdu.header.itt(), itt);
            match pdu.header.opcode() {
                opcode::DATA_IN => {
                    assert_eq!(pdu.header.word::<40>() as usize, data.len());
                    data.extend_from_slice(&pdu.data);
                    if pdu.header.flags() & 1 != 0 {
                        return (pdu.header.0[3], data);
                    }
                }
                opcode::SCSI_RESPONSE => return (pdu.header.0[3], data),
                other => panic!("{other:#x}"),
            }
        }
    }

    /// A command that writes: `immediate` bytes with it, `unsolicited` behind it, the rest when it is solicited.
    pub fn write(&mut self, cdb: &[u8], data: &[u8], immediate: usize, unsolicited: usize, segment: usize) -> u8 {
        let length = u32::try_from(data.len()).unwrap();
        let flags = if unsolicited == 0 { 0xa0 } else { 0x20 };
        let itt = self.request(Self::command(cdb, flags, length), &data[..immediate]);
        self.burst(itt, NO_TAG, data, immediate, immediate + unsolicited, segment);
        loop {
            let pdu = self.receive();
            assert_eq!(pdu.header.itt(), itt);
            match pdu.header.opcode() {
                opcode::R2T => {
                    let start = pdu.header.word::<40>() as usize;
                    let end = start + pdu.header.word::<44>() as usize;
                    self.burst(itt, pdu.header.ttt(), data, start, end, segment);
                }
                opcode::SCSI_RESPONSE => return pdu.header.0[3],
                other => panic!("{other:#x}"),
            }
        }
    }

    fn burst(&mut self, itt: u32, ttt: u32, data: &[u8], start: usize, end: usize, segment: usize) {
        let mut offset = start;
        let mut number = 0;
        while offset < end {
            let next = (offset + segment).min(end);
            self.data_out(itt, ttt, number, offset, next == end, &data[offset..next]);
            offset = next;
            number += 1;
        }
    }

    pub fn data_out(&mut self, itt: u32, ttt: u32, number: u32, offset: usize, last: bool, data: &[u8]) {
        let mut header = Header::new(opcode::DATA_OUT);
        header.set_byte::<1>(if last { 0x80 } else { 0 });
        header.set_word::<16>(itt).set_word::<20>(ttt).set_word::<36>(number);
        header.set_word::<40>(u32::try_from(offset).unwrap());
        self.send(header, data);
    }

    /// Until no unit attention is pending.
    pub fn test_unit_ready(&mut self) {
        let ready = (0..5).any(|_| self.read(&[0; 6], 0).0 == 0);
        assert!(ready);
    }

    pub fn logout(&mut self) {
        self.request(Header::new(opcode::LOGOUT), &[]);
        let answer = self.receive();
        assert_eq!(
            (answer.header.opcode(), answer.header.0[2]),
            (opcode::LOGOUT_RESPONSE, 0)
        );
        assert!(self.closed());
    }
}

/// READ(10).
pub fn read10(lba: u32, blocks: u16) -> [u8; 10] {
    transfer(0x28, lba, blocks)
}

/// WRITE(10).
pub fn write10(lba: u32, blocks: u16) -> [u8; 10] {
    transfer(0x2a, lba, blocks)
}

fn transfer(opcode: u8, lba: u32, blocks: u16) -> [u8; 10] {
    let mut cdb = [0; 10];
    cdb[0] = opcode;
    cdb[2..6].copy_from_slice(&lba.to_be_bytes());
    cdb[7..9].copy_from_slice(&blocks.to_be_bytes());
    cdb
}
