//! Requests of one node to the other about the nodes themselves: status and configuration. What they say is the framework's
//! business; here they are bytes, cut into pieces that fit a message. Only between two of our nodes with capability 5.

use super::super::message::{Body, Capabilities, Piece};
use super::{Class, Context, Output, PeerStatus};
use crate::framework::Answered;
use std::collections::HashMap;
use std::time::Duration;

/// Requests of ours that wait for an answer.
const ASKED: usize = 64;
/// Requests of the peer that are being answered.
const SERVED: usize = 16;

struct Asked {
    done: Answered,
    until: Duration,
    reply: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Exchange {
    /// Requests that wait until it is known what the peer is.
    early: Vec<(Vec<u8>, Answered, Duration)>,
    asked: HashMap<u64, Asked>,
    /// The request of the peer that is arriving.
    arriving: Option<(u64, Vec<u8>)>,
    serving: usize,
}

impl Exchange {
    pub fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.early.is_empty()
    }

    /// Asks the peer.
    pub fn ask(&mut self, cx: &mut Context<'_>, request: Vec<u8>, done: Answered, peer: PeerStatus) {
        let unknown = peer.reachable && peer.original.is_none();
        if unknown && self.early.len() < ASKED {
            return self.early.push((request, done, cx.now + cx.config.exchange));
        }
        let able = cx.capabilities.has(Capabilities::EXCHANGE.with(Capabilities::COMPACT));
        if !peer.reachable || !able || self.asked.len() >= ASKED || request.len() > Piece::MAX_TOTAL {
            return cx.out.push(Output::Answered(done, None));
        }
        let id = cx.ids.next();
        let asked = Asked {
            done,
            until: cx.now + cx.config.exchange,
            reply: Vec::new(),
        };
        self.asked.insert(id, asked);
        send(cx, id, &request, Body::NodeRequest);
    }

    /// The peer has answered a probe.
    pub fn probed(&mut self, cx: &mut Context<'_>, peer: PeerStatus) {
        for (request, done, _) in std::mem::take(&mut self.early) {
            self.ask(cx, request, done, peer);
        }
    }

    /// A piece of a request of the peer.
    pub fn request(&mut self, cx: &mut Context<'_>, piece: Piece) {
        let id = piece.request;
        let mut whole = match self.arriving.take() {
            Some((arriving, whole)) if arriving == id => whole,
            _ => Vec::new(),
        };
        match collect(&mut whole, &piece) {
            Collected::Whole if self.serving >= SERVED => {
                log::warn!("pppt: the peer asks too much at once; a request is left without an answer");
            }
            Collected::Whole => {
                self.serving += 1;
                cx.out.push(Output::Serve(id, whole));
            }
            Collected::Part => self.arriving = Some((id, whole)),
            Collected::Nonsense => log::warn!("pppt: pieces of a request of the peer do not fit together"),
        }
    }

    /// The answer to a request of the peer. A peer that has gone meanwhile, or another one, does not know the number.
    pub fn served(&mut self, cx: &mut Context<'_>, id: u64, reply: &[u8], open: bool) {
        self.serving = self.serving.saturating_sub(1);
        if reply.len() > Piece::MAX_TOTAL {
            log::error!(
                "pppt: an answer to the peer of {} bytes is too long to be sent",
                reply.len()
            );
        } else if open {
            send(cx, id, reply, Body::NodeReply);
        }
    }

    /// A piece of an answer.
    pub fn reply(&mut self, cx: &mut Context<'_>, piece: &Piece) {
        let Some(asked) = self.asked.get_mut(&piece.request) else {
            return;
        };
        let collected = collect(&mut asked.reply, piece);
        if let Collected::Part = collected {
            return;
        }
        let Some(asked) = self.asked.remove(&piece.request) else {
            return;
        };
        let whole = matches!(collected, Collected::Whole).then_some(asked.reply);
        cx.out.push(Output::Answered(asked.done, whole));
    }

    /// A piece of a request could not be sent.
    pub fn send_failed(&mut self, cx: &mut Context<'_>, id: u64) {
        if let Some(asked) = self.asked.remove(&id) {
            cx.out.push(Output::Answered(asked.done, None));
        }
    }

    pub fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        for (_, done, _) in self.early.extract_if(.., |(_, _, until)| now >= *until) {
            cx.out.push(Output::Answered(done, None));
        }
        for (_, asked) in self.asked.extract_if(|_, asked| now >= asked.until) {
            cx.out.push(Output::Answered(asked.done, None));
        }
    }

    /// The peer is gone.
    pub fn fail_all(&mut self, cx: &mut Context<'_>) {
        self.arriving = None;
        for (_, done, _) in self.early.drain(..) {
            cx.out.push(Output::Answered(done, None));
        }
        for (_, asked) in self.asked.drain() {
            cx.out.push(Output::Answered(asked.done, None));
        }
    }
}

enum Collected {
    Whole,
    Part,
    Nonsense,
}

/// Pieces come in order, or not at all.
fn collect(whole: &mut Vec<u8>, piece: &Piece) -> Collected {
    if piece.offset as usize != whole.len() {
        return Collected::Nonsense;
    }
    whole.extend_from_slice(&piece.data);
    match whole.len().cmp(&(piece.total as usize)) {
        std::cmp::Ordering::Less => Collected::Part,
        std::cmp::Ordering::Equal => Collected::Whole,
        std::cmp::Ordering::Greater => Collected::Nonsense,
    }
}

fn send(cx: &mut Context<'_>, request: u64, bytes: &[u8], body: impl Fn(Piece) -> Body) {
    let length = |bytes: usize| u32::try_from(bytes).expect("bounded by MAX_TOTAL");
    let mut offset = 0;
    for data in bytes.chunks(cx.config.piece) {
        let piece = Piece {
            request,
            total: length(bytes.len()),
            offset: length(offset),
            data: data.to_vec(),
        };
        offset += data.len();
        let id = cx.ids.next();
        cx.send(Class::Bulk, id, body(piece));
    }
}
