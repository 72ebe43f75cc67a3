//! The label of a door: an abstract socket name that the server gives to its end, so that whoever holds the other end can
//! tell a door from other descriptors, and read what never changes, without asking the server (`getpeername`).
//!
//! The label carries no address of the server's memory, since every process can list socket names. It is no proof of
//! anything: the holder of a pair may label it as he likes and so make a door of his own, which he may anyway. Therefore
//! callers tell doors apart by the kernel's number of the socket, never by the label.
#![forbid(unsafe_code)]

const PREFIX: &str = "stmf-door";

/// What a label says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// The server process.
    pub pid: i32,
    /// Number of the door, unique on the system (`di_uniquifier`).
    pub door: u64,
    /// Attributes at creation.
    pub attributes: u32,
    /// Number of this socket, unique on the system: two sockets cannot bear one name.
    pub socket: u64,
}

impl Label {
    /// The name, without the NUL that makes it abstract.
    pub fn format(&self) -> String {
        format!(
            "{PREFIX}/{}/{:x}/{:x}/{:x}",
            self.pid, self.door, self.attributes, self.socket
        )
    }

    /// Reads a name. `None`: not the label of a door.
    pub fn parse(name: &[u8]) -> Option<Label> {
        let mut parts = std::str::from_utf8(name).ok()?.split('/');
        if parts.next()? != PREFIX {
            return None;
        }
        let label = Label {
            pid: parts.next()?.parse().ok()?,
            door: u64::from_str_radix(parts.next()?, 16).ok()?,
            attributes: u32::from_str_radix(parts.next()?, 16).ok()?,
            socket: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        parts.next().is_none().then_some(label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn labels_round_trip_and_fit(pid in 1i32.., door: u64, attributes: u32, socket: u64) {
            let label = Label { pid, door, attributes, socket };
            let name = label.format();
            prop_assert!(name.len() < 107, "a socket name has 107 bytes");
            prop_assert_eq!(Label::parse(name.as_bytes()), Some(label));
        }

        #[test]
        fn strange_names_are_no_labels(name in proptest::collection::vec(any::<u8>(), 0..108)) {
            prop_assert_eq!(Label::parse(&name), None);
        }
    }
}
