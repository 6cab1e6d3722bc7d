//! What was made of an image and is kept by it, so that it need not be made again.
//!
//! Unpickled elements, at most [`KEPT`] of them, the oldest going first. Objects with buffers refer to their image, so the
//! image refers to them weakly: each is built once as long as somebody has it. What the rows of a table share, and the dicts
//! by which keys are found that only Python can compare.
//!
//! **Invariant.** `R1`: no object goes while the lock is held, as that may run Python code, which may come back here.
#![forbid(unsafe_code)]

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Unpickled elements that an image keeps.
const KEPT: usize = 1024;
/// Real dicts of keys that an image keeps: each may be large.
const KEPT_POSITIONS: usize = 16;
/// Keys of dicts that an image keeps, each at the place that its offset gives.
const KEPT_KEYS: usize = 8;

/// The views know its type; this folder does not.
type Shared = Arc<dyn Any + Send + Sync>;

/// What one image keeps.
#[derive(Default)]
pub(crate) struct Kept {
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    elements: HashMap<u64, Py<PyAny>>,
    order: VecDeque<u64>,
    /// Weak references.
    objects: HashMap<u64, Py<PyAny>>,
    /// What the rows of a table share.
    tables: HashMap<u64, Shared>,
    /// What dicts with the same keys share, and the keys' offset.
    keys: [Option<(u64, Shared)>; KEPT_KEYS],
    /// Real dicts from keys to positions, by the keys' offset.
    positions: VecDeque<(u64, Py<PyDict>)>,
}

/// Nodes start at multiples of 8, and few keys lie far apart.
const fn place_of_keys(offset: u64) -> usize {
    (offset >> 3) as usize % KEPT_KEYS
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the rows of the table at `offset` share, if it was met before.
    #[inline]
    pub(crate) fn table<T: Any + Send + Sync>(&self, offset: u64) -> Option<Arc<T>> {
        let known = self.lock().tables.get(&offset).cloned();
        known.and_then(|known| known.downcast().ok())
    }

    /// Keeps what the rows of a table share.
    pub(crate) fn keep_table(&self, offset: u64, core: Shared) {
        let mut kept = self.lock();
        let replaced = if kept.tables.len() < KEPT {
            kept.tables.insert(offset, core)
        } else {
            None
        };
        drop(kept);
        // R1
        drop(replaced);
    }

    /// What the dicts with the keys at `offset` share, if it was met a while ago.
    #[inline]
    pub(crate) fn keys<T: Any + Send + Sync>(&self, offset: u64) -> Option<Arc<T>> {
        let kept = self.lock();
        let (known, shared) = kept.keys[place_of_keys(offset)].as_ref()?;
        let shared = (*known == offset).then(|| shared.clone())?;
        drop(kept);
        shared.downcast().ok()
    }

    /// Keeps what dicts with the keys at `offset` share.
    pub(crate) fn keep_keys(&self, offset: u64, shared: Shared) {
        let mut kept = self.lock();
        let replaced = kept.keys[place_of_keys(offset)].replace((offset, shared));
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

    /// The unpickled element at `offset`.
    pub(super) fn element<'py>(&self, py: Python<'py>, offset: u64) -> Option<Bound<'py, PyAny>> {
        let kept = self.lock();
        let found = kept.elements.get(&offset);
        found.map(|element| element.bind(py).clone())
    }

    /// Keeps the unpickled element at `offset`.
    pub(super) fn keep_element(&self, offset: u64, element: Py<PyAny>) {
        let mut kept = self.lock();
        let replaced = kept.elements.insert(offset, element);
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
    }

    /// The weak reference to the object at `offset`.
    pub(super) fn object(&self, py: Python<'_>, offset: u64) -> Option<Py<PyAny>> {
        let kept = self.lock();
        kept.objects.get(&offset).map(|weak| weak.clone_ref(py))
    }

    /// Keeps a weak reference to the object at `offset`.
    pub(super) fn keep_object(&self, offset: u64, weak: Py<PyAny>) {
        let mut kept = self.lock();
        let replaced = kept.objects.insert(offset, weak);
        drop(kept);
        // R1
        drop(replaced);
    }
}
