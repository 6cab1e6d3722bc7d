//! Reads a real list or tuple while it is being shared.
//!
//! The interpreter's lock is held and no Python code runs between two calls of [`Source::check`], so nothing can change
//! in between. `check` lets signal handlers run, which may do anything: afterwards the items are looked up again, and a
//! list that has another length or has moved its items is refused. An element that was exchanged is found by the writer,
//! or is shared as it is now.
#![allow(unsafe_code)] // Reads lists, ints and strs in place.

use std::collections::HashSet;
use std::marker::PhantomData;

use onecopy::image::{BuildError, Container, Scalar, Survey, Text, TextKind};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::error::Error;
use crate::list::pylong;

/// Elements between two looks at pending signals: less than a millisecond of work.
pub(crate) const CHUNK_LEN: usize = 1 << 16;

/// A list or tuple and where its items were when it was last looked at.
pub(crate) struct Source<'a, 'py> {
    object: &'a Bound<'py, PyAny>,
    pub(crate) container: Container,
    items: *const *mut PyObject,
    len: usize,
}

/// An element that is borrowed from its source until Python code runs.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Item(*mut PyObject);

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
        // SAFETY: `start` is at most the number of items.
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
        // SAFETY: an item lies there, as checked when Python code had last run, and is not null: a list's are filled by
        // the time that anybody sees it. `Item` is a transparent pointer.
        let item = unsafe { &*self.next };
        // SAFETY: there was one, so the place behind it is at most the end.
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
    // SAFETY: an exact list or tuple.
    let len = unsafe { ffi::Py_SIZE(object) };
    let items = match container {
        // SAFETY: an exact list.
        Container::List => unsafe { (*object.cast::<ffi::PyListObject>()).ob_item },
        // SAFETY: an exact tuple; the address of a field, nothing is read.
        Container::Tuple => unsafe {
            (&raw mut (*object.cast::<ffi::PyTupleObject>()).ob_item).cast()
        },
    };
    (items.cast_const(), len.unsigned_abs())
}

/// Whether an object's class was made by a `class` statement, or like one.
pub(crate) fn is_of_heap_type(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a live object.
    let class = unsafe { ffi::Py_TYPE(object.as_ptr()) };
    // SAFETY: a live type.
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
            && !self.met.insert(item.0.addr())
        {
            self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        }
    }

    /// Whether storing each once saves more than half of the column.
    pub(crate) fn pay(&self, survey: &Survey) -> bool {
        self.bytes > survey.span_len() / 2
    }
}

impl Item {
    /// The element that an object is.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> Self {
        Self(object.as_ptr())
    }

    /// The element as an object that is kept alive.
    pub(crate) fn object(self, py: Python<'_>) -> Bound<'_, PyAny> {
        // SAFETY: an element of a live source, which has not changed since it was read.
        unsafe { Bound::from_borrowed_ptr(py, self.0) }
    }

    /// The element's identity.
    pub(crate) fn address(self) -> usize {
        self.0.addr()
    }

    /// Whether more than one owner refers to it, not counting `extra` references of the walk itself.
    #[inline]
    pub(crate) fn is_shared(self, extra: isize) -> bool {
        // SAFETY: an element of a live source.
        unsafe { ffi::Py_REFCNT(self.0) > 1 + extra }
    }

    fn class(self) -> *mut ffi::PyTypeObject {
        // SAFETY: an element of a live source.
        unsafe { ffi::Py_TYPE(self.0) }
    }

    /// The value of an exact int of 64 bits.
    #[inline]
    pub(crate) fn int(self) -> Option<i64> {
        // SAFETY: an element of a live source.
        if !unsafe { pylong::is_exact_int(self.0) } {
            return None;
        }
        // SAFETY: just checked.
        unsafe { pylong::to_i64(self.0) }
    }

    /// The value of an exact float.
    #[inline]
    pub(crate) fn float(self) -> Option<f64> {
        if !std::ptr::eq(self.class(), &raw const ffi::PyFloat_Type) {
            return None;
        }
        // SAFETY: an exact float.
        Some(unsafe { ffi::PyFloat_AS_DOUBLE(self.0) })
    }

    /// The value of a bool.
    #[inline]
    pub(crate) fn bool(self) -> Option<bool> {
        // SAFETY: reads the address of a static.
        if std::ptr::eq(self.0, unsafe { ffi::Py_True() }) {
            return Some(true);
        }
        // SAFETY: reads the address of a static.
        std::ptr::eq(self.0, unsafe { ffi::Py_False() }).then_some(false)
    }

    /// Whether it is `None`.
    #[inline]
    fn is_none(self) -> bool {
        // SAFETY: reads the address of a static.
        std::ptr::eq(self.0, unsafe { ffi::Py_None() })
    }

    /// The element's value if it is exactly of a type that images hold. A large int is written to `scratch`.
    #[inline]
    pub(crate) fn scalar(self, scratch: &mut Vec<u8>) -> Option<Scalar<'_>> {
        let class = self.class().cast_const();
        if std::ptr::eq(class, &raw const ffi::PyUnicode_Type) {
            // SAFETY: an exact str.
            if !unsafe { is_ready(self.0) } {
                return None;
            }
            // SAFETY: an exact str, just found ready; it lives as long as its source is not changed.
            return Some(Scalar::Str(unsafe { text(self.0) }));
        }
        if std::ptr::eq(class, &raw const ffi::PyLong_Type) {
            // SAFETY: an exact int.
            return Some(unsafe { self.long(scratch) });
        }
        if let Some(value) = self.float() {
            return Some(Scalar::Float(value));
        }
        if self.is_none() {
            return Some(Scalar::None);
        }
        if let Some(value) = self.bool() {
            return Some(Scalar::Bool(value));
        }
        if std::ptr::eq(class, &raw const ffi::PyComplex_Type) {
            // SAFETY: an exact complex.
            let real = unsafe { ffi::PyComplex_RealAsDouble(self.0) };
            // SAFETY: an exact complex.
            let imaginary = unsafe { ffi::PyComplex_ImagAsDouble(self.0) };
            return Some(Scalar::Complex(real, imaginary));
        }
        if std::ptr::eq(class, &raw const ffi::PyBytes_Type) {
            // SAFETY: exact bytes.
            let start = unsafe { ffi::PyBytes_AsString(self.0) };
            // SAFETY: exact bytes.
            let len = unsafe { ffi::Py_SIZE(self.0) };
            // SAFETY: bytes never change and live as long as their source is not changed.
            let content = unsafe { std::slice::from_raw_parts(start.cast(), len.unsigned_abs()) };
            return Some(Scalar::Bytes(content));
        }
        None
    }

    /// # Safety
    /// - the element is an exact int.
    unsafe fn long(self, scratch: &mut Vec<u8>) -> Scalar<'_> {
        // SAFETY: the caller's word.
        if let Some(value) = unsafe { pylong::to_i64(self.0) } {
            return Scalar::Int(value);
        }
        // SAFETY: the caller's word; the element lives while Python code does not run.
        let (negative, digits) = unsafe { pylong::digits(self.0) };
        if let Some(value) = pylong::to_large_u64(negative, digits) {
            return Scalar::Uint(value);
        }
        pylong::to_bytes(negative, digits, scratch);
        Scalar::Big(scratch)
    }
}

/// Whether the characters of a str are laid out. Before 3.12 one may exist whose are not; then they are laid out now.
///
/// # Safety
/// - `object` is an exact str.
#[inline]
unsafe fn is_ready(object: *mut PyObject) -> bool {
    // SAFETY: the caller's word. Since 3.12 this does nothing.
    unsafe { ffi::PyUnicode_READY(object) == 0 }
}

/// The characters of a str, in place.
///
/// # Safety
/// - `object` is an exact str that is ready and outlives the result.
#[inline]
unsafe fn text<'a>(object: *mut PyObject) -> Text<'a> {
    // SAFETY: an exact str that is ready.
    let width = unsafe { ffi::PyUnicode_KIND(object) } as usize;
    // SAFETY: as above.
    let start = unsafe { ffi::PyUnicode_DATA(object) }.cast::<u8>();
    // SAFETY: as above.
    let count = unsafe { ffi::PyUnicode_GET_LENGTH(object) }.unsigned_abs();
    // SAFETY: a str of `count` characters of this width; it never changes.
    let bytes = unsafe { std::slice::from_raw_parts(start, count * width) };
    // PyO3 does not have the flag of 3.14; a str of one byte a character is ASCII exactly if its bytes are.
    #[cfg(Py_3_14)]
    let ascii = width == 1 && bytes.is_ascii();
    // SAFETY: as above.
    #[cfg(not(Py_3_14))]
    let ascii = unsafe { ffi::PyUnicode_IS_ASCII(object) } != 0;
    let kind = match width {
        1 if ascii => TextKind::Ascii,
        1 => TextKind::Latin1,
        2 => TextKind::Ucs2,
        _ => TextKind::Ucs4,
    };
    Text { kind, bytes }
}
