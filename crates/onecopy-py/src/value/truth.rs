//! An argument of which only the truth counts, as in `if block:`.
#![forbid(unsafe_code)]

use pyo3::prelude::*;

/// Whether an argument is true, whatever it is.
#[derive(Clone, Copy)]
pub(crate) struct Truth(pub(crate) bool);

impl FromPyObject<'_, '_> for Truth {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        object.is_truthy().map(Self)
    }
}
