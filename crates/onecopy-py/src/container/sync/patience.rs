//! What `block` and `timeout` mean: as in `multiprocessing`, a timeout below 0 is 0, and none has no end.
#![forbid(unsafe_code)]

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// How long an operation may wait; `None` is without end.
pub(super) fn of(block: bool, timeout: Option<f64>) -> PyResult<Option<Duration>> {
    match timeout {
        _ if !block => Ok(Some(Duration::ZERO)),
        None => Ok(None),
        Some(seconds) => of_seconds(seconds),
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
