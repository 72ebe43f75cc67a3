use serde::{Deserialize, Serialize};

/// Access state of a logical unit on one node (`alua-proxy.md` 6.1). The discriminant is the seed's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum AccessState {
    /// The backing store is open here and commands are executed here.
    Active = 0,
    /// An import of a non-Active LU is running.
    TransitionToActive = 1,
    /// The LU belongs to the peer; commands are forwarded.
    Standby = 2,
    /// Given up here, not yet taken over there.
    TransitionToStandby = 3,
}

impl AccessState {
    /// Text of `STMF_LU_PROP_ACCESS_STATE`: "0" to "3".
    pub const fn property_text(self) -> &'static str {
        match self {
            AccessState::Active => "0",
            AccessState::TransitionToActive => "1",
            AccessState::Standby => "2",
            AccessState::TransitionToStandby => "3",
        }
    }

    /// From the seed's number.
    pub const fn from_number(n: u8) -> Option<AccessState> {
        match n {
            0 => Some(AccessState::Active),
            1 => Some(AccessState::TransitionToActive),
            2 => Some(AccessState::Standby),
            3 => Some(AccessState::TransitionToStandby),
            _ => None,
        }
    }
}
