//! `Image`: the Python-side owner of one shared object.
//!
//! Arrays, list views and buffers keep it alive; when the last of them goes, the process's hold is given back.
#![forbid(unsafe_code)]

use onecopy::image;
use onecopy::store::{Huge, Object, PrivateMapping, Token};
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyString};

use crate::buffer::{ImageBuffer, PrivateBuffer};
use crate::error::Error;
use crate::node::rebuilt::Rebuilt;

/// One shared object: immutable bytes, held by this process as long as this lives.
#[pyclass(frozen, module = "onecopy._onecopy")]
pub(crate) struct Image {
    object: Object,
    /// Whether pickles in it may be read: those of a store were written by this user's processes.
    allow_pickle: bool,
    pub(crate) rebuilt: Rebuilt,
}

impl Image {
    /// Takes over a hold.
    pub(crate) fn new(object: Object) -> Self {
        Self {
            object,
            allow_pickle: true,
            rebuilt: Rebuilt::default(),
        }
    }

    /// The image's bytes, which stay where they are as long as this lives.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.object.bytes()
    }

    /// The image, its header checked.
    pub(crate) fn open(&self) -> Result<image::Image<'_>, Error> {
        Ok(image::Image::open(self.bytes())?)
    }

    /// The array at a node, or the root if that is 0.
    pub(crate) fn array_at(&self, node: u64) -> Result<image::Array<'_>, Error> {
        let image = self.open()?;
        match image.node(if node == 0 { image.root_offset() } else { node })? {
            image::Node::Array(array) => Ok(array),
            _ => Err(Error::Image(image::ImageError::Corrupt {
                offset: node,
                what: "an array was expected",
            })),
        }
    }

    /// Whether pickles in it may be read.
    pub(crate) fn allows_pickle(&self) -> bool {
        self.allow_pickle
    }

    /// Maps the image copy-on-write.
    pub(crate) fn private_mapping(&self, py: Python<'_>) -> Result<PrivateMapping, Error> {
        py.detach(|| self.object.private_mapping())
            .map_err(|source| Error::Map {
                len: self.bytes().len() as u64,
                source,
            })
    }

    /// Checks that `len` bytes at `offset` lie inside the image.
    fn check(&self, offset: usize, len: usize) -> PyResult<()> {
        let found = self.bytes().len();
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
    pub(crate) fn attach(py: Python<'_>, token: &[u8]) -> Result<Self, Error> {
        let token = Token::from_bytes(token)?;
        Ok(Self::new(py.detach(|| Object::attach(&token))?))
    }

    /// Makes a token for another process: 64 bytes, counted as an interest in the image until attached once.
    pub(crate) fn token<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>, Error> {
        let token = py.detach(|| self.object.token())?;
        Ok(PyBytes::new(py, &token.to_bytes()))
    }

    /// Returns what pickle needs to attach the same memory in another process.
    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let attach = crate::node::function(py, &ATTACH, "_image")?;
        Ok((attach, (self.token(py)?,)))
    }

    /// Bytes of the image.
    #[getter]
    fn nbytes(&self) -> usize {
        self.bytes().len()
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
    fn private(
        &self,
        py: Python<'_>,
        offset: usize,
        byte_len: usize,
    ) -> Result<PrivateBuffer, Error> {
        self.check(offset, byte_len)?;
        let mapping = self.private_mapping(py)?;
        Ok(PrivateBuffer::new(mapping, offset, byte_len))
    }

    fn __repr__(&self) -> String {
        format!(
            "<onecopy image {} of {} bytes>",
            self.object.id(),
            self.bytes().len()
        )
    }
}

static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Unpickles an image.
#[pyfunction]
pub(crate) fn _image(py: Python<'_>, token: &[u8]) -> Result<Image, Error> {
    Image::attach(py, token)
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
