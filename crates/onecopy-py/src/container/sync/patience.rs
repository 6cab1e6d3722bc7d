//! What `block` and `timeout` mean: as with what a Manager makes, so as in `threading` and `queue`.
#![forbid(unsafe_code)]

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::value::Truth;

/// How long an event, a condition, a barrier may be waited for; `None` is without end, and what is below 0 is 0.
pub(super) fn of(timeout: Option<f64>) -> PyResult<Option<Duration>> {
    timeout.map_or(Ok(None), of_seconds)
}

/// How long a lock may be waited for: -1 is without end, and who does not wait has no timeout.
#[allow(clippy::float_cmp, reason = "-1 itself is the sign")]
pub(super) fn of_lock(block: Truth, timeout: Option<f64>) -> PyResult<Option<Duration>> {
    match timeout.filter(|seconds| *seconds != -1.0) {
        Some(_) if !block.0 => Err(PyValueError::new_err(
            "can't specify a timeout for a non-blocking call",
        )),
        Some(seconds) if seconds < 0.0 => Err(PyValueError::new_err(
            "timeout value must be a non-negative number",
        )),
        timeout => within(block, timeout),
    }
}

/// How long a unit of a semaphore may be waited for: what is below 0 is 0, and who does not wait has no timeout.
pub(super) fn of_semaphore(block: Truth, timeout: Option<f64>) -> PyResult<Option<Duration>> {
    if !block.0 && timeout.is_some() {
        return Err(PyValueError::new_err(
            "can't specify timeout for non-blocking acquire",
        ));
    }
    within(block, timeout)
}

/// How long an item, or room for one, may be waited for: below 0 is an error, unless nobody waits.
pub(super) fn of_queue(block: Truth, timeout: Option<f64>) -> PyResult<Option<Duration>> {
    if block.0 && timeout.is_some_and(|seconds| seconds < 0.0) {
        return Err(PyValueError::new_err(
            "'timeout' must be a non-negative number",
        ));
    }
    within(block, timeout)
}

fn within(block: Truth, timeout: Option<f64>) -> PyResult<Option<Duration>> {
    if block.0 {
        of(timeout)
    } else {
        Ok(Some(Duration::ZERO))
    }
}

fn of_seconds(seconds: f64) -> PyResult<Option<Duration>> {
    if seconds.is_nan() {
        return Err(PyValueError::new_err(
            "timeout is a number of seconds, not nan",
        ));
    }
    // What is longer than any clock has no end.
    Ok(Duration::try_from_secs_f64(seconds.max(0.0)).ok())
}
