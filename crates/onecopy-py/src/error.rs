//! Rust's errors as Python's exceptions.
//!
//! Where Python has the word (`MemoryError`, `TimeoutError`, `BufferError`) that is raised; the rest are children of
//! `OnecopyError`. What the error knows stands in the exception's attributes, so that nobody has to read its text.
#![forbid(unsafe_code)]

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};

use onecopy::image::{BuildError, ImageError};
use onecopy::{
    AccessError, AllocateError, AttachError, Corrupt, CreateError, FileError, printable_path,
};
use onecopy_meter::MeterError;
use pyo3::exceptions::{
    PyException, PyLookupError, PyMemoryError, PyOSError, PyPermissionError, PyProcessLookupError,
    PyRuntimeError, PyTimeoutError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

/// Everything that the extension's functions can fail with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No store could be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// No memory could be had in the store.
    #[error(transparent)]
    Allocate(#[from] AllocateError),
    /// The store could not be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A token led nowhere.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// A private mapping could not be made.
    #[error("cannot map {len} bytes copy-on-write: {source}")]
    Map {
        /// Bytes to be mapped.
        len: u64,
        /// What the kernel said.
        source: io::Error,
    },
    /// Bytes are not an image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The same of a file's bytes.
    #[error("{}", source.of_file(path))]
    ImageFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with its bytes.
        source: ImageError,
    },
    /// An image could not be written.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A file could not be opened or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Memory could not be measured.
    #[error(transparent)]
    Meter(#[from] MeterError),
    /// Python said no.
    #[error(transparent)]
    Python(#[from] PyErr),
}

/// The exceptions of this package.
pub(crate) struct Exceptions {
    pub(crate) base: Py<PyType>,
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
                members.set_item("__module__", "onecopy")?;
                let class = py.get_type::<PyType>().call1((name, PyTuple::new(py, bases)?, members))?;
                Ok(class.cast_into::<PyType>()?.unbind())
            };
            let base = new(
                "OnecopyError",
                "Base of the errors that only onecopy raises.",
                &[&py.get_type::<PyException>()],
            )?;
            let attach = new(
                "AttachError",
                "A token cannot be turned into a view: its store was not found or does not fit.",
                &[base.bind(py), &py.get_type::<PyOSError>()],
            )?;
            let attach_denied = new(
                "AttachDenied",
                "A token's store belongs to another user: `owner_uid`, not `expected_uid`.",
                &[attach.bind(py), &py.get_type::<PyPermissionError>()],
            )?;
            let gone = new(
                "Gone",
                "Every process that held the shared object has dropped it, and its token had been used before.",
                &[attach.bind(py), &py.get_type::<PyLookupError>()],
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
            Ok(Self { base, attach, attach_denied, gone, corrupt_image, unsupported, freeze_unsupported, freeze_refused })
        })
    }

    /// Adds the exceptions to the extension module.
    pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let types = Self::get(module.py())?;
        module.add("OnecopyError", &types.base)?;
        module.add("AttachError", &types.attach)?;
        module.add("AttachDenied", &types.attach_denied)?;
        module.add("Gone", &types.gone)?;
        module.add("CorruptImage", &types.corrupt_image)?;
        module.add("Unsupported", &types.unsupported)?;
        module.add("FreezeUnsupported", &types.freeze_unsupported)?;
        module.add("FreezeRefused", &types.freeze_refused)
    }
}

/// Which exception to raise.
enum Kind {
    Base,
    Attach,
    AttachDenied,
    Gone,
    CorruptImage,
    Memory,
    Timeout,
    Runtime,
    Type,
    Value,
    Permission,
    ProcessLookup,
    Os,
}

/// What stands in an exception's attribute.
enum Fact {
    Number(u64),
    Text(String),
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Fact {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&'static str> for Fact {
    fn from(text: &'static str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// An exception's type and attributes.
type Shape = (Kind, Vec<(&'static str, Fact)>);

macro_rules! facts {
    ($($name:ident),*) => { vec![$((stringify!($name), Fact::from($name.clone()))),*] };
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let (kind, facts) = match error {
            Error::Python(raised) => return raised,
            Error::File(error) => return file(&error),
            Error::Create(error) => create(&error),
            Error::Allocate(error) => allocate(&error),
            Error::Access(error) => access(&error),
            Error::Attach(error) => attach(&error),
            Error::Map { len, source } => {
                let (kind, mut known) = kernel(&source, Kind::Base);
                known.push(("requested", len.into()));
                (kind, known)
            }
            Error::Image(error) | Error::ImageFile { source: error, .. } => image(&error),
            Error::Build(error) => build(&error),
            Error::Meter(error) => meter(&error),
        };
        Python::attach(|py| raise(py, &kind, text, facts).unwrap_or_else(|failure| failure))
    }
}

impl Error {
    /// The same, about a file: an image that contradicts itself is named.
    pub(crate) fn of_file(self, path: &Path) -> Self {
        match self {
            Self::Image(source) => Self::ImageFile {
                path: path.to_owned(),
                source,
            },
            Self::Python(raised) => Self::Python(Python::attach(|py| {
                let is_corrupt = Exceptions::get(py)
                    .is_ok_and(|types| raised.is_instance(py, types.corrupt_image.bind(py)));
                if is_corrupt {
                    let value = raised.value(py);
                    let text = format!("{}: {value}", printable_path(path));
                    // Where the text cannot be set, it does not name the file.
                    let _ = value.setattr("args", (text,));
                }
                raised
            })),
            other => other,
        }
    }
}

/// What is raised in the place of a panic while shared bytes were read.
pub(crate) fn of_panic(panic: &(dyn Any + Send)) -> PyErr {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = format!(
        "shared bytes contradict themselves, or another process changed them while they were read: {}",
        said.unwrap_or("a panic without a message")
    );
    let facts = vec![("offset", 0_u64.into())];
    Python::attach(|py| raise(py, &Kind::CorruptImage, text, facts).unwrap_or_else(|error| error))
}

fn raise(
    py: Python<'_>,
    kind: &Kind,
    text: String,
    facts: Vec<(&'static str, Fact)>,
) -> PyResult<PyErr> {
    let types = Exceptions::get(py)?;
    let class = match kind {
        Kind::Base => types.base.bind(py).clone(),
        Kind::Attach => types.attach.bind(py).clone(),
        Kind::AttachDenied => types.attach_denied.bind(py).clone(),
        Kind::Gone => types.gone.bind(py).clone(),
        Kind::CorruptImage => types.corrupt_image.bind(py).clone(),
        Kind::Memory => py.get_type::<PyMemoryError>(),
        Kind::Timeout => py.get_type::<PyTimeoutError>(),
        Kind::Runtime => py.get_type::<PyRuntimeError>(),
        Kind::Type => py.get_type::<PyTypeError>(),
        Kind::Value => py.get_type::<PyValueError>(),
        Kind::Permission => py.get_type::<PyPermissionError>(),
        Kind::ProcessLookup => py.get_type::<PyProcessLookupError>(),
        Kind::Os => py.get_type::<PyOSError>(),
    };
    let exception = class.call1((text,))?;
    for (name, fact) in facts {
        match fact {
            Fact::Number(number) => exception.setattr(name, number)?,
            Fact::Text(text) => exception.setattr(name, text)?,
        }
    }
    Ok(PyErr::from_value(exception))
}

/// The exception with number and path, as Python's own functions raise it.
fn file(error: &FileError) -> PyErr {
    let path = match error {
        FileError::NotRegular { path, .. }
        | FileError::Kernel { path, .. }
        | FileError::ForeignLink { path, .. }
        | FileError::ForeignFile { path, .. } => path,
        other => {
            // An empty file: no byte of an image is there.
            let facts = vec![("offset", 0_u64.into())];
            let text = other.to_string();
            return Python::attach(|py| {
                raise(py, &Kind::CorruptImage, text, facts).unwrap_or_else(|failure| failure)
            });
        }
    };
    match error.errno() {
        Some(errno) => PyOSError::new_err((errno, error.what(), path.as_os_str().to_owned())),
        None => PyOSError::new_err(error.to_string()),
    }
}

fn kernel(source: &io::Error, otherwise: Kind) -> Shape {
    let kind = match source.raw_os_error() {
        Some(libc::ENOMEM | libc::ENOSPC) => Kind::Memory,
        _ => otherwise,
    };
    let known = match source.kind() {
        io::ErrorKind::FileTooLarge => Some(libc::EFBIG),
        _ => source.raw_os_error(),
    };
    let errno = known.and_then(|code| u64::try_from(code).ok()).unwrap_or(0);
    (kind, facts!(errno))
}

fn corrupt_store(Corrupt { store, offset, .. }: &Corrupt) -> Shape {
    let store = store.to_string();
    (Kind::Base, facts!(store, offset))
}

fn create(error: &CreateError) -> Shape {
    match error {
        CreateError::Kernel { source, .. } => kernel(source, Kind::Base),
        CreateError::NoAddressSpace { smallest } => {
            (Kind::Memory, vec![("requested", (*smallest).into())])
        }
        CreateError::Join(error) => access(error),
        _ => (Kind::Base, Vec::new()),
    }
}

fn allocate(error: &AllocateError) -> Shape {
    match error {
        AllocateError::NoMemory {
            requested,
            available,
            limit,
        } => (Kind::Memory, facts!(requested, available, limit)),
        AllocateError::QuotaExceeded {
            requested,
            allocated,
            max_bytes,
        } => (Kind::Memory, facts!(requested, allocated, max_bytes)),
        AllocateError::Full {
            store,
            what,
            capacity,
        } => {
            let store = store.to_string();
            (Kind::Memory, facts!(store, what, capacity))
        }
        AllocateError::Kernel { source, requested } => {
            let (kind, mut known) = kernel(source, Kind::Base);
            known.extend(facts!(requested));
            (kind, known)
        }
        AllocateError::Access(error) => access(error),
        AllocateError::Create(error) => create(error),
        _ => (Kind::Base, Vec::new()),
    }
}

fn access(error: &AccessError) -> Shape {
    match error {
        AccessError::Corrupt(corrupt) => corrupt_store(corrupt),
        AccessError::LockTimeout {
            store,
            waited_ms,
            pid,
            state,
        } => {
            let (store, state) = (store.to_string(), state.to_string());
            (Kind::Timeout, facts!(store, waited_ms, pid, state))
        }
        AccessError::Full {
            store,
            what,
            capacity,
            ..
        } => {
            let store = store.to_string();
            (Kind::Memory, facts!(store, what, capacity))
        }
        AccessError::Kernel { store, source, .. } => {
            let store = store.to_string();
            let (kind, mut known) = kernel(source, Kind::Base);
            known.extend(facts!(store));
            (kind, known)
        }
        _ => (Kind::Base, Vec::new()),
    }
}

fn attach(error: &AttachError) -> Shape {
    match error {
        AttachError::Gone => (Kind::Gone, Vec::new()),
        AttachError::NotFound { store, pid, fd, .. } => {
            let store = store.to_string();
            (Kind::Attach, facts!(store, pid, fd))
        }
        AttachError::ForeignOwner {
            store,
            owner_uid,
            expected_uid,
        } => {
            let store = store.to_string();
            (Kind::AttachDenied, facts!(store, owner_uid, expected_uid))
        }
        AttachError::Layout { store, .. } => {
            let store = store.to_string();
            (Kind::Attach, facts!(store))
        }
        AttachError::NoAddressSpace {
            store, capacity, ..
        } => {
            let store = store.to_string();
            (Kind::Attach, facts!(store, capacity))
        }
        AttachError::WrongType { expected, .. } => (Kind::Type, facts!(expected)),
        AttachError::Access(error) => access(error),
        _ => (Kind::Attach, Vec::new()),
    }
}

fn image(error: &ImageError) -> Shape {
    match error {
        ImageError::Corrupt { offset, .. } => (Kind::CorruptImage, facts!(offset)),
        ImageError::Truncated { expected, found } | ImageError::NoHeader { expected, found } => {
            let offset = found;
            (Kind::CorruptImage, facts!(expected, found, offset))
        }
        ImageError::Newer { found, newest } => {
            // Where the version stands.
            let offset = 8_u64;
            (Kind::CorruptImage, facts!(found, newest, offset))
        }
        _ => (Kind::CorruptImage, vec![("offset", 0_u64.into())]),
    }
}

fn build(error: &BuildError) -> Shape {
    match error {
        BuildError::Changed { index } => (Kind::Runtime, facts!(index)),
        BuildError::Outgrown => (Kind::Runtime, Vec::new()),
        BuildError::TooLarge { len } => (Kind::Memory, vec![("requested", (*len).into())]),
        _ => (Kind::Value, Vec::new()),
    }
}

fn meter(error: &MeterError) -> Shape {
    match error {
        MeterError::Gone { pid } => (Kind::ProcessLookup, facts!(pid)),
        MeterError::Denied { pid, path, .. } => {
            let path = printable_path(path);
            (Kind::Permission, facts!(pid, path))
        }
        MeterError::Read { path, source } => {
            let path = printable_path(path);
            let (_, mut known) = kernel(source, Kind::Os);
            known.extend(facts!(path));
            (Kind::Os, known)
        }
        _ => (Kind::Base, Vec::new()),
    }
}
