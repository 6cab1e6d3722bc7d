//! Reads a real list or tuple while it is being shared.
//!
//! The interpreter's lock is held and no Python code runs between two calls of [`Source::check`], so nothing can change
//! in between. `check` lets signal handlers run, which may do anything: afterwards the items are looked up again, and a
//! list that has another length or has moved its items is refused. An element that was exchanged is found by the writer,
//! or is shared as it is now.
#![allow(unsafe_code, reason = "reads the items of lists in place")]

use std::collections::HashSet;
use std::marker::PhantomData;

use onecopy::image::{BuildError, Container, Scalar, Survey, Text};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::cpython::items;
use crate::error::Error;
use crate::value::item::Item;

/// Elements between two looks at pending signals: less than a millisecond of work.
pub(crate) const CHUNK_LEN: usize = 1 << 16;

/// A list or tuple and where its items were when it was last looked at.
pub(crate) struct Source<'a, 'py> {
    object: &'a Bound<'py, PyAny>,
    pub(crate) container: Container,
    items: *const *mut PyObject,
    len: usize,
}

impl<'a, 'py> Source<'a, 'py> {
    /// Whether an object is exactly a list or tuple.
    #[inline]
    pub(crate) fn container_of(object: &Bound<'py, PyAny>) -> Option<Container> {
        if object.is_exact_instance_of::<PyList>() {
            Some(Container::List)
        } else if object.is_exact_instance_of::<PyTuple>() {
            Some(Container::Tuple)
        } else {
            None
        }
    }

    /// The items of an exact list or tuple.
    pub(crate) fn of(object: &'a Bound<'py, PyAny>) -> Option<Self> {
        let container = Self::container_of(object)?;
        let (items, len) = items(object, container);
        Some(Self {
            object,
            container,
            items,
            len,
        })
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Lets signal handlers run and makes sure that the items are where they were.
    pub(crate) fn check(&self, index: usize) -> PyResult<()> {
        self.object.py().check_signals()?;
        self.expect_same(index)
    }

    /// Makes sure that the items are where they were, after Python code has run.
    #[inline]
    pub(crate) fn expect_same(&self, index: usize) -> PyResult<()> {
        if items(self.object, self.container) == (self.items, self.len) {
            return Ok(());
        }
        Err(Error::from(BuildError::Changed {
            index: index as u64,
        })
        .into())
    }

    /// The elements from `start` on, at most a chunk of them. Call [`Source::check`] before the next.
    pub(crate) fn chunk(&self, start: usize) -> Chunk<'_> {
        let start = start.min(self.len);
        // SAFETY: `len` items lie at `items`, as `items::of_list` or `of_tuple` said when Python code had last run, and
        // `start` is at most `len`: inside them or at their end. Without items the address may be null, and 0 is added
        // to it.
        let next = unsafe { self.items.add(start) }.cast::<Item>();
        Chunk {
            next,
            left: (self.len - start).min(CHUNK_LEN),
            source: PhantomData,
        }
    }

    /// Calls `each` with every element, a chunk at a time.
    pub(crate) fn for_each(
        &self,
        mut each: impl FnMut(usize, Item) -> PyResult<()>,
    ) -> PyResult<()> {
        let mut start = 0;
        while start < self.len {
            self.check(start)?;
            for (distance, &item) in self.chunk(start).iter().enumerate() {
                each(start + distance, item)?;
            }
            start += CHUNK_LEN;
        }
        // The last handlers may have changed what was read before.
        self.check(self.len)
    }
}

/// Elements that are read one at a time: no slice of them, as Python code that runs between two may write to a list's items.
/// Whoever lets it run calls [`Source::check`] or [`Source::expect_same`] before the next.
///
/// **Invariant.** `left` items lie at `next`.
pub(crate) struct Chunk<'a> {
    next: *const Item,
    left: usize,
    source: PhantomData<&'a [Item]>,
}

impl<'a> Chunk<'a> {
    /// The first element.
    pub(crate) fn first(mut self) -> Option<&'a Item> {
        self.next()
    }

    /// The elements in order. Each is to be copied at once.
    #[inline]
    pub(crate) fn iter(self) -> Self {
        self
    }
}

impl<'a> Iterator for Chunk<'a> {
    type Item = &'a Item;

    #[inline]
    fn next(&mut self) -> Option<&'a Item> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: `left` was not zero, so an item lies at `next` (the invariant), a pointer that is not null: a list's
        // are filled by the time that anybody sees it. `Item` is a transparent pointer. Python code that runs while
        // somebody has the reference may write there; so each is copied at once, as `iter` says.
        let item = unsafe { &*self.next };
        // SAFETY: `left` was not zero, so an item lay at `next` (the invariant): the place behind it is inside the
        // items or at their end.
        self.next = unsafe { self.next.add(1) };
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Chunk<'_> {}

/// Where the items of a list or tuple lie, and how many.
fn items(object: &Bound<'_, PyAny>, container: Container) -> (*const *mut PyObject, usize) {
    let object = object.as_ptr();
    let (items, len) = match container {
        // SAFETY: an exact list, held by `object`, whose type says that the thread is attached.
        Container::List => unsafe { items::of_list(object) },
        // SAFETY: an exact tuple, held by `object`, whose type says that the thread is attached.
        Container::Tuple => unsafe { items::of_tuple(object) },
    };
    (items.cast_const(), len)
}

/// Whether an object's class was made by a `class` statement, or like one.
pub(crate) fn is_of_heap_type(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: reads the class in the head of an object that its `Bound` holds; attached, as it shows.
    let class = unsafe { ffi::Py_TYPE(object.as_ptr()) };
    // SAFETY: a live class: `object` is held, and holds its class.
    unsafe { ffi::PyType_HasFeature(class, ffi::Py_TPFLAGS_HEAPTYPE) != 0 }
}

/// Text and bytes at least this long are worth remembering by identity.
pub(crate) const LONG_LEN: usize = 64;

/// How many bytes of a column are long values that were met before: the same object again.
#[derive(Default)]
pub(crate) struct Repeats {
    met: HashSet<usize>,
    bytes: u64,
}

impl Repeats {
    /// Looks at one element, which `extra` more references than those of its owners hold now.
    #[inline]
    pub(crate) fn observe(&mut self, item: Item, value: &Scalar<'_>, extra: isize) {
        if let Scalar::Str(Text { bytes, .. }) | Scalar::Bytes(bytes) = value
            && bytes.len() >= LONG_LEN
            && item.is_shared(extra)
            && !self.met.insert(item.address())
        {
            self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        }
    }

    /// Whether storing each once saves more than half of the column.
    pub(crate) fn pay(&self, survey: &Survey) -> bool {
        self.bytes > survey.span_len() / 2
    }
}

/// The elements of an exact list or tuple.
pub(super) fn exact<'a, 'py>(object: &'a Bound<'py, PyAny>) -> PyResult<Source<'a, 'py>> {
    // Called with exact lists and tuples alone.
    Ok(Source::of(object).ok_or_else(|| Error::from(BuildError::Changed { index: 0 }))?)
}
