//! A stream that is read by the thread that forwards, as an iSCSI worker does.

use super::super::sealed::Keys;
use super::lane;
use super::nodes::*;
use crate::framework::watch::{self, Source, Watcher};
use crate::framework::*;
use crate::scsi::ScsiStatus;
use parking_lot::Mutex;
use std::sync::{Arc, mpsc};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// The calling thread, as long as a test lasts.
struct Here(Mutex<mpsc::Sender<Arc<dyn Source>>>);

impl Watcher for Here {
    fn watch(&self, source: Arc<dyn Source>) {
        // An error: the test is over.
        let _ = self.0.lock().send(source);
    }
}

fn become_watcher() -> mpsc::Receiver<Arc<dyn Source>> {
    let (sender, sources) = mpsc::channel();
    watch::adopt(Arc::new(Here(Mutex::new(sender))));
    sources
}

/// Plain and then sealed.
fn connected(body: impl Fn(&Pair, &dyn Fn())) {
    lane::connected([None, None], &body);
    lane::connected(Keys::made_up(1).map(Some), &body);
}

/// The source that a READ makes the reader offer: as soon as the reader has nothing else to do.
fn offered(pair: &Pair, sources: &mpsc::Receiver<Arc<dyn Source>>) -> Arc<dyn Source> {
    loop {
        assert_eq!(pair.b.read(0, BLOCK).status, ScsiStatus::Good);
        if let Ok(source) = sources.recv_timeout(Duration::from_millis(50)) {
            return source;
        }
    }
}

/// Starts a READ; the thread that ends it, and its outcome.
fn start(node: &Node) -> mpsc::Receiver<(ThreadId, Outcome)> {
    let (sender, outcome) = mpsc::channel();
    let task = Task {
        nexus: node.nexus(),
        lun: [0; 8],
        cdb: Cdb::new(&cdb(0x28, 0, 64 << 10)).unwrap(),
        tag: 1 << 40,
        attribute: TaskAttribute::Simple,
        expected: read(64 << 10),
        origin: Origin::Local,
    };
    let Started::Ready(ready) = node.framework.start(task) else {
        panic!("it goes to the peer");
    };
    let done = move |outcome| drop(sender.send((std::thread::current().id(), outcome)));
    ready.execute(Vec::new(), Box::new(done));
    watch::perform_left();
    outcome
}

#[test]
fn who_forwards_one_command_after_the_other_takes_in_the_answers() {
    connected(|pair, _| {
        let sources = become_watcher();
        let until = Instant::now() + PATIENCE;
        let mut taken_in = 0;
        while taken_in < 10 {
            assert!(Instant::now() < until, "the stream is not read here");
            let source = offered(pair, &sources);
            // On a busy machine the reader may think that nobody comes, and read itself.
            let mut watched = true;
            while watched && taken_in < 10 {
                let outcome = start(&pair.b);
                let (thread, outcome) = loop {
                    watched = watched && source.serve();
                    if let Ok(end) = outcome.recv_timeout(Duration::from_millis(1)) {
                        break end;
                    }
                };
                assert!(outcome.data == content()[..64 << 10]);
                taken_in += usize::from(thread == std::thread::current().id());
            }
        }
    });
}

#[test]
fn a_watcher_that_does_not_come_holds_nothing_up() {
    connected(|pair, _| {
        let sources = become_watcher();
        for _ in 0..3 {
            offered(pair, &sources);
            assert_eq!(pair.b.read(0, BLOCK).status, ScsiStatus::Good);
        }
    });
}

#[test]
fn a_watcher_sees_the_end() {
    connected(|pair, cut| {
        let sources = become_watcher();
        let source = offered(pair, &sources);
        cut();
        wait("the end", || !source.serve());
    });
}
