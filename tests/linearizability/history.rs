//! Recorded calls: what was asked when, and what came back.

use serde::{Deserialize, Serialize};
use stmf::types::Status;

/// A call on the small configuration: two host groups of three possible members, view entries of two GUIDs without LUs, two
/// LUs, the management URL, the data of two providers. Written values are never written twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    GroupCreate(u8),
    GroupDelete(u8),
    GroupList,
    MemberAdd(u8, u8),
    MemberRemove(u8, u8),
    Members(u8),
    /// GUID, host group or all, LUN or any.
    ViewAdd(u8, Option<u8>, Option<u16>),
    ViewRemove(u8, u32),
    ViewList(u8),
    /// GUIDs with view entries, without the LUs.
    GuidList,
    AliasSet(u8, u32),
    AliasGet(u8),
    LuOnline(u8, bool),
    LuState(u8),
    UrlSet(u32),
    UrlGet,
    /// With the token that must be current.
    DataSet(u8, u32, Option<u64>),
    DataGet(u8),
    DataClear(u8),
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    Done,
    Failed(Status),
    /// Groups, members or GUIDs.
    List(Vec<u8>),
    /// Index, host group, LUN.
    Views(Vec<(u32, Option<u8>, u16)>),
    /// Index and LUN of a new entry.
    View(u32, u16),
    Value(Option<u32>),
    Online(bool),
    Token(u64),
    /// Value and token.
    Data(u32, u64),
}

/// One call; times are nanoseconds of the system's monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub start: u64,
    /// Of a call without outcome: it has not taken effect after this.
    pub end: u64,
    pub op: Op,
    /// `None`: the service ended in mid-call. Whether the call took effect is not known.
    pub outcome: Option<Outcome>,
}

/// The calls of one caller, one after the other. A call without outcome is the last of its lane.
pub type Lane = Vec<Event>;

/// Parts of the configuration that have nothing to do with each other: a history is linearizable when that of each part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Views,
    Lu(u8),
    Url,
    Data(u8),
}

impl Op {
    pub fn part(&self) -> Part {
        match self {
            Op::AliasSet(lu, _) | Op::AliasGet(lu) | Op::LuOnline(lu, _) | Op::LuState(lu) => Part::Lu(*lu),
            Op::UrlSet(_) | Op::UrlGet => Part::Url,
            Op::DataSet(key, ..) | Op::DataGet(key) | Op::DataClear(key) => Part::Data(*key),
            _ => Part::Views,
        }
    }
}
