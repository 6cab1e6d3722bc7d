//! Why is a view pickled? `python/onecopy/_purpose.py` says how that is known.
#![forbid(unsafe_code)]

use onecopy::image::hash::digest;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyTuple};

use super::owner::Image;
use crate::cpython::import_once;

static IS_HASH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static HASHED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

impl Image {
    /// Whether what is being pickled is going to be hashed: no token is made for that. Warns if it goes into a file where
    /// it will not be found again.
    pub(crate) fn is_hashed(&self, py: Python<'_>) -> PyResult<bool> {
        let is_hash = import_once(py, &IS_HASH, "onecopy._purpose", "is_hash")?;
        is_hash.call1((self.is_in_store(),))?.is_truthy()
    }

    /// What the image is pickled as in order to be hashed: the same for the same bytes, in every process.
    pub(super) fn reduce_hashed<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, image) = (slf.py(), slf.get());
        let digest = match image.digest.get() {
            Some(digest) => *digest,
            None => py.detach(|| {
                // Threads may do this side by side. Whoever waited here would wait for ever in the child of a fork.
                let digest = digest(image.bytes());
                let _ = image.digest.set(digest);
                digest
            }),
        };
        let hashed = import_once(py, &HASHED, "onecopy._purpose", "hashed")?;
        let digest = PyBytes::new(py, &digest.to_le_bytes());
        hashed.call1((digest, slf))?.extract()
    }
}
