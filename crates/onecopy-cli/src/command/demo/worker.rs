//! What each worker does.
#![forbid(unsafe_code)]

use std::time::Instant;

use anyhow::{Result, ensure};
use onecopy::fork::Worker;
use serde::{Deserialize, Serialize};

use super::data::Data;
use crate::options::DemoOptions;

/// What a worker reports.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) row: u64,
    pub(super) row_sum: f64,
    pub(super) total: f64,
    /// The sum of what it overwrote, read back.
    written: f64,
    pub(super) seconds: f64,
}

/// Sums this worker's row, reads everything, overwrites what was asked for, and waits to be measured.
pub(super) fn work(worker: &Worker, options: &DemoOptions, data: &Data) -> Reply {
    let start = Instant::now();
    let row = worker.index() as u64 % options.n;
    // No loss: the array itself is addressable.
    let (n, first) = (options.n as usize, (row * options.n) as usize);
    let row_sum = data.read(|values| values[first..first + n].iter().sum());
    let total = data.read(self::total);
    let count = options.written_rows as usize * n;
    let (written, kept) = data
        .overwrite(count, value_of(worker.index()))
        .unwrap_or_else(|error| panic!("cannot map the array privately: {error}"));
    let seconds = start.elapsed().as_secs_f64();
    // What was copied must exist while the parent looks.
    worker.pause();
    drop(kept);
    Reply {
        row,
        row_sum,
        total,
        written,
        seconds,
    }
}

/// The number that a worker overwrites with; different in each.
fn value_of(index: usize) -> f64 {
    2.0 + index as f64
}

/// Reads every number.
pub(super) fn total(values: &[f64]) -> f64 {
    values.iter().sum()
}

/// The sum of all ones.
pub(super) fn expected_total(options: &DemoOptions) -> f64 {
    options.n as f64 * options.n as f64
}

/// Whether a sum of whole numbers is exactly right.
#[expect(
    clippy::float_cmp,
    reason = "whole numbers below 2^53 add up without rounding"
)]
pub(super) fn is(found: f64, expected: f64) -> bool {
    found == expected
}

impl Reply {
    /// Whether the worker computed what the array holds.
    pub(super) fn check(&self, index: usize, options: &DemoOptions) -> Result<()> {
        let worker = index + 1;
        let n = options.n as f64;
        let written = options.written_rows as f64 * n * value_of(index);
        let pairs = [
            ("row", self.row_sum, n),
            ("array", self.total, expected_total(options)),
            ("overwritten rows", self.written, written),
        ];
        for (what, found, expected) in pairs {
            ensure!(
                is(found, expected),
                "worker {worker}: its {what} sums up to {found}, not {expected}"
            );
        }
        Ok(())
    }
}
