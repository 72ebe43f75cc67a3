//! A target: its name, its state, and what the framework tells its port.

use super::janitor::Job;
use crate::framework::PortControl;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::Sender;

/// State of a target (`iscsi-target.md` 1.1). "Onlining" and "online, not acknowledged" are one: a login then fails when
/// its nexus is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TargetState {
    /// Serves nobody.
    Offline = 0,
    /// Sessions are being closed.
    Offlining = 1,
    /// Takes logins.
    Online = 2,
}

/// A target of this node; its properties are in the configuration.
#[derive(Debug)]
pub struct Target {
    /// Canonical name.
    pub name: String,
    state: AtomicU8,
}

impl Target {
    /// An offline target.
    pub fn new(name: String) -> Target {
        Target {
            name,
            state: AtomicU8::new(TargetState::Offline as u8),
        }
    }

    /// Present state.
    pub fn state(&self) -> TargetState {
        match self.state.load(Ordering::Acquire) {
            0 => TargetState::Offline,
            1 => TargetState::Offlining,
            _ => TargetState::Online,
        }
    }

    /// Changes the state.
    pub fn set_state(&self, state: TargetState) {
        self.state.store(state as u8, Ordering::Release);
    }
}

/// The framework's handle on a target's port. Its calls come with framework locks held, so they only leave a job.
pub struct Control {
    /// The target.
    pub name: String,
    /// The janitor's queue.
    pub jobs: Sender<Job>,
}

impl Control {
    fn send(&self, job: Job) {
        if self.jobs.send(job).is_err() {
            log::error!("target {}: the provider has ended", self.name);
        }
    }
}

impl PortControl for Control {
    fn go_online(&self) {
        self.send(Job::Online(self.name.clone()));
    }

    fn go_offline(&self) {
        self.send(Job::Offline(self.name.clone()));
    }
}
