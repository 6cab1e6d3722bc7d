//! The iterators of dicts, sets and counters: over what was there when they were made.
#![forbid(unsafe_code)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use onecopy::shared::{Part, RawDict, Snapshot};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyTuple};

use super::word::{self, Found, Objects, Raised};
use crate::cpython::import_once;
use crate::error::Error;

/// Yields keys, values or both in the order of the keys, as they were at one moment.
#[pyclass(frozen, module = "onecopy._onecopy", name = "DictIterator")]
pub(crate) struct DictIterator {
    state: Mutex<State>,
}

struct State {
    picture: Snapshot,
    part: Part,
    /// What has been yielded.
    done: usize,
    is_reversed: bool,
}

impl State {
    fn width(&self) -> usize {
        if self.part == Part::Items { 2 } else { 1 }
    }

    fn left(&self) -> usize {
        (self.picture.len() / self.width()).saturating_sub(self.done)
    }

    /// The next key, value or both, to be decoded when nobody has the state any more.
    fn advance(&mut self) -> Option<Step> {
        let left = self.left();
        if left == 0 {
            self.picture = Snapshot::default();
            self.done = 0;
            return None;
        }
        let at = self.width()
            * if self.is_reversed {
                left - 1
            } else {
                self.done
            };
        self.done += 1;
        let first = self.picture.get(at)?.make(&Objects);
        if self.part != Part::Items {
            return Some(Step(first, None));
        }
        Some(Step(first, Some(self.picture.get(at + 1)?.make(&Objects))))
    }
}

/// What was copied out of a picture: one, or a key and its value.
struct Step(Result<Found, Raised>, Option<Result<Found, Raised>>);

impl Step {
    /// As objects. Pickles and encoded keys are decoded by Python code.
    fn finish(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let first = word::object(py, self.0)?;
        let Some(second) = self.1 else {
            return Ok(first);
        };
        Ok(PyTuple::new(py, [first, word::object(py, second)?])?.into_any())
    }
}

/// An iterator over a dict as it is now.
pub(super) fn iterate<'py>(
    py: Python<'py>,
    raw: &RawDict,
    part: Part,
    is_reversed: bool,
) -> PyResult<Bound<'py, DictIterator>> {
    let picture = raw.picture(part).map_err(Error::from)?;
    let state = State {
        picture,
        part,
        done: 0,
        is_reversed,
    };
    Bound::new(
        py,
        DictIterator {
            state: Mutex::new(state),
        },
    )
}

impl DictIterator {
    /// Whoever has the state runs no Python code and waits for nothing, so it is soon to be had.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static ITER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

#[pymethods]
impl DictIterator {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let step = self.state().advance();
        step.map(|step| step.finish(py)).transpose()
    }

    fn __length_hint__(&self) -> usize {
        self.state().left()
    }

    /// What is left, as an iterator over a real list of it.
    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let left = PyList::empty(py);
        {
            let state = self.state();
            let mut rest = State {
                picture: state.picture.clone(),
                ..*state
            };
            drop(state);
            while let Some(step) = rest.advance() {
                left.append(step.finish(py)?)?;
            }
        }
        Ok((
            import_once(py, &ITER, "builtins", "iter")?,
            PyTuple::new(py, [left])?,
        ))
    }
}
