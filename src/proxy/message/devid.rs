//! The nested lists that name ports (`alua-proxy.md` 3.5).

use super::decode::{Fields, MessageError};
use crate::nvlist::{List, Packer};
use crate::types::{DevId, TransportId};

/// SCSI name string (SPC-4 7.8.6.10), the designator type of iSCSI, `wwn.` and `eui.` names.
const NAME_STRING: u8 = 8;
/// ASCII. Receivers of the original look ports up by code set, and know only this one for ports (hazard H32).
const ASCII: u8 = 2;
/// The designator names a target port.
const TARGET_PORT: u8 = 1;

/// devid: a SCSI device identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortId {
    /// SPC protocol identifier; 15 none.
    pub protocol: u8,
    /// 1 binary, 2 ASCII, 3 UTF-8.
    pub code_set: u8,
    /// Protocol identifier valid.
    pub piv: u8,
    /// 0 LU, 1 target port, 2 target device.
    pub association: u8,
    /// Designator type.
    pub ident_type: u8,
    /// The identifier.
    pub ident: DevId,
}

impl PortId {
    /// The form that an original peer can store and find again.
    pub fn new(protocol: u8, ident: DevId) -> PortId {
        PortId {
            protocol,
            code_set: ASCII,
            piv: 1,
            association: TARGET_PORT,
            ident_type: NAME_STRING,
            ident,
        }
    }

    pub(super) fn put(&self, list: &mut Packer<'_>) {
        let ident = self.ident.as_bytes();
        list.u8("protocol_id", self.protocol);
        list.u8("code_set", self.code_set);
        list.u8("piv", self.piv);
        list.u8("association", self.association);
        list.u8("ident_type", self.ident_type);
        list.u8(
            "ident_length",
            u8::try_from(ident.len()).expect("a DevId has at most 255 bytes"),
        );
        list.bytes("ident", ident);
    }

    pub(super) fn from_list(list: List<'_>) -> Result<PortId, MessageError> {
        let mut fields = Fields::new(list);
        let length = usize::from(fields.u8("ident_length")?);
        let bytes = fields.array("ident")?;
        if length != bytes.len() {
            return Err(MessageError::Length("ident"));
        }
        let ident = DevId::try_from(bytes).map_err(|_| MessageError::Value("ident"))?;
        Ok(PortId {
            protocol: fields.u8("protocol_id")?,
            code_set: fields.u8("code_set")?,
            piv: fields.u8("piv")?,
            association: fields.u8("association")?,
            ident_type: fields.u8("ident_type")?,
            ident,
        })
    }
}

/// rport: the initiator's TransportID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotePort(pub TransportId);

impl RemotePort {
    pub(super) fn put(&self, list: &mut Packer<'_>) {
        let bytes = self.0.as_bytes();
        list.u16(
            "rport_tptid_sz",
            u16::try_from(bytes.len()).expect("a TransportID has at most 1024 bytes"),
        );
        list.bytes("rport_tptid", bytes);
    }

    pub(super) fn from_list(list: List<'_>) -> Result<RemotePort, MessageError> {
        let mut fields = Fields::new(list);
        let size = usize::from(fields.u16("rport_tptid_sz")?);
        let bytes = fields.array("rport_tptid")?;
        if size != bytes.len() {
            return Err(MessageError::Length("rport_tptid"));
        }
        TransportId::from_bytes(bytes)
            .map(RemotePort)
            .map_err(|_| MessageError::Value("rport_tptid"))
    }
}
