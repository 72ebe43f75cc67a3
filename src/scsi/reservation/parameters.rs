//! CDB and parameter list of PERSISTENT RESERVE OUT (SPC-4 6.16, `scsi-sbd.md` 2.9.4).

use super::identity::split_first;
use crate::scsi::{Sense, cdb};
use crate::types::TransportId;

/// Longest parameter list, bytes, as of the original: room for [`super::MAX_REGISTRATIONS`] of any but the longest names.
pub const MAX_LIST: u32 = (256 << 10) - 1;
/// Length of the basic parameter list.
const BASIC: usize = 24;

/// Service action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Action {
    Register = 0,
    Reserve = 1,
    Release = 2,
    Clear = 3,
    Preempt = 4,
    PreemptAndAbort = 5,
    RegisterAndIgnore = 6,
    RegisterAndMove = 7,
}

impl Action {
    /// From byte 1 of the CDB; `05/24/00` for the others.
    pub fn from_cdb(cdb: &[u8; 16]) -> Result<Action, Sense> {
        Ok(match cdb[1] & 0x1f {
            0 => Action::Register,
            1 => Action::Reserve,
            2 => Action::Release,
            3 => Action::Clear,
            4 => Action::Preempt,
            5 => Action::PreemptAndAbort,
            6 => Action::RegisterAndIgnore,
            7 => Action::RegisterAndMove,
            _ => return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(1)),
        })
    }
}

/// A decoded command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Out {
    /// Service action.
    pub action: Action,
    /// SCOPE and TYPE, byte 2 of the CDB.
    pub scope_type: u8,
    /// RESERVATION KEY.
    pub key: u64,
    /// SERVICE ACTION RESERVATION KEY.
    pub action_key: u64,
    /// SPEC_I_PT.
    pub spec_i_pt: bool,
    /// ALL_TG_PT.
    pub all_ports: bool,
    /// APTPL.
    pub aptpl: bool,
    /// TransportIDs after SPEC_I_PT.
    pub initiators: Vec<TransportId>,
    /// REGISTER AND MOVE: to whom.
    pub target: Option<MoveTo>,
}

/// The other half of a REGISTER AND MOVE list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveTo {
    /// UNREG.
    pub unregister: bool,
    /// RELATIVE TARGET PORT IDENTIFIER.
    pub rtpid: u16,
    /// The new holder.
    pub initiator: TransportId,
}

impl Out {
    /// What can be refused before the list is there: service action and length.
    pub fn check_cdb(cdb: &[u8; 16]) -> Result<u32, Sense> {
        Action::from_cdb(cdb)?;
        let length = cdb::be32(cdb, 5);
        if !(24..=MAX_LIST).contains(&length) {
            return Err(Sense::PARAMETER_LIST_LENGTH);
        }
        Ok(length)
    }

    /// Decodes CDB and list.
    pub fn decode(cdb: &[u8; 16], list: &[u8]) -> Result<Out, Sense> {
        let action = Action::from_cdb(cdb)?;
        let basic: &[u8; BASIC] = list.first_chunk().ok_or(Sense::PARAMETER_LIST_LENGTH)?;
        let mut out = Out {
            action,
            scope_type: cdb[2],
            key: be64(basic, 0),
            action_key: be64(basic, 8),
            spec_i_pt: false,
            all_ports: false,
            aptpl: false,
            initiators: Vec::new(),
            target: None,
        };
        if action == Action::RegisterAndMove {
            out.aptpl = basic[17] & 0x01 != 0;
            out.target = Some(move_to(basic, &list[BASIC..])?);
            return Ok(out);
        }
        let registers = matches!(action, Action::Register | Action::RegisterAndIgnore);
        out.spec_i_pt = registers && basic[20] & 0x08 != 0;
        out.all_ports = registers && basic[20] & 0x04 != 0;
        out.aptpl = registers && basic[20] & 0x01 != 0;
        match (out.spec_i_pt, action) {
            (true, Action::RegisterAndIgnore) => Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST.at_parameter_byte(20)),
            (true, _) => {
                out.initiators = initiators(&list[BASIC..])?;
                Ok(out)
            }
            (false, _) if list.len() != BASIC => Err(Sense::PARAMETER_LIST_LENGTH),
            (false, _) => Ok(out),
        }
    }
}

fn move_to(basic: &[u8; BASIC], rest: &[u8]) -> Result<MoveTo, Sense> {
    let length = u32::from_be_bytes([basic[20], basic[21], basic[22], basic[23]]);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let id = rest.get(..length).ok_or(Sense::PARAMETER_LIST_LENGTH)?;
    match split_first(id) {
        Some((initiator, [])) => Ok(MoveTo {
            unregister: basic[17] & 0x02 != 0,
            rtpid: u16::from_be_bytes([basic[18], basic[19]]),
            initiator,
        }),
        _ => Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST.at_parameter_byte(24)),
    }
}

/// TRANSPORTID PARAMETER DATA LENGTH and the TransportIDs.
fn initiators(rest: &[u8]) -> Result<Vec<TransportId>, Sense> {
    let bad = Sense::INVALID_FIELD_IN_PARAMETER_LIST.at_parameter_byte(24);
    let (length, ids) = rest.split_first_chunk().ok_or(Sense::PARAMETER_LIST_LENGTH)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| bad)?;
    let mut ids = ids.get(..length).ok_or(bad)?;
    let mut all = Vec::new();
    while !ids.is_empty() {
        if all.len() == super::MAX_REGISTRATIONS {
            return Err(Sense::INSUFFICIENT_REGISTRATION_RESOURCES);
        }
        let (id, rest) = split_first(ids).ok_or(bad)?;
        all.push(id);
        ids = rest;
    }
    Ok(all)
}

fn be64(bytes: &[u8; BASIC], at: usize) -> u64 {
    bytes[at..at + 8].iter().fold(0, |n, b| n << 8 | u64::from(*b))
}
