//! Task management and logout (RFC 7143 11.5, 11.6, 11.14; `iscsi-target.md` chapters 9 and 10).

use super::command::Stage;
use super::{Action, Connection, Fate, MANAGING_MAX, Phase};
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
    /// Tasks whose answers are withheld because of it.
    suppressed: Vec<u32>,
}

impl Connection {
    pub(super) fn task_management(&mut self, header: &Header, now: Instant) {
        let request = TaskManagement(header);
        if header.itt() == NO_TAG || self.managing.contains_key(&header.itt()) {
            return self.reject(header, RejectReason::InvalidField);
        }
        if self.managing.len() >= MANAGING_MAX {
            return self.reject(header, RejectReason::TooManyImmediate);
        }
        match request.function() {
            1 => self.abort_task(header, now),
            2 => self.abort_set(header, TmFunction::AbortTaskSet, true, now),
            4 => self.abort_set(header, TmFunction::ClearTaskSet, true, now),
            5 => self.abort_set(header, TmFunction::LunReset, true, now),
            6 => self.abort_set(header, TmFunction::TargetWarmReset, false, now),
            7 => self.abort_set(header, TmFunction::TargetColdReset, false, now),
            8 => self.answer_management(header.itt(), NO_REASSIGN),
            _ => self.answer_management(header.itt(), NOT_SUPPORTED),
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
                    live.suppressed = false;
                }
            }
        }
        self.answer_management(itt, code);
    }

    /// ABORT TASK.
    fn abort_task(&mut self, header: &Header, now: Instant) {
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
            self.answer_management(header.itt(), code);
            return self.deliver_kept(now);
        };
        if live.stage.in_framework() {
            self.manage(header, TmFunction::AbortTask, vec![referenced]);
        } else {
            self.drop_unexecuted(referenced);
            self.answer_management(header.itt(), COMPLETE);
            self.deliver_kept(now);
        }
    }

    /// The functions that end many tasks: those of this session that are not executing are dropped here.
    fn abort_set(&mut self, header: &Header, function: TmFunction, one_lun: bool, now: Instant) {
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
        self.manage(header, function, executing);
        self.deliver_kept(now);
    }

    fn manage(&mut self, header: &Header, function: TmFunction, executing: Vec<u32>) {
        for itt in &executing {
            if let Some(live) = self.tasks.get_mut(itt) {
                live.suppressed = true;
            }
        }
        self.managing.insert(header.itt(), Managing { suppressed: executing });
        self.actions.push_back(Action::Manage {
            itt: header.itt(),
            function,
            lun: header.lun(),
            referenced: TaskManagement(header).referenced_tag(),
        });
    }

    /// Drops a command that waits, or collects data.
    fn drop_unexecuted(&mut self, itt: u32) {
        if let Some(live) = self.remove(itt) {
            if live.stage == Stage::Collecting {
                self.actions.push_back(Action::Abandon { itt });
            }
            if live.stage == Stage::Waiting && !live.immediate {
                self.window.skip(live.cmd_sn);
            }
        }
    }

    fn answer_management(&mut self, itt: u32, code: u8) {
        let mut header = Header::new(opcode::TASK_MANAGEMENT_RESPONSE);
        header.set_byte::<2>(code).set_word::<16>(itt);
        self.push_status(header, Vec::new());
    }

    pub(super) fn logout(&mut self, header: &Header, now: Instant) {
        let cid = self.identity.as_ref().map(|identity| identity.cid);
        match header.flags() & 0x7f {
            1 if Some(header.half::<20>()) != cid => self.answer_logout(header, 1),
            0 | 1 => {
                self.phase = Phase::LoggingOut(*header, now);
                let tags: Vec<(u32, Stage)> = self.tasks.iter().map(|(&itt, live)| (itt, live.stage)).collect();
                for (itt, stage) in tags {
                    if stage.in_framework() {
                        self.actions.push_back(Action::Abort { itt });
                        if let Some(live) = self.tasks.get_mut(&itt) {
                            live.suppressed = true;
                        }
                    } else {
                        self.drop_unexecuted(itt);
                    }
                }
                if self.tasks.is_empty() {
                    self.answer_logout(header, 0);
                    self.fate = Fate::Drain;
                }
            }
            // Recovery is not supported.
            2 => self.answer_logout(header, 2),
            _ => self.reject(header, RejectReason::InvalidField),
        }
    }

    pub(super) fn answer_logout(&mut self, request: &Header, code: u8) {
        let half = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        let mut header = Header::new(opcode::LOGOUT_RESPONSE);
        header.set_byte::<2>(code).set_word::<16>(request.itt());
        header
            .set_half::<40>(half(self.parameters.time2wait))
            .set_half::<42>(half(self.parameters.time2retain));
        self.push_status(header, Vec::new());
    }
}
