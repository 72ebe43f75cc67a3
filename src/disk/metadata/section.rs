//! Sections of the metadata area.

use super::MetadataError::{self, Corrupt};
use super::bytes::{Fields, Order};
use super::{AREA_OFFSET, sum};

/// LU information, oldest form.
pub const LU_INFO_1_0: u16 = 0;
/// LU information.
pub const LU_INFO_1_1: u16 = 1;
/// A hole.
const UNUSED: u16 = 0x1000;

/// Size of a section header.
pub const HEADER: usize = 16;
/// More sections than any writer makes: bounds the walk.
const MAX_SECTIONS: usize = 64;

/// A section with verified header and checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it is.
    pub id: u16,
    /// Byte order of the content.
    pub order: Order,
    /// The content, without header.
    pub content: Vec<u8>,
}

/// All sections but the unused ones. `first` is where the first one begins in `area`, `used` the start block's "first
/// free byte".
pub fn decode_all(area: &[u8], first: usize, used: u64, order: Order) -> Result<Vec<Section>, MetadataError> {
    let base = base(area, first, order).ok_or(Corrupt("offset of the first section"))?;
    let end = used.checked_sub(base).and_then(|n| usize::try_from(n).ok());
    let area = end
        .and_then(|end| area.get(..end))
        .ok_or(Corrupt("used size outside the area"))?;
    let mut sections = Vec::new();
    let mut at = first;
    while at < area.len() {
        if sections.len() == MAX_SECTIONS {
            return Err(Corrupt("too many sections"));
        }
        let header = Header::decode(area, at, base, order).ok_or(Corrupt("section header"))?;
        let bytes = area
            .get(at..)
            .and_then(|rest| rest.get(..header.size))
            .ok_or(Corrupt("size of a section"))?;
        let summed = if header.id == UNUSED { &bytes[..HEADER] } else { bytes };
        // The checksum byte itself counts as 0.
        if sum(summed).wrapping_sub(header.checksum) != header.checksum {
            return Err(Corrupt("checksum of a section"));
        }
        if header.id != UNUSED {
            sections.push(Section {
                id: header.id,
                order: header.content_order,
                content: bytes[HEADER..].to_vec(),
            });
        }
        at += header.size;
    }
    Ok(sections)
}

/// What offsets count from: the file (then the area is at [`AREA_OFFSET`]) or the area.
fn base(area: &[u8], first: usize, order: Order) -> Option<u64> {
    let orders = [order, Order::from_byte(*area.get(first + 14)?)?];
    orders.into_iter().find_map(|order| {
        let offset = Fields::new(area, order).u64(first)?;
        let base = offset.checked_sub(first as u64)?;
        (base == 0 || base == AREA_OFFSET).then_some(base)
    })
}

struct Header {
    size: usize,
    id: u16,
    content_order: Order,
    checksum: u8,
}

impl Header {
    /// The header at `at`, in the byte order of the area or of the section, whichever makes its offset right.
    fn decode(area: &[u8], at: usize, base: u64, order: Order) -> Option<Header> {
        let bytes = area.get(at..)?.get(..HEADER)?;
        let content_order = Order::from_byte(bytes[14])?;
        let fields = [order, content_order]
            .map(|order| Fields::new(bytes, order))
            .into_iter()
            .find(|fields| fields.u64(0) == Some(base + at as u64))?;
        let size = usize::try_from(fields.u32(8)?).ok()?;
        (size >= HEADER).then_some(Header {
            size,
            id: fields.u16(12)?,
            content_order,
            checksum: bytes[15],
        })
    }
}

/// Appends an unused section that ends at `end`. Its content, of which the checksum says nothing, is left to whoever
/// has it.
pub fn append_unused(area: &mut Vec<u8>, end: usize, base: u64, order: Order) {
    let at = area.len();
    let size = u32::try_from(end - at).expect("within the area");
    area.extend_from_slice(&order.of_u64(base + at as u64));
    area.extend_from_slice(&order.of_u32(size));
    area.extend_from_slice(&order.of_u16(UNUSED));
    area.extend([order.byte(), 0]);
    area[at + 15] = sum(&area[at..]);
    area.resize(end, 0);
}

impl Section {
    /// Bytes with the header.
    pub fn size(&self) -> usize {
        HEADER + self.content.len()
    }

    /// Appends header and content; the header says where it lies in a file whose area begins at `base`.
    pub fn append_to(&self, area: &mut Vec<u8>, base: u64, order: Order) {
        let at = area.len();
        let size = u32::try_from(HEADER + self.content.len()).expect("bounded by the area that it was read from");
        area.extend_from_slice(&order.of_u64(base + at as u64));
        area.extend_from_slice(&order.of_u32(size));
        area.extend_from_slice(&order.of_u16(self.id));
        area.extend([self.order.byte(), 0]);
        area.extend_from_slice(&self.content);
        area[at + 15] = sum(&area[at..]);
    }
}
