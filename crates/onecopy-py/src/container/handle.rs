//! What all containers have in common: pickling to a token, annotations.
#![forbid(unsafe_code)]

use onecopy::Token;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyTuple, PyType};

use crate::cpython::{import_once, own_function};
use crate::error::Error;

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

/// The argument behind those that have a name, if there is one: for parameters without a default that can be told from
/// every value.
pub(super) fn at_most_one<'py>(
    function: &str,
    arguments: &Bound<'py, PyTuple>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match arguments.len() {
        0 => Ok(None),
        1 => arguments.get_item(0).map(Some),
        count => Err(PyTypeError::new_err(format!(
            "{function}() takes one default, not {count}"
        ))),
    }
}
