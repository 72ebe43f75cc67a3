//! A small pool of threads for I/O that would block. Threads start on first use, up to a limit, with all signals blocked.
#![forbid(unsafe_code)]

use nix::sys::signal::{SigSet, SigmaskHow};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

type Job = Box<dyn FnOnce() + Send>;

/// Starts a thread that receives no signal: those are the program's (ruling 17).
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let old = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    old.thread_set_mask()?;
    thread
}

/// The pool. Dropping it lets the queued jobs run and ends the threads.
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    wake: Condvar,
    limit: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    stopping: bool,
}

impl Pool {
    /// A pool of at most `limit` threads, at least one; none is started yet.
    pub fn new(limit: usize) -> Pool {
        Pool {
            inner: Arc::new(Inner {
                state: Mutex::default(),
                wake: Condvar::new(),
                limit: limit.max(1),
            }),
        }
    }

    /// Runs `job` on a thread of the pool, or here when not a single thread can be started.
    pub fn submit(&self, job: Job) {
        let mut state = self.inner.state.lock();
        state.queue.push_back(job);
        if state.idle >= state.queue.len() || state.threads >= self.inner.limit {
            drop(state);
            self.inner.wake.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let inner = Arc::clone(&self.inner);
        if let Err(error) = spawn("stmf-disk-io", move || inner.work()) {
            log::warn!("disk I/O pool: cannot start a thread: {error}");
            let mut state = self.inner.state.lock();
            state.threads -= 1;
            if state.threads == 0 {
                let jobs = std::mem::take(&mut state.queue);
                drop(state);
                jobs.into_iter().for_each(|job| job());
            }
        }
    }
}

impl Inner {
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                job();
                state = self.state.lock();
            } else if state.stopping {
                return;
            } else {
                state.idle += 1;
                self.wake.wait(&mut state);
                state.idle -= 1;
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.inner.state.lock().stopping = true;
        self.inner.wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn every_job_runs_and_the_limit_holds() {
        let pool = Pool::new(3);
        let (sender, receiver) = mpsc::channel();
        for n in 0..100 {
            let sender = sender.clone();
            pool.submit(Box::new(move || sender.send(n).unwrap()));
            assert!(pool.inner.state.lock().threads <= 3);
        }
        drop(sender);
        drop(pool);
        let mut all: Vec<i32> = receiver.iter().collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn threads_block_all_signals() {
        let (sender, receiver) = mpsc::channel();
        let thread = spawn("test", move || sender.send(SigSet::thread_get_mask().unwrap()).unwrap()).unwrap();
        assert!(receiver.recv().unwrap().contains(nix::sys::signal::Signal::SIGTERM));
        thread.join().unwrap();
    }
}
