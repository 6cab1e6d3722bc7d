//! The iterators of `onecopy.List`: they behave as a list's when the list changes meanwhile.
//!
//! They read a chunk ahead, and look at each step whether the list has changed since.
#![allow(
    unsafe_code,
    reason = "says that one attached thread at a time uses an iterator"
)]

use std::cell::RefCell;
use std::ptr;

use onecopy::ContainerError;
use onecopy::shared::{RawList, Snapshot};
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use super::word::{self, Found, Raised, Reader};
use crate::column::spare::Spare;
use crate::cpython::{import_once, slot};
use crate::error::Error;

/// Elements that are read ahead: the first time, and at most. Who reads on gets more at a time.
const AHEAD_FIRST: u64 = 16;
/// See [`AHEAD_FIRST`].
const AHEAD_MOST: u64 = 512;

/// Yields the elements of a list as they are when they are reached.
#[pyclass(frozen, module = "onecopy._onecopy", name = "ListIterator")]
pub(crate) struct ListIterator {
    state: RefCell<State>,
    spare: Spare,
}

/// An element that is a number.
enum Number {
    Int(i64),
    Float(f64),
}

// SAFETY: only threads that are attached to the interpreter use it, of which there is one at a time (as Z2 of
// column/spare.rs); its objects are bound to no thread.
unsafe impl Send for ListIterator {}
// SAFETY: only threads that are attached to the interpreter use it, of which there is one at a time, and `RefCell` sees
// to it that code which runs in the middle of a step does not begin another.
unsafe impl Sync for ListIterator {}

struct State {
    /// `None` when it is exhausted: then it stays so.
    list: Option<RawList>,
    /// The index of the next element.
    next: i64,
    step: i64,
    chunk: Snapshot,
    /// The index of the chunk's first element.
    first: i64,
    /// Elements to read ahead the next time.
    ahead: u64,
}

impl State {
    /// The next element, if it is a number that was read ahead.
    #[inline(always)]
    fn number(&mut self) -> Option<Number> {
        let raw = self.list.as_ref()?;
        let word = self
            .chunk
            .word(self.next.wrapping_sub(self.first) as usize)?;
        if !raw.is_now(self.chunk.moment()?) {
            return None;
        }
        let number = match word.as_int() {
            Some(value) => Number::Int(value),
            None => Number::Float(word.as_float()?),
        };
        self.next += self.step;
        Some(number)
    }

    /// The next element as a copy, if there is one.
    fn advance(&mut self, spare: &Spare) -> Result<Option<Result<Found, Raised>>, ContainerError> {
        let Some(raw) = &self.list else {
            return Ok(None);
        };
        let is_now = self.chunk.moment().is_some_and(|moment| raw.is_now(moment));
        let mut place = self.next.wrapping_sub(self.first) as usize;
        if !is_now || place >= self.chunk.len() {
            // Whoever changes the list in the loop makes each chunk good for one element.
            self.ahead = if is_now {
                (2 * self.ahead).min(AHEAD_MOST)
            } else {
                AHEAD_FIRST
            };
            self.first = if self.step > 0 {
                self.next
            } else {
                (self.next + 1 - self.ahead as i64).max(0)
            };
            raw.read_chunk(&mut self.chunk, self.first.max(0) as u64, self.ahead)?;
            place = self.next.wrapping_sub(self.first) as usize;
        }
        let Some(value) = self.chunk.get(place) else {
            spare.clear();
            self.list = None;
            self.chunk = Snapshot::default();
            return Ok(None);
        };
        self.next += self.step;
        Ok(Some(value.make(&Reader(spare))))
    }
}

impl ListIterator {
    /// The next element as a new reference; null at the end, or with an exception set.
    #[inline(always)]
    pub(super) fn advance(&self) -> *mut PyObject {
        let Ok(mut state) = self.state.try_borrow_mut() else {
            return busy();
        };
        let number = state.number();
        drop(state);
        match number {
            Some(Number::Int(value)) => self.spare.int(value),
            Some(Number::Float(value)) => self.spare.float(value),
            None => self.advance_slowly(),
        }
    }

    /// The same where chunks are read, and other elements are.
    #[inline(never)]
    fn advance_slowly(&self) -> *mut PyObject {
        let Ok(mut state) = self.state.try_borrow_mut() else {
            return busy();
        };
        let step = state.advance(&self.spare);
        drop(state);
        match step {
            Ok(Some(Ok(found))) => found.finish(),
            Ok(Some(Err(Raised)) | None) => ptr::null_mut(),
            Err(failure) => word::raise_failure(failure),
        }
    }
}

impl ListIterator {
    pub(super) fn forwards<'py>(py: Python<'py>, list: &RawList) -> PyResult<Bound<'py, Self>> {
        Self::new(py, list, 0, 1)
    }

    pub(super) fn backwards<'py>(py: Python<'py>, list: &RawList) -> PyResult<Bound<'py, Self>> {
        let len = list.len().map_err(Error::from)?;
        Self::new(py, list, len as i64 - 1, -1)
    }

    fn new<'py>(
        py: Python<'py>,
        list: &RawList,
        next: i64,
        step: i64,
    ) -> PyResult<Bound<'py, Self>> {
        let state = State {
            list: Some(list.clone()),
            next,
            step,
            chunk: Snapshot::default(),
            first: 0,
            ahead: AHEAD_FIRST,
        };
        let (state, spare) = (RefCell::new(state), Spare::new());
        Bound::new(py, Self { state, spare })
    }
}

/// For whoever asks an iterator for something in the middle of a step: of another thread, which waits for the list.
pub(super) fn in_use() -> PyErr {
    PyRuntimeError::new_err(
        "another thread is using this iterator: give each thread one of its own",
    )
}

#[cold]
fn busy() -> *mut PyObject {
    // SAFETY: the interpreter asks iterators for elements attached; the work gives an error.
    unsafe { slot::enter(|_| Err(in_use())) }
}

static ITER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

#[pymethods]
impl ListIterator {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // SAFETY: a new reference, or null, with an exception set or at the end.
        let object = unsafe { Bound::from_owned_ptr_or_opt(py, self.advance()) };
        match (object, PyErr::take(py)) {
            (_, Some(raised)) => Err(raised),
            (object, None) => Ok(object),
        }
    }

    fn __length_hint__(&self) -> usize {
        let Ok(state) = self.state.try_borrow() else {
            return 0;
        };
        let Some(list) = &state.list else { return 0 };
        let len = list.len().unwrap_or(0) as i64;
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
        // Nothing stays borrowed while elements are read: that may wait, and run code of others.
        let state = self.state.try_borrow().map_err(|_| in_use())?;
        let (list, next, step) = (state.list.clone(), state.next, state.step);
        drop(state);
        let left = match &list {
            None => pyo3::types::PyList::empty(py),
            Some(list) => {
                let all = word::list_of(py, &list.snapshot().map_err(Error::from)?)?;
                if step > 0 {
                    all.get_slice(usize::try_from(next.max(0)).unwrap_or(0), all.len())
                } else {
                    let left = all.get_slice(0, usize::try_from(next + 1).unwrap_or(0));
                    left.reverse()?;
                    left
                }
            }
        };
        let iter = import_once(py, &ITER, "builtins", "iter")?;
        Ok((iter, PyTuple::new(py, [left])?))
    }
}
