//! `update_with`: a value is read, a function makes another of it, and that is put in its place if nobody was faster.
#![forbid(unsafe_code)]

use onecopy::shared::{Incoming, WriterLock};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::lock;
use super::word::{self, Encoded, Objects, with_incoming};

/// How often others may be faster before the function runs under the lock.
const TRIES: usize = 8;

/// `read` gives the value as it is kept; if there is none, `first` gives the object that the function gets. `replace`
/// puts the second value in the place of the first, if that is still there. The new value is given.
pub(super) fn with<'py>(
    lock: WriterLock,
    function: &Bound<'py, PyAny>,
    read: impl Fn() -> PyResult<Option<Encoded>>,
    first: impl Fn() -> PyResult<Bound<'py, PyAny>>,
    replace: impl Fn(Option<&Incoming<'_>>, &Incoming<'_>) -> PyResult<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = function.py();
    let once = || -> PyResult<Option<Bound<'py, PyAny>>> {
        let old = read()?;
        let old = old.as_ref().map(Encoded::incoming);
        let before = match &old {
            Some(old) => word::object(py, old.make(&Objects))?,
            None => first()?,
        };
        let after = function.call1((before,))?;
        let is_done = with_incoming(&after, |after| replace(old.as_ref(), after))?;
        Ok(is_done.then_some(after))
    };
    for _ in 0..TRIES {
        if let Some(after) = once()? {
            return Ok(after);
        }
    }
    let locked = lock::hold(lock)?;
    let after = once();
    drop(locked);
    after?.ok_or_else(|| PyRuntimeError::new_err("the function changes what it is to be given"))
}
