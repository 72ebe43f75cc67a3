//! A session on its worker: the state machine, its sockets, and its commands in the framework's hands.

use super::{Established, Mail};
use crate::framework::{Nexus, Origin, Outcome, PartEnd, ReadyTask, Started, Task, TaskHandle, TmRequest};
use crate::iscsi::authenticator;
use crate::iscsi::directory::SessionKey;
use crate::iscsi::engine::Interest;
use crate::iscsi::engine::mailbox::Mailbox;
use crate::iscsi::janitor::Job;
use crate::iscsi::node::Node;
use crate::iscsi::session::{Action, Command, ConnectionId, Fate, Session};
use crate::iscsi::sessions::Applicant;
use crate::iscsi::table::Table;
use crate::scsi::ScsiStatus;
use std::net::TcpStream;
use std::sync::Arc;

/// A command in the framework's hands.
enum Running {
    /// Its data is being collected.
    Ready(Box<ReadyTask>),
    /// It is being executed.
    Executing(TaskHandle),
}

/// The socket of a connection.
pub struct Link {
    pub id: ConnectionId,
    pub stream: TcpStream,
    pub interest: Interest,
    /// The socket took no more; until there is an event nothing is sent.
    pub full: bool,
    pub peer: String,
}

/// The session.
pub struct Hosted {
    /// The id of its leading connection, also when that is gone.
    pub id: ConnectionId,
    pub core: Session,
    pub links: Vec<Link>,
    /// How it is registered.
    pub entry: Option<(SessionKey, u16)>,
    nexus: Option<Arc<Nexus>>,
    running: Table<u32, Running>,
}

impl Hosted {
    pub fn new(core: Session, link: Link) -> Hosted {
        Hosted {
            id: link.id,
            core,
            links: vec![link],
            entry: None,
            nexus: None,
            running: Table::default(),
        }
    }

    /// It is registered.
    pub fn established(&mut self, session: Established) {
        self.core.established(Ok(session.tsih));
        self.entry = session.key.map(|key| (key, session.tsih));
        self.nexus = session.nexus;
    }

    /// A connection whose socket is to be closed, and why.
    pub fn ended(&self) -> Option<(ConnectionId, String)> {
        let reason = |link: &Link| match self.core.fate(link.id) {
            Some(Fate::Open) => None,
            Some(Fate::Drain) if self.core.output(link.id).is_some_and(|out| !out.is_empty()) => None,
            Some(Fate::Drain) => Some("logged out".to_owned()),
            Some(Fate::Closed(reason)) => Some(reason.clone()),
            None => Some("not part of its session".to_owned()),
        };
        self.links.iter().find_map(|link| Some((link.id, reason(link)?)))
    }

    /// A command ended.
    pub fn finished(&mut self, itt: u32, outcome: Outcome) {
        let aborted = matches!(self.running.remove(&itt), Some(Running::Executing(task)) if task.aborted());
        if aborted && outcome.status == ScsiStatus::TaskAborted {
            self.core.aborted(itt);
        } else {
            self.core.finished(itt, outcome);
        }
    }

    /// A part of a command ended well.
    pub fn part(&mut self, itt: u32, data: Vec<u8>, rest: Box<ReadyTask>) {
        let want = rest.want();
        self.running.insert(itt, Running::Ready(rest));
        self.core.part(itt, data, want);
    }

    /// A task that was aborted from elsewhere while its data was on the way is ended without waiting for the data, and not
    /// answered (SAM-4 5.3.1, TAS=0).
    pub fn reap_aborted(&mut self) {
        let aborted = |running: &Running| matches!(running, Running::Ready(task) if task.handle().aborted());
        let running = self.running.iter().filter(|(_, running)| aborted(running));
        let tags: Vec<u32> = running.map(|(&itt, _)| itt).collect();
        for itt in tags {
            self.running.remove(&itt);
            self.core.aborted(itt);
        }
    }

    /// Does what the session asks for.
    pub fn perform(&mut self, node: &Arc<Node>, mailbox: &Arc<Mailbox<Mail>>, action: Action) {
        let id = self.id;
        match action {
            Action::Establish(identity) => node.job(Job::Establish(Applicant {
                identity,
                connection: id,
            })),
            Action::Verify(question) => authenticator::ask(node, id, *question),
            Action::Start(command) => self.start(node, command),
            Action::Execute { itt, data } => {
                let Some(running) = self.running.get_mut(&itt) else {
                    return;
                };
                let Running::Ready(task) = running else { return };
                let executing = Running::Executing(task.handle());
                let Running::Ready(task) = std::mem::replace(running, executing) else {
                    return;
                };
                let mailbox = mailbox.clone();
                if task.in_parts() {
                    let done = move |end| {
                        mailbox.post(match end {
                            PartEnd::Ended(outcome) => Mail::Finished(id, itt, outcome),
                            PartEnd::More { data, rest } => Mail::Part(id, itt, data, rest),
                        });
                    };
                    return task.execute_part(data, Box::new(done));
                }
                task.execute(
                    data,
                    Box::new(move |outcome| mailbox.post(Mail::Finished(id, itt, outcome))),
                );
            }
            Action::Abandon { itt } => {
                self.running.remove(&itt);
            }
            Action::Abort { itt } => {
                if let Some(Running::Executing(handle)) = self.running.get(&itt) {
                    handle.abort();
                }
            }
            Action::Manage {
                itt,
                function,
                lun,
                referenced,
            } => {
                let Some(nexus) = self.nexus.clone() else { return };
                let request = TmRequest {
                    nexus,
                    lun,
                    function,
                    referenced_tag: u64::from(referenced),
                    origin: Origin::Local,
                };
                let mailbox = mailbox.clone();
                let done = Box::new(move |response| mailbox.post(Mail::Managed(id, itt, response)));
                node.framework.task_management(request, done);
            }
        }
    }

    fn start(&mut self, node: &Arc<Node>, command: Command) {
        let itt = command.itt;
        let Some(nexus) = self.nexus.clone() else { return };
        let task = Task {
            nexus,
            lun: command.lun,
            cdb: command.cdb,
            tag: u64::from(itt),
            attribute: command.attribute,
            expected: command.expected,
            origin: Origin::Local,
        };
        match node.framework.start(task) {
            Started::Done(outcome) => self.core.finished(itt, outcome),
            Started::Ready(ready) => {
                let want = ready.want();
                self.running.insert(itt, Running::Ready(ready));
                self.core.ready(itt, want);
            }
        }
    }
}
