//! What initiators may see (invariant I2): per block, the values that a read may return.

use crate::store::BLOCKS;
use std::collections::BTreeSet;

pub type Verdict = Result<(), String>;

struct Block {
    /// A read may return these.
    candidates: BTreeSet<u64>,
    /// A crash may fall back to these: everything since the last durable point.
    fallback: BTreeSet<u64>,
    /// How often it changed without a command of a host: a cache was lost, a write came late.
    surprises: u64,
    /// The newest value that was acknowledged.
    acknowledged: u64,
}

pub struct Checker {
    blocks: [Block; BLOCKS],
    /// The reservation state that was acknowledged last; `None` after a crash or a lost store.
    pub reservation: Option<u64>,
    pub reads: u64,
    pub writes: u64,
    pub reservations_kept: u64,
}

impl Checker {
    pub fn new() -> Checker {
        Checker {
            blocks: std::array::from_fn(|_| Block {
                candidates: BTreeSet::from([0]),
                fallback: BTreeSet::from([0]),
                surprises: 0,
                acknowledged: 0,
            }),
            reservation: Some(0),
            reads: 0,
            writes: 0,
            reservations_kept: 0,
        }
    }

    /// A write got GOOD; `durable`: it was a write through.
    pub fn acknowledged(&mut self, block: usize, value: u64, durable: bool) {
        let block = &mut self.blocks[block];
        block.candidates = BTreeSet::from([value]);
        block.acknowledged = block.acknowledged.max(value);
        if durable {
            block.fallback.clear();
        }
        block.fallback.insert(value);
        self.writes += 1;
    }

    /// A write was aborted or got no answer: it is done or not, and nothing of it happens later.
    pub fn uncertain(&mut self, block: usize, value: u64) {
        self.blocks[block].candidates.insert(value);
        self.blocks[block].fallback.insert(value);
    }

    /// A write lands whose host has heard that it failed. That was begun in time and only took long, so it may happen as
    /// long as the block was not written anew.
    pub fn late(&mut self, block: usize, value: u64) {
        if value > self.blocks[block].acknowledged {
            self.uncertain(block, value);
            self.blocks[block].surprises += 1;
        }
    }

    /// Writes of this block were in a volatile cache that is gone.
    pub fn cache_lost(&mut self, block: usize) {
        let block = &mut self.blocks[block];
        block.candidates.extend(&block.fallback);
        block.surprises += 1;
    }

    /// A planned release succeeded: everything acknowledged is durable now.
    pub fn handed_over(&mut self) {
        for block in &mut self.blocks {
            block.fallback = block.candidates.clone();
        }
    }

    /// To be given to [`Checker::read`] at the end of a command.
    pub fn surprises(&self, block: usize) -> u64 {
        self.blocks[block].surprises
    }

    /// `surprises`: as it was when the command began. What was read before one says nothing about the time after it.
    pub fn read(&mut self, block: usize, value: u64, surprises: u64) -> Verdict {
        self.reads += 1;
        let Block {
            candidates,
            surprises: now,
            ..
        } = &mut self.blocks[block];
        if !candidates.contains(&value) {
            return Err(format!("I2: block {block} reads {value}, possible are {candidates:?}"));
        }
        if surprises == *now {
            *candidates = BTreeSet::from([value]);
        }
        Ok(())
    }

    /// An import loaded handover data, or 0.
    pub fn loaded(&mut self, reservation: u64, planned: bool) -> Verdict {
        match self.reservation {
            Some(expected) if planned && expected != reservation => Err(format!(
                "reservation {expected} became {reservation} in a planned failover"
            )),
            _ if !planned && reservation != 0 => Err(format!("old reservation {reservation} came back")),
            _ => {
                self.reservations_kept += u64::from(planned && reservation != 0);
                self.reservation = Some(reservation);
                Ok(())
            }
        }
    }
}
