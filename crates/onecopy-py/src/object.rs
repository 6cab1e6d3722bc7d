//! `Image`: the Python-side owner of one shared object.
//!
//! Arrays, list views and buffers keep it alive; when the last of them goes, the process's hold is given back.
#![forbid(unsafe_code)]

use onecopy::store::{Huge, Object, Token};
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyString};

use crate::buffer::{ImageBuffer, PrivateBuffer};
use crate::error::Error;

/// One shared object: immutable bytes in the store, held by this process as long as this lives.
#[pyclass(frozen, module = "onecopy._onecopy")]
pub(crate) struct Image {
    object: Object,
}

impl Image {
    /// Takes over a hold.
    pub(crate) fn new(object: Object) -> Self {
        Self { object }
    }

    /// The object, for readers in Rust.
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// Checks that `len` bytes at `offset` lie inside the image.
    fn check(&self, offset: usize, len: usize) -> PyResult<()> {
        let found = self.object.bytes().len();
        if offset.checked_add(len).is_none_or(|end| end > found) {
            return Err(PyIndexError::new_err(format!(
                "{len} bytes at offset {offset} reach past the image, which has {found} bytes"
            )));
        }
        Ok(())
    }
}

#[pymethods]
impl Image {
    /// Turns a token of 64 bytes into the image, in any process of the same user.
    #[staticmethod]
    fn attach(py: Python<'_>, token: &[u8]) -> Result<Self, Error> {
        let token = Token::from_bytes(token)?;
        Ok(Self {
            object: py.detach(|| Object::attach(&token))?,
        })
    }

    /// Makes a token for another process: 64 bytes, counted as an interest in the image until attached once.
    fn token<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>, Error> {
        let token = py.detach(|| self.object.token())?;
        Ok(PyBytes::new(py, &token.to_bytes()))
    }

    /// Bytes of the image.
    #[getter]
    fn nbytes(&self) -> usize {
        self.object.bytes().len()
    }

    /// Exports part of the image, read-only.
    fn buffer(slf: &Bound<'_, Self>, offset: usize, byte_len: usize) -> Result<ImageBuffer, Error> {
        slf.get().check(offset, byte_len)?;
        Ok(ImageBuffer::new(slf.clone().unbind(), offset, byte_len))
    }

    /// Maps the image copy-on-write and exports part of it, writable.
    fn private(
        &self,
        py: Python<'_>,
        offset: usize,
        byte_len: usize,
    ) -> Result<PrivateBuffer, Error> {
        self.check(offset, byte_len)?;
        let mapping = py
            .detach(|| self.object.private_mapping())
            .map_err(|source| Error::Map {
                len: self.object.bytes().len() as u64,
                source,
            })?;
        Ok(PrivateBuffer::new(mapping, offset, byte_len))
    }

    fn __repr__(&self) -> String {
        format!(
            "<onecopy image {} of {} bytes>",
            self.object.id(),
            self.object.bytes().len()
        )
    }
}

/// Reads the argument `huge`: `"auto"`, `True` or `False`.
pub(crate) fn huge(value: &Bound<'_, PyAny>) -> PyResult<Huge> {
    if let Ok(flag) = value.cast_exact::<PyBool>() {
        return Ok(if flag.is_true() {
            Huge::Always
        } else {
            Huge::Never
        });
    }
    let Ok(text) = value.cast::<PyString>() else {
        let found = value.get_type();
        return Err(PyTypeError::new_err(format!(
            "huge must be \"auto\", True or False, not {}",
            found.name()?
        )));
    };
    if text.to_str()? == "auto" {
        return Ok(Huge::Auto);
    }
    Err(PyValueError::new_err(format!(
        "huge must be \"auto\", True or False, not {}",
        text.repr()?
    )))
}
