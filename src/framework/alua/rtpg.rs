//! What REPORT TARGET PORT GROUPS says (`alua-proxy.md` 7.3, SPC-4 6.37), and how relative target port identifiers are
//! given out (7.9). Every node answers for itself, from shared knowledge (ruling 7).

use crate::scsi::Sense;
use crate::types::{AccessState, NodeId};
use std::ops::RangeInclusive;

/// IMPLICIT TRANSITION TIME told to hosts, in seconds (8.2).
pub const IMPLICIT_TRANSITION_SECONDS: u8 = 60;
/// TARGET PORT COUNT is one byte.
pub const MAX_PORTS_PER_GROUP: usize = 255;

/// PREF.
const PREFERRED: u8 = 0x80;
const OPTIMIZED: u8 = 0x0;
const NON_OPTIMIZED: u8 = 0x1;
const STANDBY: u8 = 0x2;
const UNAVAILABLE: u8 = 0x3;
const TRANSITIONING: u8 = 0xf;
/// Supported states: transitioning, unavailable, standby, optimized.
const SUPPORTED: u8 = 0x8d;
const SUPPORTED_NON_OPTIMIZED: u8 = 0x02;
/// Without ALUA there is one state.
const SUPPORTED_ALONE: u8 = 0x01;
/// STATUS CODE: changed by implicit behaviour.
const CHANGED_IMPLICITLY: u8 = 2;

/// What a node knows about an LU and the ports through which it can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortGroups<'a> {
    /// This node.
    pub node: NodeId,
    /// State of the LU on this node.
    pub here: AccessState,
    /// The other node.
    pub peer: Peer,
    /// The state of this LU has changed since it was created or loaded.
    pub changed: bool,
    /// Policy `non-optimized` (7.7): the node that does not own the LU forwards everything.
    pub non_optimized: bool,
    /// Relative target port identifiers of this node's ports, in any order.
    pub local: &'a [u16],
    /// Those of the peer's ports: the images.
    pub images: &'a [u16],
}

/// What a node knows of the state of an LU on the other node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// ALUA mode is disabled: there is no other group.
    None,
    /// Messages do not arrive.
    Unreachable,
    /// It can be reached; what it last said, or what follows from the state here.
    Says(AccessState),
}

/// The parameter data for the CDB of REPORT TARGET PORT GROUPS (A3h/0Ah), before truncation to the allocation length.
/// PARAMETER DATA FORMAT other than 000b and 001b: `05/24/00`.
pub fn parameter_data(cdb: &[u8], groups: &PortGroups<'_>) -> Result<Vec<u8>, Sense> {
    let descriptors = descriptors(groups);
    let mut data = Vec::with_capacity(8 + descriptors.len());
    let put_length = |data: &mut Vec<u8>, length: usize| {
        let length = u32::try_from(length).expect("two groups of at most 255 ports");
        data.extend(length.to_be_bytes());
    };
    match cdb.get(1).map(|byte| byte >> 5) {
        Some(0) => put_length(&mut data, descriptors.len()),
        Some(1) => {
            put_length(&mut data, 4 + descriptors.len());
            data.extend([0x10, IMPLICIT_TRANSITION_SECONDS, 0, 0]);
        }
        _ => return Err(Sense::INVALID_FIELD_IN_CDB),
    }
    data.extend(descriptors);
    Ok(data)
}

/// Relative target port identifiers of a node's own ports.
pub const fn rtpid_range(node: NodeId) -> RangeInclusive<u16> {
    match node.get() {
        0 => 1..=255,
        _ => 256..=510,
    }
}

/// The lowest free identifier of the node's range; `None` for port number 256 of a node.
pub fn allocate_rtpid(node: NodeId, taken: impl Fn(u16) -> bool) -> Option<u16> {
    rtpid_range(node).find(|rtpid| !taken(*rtpid))
}

/// Groups ascending. A node without the LU that cannot reach its peer lists its own group only: hosts keep a state per
/// group, and a guess about the other group would overwrite what the other node says about itself.
fn descriptors(groups: &PortGroups<'_>) -> Vec<u8> {
    let (own, other) = states(groups);
    let mut list = vec![(groups.node.get(), own, groups.local)];
    if let Some(other) = other.filter(|_| !groups.images.is_empty()) {
        list.push((groups.node.other().get(), other, groups.images));
    }
    list.sort_by_key(|(group, ..)| *group);
    list.into_iter()
        .flat_map(|(group, state, ports)| descriptor(group, state, support(groups), changed(groups), ports))
        .collect()
}

/// States of the own group and of the other one; `None`: not listed.
fn states(groups: &PortGroups<'_>) -> (u8, Option<u8>) {
    use AccessState::{Active, Standby, TransitionToActive, TransitionToStandby};
    const ACTIVE: u8 = PREFERRED | OPTIMIZED;
    let passive = if groups.non_optimized { NON_OPTIMIZED } else { STANDBY };
    match (groups.here, groups.peer) {
        (Active, Peer::None) => (ACTIVE, None),
        // Given up and kept when the mode was switched off (ruling 2).
        (_, Peer::None) => (TRANSITIONING, None),
        (Active, Peer::Unreachable) => (ACTIVE, Some(UNAVAILABLE)),
        (Active, Peer::Says(_)) => (ACTIVE, Some(passive)),
        (TransitionToActive | TransitionToStandby, Peer::Unreachable) => (TRANSITIONING, None),
        (Standby, Peer::Unreachable) => (UNAVAILABLE, None),
        // The peer has it; the message that ends the transition here is on its way.
        (_, Peer::Says(Active)) => (passive, Some(ACTIVE)),
        (Standby, Peer::Says(Standby)) => (STANDBY, Some(STANDBY)),
        (_, Peer::Says(_)) => (TRANSITIONING, Some(TRANSITIONING)),
    }
}

fn support(groups: &PortGroups<'_>) -> u8 {
    match groups.peer {
        Peer::None => SUPPORTED_ALONE,
        _ if groups.non_optimized => SUPPORTED | SUPPORTED_NON_OPTIMIZED,
        _ => SUPPORTED,
    }
}

/// Being unreachable, or in transition, is itself the result of a change.
fn changed(groups: &PortGroups<'_>) -> impl Fn(u8) -> bool + Copy {
    let changed = groups.changed && groups.peer != Peer::None;
    move |state| changed || state == UNAVAILABLE || state == TRANSITIONING
}

/// One target port group descriptor (SPC-4 table 304).
fn descriptor(group: u8, state: u8, support: u8, changed: impl Fn(u8) -> bool, ports: &[u16]) -> Vec<u8> {
    let mut ports = ports.to_vec();
    ports.sort_unstable();
    ports.truncate(MAX_PORTS_PER_GROUP);
    let code = if changed(state) { CHANGED_IMPLICITLY } else { 0 };
    let count = u8::try_from(ports.len()).expect("truncated to one byte");
    let mut bytes = vec![state, support, 0, group, 0, code, 0, count];
    for rtpid in ports {
        bytes.extend([0, 0]);
        bytes.extend(rtpid.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use AccessState::{Active, Standby, TransitionToActive, TransitionToStandby};

    const CDB: [u8; 12] = [0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    fn node(n: u8) -> NodeId {
        NodeId::new(n).unwrap()
    }

    /// Two ports per node, given in descending order.
    fn groups(n: u8, here: AccessState, peer: Peer, changed: bool) -> PortGroups<'static> {
        let ports: [&[u16]; 2] = [&[2, 1], &[257, 256]];
        PortGroups {
            node: node(n),
            here,
            peer,
            changed,
            non_optimized: false,
            local: ports[usize::from(n)],
            images: ports[usize::from(1 - n)],
        }
    }

    fn hex(bytes: &[u8]) -> String {
        let words = bytes
            .chunks(4)
            .map(|word| word.iter().map(|byte| format!("{byte:02X}")).collect());
        words.collect::<Vec<String>>().join(" ")
    }

    #[track_caller]
    fn says(groups: PortGroups<'_>, expected: &str) {
        assert_eq!(hex(&parameter_data(&CDB, &groups).unwrap()), expected, "{groups:?}");
    }

    #[test]
    fn active_and_standby() {
        let bytes = "00000020 808D0000 00000002 00000001 00000002 028D0001 00000002 00000100 00000101";
        says(groups(0, Active, Peer::Says(Standby), false), bytes);
        says(groups(1, Standby, Peer::Says(Active), false), bytes);
    }

    #[test]
    fn standby_and_active_after_a_failover() {
        let bytes = "00000020 028D0000 00020002 00000001 00000002 808D0001 00020002 00000100 00000101";
        says(groups(0, Standby, Peer::Says(Active), true), bytes);
        says(groups(1, Active, Peer::Says(Standby), true), bytes);
    }

    #[test]
    fn transition_on_either_node() {
        let bytes = "00000020 0F8D0000 00020002 00000001 00000002 0F8D0001 00020002 00000100 00000101";
        for transition in [TransitionToActive, TransitionToStandby] {
            for other in [Standby, TransitionToActive, TransitionToStandby] {
                for n in [0, 1] {
                    says(groups(n, transition, Peer::Says(other), true), bytes);
                    says(groups(n, other, Peer::Says(transition), true), bytes);
                }
            }
        }
    }

    #[test]
    fn standby_and_standby() {
        let bytes = "00000020 028D0000 00020002 00000001 00000002 028D0001 00020002 00000100 00000101";
        says(groups(0, Standby, Peer::Says(Standby), true), bytes);
        says(groups(1, Standby, Peer::Says(Standby), true), bytes);
    }

    #[test]
    fn active_and_unreachable() {
        let bytes = "00000020 808D0000 00000002 00000001 00000002 038D0001 00020002 00000100 00000101";
        says(groups(0, Active, Peer::Unreachable, false), bytes);
    }

    #[test]
    fn unreachable_and_standby() {
        let bytes = "00000010 038D0001 00020002 00000100 00000101";
        says(groups(1, Standby, Peer::Unreachable, true), bytes);
        says(groups(1, Standby, Peer::Unreachable, false), bytes);
        let transition = "00000010 0F8D0001 00020002 00000100 00000101";
        says(groups(1, TransitionToActive, Peer::Unreachable, true), transition);
    }

    #[test]
    fn alua_disabled() {
        let bytes = "00000010 80010000 00000002 00000001 00000002";
        says(groups(0, Active, Peer::None, false), bytes);
        says(groups(0, Active, Peer::None, true), bytes);
    }

    #[test]
    fn transition_here_ends_for_hosts_when_the_peer_is_active() {
        let bytes = "00000020 028D0000 00020002 00000001 00000002 808D0001 00020002 00000100 00000101";
        says(groups(0, TransitionToStandby, Peer::Says(Active), true), bytes);
    }

    #[test]
    fn without_images_there_is_one_group() {
        let mut alone = groups(0, Active, Peer::Says(Standby), false);
        alone.images = &[];
        says(alone, "00000010 808D0000 00000002 00000001 00000002");
    }

    #[test]
    fn policy_non_optimized() {
        let bytes = "00000020 808F0000 00000002 00000001 00000002 018F0001 00000002 00000100 00000101";
        for (n, here, peer) in [(0, Active, Standby), (1, Standby, Active)] {
            let policy = PortGroups {
                non_optimized: true,
                ..groups(n, here, Peer::Says(peer), false)
            };
            says(policy, bytes);
        }
    }

    #[test]
    fn extended_parameter_data_format() {
        let mut cdb = CDB;
        cdb[1] = 0x2a;
        let data = parameter_data(&cdb, &groups(0, Active, Peer::Says(Standby), false)).unwrap();
        assert_eq!(
            hex(&data),
            "00000024 103C0000 808D0000 00000002 00000001 00000002 028D0001 00000002 00000100 00000101"
        );
    }

    #[test]
    fn other_formats_are_refused() {
        for format in 2..8 {
            let mut cdb = CDB;
            cdb[1] |= format << 5;
            let answer = parameter_data(&cdb, &groups(0, Active, Peer::None, false));
            assert_eq!(answer, Err(Sense::INVALID_FIELD_IN_CDB));
        }
        let answer = parameter_data(&[0xa3], &groups(0, Active, Peer::None, false));
        assert_eq!(answer, Err(Sense::INVALID_FIELD_IN_CDB));
    }

    /// Hazard H22.
    #[test]
    fn more_ports_than_a_descriptor_can_count() {
        let ports: Vec<u16> = (1..=300).collect();
        let many = PortGroups {
            local: &ports,
            ..groups(0, Active, Peer::None, false)
        };
        let data = parameter_data(&CDB, &many).unwrap();
        assert_eq!(data.len(), 4 + 8 + 4 * 255);
        assert_eq!(data[11], 255);
    }

    #[test]
    fn rtpids_are_the_lowest_free_of_the_range() {
        assert_eq!(allocate_rtpid(node(0), |_| false), Some(1));
        assert_eq!(allocate_rtpid(node(0), |id| id < 4 && id != 2), Some(2));
        assert_eq!(allocate_rtpid(node(0), |id| id != 255), Some(255));
        assert_eq!(allocate_rtpid(node(0), |_| true), None);
        assert_eq!(allocate_rtpid(node(1), |_| false), Some(256));
        assert_eq!(allocate_rtpid(node(1), |id| id < 510), Some(510));
        assert_eq!(allocate_rtpid(node(1), |_| true), None);
    }
}
