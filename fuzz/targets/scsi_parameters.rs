//! Parameter lists that hosts send with a CDB (`src/scsi`): MODE SELECT, PERSISTENT RESERVE OUT, UNMAP, EXTENDED COPY. No
//! list panics, what is decoded keeps its promises, and reservations stay sound whatever is asked of them.
#![no_main]
use stmf::scsi::reservation::{ItNexus, Out, State, apply};
use stmf::scsi::{cdb::Extent, copy, mode, provisioning, reservation};
use stmf::types::{DevId, TransportId};

const CAPACITY: u64 = 1 << 21;

fn nexus(n: u8) -> ItNexus {
    let name = DevId::new(b"iqn.1994-05.com.example:host").expect("a name");
    ItNexus {
        initiator: TransportId::iscsi(&name, [n; 6]),
        port: DevId::new(b"iqn.2010-08.org.example:disk").expect("a name"),
    }
}

/// The input is a series of commands: sender, CDB of 16 bytes, length of the list, list.
fn reservations(mut input: &[u8]) {
    let mut state = State::default();
    while let Some(([sender, cdb @ .., length], rest)) = input.split_first_chunk::<18>() {
        let (list, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        input = rest;
        let Ok(out) = Out::decode(cdb, list) else { continue };
        let sender = nexus(sender % 4);
        let port_of = |rtpid| (rtpid == 1).then(|| sender.port.clone());
        if let Ok(change) = apply(&state, &out, &sender, &port_of) {
            state = change.state;
        }
        let holders = state.registrations.iter().filter(|r| r.holder).count();
        match state.reserved {
            None => assert_eq!(holders, 0),
            Some(kind) if kind.all_registrants() => assert!(!state.is_empty() && holders == 0),
            Some(_) => assert_eq!(holders, 1),
        }
        reservation::keys(&state);
        reservation::reservation(&state);
        reservation::full_status(&state, &|_| 1);
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((&choice, list)) = input.split_first() else { return };
    match choice % 4 {
        0 => {
            let medium = mode::Medium {
                blocks: CAPACITY,
                block_length: 512,
                write_cache: true,
                write_cache_saved: true,
                write_protected: false,
                software_protected: false,
            };
            let _ = mode::select(&medium, choice & 4 != 0, list);
        }
        1 => {
            if let Ok(extents) = provisioning::unmap_list(list, CAPACITY) {
                assert!(extents.iter().all(|extent: &Extent| extent.blocks > 0 && extent.check(CAPACITY).is_ok()));
            }
        }
        2 => drop(copy::decode(list)),
        _ => reservations(list),
    }
});
