//! `ListView` and `TupleView`: an image's elements as Python objects, made when they are asked for.
//!
//! Both classes hold a [`View`] and differ in the words of their messages, in what equals them, and in that tuples have
//! a hash. Reading is in `slots` (`view[i]`, `len`) and `iterator`; what is not per element is here and in `ops`.
#![allow(
    unsafe_op_in_unsafe_fn,
    reason = "in what #[pymethods] generates around the buffer protocol"
)]
#![allow(
    clippy::doc_markdown,
    reason = "docstrings are written for Python's help()"
)]
#![allow(
    clippy::unused_self,
    reason = "methods that refuse do so whatever they are called on"
)]

use std::sync::OnceLock;

use onecopy::image::{Container, Items, Sequence};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PySlice, PyTuple, PyType};

use super::decode::{Codec, Getter, Parts, Steps};
use super::{export, iterator, ops, raw};
use crate::cpython::own_function;
use crate::error::Error;
use crate::image::Image;
use crate::slots::ViewClass;
use crate::value::index;

/// Numbers that can be handed out as they lie: the buffer protocol's letter for them, and bytes per item.
#[derive(Clone, Copy)]
pub(crate) struct Format {
    pub(crate) letter: &'static std::ffi::CStr,
    pub(crate) item_size: usize,
}

/// Some elements of one image.
///
/// **Invariant.** `S1` (see [`Steps`]) holds for `steps` and the image; `P1` to `P4` hold for `parts`, as `object` keeps
/// the image.
pub(crate) struct View {
    pub(crate) image: Py<Image>,
    /// Offset of the list or tuple in the image.
    pub(crate) node: u64,
    pub(crate) container: Container,
    /// Elements of the image.
    pub(crate) count: usize,
    pub(crate) parts: Parts,
    pub(crate) codec: &'static Codec,
    /// The codec's getter, one step nearer.
    pub(crate) get: Getter,
    pub(crate) steps: Steps,
    pub(crate) format: Option<Format>,
    pub(crate) hash: OnceLock<isize>,
}

impl View {
    /// A view of the whole list or tuple at `node`.
    pub(crate) fn of_node(image: &Bound<'_, Image>, node: u64) -> Result<Self, Error> {
        let sequence = image.get().open()?.sequence_at(node)?;
        Ok(Self::of_sequence(image, &sequence))
    }

    /// A view of a list or tuple of this image.
    pub(crate) fn of_sequence(image: &Bound<'_, Image>, sequence: &Sequence<'_>) -> Self {
        let node = sequence.offset();
        let (parts, codec) = Parts::of(image, sequence);
        let (container, len) = (sequence.container(), sequence.len());
        let format = format(sequence);
        let steps = Steps {
            start: 0,
            step: 1,
            len,
        };
        let hash = OnceLock::new();
        Self {
            image: image.clone().unbind(),
            node,
            container,
            count: len,
            parts,
            codec,
            get: codec.get,
            steps,
            format,
            hash,
        }
    }

    /// Other elements of the same image; the steps must stay inside it (S1).
    pub(crate) fn with_steps(&self, py: Python<'_>, steps: Steps) -> Self {
        Self {
            image: self.image.clone_ref(py),
            steps,
            hash: OnceLock::new(),
            ..*self
        }
    }

    /// What the builtin is called.
    pub(crate) fn kind(&self) -> &'static str {
        match self.container {
            Container::List => "list",
            Container::Tuple => "tuple",
        }
    }

    fn slice(&self, slice: &Bound<'_, PySlice>) -> PyResult<Self> {
        let part = slice.indices(self.steps.len.cast_signed())?;
        let steps = self.steps.slice(part.start, part.step, part.slicelength);
        Ok(self.with_steps(slice.py(), steps))
    }

    fn subscript<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        if let Ok(slice) = key.cast::<PySlice>() {
            return wrap(py, self.slice(slice)?);
        }
        let index = index::subscript(key, self.kind())?;
        let at = self.steps.position(index);
        let at = at.ok_or_else(|| index::out_of_range(self.kind()))?;
        raw::get(py, self, at)
    }
}

fn format(sequence: &Sequence<'_>) -> Option<Format> {
    if sequence.validity().is_some() {
        return None;
    }
    let (letter, item_size) = match sequence.items() {
        Items::I8(_) => (c"b", 1),
        Items::I16(_) => (c"h", 2),
        Items::I32(_) => (c"i", 4),
        Items::I64(_) => (c"l", 8),
        Items::U64(_) => (c"L", 8),
        Items::F64(_) => (c"d", 8),
        Items::Bool(_) => (c"?", 1),
        Items::Str(_) | Items::Bytes(_) | Items::Words(_) => return None,
    };
    Some(Format { letter, item_size })
}

const _: () = assert!(size_of::<std::ffi::c_long>() == 8); // what the letters l and L stand for

/// The Python object of a view.
pub(crate) fn wrap(py: Python<'_>, view: View) -> PyResult<Bound<'_, PyAny>> {
    Ok(match view.container {
        Container::List => Bound::new(py, ListView(view))?.into_any(),
        Container::Tuple => Bound::new(py, TupleView(view))?.into_any(),
    })
}

/// The view that an object is, if it is one.
pub(crate) fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a View> {
    if let Ok(list) = object.cast_exact::<ListView>() {
        return Some(&list.get().0);
    }
    object
        .cast_exact::<TupleView>()
        .ok()
        .map(|tuple| &tuple.get().0)
}

fn read_only(kind: &str, what: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "{what}: a shared {kind} never changes; onecopy.to_python(view) gives a real {kind}, \
         onecopy.private(view) a writable copy-on-write array of its numbers"
    ))
}

macro_rules! view_class {
    ($class:ident, $kind:literal, $text_signature:literal, $doc:literal, { $($extra:tt)* }) => {
        #[doc = $doc]
        #[pyclass(frozen, sequence, weakref, module = "onecopy")]
        pub(crate) struct $class(View);

        impl ViewClass for $class {
            const KIND: &'static str = $kind;

            #[inline]
            fn view(&self) -> &View {
                &self.0
            }

            fn generated_subscript() -> &'static OnceLock<ffi::binaryfunc> {
                static GENERATED: OnceLock<ffi::binaryfunc> = OnceLock::new();
                &GENERATED
            }
        }

        #[pymethods]
        impl $class {
            fn __len__(&self) -> usize {
                self.0.steps.len
            }

            fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                self.0.subscript(key)
            }

            fn __setitem__(&self, _key: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
                Err(read_only($kind, concat!("'", stringify!($class), "' object does not support item assignment")))
            }

            fn __delitem__(&self, _key: &Bound<'_, PyAny>) -> PyResult<()> {
                Err(read_only($kind, concat!("'", stringify!($class), "' object does not support item deletion")))
            }

            fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                let view = &slf.get().0;
                iterator::new(slf.as_any(), view, &view.steps)
            }

            /// Yields the elements from the last to the first.
            fn __reversed__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                let view = &slf.get().0;
                iterator::new(slf.as_any(), view, &view.steps.reversed())
            }

            fn __contains__(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
                Ok(ops::find(&self.0, value, 0, self.0.steps.len)?.is_some())
            }

            fn __richcmp__<'py>(
                slf: &Bound<'py, Self>,
                other: &Bound<'py, PyAny>,
                op: CompareOp,
            ) -> PyResult<Bound<'py, PyAny>> {
                ops::compare(slf.as_any(), &slf.get().0, other, op)
            }

            fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
                ops::repr(slf.py(), &slf.get().0, stringify!($class))
            }

            fn __concat__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                ops::concat(slf.as_any(), other, &slf.get().0)
            }

            fn __radd__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                ops::reflected_concat(other, slf.as_any(), &slf.get().0)
            }

            fn __repeat__<'py>(slf: &Bound<'py, Self>, count: isize) -> PyResult<Bound<'py, PyAny>> {
                ops::repeat(slf.py(), &slf.get().0, count)
            }

            /// Returns the index of the first element that equals `value`, between `start` and `stop`.
            ///
            /// Raises ValueError if there is none.
            #[pyo3(signature = (value, start = None, stop = None, /), text_signature = $text_signature)]
            fn index(
                &self,
                value: &Bound<'_, PyAny>,
                start: Option<&Bound<'_, PyAny>>,
                stop: Option<&Bound<'_, PyAny>>,
            ) -> PyResult<usize> {
                ops::index(&self.0, value, start, stop)
            }

            /// Returns how many elements equal `value`.
            #[pyo3(signature = (value, /))]
            fn count(&self, value: &Bound<'_, PyAny>) -> PyResult<usize> {
                ops::count(&self.0, value)
            }

            /// Returns the view itself: what cannot change need not be copied.
            fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
                slf
            }

            /// Returns the view itself: what cannot change need not be copied.
            fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
                slf
            }

            /// Returns a real list of the elements.
            fn tolist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                ops::to_builtin(py, &self.0, Container::List)
            }

            fn _to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                ops::to_builtin(py, &self.0, self.0.container)
            }

            /// Returns what pickle needs to attach the same memory in another process: a token, no data.
            fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
                reduce(py, &self.0)
            }

            /// Returns the elements as a NumPy array: without copying if they are numbers without None.
            #[pyo3(signature = (dtype = None, copy = None))]
            fn __array__<'py>(
                slf: &Bound<'py, Self>,
                dtype: Option<&Bound<'py, PyAny>>,
                copy: Option<bool>,
            ) -> PyResult<Bound<'py, PyAny>> {
                export::array(slf.as_any(), &slf.get().0, dtype, copy)
            }

            #[allow(unsafe_code)] // The protocol hands over a raw structure to fill.
            unsafe fn __getbuffer__(
                slf: &Bound<'_, Self>,
                buffer: *mut ffi::Py_buffer,
                flags: std::ffi::c_int,
            ) -> PyResult<()> {
                // SAFETY: the interpreter gives a structure to fill.
                unsafe { export::get_buffer(slf.as_any(), &slf.get().0, buffer, flags) }
            }

            #[allow(unsafe_code)] // The protocol hands over the raw structure that was filled.
            unsafe fn __releasebuffer__(&self, buffer: *mut ffi::Py_buffer) {
                // SAFETY: the interpreter gives back a structure that `get_buffer` filled.
                unsafe { export::release_buffer(buffer) }
            }

            /// Generic alias for annotations such as `ListView[int]`.
            #[classmethod]
            fn __class_getitem__<'py>(
                class: &Bound<'py, PyType>,
                item: &Bound<'py, PyAny>,
            ) -> PyResult<Bound<'py, PyAny>> {
                class.py().import("types")?.getattr("GenericAlias")?.call1((class, item))
            }

            $($extra)*
        }
    };
}

view_class!(
    ListView,
    "list",
    "($self, value, start=0, stop=sys.maxsize, /)",
    "A shared list: looks like a list, never changes, and is one copy in memory for all processes.\n\n\
     Elements are made when they are read, so `view[0] is view[0]` need not hold, and a NaN in it\n\
     equals nothing, not even when it was the very object that was shared.\n\n\
     Example:\n    >>> import onecopy\n    >>> view = onecopy.share([3, 1, 2])\n    >>> sorted(view), view[1:]\n    \
     ([1, 2, 3], ListView([1, 2]))",
    {
        /// Returns a real list of the elements.
        fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
            ops::to_builtin(py, &self.0, Container::List)
        }

        /// Raises TypeError: a shared list never changes.
        #[pyo3(signature = (*_args))]
        fn append(&self, _args: &Bound<'_, PyTuple>) -> PyResult<()> {
            Err(read_only("list", "cannot append"))
        }

        /// Raises TypeError: a shared list never changes.
        #[pyo3(signature = (*_args))]
        fn extend(&self, _args: &Bound<'_, PyTuple>) -> PyResult<()> {
            Err(read_only("list", "cannot extend"))
        }

        /// Raises TypeError: a shared list never changes.
        #[pyo3(signature = (*_args))]
        fn insert(&self, _args: &Bound<'_, PyTuple>) -> PyResult<()> {
            Err(read_only("list", "cannot insert"))
        }

        /// Raises TypeError: a shared list never changes.
        #[pyo3(signature = (*_args))]
        fn pop(&self, _args: &Bound<'_, PyTuple>) -> PyResult<()> {
            Err(read_only("list", "cannot pop"))
        }

        /// Raises TypeError: a shared list never changes.
        #[pyo3(signature = (*_args))]
        fn remove(&self, _args: &Bound<'_, PyTuple>) -> PyResult<()> {
            Err(read_only("list", "cannot remove"))
        }

        /// Raises TypeError: a shared list never changes.
        fn clear(&self) -> PyResult<()> {
            Err(read_only("list", "cannot clear"))
        }

        /// Raises TypeError: a shared list never changes.
        fn reverse(&self) -> PyResult<()> {
            Err(read_only(
                "list",
                "cannot reverse in place (use view[::-1])",
            ))
        }

        /// Raises TypeError: a shared list never changes.
        #[pyo3(signature = (**_kwargs))]
        fn sort(&self, _kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
            Err(read_only("list", "cannot sort in place (use sorted(view))"))
        }

        fn __iadd__(&self, _other: &Bound<'_, PyAny>) -> PyResult<()> {
            Err(read_only(
                "list",
                "cannot extend in place (use view + other)",
            ))
        }

        fn __imul__(&self, _count: &Bound<'_, PyAny>) -> PyResult<()> {
            Err(read_only(
                "list",
                "cannot repeat in place (use view * count)",
            ))
        }
    }
);

view_class!(
    TupleView,
    "tuple",
    "($self, value, start=0, stop=sys.maxsize, /)",
    "A shared tuple: looks like a tuple, hashes like one, and is one copy in memory for all processes.\n\n\
     Elements are made when they are read, so `view[0] is view[0]` need not hold, and a NaN in it\n\
     equals nothing, not even when it was the very object that was shared.\n\n\
     Example:\n    >>> import onecopy\n    >>> view = onecopy.share((3, 1, 2))\n    >>> view == (3, 1, 2), {view: 'found'}[(3, 1, 2)]\n    \
     (True, 'found')",
    {
        fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
            ops::hash(py, &self.0)
        }
    }
);

static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn reduce<'py>(py: Python<'py>, view: &View) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
    let attach = own_function(py, &ATTACH, "_attach_view")?;
    let Steps { start, step, len } = view.steps;
    let image = view.image.get();
    let arguments = if image.has_token() && image.open()?.root_offset() == view.node {
        // The commonest, and the shortest.
        (image.token(py)?, start, step, len).into_pyobject(py)?
    } else {
        (view.image.clone_ref(py), start, step, len, view.node).into_pyobject(py)?
    };
    Ok((attach, arguments))
}

/// Unpickles a view: shows the same elements of the image, which may come as its token. Without a node it is the root.
#[pyfunction]
#[pyo3(signature = (image, start, step, len, node = None))]
pub(crate) fn _attach_view<'py>(
    image: &Bound<'py, PyAny>,
    start: isize,
    step: isize,
    len: usize,
    node: Option<u64>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    let image = match image.cast::<Image>() {
        Ok(image) => image.clone(),
        Err(_) => Bound::new(py, Image::attach(py, image.extract()?)?)?,
    };
    let node = match node {
        Some(node) => node,
        None => image.get().open()?.root_offset(),
    };
    let mut view = View::of_node(&image, node)?;
    let count = view.steps.len;
    view.steps = Steps::checked(start, step, len, count).ok_or_else(|| {
        PyIndexError::new_err(format!(
            "{len} elements from {start} on, {step} apart, do not lie in {count} elements"
        ))
    })?;
    wrap(py, view)
}
