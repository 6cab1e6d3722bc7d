//! Objects that came out of pickles, kept so that reading them again need not unpickle them again.
//!
//! Small ones are kept by the image, at most [`KEPT`] of them, the oldest going first. One with buffers refers to its
//! image, so the image refers to it weakly: it is built once as long as somebody has it.
//!
//! **Invariant.** `R1`: no object goes while the lock is held, as that may run Python code, which may come back here.
#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use onecopy::image::{Node, Scalar, read_blob};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList};

use super::table::TableCore;
use crate::error::{Error, corrupt};
use crate::object::Image;

/// Unpickled elements that an image keeps.
const KEPT: usize = 1024;
/// Real dicts of keys that an image keeps: each may be large.
const KEPT_POSITIONS: usize = 16;

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
    /// Real dicts from keys to positions, by the keys' offset.
    positions: VecDeque<(u64, Py<PyDict>)>,
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
        let replaced = if kept.tables.len() < KEPT {
            kept.tables.insert(offset, core.clone())
        } else {
            None
        };
        drop(kept);
        // R1
        drop(replaced);
    }

    /// The real dict from keys to positions that was made for the keys at `offset`.
    pub(crate) fn positions<'py>(
        &self,
        py: Python<'py>,
        offset: u64,
    ) -> Option<Bound<'py, PyDict>> {
        let kept = self.lock();
        let found = kept.positions.iter().find(|(known, _)| *known == offset);
        found.map(|(_, positions)| positions.bind(py).clone())
    }

    /// Keeps the real dict from keys to positions of the keys at `offset`.
    pub(crate) fn keep_positions(&self, offset: u64, positions: Py<PyDict>) {
        let mut kept = self.lock();
        kept.positions.push_back((offset, positions));
        let oldest = if kept.positions.len() > KEPT_POSITIONS {
            kept.positions.pop_front()
        } else {
            None
        };
        drop(kept);
        // R1
        drop(oldest);
    }
}

/// The pickled element at `offset`.
pub(crate) fn pickled<'py>(image: &Bound<'py, Image>, offset: u64) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    if let Some(kept) = image.get().rebuilt.lock().elements.get(&offset) {
        return Ok(kept.bind(py).clone());
    }
    let object = fresh(image, offset)?;
    let mut kept = image.get().rebuilt.lock();
    let replaced = kept.elements.insert(offset, object.clone().unbind());
    if replaced.is_none() {
        kept.order.push_back(offset);
    }
    let oldest = if kept.order.len() > KEPT {
        let oldest = kept.order.pop_front();
        oldest.and_then(|oldest| kept.elements.remove(&oldest))
    } else {
        None
    };
    drop(kept);
    // R1
    drop((replaced, oldest));
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
            let replaced = kept.objects.insert(offset, weak.unbind());
            drop(kept);
            // R1
            drop(replaced);
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
