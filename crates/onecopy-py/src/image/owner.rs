//! `Image`: the Python-side owner of one shared object.
//!
//! Arrays, list views and buffers keep it alive; when the last of them goes, the process's hold is given back.
#![deny(unsafe_code)]

use std::sync::OnceLock;

use onecopy::image::{Array, Header, ImageError, Node};
use onecopy::store::{Huge, Object, PrivateMapping};
use onecopy::{FileImage, Store};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;

use super::Opened;
use super::kept::Kept;
use crate::error::Error;

/// Where an image's bytes lie.
pub(super) enum Backing {
    /// In the store.
    Store(Object),
    /// In a file.
    File(FileImage),
    /// In a buffer that never changes: that of a `bytes`, or of another image.
    Buffer(PyBuffer<u8>),
}

/// One shared object: immutable bytes, held by this process as long as this lives.
#[pyclass(frozen, weakref, module = "onecopy._onecopy")]
pub(crate) struct Image {
    pub(super) backing: Backing,
    /// What the image's header says, once it has been read.
    header: OnceLock<Header>,
    /// Of all its bytes, once somebody has hashed a view.
    pub(super) digest: OnceLock<u128>,
    /// Whether pickles in it may be read: those of a store were written by this user's processes.
    pub(super) allow_pickle: bool,
    /// What was made of it before.
    pub(crate) kept: Kept,
}

impl Image {
    fn with(backing: Backing, allow_pickle: bool) -> Self {
        Self {
            backing,
            header: OnceLock::new(),
            digest: OnceLock::new(),
            allow_pickle,
            kept: Kept::default(),
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
                // SAFETY: `start` is not null, as was just found. The exporter keeps as many contiguous bytes there
                // until the buffer is released, which this value does when it goes. It is a `bytes`, which never
                // changes, or has memory of an image, which does not either: `api/file.rs` lets no others in.
                #[allow(unsafe_code)]
                unsafe {
                    std::slice::from_raw_parts(start, buffer.len_bytes())
                }
            }
        }
    }

    /// The image. Its header is checked the first time; all views go by what it said then.
    pub(crate) fn open(&self) -> Result<Opened<'_>, Error> {
        let bytes = self.bytes();
        if let Some(header) = self.header.get() {
            return Ok(Opened::with_header(bytes, *header)?);
        }
        let opened = Opened::open(bytes)?;
        let (image_len, root) = (opened.bytes().len() as u64, opened.root_offset());
        let _ = self.header.set(Header { image_len, root });
        Ok(opened)
    }

    /// The array at a node, or the root if that is 0.
    pub(crate) fn array_at(&self, node: u64) -> Result<Array<'_>, Error> {
        let image = self.open()?;
        match image.node(if node == 0 { image.root_offset() } else { node })? {
            Node::Array(array) => Ok(array),
            _ => Err(Error::Image(ImageError::Corrupt {
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

    /// Whether it lies in the store.
    pub(super) fn is_in_store(&self) -> bool {
        matches!(self.backing, Backing::Store(_))
    }

    /// Whether a token says all of it: it lies in the store, and its pickles may be read.
    pub(crate) fn has_token(&self) -> bool {
        // Pickles that were refused here must be refused there too, which a token does not say.
        self.object().is_some()
    }

    /// The object of the store, if a token says all of it.
    pub(crate) fn object(&self) -> Option<&Object> {
        match &self.backing {
            Backing::Store(object) if self.allow_pickle => Some(object),
            _ => None,
        }
    }

    /// Checks that `len` bytes at `offset` lie inside the image.
    pub(crate) fn check(&self, offset: usize, len: usize) -> PyResult<()> {
        let found = self.bytes().len();
        if offset.checked_add(len).is_none_or(|end| end > found) {
            return Err(PyIndexError::new_err(format!(
                "{len} bytes at offset {offset} reach past the image, which has {found} bytes"
            )));
        }
        Ok(())
    }
}
