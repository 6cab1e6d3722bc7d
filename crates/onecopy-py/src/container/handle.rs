//! What all containers have in common: pickling to a token, annotations.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use onecopy::shared::Reference;
use onecopy::{Store, Token};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyType};

use crate::cpython::{check_importing, import_once, own_function};
use crate::error::Error;

/// The store in which a new container is made.
pub(super) fn store() -> PyResult<Store> {
    // This thread is attached already: a class is called, or a method.
    Python::attach(check_importing)?;
    Ok(Store::current().map_err(Error::from)?)
}

/// What pickling a container gives.
pub(super) type Reduced<'py> = (Bound<'py, PyAny>, (Bound<'py, PyBytes>,));

/// Pickles a container as a token, which `attach`, a function of this module, turns into the container again.
pub(super) fn reduce<'py>(
    py: Python<'py>,
    known: &'static PyOnceLock<Py<PyAny>>,
    attach: &'static str,
    token: &Token,
) -> PyResult<Reduced<'py>> {
    let attach = own_function(py, known, attach)?;
    Ok((attach, (PyBytes::new(py, &token.to_bytes()),)))
}

/// The hash of what compares by the object of the store that it stands for.
pub(super) fn hash(reference: &Reference) -> u64 {
    let mut hasher = DefaultHasher::new();
    reference.id().hash(&mut hasher);
    hasher.finish()
}

/// Refuses what a class is made with, but for one value.
pub(super) fn no_keywords(class: &str, named: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    if named.is_some_and(|named| !named.is_empty()) {
        let text = format!("{class}() takes no keyword arguments");
        return Err(PyTypeError::new_err(text));
    }
    Ok(())
}

static DEEP_COPY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// What `copy.deepcopy` makes of a container, once for each `place`: its own of what is in it.
pub(super) fn deep_copy<'py, T>(
    container: &Bound<'py, T>,
    place: u64,
    memo: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let make = import_once(
        container.py(),
        &DEEP_COPY,
        "onecopy._containers",
        "deep_copy",
    )?;
    make.call1((container.as_any(), place, memo))
}

/// What is raised instead of a copy: others wait for this one.
#[cold]
pub(super) fn no_copy<T>(object: &Bound<'_, T>) -> PyErr {
    let object = object.as_any();
    match object.get_type().name() {
        Ok(name) => PyTypeError::new_err(format!(
            "onecopy.{name} cannot be copied: processes wait for this one. Hand it over as it is"
        )),
        Err(error) => error,
    }
}

/// A token that was pickled.
pub(super) fn token(bytes: &[u8]) -> PyResult<Token> {
    Ok(Token::from_bytes(bytes).map_err(Error::from)?)
}

static ALIAS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// `types.GenericAlias(class, item)`: annotations such as `List[int]`.
pub(super) fn generic<'py>(
    class: &Bound<'py, PyType>,
    item: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    import_once(class.py(), &ALIAS, "types", "GenericAlias")?.call1((class, item))
}

/// An argument without a default: `None` is a value like any other.
#[derive(Debug)]
pub(super) struct Given<'py>(pub(super) Option<Bound<'py, PyAny>>);

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = Infallible;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Self(Some(object.to_owned())))
    }
}
