//! `update_with`: a value is read, a function makes another of it, and that is put in its place if nobody was faster.
#![forbid(unsafe_code)]

use onecopy::shared::{Incoming, Tries, WriterLock};
use pyo3::prelude::*;

use super::word::{self, Encoded, Objects};
use crate::error::Error;

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
    let mut tries = Tries::new(lock);
    loop {
        let old = read()?;
        let old = old.as_ref().map(Encoded::incoming);
        let (after, encoded) = tries.run(|| {
            let before = match &old {
                Some(old) => word::object(py, old.make(&Objects))?,
                None => first()?,
            };
            let after = function.call1((before,))?;
            let encoded = Encoded::of(&after)?;
            PyResult::Ok((after, encoded))
        })?;
        if replace(old.as_ref(), &encoded.incoming())? {
            return Ok(after);
        }
        again(py, &mut tries)?;
    }
}

/// After a try in vain: another may be made.
pub(super) fn again(py: Python<'_>, tries: &mut Tries) -> PyResult<()> {
    // A function in C looks for no signals.
    py.check_signals()?;
    Ok(tries.again().map_err(Error::from)?)
}
