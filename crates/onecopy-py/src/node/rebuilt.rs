//! Objects that came out of pickles, kept so that reading them again need not unpickle them again.
//!
//! Small ones are kept by the image, at most [`KEPT`] of them, the oldest going first. One with buffers refers to its
//! image, so the image refers to it weakly: it is built once as long as somebody has it.
#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use onecopy::image::{Node, Scalar, read_blob};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList};

use super::corrupt;
use super::table::TableCore;
use crate::error::Error;
use crate::object::Image;

/// Unpickled elements that an image keeps.
const KEPT: usize = 1024;

/// See above.
#[derive(Default)]
pub(crate) struct Rebuilt {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    elements: HashMap<u64, Py<PyAny>>,
    order: VecDeque<u64>,
    /// Weak references.
    objects: HashMap<u64, Py<PyAny>>,
    tables: HashMap<u64, std::sync::Arc<TableCore>>,
}

impl Rebuilt {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the rows of the table at `offset` share, if it was met before.
    pub(crate) fn table(&self, offset: u64) -> Option<std::sync::Arc<TableCore>> {
        self.lock().tables.get(&offset).cloned()
    }

    /// Keeps what the rows of a table share.
    pub(crate) fn keep_table(&self, offset: u64, core: &std::sync::Arc<TableCore>) {
        let mut kept = self.lock();
        if kept.tables.len() < KEPT {
            kept.tables.insert(offset, core.clone());
        }
    }
}

/// The pickled element at `offset`.
pub(crate) fn pickled<'py>(image: &Bound<'py, Image>, offset: u64) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    if let Some(kept) = image.get().rebuilt.lock().elements.get(&offset) {
        return Ok(kept.bind(py).clone());
    }
    let object = fresh(image, offset)?;
    let dropped = {
        let mut kept = image.get().rebuilt.lock();
        if kept
            .elements
            .insert(offset, object.clone().unbind())
            .is_none()
        {
            kept.order.push_back(offset);
        }
        if kept.order.len() > KEPT {
            let oldest = kept.order.pop_front();
            oldest.and_then(|oldest| kept.elements.remove(&oldest))
        } else {
            None
        }
    };
    // Outside the lock, as it may run Python code.
    drop(dropped);
    Ok(object)
}

/// The pickled element at `offset`, unpickled now.
pub(crate) fn fresh<'py>(image: &Bound<'py, Image>, offset: u64) -> PyResult<Bound<'py, PyAny>> {
    let opened = image.get().open()?;
    match read_blob(opened.bytes(), offset).map_err(Error::from)? {
        Scalar::Pickle(pickle) => load(image, pickle, PyList::empty(image.py())),
        _ => Err(corrupt(offset, "a pickle was expected")),
    }
}

/// The object at `offset`, over memory of the image.
pub(crate) fn object<'py>(image: &Bound<'py, Image>, offset: u64) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    let weak = image
        .get()
        .rebuilt
        .lock()
        .objects
        .get(&offset)
        .map(|weak| weak.clone_ref(py));
    if let Some(weak) = weak {
        let object = weak.bind(py).call0()?;
        if !object.is_none() {
            return Ok(object);
        }
    }
    let object = build(image, offset, true)?;
    match py.import("weakref")?.call_method1("ref", (&object,)) {
        Ok(weak) => {
            let mut kept = image.get().rebuilt.lock();
            kept.objects.insert(offset, weak.unbind());
        }
        // Some types allow no weak reference; they are built at each access.
        Err(error) if error.is_instance_of::<PyTypeError>(py) => {}
        Err(error) => return Err(error),
    }
    Ok(object)
}

/// Rebuilds the object at `offset`: over memory of the image, or over copies of its buffers that may be written to.
pub(crate) fn build<'py>(
    image: &Bound<'py, Image>,
    offset: u64,
    shared: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    let opened = image.get().open()?;
    let Node::Object(object) = opened.node(offset).map_err(Error::from)? else {
        return Err(corrupt(offset, "an object was expected"));
    };
    let buffers = PyList::empty(py);
    for index in 0..object.buffer_count() {
        let section = object.buffer(index).map_err(Error::from)?;
        if shared {
            let (start, len) = (section.offset as usize, section.len as usize);
            buffers.append(Bound::new(py, Image::buffer(image, start, len, offset)?)?)?;
        } else {
            let end = section.offset.saturating_add(section.len) as usize;
            let bytes = opened.bytes().get(section.offset as usize..end);
            buffers.append(PyByteArray::new(py, bytes.unwrap_or_default()))?;
        }
    }
    load(image, object.pickle, buffers)
}

fn load<'py>(
    image: &Bound<'py, Image>,
    pickle: &[u8],
    buffers: Bound<'py, PyList>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    let helper = py.import("onecopy._pickle")?;
    if !image.get().allows_pickle() {
        return Err(PyErr::from_value(helper.call_method1("refusal", (image,))?));
    }
    helper.call_method1("loads", (PyBytes::new(py, pickle), buffers))
}
