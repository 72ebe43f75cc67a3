//! Task management (RFC 7143 11.5, 11.6; `iscsi-target.md` chapter 10).

use super::command::Stage;
use super::{Action, ConnectionId, MANAGING_MAX, Session};
use crate::framework::{TmFunction, TmResponse};
use crate::iscsi::pdu::{Header, NO_TAG, RejectReason, TaskManagement, before, opcode};
use std::time::Instant;

/// Function complete.
const COMPLETE: u8 = 0;
/// Task does not exist.
const NO_TASK: u8 = 1;
/// LUN does not exist.
const NO_LUN: u8 = 2;
/// Task allegiance reassignment not supported.
const NO_REASSIGN: u8 = 4;
/// Function not supported.
const NOT_SUPPORTED: u8 = 5;
/// Function rejected.
const REJECTED: u8 = 255;

/// A request that the framework works on.
#[derive(Debug)]
pub(super) struct Managing {
    /// Where it is answered.
    on: ConnectionId,
    /// Tasks whose answers are withheld because of it.
    suppressed: Vec<u32>,
}

impl Session {
    pub(super) fn task_management(&mut self, id: ConnectionId, header: &Header, now: Instant) {
        let request = TaskManagement(header);
        if header.itt() == NO_TAG || self.managing.contains_key(&header.itt()) {
            return self.reject(id, header, RejectReason::InvalidField);
        }
        if self.managing.len() >= MANAGING_MAX {
            return self.reject(id, header, RejectReason::TooManyImmediate);
        }
        match request.function() {
            1 => self.abort_task(id, header, now),
            2 => self.abort_set(id, header, TmFunction::AbortTaskSet, true, now),
            4 => self.abort_set(id, header, TmFunction::ClearTaskSet, true, now),
            5 => self.abort_set(id, header, TmFunction::LunReset, true, now),
            6 => self.abort_set(id, header, TmFunction::TargetWarmReset, false, now),
            7 => self.abort_set(id, header, TmFunction::TargetColdReset, false, now),
            8 => self.answer_management(id, header.itt(), NO_REASSIGN),
            _ => self.answer_management(id, header.itt(), NOT_SUPPORTED),
        }
    }

    pub(super) fn management_finished(&mut self, itt: u32, response: TmResponse) {
        let Some(managing) = self.managing.remove(&itt) else {
            return;
        };
        let code = match response {
            TmResponse::Complete => COMPLETE,
            // Its outcome crossed the request and was withheld: for the initiator it was aborted.
            TmResponse::NoSuchTask if !managing.suppressed.is_empty() => COMPLETE,
            TmResponse::NoSuchTask => NO_TASK,
            TmResponse::NoSuchLun => NO_LUN,
            TmResponse::NotSupported => NOT_SUPPORTED,
            TmResponse::Rejected => REJECTED,
        };
        if code != COMPLETE {
            for task in managing.suppressed {
                if let Some(live) = self.tasks.get_mut(&task) {
                    live.suppressed = live.aborting;
                }
            }
        }
        self.answer_management(managing.on, itt, code);
    }

    /// ABORT TASK.
    fn abort_task(&mut self, id: ConnectionId, header: &Header, now: Instant) {
        let request = TaskManagement(header);
        let referenced = request.referenced_tag();
        let Some(live) = self.tasks.get(&referenced) else {
            // Not arrived yet: its number is taken, so that a late arrival is ignored (RFC 7143 11.6.1).
            let number = request.ref_cmd_sn();
            let code = if before(number, header.cmd_sn()) && self.window.skip(number).0 {
                COMPLETE
            } else {
                NO_TASK
            };
            self.answer_management(id, header.itt(), code);
            return self.deliver_kept(now);
        };
        if live.stage.in_framework() {
            self.manage(id, header, TmFunction::AbortTask, vec![referenced]);
        } else {
            self.drop_unexecuted(referenced);
            self.answer_management(id, header.itt(), COMPLETE);
            self.deliver_kept(now);
        }
    }

    /// The functions that end many tasks: those of this session that are not executing are dropped here.
    fn abort_set(&mut self, id: ConnectionId, header: &Header, function: TmFunction, one_lun: bool, now: Instant) {
        let affected = |live: &super::Live| {
            (!one_lun || live.lun == header.lun()) && (live.immediate || before(live.cmd_sn, header.cmd_sn()))
        };
        let tags: Vec<u32> = self
            .tasks
            .iter()
            .filter(|(_, live)| affected(live))
            .map(|(&itt, _)| itt)
            .collect();
        let mut executing = Vec::new();
        for itt in tags {
            if self.tasks.get(&itt).is_some_and(|live| live.stage.in_framework()) {
                executing.push(itt);
            } else {
                self.drop_unexecuted(itt);
            }
        }
        self.manage(id, header, function, executing);
        self.deliver_kept(now);
    }

    fn manage(&mut self, id: ConnectionId, header: &Header, function: TmFunction, executing: Vec<u32>) {
        for itt in &executing {
            if let Some(live) = self.tasks.get_mut(itt) {
                live.suppressed = true;
            }
        }
        self.managing.insert(
            header.itt(),
            Managing {
                on: id,
                suppressed: executing,
            },
        );
        self.actions.push_back(Action::Manage {
            itt: header.itt(),
            function,
            lun: header.lun(),
            referenced: TaskManagement(header).referenced_tag(),
        });
    }

    /// Drops a command that waits, or collects data.
    pub(super) fn drop_unexecuted(&mut self, itt: u32) {
        if let Some(live) = self.remove(itt) {
            if live.stage.ready() {
                self.actions.push_back(Action::Abandon { itt });
            }
            if live.stage == Stage::Waiting && !live.immediate {
                self.window.skip(live.cmd_sn);
            }
        }
    }

    fn answer_management(&mut self, id: ConnectionId, itt: u32, code: u8) {
        let mut header = Header::new(opcode::TASK_MANAGEMENT_RESPONSE);
        header.set_byte::<2>(code).set_word::<16>(itt);
        self.push_status(id, header, Vec::new());
    }
}
