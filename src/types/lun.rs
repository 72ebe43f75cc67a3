use super::ParseError;
use serde::{Deserialize, Serialize};

/// A logical unit number, 0 to 16383 (`scsi-sbd.md` 1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16")]
pub struct Lun(u16);

impl TryFrom<u16> for Lun {
    type Error = ParseError;

    fn try_from(n: u16) -> Result<Self, ParseError> {
        Lun::new(n).ok_or(ParseError::new("a logical unit number of at most 16383"))
    }
}

impl Lun {
    /// Largest number.
    pub const MAX: u16 = 0x3fff;

    /// `None` above [`Lun::MAX`].
    pub const fn new(n: u16) -> Option<Lun> {
        if n <= Self::MAX { Some(Lun(n)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The 8-byte LUN of a transport's command (SAM-4 4.6): peripheral (00b, bus 0) or flat (01b) addressing, bytes 2
    /// to 7 zero. Anything else names no unit.
    pub fn from_sam(bytes: &[u8; 8]) -> Option<Lun> {
        let method = bytes[0] >> 6;
        let peripheral = method == 0 && bytes[0] == 0;
        if bytes[2..] != [0; 6] || !(peripheral || method == 1) {
            return None;
        }
        Some(Lun(u16::from(bytes[0] & 0x3f) << 8 | u16::from(bytes[1])))
    }

    /// As REPORT LUNS lists it: peripheral addressing up to 255, flat above.
    pub fn to_sam(self) -> [u8; 8] {
        let [high, low] = self.0.to_be_bytes();
        let method = if self.0 > 255 { 0x40 } else { 0 };
        [method | high, low, 0, 0, 0, 0, 0, 0]
    }

    /// `luNbr` of a view entry: method bits must be 00 (`libstmf-api.md` 3.5); bytes 2 to 7 are ignored.
    pub fn from_view_entry(bytes: &[u8]) -> Option<Lun> {
        match bytes {
            [high, low, ..] => Lun::new(u16::from_be_bytes([*high, *low])),
            _ => None,
        }
    }

    /// `luNbr` of a view entry.
    pub fn to_view_entry(self) -> [u8; 8] {
        let [high, low] = self.0.to_be_bytes();
        [high, low, 0, 0, 0, 0, 0, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sam_round_trip_for_every_number() {
        for n in 0..=Lun::MAX {
            let lun = Lun::new(n).unwrap();
            assert_eq!(Lun::from_sam(&lun.to_sam()), Some(lun));
            assert_eq!(Lun::from_view_entry(&lun.to_view_entry()), Some(lun));
        }
        assert_eq!(Lun::new(0x4000), None);
    }

    #[test]
    fn other_methods_name_nothing() {
        assert_eq!(Lun::from_sam(&[0x80, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(Lun::from_sam(&[0xc1, 1, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(Lun::from_sam(&[0, 1, 0, 1, 0, 0, 0, 0]), None);
        assert_eq!(
            Lun::from_sam(&[1, 1, 0, 0, 0, 0, 0, 0]),
            None,
            "peripheral addressing of another bus"
        );
    }
}
