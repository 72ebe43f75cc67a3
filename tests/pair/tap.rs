//! Somebody between the two daemons who changes what they say.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// The channel; it ends with the test's process.
pub struct Tap {
    /// Where node 0's daemon is to call.
    pub address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// The next bytes of this node are damaged.
    armed: [AtomicBool; 2],
    calls: AtomicUsize,
}

impl Tap {
    /// To the address at which node 1's daemon listens.
    pub fn to(listening: &str) -> Tap {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let state = Arc::new(State::default());
        let (listening, shared) = (listening.to_owned(), Arc::clone(&state));
        thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                // Nobody there: the caller is closed, and calls again.
                let Ok(called) = TcpStream::connect(&listening) else {
                    continue;
                };
                shared.calls.fetch_add(1, Ordering::Relaxed);
                let clone = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
                for (node, from, to) in [(0, clone(&caller), clone(&called)), (1, called, caller)] {
                    let state = Arc::clone(&shared);
                    thread::spawn(move || carry(node, from, to, &state));
                }
            }
        });
        Tap { address, state }
    }

    /// Changes a bit of what this node says next.
    pub fn damage(&self, node: usize) {
        self.state.armed[node].store(true, Ordering::Relaxed);
    }

    /// That has happened.
    pub fn damaged(&self, node: usize) -> bool {
        !self.state.armed[node].load(Ordering::Relaxed)
    }

    /// Connections so far.
    pub fn calls(&self) -> usize {
        self.state.calls.load(Ordering::Relaxed)
    }
}

fn carry(node: usize, mut from: TcpStream, mut to: TcpStream, state: &State) {
    to.set_nodelay(true).expect("a TCP option");
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if state.armed[node].swap(false, Ordering::Relaxed) {
            buffer[count - 1] ^= 1;
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // However it ended, both ends hear of it.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
