//! The LUN map of a nexus: an immutable snapshot, computed from view entries (`scsi-sbd.md` 1.5).

/// LUN to LU, of one nexus.
#[derive(Default)]
pub struct LunMap {}
