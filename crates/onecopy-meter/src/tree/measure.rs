//! Passes over the tree, until one can be believed.
#![forbid(unsafe_code)]

use super::Subject;
use super::list::{identities, list};
use super::pass::Pass;
use super::report::{Reading, report};
use crate::error::MeterError;
use crate::history::{self, History};
use crate::report::{Baseline, Report};

/// Readings of a tree that will not hold still.
const PASSES: u32 = 4;

/// Measures the subject; with a `history`, compares it with what was known and remembers it.
pub(crate) fn measure(
    subject: &Subject<'_>,
    mut history: Option<&mut History>,
) -> Result<Report, MeterError> {
    let mut passes = 1;
    loop {
        let before = list(subject)?;
        let mut known = history.as_deref().cloned().unwrap_or_default();
        known.keep_only(&before.iter().map(history::identity).collect::<Vec<_>>());
        let pass = Pass::read(subject, &before, &mut known, history.is_some())?;
        let now = list(subject)?;
        let steady = !pass.vanished() && identities(&now) == identities(&before);
        // Who is read again and again is read again soon.
        let most = if history.is_some() {
            PASSES / 2
        } else {
            PASSES
        };
        if steady || passes == most {
            let baseline = if known.begun {
                Baseline::Fork
            } else {
                Baseline::Now
            };
            if let Some(history) = &mut history {
                known.begun = true;
                **history = known;
            }
            let reading = Reading {
                passes,
                steady,
                baseline,
            };
            return report(subject, pass, &reading);
        }
        passes += 1;
    }
}
