//! Parameter data of PERSISTENT RESERVE IN (SPC-4 6.15, `scsi-sbd.md` 2.9.3), complete: allocation length is the caller's
//! business.

use super::State;
use crate::types::DevId;

/// READ KEYS.
pub fn keys(state: &State) -> Vec<u8> {
    let mut data = header(state, state.registrations.len() * 8);
    for registration in &state.registrations {
        data.extend_from_slice(&registration.key.to_be_bytes());
    }
    data
}

/// READ RESERVATION. All registrants hold a reservation of types 7 and 8; the key is 0 then.
pub fn reservation(state: &State) -> Vec<u8> {
    let Some(kind) = state.reserved else {
        return header(state, 0);
    };
    let holder = state.registrations.iter().find(|r| r.holder);
    let mut data = header(state, 16);
    data.extend_from_slice(&holder.map_or(0, |r| r.key).to_be_bytes());
    data.extend([0, 0, 0, 0, 0, kind as u8, 0, 0]);
    data
}

/// REPORT CAPABILITIES: SPEC_I_PT, ALL_TG_PT and APTPL are possible, all six types.
pub fn capabilities(state: &State) -> Vec<u8> {
    const SIP_ATP_PTPL: u8 = 0x0d;
    const TYPE_MASK_VALID: u8 = 0x80;
    let ptpl_active = u8::from(state.aptpl);
    vec![0, 8, SIP_ATP_PTPL, TYPE_MASK_VALID | ptpl_active, 0xea, 0x01, 0, 0]
}

/// READ FULL STATUS. `rtpid_of` tells the relative identifier of a target port, 0 if there is no such port now.
pub fn full_status(state: &State, rtpid_of: &dyn Fn(&DevId) -> u16) -> Vec<u8> {
    const ALL_TG_PT: u8 = 0x02;
    const R_HOLDER: u8 = 0x01;
    let mut descriptors = Vec::new();
    for (at, registration) in state.registrations.iter().enumerate() {
        let kind = state.reserved.filter(|_| state.holds(at));
        let all_ports = if registration.all_ports { ALL_TG_PT } else { 0 };
        let rtpid = match registration.all_ports {
            true => 0,
            false => rtpid_of(&registration.port),
        };
        let id = registration.initiator.as_bytes();
        descriptors.extend_from_slice(&registration.key.to_be_bytes());
        descriptors.extend([0, 0, 0, 0]);
        descriptors.push(all_ports | kind.map_or(0, |_| R_HOLDER));
        descriptors.push(kind.map_or(0, |kind| kind as u8));
        descriptors.extend([0, 0, 0, 0]);
        descriptors.extend_from_slice(&rtpid.to_be_bytes());
        descriptors.extend_from_slice(&be32(id.len()));
        descriptors.extend_from_slice(id);
    }
    let mut data = header(state, descriptors.len());
    data.append(&mut descriptors);
    data
}

/// PRGENERATION and ADDITIONAL LENGTH.
fn header(state: &State, additional: usize) -> Vec<u8> {
    [state.generation.to_be_bytes(), be32(additional)].concat()
}

fn be32(length: usize) -> [u8; 4] {
    u32::try_from(length)
        .expect("bounded by MAX_REGISTRATIONS and the size of a TransportID")
        .to_be_bytes()
}
