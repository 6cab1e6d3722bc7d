//! `Image`: the Python-side owner of one shared object.
//!
//! Arrays, list views and buffers keep it alive; when the last of them goes, the process's hold is given back.
#![deny(unsafe_code)]

use std::sync::OnceLock;

use onecopy::image::Header;
use onecopy::store::{Huge, Object, PrivateMapping, Token};
use onecopy::{FileImage, Store, image};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyString, PyTuple};

use crate::buffer::{ImageBuffer, PrivateBuffer};
use crate::cpython::own_function;
use crate::error::Error;
use crate::node::rebuilt::Rebuilt;

/// Where an image's bytes lie.
enum Backing {
    /// In the store.
    Store(Object),
    /// In a file.
    File(FileImage),
    /// In a buffer that never changes: that of a `bytes`, or of another image.
    Buffer(PyBuffer<u8>),
}

/// One shared object: immutable bytes, held by this process as long as this lives.
#[pyclass(frozen, module = "onecopy._onecopy")]
pub(crate) struct Image {
    backing: Backing,
    /// What the image's header says, once it has been read.
    header: OnceLock<Header>,
    /// Whether pickles in it may be read: those of a store were written by this user's processes.
    allow_pickle: bool,
    pub(crate) rebuilt: Rebuilt,
}

impl Image {
    fn with(backing: Backing, allow_pickle: bool) -> Self {
        Self {
            backing,
            header: OnceLock::new(),
            allow_pickle,
            rebuilt: Rebuilt::default(),
        }
    }

    /// Takes over a hold.
    pub(crate) fn new(object: Object) -> Self {
        Self::with(Backing::Store(object), true)
    }

    /// The image in a file.
    pub(crate) fn of_file(file: FileImage, allow_pickle: bool) -> Self {
        Self::with(Backing::File(file), allow_pickle)
    }

    /// The image in a contiguous and aligned buffer of an object that never changes it.
    pub(crate) fn of_buffer(buffer: PyBuffer<u8>, allow_pickle: bool) -> Self {
        Self::with(Backing::Buffer(buffer), allow_pickle)
    }

    /// An image in the store with these bytes.
    pub(crate) fn copy_of(py: Python<'_>, bytes: &[u8], allow_pickle: bool) -> Result<Self, Error> {
        let object = py.detach(|| -> Result<_, Error> {
            let mut building = Store::current()?.allocate(bytes.len(), Huge::Auto)?;
            building.as_mut_slice().copy_from_slice(bytes);
            Ok(building.publish()?)
        })?;
        Ok(Self::with(Backing::Store(object), allow_pickle))
    }

    /// The image's bytes, which stay where they are as long as this lives.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.backing {
            Backing::Store(object) => object.bytes(),
            Backing::File(file) => file.bytes(),
            Backing::Buffer(buffer) => {
                let start = buffer.buf_ptr().cast::<u8>();
                if start.is_null() {
                    return &[];
                }
                // SAFETY: the exporter keeps as many contiguous bytes in place until the buffer is released, which this
                // value does when it goes; it is a `bytes`, which never changes, or has memory of an image, which does not
                // either: `file` lets no others in.
                #[allow(unsafe_code)]
                unsafe {
                    std::slice::from_raw_parts(start, buffer.len_bytes())
                }
            }
        }
    }

    /// The image. Its header is checked the first time; all views go by what it said then.
    pub(crate) fn open(&self) -> Result<image::Image<'_>, Error> {
        let bytes = self.bytes();
        if let Some(header) = self.header.get() {
            return Ok(image::Image::with_header(bytes, *header)?);
        }
        let opened = image::Image::open(bytes)?;
        let (image_len, root) = (opened.bytes().len() as u64, opened.root_offset());
        let _ = self.header.set(Header { image_len, root });
        Ok(opened)
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
    pub(crate) fn private_mapping(&self, py: Python<'_>) -> PyResult<PrivateMapping> {
        let mapping = py.detach(|| match &self.backing {
            Backing::Store(object) => Some(object.private_mapping()),
            Backing::File(file) => Some(file.private_mapping()),
            Backing::Buffer(_) => None,
        });
        let Some(mapping) = mapping else {
            return Err(PyTypeError::new_err(
                "view: what lies in a buffer cannot be mapped copy-on-write; onecopy.to_python(view) gives a copy",
            ));
        };
        let len = self.bytes().len() as u64;
        Ok(mapping.map_err(|source| Error::Map { len, source })?)
    }

    /// Whether a token says all of it: it lies in the store, and its pickles may be read.
    pub(crate) fn has_token(&self) -> bool {
        // Pickles that were refused here must be refused there too, which a token does not say.
        matches!(self.backing, Backing::Store(_)) && self.allow_pickle
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
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let allowed = self.allow_pickle;
        match &self.backing {
            Backing::Store(_) => {
                let attach = own_function(py, &ATTACH, "_image")?;
                Ok((attach, (self.token(py)?, allowed).into_pyobject(py)?))
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
                let content = PyBytes::new(py, self.bytes());
                Ok((attach, (content, allowed).into_pyobject(py)?))
            }
        }
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
    fn private(&self, py: Python<'_>, offset: usize, byte_len: usize) -> PyResult<PrivateBuffer> {
        self.check(offset, byte_len)?;
        let mapping = self.private_mapping(py)?;
        Ok(PrivateBuffer::new(mapping, offset, byte_len))
    }

    fn __repr__(&self) -> String {
        let place = match &self.backing {
            Backing::Store(object) => object.id().to_string(),
            Backing::File(file) => onecopy::printable_path(file.path()),
            Backing::Buffer(_) => "in a buffer".to_owned(),
        };
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
