//! The channel between the two daemons with a test's hand on it: what node 1 sends can be held, also beyond the end of its
//! sender. However a message came to the connection, and whoever reads it at the other end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::{Condvar, Mutex};
use std::thread;
use stmf::proxy::stream::{Decoder, MAX_MESSAGE, encode};

/// A message of so many bytes brings the data of a WRITE.
const LARGE: usize = 4096;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Everything passes.
    Off,
    /// Until the next large message.
    Armed,
    /// That one and all behind it wait.
    Held,
}

struct State {
    hold: Mutex<Hold>,
    changed: Condvar,
}

/// The channel; it ends with the test's process.
pub struct Wire {
    /// Where node 0's daemon is to call.
    pub address: String,
    state: Arc<State>,
}

impl Wire {
    /// To the address at which node 1's daemon listens.
    pub fn to(listening: &str) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let state = Arc::new(State {
            hold: Mutex::new(Hold::Off),
            changed: Condvar::new(),
        });
        let (listening, shared) = (listening.to_owned(), Arc::clone(&state));
        thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                // Nobody there: the caller is closed, and calls again.
                if let Ok(called) = TcpStream::connect(&listening) {
                    connect(caller, called, &shared);
                }
            }
        });
        Wire { address, state }
    }

    /// Holds what node 1 sends from the next large message on.
    pub fn hold_next_write(&self) {
        self.set(Hold::Armed);
    }

    /// That message is here.
    pub fn holds(&self) -> bool {
        *self.state.hold.lock().expect("no panic") == Hold::Held
    }

    /// What was held arrives.
    pub fn release(&self) {
        self.set(Hold::Off);
    }

    fn set(&self, hold: Hold) {
        *self.state.hold.lock().expect("no panic") = hold;
        self.state.changed.notify_all();
    }
}

fn connect(caller: TcpStream, called: TcpStream, state: &Arc<State>) {
    for stream in [&caller, &called] {
        stream.set_nodelay(true).expect("a TCP option");
    }
    let (mut from, mut to) = (clone(&caller), clone(&called));
    thread::spawn(move || {
        // However it ends, the other end hears of it.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let state = Arc::clone(state);
    thread::spawn(move || {
        carry(called, &caller, &state);
        let _ = caller.shutdown(Shutdown::Both);
    });
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a descriptor")
}

/// Frames, until either end is gone.
fn carry(mut from: TcpStream, mut to: &TcpStream, state: &State) {
    let (mut decoder, mut room) = (Decoder::new(MAX_MESSAGE), vec![0; 128 << 10]);
    loop {
        while let Some(message) = decoder.next_message().expect("frames") {
            state.pass(message.len());
            if to.write_all(&encode(message).expect("a frame")).is_err() {
                return;
            }
        }
        match from.read(&mut room) {
            Ok(count) if count > 0 => decoder.push(&room[..count]),
            _ => return state.pass(0),
        }
    }
}

impl State {
    fn pass(&self, length: usize) {
        let mut hold = self.hold.lock().expect("no panic");
        if *hold == Hold::Armed && length >= LARGE {
            *hold = Hold::Held;
        }
        while *hold == Hold::Held {
            hold = self.changed.wait(hold).expect("no panic");
        }
    }
}
