//! `TypedView`: a container with a class of its own. The classes that show one are written in Python, in
//! `python/onecopy/_typed_base.py` and beside it; this is their base, which knows where it lies.

use onecopy::image::{Node, Typed, Word};
use pyo3::prelude::*;

use super::methods::view_methods;
use super::reduce::{Reduced, reduce};
use super::repr;
use super::word::word_object;
use crate::error::{Error, corrupt};
use crate::image::{Image, objects};

/// An object that is shared by its content: a subclass of a builtin container, or a type of `collections`.
#[pyclass(frozen, subclass, weakref, module = "onecopy.views")]
pub(crate) struct TypedView {
    image: Py<Image>,
    node: u64,
    content: Py<PyAny>,
}

/// How objects of a class get their content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Entry by entry.
    Dict,
    /// Member by member.
    Set,
    /// All at once, when all is there.
    List,
    /// When they are made.
    Frozen,
    /// They refer to it.
    Holder,
}

impl Family {
    pub(super) fn of(number: u8, at: u64) -> PyResult<Self> {
        Ok(match number {
            0 => Self::Dict,
            1 => Self::Set,
            2 => Self::List,
            3 => Self::Frozen,
            4 => Self::Holder,
            _ => return Err(corrupt(at, "a class of a known family was expected")),
        })
    }
}

/// The view of an object.
pub(super) fn show<'py>(
    image: &Bound<'py, Image>,
    node: u64,
    typed: &Typed<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    let name = typed.class_name().map_err(Error::from)?;
    let content = objects::node(image, typed.content)?;
    let helper = crate::cpython::module(image.py(), "onecopy._typed_classes")?;
    helper.call_method1("show", (image, node, name, content))
}

/// The node of an object, resolved.
pub(super) fn typed_at<T>(
    image: &Bound<'_, Image>,
    node: u64,
    read: impl FnOnce(&Typed<'_>) -> PyResult<T>,
) -> PyResult<T> {
    let opened = image.get().open()?;
    match opened.node(node).map_err(Error::from)? {
        Node::Typed(typed) => read(&typed),
        _ => Err(corrupt(node, "an object with a class was expected")),
    }
}

impl TypedView {
    /// The image and node that it shows.
    pub(crate) fn place(&self, py: Python<'_>) -> (Py<Image>, u64) {
        (self.image.clone_ref(py), self.node)
    }

    fn word<'py>(
        &self,
        py: Python<'py>,
        choose: impl FnOnce(&Typed<'_>) -> Word,
    ) -> PyResult<Bound<'py, PyAny>> {
        let image = self.image.bind(py);
        let word = typed_at(image, self.node, |typed| Ok(choose(typed)))?;
        word_object(image, word, self.node)
    }
}

view_methods!(TypedView generic {
    #[new]
    fn new(image: Py<Image>, node: u64, content: Py<PyAny>) -> Self {
        Self {
            image,
            node,
            content,
        }
    }

    /// The view of the builtin that it adds to.
    #[getter]
    fn _shared_content<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.content.bind(py).clone()
    }

    /// What its class has beside the content.
    #[getter]
    fn _shared_argument<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.word(py, |typed| typed.argument)
    }

    /// Its attributes.
    #[getter]
    fn _shared_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.word(py, |typed| typed.state)
    }

    /// The name of its class, `module:qualname`.
    #[getter]
    fn _shared_class(&self, py: Python<'_>) -> PyResult<String> {
        typed_at(self.image.bind(py), self.node, |typed| {
            Ok(typed.class_name().map_err(Error::from)?)
        })
    }

    /// The image that it is a part of.
    #[getter]
    fn _shared_image(&self, py: Python<'_>) -> Py<Image> {
        self.image.clone_ref(py)
    }

    /// The text that `make` gives, or `short` inside itself.
    fn _shared_text(&self, short: &str, make: &Bound<'_, PyAny>) -> PyResult<String> {
        repr::guarded(self.image.as_ptr().addr(), self.node, short, || {
            make.call0()?.extract()
        })
    }

    /// Bytes of the image that it is a part of.
    #[getter]
    fn nbytes(&self) -> usize {
        self.image.get().bytes().len()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, &self.image, self.node)
    }
});
