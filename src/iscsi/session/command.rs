//! SCSI commands of a session: arrival, data from the initiator, execution, data and status back
//! (RFC 7143 4.2.5, 11.3, 11.7, 11.8; `iscsi-target.md` chapter 8).

use super::{Action, Command, ConnectionId, IMMEDIATE_MAX, Session, WRITE_MAX};
use crate::buffers;
use crate::framework::{Cdb, Expected, Outcome, Residual, TaskAttribute};
use crate::iscsi::decoder::Pdu;
use crate::iscsi::output::Data;
use crate::iscsi::pdu::{DataOut, Header, NO_TAG, RejectReason, ScsiCommand, opcode};
use crate::iscsi::table::Table;
use crate::scsi::{ScsiStatus, Sense};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// One solicited burst.
#[derive(Debug)]
struct Burst {
    ttt: u32,
    end: u32,
    next_sn: u32,
}

/// How far a command has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Behind a gap in CmdSN, or parked.
    Waiting,
    /// Handed out in [`Action::Start`], whose result is not known yet. More of its data may arrive meanwhile.
    Starting,
    /// The LU has accepted it; its data is being collected.
    Collecting,
    /// A part of what it reads is being sent, the next one is to follow.
    Resting,
    /// In the hands of the framework.
    Executing,
}

impl Stage {
    /// An abort must go through the framework.
    pub(super) fn in_framework(self) -> bool {
        matches!(self, Stage::Starting | Stage::Executing)
    }

    /// The framework has it ready, waiting to go on.
    pub(super) fn ready(self) -> bool {
        matches!(self, Stage::Collecting | Stage::Resting)
    }
}

/// A command between arrival and answer.
#[derive(Debug)]
pub(super) struct Live {
    /// The connection that the command came over.
    pub(super) connection: ConnectionId,
    pub(super) stage: Stage,
    pub(super) lun: [u8; 8],
    pub(super) cmd_sn: u32,
    pub(super) immediate: bool,
    /// Aborted while executing: no answer will be sent.
    pub(super) suppressed: bool,
    /// [`Action::Abort`] is given.
    pub(super) aborting: bool,
    /// Its data came out of sequence: it will end with CHECK CONDITION, unexecuted.
    broken: bool,
    /// Taken when it is started.
    command: Option<Command>,
    expected: Expected,
    /// Collected so far of this part; no longer than `received`, since what is not wanted is dropped.
    data: Vec<u8>,
    /// Bytes received: the next buffer offset.
    received: u32,
    /// DataSN of the next unsolicited Data-Out, while more is to come.
    unsolicited: Option<u32>,
    /// Where the data of the present part ends.
    want: u32,
    /// Bytes that earlier parts have moved.
    done: u32,
    /// Data-In PDUs sent by them.
    sent: u32,
    /// Bytes received or solicited.
    requested: u32,
    bursts: VecDeque<Burst>,
    r2ts: u32,
    /// Bytes counted in [`Session::writing`] once admitted.
    reserved: Option<u64>,
    /// How much of its data had come when that was first seen, while it is collected.
    stalled: Option<(u32, Instant)>,
}

impl Live {
    fn reading(&self) -> u64 {
        if self.expected.write {
            0
        } else {
            // More than that is expected and does not move.
            u64::from(self.expected.length.min(WRITE_MAX))
        }
    }

    /// Is this exactly the Data-Out that must come next? Then where its data must end at most.
    fn expects(&self, header: &Header, first_burst: u32) -> Option<u32> {
        let pdu = DataOut(header);
        let end = pdu_end(header)?;
        let (next_sn, limit) = if header.ttt() == NO_TAG {
            (self.unsolicited?, first_burst.min(self.expected.length))
        } else {
            let burst = self.bursts.front().filter(|burst| burst.ttt == header.ttt())?;
            (burst.next_sn, burst.end)
        };
        (pdu.data_sn() == next_sn && pdu.offset() == self.received && end <= limit).then_some(limit)
    }

    fn place(&self) -> Place {
        Place {
            connection: self.connection,
            lun: self.lun,
            offset: self.done,
            number: self.sent,
        }
    }

    /// For all that is wanted at once, so that nothing moves as the data arrive.
    fn make_room(&mut self) {
        let want = (self.want - self.done) as usize;
        if self.data.capacity() < want {
            let collected = std::mem::replace(&mut self.data, buffers::take(want));
            self.data.extend_from_slice(&collected);
            buffers::give(collected);
        }
    }

    fn append(&mut self, pdu: Pdu) {
        self.received += u32::try_from(pdu.data.len() - pdu.base).unwrap_or(0);
        if self.stage == Stage::Executing {
            return;
        }
        if self.data.is_empty() {
            // Nothing collected yet, or the buffer had been lent to the decoder.
            self.data = pdu.data;
        } else {
            self.data.extend_from_slice(&pdu.data[pdu.base..]);
        }
    }
}

/// Where the next Data-In PDUs of a command go.
#[derive(Clone, Copy)]
struct Place {
    connection: ConnectionId,
    lun: [u8; 8],
    /// Of their first byte.
    offset: u32,
    /// DataSN of the first.
    number: u32,
}

/// 0B/47/05: protocol service CRC error, what iSCSI reports for data that cannot be trusted (RFC 7143 11.4.7.2).
const PROTOCOL_ERROR: Sense = Sense::new(0x0b, 0x47, 0x05);

/// 0B/4B/06: initiator response timeout (SPC-4 annex F).
const RESPONSE_TIMEOUT: Sense = Sense::new(0x0b, 0x4b, 0x06);

/// Where the data of a Data-Out ends in the task's buffer.
fn pdu_end(header: &Header) -> Option<u32> {
    DataOut(header)
        .offset()
        .checked_add(u32::try_from(header.data_length()).ok()?)
}

/// Lends a task's buffer for the data segment behind this header, so that it is received in place.
pub(super) fn lend(tasks: &mut Table<u32, Live>, id: ConnectionId, header: &Header) -> Vec<u8> {
    if header.opcode() != opcode::DATA_OUT {
        return Vec::new();
    }
    match tasks.get_mut(&header.itt()) {
        // The data segment is within the decoder's limit; what the task may take is checked when the PDU is complete, and
        // a task that got too much never reaches the framework.
        Some(live) if live.connection == id && live.stage != Stage::Executing && !live.broken => {
            if live.expects(header, u32::MAX).is_some() {
                std::mem::take(&mut live.data)
            } else {
                Vec::new()
            }
        }
        _ => Vec::new(),
    }
}

impl Session {
    /// Registers an arrived command. `Err(Some)`: reject it; `Err(None)`: the connection has failed.
    pub(super) fn accept_command(&mut self, id: ConnectionId, pdu: &mut Pdu) -> Result<(), Option<RejectReason>> {
        let header = pdu.header;
        let view = ScsiCommand(&header);
        let itt = header.itt();
        if itt == NO_TAG {
            return Err(Some(RejectReason::InvalidField));
        }
        if self.tasks.contains_key(&itt) {
            return Err(Some(RejectReason::TaskInProgress));
        }
        if header.immediate() && self.tasks.values().filter(|live| live.immediate).count() >= IMMEDIATE_MAX {
            return Err(Some(RejectReason::TooManyImmediate));
        }
        let cdb = match pdu.ahs.is_empty() {
            true => Cdb::new(view.cdb_head()),
            false => view.cdb(&pdu.ahs).and_then(|cdb| Cdb::new(&cdb)),
        };
        let Some(cdb) = cdb else {
            self.fail(id, "additional header segments that contradict themselves".into());
            return Err(None);
        };
        let attribute = match view.attribute() {
            0 => TaskAttribute::Untagged,
            1 => TaskAttribute::Simple,
            2 => TaskAttribute::Ordered,
            3 => TaskAttribute::HeadOfQueue,
            4 => TaskAttribute::Aca,
            _ => return Err(Some(RejectReason::InvalidField)),
        };
        let mut data = std::mem::take(&mut pdu.data);
        let more = view.write() && !header.is_final();
        if data.len() > self.parameters.first_burst as usize || more && self.parameters.initial_r2t {
            self.fail(id, "more unsolicited data than was negotiated".into());
            return Err(None);
        }
        let expected = Expected {
            read: view.read(),
            write: view.write(),
            length: view.expected_length(),
        };
        data.truncate(if expected.write { expected.length as usize } else { 0 });
        let received = u32::try_from(data.len()).unwrap_or(0);
        self.tasks.insert(
            itt,
            Live {
                connection: id,
                stage: Stage::Waiting,
                lun: header.lun(),
                cmd_sn: header.cmd_sn(),
                immediate: header.immediate(),
                suppressed: false,
                aborting: false,
                broken: false,
                command: Some(Command {
                    itt,
                    lun: header.lun(),
                    cdb,
                    attribute,
                    expected,
                }),
                expected,
                data,
                received,
                unsolicited: more.then_some(0),
                want: 0,
                done: 0,
                sent: 0,
                requested: 0,
                bursts: VecDeque::new(),
                r2ts: 0,
                reserved: None,
                stalled: None,
            },
        );
        Ok(())
    }

    /// Starts parked commands, and goes on with resting ones, while the answers have room.
    pub(super) fn start_parked(&mut self) {
        self.release_large();
        while let Some(&itt) = self.resting.front() {
            if self.unsent() >= self.share.read() {
                return;
            }
            self.resting.pop_front();
            if let Some(live) = self.tasks.get_mut(&itt).filter(|live| live.stage == Stage::Resting) {
                live.stage = Stage::Executing;
                self.actions.push_back(Action::Execute { itt, data: Vec::new() });
                // Its data come before anything else is read.
                return;
            }
        }
        while let Some(&itt) = self.parked.front() {
            let (load, share) = (self.unsent() + self.reading, self.share.read());
            let length = self.tasks.get(&itt).map_or(0, Live::reading);
            if load >= share || load + length > share && !self.share.take_large(length) {
                return;
            }
            self.parked.pop_front();
            if let Some(live) = self.tasks.get_mut(&itt)
                && let Some(command) = live.command.take()
            {
                self.reading += live.reading();
                live.stage = Stage::Starting;
                self.actions.push_back(Action::Start(command));
            }
            self.note_memory();
        }
    }

    fn unsent(&self) -> u64 {
        let unsent: usize = self.connections.iter().map(|connection| connection.out.len()).sum();
        unsent as u64
    }

    fn note_memory(&mut self) {
        self.share.note(self.unsent() + self.reading, self.writing);
    }

    /// What was taken for a command beyond the share goes back when the session is within it again.
    fn release_large(&mut self) {
        self.note_memory();
        if self.share.has_large() && self.unsent() + self.reading + self.writing <= self.share.read() {
            self.share.release_large();
        }
    }

    /// The LU accepted the command and wants this much data first.
    pub(super) fn command_ready(&mut self, itt: u32, want: u32) {
        let Some(live) = self.tasks.get_mut(&itt) else { return };
        let want = want.min(live.expected.length);
        if live.suppressed {
            // Aborted between the order to start it and now.
            self.actions.push_back(Action::Abandon { itt });
            return self.finished(itt, Outcome::status(ScsiStatus::TaskAborted));
        }
        if want > WRITE_MAX {
            self.actions.push_back(Action::Abandon { itt });
            return self.finished(itt, Outcome::check(Sense::INVALID_FIELD_IN_CDB));
        }
        live.stage = Stage::Collecting;
        live.want = want;
        live.requested = live.received;
        self.collect(itt);
    }

    /// A part of the command is done: more data is collected, or what was read is sent before more is read.
    pub(super) fn command_part(&mut self, itt: u32, data: Vec<u8>, want: u32) {
        let Some(live) = self.tasks.get_mut(&itt) else { return };
        if live.suppressed {
            self.actions.push_back(Action::Abandon { itt });
            return self.finished(itt, Outcome::status(ScsiStatus::TaskAborted));
        }
        let reserved = live.reserved.take().unwrap_or(0);
        self.writing = self.writing.saturating_sub(reserved);
        live.stalled = None;
        if live.expected.write {
            live.done = live.want;
            live.want = live.done.saturating_add(want).min(live.expected.length);
            live.stage = Stage::Collecting;
            self.release_large();
            return self.collect(itt);
        }
        live.stage = Stage::Resting;
        let place = live.place();
        live.done = live.done.saturating_add(u32::try_from(data.len()).unwrap_or(u32::MAX));
        let sent = self.data_in(itt, place, data, None);
        if let Some(live) = self.tasks.get_mut(&itt) {
            live.sent += sent;
        }
        self.resting.push_back(itt);
    }

    pub(super) fn data_out(&mut self, id: ConnectionId, pdu: Pdu) {
        let header = pdu.header;
        let (itt, ttt) = (header.itt(), header.ttt());
        if ttt != NO_TAG && (ttt == 0 || ttt >= self.next_ttt) {
            return self.fail(id, "Data-Out for a transfer tag that was never issued".into());
        }
        // The task may have ended or been aborted while its data was on the way (RFC 7143 4.2.2.1).
        let Some(live) = self.tasks.get_mut(&itt) else { return };
        if live.connection != id {
            return self.fail(id, "Data-Out for a command of another connection".into());
        }
        let solicited = ttt != NO_TAG;
        if live.suppressed || solicited && live.bursts.iter().all(|burst| burst.ttt != ttt) {
            return;
        }
        match live.expects(&header, self.parameters.first_burst) {
            Some(limit)
                if !live.broken
                    && !pdu.damaged
                    && (!solicited || header.is_final() == (pdu_end(&header) == Some(limit))) =>
            {
                live.append(pdu);
            }
            _ => {
                log::warn!("connection {id:#x}: Data-Out out of sequence, command {itt:#x} fails");
                live.broken = true;
                live.data = Vec::new();
            }
        }
        if solicited {
            if let Some(burst) = live.bursts.iter_mut().find(|burst| burst.ttt == ttt) {
                burst.next_sn = burst.next_sn.wrapping_add(1);
            }
            if header.is_final() {
                live.bursts.retain(|burst| burst.ttt != ttt);
            }
        } else if header.is_final() {
            live.unsolicited = None;
            live.requested = live.requested.max(live.received);
        } else if let Some(sn) = &mut live.unsolicited {
            *sn = sn.wrapping_add(1);
        }
        self.collect(itt);
    }

    /// Goes on with a command whose data is being collected: executes it, or solicits more.
    fn collect(&mut self, itt: u32) {
        let Some(live) = self.tasks.get_mut(&itt) else { return };
        if live.stage != Stage::Collecting || live.unsolicited.is_some() {
            return;
        }
        if live.broken {
            if live.bursts.is_empty() {
                self.actions.push_back(Action::Abandon { itt });
                self.finished(itt, Outcome::check(PROTOCOL_ERROR));
            }
        } else if live.received >= live.want && live.bursts.is_empty() {
            live.stage = Stage::Executing;
            let mut data = std::mem::take(&mut live.data);
            data.truncate((live.want - live.done) as usize);
            self.actions.push_back(Action::Execute { itt, data });
        } else if live.reserved.is_some() {
            self.solicit(itt);
        } else if !self.unadmitted.contains(&itt) {
            self.unadmitted.push_back(itt);
            self.admit();
        }
    }

    /// Admits waiting writes while there is memory; one that is larger than the share goes alone. An admitted write has
    /// all its memory promised, so admitted writes never wait for one another.
    pub(super) fn admit(&mut self) {
        while let Some(&itt) = self.unadmitted.front() {
            if let Some(live) = self.tasks.get_mut(&itt) {
                let need = u64::from(live.want - live.requested.min(live.want));
                let share = self.share.write();
                if self.writing > 0 && self.writing + need > share {
                    return;
                }
                if need > share && !self.share.take_large(need) {
                    return;
                }
                self.writing += need;
                live.reserved = Some(need);
                live.make_room();
                self.solicit(itt);
                self.note_memory();
            }
            self.unadmitted.pop_front();
        }
    }

    /// Sends R2Ts up to MaxOutstandingR2T.
    fn solicit(&mut self, itt: u32) {
        loop {
            let (ttt, max_r2t, max_burst) = (self.next_ttt, self.parameters.max_r2t, self.parameters.max_burst);
            let Some(live) = self.tasks.get_mut(&itt) else { return };
            if live.requested >= live.want || live.bursts.len() >= max_r2t as usize {
                return;
            }
            let to = live.connection;
            let length = max_burst.min(live.want - live.requested);
            let mut header = Header::new(opcode::R2T);
            header
                .set_lun(live.lun)
                .set_word::<16>(itt)
                .set_word::<20>(ttt)
                .set_word::<36>(live.r2ts);
            header.set_word::<40>(live.requested).set_word::<44>(length);
            live.requested += length;
            live.r2ts += 1;
            live.bursts.push_back(Burst {
                ttt,
                end: live.requested,
                next_sn: 0,
            });
            // Bit 31 is kept for pings.
            self.next_ttt = if ttt >= 0x7fff_ffff { 1 } else { ttt + 1 };
            let stamp = self.stamp();
            if let Some(connection) = self.at(to) {
                connection.push(stamp, header, Vec::new());
            }
        }
    }

    /// Ends the commands whose data has made no progress in time: the initiator does not send what it was asked for, or there
    /// was no memory to ask for it.
    pub(super) fn end_stalled(&mut self, now: Instant) {
        let patience = self.patience.task;
        let mut ended = Vec::new();
        for (&itt, live) in &mut self.tasks {
            match live.stalled {
                _ if live.stage != Stage::Collecting => {}
                Some((received, since)) if received == live.received => {
                    if now.saturating_duration_since(since) > patience {
                        let asked = live.unsolicited.is_some() || !live.bursts.is_empty();
                        ended.push((itt, asked));
                    }
                }
                _ => live.stalled = Some((live.received, now)),
            }
        }
        for (itt, asked) in ended {
            log::warn!(
                "command {itt:#x}: its data made no progress in {} s",
                patience.as_secs()
            );
            self.actions.push_back(Action::Abandon { itt });
            self.finished(
                itt,
                match asked {
                    true => Outcome::check(RESPONSE_TIMEOUT),
                    false => Outcome::status(ScsiStatus::Busy),
                },
            );
        }
    }

    /// Takes a command out of the tables; what waited for its resources goes on.
    pub(super) fn remove(&mut self, itt: u32) -> Option<Live> {
        let live = self.tasks.remove(&itt)?;
        if live.command.is_none() {
            self.reading = self.reading.saturating_sub(live.reading());
        }
        if let Some(reserved) = live.reserved {
            self.writing = self.writing.saturating_sub(reserved);
            self.release_large();
        }
        self.admit();
        Some(live)
    }

    /// Sends data and status of a command that ended.
    pub(super) fn command_finished(&mut self, itt: u32, outcome: Outcome) {
        let Some(live) = self.remove(itt) else { return };
        if live.suppressed {
            return;
        }
        let expected = live.expected;
        let mut outcome = outcome;
        let mut data = std::mem::take(&mut outcome.data);
        let left = expected.length.saturating_sub(live.done);
        data.truncate(if expected.write { 0 } else { left as usize });
        let moved = if expected.write {
            // Less than is wanted of a command that ends because its data did not come.
            live.want.min(live.received)
        } else {
            live.done + u32::try_from(data.len()).unwrap_or(u32::MAX)
        };
        let (flag, residual) = match outcome.residual(expected, moved) {
            Residual::None => (0, 0),
            Residual::Overflow(n) => (0x04, n),
            Residual::Underflow(n) => (0x02, n),
        };
        let collapse = outcome.status == ScsiStatus::Good && !data.is_empty();
        let sent = live.sent + self.data_in(itt, live.place(), data, collapse.then_some((flag, residual)));
        if !collapse {
            let mut header = Header::new(opcode::SCSI_RESPONSE);
            header.0[1] |= flag;
            header.set_byte::<3>(outcome.status as u8).set_word::<16>(itt);
            header.set_word::<36>(sent + live.r2ts).set_word::<44>(residual);
            self.push_status(live.connection, header, sense_segment(&outcome.sense));
        }
    }

    /// Sends Data-In PDUs; with the residual given, the last one carries status GOOD. Gives their number.
    fn data_in(&mut self, itt: u32, place: Place, data: Vec<u8>, status: Option<(u8, u32)>) -> u32 {
        let (stamp, burst) = (self.stamp(), self.parameters.max_burst as usize);
        let Some(connection) = self.at(place.connection) else {
            return 0;
        };
        let segment = connection.parameters.send_max as usize;
        let first = place.offset as usize;
        let total = first + data.len();
        // A sequence ends at MaxBurstLength, whatever the length of its PDUs.
        let end_of = |offset: usize| (offset + segment).min(total).min((offset / burst + 1) * burst);
        // One PDU, the common case, owns its data; several share them.
        let (mut own, shared) = match end_of(first) == total {
            true => (data, None),
            false => (Vec::new(), Some(Arc::new(data))),
        };
        let (mut offset, mut number) = (first, 0);
        while offset < total {
            let end = end_of(offset);
            let last = end == total;
            let mut header = Header::new(opcode::DATA_IN);
            header.0[1] = if last || end.is_multiple_of(burst) { 0x80 } else { 0 };
            header
                .set_lun(place.lun)
                .set_word::<16>(itt)
                .set_word::<20>(NO_TAG)
                .set_word::<36>(place.number + number);
            header.set_word::<40>(u32::try_from(offset).unwrap_or(u32::MAX));
            let part = match &shared {
                Some(data) => Data::Part(data.clone(), offset - first..end - first),
                None => Data::Own(std::mem::take(&mut own)),
            };
            let carries = status.filter(|_| last);
            if let Some((flag, residual)) = carries {
                header.0[1] |= 0x01 | flag;
                header.set_byte::<3>(ScsiStatus::Good as u8).set_word::<44>(residual);
            }
            connection.push_data(stamp, header, part, carries.is_some());
            offset = end;
            number += 1;
        }
        number
    }
}

/// Sense length and sense data (RFC 7143 11.4.7).
fn sense_segment(sense: &[u8]) -> Vec<u8> {
    if sense.is_empty() {
        return Vec::new();
    }
    let length = u16::try_from(sense.len()).unwrap_or(u16::MAX);
    let mut segment = length.to_be_bytes().to_vec();
    segment.extend_from_slice(&sense[..usize::from(length)]);
    segment
}
