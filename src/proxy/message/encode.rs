//! From a message to its packed list, pairs in the order of the original encoder.

use super::{Body, Lun, Message, Piece, PortId, RemotePort, ScsiCmd, ScsiData, ScsiStatus, Session, Sync};
use crate::nvlist::Packer;

/// Where bulk data goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    /// Into the list.
    Inside,
    /// Behind it, in a compact frame.
    Outside,
}

/// Appends the packed list of a message.
pub(super) fn append(bytes: &mut Vec<u8>, message: &Message, payload: Payload) {
    let mut out = Out(Packer::new(bytes));
    out.u8("icm_msg_type", message.body.number());
    out.u64("icm_msgid", message.id);
    match &message.body {
        Body::RegisterPort { port, rtpid, cb_arg } => {
            out.port("icrp_port_id", port);
            out.u16("icrp_relative_port_id", *rtpid);
            out.cb_arg("icrp_cb_arg_len", "icrp_cb_arg", cb_arg);
        }
        Body::DeregisterPort { port, cb_arg } => {
            out.port("icdp_port_id", port);
            out.cb_arg("icdp_cb_arg_len", "icdp_cb_arg", cb_arg);
        }
        Body::RegisterLun(lun) | Body::DeregisterLun(lun) | Body::LunActive(lun) => out.lun(lun),
        Body::ScsiCmd(cmd) => out.scsi_cmd(cmd, payload),
        Body::ScsiData(data) => out.scsi_data(data, payload),
        Body::XferDone { task, session, status } => {
            out.u64("icsx_task_msgid", *task);
            out.u64("icsx_session_id", *session);
            out.u64("icsx_status", *status);
        }
        Body::ScsiStatus(status) => out.scsi_status(status),
        Body::R2t {
            task,
            session,
            offset,
            length,
        } => {
            out.u64("icrt_task_msgid", *task);
            out.u64("icrt_session_id", *session);
            out.u32("icrt_offset", *offset);
            out.u32("icrt_length", *length);
        }
        Body::Status {
            of_type,
            of_id,
            status,
            full,
        } => {
            out.u8("ics_msg_type", *of_type);
            out.u64("ics_msgid", *of_id);
            out.u8("ics_status", *status);
            out.optional_u64("icx_status", *full);
        }
        Body::SessionCreate(session) | Body::SessionDestroy(session) => out.session(session),
        Body::NodeRequest(piece) | Body::NodeReply(piece) => out.piece(piece, payload),
        Body::EchoRequest(data) | Body::EchoReply(data) => {
            out.u32("icerr_datalen", length32(data));
            out.unless_empty("icerr_data", data);
        }
    }
    out.extensions(message);
    out.0.finish();
}

struct Out<'a>(Packer<'a>);

impl Out<'_> {
    fn u8(&mut self, name: &str, n: u8) {
        self.0.u8(name, n);
    }
    fn u16(&mut self, name: &str, n: u16) {
        self.0.u16(name, n);
    }
    fn u32(&mut self, name: &str, n: u32) {
        self.0.u32(name, n);
    }
    fn u64(&mut self, name: &str, n: u64) {
        self.0.u64(name, n);
    }
    fn optional_u64(&mut self, name: &str, n: Option<u64>) {
        if let Some(n) = n {
            self.u64(name, n);
        }
    }
    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.0.bytes(name, bytes);
    }
    fn unless_empty(&mut self, name: &str, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes(name, bytes);
        }
    }
    fn port(&mut self, name: &str, port: &PortId) {
        self.0.list(name, |list| port.put(list));
    }
    fn remote(&mut self, name: &str, remote: &RemotePort) {
        self.0.list(name, |list| remote.put(list));
    }
    fn cb_arg(&mut self, length_name: &str, name: &str, cb_arg: &[u8]) {
        self.u16(length_name, length16(cb_arg));
        self.unless_empty(name, cb_arg);
    }

    fn lun(&mut self, lun: &Lun) {
        self.bytes("icrl_lun_id", &lun.guid.0);
        self.0.string("icrl_lu_provider_name", &lun.provider);
        self.cb_arg("icrl_cb_arg_len", "icrl_cb_arg", &lun.cb_arg);
        self.optional_u64("icx_generation", lun.generation);
        if let Some(state) = lun.access_state {
            self.u8("icx_access_state", state);
        }
        if let Some(non_optimized) = lun.non_optimized {
            self.u8("icx_policy", u8::from(non_optimized));
        }
    }

    fn scsi_cmd(&mut self, cmd: &ScsiCmd, payload: Payload) {
        self.u64("icsc_task_msgid", cmd.task);
        self.port("icsc_ini_devid", &cmd.initiator);
        self.port("icsc_tgt_devid", &cmd.target);
        self.remote("icsc_rport", &cmd.remote);
        self.bytes("icsc_lun_id", &cmd.guid.0);
        self.u64("icsc_session_id", cmd.session);
        self.bytes("icsc_task_lun_no", &cmd.lun);
        self.u32("icsc_task_expected_xfer_length", cmd.expected);
        self.u16("icsc_task_cdb_length", length16(&cmd.cdb));
        self.bytes("icsc_task_cdb", &cmd.cdb);
        self.u8("icsc_task_flags", cmd.flags);
        self.u8("icsc_task_priority", cmd.priority);
        self.u8("icsc_task_mgmt_function", cmd.function);
        self.u32("icsc_immed_data_len", length32(&cmd.data));
        if payload == Payload::Inside {
            self.unless_empty("icsc_immed_data", &cmd.data);
        }
        self.optional_u64("icx_ref_task_msgid", cmd.referenced);
        self.optional_u64("icx_generation", cmd.generation);
        self.optional_u64("icx_token", cmd.token);
        if let Some(total) = cmd.total {
            self.u32("icx_data_total", total);
        }
    }

    fn scsi_data(&mut self, data: &ScsiData, payload: Payload) {
        self.u64("icsd_task_msgid", data.task);
        self.u64("icsd_session_id", data.session);
        self.bytes("icsd_lun_id", &data.guid.0);
        self.u64("icsd_data_len", data.data.len() as u64);
        if payload == Payload::Inside {
            self.bytes("icsd_data", &data.data);
        }
        if let Some(offset) = data.offset {
            self.u32("icx_offset", offset);
        }
        if data.last {
            self.u8("icx_last", 1);
        }
    }

    fn piece(&mut self, piece: &Piece, payload: Payload) {
        self.u64("icx_request", piece.request);
        self.u32("icx_total", piece.total);
        self.u32("icx_offset", piece.offset);
        if payload == Payload::Inside {
            self.bytes("icx_data", &piece.data);
        }
    }

    fn scsi_status(&mut self, status: &ScsiStatus) {
        let sense = &status.sense[..status.sense.len().min(ScsiStatus::MAX_SENSE)];
        self.u64("icss_task_msgid", status.task);
        self.u64("icss_session_id", status.session);
        self.bytes("icss_lun_id", &status.guid.0);
        self.u8("icss_response", status.response);
        self.u8("icss_status", status.status);
        self.u8("icss_flags", status.flags);
        self.u32("icss_resid", status.residual);
        self.u8("icss_sense_len", u8::try_from(sense.len()).expect("cut to 252 above"));
        self.unless_empty("icss_sense", sense);
    }

    fn session(&mut self, session: &Session) {
        self.port("icscd_ini_devid", &session.initiator);
        self.port("icscd_tgt_devid", &session.target);
        self.remote("icscd_rport", &session.remote);
        self.u64("icscd_session_id", session.session);
    }

    fn extensions(&mut self, message: &Message) {
        self.optional_u64("icx_incarnation", message.extensions.incarnation);
        self.optional_u64("icx_seq", message.extensions.seq);
        match message.extensions.sync {
            None => {}
            Some(Sync::More) => self.u8("icx_sync", 1),
            Some(Sync::Last { objects }) => {
                self.u8("icx_sync", 2);
                if let Some(objects) = objects {
                    self.u32("icx_sync_count", objects);
                }
            }
        }
    }
}

fn length16(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).expect("CDBs and paths are bounded far below 64 KiB where they enter")
}

fn length32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("data is bounded far below 4 GiB where it enters")
}
