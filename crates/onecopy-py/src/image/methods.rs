//! What Python can do with an `Image`.
#![forbid(unsafe_code)]

use onecopy::store::{Object, Token};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyTuple};

use super::buffer::{ImageBuffer, PrivateBuffer};
use super::owner::{Backing, Image};
use crate::cpython::own_function;
use crate::error::Error;

#[pymethods]
impl Image {
    /// Turns a token of 64 bytes into the image, in any process of the same user.
    #[staticmethod]
    pub(crate) fn attach(py: Python<'_>, token: &[u8]) -> Result<Self, Error> {
        let token = Token::from_bytes(token)?;
        Ok(Self::new(py.detach(|| Object::attach(&token))?))
    }

    /// Makes a token for another process: 64 bytes, counted as an interest in the image until attached once.
    pub(crate) fn token<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let Backing::Store(object) = &self.backing else {
            return Err(PyTypeError::new_err(
                "only an image in the store has a token",
            ));
        };
        let token = py.detach(|| object.token()).map_err(Error::from)?;
        Ok(PyBytes::new(py, &token.to_bytes()))
    }

    /// Returns what pickle needs to attach the same memory in another process, or the file; a buffer goes by its content.
    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, image) = (slf.py(), slf.get());
        if image.is_hashed(py)? {
            return Self::reduce_hashed(slf);
        }
        let allowed = image.allow_pickle;
        match &image.backing {
            Backing::Store(_) => {
                let attach = own_function(py, &ATTACH, "_image")?;
                Ok((attach, (image.token(py)?, allowed).into_pyobject(py)?))
            }
            Backing::File(file) => {
                let attach = own_function(py, &ATTACH_FILE, "_file_image")?;
                let known = file.identity();
                let identity = (known.len, known.inode, known.modified_ns);
                let path = file.path().as_os_str();
                Ok((attach, (path, identity, allowed).into_pyobject(py)?))
            }
            Backing::Buffer(_) => {
                let attach = own_function(py, &ATTACH_BUFFER, "_buffer_image")?;
                let content = PyBytes::new(py, image.bytes());
                Ok((attach, (content, allowed).into_pyobject(py)?))
            }
        }
    }

    /// Bytes of the image.
    #[getter]
    fn nbytes(&self) -> usize {
        self.bytes().len()
    }

    /// Whether what is pickled in it may be read, and classes that it names be imported.
    #[getter(allows_pickle)]
    fn may_be_unpickled(&self) -> bool {
        self.allows_pickle()
    }

    /// Whether a token says all of it.
    #[getter(has_token)]
    fn has_whole_token(&self) -> bool {
        self.has_token()
    }

    /// Whether it is pickled as a token or a path, and not by its content.
    #[getter]
    fn is_named(&self) -> bool {
        !matches!(self.backing, Backing::Buffer(_))
    }

    /// Whether what is being pickled at the moment is going to be hashed.
    #[pyo3(name = "is_hashed")]
    fn is_being_hashed(&self, py: Python<'_>) -> PyResult<bool> {
        self.is_hashed(py)
    }

    /// Exports part of the image, read-only; `node` is the node whose data they are, 0 for the root.
    pub(crate) fn buffer(
        slf: &Bound<'_, Self>,
        offset: usize,
        byte_len: usize,
        node: u64,
    ) -> Result<ImageBuffer, Error> {
        slf.get().check(offset, byte_len)?;
        Ok(ImageBuffer::new(
            slf.clone().unbind(),
            offset,
            byte_len,
            node,
        ))
    }

    /// Maps the image copy-on-write and exports part of it, writable.
    fn private(&self, py: Python<'_>, offset: usize, byte_len: usize) -> PyResult<PrivateBuffer> {
        self.check(offset, byte_len)?;
        let mapping = self.private_mapping(py)?;
        Ok(PrivateBuffer::new(mapping, offset, byte_len))
    }

    /// Where it lies: the same text in every process that reads it.
    #[getter]
    fn place(&self) -> String {
        match &self.backing {
            Backing::Store(object) => object.id().to_string(),
            Backing::File(file) => onecopy::printable_path(file.path()),
            Backing::Buffer(_) => "in a buffer".to_owned(),
        }
    }

    fn __repr__(&self) -> String {
        let place = self.place();
        format!("<onecopy image {place} of {} bytes>", self.bytes().len())
    }
}

static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static ATTACH_FILE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static ATTACH_BUFFER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Unpickles an image.
#[pyfunction]
pub(crate) fn _image(py: Python<'_>, token: &[u8], allow_pickle: bool) -> Result<Image, Error> {
    let mut image = Image::attach(py, token)?;
    image.allow_pickle = allow_pickle;
    Ok(image)
}
