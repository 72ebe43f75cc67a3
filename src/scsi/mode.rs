//! Mode parameter data (SPC-4 7.5, SBC-3 6.5): `scsi-sbd.md` 2.8.4.

use super::Sense;

/// Page control field of MODE SENSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageControl {
    /// Current values.
    Current,
    /// Mask of what MODE SELECT may change.
    Changeable,
    /// Default values.
    Default,
    /// Values that survive a reset.
    Saved,
}

impl PageControl {
    /// From the two bits.
    pub const fn from_bits(bits: u8) -> PageControl {
        match bits & 3 {
            0 => PageControl::Current,
            1 => PageControl::Changeable,
            2 => PageControl::Default,
            _ => PageControl::Saved,
        }
    }
}

/// What the mode pages say of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Medium {
    /// Logical blocks.
    pub blocks: u64,
    /// Bytes per block.
    pub block_length: u32,
    /// Present state of the write cache.
    pub write_cache: bool,
    /// State of the write cache after a reset.
    pub write_cache_saved: bool,
    /// Writes are refused.
    pub write_protected: bool,
    /// SWP of the control page: one of the reasons for it.
    pub software_protected: bool,
}

/// Caching mode page.
pub const CACHING: u8 = 0x08;
/// All pages.
pub const ALL_PAGES: u8 = 0x3f;

const FORMAT_DEVICE: u8 = 0x03;
const RIGID_GEOMETRY: u8 = 0x04;
const CONTROL: u8 = 0x0a;

/// WCE of the caching page, byte 2.
pub const WCE: u8 = 0x04;
/// SWP of the control page, byte 4.
pub const SWP: u8 = 0x08;

/// Mode parameter header and the page `code`/`subpage`, complete: allocation length is the caller's business. `long` for
/// MODE SENSE(10). No block descriptor ever. `05/24/00` for a page that does not exist.
pub fn sense(medium: &Medium, long: bool, control: PageControl, code: u8, subpage: u8) -> Result<Vec<u8>, Sense> {
    let all = code == ALL_PAGES;
    let subpage_known = subpage == 0 || (all && subpage == 0xff);
    if !subpage_known {
        return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(3));
    }
    let mut pages = Vec::with_capacity(80);
    for (page, bytes) in [
        (FORMAT_DEVICE, &format_device(medium, control)[..]),
        (RIGID_GEOMETRY, &rigid_geometry(medium, control)),
        (CACHING, &caching(medium, control)),
        (CONTROL, &control_page(medium, control)),
    ] {
        if all || page == code {
            pages.extend_from_slice(bytes);
        }
    }
    if pages.is_empty() {
        return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(2));
    }
    let mut data = header(medium, long, pages.len());
    data.extend_from_slice(&pages);
    Ok(data)
}

fn header(medium: &Medium, long: bool, pages: usize) -> Vec<u8> {
    const WRITE_PROTECTED: u8 = 0x80;
    const DPOFUA: u8 = 0x10;
    let device_specific = DPOFUA | if medium.write_protected { WRITE_PROTECTED } else { 0 };
    // All pages together are far below 252 bytes, so the one-byte length of the short form always suffices.
    let length = u8::try_from(pages + if long { 6 } else { 3 }).expect("four short pages");
    if long {
        vec![0, length, 0, device_specific, 0, 0, 0, 0]
    } else {
        vec![length, 0, device_specific, 0]
    }
}

/// Sectors per track, heads, cylinders: a geometry for those who still ask.
fn geometry(medium: &Medium) -> (u8, u8, u32) {
    const LARGE: u64 = 4 << 30;
    let (sectors, heads) = match medium.blocks.checked_mul(u64::from(medium.block_length)) {
        Some(bytes) if bytes < LARGE => (32, 8),
        _ => (254, 254),
    };
    let cylinders = medium.blocks / (u64::from(sectors) * u64::from(heads));
    (
        sectors,
        heads,
        u32::try_from(cylinders).unwrap_or(u32::MAX).min(0x00ff_ffff),
    )
}

fn format_device(medium: &Medium, control: PageControl) -> [u8; 24] {
    const SSEC: u8 = 0x80;
    let mut page = [0; 24];
    page[..2].copy_from_slice(&[FORMAT_DEVICE, 22]);
    if control != PageControl::Changeable {
        page[11] = geometry(medium).0;
        let length = u16::try_from(medium.block_length).unwrap_or(0);
        page[12..14].copy_from_slice(&length.to_be_bytes());
        page[20] = SSEC;
    }
    page
}

fn rigid_geometry(medium: &Medium, control: PageControl) -> [u8; 24] {
    const ROTATION_RATE: u16 = 5400;
    let mut page = [0; 24];
    page[..2].copy_from_slice(&[RIGID_GEOMETRY, 22]);
    if control != PageControl::Changeable {
        let (_, heads, cylinders) = geometry(medium);
        page[2..5].copy_from_slice(&cylinders.to_be_bytes()[1..]);
        page[5] = heads;
        page[20..22].copy_from_slice(&ROTATION_RATE.to_be_bytes());
    }
    page
}

fn caching(medium: &Medium, control: PageControl) -> [u8; 20] {
    const PARAMETERS_SAVEABLE: u8 = 0x80;
    let wce = match control {
        PageControl::Current => medium.write_cache,
        PageControl::Saved => medium.write_cache_saved,
        PageControl::Default | PageControl::Changeable => true,
    };
    let mut page = [0; 20];
    page[..2].copy_from_slice(&[PARAMETERS_SAVEABLE | CACHING, 18]);
    page[2] = if wce { WCE } else { 0 };
    page
}

/// TST 0, unrestricted reordering, D_SENSE 0, TAS 0; SWP can be changed, until a reset.
fn control_page(medium: &Medium, control: PageControl) -> [u8; 12] {
    const UNRESTRICTED_REORDERING: u8 = 0x10;
    let mut page = [0; 12];
    page[..2].copy_from_slice(&[CONTROL, 10]);
    if control != PageControl::Changeable {
        page[3] = UNRESTRICTED_REORDERING;
    }
    let swp = match control {
        PageControl::Current => medium.software_protected,
        PageControl::Changeable => true,
        PageControl::Default | PageControl::Saved => false,
    };
    page[4] = if swp { SWP } else { 0 };
    page
}

/// What MODE SELECT asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// WCE.
    pub write_cache: bool,
    /// SWP.
    pub software_protected: bool,
}

/// Decodes the parameter list of MODE SELECT(6), or (10) when `long` (SPC-4 6.11, `scsi-sbd.md` 2.8.4). Only WCE and SWP
/// may differ from the current values. An empty list changes nothing.
pub fn select(medium: &Medium, long: bool, list: &[u8]) -> Result<Selection, Sense> {
    const PAGE_CODE: u8 = 0x3f;
    const SUBPAGE_FORMAT: u8 = 0x40;
    let too_short = Sense::PARAMETER_LIST_LENGTH;
    let invalid = |at: usize| {
        let byte = u16::try_from(at).unwrap_or(u16::MAX);
        Sense::INVALID_FIELD_IN_PARAMETER_LIST.at_parameter_byte(byte)
    };
    let mut selection = Selection {
        write_cache: medium.write_cache,
        software_protected: medium.software_protected,
    };
    if list.is_empty() {
        return Ok(selection);
    }
    let (header, descriptors) = match (long, list) {
        (true, [_, _, _, _, _, _, high, low, ..]) => (8, usize::from(u16::from_be_bytes([*high, *low]))),
        (false, [_, _, _, length, ..]) => (4, usize::from(*length)),
        _ => return Err(too_short),
    };
    let mut at = header + descriptors;
    match (descriptors, list.get(header..at)) {
        (_, None) => return Err(too_short),
        (0, _) => {}
        (8, Some(descriptor)) if keeps_block_length(medium, descriptor) => {}
        _ => return Err(invalid(header)),
    }
    while at < list.len() {
        let code = list[at] & PAGE_CODE;
        let current = match code {
            _ if list[at] & SUBPAGE_FORMAT != 0 => return Err(invalid(at)),
            CACHING => caching(medium, PageControl::Current).to_vec(),
            CONTROL => control_page(medium, PageControl::Current).to_vec(),
            _ => return Err(invalid(at)),
        };
        let length = usize::from(*list.get(at + 1).ok_or(too_short)?) + 2;
        let page = list.get(at..at + length).filter(|page| page.len() == current.len());
        let page = page.ok_or(too_short)?;
        let (byte, bit) = if code == CACHING { (2, WCE) } else { (4, SWP) };
        // PS is reserved in MODE SELECT, so byte 0 is not compared.
        let differs = |n: &usize| (page[*n] ^ current[*n]) & if *n == byte { !bit } else { 0xff } != 0;
        if let Some(wrong) = (2..page.len()).find(differs) {
            return Err(invalid(at + wrong));
        }
        let on = page[byte] & bit != 0;
        if code == CACHING {
            selection.write_cache = on;
        } else {
            selection.software_protected = on;
        }
        at += length;
    }
    Ok(selection)
}

/// One short block descriptor, whose number of blocks is not looked at.
fn keeps_block_length(medium: &Medium, descriptor: &[u8]) -> bool {
    let length = descriptor[5..8].iter().fold(0, |n, b| n << 8 | u32::from(*b));
    length == 0 || length == medium.block_length
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEDIUM: Medium = Medium {
        blocks: 2048,
        block_length: 512,
        write_cache: false,
        write_cache_saved: true,
        write_protected: true,
        software_protected: false,
    };

    #[test]
    fn all_pages_hold_each_page_and_lengths_agree() {
        let all = sense(&MEDIUM, false, PageControl::Current, ALL_PAGES, 0xff).unwrap();
        assert_eq!(usize::from(all[0]) + 1, all.len());
        assert_eq!(all[..4], [all[0], 0, 0x90, 0]);
        let mut offset = 4;
        for code in [3, 4, 8, 10] {
            let one = sense(&MEDIUM, true, PageControl::Current, code, 0).unwrap();
            assert_eq!(usize::from(u16::from_be_bytes([one[0], one[1]])) + 2, one.len());
            let end = offset + one.len() - 8;
            assert_eq!(all[offset..end], one[8..], "page {code}");
            offset = end;
        }
        assert_eq!(offset, all.len());
    }

    #[test]
    fn write_cache_in_each_page_control() {
        let wce = |control| sense(&MEDIUM, false, control, CACHING, 0).unwrap()[6];
        assert_eq!(wce(PageControl::Current), 0);
        assert_eq!(wce(PageControl::Changeable), WCE);
        assert_eq!(wce(PageControl::Default), WCE);
        assert_eq!(wce(PageControl::Saved), WCE);
    }

    #[test]
    fn unknown_pages_and_subpages() {
        for (code, subpage) in [(0, 0), (1, 0), (8, 1), (8, 0xff), (0x3f, 1)] {
            assert!(
                sense(&MEDIUM, false, PageControl::Current, code, subpage).is_err(),
                "{code:#x}/{subpage:#x}"
            );
        }
    }

    #[test]
    fn geometry_of_the_largest_disk() {
        let page = sense(
            &Medium {
                blocks: u64::MAX,
                block_length: 32768,
                ..MEDIUM
            },
            false,
            PageControl::Current,
            4,
            0,
        );
        assert_eq!(page.unwrap()[6..10], [0xff, 0xff, 0xff, 254]);
    }

    #[test]
    fn select_changes_wce_and_swp_only() {
        let list = |long, code, byte: usize, value: u8| {
            let mut list = sense(&MEDIUM, long, PageControl::Current, code, 0).unwrap();
            let header = if long { 8 } else { 4 };
            list[header + byte] ^= value;
            select(&MEDIUM, long, &list)
        };
        let selection = |write_cache, software_protected| {
            Ok(Selection {
                write_cache,
                software_protected,
            })
        };
        for long in [false, true] {
            assert_eq!(list(long, CACHING, 2, 0), selection(false, false));
            assert_eq!(list(long, CACHING, 2, WCE), selection(true, false));
            assert_eq!(list(long, CONTROL, 4, SWP), selection(false, true));
            assert_eq!(list(long, CACHING, 0, 0x80), selection(false, false), "PS");
            let at = if long { 10 } else { 6 };
            let wrong = Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST.at_parameter_byte(at));
            assert_eq!(list(long, CACHING, 2, 0x01), wrong);
            assert_eq!(list(long, CONTROL, 2, 0x04), wrong, "D_SENSE");
            assert!(list(long, FORMAT_DEVICE, 0, 0).is_err());
            assert_eq!(list(long, CACHING, 1, 0x01), Err(Sense::PARAMETER_LIST_LENGTH));
        }
        assert_eq!(select(&MEDIUM, false, &[]), selection(false, false));
        assert_eq!(select(&MEDIUM, false, &[0; 3]), Err(Sense::PARAMETER_LIST_LENGTH));
        assert_eq!(select(&MEDIUM, false, &[0; 4]), selection(false, false));
        let descriptor = |length: u8| select(&MEDIUM, false, &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, length, 0]);
        assert_eq!(descriptor(2), selection(false, false));
        assert!(descriptor(4).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_list_is_decoded_or_refused(long: bool, list in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            let _ = select(&MEDIUM, long, &list);
        }
    }
}
