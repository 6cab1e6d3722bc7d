//! What the measuring may cost.
//!
//! ```text
//! earned = allowed × time        a reading may start while   spent + its estimate ≤ earned
//! ```
//! That holds from the second half of the first minute on. Before, repeated readings live on half of a
//! credit; the other half is added for the first reading of a family that is twice as large as anything
//! counted before, so that small readings cannot use up what the large one needs. Whatever is taken on
//! credit is earned before the next reading.
//!
//! **Invariants**
//! - I1. A reading never starts sooner after the last one than that one's cost divided by what is allowed:
//!   100 × at one percent.
//! - I2. At every moment, `spent ≤ earned + CREDIT`, as long as estimates are not too low.
#![forbid(unsafe_code)]

use std::time::Duration;

/// Processor time that may be spent before it was earned: what the default of one percent earns in a minute.
pub(crate) const CREDIT: Duration = Duration::from_millis(600);
/// RSS from which on a reading tells what the next will cost: below, most of it does not depend on pages.
const TELLING: u64 = 64 << 20;
/// What is added to what the last readings took.
const MARGIN: f64 = 1.25;

/// A pause that is as good as for ever, and can be added to any moment.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);

/// How long to pause after what has cost so much, if that part of one processor may be taken.
pub(crate) fn pause(cost: Duration, allowed: f64) -> Duration {
    Duration::try_from_secs_f64(cost.as_secs_f64() / allowed)
        .map_or(FOR_EVER, |pause| pause.min(FOR_EVER))
}

/// What is wanted of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A family at a size that was not counted before.
    First,
    /// Something has moved.
    Again,
}

/// Prices and what may be paid.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    /// The part of one processor.
    allowed: f64,
    /// What readings have cost in this tree, as a part of their estimates.
    ratio: f64,
}

impl Budget {
    pub(super) fn new(allowed: f64) -> Self {
        Self {
            allowed,
            ratio: 1.0,
        }
    }

    pub(super) fn allowed(&self) -> f64 {
        self.allowed
    }

    /// I1.
    pub(super) fn pause_after(&self, cost: Duration) -> Duration {
        pause(cost, self.allowed)
    }

    /// What a reading will cost, from an estimate that knows nothing of this machine and this tree.
    pub(super) fn price(&self, estimate: f64) -> Duration {
        Duration::from_secs_f64(estimate * self.ratio)
    }

    /// Learns from a reading of so much RSS. `passes` is how often the tree was read for it.
    pub(super) fn learn(&mut self, sum_rss: u64, estimate: f64, cost: Duration, passes: u32) {
        if sum_rss >= TELLING && estimate > 0.0 {
            let once = cost.as_secs_f64() / f64::from(passes.max(1));
            self.ratio = (MARGIN * once / estimate).clamp(0.1, 50.0);
        }
    }

    /// What readings and glances may have cost in all after so much time.
    pub(super) fn limit(&self, elapsed: Duration, wanted: Wanted) -> Duration {
        let earned = elapsed.mul_f64(self.allowed);
        match wanted {
            Wanted::First => earned + CREDIT,
            Wanted::Again => earned.max(CREDIT / 2),
        }
    }

    /// What `--overhead` would have to be, in percent, for so much to be spent in this time.
    pub(super) fn would_do(needed: Duration, elapsed: Duration) -> u128 {
        let beyond = needed.saturating_sub(CREDIT).as_millis();
        (100 * beyond)
            .div_ceil(elapsed.as_millis().max(100))
            .clamp(1, 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Spends as a sampler does on a tree whose readings cost `cost`, with a size that doubles at some
    /// moments; calls `each` for every reading.
    fn simulate(
        cost: impl Fn(Duration) -> Duration,
        seconds: u64,
        mut each: impl FnMut(Duration, Duration, Duration),
    ) -> Duration {
        let budget = Budget::new(0.01);
        let (mut spent, mut next, mut largest) = (ms(0), ms(0), ms(0));
        for tick in 0..seconds * 50 {
            let now = ms(tick * 20);
            spent += Duration::from_micros(60);
            let price = cost(now);
            let wanted = if price / 2 > largest {
                Wanted::First
            } else {
                Wanted::Again
            };
            if now >= next && spent + price <= budget.limit(now, wanted) {
                spent += price;
                largest = largest.max(price);
                next = now + budget.pause_after(price);
                each(now, price, spent);
            }
        }
        spent
    }

    #[test]
    fn a_long_run_takes_one_percent_and_no_reading_comes_too_soon() {
        for cost in [1, 5, 20, 100, 300, 500, 900] {
            let mut last: Option<(Duration, Duration)> = None;
            let spent = simulate(
                |_| ms(cost),
                600,
                |now, price, spent| {
                    assert!(spent <= now.mul_f64(0.01) + CREDIT, "{cost} at {now:?}");
                    if let Some((before, price)) = last {
                        assert!(now >= before + price * 100, "{cost} at {now:?}");
                    }
                    last = Some((now, price));
                },
            );
            assert!(last.is_some(), "{cost}");
            assert!(spent <= ms(6_000), "{cost}: {spent:?}");
        }
    }

    #[test]
    fn many_small_readings_leave_the_credit_to_the_largest_moment() {
        // Half a minute of small readings, then workers with so much memory that counting takes 0.8 s.
        let mut largest = None;
        let cost = |now: Duration| {
            if now < ms(30_000) { ms(30) } else { ms(850) }
        };
        simulate(cost, 70, |now, price, _| {
            if price > ms(800) {
                largest.get_or_insert(now);
            }
        });
        assert!(largest.is_some_and(|at| at < ms(70_000)), "{largest:?}");
        // At once, where nothing was spent before.
        let mut first = None;
        simulate(|_| ms(590), 5, |now, _, _| first = first.or(Some(now)));
        assert_eq!(first, Some(ms(0)));
    }

    #[test]
    fn a_pause_has_an_end_whatever_is_allowed() {
        assert_eq!(pause(ms(5), 1e-32), FOR_EVER);
        assert_eq!(pause(ms(5), f64::MIN_POSITIVE), FOR_EVER);
        assert_eq!(pause(ms(5), 1e-6).as_secs(), 5_000);
        assert_eq!(pause(ms(5), 1.0), ms(5));
        assert_eq!(pause(ms(0), 1e-32), ms(0));
    }

    #[test]
    fn prices_follow_what_readings_take() {
        let mut budget = Budget::new(0.01);
        assert_eq!(budget.price(0.5), ms(500));
        budget.learn(1 << 20, 0.001, ms(5), 1);
        assert_eq!(budget.price(0.5), ms(500), "too small to tell");
        budget.learn(1 << 30, 0.1, ms(80), 2);
        assert_eq!(budget.price(2.0), ms(1_000));
        assert_eq!(Budget::would_do(ms(1_600), ms(20_000)), 5);
        assert_eq!(Budget::would_do(ms(10_000), ms(1)), 100);
    }
}
