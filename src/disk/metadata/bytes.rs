//! Integers in the byte order of whoever wrote them.

/// Byte order of metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// SPARC and the like.
    Big,
    /// x86 and the like.
    Little,
}

impl Order {
    /// The order in which this machine writes metadata.
    pub const NATIVE: Order = if cfg!(target_endian = "big") {
        Order::Big
    } else {
        Order::Little
    };

    /// From the "data order" byte of a section.
    pub const fn from_byte(byte: u8) -> Option<Order> {
        match byte {
            0 => Some(Order::Big),
            0xff => Some(Order::Little),
            _ => None,
        }
    }

    /// The "data order" byte.
    pub const fn byte(self) -> u8 {
        match self {
            Order::Big => 0,
            Order::Little => 0xff,
        }
    }

    pub const fn u16(self, b: [u8; 2]) -> u16 {
        match self {
            Order::Big => u16::from_be_bytes(b),
            Order::Little => u16::from_le_bytes(b),
        }
    }

    pub const fn u32(self, b: [u8; 4]) -> u32 {
        match self {
            Order::Big => u32::from_be_bytes(b),
            Order::Little => u32::from_le_bytes(b),
        }
    }

    pub const fn u64(self, b: [u8; 8]) -> u64 {
        match self {
            Order::Big => u64::from_be_bytes(b),
            Order::Little => u64::from_le_bytes(b),
        }
    }

    pub const fn of_u16(self, n: u16) -> [u8; 2] {
        match self {
            Order::Big => n.to_be_bytes(),
            Order::Little => n.to_le_bytes(),
        }
    }

    pub const fn of_u32(self, n: u32) -> [u8; 4] {
        match self {
            Order::Big => n.to_be_bytes(),
            Order::Little => n.to_le_bytes(),
        }
    }

    pub const fn of_u64(self, n: u64) -> [u8; 8] {
        match self {
            Order::Big => n.to_be_bytes(),
            Order::Little => n.to_le_bytes(),
        }
    }
}

/// Checked access to the fields of a block of bytes.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    order: Order,
}

impl<'a> Fields<'a> {
    pub const fn new(bytes: &'a [u8], order: Order) -> Fields<'a> {
        Fields { bytes, order }
    }

    pub fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    pub fn u16(&self, at: usize) -> Option<u16> {
        self.bytes(at).map(|b| self.order.u16(b))
    }

    pub fn u32(&self, at: usize) -> Option<u32> {
        self.bytes(at).map(|b| self.order.u32(b))
    }

    pub fn u64(&self, at: usize) -> Option<u64> {
        self.bytes(at).map(|b| self.order.u64(b))
    }
}
