//! The command window of a session: CmdSN order, ExpCmdSN, MaxCmdSN (RFC 7143 4.2.2.1, `iscsi-target.md` chapter 7).

use super::pdu::before;
use super::table::Table;

/// Commands a session may have outstanding, at most.
pub const WINDOW: u32 = 128;

/// What becomes of a request that is not immediate.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival<T> {
    /// In order: deliver it, then everything that [`Window::next_in_order`] gives.
    Deliver(T),
    /// After a gap, kept.
    Kept,
    /// Outside the window, or its number was used already: silently dropped.
    Ignored,
}

/// The window. `T` is what waits behind a gap.
#[derive(Debug)]
pub struct Window<T> {
    expected: u32,
    maximum: u32,
    /// `None`: the number counts as received, its request was aborted.
    kept: Table<u32, Option<T>>,
}

impl<T> Window<T> {
    /// A window that begins with `first`, the CmdSN of the login request; closed until [`Window::maximum`] opens it.
    pub fn new(first: u32) -> Window<T> {
        Window {
            expected: first,
            maximum: first.wrapping_sub(1),
            kept: Table::default(),
        }
    }

    /// ExpCmdSN.
    pub fn expected(&self) -> u32 {
        self.expected
    }

    /// MaxCmdSN of a window of `size` commands, `outstanding` of which have been received and not answered. Never moves
    /// backwards: it shrinks as commands come in.
    pub fn maximum(&mut self, size: u32, outstanding: usize) -> u32 {
        let room = size.saturating_sub(u32::try_from(outstanding).unwrap_or(size));
        let maximum = self.expected.wrapping_add(room).wrapping_sub(1);
        if before(self.maximum, maximum) {
            self.maximum = maximum;
        }
        self.maximum
    }

    /// A request with this CmdSN arrived.
    pub fn arrive(&mut self, cmd_sn: u32, request: T) -> Arrival<T> {
        if before(cmd_sn, self.expected) || before(self.maximum, cmd_sn) || self.kept.contains_key(&cmd_sn) {
            Arrival::Ignored
        } else if cmd_sn == self.expected {
            self.expected = self.expected.wrapping_add(1);
            Arrival::Deliver(request)
        } else {
            self.kept.insert(cmd_sn, Some(request));
            Arrival::Kept
        }
    }

    /// The next kept request that is in order now.
    pub fn next_in_order(&mut self) -> Option<T> {
        while let Some(request) = self.kept.remove(&self.expected) {
            self.expected = self.expected.wrapping_add(1);
            if request.is_some() {
                return request;
            }
        }
        None
    }

    /// Marks a number that has not been delivered as received, so that a late arrival is ignored. Gives what was kept
    /// under it. False when the number is not in the window.
    pub fn skip(&mut self, cmd_sn: u32) -> (bool, Option<T>) {
        if before(cmd_sn, self.expected) || before(self.maximum, cmd_sn) {
            return (false, None);
        }
        (true, self.kept.insert(cmd_sn, None).flatten())
    }

    /// Forgets kept requests; their numbers count as received.
    pub fn forget(&mut self, which: impl Fn(&T) -> bool) {
        for request in self.kept.values_mut() {
            if request.as_ref().is_some_and(&which) {
                *request = None;
            }
        }
    }

    /// True while something waits for a number that has not arrived.
    pub fn gap(&self) -> bool {
        self.kept.values().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn open<T>(first: u32) -> Window<T> {
        let mut window = Window::new(first);
        assert_eq!(window.maximum(WINDOW, 0), first.wrapping_add(WINDOW - 1));
        window
    }

    #[test]
    fn too_high_and_too_low_are_ignored() {
        let mut window = open(100);
        assert_eq!(window.arrive(99, ()), Arrival::Ignored);
        assert_eq!(window.arrive(100 + WINDOW, ()), Arrival::Ignored);
        assert_eq!(window.arrive(100, ()), Arrival::Deliver(()));
        assert_eq!(window.arrive(100, ()), Arrival::Ignored);
    }

    #[test]
    fn a_command_at_the_maximum_waits_for_the_gap() {
        let mut window = open(0);
        assert_eq!(window.arrive(WINDOW - 1, 'z'), Arrival::Kept);
        assert_eq!(window.next_in_order(), None);
        assert_eq!(window.expected(), 0);
    }

    #[test]
    fn the_maximum_shrinks_under_load_but_never_goes_back() {
        let mut window = Window::new(0);
        assert_eq!(window.maximum(WINDOW, 0), WINDOW - 1);
        for number in 0..10 {
            assert_eq!(window.arrive(number, ()), Arrival::Deliver(()));
        }
        assert_eq!(window.maximum(WINDOW, 10), WINDOW - 1);
        assert_eq!(window.maximum(WINDOW, 60), WINDOW - 1);
        assert_eq!(window.maximum(WINDOW, 4), WINDOW + 5);
    }

    #[test]
    fn a_skipped_number_counts_as_received() {
        let mut window = open(7);
        assert_eq!(window.arrive(8, 'b'), Arrival::Kept);
        assert_eq!(window.skip(7), (true, None));
        assert_eq!(window.next_in_order(), Some('b'));
        assert_eq!(window.arrive(7, 'a'), Arrival::Ignored);
        assert_eq!(window.skip(7), (false, None));
    }

    proptest! {
        #[test]
        fn any_order_of_arrival_is_delivered_in_order(first: u32, order in Just((0..WINDOW).collect::<Vec<_>>()).prop_shuffle()) {
            let mut window = open(first);
            let mut delivered = Vec::new();
            for offset in order {
                let number = first.wrapping_add(offset);
                match window.arrive(number, number) {
                    Arrival::Deliver(number) => delivered.push(number),
                    Arrival::Kept => {}
                    Arrival::Ignored => prop_assert!(false, "inside the window"),
                }
                delivered.extend(std::iter::from_fn(|| window.next_in_order()));
            }
            let expected: Vec<_> = (0..WINDOW).map(|offset| first.wrapping_add(offset)).collect();
            prop_assert_eq!(delivered, expected);
        }
    }
}
