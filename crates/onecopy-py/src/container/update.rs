//! Changes that are worked out on a copy: a value is read, another is made of it, and that is put in its place if nobody was
//! faster. Code of others runs in between, without the lock.
#![forbid(unsafe_code)]

use onecopy::ContainerError;
use onecopy::shared::{Incoming, Tries, WriterLock};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use super::word::{self, Encoded, Objects, with_incoming};
use crate::error::Error;
use crate::value::index;

/// Where a container holds a value, or may hold one.
pub(super) trait Place<'py> {
    fn py(&self) -> Python<'py>;

    fn lock(&self) -> WriterLock;

    /// The value as it is kept, if there is one.
    fn read(&self) -> PyResult<Option<Encoded>>;

    /// Replaces the value if it is `old`; whether it was, and `None` if there is none.
    fn exchange(&self, old: &Incoming<'_>, new: &Incoming<'_>) -> PyResult<Option<bool>>;

    /// Puts a value where none is; whether none was.
    fn insert(&self, new: &Incoming<'_>) -> PyResult<bool>;

    /// The error if there is none.
    fn absent(&self) -> PyErr;
}

/// Tries until nobody was faster. `work` is given the value as it is kept; what it makes of it is put in its place.
fn change<'py, T>(
    place: &impl Place<'py>,
    method: &str,
    mut work: impl FnMut(Option<&Incoming<'_>>) -> PyResult<(T, Option<Encoded>)>,
) -> PyResult<T> {
    let mut tries = Tries::new(place.lock());
    loop {
        let old = place.read()?;
        let old = old.as_ref().map(Encoded::incoming);
        let (result, new) = tries.run(|| work(old.as_ref()))?;
        let Some(new) = new else {
            return Ok(result);
        };
        let is_done = match &old {
            Some(old) => place.exchange(old, &new.incoming())? == Some(true),
            None => place.insert(&new.incoming())?,
        };
        if is_done {
            return Ok(result);
        }
        again(place.py(), &mut tries, method)?;
    }
}

/// Replaces a value by what a function makes of it, and gives that. `first`: what the function gets if there is none.
pub(super) fn with<'py>(
    place: &impl Place<'py>,
    function: &Bound<'py, PyAny>,
    first: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    change(place, "update_with()", |old| {
        let before = match old {
            Some(old) => word::object(place.py(), old.make(&Objects))?,
            None => first.cloned().ok_or_else(|| place.absent())?,
        };
        let after = function.call1((before,))?;
        let new = Encoded::of(&after)?;
        Ok((after, Some(new)))
    })
}

/// Adds where that is more than adding two ints, and gives the sum. Where no value is, it is what was to be added.
#[cold]
pub(super) fn add<'py>(
    place: &impl Place<'py>,
    amount: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    change(place, "add()", |old| {
        let old = old.map(|old| word::object(place.py(), old.make(&Objects)));
        let sum = sum("add()", old.transpose()?, amount)?;
        let new = Encoded::of(&sum)?;
        Ok((sum, Some(new)))
    })
}

/// What counts are made of: ints, floats, and the int that anything with `__index__` stands for.
pub(super) fn number<'py>(method: &str, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>() {
        return Ok(value.clone());
    }
    if let Some(int) = index::int(value)? {
        return Ok(int);
    }
    let name = value.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "{method} adds numbers to numbers, ints or floats; this is of class {name}"
    )))
}

/// The sum of what is there, if anything is, and of what is added.
pub(super) fn sum<'py>(
    method: &str,
    old: Option<Bound<'py, PyAny>>,
    amount: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let amount = number(method, amount)?;
    match old {
        Some(old) => number(method, &old)?.add(amount),
        None => Ok(amount),
    }
}

/// Replaces a value if it is the same as `old`; whether it was. Scalars, containers and views are told by what is kept; of
/// other values, equal ones may be kept as other bytes.
pub(super) fn compare_exchange<'py>(
    place: &impl Place<'py>,
    old: &Bound<'py, PyAny>,
    new: &Bound<'py, PyAny>,
) -> PyResult<bool> {
    if let Some(old) = word::exact(old)? {
        let exchanged = with_incoming(new, |new| place.exchange(&old.incoming(), new))?;
        return exchanged.ok_or_else(|| place.absent());
    }
    let new = Encoded::of(new)?;
    change(place, "compare_exchange()", |kept| {
        let kept = kept.ok_or_else(|| place.absent())?;
        let is_same = word::is_same(place.py(), kept, old)?;
        Ok((is_same, is_same.then(|| new.clone())))
    })
}

/// After a try in vain: another may be made.
pub(super) fn again(py: Python<'_>, tries: &mut Tries, method: &str) -> PyResult<()> {
    // A function in C looks for no signals.
    py.check_signals()?;
    match tries.again() {
        Err(error @ ContainerError::OwnChange) => Err(PyRuntimeError::new_err(format!(
            "{method}: {error}; let it return the new value, and leave the container alone"
        ))),
        other => Ok(other.map_err(Error::from)?),
    }
}
