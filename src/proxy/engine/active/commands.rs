//! The peer's commands and task management functions (`alua-proxy.md` 5.7, 5.8, 5.11).

use super::*;

impl Active {
    /// SCSI_CMD. `own`: under which generation the LU is Active here.
    pub(in super::super) fn command(&mut self, cx: &mut Context<'_>, cmd: Box<ScsiCmd>, own: &Announcer) {
        let forget = cx.config.remember_sessions;
        while self
            .ended
            .front()
            .is_some_and(|(_, at)| cx.now.saturating_sub(*at) >= forget)
        {
            self.ended.pop_front();
        }
        if self.tasks.contains_key(&cmd.task) || self.management.contains_key(&cmd.task) {
            return cx.status(4, cmd.task, codes::ALREADY);
        }
        if self.tasks.len() + self.management.len() >= MAX_TASKS {
            return cx.status(4, cmd.task, codes::BUSY);
        }
        if self.ended.iter().any(|(id, _)| *id == cmd.session) {
            return cx.status(4, cmd.task, codes::NOT_FOUND);
        }
        match self.sessions.get_mut(&cmd.session).map(|session| &mut session.nexus) {
            None => {
                if let Err((task, code)) = self.open_session(cx, cmd) {
                    cx.status(4, task, code);
                }
            }
            Some(Nexus::Opening { waiting, .. }) if waiting.len() < WAITING_COMMANDS => waiting.push(*cmd),
            Some(Nexus::Opening { .. }) => cx.status(4, cmd.task, codes::BUSY),
            Some(Nexus::Closing) => cx.status(4, cmd.task, codes::BAD_STATE),
            Some(Nexus::Open) => self.admit(cx, *cmd, own),
        }
    }

    /// `proof`: when the peer certainly still had it, for a write.
    pub(super) fn start(&mut self, cx: &mut Context<'_>, cmd: ScsiCmd, proof: Option<Duration>) {
        if cmd.function != 0 {
            return self.manage(cx, cmd);
        }
        if cmd.cdb.is_empty() {
            return cx.status(4, cmd.task, codes::INVALID_ARG);
        }
        let expected = Expected {
            read: cmd.flags & ScsiCmd::READ != 0,
            write: cmd.flags & ScsiCmd::WRITE != 0,
            length: cmd.expected,
        };
        let task = Task {
            session: cmd.session,
            guid: cmd.guid,
            expected,
            sent: u32::try_from(cmd.data.len()).unwrap_or(u32::MAX),
            progress: Progress::Running,
        };
        self.tasks.insert(cmd.task, task);
        cx.out.push(Output::Start(Box::new(Command {
            id: cmd.task,
            session: cmd.session,
            lun: cmd.lun,
            attribute: cmd.flags & ScsiCmd::ATTRIBUTE,
            expected,
            lun_id: lun_id(cmd.guid),
            start_by: proof.map(|at| at + cx.config.write_life),
            cdb: cmd.cdb,
            data: cmd.data,
        })));
    }

    fn manage(&mut self, cx: &mut Context<'_>, cmd: ScsiCmd) {
        let function = match (cmd.function, cmd.referenced) {
            (1, Some(task)) => {
                self.aborted.push_back((task, cx.now));
                if self.aborted.len() > REMEMBERED_ABORTS {
                    self.aborted.pop_front();
                }
                if matches!(
                    self.tasks.get(&task).map(|task| &task.progress),
                    Some(Progress::Sending { .. } | Progress::Collecting(_))
                ) {
                    // Executed already, and only its data was still on the way; or not begun.
                    self.tasks.remove(&task);
                }
                Some(TmFunction::AbortTask)
            }
            // An original peer cannot say which task: all of its nexus.
            (1 | 2, _) => Some(TmFunction::AbortTaskSet),
            (4, _) => Some(TmFunction::ClearTaskSet),
            (5, _) => Some(TmFunction::LunReset),
            (6, _) => Some(TmFunction::TargetWarmReset),
            (7 | 9, _) => Some(TmFunction::TargetColdReset),
            _ => None,
        };
        let Some(function) = function else {
            // 05/0E/03: invalid field in command information unit (7.8).
            return self.answer(cx, &cmd, Outcome::check(Sense::new(0x5, 0x0e, 0x03)));
        };
        self.management.insert(cmd.task, (cmd.session, cmd.guid));
        cx.out.push(Output::Manage(Management {
            id: cmd.task,
            session: cmd.session,
            lun: cmd.lun,
            function,
            referenced_tag: cmd.referenced.unwrap_or(0),
            lun_id: lun_id(cmd.guid),
        }));
    }

    pub(in super::super) fn managed(&mut self, cx: &mut Context<'_>, id: u64, response: TmResponse) {
        let Some((session, guid)) = self.management.remove(&id) else {
            return;
        };
        let outcome = match response {
            // A task that is not there is gone as well.
            TmResponse::Complete | TmResponse::NoSuchTask => Outcome::good(),
            TmResponse::NotSupported => Outcome::check(Sense::new(0x5, 0x0e, 0x03)),
            TmResponse::NoSuchLun => Outcome::check(Sense::new(0x5, 0x25, 0x00)),
            TmResponse::Rejected => Outcome::status(ScsiStatus::TaskAborted),
        };
        send_status(cx, id, session, guid, Expected::default(), 0, outcome);
    }

    /// A command of ours ended.
    pub(in super::super) fn finished(&mut self, cx: &mut Context<'_>, id: u64, mut outcome: Outcome) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let room = if task.expected.read {
            task.expected.length as usize
        } else {
            0
        };
        outcome.data.truncate(room);
        let deadline = cx.now + cx.config.command;
        task.progress = Progress::Sending {
            outcome,
            given: 0,
            unconfirmed: 0,
            deadline,
        };
        self.advance(cx, id);
    }

    /// SCSI_DATA_XFER_DONE.
    pub(in super::super) fn transfer_done(&mut self, cx: &mut Context<'_>, id: u64, status: u64) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if status != codes::SUCCESS && !matches!(task.progress, Progress::Running) {
            // The peer no longer has the task.
            self.tasks.remove(&id);
            return;
        }
        let Progress::Sending {
            unconfirmed, deadline, ..
        } = &mut task.progress
        else {
            return;
        };
        *unconfirmed = unconfirmed.saturating_sub(1);
        *deadline = cx.now + cx.config.command;
        self.advance(cx, id);
    }

    /// A SCSI_DATA or R2T of this command did not get through the door: no status may follow that would make the rest look
    /// complete.
    pub(in super::super) fn data_lost(&mut self, cx: &mut Context<'_>, id: u64) {
        if let Some(task) = self.tasks.remove(&id) {
            end_incomplete(cx, id, task.session, task.guid, task.expected);
        }
    }

    /// As [`Active::data_lost`], also when the command ended with this.
    pub(in super::super) fn piece_lost(&mut self, cx: &mut Context<'_>, data: &ScsiData) {
        match data.last {
            true => end_incomplete(cx, data.task, data.session, data.guid, Expected::default()),
            false => self.data_lost(cx, data.task),
        }
    }

    /// Sends the next pieces, or the status when all are confirmed.
    fn advance(&mut self, cx: &mut Context<'_>, id: u64) {
        let window = if cx.ours { cx.config.window } else { 1 };
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Progress::Sending {
            outcome,
            given,
            unconfirmed,
            ..
        } = &mut task.progress
        else {
            return;
        };
        let total = outcome.data.len();
        let ends_well = cx.capabilities.has(Capabilities::LAST)
            && outcome.status == ScsiStatus::Good
            && outcome.sense.is_empty()
            && outcome.residual(task.expected, length32(total)) == Residual::None;
        while *given < total && *unconfirmed < window {
            // The size of the data, not of a buffer (hazard H20).
            let end = total.min(*given + cx.config.piece);
            let last = ends_well && end == total;
            let data = ScsiData {
                task: id,
                session: task.session,
                guid: task.guid,
                data: if *given == 0 && end == total {
                    std::mem::take(&mut outcome.data)
                } else {
                    outcome.data[*given..end].to_vec()
                },
                offset: u32::try_from(*given).ok().filter(|_| cx.ours),
                last,
            };
            *given = end;
            *unconfirmed += 1;
            cx.send(Class::Bulk, 0, Body::ScsiData(data));
            if last {
                self.tasks.remove(&id);
                return;
            }
        }
        // One of ours sees from the residual whether it has all data, so the status need not wait for the last pieces: behind
        // them, in their class.
        if *given < total || (*unconfirmed > 0 && !cx.ours) {
            return;
        }
        let class = if *unconfirmed > 0 { Class::Bulk } else { Class::Answer };
        let Some(task) = self.tasks.remove(&id) else { return };
        let Progress::Sending { outcome, given, .. } = task.progress else {
            return;
        };
        let moved = if task.expected.read { length32(given) } else { task.sent };
        send_status_in(class, cx, id, task.session, task.guid, task.expected, moved, outcome);
    }

    pub(super) fn answer(&self, cx: &mut Context<'_>, cmd: &ScsiCmd, outcome: Outcome) {
        let expected = Expected {
            read: cmd.flags & ScsiCmd::READ != 0,
            write: false,
            length: cmd.expected,
        };
        send_status(cx, cmd.task, cmd.session, cmd.guid, expected, 0, outcome);
    }
}

fn lun_id(guid: Guid) -> Option<Guid> {
    (guid.0 != [0; 16]).then_some(guid)
}

fn length32(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// BUSY, for a command whose data the peer does not have.
fn end_incomplete(cx: &mut Context<'_>, task: u64, session: u64, guid: Guid, expected: Expected) {
    let busy = Outcome::status(ScsiStatus::Busy);
    send_status(cx, task, session, guid, expected, 0, busy);
}

fn send_status(
    cx: &mut Context<'_>,
    task: u64,
    session: u64,
    guid: Guid,
    expected: Expected,
    moved: u32,
    outcome: Outcome,
) {
    send_status_in(Class::Answer, cx, task, session, guid, expected, moved, outcome);
}

#[allow(clippy::too_many_arguments, reason = "a message's fields")]
fn send_status_in(
    class: Class,
    cx: &mut Context<'_>,
    task: u64,
    session: u64,
    guid: Guid,
    expected: Expected,
    moved: u32,
    outcome: Outcome,
) {
    let (flags, residual) = match outcome.residual(expected, moved) {
        Residual::None => (0, 0),
        Residual::Overflow(n) => (StatusMessage::OVERRUN, n),
        Residual::Underflow(n) => (StatusMessage::UNDERRUN, n),
    };
    let mut sense = outcome.sense;
    sense.truncate(StatusMessage::MAX_SENSE);
    let status = StatusMessage {
        task,
        session,
        guid,
        response: 0,
        status: outcome.status as u8,
        flags,
        residual,
        sense,
    };
    cx.send(class, 0, Body::ScsiStatus(status));
}
