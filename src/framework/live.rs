//! The live tasks of an LU: what must be gone before its store may be closed (action KillTasks, `alua-proxy.md` 6.3).

use std::sync::Arc;

/// Membership of one task in its LU's set of live tasks; ends when dropped.
pub struct LiveTask {
    handle: TaskHandle,
}

impl LiveTask {
    pub(super) fn handle(&self) -> TaskHandle {
        self.handle.clone()
    }
}

/// Names a live task, for aborting it.
#[derive(Clone)]
pub struct TaskHandle {
    _inner: Arc<()>,
}

impl TaskHandle {
    /// ABORT TASK: the outcome is no longer wanted. `done` of the task is still called, with TASK ABORTED.
    pub fn abort(&self) {
        todo!()
    }

    /// True once [`TaskHandle::abort`] was called, or the task was aborted by a task management function or a state change.
    pub fn aborted(&self) -> bool {
        todo!()
    }
}
