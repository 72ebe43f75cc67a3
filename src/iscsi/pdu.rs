//! The 48-byte basic header segment and typed views of it (RFC 7143 11; `iscsi-target.md` 4.1). Pure; no view can panic,
//! since a [`Header`] always has 48 bytes and every offset is a constant.

/// Bytes of a basic header segment.
pub const HEADER: usize = 48;
/// A tag that names nothing.
pub const NO_TAG: u32 = 0xffff_ffff;

/// Operation codes, without the immediate bit.
pub mod opcode {
    #![allow(missing_docs)]
    pub const NOP_OUT: u8 = 0x00;
    pub const SCSI_COMMAND: u8 = 0x01;
    pub const TASK_MANAGEMENT: u8 = 0x02;
    pub const LOGIN: u8 = 0x03;
    pub const TEXT: u8 = 0x04;
    pub const DATA_OUT: u8 = 0x05;
    pub const LOGOUT: u8 = 0x06;
    pub const SNACK: u8 = 0x10;
    pub const NOP_IN: u8 = 0x20;
    pub const SCSI_RESPONSE: u8 = 0x21;
    pub const TASK_MANAGEMENT_RESPONSE: u8 = 0x22;
    pub const LOGIN_RESPONSE: u8 = 0x23;
    pub const TEXT_RESPONSE: u8 = 0x24;
    pub const DATA_IN: u8 = 0x25;
    pub const LOGOUT_RESPONSE: u8 = 0x26;
    pub const R2T: u8 = 0x31;
    pub const ASYNC_MESSAGE: u8 = 0x32;
    pub const REJECT: u8 = 0x3f;
}

/// Reject reasons (RFC 7143 11.17.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RejectReason {
    /// Data digest mismatch.
    DataDigest = 0x02,
    /// SNACK reject.
    Snack = 0x03,
    /// A protocol error that does not endanger framing.
    ProtocolError = 0x04,
    /// Command not supported.
    NotSupported = 0x05,
    /// Too many immediate commands.
    TooManyImmediate = 0x06,
    /// The task tag is in use.
    TaskInProgress = 0x07,
    /// Invalid PDU field.
    InvalidField = 0x09,
    /// The target has asked for logout.
    WaitingForLogout = 0x0c,
}

/// A basic header segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header(pub [u8; HEADER]);

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Header(op {:#04x}, itt {:#x}, data {})",
            self.opcode(),
            self.itt(),
            self.data_length()
        )
    }
}

impl Header {
    /// An outgoing header: operation code, F set, everything else zero.
    pub fn new(opcode: u8) -> Header {
        let mut bytes = [0; HEADER];
        bytes[0] = opcode;
        bytes[1] = 0x80;
        Header(bytes)
    }

    /// Operation code without the immediate bit.
    pub fn opcode(&self) -> u8 {
        self.0[0] & 0x3f
    }
    /// I: outside the CmdSN order.
    pub fn immediate(&self) -> bool {
        self.0[0] & 0x40 != 0
    }
    /// Byte 1.
    pub fn flags(&self) -> u8 {
        self.0[1]
    }
    /// F: the last PDU of its sequence.
    pub fn is_final(&self) -> bool {
        self.0[1] & 0x80 != 0
    }
    /// C: the text continues in the next PDU (login, text).
    pub fn continues(&self) -> bool {
        self.0[1] & 0x40 != 0
    }
    /// Bytes of additional header segments, at most 1020.
    pub fn ahs_length(&self) -> usize {
        usize::from(self.0[4]) * 4
    }
    /// Bytes of the data segment without padding, below 2^24.
    pub fn data_length(&self) -> usize {
        usize::from(self.0[5]) << 16 | usize::from(self.0[6]) << 8 | usize::from(self.0[7])
    }
    /// LUN.
    pub fn lun(&self) -> [u8; 8] {
        let mut lun = [0; 8];
        lun.copy_from_slice(&self.0[8..16]);
        lun
    }
    /// Initiator task tag.
    pub fn itt(&self) -> u32 {
        self.word::<16>()
    }
    /// Target transfer tag; referenced task tag of task management.
    pub fn ttt(&self) -> u32 {
        self.word::<20>()
    }
    /// CmdSN.
    pub fn cmd_sn(&self) -> u32 {
        self.word::<24>()
    }
    /// ExpStatSN.
    pub fn exp_stat_sn(&self) -> u32 {
        self.word::<28>()
    }

    /// The big-endian 32-bit field at a constant offset.
    pub fn word<const AT: usize>(&self) -> u32 {
        const { assert!(AT + 4 <= HEADER) };
        u32::from_be_bytes([self.0[AT], self.0[AT + 1], self.0[AT + 2], self.0[AT + 3]])
    }
    /// The big-endian 16-bit field at a constant offset.
    pub fn half<const AT: usize>(&self) -> u16 {
        const { assert!(AT + 2 <= HEADER) };
        u16::from_be_bytes([self.0[AT], self.0[AT + 1]])
    }

    /// Sets a 32-bit field.
    pub fn set_word<const AT: usize>(&mut self, value: u32) -> &mut Header {
        const { assert!(AT + 4 <= HEADER) };
        self.0[AT..AT + 4].copy_from_slice(&value.to_be_bytes());
        self
    }
    /// Sets a 16-bit field.
    pub fn set_half<const AT: usize>(&mut self, value: u16) -> &mut Header {
        const { assert!(AT + 2 <= HEADER) };
        self.0[AT..AT + 2].copy_from_slice(&value.to_be_bytes());
        self
    }
    /// Sets one byte.
    pub fn set_byte<const AT: usize>(&mut self, value: u8) -> &mut Header {
        const { assert!(AT < HEADER) };
        self.0[AT] = value;
        self
    }
    /// Sets the LUN.
    pub fn set_lun(&mut self, lun: [u8; 8]) -> &mut Header {
        self.0[8..16].copy_from_slice(&lun);
        self
    }
    /// Sets DataSegmentLength; the caller keeps it below 2^24.
    pub fn set_data_length(&mut self, length: usize) -> &mut Header {
        debug_assert!(length < 1 << 24);
        let bytes = u32::try_from(length).unwrap_or(0).to_be_bytes();
        self.0[5..8].copy_from_slice(&bytes[1..]);
        self
    }
}

/// View of a SCSI Command (RFC 7143 11.3).
#[derive(Clone, Copy)]
pub struct ScsiCommand<'a>(pub &'a Header);

impl ScsiCommand<'_> {
    /// R: data to the initiator is expected.
    pub fn read(&self) -> bool {
        self.0.flags() & 0x40 != 0
    }
    /// W: the initiator sends data.
    pub fn write(&self) -> bool {
        self.0.flags() & 0x20 != 0
    }
    /// Task attribute, 0 to 7.
    pub fn attribute(&self) -> u8 {
        self.0.flags() & 0x07
    }
    /// Expected data transfer length.
    pub fn expected_length(&self) -> u32 {
        self.0.word::<20>()
    }
    /// Bytes 0 to 15 of the CDB.
    pub fn cdb_head(&self) -> &[u8] {
        &self.0.0[32..48]
    }
    /// The whole CDB: bytes 32 to 47, then the extended CDB of the additional header segments. `None` when those are malformed.
    pub fn cdb(&self, ahs: &[u8]) -> Option<Vec<u8>> {
        let mut cdb = self.cdb_head().to_vec();
        let mut rest = ahs;
        while !rest.is_empty() {
            // AHSLength counts the bytes after AHSType (RFC 7143 11.2.2.1).
            let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
            let kind = *rest.get(2)? & 0x3f;
            let specific = rest.get(3..3 + length)?;
            if kind == 1 {
                cdb.extend_from_slice(specific.get(1..)?);
            }
            rest = rest.get((3 + length).next_multiple_of(4)..).unwrap_or_default();
        }
        Some(cdb)
    }
}

/// View of a Login Request (RFC 7143 11.12).
#[derive(Clone, Copy)]
pub struct LoginRequest<'a>(pub &'a Header);

impl LoginRequest<'_> {
    /// T: the initiator is ready for the next stage.
    pub fn transit(&self) -> bool {
        self.0.is_final()
    }
    /// Current stage.
    pub fn current_stage(&self) -> u8 {
        self.0.flags() >> 2 & 3
    }
    /// Next stage.
    pub fn next_stage(&self) -> u8 {
        self.0.flags() & 3
    }
    /// Lowest version the initiator speaks.
    pub fn version_min(&self) -> u8 {
        self.0.0[3]
    }
    /// ISID.
    pub fn isid(&self) -> [u8; 6] {
        let mut isid = [0; 6];
        isid.copy_from_slice(&self.0.0[8..14]);
        isid
    }
    /// TSIH, 0 for a new session.
    pub fn tsih(&self) -> u16 {
        self.0.half::<14>()
    }
    /// Connection id.
    pub fn cid(&self) -> u16 {
        self.0.half::<20>()
    }
}

/// View of a SCSI Data-Out (RFC 7143 11.7).
#[derive(Clone, Copy)]
pub struct DataOut<'a>(pub &'a Header);

impl DataOut<'_> {
    /// DataSN.
    pub fn data_sn(&self) -> u32 {
        self.0.word::<36>()
    }
    /// Buffer offset.
    pub fn offset(&self) -> u32 {
        self.0.word::<40>()
    }
}

/// View of a Task Management Function Request (RFC 7143 11.5).
#[derive(Clone, Copy)]
pub struct TaskManagement<'a>(pub &'a Header);

impl TaskManagement<'_> {
    /// Function.
    pub fn function(&self) -> u8 {
        self.0.flags() & 0x7f
    }
    /// Referenced task tag.
    pub fn referenced_tag(&self) -> u32 {
        self.0.word::<20>()
    }
    /// RefCmdSN.
    pub fn ref_cmd_sn(&self) -> u32 {
        self.0.word::<32>()
    }
}

/// 32-bit serial number arithmetic (RFC 1982): `a` comes before `b`.
pub fn before(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) < 0x8000_0000
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn serial_numbers_wrap() {
        assert!(before(0xffff_ffff, 0));
        assert!(!before(0, 0xffff_ffff));
        assert!(!before(5, 5));
    }

    #[test]
    fn fields_are_big_endian_at_their_offsets() {
        let mut header = Header::new(opcode::SCSI_RESPONSE);
        header
            .set_data_length(0x01_02_03)
            .set_word::<44>(7)
            .set_half::<14>(0x1234);
        assert_eq!(header.0[5..8], [1, 2, 3]);
        assert_eq!(header.0[44..48], [0, 0, 0, 7]);
        assert_eq!(LoginRequest(&header).tsih(), 0x1234);
        assert_eq!(header.data_length(), 0x01_02_03);
    }

    #[test]
    fn an_extended_cdb_follows_the_first_sixteen_bytes() {
        let header = Header::new(opcode::SCSI_COMMAND);
        // 32-byte CDB: 16 extended bytes, AHSLength 17 with the reserved byte (RFC 7143 11.2.2.3).
        let mut ahs = vec![0, 17, 1, 0];
        ahs.extend(16..32u8);
        let cdb = ScsiCommand(&header).cdb(&ahs).unwrap();
        assert_eq!(cdb.len(), 32);
        assert_eq!(cdb[16..], (16..32u8).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn no_header_and_no_ahs_panics(bytes in proptest::array::uniform32(any::<u8>()),
            ahs in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut all = [0; HEADER];
            all[..32].copy_from_slice(&bytes);
            let header = Header(all);
            let _ = ScsiCommand(&header).cdb(&ahs);
            let _ = format!("{header:?} {:?}", LoginRequest(&header).isid());
        }
    }
}
