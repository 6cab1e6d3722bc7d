//! The exceptions of this package.
#![forbid(unsafe_code)]

use pyo3::exceptions::{
    PyException, PyLookupError, PyOSError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

/// The exceptions of this package.
pub(crate) struct Exceptions {
    pub(crate) base: Py<PyType>,
    pub(crate) kernel: Py<PyType>,
    pub(crate) attach: Py<PyType>,
    pub(crate) attach_denied: Py<PyType>,
    pub(crate) gone: Py<PyType>,
    pub(crate) corrupt_image: Py<PyType>,
    pub(crate) unsupported: Py<PyType>,
    pub(crate) freeze_unsupported: Py<PyType>,
    pub(crate) freeze_refused: Py<PyType>,
}

static EXCEPTIONS: PyOnceLock<Exceptions> = PyOnceLock::new();

impl Exceptions {
    /// The exception types, made at the first call.
    pub(crate) fn get(py: Python<'_>) -> PyResult<&'static Self> {
        EXCEPTIONS.get_or_try_init(py, || {
            let new = |name: &str, doc: &str, bases: &[&Bound<'_, PyType>]| -> PyResult<Py<PyType>> {
                let members = PyDict::new(py);
                members.set_item("__doc__", doc)?;
                members.set_item("__module__", "onecopy.errors")?;
                let class = py.get_type::<PyType>().call1((name, PyTuple::new(py, bases)?, members))?;
                Ok(class.cast_into::<PyType>()?.unbind())
            };
            let base = new(
                "OnecopyError",
                "Base of the errors that only onecopy raises.",
                &[&py.get_type::<PyException>()],
            )?;
            let kernel = new(
                "KernelError",
                "The kernel refused what a store needs; `errno` says why.",
                &[base.bind(py), &py.get_type::<PyOSError>()],
            )?;
            let attach = new(
                "AttachError",
                "A token cannot be turned into a view: its store was not found or does not fit.",
                &[base.bind(py), &py.get_type::<PyLookupError>()],
            )?;
            let attach_denied = new(
                "AttachDenied",
                "A token's store belongs to another user: `owner_uid`, not `expected_uid`.",
                &[attach.bind(py)],
            )?;
            let gone = new(
                "Gone",
                "The shared object no longer exists: every process that held it has dropped it, or has ended.",
                &[attach.bind(py)],
            )?;
            let corrupt_image = new(
                "CorruptImage",
                "Bytes that claim to be an image contradict themselves; `offset` says where.",
                &[base.bind(py), &py.get_type::<PyValueError>()],
            )?;
            let unsupported = new(
                "Unsupported",
                "Objects of this kind cannot be shared; the text names the path to the object.",
                &[base.bind(py), &py.get_type::<PyTypeError>()],
            )?;
            let freeze_unsupported = new(
                "FreezeUnsupported",
                "freeze() does not work in this process; the text says why, and what works instead.",
                &[base.bind(py), &py.get_type::<PyRuntimeError>()],
            )?;
            let freeze_refused = new(
                "FreezeRefused",
                "An object cannot be frozen, and freeze() was told to be strict; `path` says where it is.",
                &[base.bind(py), &py.get_type::<PyTypeError>()],
            )?;
            Ok(Self { base, kernel, attach, attach_denied, gone, corrupt_image, unsupported, freeze_unsupported, freeze_refused })
        })
    }

    /// Adds the exceptions to the extension module.
    pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let types = Self::get(module.py())?;
        module.add("OnecopyError", &types.base)?;
        module.add("KernelError", &types.kernel)?;
        module.add("AttachError", &types.attach)?;
        module.add("AttachDenied", &types.attach_denied)?;
        module.add("Gone", &types.gone)?;
        module.add("CorruptImage", &types.corrupt_image)?;
        module.add("Unsupported", &types.unsupported)?;
        module.add("FreezeUnsupported", &types.freeze_unsupported)?;
        module.add("FreezeRefused", &types.freeze_refused)
    }
}
