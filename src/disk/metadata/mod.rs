//! The metadata of a disk LU on its store, in the format of the original (`scsi-sbd.md` 4.3), readable by it. Pure.
//!
//! ```text
//! start (48 bytes) | section | section | ...            a section: header (16 bytes) + content
//! ```
//!
//! Integers are in the byte order of the writer, which the magic tells. "Absolute" offsets count from the start of the
//! file; writers that count from the metadata area are understood too.
#![forbid(unsafe_code)]

mod bytes;
mod lu_info;
pub mod reservations;
mod section;

pub use bytes::Order;
pub use lu_info::LuInfo;
pub use section::Section;

use bytes::Fields;
use std::fmt;

/// Where the metadata area begins in the file that carries it.
pub const AREA_OFFSET: u64 = 4096;
/// Size of everything before the user data when the data file carries the metadata; also the largest area that is read.
pub const SHARED_SIZE: u64 = 65536;
/// Largest metadata area, bytes.
pub const AREA_SIZE: usize = (SHARED_SIZE - AREA_OFFSET) as usize;

/// The unit that is replaced atomically.
const FIRST_BLOCK: usize = 4096;
/// Half of what is left.
const SLOT_SIZE: usize = (AREA_SIZE - FIRST_BLOCK) / 2;

const MAGIC: u64 = 0x5355_4e53_4244_4c55;
const MAGIC_VERSION_0: u64 = 0x5355_4e4d_4943_524f;
const START_SIZE: usize = 48;

/// All that the metadata say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Byte order; what came from another machine keeps its order when it is written back.
    pub order: Order,
    /// The LU.
    pub info: LuInfo,
    /// The other sections: [`reservations`], and what has a meaning for others only.
    pub others: Vec<Section>,
}

/// Why bytes are not metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError {
    /// No magic: the file is no LU.
    NoMagic,
    /// A version that is not understood.
    Version(u16),
    /// Damaged; what is wrong.
    Corrupt(&'static str),
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetadataError::NoMagic => f.write_str("no LU metadata found"),
            MetadataError::Version(version) => write!(f, "LU metadata has unknown version {version}"),
            MetadataError::Corrupt(what) => write!(f, "LU metadata is damaged: {what}"),
        }
    }
}

impl std::error::Error for MetadataError {}

/// Where sections go that do not fit into the first block of the area: two places in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Right after the first block.
    First,
    /// After that.
    Second,
}

impl Slot {
    /// Offset in the area.
    pub const fn start(self) -> usize {
        match self {
            Slot::First => FIRST_BLOCK,
            Slot::Second => FIRST_BLOCK + SLOT_SIZE,
        }
    }

    /// The one that the state does not use whose first block is `block`.
    pub fn free(block: &[u8]) -> Slot {
        let orders = [Order::Big, Order::Little].into_iter();
        let ours = orders
            .map(|order| Fields::new(block, order))
            .find(|f| f.u64(0) == Some(MAGIC));
        match ours.and_then(|fields| fields.u64(16)) {
            Some(used) if used > AREA_OFFSET + Slot::Second.start() as u64 => Slot::First,
            Some(used) if used > AREA_OFFSET + Slot::First.start() as u64 => Slot::Second,
            _ => Slot::First,
        }
    }
}

impl Metadata {
    /// Reads a metadata area, `area` being all bytes that can belong to it. Nothing in it is trusted.
    pub fn decode(area: &[u8]) -> Result<Metadata, MetadataError> {
        use MetadataError::{Corrupt, NoMagic, Version};
        let start = area.get(..START_SIZE).ok_or(NoMagic)?;
        let magic: [u8; 8] = *start.first_chunk().ok_or(NoMagic)?;
        let order = [Order::Big, Order::Little]
            .into_iter()
            .find(|order| matches!(order.u64(magic), MAGIC | MAGIC_VERSION_0))
            .ok_or(NoMagic)?;
        if order.u64(magic) == MAGIC_VERSION_0 {
            return Err(Version(0));
        }
        if sum(&start[..47]) != start[47] {
            return Err(Corrupt("checksum of the start block"));
        }
        let fields = Fields::new(start, order);
        match fields.u16(40) {
            Some(1) => {}
            other => return Err(Version(other.unwrap_or(0))),
        }
        let used = fields.u64(16).ok_or(NoMagic)?;
        let sections = section::decode_all(area, START_SIZE, used, order)?;
        let (infos, others): (Vec<_>, Vec<_>) = sections
            .into_iter()
            .partition(|s| matches!(s.id, section::LU_INFO_1_0 | section::LU_INFO_1_1));
        let (new, old): (Vec<_>, Vec<_>) = infos.iter().partition(|s| s.id == section::LU_INFO_1_1);
        // The older form counts only when it stands alone.
        let info = match (&new[..], &old[..]) {
            ([info], _) => LuInfo::decode_1_1(info)?,
            ([], [info]) => LuInfo::decode_1_0(info)?,
            ([], []) => return Err(Corrupt("no LU information section")),
            _ => return Err(Corrupt("several LU information sections")),
        };
        Ok(Metadata { order, info, others })
    }

    /// Do the other sections go to a slot? Not when all fits into the first block, or not even the LU information does.
    pub fn uses_slot(&self) -> bool {
        let info = START_SIZE + self.info.encode(self.order).size();
        let rest: usize = self.others.iter().map(Section::size).sum();
        info + rest > FIRST_BLOCK && info + section::HEADER <= FIRST_BLOCK
    }

    /// The bytes from the start of the area; `None` when they do not fit. What does not fit into the first block goes to
    /// `slot`, behind an unused section, so that the first block alone decides whether the old or the new state counts.
    pub fn encode(&self, slot: Slot) -> Option<Vec<u8>> {
        let order = self.order;
        let mut area = vec![0; START_SIZE];
        self.info.encode(order).append_to(&mut area, AREA_OFFSET, order);
        let limit = if self.uses_slot() {
            section::append_unused(&mut area, slot.start(), AREA_OFFSET, order);
            slot.start() + SLOT_SIZE
        } else {
            AREA_SIZE
        };
        for section in &self.others {
            section.append_to(&mut area, AREA_OFFSET, order);
        }
        if area.len() > limit {
            return None;
        }
        let used = AREA_OFFSET + area.len() as u64;
        area[..8].copy_from_slice(&order.of_u64(MAGIC));
        area[8..16].copy_from_slice(&order.of_u64(SHARED_SIZE));
        area[16..24].copy_from_slice(&order.of_u64(used));
        area[40..42].copy_from_slice(&order.of_u16(1));
        area[42..44].copy_from_slice(&order.of_u16(1));
        area[47] = sum(&area[..47]);
        Some(area)
    }
}

/// 8-bit sum.
fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, b| sum.wrapping_add(*b))
}

#[cfg(test)]
mod tests;
