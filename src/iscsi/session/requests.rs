//! NOP and Text requests (RFC 7143 11.10, 11.11, 11.18, 11.19; `iscsi-target.md` chapters 6 and 9).

use super::{ConnectionId, Session};
use crate::iscsi::decoder::Pdu;
use crate::iscsi::name;
use crate::iscsi::parameters::{Answer, Parameters};
use crate::iscsi::pdu::{Header, NO_TAG, RejectReason, opcode};
use crate::iscsi::text::{self, Pair, TEXT_MAX};

/// Text of one Text Response.
const PART: usize = 8192;
/// Transfer tag of pings, outside of those of R2T.
const PING_TAG: u32 = 0x8000_0000;

/// A text exchange that takes more than one PDU.
#[derive(Debug)]
pub(super) struct Exchange {
    itt: u32,
    ttt: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The request so far.
    Asking(Vec<u8>),
    /// The rest of the answer.
    Answering(Vec<u8>),
}

impl Session {
    pub(super) fn nop_out(&mut self, id: ConnectionId, pdu: Pdu) {
        // ITT FFFFFFFF, or a transfer tag: the answer to a ping of ours.
        if pdu.header.itt() == NO_TAG || pdu.header.ttt() != NO_TAG {
            return;
        }
        let mut header = Header::new(opcode::NOP_IN);
        header
            .set_lun(pdu.header.lun())
            .set_word::<16>(pdu.header.itt())
            .set_word::<20>(NO_TAG);
        let mut data = pdu.data;
        data.truncate(self.send_max(id));
        self.push_status(id, header, data);
    }

    /// A NOP-In that asks for an answer; it shows the next StatSN and does not consume it.
    pub(super) fn ping(&mut self, id: ConnectionId) {
        let stamp = self.stamp();
        let Some(connection) = self.at(id) else { return };
        connection.pinged = true;
        let mut header = Header::new(opcode::NOP_IN);
        header.set_word::<16>(NO_TAG).set_word::<20>(PING_TAG);
        connection.push(stamp, header, Vec::new());
    }

    pub(super) fn text(&mut self, id: ConnectionId, pdu: &Pdu) {
        let header = &pdu.header;
        let Some(connection) = self.at(id) else { return };
        let running = connection.exchange.take();
        if header.itt() == NO_TAG {
            return self.reject(id, header, RejectReason::InvalidField);
        }
        let mut request = match running {
            // A new exchange abandons the old one.
            _ if header.ttt() == NO_TAG => Vec::new(),
            Some(Exchange { itt, ttt, state }) if (itt, ttt) == (header.itt(), header.ttt()) => match state {
                State::Asking(text) => text,
                State::Answering(rest) if pdu.data.is_empty() => return self.answer_text(id, header, rest),
                State::Answering(_) => return self.reject(id, header, RejectReason::NotSupported),
            },
            _ => return self.reject(id, header, RejectReason::NotSupported),
        };
        if request.len() + pdu.data.len() > TEXT_MAX {
            return self.reject(id, header, RejectReason::NotSupported);
        }
        request.extend_from_slice(&pdu.data);
        if header.continues() || !header.is_final() {
            return self.text_part(id, header, Vec::new(), State::Asking(request), false);
        }
        match self.text_answer(id, &request) {
            Some(answer) => self.answer_text(id, header, answer),
            None => self.reject(id, header, RejectReason::NotSupported),
        }
    }

    /// `None`: the request is to be rejected.
    fn text_answer(&mut self, id: ConnectionId, request: &[u8]) -> Option<Vec<u8>> {
        let mut answer = Vec::new();
        let discovery = self.identity.as_ref().is_some_and(|identity| identity.discovery);
        for pair in text::parse(request).ok()? {
            match pair.key {
                "SendTargets" => self.send_targets(id, &pair, discovery, &mut answer)?,
                "MaxRecvDataSegmentLength" => {
                    if let Answer::Value(value) = self.at(id)?.parameters.offer(&pair) {
                        text::push(&mut answer, pair.key, &value);
                    }
                }
                // Everything else was settled at login.
                key => match Parameters::default().offer(&pair) {
                    Answer::Unknown => return None,
                    _ => text::push(&mut answer, key, "Reject"),
                },
            }
        }
        Some(answer)
    }

    fn send_targets(&mut self, id: ConnectionId, pair: &Pair<'_>, discovery: bool, answer: &mut Vec<u8>) -> Option<()> {
        let own = || self.identity.as_ref().map(|identity| identity.key.target.clone());
        let name = match pair.value {
            "All" => None,
            "" if discovery => return None,
            "" => Some(own()?),
            value => Some(name::canonical(value).ok()?),
        };
        let local = self.at(id)?.local;
        for target in self.directory.list(name.as_deref(), local) {
            text::push(answer, "TargetName", &target.name);
            for address in &target.addresses {
                text::push(answer, "TargetAddress", address);
            }
        }
        Some(())
    }

    /// Sends the next part of an answer; the rest waits for the empty request that asks for it.
    fn answer_text(&mut self, id: ConnectionId, request: &Header, mut answer: Vec<u8>) {
        let part = PART.min(self.send_max(id));
        if answer.len() <= part {
            return self.text_part(id, request, answer, State::Answering(Vec::new()), true);
        }
        let rest = answer.split_off(part);
        self.text_part(id, request, answer, State::Answering(rest), false);
    }

    fn text_part(&mut self, id: ConnectionId, request: &Header, part: Vec<u8>, state: State, last: bool) {
        let mut header = Header::new(opcode::TEXT_RESPONSE);
        let mut ttt = NO_TAG;
        let Some(connection) = self.at(id) else { return };
        if !last {
            ttt = PING_TAG | connection.stat_sn & 0x7fff_fffe;
            // C only while the text itself goes on.
            header.0[1] = if part.is_empty() { 0 } else { 0x40 };
            connection.exchange = Some(Exchange {
                itt: request.itt(),
                ttt,
                state,
            });
        }
        header
            .set_lun(request.lun())
            .set_word::<16>(request.itt())
            .set_word::<20>(ttt);
        self.push_status(id, header, part);
    }

    /// The longest data segment that may be sent.
    fn send_max(&mut self, id: ConnectionId) -> usize {
        self.at(id)
            .map_or(0, |connection| connection.parameters.send_max as usize)
    }
}
