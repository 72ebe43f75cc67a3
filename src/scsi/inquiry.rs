//! Standard INQUIRY data (SPC-4 6.6.2) of a disk.

use crate::types::Protocol;

/// Length of the standard INQUIRY data of a disk.
pub const STANDARD_LENGTH: usize = 74;

/// Standard INQUIRY data (`scsi-sbd.md` 2.8.1): a connected direct access block device, SPC-4, response data format 2,
/// implicit ALUA (`alua-proxy.md` 7.1), third party copy, command queuing. The identification fields are space-padded ASCII.
pub fn standard(
    vendor: &[u8; 8],
    product: &[u8; 16],
    revision: &[u8; 4],
    transport: Protocol,
) -> [u8; STANDARD_LENGTH] {
    const VERSION_SPC4: u8 = 0x06;
    const HISUP_FORMAT_2: u8 = 0x12;
    const TPGS_IMPLICIT: u8 = 0x10;
    const THIRD_PARTY_COPY: u8 = 0x08;
    const CMDQUE: u8 = 0x02;
    let mut data = [0; STANDARD_LENGTH];
    data[2] = VERSION_SPC4;
    data[3] = HISUP_FORMAT_2;
    data[4] = 69;
    data[5] = TPGS_IMPLICIT | THIRD_PARTY_COPY;
    data[7] = CMDQUE;
    data[8..16].copy_from_slice(vendor);
    data[16..32].copy_from_slice(product);
    data[32..36].copy_from_slice(revision);
    let versions = [SAM_4, transport_version(transport), SPC_4, SBC_3];
    for (field, version) in data[58..74].chunks_exact_mut(2).zip(versions) {
        field.copy_from_slice(&version.to_be_bytes());
    }
    data
}

// Version descriptors (SPC-4 table 184).
const SAM_4: u16 = 0x0080;
const SPC_4: u16 = 0x0460;
const SBC_3: u16 = 0x04c0;

fn transport_version(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::FibreChannel => 0x0900,
        Protocol::Srp => 0x0940,
        Protocol::Iscsi => 0x0960,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additional_length_ends_where_the_data_end() {
        let data = standard(b"SUN     ", b"COMSTAR         ", b"1.0 ", Protocol::Iscsi);
        assert_eq!(usize::from(data[4]) + 5, data.len());
        assert_eq!(data[..8], [0, 0, 6, 0x12, 0x45, 0x18, 0, 2]);
        assert_eq!(&data[8..36], b"SUN     COMSTAR         1.0 ");
        assert_eq!(data[58..66], [0x00, 0x80, 0x09, 0x60, 0x04, 0x60, 0x04, 0xc0]);
    }
}
