//! Rust's errors as Python's exceptions.
//!
//! Where Python has the word (`MemoryError`, `TimeoutError`, `BufferError`) that is raised; the rest are children of
//! `OnecopyError`. What the error knows stands in the exception's attributes, so that nobody has to read its text.
//!
//! Unpickling raises no `OSError`: a worker of `multiprocessing.Pool` takes one for the end of its queue and ends without
//! a word, and the task is lost.
#![forbid(unsafe_code)]

mod exceptions;
mod shapes;

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};

use onecopy::image::{BuildError, ImageError};
use onecopy::{
    AccessError, AllocateError, AttachError, ContainerError, CreateError, FileError, printable_path,
};
use onecopy_meter::MeterError;
use pyo3::exceptions::{
    PyMemoryError, PyOSError, PyPermissionError, PyProcessLookupError, PyRuntimeError,
    PyTimeoutError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;

pub(crate) use exceptions::Exceptions;
use shapes::{Fact, Kind};

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
    /// An operation on a container.
    #[error(transparent)]
    Container(#[from] ContainerError),
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

/// Most of those who meet a token whose data are gone have pickled a view into a file.
const TOKEN: &str =
    ". A pickle of a view is a token, not data: onecopy.save() writes data to a file, which lasts";

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let mut text = error.to_string();
        if let Error::Attach(error) = &error
            && shapes::has_outlived(error)
        {
            text.push_str(TOKEN);
        }
        let (kind, facts) = match error {
            Error::Python(raised) => return raised,
            Error::File(error) => return file(&error),
            Error::Create(error) => shapes::create(&error),
            Error::Allocate(error) => shapes::allocate(&error),
            // The handler's own exception is set.
            Error::Container(ContainerError::Interrupted) => {
                return Python::attach(PyErr::fetch);
            }
            Error::Container(error) => shapes::container(&error),
            Error::Access(error) => shapes::access(&error),
            Error::Attach(error) => shapes::attach(&error),
            Error::Map { len, source } => {
                let (kind, mut known) = shapes::kernel(&source, Kind::Kernel);
                known.push(("requested", len.into()));
                (kind, known)
            }
            Error::Image(error) | Error::ImageFile { source: error, .. } => shapes::image(&error),
            Error::Build(error) => shapes::build(&error),
            Error::Meter(error) => shapes::meter(&error),
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

/// The error for bytes that contradict themselves.
pub(crate) fn corrupt(offset: u64, what: &'static str) -> PyErr {
    Error::from(ImageError::Corrupt { offset, what }).into()
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

/// What is raised in the place of an `OSError` when a view of a file is unpickled.
pub(crate) fn not_attached(py: Python<'_>, cause: PyErr) -> PyErr {
    if !cause.is_instance_of::<PyOSError>(py) {
        return cause;
    }
    let raised = || {
        let text = format!(
            "cannot unpickle a view of a file: {}",
            cause.value(py).str()?
        );
        let error = raise(py, &Kind::Attach, text, Vec::new())?;
        for name in ["errno", "filename"] {
            error
                .value(py)
                .setattr(name, cause.value(py).getattr(name)?)?;
        }
        error.set_cause(py, Some(cause.clone_ref(py)));
        Ok(error)
    };
    raised().unwrap_or_else(|failure| failure)
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
        Kind::Kernel => types.kernel.bind(py).clone(),
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
    let errno = facts.iter().find(|(name, _)| *name == "errno");
    let exception = match (kind, errno) {
        // As Python's own: the number outlives pickling.
        (Kind::Kernel, Some((_, Fact::Number(errno)))) => class.call1((*errno, text))?,
        _ => class.call1((text,))?,
    };
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
