//! SCSI status (SAM-4 5.3) and sense data (SPC-4 4.5).

/// SCSI status byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ScsiStatus {
    /// GOOD.
    Good = 0x00,
    /// CHECK CONDITION: sense data follows.
    CheckCondition = 0x02,
    /// CONDITION MET.
    ConditionMet = 0x04,
    /// BUSY.
    Busy = 0x08,
    /// RESERVATION CONFLICT.
    ReservationConflict = 0x18,
    /// TASK SET FULL.
    TaskSetFull = 0x28,
    /// ACA ACTIVE.
    AcaActive = 0x30,
    /// TASK ABORTED.
    TaskAborted = 0x40,
}

impl ScsiStatus {
    /// From the byte; `None` for reserved values.
    pub const fn from_byte(byte: u8) -> Option<ScsiStatus> {
        Some(match byte {
            0x00 => ScsiStatus::Good,
            0x02 => ScsiStatus::CheckCondition,
            0x04 => ScsiStatus::ConditionMet,
            0x08 => ScsiStatus::Busy,
            0x18 => ScsiStatus::ReservationConflict,
            0x28 => ScsiStatus::TaskSetFull,
            0x30 => ScsiStatus::AcaActive,
            0x40 => ScsiStatus::TaskAborted,
            _ => return None,
        })
    }
}

/// Sense key, additional sense code and qualifier, with an optional INFORMATION field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sense {
    /// Sense key.
    pub key: u8,
    /// Additional sense code.
    pub asc: u8,
    /// Additional sense code qualifier.
    pub ascq: u8,
    /// INFORMATION field, valid bit set when present.
    pub information: Option<u32>,
    /// SENSE-KEY SPECIFIC field pointer: byte number in the CDB (`true`) or in the parameter list.
    pub field_pointer: Option<(bool, u16)>,
}

impl Sense {
    /// A sense triple.
    pub const fn new(key: u8, asc: u8, ascq: u8) -> Sense {
        Sense {
            key,
            asc,
            ascq,
            information: None,
            field_pointer: None,
        }
    }

    /// 00/00/00: NO SENSE.
    pub const NO_SENSE: Sense = Sense::new(0x0, 0x00, 0x00);
    /// 02/04/0A: asymmetric access state transition.
    pub const ALUA_TRANSITION: Sense = Sense::new(0x2, 0x04, 0x0a);
    /// 02/04/0B: target port in standby state.
    pub const ALUA_STANDBY: Sense = Sense::new(0x2, 0x04, 0x0b);
    /// 02/04/0C: target port in unavailable state.
    pub const ALUA_UNAVAILABLE: Sense = Sense::new(0x2, 0x04, 0x0c);
    /// 03/11/00: unrecovered read error.
    pub const READ_ERROR: Sense = Sense::new(0x3, 0x11, 0x00);
    /// 03/0C/00: write error.
    pub const WRITE_ERROR: Sense = Sense::new(0x3, 0x0c, 0x00);
    /// 04/44/00: internal target failure.
    pub const INTERNAL_FAILURE: Sense = Sense::new(0x4, 0x44, 0x00);
    /// 05/0E/03: invalid field in command information unit.
    pub const INVALID_FIELD_IN_IU: Sense = Sense::new(0x5, 0x0e, 0x03);
    /// 05/1A/00: parameter list length error.
    pub const PARAMETER_LIST_LENGTH: Sense = Sense::new(0x5, 0x1a, 0x00);
    /// 05/20/00: invalid command operation code.
    pub const INVALID_OPCODE: Sense = Sense::new(0x5, 0x20, 0x00);
    /// 05/21/00: logical block address out of range.
    pub const LBA_OUT_OF_RANGE: Sense = Sense::new(0x5, 0x21, 0x00);
    /// 05/24/00: invalid field in CDB.
    pub const INVALID_FIELD_IN_CDB: Sense = Sense::new(0x5, 0x24, 0x00);
    /// 05/25/00: logical unit not supported.
    pub const LUN_NOT_SUPPORTED: Sense = Sense::new(0x5, 0x25, 0x00);
    /// 05/26/00: invalid field in parameter list.
    pub const INVALID_FIELD_IN_PARAMETER_LIST: Sense = Sense::new(0x5, 0x26, 0x00);
    /// 05/26/04: invalid release of persistent reservation.
    pub const INVALID_RELEASE: Sense = Sense::new(0x5, 0x26, 0x04);
    /// 05/26/06: too many target descriptors.
    pub const TOO_MANY_TARGETS: Sense = Sense::new(0x5, 0x26, 0x06);
    /// 05/26/07: unsupported target descriptor type code.
    pub const UNSUPPORTED_TARGET: Sense = Sense::new(0x5, 0x26, 0x07);
    /// 05/26/08: too many segment descriptors.
    pub const TOO_MANY_SEGMENTS: Sense = Sense::new(0x5, 0x26, 0x08);
    /// 05/26/09: unsupported segment descriptor type code.
    pub const UNSUPPORTED_SEGMENT: Sense = Sense::new(0x5, 0x26, 0x09);
    /// 05/55/04: insufficient registration resources.
    pub const INSUFFICIENT_REGISTRATION_RESOURCES: Sense = Sense::new(0x5, 0x55, 0x04);
    /// 06/29/00: power on, reset, or bus device reset occurred.
    pub const POWER_ON: Sense = Sense::new(0x6, 0x29, 0x00);
    /// 06/2A/01: mode parameters changed.
    pub const MODE_PARAMETERS_CHANGED: Sense = Sense::new(0x6, 0x2a, 0x01);
    /// 06/2A/03: reservations preempted.
    pub const RESERVATIONS_PREEMPTED: Sense = Sense::new(0x6, 0x2a, 0x03);
    /// 06/2A/04: reservations released.
    pub const RESERVATIONS_RELEASED: Sense = Sense::new(0x6, 0x2a, 0x04);
    /// 06/2A/05: registrations preempted.
    pub const REGISTRATIONS_PREEMPTED: Sense = Sense::new(0x6, 0x2a, 0x05);
    /// 06/2A/06: asymmetric access state changed.
    pub const ACCESS_STATE_CHANGED: Sense = Sense::new(0x6, 0x2a, 0x06);
    /// 06/2A/09: capacity data has changed.
    pub const CAPACITY_CHANGED: Sense = Sense::new(0x6, 0x2a, 0x09);
    /// 06/3F/0E: reported LUNs data has changed.
    pub const LUNS_CHANGED: Sense = Sense::new(0x6, 0x3f, 0x0e);
    /// 07/27/00: write protected.
    pub const WRITE_PROTECTED: Sense = Sense::new(0x7, 0x27, 0x00);
    /// 0A/0D/02: copy target device not reachable.
    pub const COPY_TARGET_UNREACHABLE: Sense = Sense::new(0xa, 0x0d, 0x02);
    /// 0A/08/04: copy aborted, unreachable copy target.
    pub const COPY_UNREACHABLE: Sense = Sense::new(0xa, 0x08, 0x04);
    /// 0A/0D/01: third party device failure.
    pub const COPY_DEVICE_FAILURE: Sense = Sense::new(0xa, 0x0d, 0x01);
    /// 0E/1D/00: miscompare during verify operation.
    pub const MISCOMPARE: Sense = Sense::new(0xe, 0x1d, 0x00);

    /// With the field pointer at a byte of the CDB.
    pub const fn at_cdb_byte(mut self, byte: u16) -> Sense {
        self.field_pointer = Some((true, byte));
        self
    }

    /// With the field pointer at a byte of the parameter list.
    pub const fn at_parameter_byte(mut self, byte: u16) -> Sense {
        self.field_pointer = Some((false, byte));
        self
    }

    /// With the INFORMATION field.
    pub const fn with_information(mut self, information: u32) -> Sense {
        self.information = Some(information);
        self
    }

    /// Descriptor format without descriptors, 8 bytes (SPC-4 4.5.2): for REQUEST SENSE with DESC=1.
    pub const fn to_descriptor(self) -> [u8; 8] {
        [0x72, self.key, self.asc, self.ascq, 0, 0, 0, 0]
    }

    /// Fixed format, 18 bytes (SPC-4 4.5.3): `70`/`F0`, key, information, `0A`, ASC, ASCQ, field pointer.
    pub fn to_fixed(self) -> [u8; 18] {
        let mut bytes = [0; 18];
        bytes[0] = 0x70;
        bytes[2] = self.key;
        bytes[7] = 0x0a;
        bytes[12] = self.asc;
        bytes[13] = self.ascq;
        if let Some(information) = self.information {
            bytes[0] |= 0x80;
            bytes[3..7].copy_from_slice(&information.to_be_bytes());
        }
        if let Some((in_cdb, byte)) = self.field_pointer {
            bytes[15] = if in_cdb { 0xc0 } else { 0x80 };
            bytes[16..18].copy_from_slice(&byte.to_be_bytes());
        }
        bytes
    }
}
