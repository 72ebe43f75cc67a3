//! The handshake that rides on ECHO (`alua-proxy.md` 3.9). An original peer answers with a plain copy.
//!
//! Data, 40 bytes, big-endian: magic (8), nonce (8), incarnation (8), capabilities (8), node id (1), enabled (1), 0 (2),
//! largest message accepted (4).

const PROBE: [u8; 8] = *b"STMFRX1Q";
const REPLY: [u8; 8] = *b"STMFRX1R";
const LENGTH: usize = 40;

/// What a node can do beyond the original. A pair uses what both can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Compact frames.
    pub const COMPACT: Capabilities = Capabilities(1 << 0);
    /// ABORT TASK and QUERY TASK with `icx_ref_task_msgid`. Towards an original peer function 1 would reset the whole LU.
    pub const ABORT_TASK: Capabilities = Capabilities(1 << 1);
    /// The sender of task management waits for the answer.
    pub const TM_ANSWER: Capabilities = Capabilities(1 << 2);
    /// Mark and sweep after a registration round.
    pub const SWEEP: Capabilities = Capabilities(1 << 3);
    /// Forwarded writes.
    pub const WRITES: Capabilities = Capabilities(1 << 4);
    /// Requests about the nodes themselves (NODE_REQUEST, NODE_REPLY).
    pub const EXCHANGE: Capabilities = Capabilities(1 << 5);
    /// The last SCSI_DATA says that the command ended well (`icx_last`).
    pub const LAST: Capabilities = Capabilities(1 << 7);
    /// All of these: what a node can do whatever the way to its peer.
    pub const ALL: Capabilities = Capabilities(0xbf);
    /// Compact frames without checksum. A reply says so when the probe came in records of TLS that the node opened itself, and
    /// it holds for that connection alone.
    pub const SEALED: Capabilities = Capabilities(1 << 6);

    /// True when all of `other` is there.
    pub const fn has(self, other: Capabilities) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    pub const fn with(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 | other.0)
    }

    /// What both can.
    pub const fn and(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & other.0)
    }
}

/// One side's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// Chosen by the side that probes, repeated in the reply.
    pub nonce: u64,
    /// Random number of this life.
    pub incarnation: u64,
    /// See [`Capabilities`].
    pub capabilities: Capabilities,
    /// 0 or 1.
    pub node: u8,
    /// ALUA mode is on.
    pub enabled: bool,
    /// Largest message accepted, bytes.
    pub largest: u32,
}

impl Handshake {
    /// Data of an ECHO_REQUEST.
    pub fn probe(&self) -> Vec<u8> {
        self.bytes(PROBE)
    }

    /// Data of the ECHO_REPLY to a probe.
    pub fn reply(&self) -> Vec<u8> {
        self.bytes(REPLY)
    }

    /// Reads the data of an ECHO_REQUEST; `None` when it is no probe.
    pub fn from_probe(data: &[u8]) -> Option<Handshake> {
        Self::read(data, PROBE)
    }

    /// Reads the data of an ECHO_REPLY; `None` when it is no reply of ours.
    pub fn from_reply(data: &[u8]) -> Option<Handshake> {
        Self::read(data, REPLY)
    }

    fn bytes(&self, magic: [u8; 8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(LENGTH);
        out.extend_from_slice(&magic);
        out.extend_from_slice(&self.nonce.to_be_bytes());
        out.extend_from_slice(&self.incarnation.to_be_bytes());
        out.extend_from_slice(&self.capabilities.0.to_be_bytes());
        out.extend_from_slice(&[self.node, u8::from(self.enabled), 0, 0]);
        out.extend_from_slice(&self.largest.to_be_bytes());
        out
    }

    fn read(data: &[u8], magic: [u8; 8]) -> Option<Handshake> {
        let data: &[u8; LENGTH] = data.try_into().ok()?;
        let word = |at: usize| data[at..at + 8].try_into().map(u64::from_be_bytes).ok();
        (data[..8] == magic).then_some(())?;
        Some(Handshake {
            nonce: word(8)?,
            incarnation: word(16)?,
            capabilities: Capabilities(word(24)?),
            node: data[32],
            enabled: data[33] != 0,
            largest: u32::from_be_bytes([data[36], data[37], data[38], data[39]]),
        })
    }
}
