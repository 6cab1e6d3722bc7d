//! The types of record views: which there are, and which fields they read at once.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyType;

/// The type of the views of a table's rows.
pub(super) struct RecordClass {
    pub(super) view: Py<PyType>,
    /// The addresses of the names of the fields; 0 where the class answers first, as for a property of this name.
    pub(super) direct: Vec<usize>,
}

/// The addresses of the types that have been found to end with the two slots of a view. They live for ever.
static REGISTERED: Mutex<Option<HashSet<usize>>> = Mutex::new(None);

/// Whether instances of a class end with the two slots of a view.
pub(super) fn is_registered(class: &Bound<'_, PyType>) -> bool {
    let known = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    known
        .as_ref()
        .is_some_and(|known| known.contains(&class.as_ptr().addr()))
}

/// Keeps a class, whose instances end with the two slots of a view, for ever.
pub(super) fn register(class: &Bound<'_, PyType>) {
    let mut known = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_default().insert(class.as_ptr().addr());
    drop(known);
    // For ever, as its address is known.
    std::mem::forget(class.clone().unbind());
}
