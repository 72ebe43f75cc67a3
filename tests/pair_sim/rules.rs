//! The rules that can be broken one at a time, to see that the simulation notices.

/// A rule of `alua-proxy.md` chapter 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// No task touches the store after A is left (H8).
    KillTasks,
    /// Acknowledged writes are durable before the release (H6).
    FlushBeforeRelease,
    /// Nothing is handed over when the flush failed (ruling 5).
    FlushFailureKeepsActive,
    /// Reservations travel with the release (H9).
    SaveReservations,
    /// Handover data of an older generation is not loaded (6.5).
    HandoverGeneration,
    /// Losing ownership closes the store (H2).
    CloseWhenLost,
    /// The importer reads nothing from an old cache (H7).
    InvalidateCaches,
    /// The decision table of the claim (H4).
    ClaimDecides,
    /// The same at boot (H1).
    BootClaims,
    /// A claimant waits lease and margin.
    TakeoverWait,
    /// A moving lease refuses.
    LeaseMovement,
    /// "Not Active" from the peer is not believed without watching the lease.
    SaysIsOldNews,
    /// A fence declaration ends when the peer is heard again.
    FencedIsCleared,
    /// The owner starts nothing when its lease is old.
    Fence,
    /// Reads as well.
    FenceReads,
    /// Cached writes as well.
    FenceWriteback,
    /// A renewal never overwrites another owner's record.
    RenewalChecks,
    /// A lease file that was renewed too late is not enough: the record is read again.
    RecordAfterLapse,
    /// A repeated message is no second write.
    WriteOnce,
    /// Nor is one that comes again through another door.
    WriteOnceForAllDoors,
    /// A forwarded write that lingered on its way is refused.
    WriteToken,
    /// And one that lingered at the owner's fence.
    WriteStart,
    /// The outcome of a forwarded write of which nobody knows where it is waits until the owner would refuse it.
    OutcomeWaits,
    /// The peer's word that it gave the LU up is about one claim.
    GivenUpGeneration,
    /// Writes of one block land in the order in which the owner began them.
    WritesInOrder,
    /// GOOD for a write that took longer than the lease waits for the next renewal.
    AnswerAsOwner,
}

impl Rule {
    /// Where to begin to look: what matters seldom is met soon after this seed.
    pub fn rare(self) -> u64 {
        match self {
            Rule::OutcomeWaits => 270,
            Rule::FenceReads => 380,
            Rule::WriteOnceForAllDoors => 480,
            Rule::AnswerAsOwner => 2_170,
            _ => 0,
        }
    }

    pub const ALL: [Rule; 26] = [
        Rule::KillTasks,
        Rule::FlushBeforeRelease,
        Rule::FlushFailureKeepsActive,
        Rule::SaveReservations,
        Rule::HandoverGeneration,
        Rule::CloseWhenLost,
        Rule::InvalidateCaches,
        Rule::ClaimDecides,
        Rule::BootClaims,
        Rule::TakeoverWait,
        Rule::LeaseMovement,
        Rule::SaysIsOldNews,
        Rule::FencedIsCleared,
        Rule::Fence,
        Rule::FenceReads,
        Rule::FenceWriteback,
        Rule::RenewalChecks,
        Rule::RecordAfterLapse,
        Rule::WriteOnce,
        Rule::WriteOnceForAllDoors,
        Rule::WriteToken,
        Rule::WriteStart,
        Rule::OutcomeWaits,
        Rule::GivenUpGeneration,
        Rule::WritesInOrder,
        Rule::AnswerAsOwner,
    ];
}
