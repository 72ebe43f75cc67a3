//! The messages between the nodes (`alua-proxy.md` chapter 3): typed, without I/O.
//!
//! [`Message::encode`] gives the bytes of one door upcall, [`Message::decode`] takes those of one `stmfPostProxyMsg`. The
//! original's fields come in the original's order, ours (`icx_*`, 3.9) behind them.

mod decode;
mod devid;
mod encode;
mod frame;
mod handshake;
#[cfg(test)]
mod tests;

use decode::MAX_DATA;
pub use decode::{MAX_MESSAGE, MessageError};
pub use devid::{PortId, RemotePort};
pub use handshake::{Capabilities, Handshake};

use crate::buffers;
use crate::types::Guid;
use encode::Payload;

/// One interconnect message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `icm_msgid` (3.7).
    pub id: u64,
    /// What it says.
    pub body: Body,
    /// What only our nodes send, in any message.
    pub extensions: Extensions,
}

/// What keeps the bulk data of a message from damage on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    /// The checksum in its compact frame.
    Checksum,
    /// The records of TLS that carry it: a compact frame may have 0 instead of the checksum (capability 6).
    Records,
}

/// Pairs of ours that any message may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions {
    /// `icx_incarnation`: random number of the sender's life.
    pub incarnation: Option<u64>,
    /// `icx_seq`: +1 per message and direction, from 1 in each life.
    pub seq: Option<u64>,
    /// `icx_sync`: place in a registration round.
    pub sync: Option<Sync>,
}

/// `icx_sync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// 1: more follows.
    More,
    /// 2: the last message of a round, with the number of objects that the sender has (`icx_sync_count`): a receiver that
    /// missed some must not take them for gone.
    Last {
        /// Ports and LUs of the sender.
        objects: Option<u32>,
    },
}

/// Content by message type (3.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// 0 REGISTER_PROXY_PORT.
    RegisterPort {
        /// The port.
        port: PortId,
        /// Its relative target port identifier.
        rtpid: u16,
        /// Opaque, empty in all known senders.
        cb_arg: Vec<u8>,
    },
    /// 1 DEREGISTER_PROXY_PORT.
    DeregisterPort {
        /// The port.
        port: PortId,
        /// Opaque.
        cb_arg: Vec<u8>,
    },
    /// 2 REGISTER_LUN.
    RegisterLun(Lun),
    /// 3 DEREGISTER_LUN.
    DeregisterLun(Lun),
    /// 4 SCSI_CMD.
    ScsiCmd(Box<ScsiCmd>),
    /// 5 SCSI_DATA.
    ScsiData(ScsiData),
    /// 6 SCSI_DATA_XFER_DONE.
    XferDone {
        /// Of the SCSI_CMD.
        task: u64,
        /// Session id, 0 when the task was not found.
        session: u64,
        /// 0 success.
        status: u64,
    },
    /// 7 SCSI_STATUS.
    ScsiStatus(ScsiStatus),
    /// 8 R2T: between two of our nodes the owner asks for the rest of a forwarded write (7.7); the original never sends it.
    R2t {
        /// Of the SCSI_CMD.
        task: u64,
        /// Of the SCSI_CMD.
        session: u64,
        /// Buffer offset.
        offset: u32,
        /// Bytes wanted.
        length: u32,
    },
    /// 9 STATUS.
    Status {
        /// Type of the message this reports on.
        of_type: u8,
        /// Its id.
        of_id: u64,
        /// Low 8 bits of the code: 0 for failures too.
        status: u8,
        /// `icx_status`: the whole code ([`super::codes`]).
        full: Option<u64>,
    },
    /// 10 SESSION_CREATE, never sent.
    SessionCreate(Session),
    /// 11 SESSION_DESTROY.
    SessionDestroy(Session),
    /// 12 ECHO_REQUEST.
    EchoRequest(Vec<u8>),
    /// 13 ECHO_REPLY.
    EchoReply(Vec<u8>),
    /// 14 LUN_ACTIVE.
    LunActive(Lun),
    /// 15 NODE_REQUEST, of ours (capability 5): a question about the node, or a change of its configuration.
    NodeRequest(Piece),
    /// 16 NODE_REPLY, of ours: the answer.
    NodeReply(Piece),
}

/// Content of 15 and 16: a piece of a request or of an answer. All pieces come in order, the first with offset 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// `icx_request`: number of the request, chosen by who asks.
    pub request: u64,
    /// `icx_total`: bytes altogether, 1 to [`Piece::MAX_TOTAL`].
    pub total: u32,
    /// `icx_offset`: place of the piece.
    pub offset: u32,
    /// `icx_data`, at least one byte; never beyond the total.
    pub data: Vec<u8>,
}

impl Piece {
    /// Longest request or answer, bytes.
    pub const MAX_TOTAL: usize = 8 << 20;
}

/// Content of 2, 3 and 14.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lun {
    /// The LU.
    pub guid: Guid,
    /// LU provider, `sbd`.
    pub provider: Vec<u8>,
    /// Path of the metadata with its NUL in 2 and 14, empty in 3.
    pub cb_arg: Vec<u8>,
    /// `icx_generation`: ownership generation.
    pub generation: Option<u64>,
    /// `icx_access_state`, the seed's number.
    pub access_state: Option<u8>,
    /// `icx_policy`: 1, the owner's access policy of the LU is `non-optimized`; 0 `standby` (7.7).
    pub non_optimized: Option<bool>,
}

/// Content of SCSI_CMD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScsiCmd {
    /// Task message id.
    pub task: u64,
    /// Initiator port.
    pub initiator: PortId,
    /// Target port that received the command.
    pub target: PortId,
    /// TransportID of the initiator.
    pub remote: RemotePort,
    /// The LU that is meant; zeros in the original's task management.
    pub guid: Guid,
    /// Session id of the sending node.
    pub session: u64,
    /// LUN as the transport carried it.
    pub lun: [u8; 8],
    /// Expected data transfer length.
    pub expected: u32,
    /// The CDB, empty for task management.
    pub cdb: Vec<u8>,
    /// See [`ScsiCmd::INITIAL_BURST`] and its neighbours; the low 3 bits are the task attribute.
    pub flags: u8,
    /// Task priority.
    pub priority: u8,
    /// 0, or a task management function.
    pub function: u8,
    /// Data from the host.
    pub data: Vec<u8>,
    /// `icx_ref_task_msgid`: the task meant by functions 1 and 10.
    pub referenced: Option<u64>,
    /// `icx_generation`: the active node executes a forwarded write only under this generation (7.7).
    pub generation: Option<u64>,
    /// `icx_token`: nonce of the receiver's newest probe. It proves to the receiver that a write did not linger on its way.
    pub token: Option<u64>,
    /// `icx_data_total`: bytes from the host altogether, when `data` has only the first of them; R2T asks for the rest.
    pub total: Option<u32>,
}

impl ScsiCmd {
    /// Data from the host is in the message.
    pub const INITIAL_BURST: u8 = 0x80;
    /// Data goes to the host.
    pub const READ: u8 = 0x40;
    /// Data comes from the host.
    pub const WRITE: u8 = 0x20;
    /// Mask of the task attribute.
    pub const ATTRIBUTE: u8 = 0x07;
    /// Bit of a task message id that names a task management function (3.7).
    pub const MANAGEMENT_ID: u64 = 1 << 63;
}

/// Content of SCSI_DATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScsiData {
    /// Of the SCSI_CMD.
    pub task: u64,
    /// Of the SCSI_CMD.
    pub session: u64,
    /// Of the SCSI_CMD.
    pub guid: Guid,
    /// At least one byte.
    pub data: Vec<u8>,
    /// `icx_offset`: place of the data in the transfer.
    pub offset: Option<u32>,
    /// `icx_last`: the data are complete with this and as many as expected, the status is GOOD, and no SCSI_STATUS follows.
    pub last: bool,
}

/// Content of SCSI_STATUS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScsiStatus {
    /// Of the SCSI_CMD.
    pub task: u64,
    /// Of the SCSI_CMD.
    pub session: u64,
    /// Of the SCSI_CMD.
    pub guid: Guid,
    /// Always 0.
    pub response: u8,
    /// SCSI status byte.
    pub status: u8,
    /// [`ScsiStatus::OVERRUN`] or [`ScsiStatus::UNDERRUN`].
    pub flags: u8,
    /// Residual count.
    pub residual: u32,
    /// Sense data, at most 252 bytes.
    pub sense: Vec<u8>,
}

impl ScsiStatus {
    /// More was implied than expected.
    pub const OVERRUN: u8 = 1;
    /// Less moved than expected.
    pub const UNDERRUN: u8 = 2;
    /// Longest sense data.
    pub const MAX_SENSE: usize = 252;

    /// GOOD, with as much data as expected.
    pub fn good(task: u64, session: u64, guid: Guid) -> ScsiStatus {
        ScsiStatus {
            task,
            session,
            guid,
            response: 0,
            status: 0,
            flags: 0,
            residual: 0,
            sense: Vec::new(),
        }
    }
}

/// Content of 10 and 11.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Initiator port.
    pub initiator: PortId,
    /// Target port.
    pub target: PortId,
    /// TransportID of the initiator.
    pub remote: RemotePort,
    /// Session id of the sending node.
    pub session: u64,
}

impl Message {
    /// A message without extensions.
    pub fn new(id: u64, body: Body) -> Message {
        Message {
            id,
            body,
            extensions: Extensions::default(),
        }
    }

    /// Takes out everything that an original node does not send.
    pub fn strip_extensions(&mut self) {
        self.extensions = Extensions::default();
        match &mut self.body {
            Body::RegisterLun(lun) | Body::DeregisterLun(lun) | Body::LunActive(lun) => {
                (lun.generation, lun.access_state, lun.non_optimized) = (None, None, None);
            }
            Body::ScsiCmd(cmd) => {
                (cmd.referenced, cmd.generation, cmd.token, cmd.total) = (None, None, None, None);
            }
            Body::ScsiData(data) => (data.offset, data.last) = (None, false),
            Body::Status { full, .. } => *full = None,
            _ => {}
        }
    }

    /// The bytes that every receiver understands: a packed nvlist.
    pub fn encode(&self) -> Vec<u8> {
        self.pack(0, false, Integrity::Checksum).0
    }

    /// The bytes for a receiver with capability 0: bulk data in a compact frame, anything else as [`Message::encode`].
    pub fn encode_compact(&self) -> Vec<u8> {
        let (mut bytes, raw) = self.pack(0, true, Integrity::Checksum);
        bytes.extend_from_slice(raw);
        bytes
    }

    /// The bytes of [`Message::encode_compact`] or [`Message::encode`] in two parts, of which the second is the bulk data
    /// itself, not a copy, or empty. Before the first are `ahead` bytes of 0 for what is to stand there. With
    /// [`Integrity::Records`] a compact frame has no checksum.
    pub fn into_parts(self, ahead: usize, compact: bool, integrity: Integrity) -> (Vec<u8>, Vec<u8>) {
        let (head, raw) = self.pack(ahead, compact, integrity);
        match raw.is_empty() {
            true => (head, Vec::new()),
            false => (head, self.body.into_bulk()),
        }
    }

    /// As [`Message::into_parts`].
    fn pack(&self, ahead: usize, compact: bool, integrity: Integrity) -> (Vec<u8>, &[u8]) {
        /// Nearly all lists without bulk data are shorter.
        const LIST: usize = 3 << 10;
        let bulk = self.body.bulk().unwrap_or_default();
        if !compact || bulk.is_empty() {
            // A byte of data takes four (3.1.4).
            let mut bytes = buffers::take(ahead + LIST + 4 * bulk.len());
            bytes.resize(ahead, 0);
            encode::append(&mut bytes, self, Payload::Inside);
            return (bytes, &[]);
        }
        let list = ahead + frame::HEADER;
        let mut bytes = buffers::take(list + LIST);
        bytes.resize(list, 0);
        encode::append(&mut bytes, self, Payload::Outside);
        let header = frame::header(bytes.len() - list, bulk, integrity);
        bytes[ahead..list].copy_from_slice(&header);
        (bytes, bulk)
    }

    /// Reads either form.
    pub fn decode(bytes: &[u8]) -> Result<Message, MessageError> {
        decode::decode(bytes, Vec::new(), Integrity::Checksum)
    }

    /// Reads either form in two parts: the second is the raw part of a compact frame, which becomes the bulk data itself, or
    /// empty, and then the first is the whole message.
    pub fn from_parts(head: &[u8], raw: Vec<u8>, integrity: Integrity) -> Result<Message, MessageError> {
        decode::decode(head, raw, integrity)
    }

    /// As many bytes of a message as [`Message::raw_length`] looks at.
    pub const BEGINNING: usize = frame::HEADER;

    /// Length of the raw part at the end of a message of `length` bytes with this beginning, at most 1 MiB. 0: it has none, or
    /// what the beginning says does not fit, which the decoder refuses.
    pub fn raw_length(beginning: &[u8], length: usize) -> usize {
        frame::raw_length(beginning, length)
    }
}

impl Body {
    /// Number of message types.
    pub const TYPES: usize = 17;

    /// Names of the types in the order of their numbers (`alua-proxy.md` 3.3).
    pub const NAMES: [&str; Body::TYPES] = [
        "REGISTER_PROXY_PORT",
        "DEREGISTER_PROXY_PORT",
        "REGISTER_LUN",
        "DEREGISTER_LUN",
        "SCSI_CMD",
        "SCSI_DATA",
        "SCSI_DATA_XFER_DONE",
        "SCSI_STATUS",
        "R2T",
        "STATUS",
        "SESSION_CREATE",
        "SESSION_DESTROY",
        "ECHO_REQUEST",
        "ECHO_REPLY",
        "LUN_ACTIVE",
        "NODE_REQUEST",
        "NODE_REPLY",
    ];

    /// `icm_msg_type`.
    pub fn number(&self) -> u8 {
        match self {
            Body::RegisterPort { .. } => 0,
            Body::DeregisterPort { .. } => 1,
            Body::RegisterLun(_) => 2,
            Body::DeregisterLun(_) => 3,
            Body::ScsiCmd(_) => 4,
            Body::ScsiData(_) => 5,
            Body::XferDone { .. } => 6,
            Body::ScsiStatus(_) => 7,
            Body::R2t { .. } => 8,
            Body::Status { .. } => 9,
            Body::SessionCreate(_) => 10,
            Body::SessionDestroy(_) => 11,
            Body::EchoRequest(_) => 12,
            Body::EchoReply(_) => 13,
            Body::LunActive(_) => 14,
            Body::NodeRequest(_) => 15,
            Body::NodeReply(_) => 16,
        }
    }

    /// The data that a compact frame carries raw.
    fn bulk(&self) -> Option<&[u8]> {
        match self {
            Body::ScsiCmd(cmd) => Some(&cmd.data),
            Body::ScsiData(data) => Some(&data.data),
            Body::NodeRequest(piece) | Body::NodeReply(piece) => Some(&piece.data),
            _ => None,
        }
    }

    fn into_bulk(self) -> Vec<u8> {
        match self {
            Body::ScsiCmd(cmd) => cmd.data,
            Body::ScsiData(data) => data.data,
            Body::NodeRequest(piece) | Body::NodeReply(piece) => piece.data,
            _ => Vec::new(),
        }
    }

    /// Bytes that the message holds in memory, roughly; for the limit of the send queue.
    pub fn weight(&self) -> usize {
        const FIXED: usize = 512;
        match self {
            Body::EchoRequest(data) | Body::EchoReply(data) => FIXED + data.len(),
            _ => FIXED + self.bulk().map_or(0, <[u8]>::len),
        }
    }
}
