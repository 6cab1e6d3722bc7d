//! The iterators of dicts, sets and counters: over what was there when they were made.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use onecopy::shared::{Part, Picture, RawDict};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyTuple};

use super::word::{self, Objects};
use crate::cpython::import_once;
use crate::error::Error;

/// Yields keys, values or both in the order of the keys, as they were at one moment.
#[pyclass(frozen, module = "onecopy._onecopy", name = "DictIterator")]
pub(crate) struct DictIterator {
    state: Mutex<State>,
}

struct State {
    picture: Picture,
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

    fn object<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        let value = self.picture.get(at);
        value
            .map(|value| word::object(py, value.make(&Objects)))
            .transpose()
    }

    fn advance<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let left = self.left();
        if left == 0 {
            self.picture = Picture::default();
            self.done = 0;
            return Ok(None);
        }
        let at = self.width()
            * if self.is_reversed {
                left - 1
            } else {
                self.done
            };
        self.done += 1;
        let first = self.object(py, at)?;
        if self.part != Part::Items {
            return Ok(first);
        }
        let second = self.object(py, at + 1)?;
        let item = first
            .zip(second)
            .map(|item| PyTuple::new(py, [item.0, item.1]));
        Ok(item.transpose()?.map(Bound::into_any))
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

static ITER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

#[pymethods]
impl DictIterator {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // A pickle's code may ask the same iterator for its next element: then it is exhausted for that moment.
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return Ok(None),
        };
        state.advance(py)
    }

    fn __length_hint__(&self) -> usize {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .left()
    }

    /// What is left, as an iterator over a real list of it.
    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let left = PyList::empty(py);
        {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let mut rest = State {
                picture: state.picture.clone(),
                ..*state
            };
            drop(state);
            while let Some(item) = rest.advance(py)? {
                left.append(item)?;
            }
        }
        Ok((
            import_once(py, &ITER, "builtins", "iter")?,
            PyTuple::new(py, [left])?,
        ))
    }
}
