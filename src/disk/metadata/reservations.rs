//! Persistent reservations in the metadata: the section of the original for those with APTPL, and one of our own with
//! which a node hands all of them over to the next owner (`scsi-sbd.md` 4.3, `alua-proxy.md` 6.5).

use super::MetadataError::{self, Corrupt};
use super::bytes::{Fields, Order};
use super::section::{HEADER, Section};
use crate::scsi::reservation::{Kind, MAX_REGISTRATIONS, Registration, State};
use crate::types::{DevId, TransportId};

/// PGR_INFO.
pub const PGR_INFO: u16 = 2;
/// Our own: ownership generation (u64), PRGENERATION (u32), 0 (u32), then as PGR_INFO.
pub const HANDOVER: u16 = 0x0f00;

const APTPL: u8 = 1;
const SINGLE_HOLDER: u8 = 2;
const ALL_REGISTRANTS: u8 = 4;
const ALL_TG_PT: u8 = 1;
const TRANSPORT_ID_ONLY: u8 = 2;
/// Fixed part of PGR_INFO without the section header, and of a key.
const FIXED: usize = 16;
const KEY: usize = 13;
/// Header of a device identification descriptor.
const DESCRIPTOR: usize = 4;
/// Fields before the copy of PGR_INFO.
const HANDOVER_FIXED: usize = 16;

/// The section PGR_INFO.
pub fn encode(state: &State, order: Order) -> Section {
    Section {
        id: PGR_INFO,
        order,
        content: encode_content(state, order),
    }
}

/// The handover section for the owner after the one of ownership generation `generation`.
pub fn encode_handover(state: &State, generation: u64, order: Order) -> Section {
    let mut content = order.of_u64(generation).to_vec();
    content.extend_from_slice(&order.of_u32(state.generation));
    content.extend([0; 4]);
    content.extend(encode_content(state, order));
    Section {
        id: HANDOVER,
        order,
        content,
    }
}

fn encode_content(state: &State, order: Order) -> Vec<u8> {
    let holder = state.registrations.iter().position(|r| r.holder).map_or(0, |at| at + 1);
    let count = |n: usize| order.of_u32(u32::try_from(n).expect("bounded by MAX_REGISTRATIONS"));
    let mut flags = if state.aptpl { APTPL } else { 0 };
    flags |= match state.reserved {
        Some(kind) if kind.all_registrants() => ALL_REGISTRANTS,
        Some(_) => SINGLE_HOLDER,
        None => 0,
    };
    let mut content = count(holder).to_vec();
    content.extend_from_slice(&count(state.registrations.len()));
    content.extend([flags, order.byte(), state.reserved.map_or(0, |kind| kind as u8)]);
    content.resize(FIXED, 0);
    for registration in &state.registrations {
        let start = content.len();
        let id = registration.initiator.as_bytes();
        let port = registration.port.as_bytes();
        let length = |n: usize| order.of_u16(u16::try_from(n).expect("names and TransportIDs are short"));
        // Identifies a target port; iSCSI names are ASCII (code set 2) as the original has them.
        let protocol = id.first().map_or(0, |b| b & 0x0f);
        let port_length = u8::try_from(port.len()).expect("a devid has at most 255 bytes");
        content.extend_from_slice(&order.of_u64(registration.key));
        content.extend_from_slice(&length(DESCRIPTOR + port.len()));
        content.extend_from_slice(&length(id.len()));
        content.push(if registration.all_ports { ALL_TG_PT } else { 0 });
        content.extend([protocol << 4 | 2, 0x90, 0, port_length]);
        content.extend_from_slice(port);
        content.extend_from_slice(id);
        content.resize(start + (content.len() - start).next_multiple_of(8), 0);
    }
    content
}

/// What the section PGR_INFO holds. PRGENERATION is not in it.
pub fn decode(section: &Section) -> Result<State, MetadataError> {
    decode_content(&section.content, section.order)
}

/// The handover section: ownership generation and state.
pub fn decode_handover(section: &Section) -> Result<(u64, State), MetadataError> {
    let short = Corrupt("handover of reservations");
    let fields = Fields::new(&section.content, section.order);
    let generation = fields.u64(0).ok_or(short)?;
    let pr_generation = fields.u32(8).ok_or(short)?;
    let content = section.content.get(HANDOVER_FIXED..).ok_or(short)?;
    let mut state = decode_content(content, section.order)?;
    state.generation = pr_generation;
    Ok((generation, state))
}

fn decode_content(content: &[u8], order: Order) -> Result<State, MetadataError> {
    const SHORT: MetadataError = Corrupt("reservations are cut off");
    if content.is_empty() {
        return Ok(State::default());
    }
    let fields = Fields::new(content, order);
    let holder = usize::try_from(fields.u32(0).ok_or(SHORT)?).map_err(|_| SHORT)?;
    let count = usize::try_from(fields.u32(4).ok_or(SHORT)?).map_err(|_| SHORT)?;
    let [flags, _, kind] = fields.bytes::<3>(8).ok_or(SHORT)?;
    if count > MAX_REGISTRATIONS {
        return Err(Corrupt("too many registrations"));
    }
    let mut registrations = Vec::new();
    let mut at = FIXED;
    for _ in 0..count {
        let rest = content.get(at..).ok_or(SHORT)?;
        let (registration, length) = decode_key(rest, order)?;
        registrations.push(registration);
        at += length.next_multiple_of(8);
    }
    let reserved = match flags & (SINGLE_HOLDER | ALL_REGISTRANTS) {
        0 => None,
        _ => Some(Kind::from_scope_type(kind).ok_or(Corrupt("type of a reservation"))?),
    };
    match reserved {
        Some(kind) if kind.all_registrants() && !registrations.is_empty() => {}
        Some(kind) if !kind.all_registrants() => {
            let holder = holder.checked_sub(1).and_then(|at| registrations.get_mut(at));
            holder.ok_or(Corrupt("holder of a reservation"))?.holder = true;
        }
        Some(_) => return Err(Corrupt("holder of a reservation")),
        None => {}
    }
    Ok(State {
        generation: 0,
        registrations,
        reserved,
        aptpl: flags & APTPL != 0,
    })
}

/// A registration, and its length in bytes.
fn decode_key(bytes: &[u8], order: Order) -> Result<(Registration, usize), MetadataError> {
    const BAD: MetadataError = Corrupt("a registration");
    let fields = Fields::new(bytes, order);
    let key = fields.u64(0).filter(|key| *key != 0).ok_or(BAD)?;
    let port_length = usize::from(fields.u16(8).ok_or(BAD)?);
    let id_length = usize::from(fields.u16(10).ok_or(BAD)?);
    let [flags] = fields.bytes::<1>(12).ok_or(BAD)?;
    let strings = bytes.get(KEY..).ok_or(BAD)?;
    let descriptor = strings.get(..port_length).ok_or(BAD)?;
    let id = strings
        .get(port_length..)
        .and_then(|rest| rest.get(..id_length))
        .ok_or(BAD)?;
    let name = match descriptor {
        [_, _, _, n, name @ ..] if name.len() >= usize::from(*n) => &name[..usize::from(*n)],
        _ => return Err(BAD),
    };
    let registration = Registration {
        key,
        initiator: TransportId::from_bytes(id).map_err(|_| BAD)?,
        port: DevId::new(name).map_err(|_| BAD)?,
        // A registration by TransportID only is told by the format of the TransportID.
        all_ports: flags & !TRANSPORT_ID_ONLY & ALL_TG_PT != 0,
        holder: false,
    };
    Ok((registration, KEY + port_length + id_length))
}

const _: () = assert!(HEADER.is_multiple_of(8), "keys are aligned in section and file alike");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state(kind: u8) -> State {
        let name = DevId::new(b"iqn.1994-05.com.example:host").unwrap();
        let registrations = (1..=3_u8).map(|n| Registration {
            key: u64::from(n) << 40,
            initiator: TransportId::iscsi(&name, [n; 6]),
            port: DevId::new(b"iqn.2010-08.org.example:disk").unwrap(),
            all_ports: n == 2,
            holder: n == 3 && kind < 7,
        });
        State {
            generation: 77,
            registrations: registrations.collect(),
            reserved: Kind::from_scope_type(kind),
            aptpl: true,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for order in [Order::Big, Order::Little] {
            for kind in [1, 3, 5, 6, 7, 8] {
                let written = state(kind);
                let read = decode(&encode(&written, order)).unwrap();
                assert_eq!(
                    read,
                    State {
                        generation: 0,
                        ..written.clone()
                    }
                );
                let handed = decode_handover(&encode_handover(&written, 9, order)).unwrap();
                assert_eq!(handed, (9, written));
            }
            let empty = State::default();
            assert_eq!(decode(&encode(&empty, order)), Ok(empty));
        }
    }

    /// Offsets as in `scsi-sbd.md` 4.3, less the section header of 16 bytes.
    #[test]
    fn layout() {
        let content = encode(&state(5), Order::Big).content;
        assert_eq!(content[..11], [0, 0, 0, 3, 0, 0, 0, 3, 3, 0, 5]);
        assert_eq!(content[16..24], (1_u64 << 40).to_be_bytes());
        assert_eq!(content[24..29], [0, 32, 0, 52, 0]);
        assert_eq!(content[29..33], [0x52, 0x90, 0, 28]);
        assert_eq!(&content[33..37], b"iqn.");
        assert_eq!(content[61], 0x45);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(content in proptest::collection::vec(any::<u8>(), 0..300), little: bool) {
            let order = if little { Order::Little } else { Order::Big };
            let section = Section { id: PGR_INFO, order, content };
            let _ = decode(&section);
            let _ = decode_handover(&section);
        }

        #[test]
        fn a_damaged_section_never_panics(at in 0_usize..300, value: u8, kind in 1_u8..9) {
            let mut section = encode(&state(kind), Order::Little);
            let length = section.content.len();
            section.content[at % length] = value;
            let _ = decode(&section);
        }
    }
}
