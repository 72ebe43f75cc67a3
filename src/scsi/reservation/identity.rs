//! Who is a registrant: initiator port and target port (SPC-4 5.13.2). An iSCSI initiator port is name and ISID.

use crate::types::{DevId, TransportId};

/// An I_T nexus as reservations know it: not the session, which ends while the registration stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItNexus {
    /// Initiator port.
    pub initiator: TransportId,
    /// Target port.
    pub port: DevId,
}

const ISCSI: u8 = 5;
/// Length of the TransportIDs of the other transports (SPC-4 7.6.4).
const FIXED: usize = 24;
const SEPARATOR: &[u8] = b",i,0x";
/// Longest iSCSI name (RFC 7143 4.2.7.1).
const NAME_MAX: usize = 223;
const ISID_DIGITS: usize = 12;

/// Name and ISID digits of an iSCSI TransportID (SPC-4 7.6.4.6).
fn iscsi(id: &TransportId) -> Option<(&[u8], Option<&[u8]>)> {
    let bytes = id.as_bytes();
    if bytes.first()? & 0x0f != ISCSI {
        return None;
    }
    let text = bytes.get(4..)?;
    let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
    let text = &text[..end];
    if bytes[0] >> 6 == 0 {
        return Some((text, None));
    }
    let at = text.windows(SEPARATOR.len()).rposition(|w| w == SEPARATOR)?;
    Some((&text[..at], Some(&text[at + SEPARATOR.len()..])))
}

/// Does the registered initiator port include `other`? A format without ISID includes every ISID of its name.
pub fn same_initiator(registered: &TransportId, other: &TransportId) -> bool {
    match (iscsi(registered), iscsi(other)) {
        (Some((name, isid)), Some((other_name, other_isid))) => {
            let same_isid = match (isid, other_isid) {
                (Some(isid), Some(other)) => isid.eq_ignore_ascii_case(other),
                _ => true,
            };
            name == other_name && same_isid
        }
        _ => registered == other,
    }
}

/// Names an iSCSI initiator without its ISID.
pub fn any_isid(id: &TransportId) -> bool {
    matches!(iscsi(id), Some((_, None)))
}

/// The TransportID at the start of `bytes`, and what follows; `None` when it is not one.
pub fn split_first(bytes: &[u8]) -> Option<(TransportId, &[u8])> {
    let first = *bytes.first()?;
    let length = if first & 0x0f == ISCSI {
        4 + usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))
    } else {
        FIXED
    };
    let (one, rest) = bytes.split_at_checked(length)?;
    let id = TransportId::from_bytes(one).ok()?;
    (first & 0x0f != ISCSI || well_formed(&id)).then_some((id, rest))
}

/// Format 0 or 1, a name that ends with NUL, an ISID of twelve digits, whole words.
fn well_formed(id: &TransportId) -> bool {
    let bytes = id.as_bytes();
    let Some((name, isid)) = iscsi(id) else { return false };
    let isid_fits = isid.is_none_or(|isid| isid.len() == ISID_DIGITS && isid.iter().all(u8::is_ascii_hexdigit));
    bytes.len().is_multiple_of(4)
        && bytes[0] >> 6 <= 1
        && bytes.last() == Some(&0)
        && (1..=NAME_MAX).contains(&name.len())
        && isid_fits
}
