//! Whether a target is worth asking: a circuit that opens after failures and lets a probe through after a while.
//!
//! The law: fewer than [`FAILURES`] failures within [`WINDOW_MS`] never open it; open, it lets nobody through for [`OPEN_MS`],
//! then one; that one's success closes it, its failure opens it anew. A refused key is set aside for [`ASIDE_MS`] at once.

use std::collections::VecDeque;

/// So many failures open it,
pub const FAILURES: usize = 5;
/// if they come within so many milliseconds.
pub const WINDOW_MS: u64 = 30_000;
/// So long it stays open, in milliseconds.
pub const OPEN_MS: u64 = 15_000;
/// So long a key is set aside that its provider refuses, in milliseconds.
pub const ASIDE_MS: u64 = 60_000;

/// The memory of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circuit {
    failures: VecDeque<u64>,
    /// Nobody is let through before that.
    closed_until: Option<u64>,
    refused: bool,
}

/// What is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everybody is let through.
    Closed,
    /// Nobody is.
    Open,
    /// Nobody is, because the provider refuses the key.
    SetAside,
    /// The next one is, as a probe.
    HalfOpen,
}

impl Circuit {
    /// How it stands. All times are in milliseconds since 1970.
    pub fn state(&self, now: u64) -> State {
        match self.closed_until {
            None => State::Closed,
            Some(until) if now >= until => State::HalfOpen,
            Some(_) if self.refused => State::SetAside,
            Some(_) => State::Open,
        }
    }

    /// Whether one may go; a probe goes alone.
    pub fn is_open(&self, now: u64) -> bool {
        matches!(self.state(now), State::Open | State::SetAside)
    }

    /// Somebody goes.
    pub fn started(&mut self, now: u64) {
        // Until the probe is back, or is lost, nobody else goes.
        if self.state(now) == State::HalfOpen {
            self.closed_until = Some(now + OPEN_MS);
        }
    }

    /// It went well.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// It did not.
    pub fn failed(&mut self, now: u64) {
        self.failures.push_back(now);
        while self.failures.front().is_some_and(|at| at + WINDOW_MS <= now) || self.failures.len() > FAILURES {
            self.failures.pop_front();
        }
        if self.closed_until.is_some() || self.failures.len() >= FAILURES {
            self.closed_until = Some(now + OPEN_MS);
            self.refused = false;
        }
    }

    /// The provider refuses the key.
    pub fn refused(&mut self, now: u64) {
        (self.closed_until, self.refused) = (Some(now + ASIDE_MS), true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_opens_after_five_failures_lets_one_probe_through_and_closes_again() {
        let mut circuit = Circuit::default();
        (0..4).for_each(|i| circuit.failed(i * 1000));
        assert_eq!(circuit.state(4000), State::Closed);
        circuit.failed(4000);
        assert_eq!((circuit.state(4000), circuit.state(18_999), circuit.state(19_000)), (State::Open, State::Open, State::HalfOpen));
        circuit.started(19_000);
        assert!(circuit.is_open(19_001), "one probe, not two");
        circuit.failed(19_500);
        assert!(circuit.is_open(34_000));
        circuit.started(34_500);
        circuit.succeeded();
        assert_eq!(circuit.state(34_501), State::Closed);
    }

    #[test]
    fn a_refused_key_is_set_aside_for_a_minute() {
        let mut circuit = Circuit::default();
        circuit.refused(0);
        assert_eq!((circuit.state(59_999), circuit.state(60_000)), (State::SetAside, State::HalfOpen));
    }

    proptest! {
        #[test]
        fn no_five_failures_in_any_thirty_seconds_and_it_stays_closed(gaps in prop::collection::vec(7_500_u64..60_000, 1..50)) {
            let (mut circuit, mut now) = (Circuit::default(), 0);
            for gap in gaps {
                now += gap;
                circuit.failed(now);
                prop_assert_eq!(circuit.state(now), State::Closed);
            }
        }

        #[test]
        fn open_it_lets_at_most_one_through_in_fifteen_seconds(steps in prop::collection::vec((0_u64..20_000, 0..3_u8), 1..200)) {
            let (mut circuit, mut now, mut last) = (Circuit::default(), 0, None);
            (0..5).for_each(|_| circuit.failed(0));
            for (gap, end) in steps {
                now += gap;
                if circuit.is_open(now) {
                    continue;
                }
                prop_assert!(last.is_none_or(|last| now >= last + OPEN_MS));
                circuit.started(now);
                last = Some(now);
                if end == 0 {
                    circuit.failed(now);
                }
            }
        }
    }
}
