//! The iterators of `onecopy.List`: they behave as a list's when the list changes meanwhile.
//!
//! They read a chunk ahead, and look at each step whether the list has changed since.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use onecopy::shared::Chunk;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use super::list::List;
use super::word::{self, Objects};
use crate::cpython::import_once;
use crate::error::Error;

/// Elements that are read ahead.
const AHEAD: u64 = 64;

/// Yields the elements of a list as they are when they are reached.
#[pyclass(frozen, module = "onecopy", name = "ListIterator")]
pub(crate) struct ListIterator {
    state: Mutex<State>,
}

struct State {
    /// `None` when it is exhausted: then it stays so.
    list: Option<Py<List>>,
    /// The index of the next element.
    next: i64,
    step: i64,
    chunk: Chunk,
    /// The index of the chunk's first element.
    first: i64,
}

impl State {
    /// The next element, if there is one.
    fn advance<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(list) = &self.list else {
            return Ok(None);
        };
        let raw = &list.get().raw;
        let is_now = self.chunk.moment().is_some_and(|moment| raw.is_now(moment));
        let mut place = usize::try_from(self.next - self.first).ok();
        if !is_now || place.is_none_or(|place| place >= self.chunk.len()) {
            self.first = if self.step > 0 {
                self.next
            } else {
                (self.next + 1 - AHEAD as i64).max(0)
            };
            self.chunk = raw
                .chunk(self.first.max(0) as u64, AHEAD)
                .map_err(Error::from)?;
            place = usize::try_from(self.next - self.first).ok();
        }
        let Some(value) = place.and_then(|place| self.chunk.get(place)) else {
            self.list = None;
            self.chunk = Chunk::default();
            return Ok(None);
        };
        let made = value.make(&Objects);
        self.next += self.step;
        word::object(py, made).map(Some)
    }
}

impl ListIterator {
    pub(super) fn forwards<'py>(list: &Bound<'py, List>) -> PyResult<Bound<'py, Self>> {
        Self::new(list, 0, 1)
    }

    pub(super) fn backwards<'py>(list: &Bound<'py, List>) -> PyResult<Bound<'py, Self>> {
        let len = list.get().raw.len().map_err(Error::from)?;
        Self::new(list, len as i64 - 1, -1)
    }

    fn new<'py>(list: &Bound<'py, List>, next: i64, step: i64) -> PyResult<Bound<'py, Self>> {
        let state = State {
            list: Some(list.clone().unbind()),
            next,
            step,
            chunk: Chunk::default(),
            first: 0,
        };
        Bound::new(
            list.py(),
            Self {
                state: Mutex::new(state),
            },
        )
    }
}

static ITER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

#[pymethods]
impl ListIterator {
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
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(list) = &state.list else { return 0 };
        let len = list.get().raw.len().unwrap_or(0) as i64;
        let left = if state.step > 0 {
            len - state.next
        } else {
            (state.next + 1).min(len)
        };
        usize::try_from(left).unwrap_or(0)
    }

    /// What is left, as an iterator over a real list of it.
    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let left = match &state.list {
            None => pyo3::types::PyList::empty(py),
            Some(list) => {
                let all = list.get().to_list(py)?;
                let next = usize::try_from(state.next.max(0)).unwrap_or(0);
                if state.step > 0 {
                    all.get_slice(next, all.len())
                } else {
                    let left = all.get_slice(0, usize::try_from(state.next + 1).unwrap_or(0));
                    left.reverse()?;
                    left
                }
            }
        };
        drop(state);
        let iter = import_once(py, &ITER, "builtins", "iter")?;
        Ok((iter, PyTuple::new(py, [left])?))
    }
}
