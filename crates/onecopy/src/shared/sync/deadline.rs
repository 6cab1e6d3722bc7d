//! For how long an operation may wait.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// The first sleep before a look around, and the longest.
const FIRST_NAP: Duration = Duration::from_millis(5);
/// See [`FIRST_NAP`].
const LONGEST_NAP: Duration = Duration::from_millis(100);
/// Looks before the first sleep: about a microsecond, in which a peer on another processor may be done. Tests that stop a thread
/// at each of its loads get few.
const SPINS: u32 = if cfg!(test) { 4 } else { 40 };

/// When a wait ends, and how long its next sleep is.
#[derive(Debug)]
pub(super) struct Deadline {
    end: Option<Instant>,
    nap: Duration,
    spins: u32,
}

/// What a waiter does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Looks again at once.
    Spin,
    /// Sleeps so long.
    Sleep(Duration),
    /// Gives up.
    End,
}

impl Deadline {
    /// A wait of at most so long; without end for `None`.
    pub(super) fn after(patience: Option<Duration>) -> Self {
        Self {
            // A moment that no clock can show is none.
            end: patience.and_then(|patience| Instant::now().checked_add(patience)),
            nap: FIRST_NAP,
            spins: 0,
        }
    }

    /// Called each time the waiter has looked in vain.
    pub(super) fn next(&mut self) -> Next {
        if self.spins < SPINS {
            self.spins = self.spins.saturating_add(1);
            std::hint::spin_loop();
            return Next::Spin;
        }
        let nap = self.nap;
        self.nap = nap.saturating_mul(2).min(LONGEST_NAP);
        let Some(end) = self.end else {
            return Next::Sleep(nap);
        };
        match end.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Next::Sleep(nap.min(left)),
            _ => Next::End,
        }
    }

    /// The same for a waiter that has been woken by somebody: the next sleeps are short again.
    pub(super) fn woken(&mut self) {
        self.nap = FIRST_NAP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_spins_first_and_ends_when_it_is_over() {
        let mut deadline = Deadline::after(Some(Duration::ZERO));
        for _ in 0..SPINS {
            assert_eq!(deadline.next(), Next::Spin);
        }
        assert_eq!(deadline.next(), Next::End);
    }

    #[test]
    fn naps_grow_up_to_a_tenth_of_a_second_and_begin_anew() {
        let mut deadline = Deadline::after(None);
        let mut naps = Vec::new();
        while naps.len() < 8 {
            if let Next::Sleep(nap) = deadline.next() {
                naps.push(nap.as_millis());
            }
        }
        assert_eq!(naps, [5, 10, 20, 40, 80, 100, 100, 100]);
        deadline.woken();
        assert_eq!(deadline.next(), Next::Sleep(FIRST_NAP));
    }

    #[test]
    fn a_wait_longer_than_time_has_no_end() {
        let mut deadline = Deadline::after(Some(Duration::MAX));
        for _ in 0..SPINS {
            deadline.next();
        }
        assert_eq!(deadline.next(), Next::Sleep(FIRST_NAP));
    }
}
