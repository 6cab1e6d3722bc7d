//! Why pages were not counted at some moment, in words.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::budget::CREDIT;
use super::sampler::Seen;
use crate::output::units::Style;

/// Why there was no reading at a glance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Waiting {
    /// Nothing has moved since the last one.
    Still,
    /// One process shares nothing, and counting it is not cheap.
    Alone,
    /// Processes were coming and going.
    Unsettled,
    /// It would have come sooner than the last one's cost allows.
    TooSoon {
        /// What that was.
        cost: Duration,
        /// How long it still had to wait.
        wait: Duration,
    },
    /// It would have cost more than was earned.
    TooCostly {
        price: Duration,
        left: Duration,
        /// Percent of one processor that would have done.
        would_do: u128,
    },
}

impl Seen {
    /// Why there is no report.
    pub(crate) fn reason(&self) -> Option<String> {
        if self.report.is_some() {
            return None;
        }
        let glances = self.samples.len();
        Some(match (&self.failure, self.waiting) {
            (Some(failure), _) => format!("no reading succeeded: {failure}"),
            (None, Some(waiting)) => format!(
                "{glances} glances at {} of RSS at most, but no count of pages: {}",
                Style::new(false).size(self.peak_sum_rss),
                waiting.text(self.overhead.allowed)
            ),
            (None, None) => "the command ended before its pages could be counted".to_owned(),
        })
    }

    /// Why the largest moment was not counted, where what was counted is less than half as large.
    pub(crate) fn not_counted(&self) -> Option<String> {
        let counted = self.report.as_ref()?.1.tree.sum_rss.unwrap_or(0);
        if self.peak_sum_rss / 2 <= counted {
            return None;
        }
        let failed = self.failure.as_ref();
        let why = failed
            .map(|failure| format!("reading it failed: {failure}"))
            .or_else(|| Some(self.uncounted?.text(self.overhead.allowed)))?;
        Some(format!(
            "the largest moment, with {} of RSS: {why}",
            Style::new(false).size(self.peak_sum_rss),
        ))
    }
}

impl Waiting {
    fn text(self, allowed: f64) -> String {
        let percent = allowed * 100.0;
        match self {
            Self::Still => "nothing had moved since the last count".to_owned(),
            Self::Alone => {
                "it was one process alone, which has nobody to share with; such are counted up to 128 MiB".to_owned()
            }
            Self::Unsettled => "processes came and went".to_owned(),
            Self::TooSoon { cost, wait } => format!(
                "it came {:.1} s too soon after a count that took {:.3} s, as --overhead {percent} lets the next one \
                 wait {:.0} times as long",
                wait.as_secs_f64(),
                cost.as_secs_f64(),
                1.0 / allowed
            ),
            Self::TooCostly {
                price,
                left,
                would_do,
            } => format!(
                "counting it takes up to {:.1} s of processor time, and --overhead {percent} had {:.1} s left for it, \
                 a credit of {:.1} s included; --overhead {would_do} would do",
                price.as_secs_f64(),
                left.as_secs_f64(),
                CREDIT.as_secs_f64()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_counted_has_its_true_reason() {
        let mut seen = Seen::default();
        seen.overhead.allowed = 0.01;
        let text = seen.reason().unwrap();
        assert_eq!(text, "the command ended before its pages could be counted");
        seen.peak_sum_rss = 64 << 30;
        let costly = Waiting::TooCostly {
            price: Duration::from_secs(6),
            left: Duration::from_millis(700),
            would_do: 54,
        };
        (seen.waiting, seen.uncounted) = (Some(costly), Some(costly));
        let text = seen.reason().unwrap();
        assert_eq!(
            text,
            "0 glances at 64.0 GiB of RSS at most, but no count of pages: counting it takes up to 6.0 s of \
             processor time, and --overhead 1 had 0.7 s left for it, a credit of 0.6 s included; \
             --overhead 54 would do"
        );
        assert_eq!(seen.not_counted(), None, "there is nothing to compare with");
        let report = onecopy_meter::tree(std::process::id()).unwrap();
        seen.report = Some((0.0, report));
        assert_eq!(seen.reason(), None);
        seen.failure = Some("Too many open files".to_owned());
        let text = seen.not_counted().unwrap();
        assert!(
            text.ends_with(" of RSS: reading it failed: Too many open files"),
            "{text}"
        );
        seen.failure = None;
        assert!(
            seen.not_counted()
                .unwrap()
                .ends_with("--overhead 54 would do")
        );
        seen.uncounted = Some(Waiting::TooSoon {
            cost: Duration::from_millis(40),
            wait: Duration::from_millis(2_500),
        });
        let text = seen.not_counted().unwrap();
        assert!(
            text.contains("2.5 s too soon after a count that took 0.040 s"),
            "{text}"
        );
        assert!(text.contains("wait 100 times as long"), "{text}");
    }
}
