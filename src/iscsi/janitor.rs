//! One thread for what may wait for the framework: registering and ending sessions, port state changes. Workers never do.

use super::directory::{LoginStatus, SessionKey};
use super::engine::thread;
use super::node::Node;
use super::session::{LOGOUT_TIME, REFUSE_TIME};
use super::sessions::{Admission, Applicant};
use super::target::TargetState;
use super::worker::{Established, Mail};
use crate::framework::NexusSpec;
use crate::types::{DevId, Status, TransportId};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often waiting things are looked at.
const TICK: Duration = Duration::from_millis(200);
/// After this the port reports offline, whatever still hangs (`iscsi-target.md` 1.1: at most 30 s in total).
const OFFLINE_TIME: Duration = Duration::from_secs(28);

/// Something to do.
pub enum Job {
    /// A login wants its session.
    Establish(Applicant),
    /// A session is over at its worker.
    End(SessionKey, u16),
    /// The framework wants a target online.
    Online(String),
    /// The framework wants a target offline.
    Offline(String),
    /// A session has ended: offline targets may be ready.
    Check,
    /// The provider is gone.
    Quit,
}

/// The thread's own state.
struct Janitor {
    node: Arc<Node>,
    /// Since when each target is going offline.
    offlining: HashMap<String, Instant>,
}

/// Runs until [`Job::Quit`].
pub fn run(node: Arc<Node>, jobs: &Receiver<Job>) {
    let mut janitor = Janitor {
        node,
        offlining: HashMap::new(),
    };
    loop {
        let waiting = !janitor.offlining.is_empty() || janitor.node.sessions.lock().waiting();
        let job = if waiting {
            jobs.recv_timeout(TICK)
        } else {
            jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match job {
            Ok(Job::Quit) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(job) => janitor.guarded(job),
            Err(RecvTimeoutError::Timeout) => {}
        }
        janitor.tick(Instant::now());
    }
}

impl Janitor {
    /// A panic, which is a bug, costs one job and not all logins to come.
    fn guarded(&mut self, job: Job) {
        if catch_unwind(AssertUnwindSafe(|| self.perform(job))).is_err() {
            log::error!("the iSCSI janitor has panicked and goes on");
        }
    }

    fn perform(&mut self, job: Job) {
        match job {
            Job::Establish(applicant) => self.establish(applicant),
            Job::End(key, tsih) => self.end(key, tsih),
            Job::Online(name) => self.online(&name),
            Job::Offline(name) => self.offline(name),
            Job::Check | Job::Quit => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        let overdue = self.node.sessions.lock().overdue(now);
        for applicant in overdue {
            log::warn!(
                "{}: the old session does not end; going on without",
                applicant.identity.key.initiator
            );
            self.establish(applicant);
        }
        let node = self.node.clone();
        self.offlining.retain(|name, since| {
            let age = now.saturating_duration_since(*since);
            // The sessions themselves refuse and then drop; this is for what is left.
            if age > LOGOUT_TIME + REFUSE_TIME {
                node.post_all(|| Mail::CloseTarget(name.clone()));
            }
            let waiting = node.sessions.lock().of_target(name) > 0 && age < OFFLINE_TIME;
            if !waiting {
                went_offline(&node, name);
            }
            waiting
        });
    }

    fn establish(&mut self, applicant: Applicant) {
        let node = &self.node;
        let refuse = |applicant: Applicant, status| {
            node.post(
                applicant.connection,
                Mail::Established(applicant.connection, Err(status)),
            );
        };
        if applicant.identity.discovery {
            let tsih = node.sessions.lock().allocate().ok_or(LoginStatus::OUT_OF_RESOURCES);
            let result = tsih.map(|tsih| Established {
                tsih,
                key: None,
                nexus: None,
            });
            return node.post(applicant.connection, Mail::Established(applicant.connection, result));
        }
        let admission = node.sessions.lock().admit(applicant, Instant::now());
        match admission {
            Admission::New(tsih, applicant) => match register(node, &applicant, tsih) {
                Ok(established) => {
                    node.post(
                        applicant.connection,
                        Mail::Established(applicant.connection, Ok(established)),
                    );
                }
                Err(status) => {
                    let successor = node.sessions.lock().ended(&applicant.identity.key, tsih);
                    refuse(applicant, status);
                    if let Some(successor) = successor {
                        self.establish(successor);
                    }
                }
            },
            Admission::Reinstate { old, displaced } => {
                node.post(old, Mail::CloseSession(old, "reinstated by a new login"));
                if let Some(displaced) = displaced {
                    refuse(displaced, LoginStatus::INITIATOR_ERROR);
                }
            }
            Admission::Join(home, applicant) => {
                node.post(applicant.connection, Mail::Join(applicant.connection, home));
            }
            Admission::Absent(applicant) => refuse(applicant, LoginStatus::NO_SUCH_SESSION),
            Admission::Full(applicant) => refuse(applicant, LoginStatus::OUT_OF_RESOURCES),
        }
    }

    /// Ends a session on a thread of its own, since that waits for its tasks.
    fn end(&mut self, key: SessionKey, tsih: u16) {
        let Some(nexus) = self.node.sessions.lock().ending(&key, tsih) else {
            return;
        };
        let node = self.node.clone();
        let ended = move || {
            node.framework.nexus_deregister(&nexus);
            log::info!("session {tsih} of {} with {} ended", key.initiator, key.target);
            let successor = node.sessions.lock().ended(&key, tsih);
            if let Some(successor) = successor {
                node.job(Job::Establish(successor));
            }
            node.job(Job::Check);
        };
        if let Err(error) = thread::spawn("iscsi-end", ended) {
            // The nexus stays registered; a login of the same initiator goes ahead after REINSTATE_TIME.
            log::error!("ending an iSCSI session: {error}");
        }
    }

    fn online(&mut self, name: &str) {
        if self.offlining.remove(name).is_some() {
            log::info!("target {name}: online again before it was offline");
        }
        if let (Some(target), Some(devid)) = (self.node.target(name), devid(name)) {
            target.set_state(TargetState::Online);
            self.node.portals_changed();
            self.node.framework.port_changed(&devid, true);
            log::info!("target {name} is online");
        }
    }

    fn offline(&mut self, name: String) {
        if let Some(target) = self.node.target(&name) {
            target.set_state(TargetState::Offlining);
        }
        self.node.post_all(|| Mail::LogoutTarget(name.clone()));
        self.offlining.insert(name, Instant::now());
    }
}

fn went_offline(node: &Node, name: &str) {
    if let Some(target) = node.target(name) {
        target.set_state(TargetState::Offline);
        node.portals_changed();
    }
    if let Some(devid) = devid(name) {
        node.framework.port_changed(&devid, false);
    }
    log::info!("target {name} is offline");
}

/// The port's identity (`iscsi-target.md` chapter 14).
pub fn devid(name: &str) -> Option<DevId> {
    DevId::new(name.as_bytes()).ok()
}

fn register(node: &Node, applicant: &Applicant, tsih: u16) -> Result<Established, LoginStatus> {
    let key = &applicant.identity.key;
    let port = devid(&key.target).ok_or(LoginStatus::NOT_FOUND)?;
    let initiator = devid(&key.initiator).ok_or(LoginStatus::INITIATOR_ERROR)?;
    let transport_id = TransportId::iscsi(&initiator, key.isid);
    let spec = NexusSpec {
        port,
        initiator,
        transport_id,
        alias: applicant.identity.alias.clone(),
        image_id: None,
    };
    match node.framework.nexus_register(spec) {
        Ok(nexus) => {
            node.sessions.lock().registered(key, tsih, nexus.clone());
            log::info!("session {tsih} of {} with {} begins", key.initiator, key.target);
            Ok(Established {
                tsih,
                key: Some(key.clone()),
                nexus: Some(nexus),
            })
        }
        Err(Status::Busy) => Err(LoginStatus::UNAVAILABLE),
        Err(Status::NotFound) => Err(LoginStatus::TARGET_REMOVED),
        Err(status) => {
            log::error!("session of {} with {}: {status}", key.initiator, key.target);
            Err(LoginStatus::TARGET_ERROR)
        }
    }
}
