/// What `icx_seq` of a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The next one.
    Next,
    /// Some before it are missing: lost, or still on their way through a daemon of many threads.
    Gap,
    /// Seen already, or so old that nobody can tell.
    Repeated,
}

/// Sliding window over the sequence numbers of one direction and one life (`alua-proxy.md` 3.9, 8.4).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sequence {
    highest: u64,
    /// Bit n: `highest - n` was seen.
    seen: u128,
}

impl Sequence {
    pub fn accept(&mut self, seq: u64) -> Verdict {
        if seq > self.highest {
            let step = seq - self.highest;
            self.seen = u32::try_from(step)
                .ok()
                .and_then(|n| self.seen.checked_shl(n))
                .unwrap_or(0)
                | 1;
            let first = self.highest == 0;
            self.highest = seq;
            // The first message that this side sees need not be the first that was sent.
            return if step == 1 || first {
                Verdict::Next
            } else {
                Verdict::Gap
            };
        }
        let bit = u32::try_from(self.highest - seq)
            .ok()
            .and_then(|n| 1u128.checked_shl(n));
        match bit {
            Some(bit) if self.seen & bit == 0 => {
                self.seen |= bit;
                Verdict::Gap
            }
            _ => Verdict::Repeated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_loss_disorder_and_repetition_apart() {
        let mut sequence = Sequence::default();
        let mut accept = |seq| sequence.accept(seq);
        assert_eq!(accept(5), Verdict::Next);
        assert_eq!(accept(6), Verdict::Next);
        assert_eq!(accept(9), Verdict::Gap);
        assert_eq!(accept(7), Verdict::Gap, "late, but new");
        assert_eq!(accept(7), Verdict::Repeated);
        assert_eq!(accept(9), Verdict::Repeated);
        assert_eq!(accept(10), Verdict::Next);
        assert_eq!(accept(1000), Verdict::Gap);
        assert_eq!(accept(8), Verdict::Repeated, "too old to tell");
        assert_eq!(accept(u64::MAX), Verdict::Gap);
        assert_eq!(accept(0), Verdict::Repeated);
    }
}
