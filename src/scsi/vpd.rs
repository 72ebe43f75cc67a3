//! Vital product data pages (SPC-4 7.8, SBC-3 6.6).

use crate::types::{DevId, Guid, NodeId, Protocol};

/// Page codes.
#[allow(missing_docs)]
pub mod page {
    pub const SUPPORTED: u8 = 0x00;
    pub const UNIT_SERIAL_NUMBER: u8 = 0x80;
    pub const DEVICE_IDENTIFICATION: u8 = 0x83;
    pub const MANAGEMENT_ADDRESSES: u8 = 0x85;
    pub const EXTENDED_INQUIRY: u8 = 0x86;
    pub const BLOCK_LIMITS: u8 = 0xb0;
    pub const BLOCK_CHARACTERISTICS: u8 = 0xb1;
    pub const PROVISIONING: u8 = 0xb2;
}

/// What the pages say of a logical unit.
#[derive(Debug, Clone, Copy)]
pub struct Unit<'a> {
    /// Identity.
    pub guid: &'a Guid,
    /// Serial number of the administrator's, if any.
    pub serial: Option<&'a str>,
    /// Management URLs, separated by spaces.
    pub mgmt_url: Option<&'a str>,
    /// Limits for page B0.
    pub limits: BlockLimits,
}

/// The port through which the command came.
#[derive(Debug, Clone, Copy)]
pub struct TargetPort<'a> {
    /// Transport.
    pub protocol: Protocol,
    /// Its name.
    pub devid: &'a DevId,
    /// Relative target port identifier.
    pub rtpid: u16,
    /// Target port group.
    pub group: NodeId,
}

/// Block limits (SBC-3 6.6.4), in blocks; 0 means "no limit" or "not supported".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockLimits {
    /// OPTIMAL TRANSFER LENGTH GRANULARITY.
    pub optimal_granularity: u16,
    /// MAXIMUM COMPARE AND WRITE LENGTH.
    pub max_compare_and_write: u8,
    /// MAXIMUM WRITE SAME LENGTH.
    pub max_write_same: u64,
    /// What UNMAP can do; `None` on a fully provisioned unit, which has no page B2 either.
    pub unmap: Option<UnmapLimits>,
}

/// UNMAP, for page B0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnmapLimits {
    /// MAXIMUM UNMAP LBA COUNT.
    pub max_blocks: u32,
    /// MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT.
    pub max_descriptors: u32,
    /// OPTIMAL UNMAP GRANULARITY.
    pub granularity: u32,
}

/// The page `code`; `None` when this unit has no such page. Every page that page 00 lists is `Some`.
pub fn page(code: u8, unit: &Unit<'_>, port: &TargetPort<'_>) -> Option<Vec<u8>> {
    let body = match code {
        page::SUPPORTED => supported(unit),
        page::UNIT_SERIAL_NUMBER => serial(unit),
        page::DEVICE_IDENTIFICATION => identification(unit, port),
        page::MANAGEMENT_ADDRESSES => management(unit.mgmt_url?),
        page::EXTENDED_INQUIRY => extended_inquiry(),
        page::BLOCK_LIMITS => limits(&unit.limits),
        page::BLOCK_CHARACTERISTICS => characteristics(),
        page::PROVISIONING => unit.limits.unmap.map(|_| provisioning())?,
        _ => return None,
    };
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut data = vec![0, code, length[0], length[1]];
    data.extend_from_slice(&body[..body.len().min(usize::from(u16::MAX))]);
    Some(data)
}

fn supported(unit: &Unit<'_>) -> Vec<u8> {
    let mut pages = vec![page::SUPPORTED, page::UNIT_SERIAL_NUMBER, page::DEVICE_IDENTIFICATION];
    if unit.mgmt_url.is_some() {
        pages.push(page::MANAGEMENT_ADDRESSES);
    }
    pages.extend([page::EXTENDED_INQUIRY, page::BLOCK_LIMITS, page::BLOCK_CHARACTERISTICS]);
    if unit.limits.unmap.is_some() {
        pages.push(page::PROVISIONING);
    }
    pages
}

/// Without a serial number: 16 hex digits of the GUID (host part, time and counter), so that hosts can tell units apart.
fn serial(unit: &Unit<'_>) -> Vec<u8> {
    match unit.serial {
        Some(serial) => serial.as_bytes().to_vec(),
        None => unit.guid.to_string().as_bytes()[16..].to_vec(),
    }
}

/// The four designators of `alua-proxy.md` 7.2, equal on both nodes.
fn identification(unit: &Unit<'_>, port: &TargetPort<'_>) -> Vec<u8> {
    let mut data = vec![0xf1, 0x03, 0x00, 0x10];
    data.extend_from_slice(&unit.guid.0);
    let name = port.devid.as_bytes();
    // Association "target port" with a protocol identifier; iSCSI names are SCSI name strings in UTF-8.
    let (code_set, kind) = match port.protocol {
        Protocol::Iscsi => (0x03, 0x08),
        _ => (0x02, 0x00),
    };
    let length = u8::try_from(name.len()).expect("a devid has at most 255 bytes");
    data.extend([(port.protocol as u8) << 4 | code_set, 0x90 | kind, 0, length]);
    data.extend_from_slice(name);
    data.extend([0x01, 0x15, 0x00, 0x04, 0x00, 0x00, 0x00, port.group.get()]);
    let rtpid = port.rtpid.to_be_bytes();
    data.extend([0x01, 0x14, 0x00, 0x04, 0x00, 0x00, rtpid[0], rtpid[1]]);
    data
}

/// One descriptor per URL: storage configuration service, the LU's (SPC-4 7.8.9); NUL-terminated, padded to 4.
fn management(urls: &str) -> Vec<u8> {
    let mut data = Vec::new();
    for url in urls.split_ascii_whitespace() {
        let padded = (url.len() + 1).next_multiple_of(4);
        let length = u16::try_from(padded).unwrap_or(u16::MAX).to_be_bytes();
        data.extend([0x01, 0x00, length[0], length[1]]);
        let end = data.len() + padded;
        data.extend_from_slice(url.as_bytes());
        data.resize(end, 0);
    }
    data
}

/// HEADSUP, ORDSUP, SIMPSUP: the task attributes; LUICLR: unit attentions are cleared per nexus (SPC-4 7.8.7).
fn extended_inquiry() -> Vec<u8> {
    let mut data = vec![0; 60];
    data[1] = 0x07;
    data[3] = 0x01;
    data
}

fn limits(limits: &BlockLimits) -> Vec<u8> {
    let mut data = vec![0; 60];
    data[2..4].copy_from_slice(&limits.optimal_granularity.to_be_bytes());
    // WSNZ (byte 0) is 0: WRITE SAME of no blocks goes to the end. MAXIMUM TRANSFER LENGTH (4 to 7) is 0, no limit reported:
    // a device server that reports one has to refuse longer READs and WRITEs, which are executed (SBC-3 6.6.4).
    data[1] = limits.max_compare_and_write;
    if let Some(unmap) = limits.unmap {
        const UGAVALID: u8 = 0x80;
        data[16..20].copy_from_slice(&unmap.max_blocks.to_be_bytes());
        data[20..24].copy_from_slice(&unmap.max_descriptors.to_be_bytes());
        data[24..28].copy_from_slice(&unmap.granularity.to_be_bytes());
        data[28] = UGAVALID;
    }
    data[32..40].copy_from_slice(&limits.max_write_same.to_be_bytes());
    data
}

/// UNMAP, WRITE SAME(10) and (16) unmap; unmapped blocks read as zeros; thin provisioned, no thresholds (SBC-3 6.6.7).
fn provisioning() -> Vec<u8> {
    const LBPU_LBPWS_LBPWS10_LBPRZ: u8 = 0xe4;
    const THIN: u8 = 2;
    vec![0, LBPU_LBPWS_LBPWS10_LBPRZ, THIN, 0]
}

/// MEDIUM ROTATION RATE 0000h: not reported.
fn characteristics() -> Vec<u8> {
    vec![0; 60]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(check: impl FnOnce(&Unit<'_>, &TargetPort<'_>) -> T) -> T {
        let guid = "600144f0c0ffee0000005a3c817e0001".parse().unwrap();
        let devid = DevId::new(b"iqn.2010-08.org.example:node1-t0").unwrap();
        let unit = Unit {
            guid: &guid,
            serial: None,
            mgmt_url: Some("http://a/ https://example.org/disks"),
            limits: BlockLimits {
                optimal_granularity: 8,
                max_compare_and_write: 32,
                max_write_same: 1 << 21,
                unmap: Some(UnmapLimits {
                    max_blocks: 1 << 20,
                    max_descriptors: 256,
                    granularity: 8,
                }),
            },
        };
        let port = TargetPort {
            protocol: Protocol::Iscsi,
            devid: &devid,
            rtpid: 256,
            group: NodeId::new(1).unwrap(),
        };
        check(&unit, &port)
    }

    /// The example of `alua-proxy.md` 7.2.
    #[test]
    fn device_identification_vector() {
        let expected = "
            00 83 00 48 F1 03 00 10 60 01 44 F0 C0 FF EE 00
            00 00 5A 3C 81 7E 00 01 53 98 00 20 69 71 6E 2E
            32 30 31 30 2D 30 38 2E 6F 72 67 2E 65 78 61 6D
            70 6C 65 3A 6E 6F 64 65 31 2D 74 30 01 15 00 04
            00 00 00 01 01 14 00 04 00 00 01 00";
        let expected: Vec<u8> = expected
            .split_ascii_whitespace()
            .map(|b| u8::from_str_radix(b, 16).unwrap())
            .collect();
        with(|unit, port| assert_eq!(page(0x83, unit, port).unwrap(), expected));
    }

    #[test]
    fn every_listed_page_is_readable_and_its_length_is_right() {
        with(|unit, port| {
            let list = page(page::SUPPORTED, unit, port).unwrap();
            assert!(list[4..].is_sorted(), "ascending");
            for code in 0..=0xff {
                let data = page(code, unit, port);
                assert_eq!(data.is_some(), list[4..].contains(&code), "{code:#x}");
                if let Some(data) = data {
                    assert_eq!(data[1], code);
                    assert_eq!(usize::from(u16::from_be_bytes([data[2], data[3]])), data.len() - 4);
                }
            }
            let unit = Unit {
                mgmt_url: None,
                ..*unit
            };
            assert_eq!(page(page::MANAGEMENT_ADDRESSES, &unit, port), None);
        });
    }

    #[test]
    fn block_limits() {
        with(|unit, port| {
            let data = page(page::BLOCK_LIMITS, unit, port).unwrap();
            assert_eq!(data.len(), 64);
            assert_eq!(data[4..12], [0, 32, 0, 8, 0, 0, 0, 0]);
            assert_eq!(data[20..36], [0, 16, 0, 0, 0, 0, 1, 0, 0, 0, 0, 8, 0x80, 0, 0, 0]);
            assert_eq!(data[36..44], (1_u64 << 21).to_be_bytes());
            assert_eq!(data[44..], [0; 20]);
            assert_eq!(page(page::PROVISIONING, unit, port).unwrap()[4..], [0, 0xe4, 2, 0]);
            let thick = Unit {
                limits: BlockLimits {
                    unmap: None,
                    ..unit.limits
                },
                ..*unit
            };
            assert_eq!(page(page::PROVISIONING, &thick, port), None);
            assert_eq!(page(page::BLOCK_LIMITS, &thick, port).unwrap()[20..36], [0; 16]);
        });
    }

    #[test]
    fn task_attributes() {
        with(|unit, port| assert_eq!(page(page::EXTENDED_INQUIRY, unit, port).unwrap()[4..8], [0, 7, 0, 1]));
    }

    #[test]
    fn serial_of_the_guid_and_urls_padded() {
        with(|unit, port| {
            assert_eq!(&page(0x80, unit, port).unwrap()[4..], b"00005A3C817E0001");
            let urls = page(0x85, unit, port).unwrap();
            assert_eq!(&urls[4..20], b"\x01\0\0\x0chttp://a/\0\0\0");
            assert_eq!(urls.len() % 4, 0);
        });
    }
}
