//! From bytes to a message, strict (`alua-proxy.md` 3.1.5, `c-clients.md` chapter 5).

use super::{
    Body, Extensions, Integrity, Lun, Message, Piece, PortId, RemotePort, ScsiCmd, ScsiData, ScsiStatus, Session, Sync,
    frame,
};
use crate::framework::Cdb;
use crate::nvlist::{self, DecodeError, Item, Limits, List};
use crate::types::Guid;
use std::fmt;

/// Longest message accepted (8.1); longer ones never reach the decoder.
pub const MAX_MESSAGE: usize = 16 << 20;
/// Longest data accepted in one SCSI_DATA or as immediate data (8.1).
pub(super) const MAX_DATA: usize = 1 << 20;
/// Longest cb_arg: a path and its NUL (8.1).
const MAX_CB_ARG: usize = 4096;
/// Longest name of an LU provider.
const MAX_PROVIDER: usize = 255;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageError {
    /// Empty, or longer than [`MAX_MESSAGE`].
    Size,
    /// Not a packed nvlist that this node accepts.
    List(DecodeError),
    /// A compact frame whose parts do not fit, or with a wrong checksum.
    Frame,
    /// Without `icm_msg_type`.
    NoType,
    /// A type above 16.
    UnknownType(u8),
    /// A mandatory pair is missing or of another type.
    Missing(&'static str),
    /// A length and its array disagree, or are too long.
    Length(&'static str),
    /// A value that has no meaning.
    Value(&'static str),
}

impl MessageError {
    /// True when the bytes are no message at all, so that the sender is told; false for a well-formed message that this
    /// node cannot use (a newer peer), which is dropped and counted (ruling 1).
    pub fn is_malformed(&self) -> bool {
        matches!(
            self,
            MessageError::Size | MessageError::List(_) | MessageError::Frame | MessageError::NoType
        )
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageError::Size => write!(f, "empty or longer than {MAX_MESSAGE} bytes"),
            MessageError::List(e) => e.fmt(f),
            MessageError::Frame => f.write_str("damaged compact frame"),
            MessageError::NoType => f.write_str("no message type"),
            MessageError::UnknownType(n) => write!(f, "unknown message type {n}"),
            MessageError::Missing(name) => write!(f, "{name} is missing or of another type"),
            MessageError::Length(name) => write!(f, "{name} has a wrong length"),
            MessageError::Value(name) => write!(f, "{name} has a meaningless value"),
        }
    }
}

impl std::error::Error for MessageError {}

pub(super) fn decode(head: &[u8], raw: Vec<u8>, integrity: Integrity) -> Result<Message, MessageError> {
    if head.is_empty() || head.len() + raw.len() > MAX_MESSAGE {
        return Err(MessageError::Size);
    }
    let (packed, raw) = match frame::open(head, raw, integrity)? {
        Some((packed, raw)) => (packed, Some(raw)),
        None => (head, None),
    };
    let pairs = nvlist::check(packed, &Limits::MESSAGE).map_err(MessageError::List)?;
    let mut fields = Fields::new(pairs.list());
    let kind = fields.u8("icm_msg_type").map_err(|_| MessageError::NoType)?;
    if usize::from(kind) >= Body::TYPES {
        return Err(MessageError::UnknownType(kind));
    }
    if let Some(raw) = raw {
        fields.restore_bulk(kind, raw)?;
    }
    Ok(Message {
        id: fields.u64("icm_msgid")?,
        body: fields.body(kind)?,
        extensions: fields.extensions()?,
    })
}

/// The pairs of a list, taken by name. What nobody takes is unknown, and ignored.
pub(super) struct Fields<'a> {
    all: List<'a>,
    /// Behind the pair taken last: they are mostly taken in the order in which they came.
    next: List<'a>,
    /// The raw part of a compact frame, by the name of the pair that it stands for.
    bulk: Option<(&'static str, Vec<u8>)>,
}

macro_rules! scalar {
    ($name:ident, $optional:ident, $type:ty, $found:pat => $value:expr) => {
        pub(super) fn $name(&mut self, name: &'static str) -> Result<$type, MessageError> {
            self.$optional(name)?.ok_or(MessageError::Missing(name))
        }

        fn $optional(&mut self, name: &'static str) -> Result<Option<$type>, MessageError> {
            match self.take(name) {
                Some($found) => Ok(Some($value)),
                Some(_) => Err(MessageError::Missing(name)),
                None => Ok(None),
            }
        }
    };
}

impl<'a> Fields<'a> {
    pub fn new(list: List<'a>) -> Fields<'a> {
        Fields {
            next: list.clone(),
            all: list,
            bulk: None,
        }
    }

    scalar!(u8, optional_u8, u8, (Item::UInt8(v), _) => v);
    scalar!(u16, optional_u16, u16, (Item::UInt16(v), _) => v);
    scalar!(u32, optional_u32, u32, (Item::UInt32(v), _) => v);
    scalar!(u64, optional_u64, u64, (Item::UInt64(v), _) => v);
    scalar!(quads, optional_quads, &'a [[u8; 4]], (Item::UInt8Array(v), _) => v);
    scalar!(text, optional_text, &'a [u8], (Item::String(v), _) => v);
    scalar!(list, optional_list, List<'a>, (Item::List(..), inner) => inner);

    fn take(&mut self, name: &str) -> Option<(Item<'a>, List<'a>)> {
        let mut next = self.next.clone();
        let found = next.find_name(name.as_bytes()).or_else(|| {
            next = self.all.clone();
            next.find_name(name.as_bytes())
        })?;
        self.next = next;
        Some(found)
    }

    pub fn array(&mut self, name: &'static str) -> Result<Vec<u8>, MessageError> {
        self.optional_array(name)?.ok_or(MessageError::Missing(name))
    }

    fn optional_array(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, MessageError> {
        match self.bulk.take_if(|(restored, _)| *restored == name) {
            Some((_, data)) => Ok(Some(data)),
            None => Ok(self.optional_quads(name)?.map(|quads| nvlist::bytes(quads).collect())),
        }
    }

    fn fixed<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], MessageError> {
        let quads: &[[u8; 4]; N] = self.quads(name)?.try_into().map_err(|_| MessageError::Length(name))?;
        Ok(quads.map(|quad| quad[3]))
    }

    fn guid(&mut self, name: &'static str) -> Result<Guid, MessageError> {
        self.fixed(name).map(Guid)
    }

    fn port(&mut self, name: &'static str) -> Result<PortId, MessageError> {
        self.list(name).and_then(PortId::from_list)
    }

    fn remote(&mut self, name: &'static str) -> Result<RemotePort, MessageError> {
        self.list(name).and_then(RemotePort::from_list)
    }

    /// An array with its length pair: with length 0 it may be missing.
    fn counted(&mut self, length: u64, name: &'static str, max: usize) -> Result<Vec<u8>, MessageError> {
        let bytes = match self.optional_array(name)? {
            Some(bytes) => bytes,
            None if length == 0 => Vec::new(),
            None => return Err(MessageError::Missing(name)),
        };
        if bytes.len() as u64 != length || bytes.len() > max {
            return Err(MessageError::Length(name));
        }
        Ok(bytes)
    }

    fn cb_arg(&mut self, length: &'static str, name: &'static str) -> Result<Vec<u8>, MessageError> {
        let length = u64::from(self.u16(length)?);
        self.counted(length, name, MAX_CB_ARG)
    }

    /// Puts the raw part of a compact frame back where it was left out.
    fn restore_bulk(&mut self, kind: u8, raw: Vec<u8>) -> Result<(), MessageError> {
        let name = match kind {
            4 => "icsc_immed_data",
            5 => "icsd_data",
            15 | 16 => "icx_data",
            _ => return Err(MessageError::Frame),
        };
        if self.all.has(name.as_bytes()) {
            return Err(MessageError::Frame);
        }
        self.bulk = Some((name, raw));
        Ok(())
    }

    fn body(&mut self, kind: u8) -> Result<Body, MessageError> {
        Ok(match kind {
            0 => Body::RegisterPort {
                port: self.port("icrp_port_id")?,
                rtpid: self.u16("icrp_relative_port_id")?,
                cb_arg: self.cb_arg("icrp_cb_arg_len", "icrp_cb_arg")?,
            },
            1 => Body::DeregisterPort {
                port: self.port("icdp_port_id")?,
                cb_arg: self.cb_arg("icdp_cb_arg_len", "icdp_cb_arg")?,
            },
            2 => Body::RegisterLun(self.lun()?),
            3 => Body::DeregisterLun(self.lun()?),
            4 => Body::ScsiCmd(Box::new(self.scsi_cmd()?)),
            5 => Body::ScsiData(self.scsi_data()?),
            6 => Body::XferDone {
                task: self.u64("icsx_task_msgid")?,
                session: self.optional_u64("icsx_session_id")?.unwrap_or(0),
                status: self.u64("icsx_status")?,
            },
            7 => Body::ScsiStatus(self.scsi_status()?),
            8 => Body::R2t {
                task: self.u64("icrt_task_msgid")?,
                session: self.u64("icrt_session_id")?,
                offset: self.u32("icrt_offset")?,
                length: self.u32("icrt_length")?,
            },
            9 => Body::Status {
                of_type: self.u8("ics_msg_type")?,
                of_id: self.u64("ics_msgid")?,
                status: self.u8("ics_status")?,
                full: self.optional_u64("icx_status")?,
            },
            10 => Body::SessionCreate(self.session()?),
            11 => Body::SessionDestroy(self.session()?),
            12 => Body::EchoRequest(self.echo()?),
            13 => Body::EchoReply(self.echo()?),
            14 => Body::LunActive(self.lun()?),
            15 => Body::NodeRequest(self.piece()?),
            16 => Body::NodeReply(self.piece()?),
            other => return Err(MessageError::UnknownType(other)),
        })
    }

    fn lun(&mut self) -> Result<Lun, MessageError> {
        let guid = self.guid("icrl_lun_id")?;
        let provider = self.text("icrl_lu_provider_name")?;
        if provider.len() > MAX_PROVIDER {
            return Err(MessageError::Length("icrl_lu_provider_name"));
        }
        Ok(Lun {
            guid,
            provider: provider.to_vec(),
            cb_arg: self.cb_arg("icrl_cb_arg_len", "icrl_cb_arg")?,
            generation: self.optional_u64("icx_generation")?,
            access_state: self.optional_u8("icx_access_state")?,
            non_optimized: self.optional_u8("icx_policy")?.map(|policy| policy == 1),
        })
    }

    fn scsi_cmd(&mut self) -> Result<ScsiCmd, MessageError> {
        let cdb_length = u64::from(self.u16("icsc_task_cdb_length")?);
        let data_length = u64::from(self.u32("icsc_immed_data_len")?);
        Ok(ScsiCmd {
            task: self.u64("icsc_task_msgid")?,
            initiator: self.port("icsc_ini_devid")?,
            target: self.port("icsc_tgt_devid")?,
            remote: self.remote("icsc_rport")?,
            guid: self.guid("icsc_lun_id")?,
            session: self.u64("icsc_session_id")?,
            lun: self.fixed("icsc_task_lun_no")?,
            expected: self.u32("icsc_task_expected_xfer_length")?,
            cdb: self.counted(cdb_length, "icsc_task_cdb", Cdb::MAX)?,
            flags: self.u8("icsc_task_flags")?,
            priority: self.optional_u8("icsc_task_priority")?.unwrap_or(0),
            function: self.u8("icsc_task_mgmt_function")?,
            data: self.counted(data_length, "icsc_immed_data", MAX_DATA)?,
            referenced: self.optional_u64("icx_ref_task_msgid")?,
            generation: self.optional_u64("icx_generation")?,
            token: self.optional_u64("icx_token")?,
            total: self.optional_u32("icx_data_total")?,
        })
    }

    fn scsi_data(&mut self) -> Result<ScsiData, MessageError> {
        let length = self.u64("icsd_data_len")?;
        if length == 0 {
            return Err(MessageError::Length("icsd_data"));
        }
        Ok(ScsiData {
            task: self.u64("icsd_task_msgid")?,
            session: self.u64("icsd_session_id")?,
            guid: self.guid("icsd_lun_id")?,
            data: self.counted(length, "icsd_data", MAX_DATA)?,
            offset: self.optional_u32("icx_offset")?,
            last: self.optional_u8("icx_last")? == Some(1),
        })
    }

    fn piece(&mut self) -> Result<Piece, MessageError> {
        let piece = Piece {
            request: self.u64("icx_request")?,
            total: self.u32("icx_total")?,
            offset: self.u32("icx_offset")?,
            data: self.array("icx_data")?,
        };
        let end = piece.offset as usize + piece.data.len();
        let fits = !piece.data.is_empty() && piece.data.len() <= MAX_DATA && end <= piece.total as usize;
        match fits && piece.total as usize <= Piece::MAX_TOTAL {
            true => Ok(piece),
            false => Err(MessageError::Length("icx_data")),
        }
    }

    fn scsi_status(&mut self) -> Result<ScsiStatus, MessageError> {
        let sense_length = u64::from(self.u8("icss_sense_len")?);
        Ok(ScsiStatus {
            task: self.u64("icss_task_msgid")?,
            session: self.u64("icss_session_id")?,
            guid: self.guid("icss_lun_id")?,
            response: self.u8("icss_response")?,
            status: self.u8("icss_status")?,
            flags: self.u8("icss_flags")?,
            residual: self.u32("icss_resid")?,
            sense: self.counted(sense_length, "icss_sense", ScsiStatus::MAX_SENSE)?,
        })
    }

    fn session(&mut self) -> Result<Session, MessageError> {
        Ok(Session {
            initiator: self.port("icscd_ini_devid")?,
            target: self.port("icscd_tgt_devid")?,
            remote: self.remote("icscd_rport")?,
            session: self.u64("icscd_session_id")?,
        })
    }

    fn echo(&mut self) -> Result<Vec<u8>, MessageError> {
        let length = u64::from(self.u32("icerr_datalen")?);
        self.counted(length, "icerr_data", MAX_DATA)
    }

    fn extensions(&mut self) -> Result<Extensions, MessageError> {
        let sync = match self.optional_u8("icx_sync")? {
            Some(1) => Some(Sync::More),
            Some(2) => Some(Sync::Last {
                objects: self.optional_u32("icx_sync_count")?,
            }),
            // A later version's meaning: no meaning here.
            _ => None,
        };
        Ok(Extensions {
            incarnation: self.optional_u64("icx_incarnation")?,
            seq: self.optional_u64("icx_seq")?,
            sync,
        })
    }
}
