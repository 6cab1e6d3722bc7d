//! Exporters of the buffer protocol: an image's bytes (read-only) and a private mapping (writable). `build_buffer` has the
//! third, an image being built.
//!
//! **Invariants.** `B1`: the bytes an exporter points to stay mapped and in place as long as the exporter lives. `NumPy`
//! gives a buffer back as soon as it has the address and keeps only the exporter alive, so counting exports would
//! protect nothing; hence there is no `__releasebuffer__`, and a `BuildBuffer` that was published keeps its old address
//! valid. `B2`: writable bytes are reachable by this process alone.
#![allow(unsafe_code, reason = "the buffer protocol hands out addresses")]

use std::ffi::c_int;

use onecopy::store::PrivateMapping;
use pyo3::ffi;
use pyo3::prelude::*;

use super::owner::Image;
use crate::cpython::export::export;

/// Part of an image's bytes, read-only.
#[pyclass(frozen, module = "onecopy._onecopy")]
pub(crate) struct ImageBuffer {
    image: Py<Image>,
    offset: usize,
    len: usize,
    node: u64,
}

impl ImageBuffer {
    /// The caller has checked that the part lies inside the image.
    pub(crate) fn new(image: Py<Image>, offset: usize, len: usize, node: u64) -> Self {
        Self {
            image,
            offset,
            len,
            node,
        }
    }

    fn bytes(&self) -> &[u8] {
        self.image
            .get()
            .bytes()
            .get(self.offset..)
            .and_then(|rest| rest.get(..self.len))
            .unwrap_or_default()
    }
}

#[pymethods]
impl ImageBuffer {
    /// The image that this is a part of.
    #[getter]
    fn image(&self, py: Python<'_>) -> Py<Image> {
        self.image.clone_ref(py)
    }

    /// Offset of the node that this is the data of; 0 for the root.
    #[getter]
    fn node(&self) -> u64 {
        self.node
    }

    /// Offset of the first byte in the image.
    #[getter]
    fn offset(&self) -> usize {
        self.offset
    }

    /// Address of the first byte.
    #[getter]
    fn address(&self) -> usize {
        self.bytes().as_ptr().addr()
    }

    /// Number of bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.len
    }

    unsafe fn __getbuffer__(
        slf: &Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let bytes = slf.get().bytes();
        let (address, len) = (bytes.as_ptr().cast_mut(), bytes.len());
        // SAFETY: the interpreter calls this slot with a structure to fill. The bytes are a slice of the image's, which
        // `slf` holds, and so readable as long as `slf` lives (B1); they are not handed out as writable.
        unsafe { export(view, flags, slf.as_any(), address, len, false) }
    }
}

/// Part of a private copy-on-write mapping, writable.
#[pyclass(frozen, module = "onecopy._onecopy")]
pub(crate) struct PrivateBuffer {
    mapping: PrivateMapping,
    offset: usize,
    len: usize,
}

impl PrivateBuffer {
    /// The caller has checked that the part lies inside the image.
    pub(crate) fn new(mapping: PrivateMapping, offset: usize, len: usize) -> Self {
        Self {
            mapping,
            offset,
            len,
        }
    }

    fn address(&self) -> *mut u8 {
        self.mapping.as_mut_ptr().wrapping_add(self.offset)
    }
}

#[pymethods]
impl PrivateBuffer {
    /// Number of bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.len
    }

    unsafe fn __getbuffer__(
        slf: &Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let this = slf.get();
        // SAFETY: the interpreter calls this slot with a structure to fill. The part lies inside the mapping, as
        // whoever made `slf` has checked (`PrivateBuffer::new`), and that is readable and writable as long as `slf`
        // lives (B1), and this process's alone (B2).
        unsafe { export(view, flags, slf.as_any(), this.address(), this.len, true) }
    }
}
