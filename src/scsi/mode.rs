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
        (CONTROL, &control_page(control)),
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

/// TST 0, unrestricted reordering, D_SENSE 0, TAS 0, SWP 0.
fn control_page(control: PageControl) -> [u8; 12] {
    const UNRESTRICTED_REORDERING: u8 = 0x10;
    let mut page = [0; 12];
    page[..2].copy_from_slice(&[CONTROL, 10]);
    if control != PageControl::Changeable {
        page[3] = UNRESTRICTED_REORDERING;
    }
    page
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
}
