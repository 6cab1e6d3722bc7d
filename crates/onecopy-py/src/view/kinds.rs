//! Which view is an object, and what does it show?
#![forbid(unsafe_code)]

use onecopy::image::Node;
use pyo3::prelude::*;

use super::dict::DictView;
use super::set::{FrozenSetView, SetView};
use super::table::TableView;
use super::text::StrView;
use super::typed::TypedView;
use super::{object, row, run, sequence};
use crate::image::Image;

/// Whether an object is a view that packing takes apart again, and not an array.
pub(crate) fn is_view(object: &Bound<'_, PyAny>) -> bool {
    sequence::of(object).is_some() || row::of(object).is_some() || place_of(object).is_some()
}

/// The image and node that a view shows, if it is one of a whole node. Of bytes and strs, also of parts.
pub(crate) fn place_of(object: &Bound<'_, PyAny>) -> Option<(Py<Image>, u64)> {
    let py = object.py();
    if let Ok(view) = object.cast_exact::<DictView>() {
        Some(view.get().place(py))
    } else if let Ok(view) = object.cast_exact::<SetView>() {
        Some(view.get().place(py))
    } else if let Ok(view) = object.cast_exact::<FrozenSetView>() {
        Some(view.get().place(py))
    } else if let Ok(view) = object.cast_exact::<TableView>() {
        Some(view.get().place(py))
    } else if let Some(view) = object::of(object) {
        Some(view.place(py))
    } else if let Ok(view) = object.cast_exact::<StrView>() {
        Some(view.get().place(py))
    } else {
        if let Some(run) = run::of(object) {
            return Some(run.place(py));
        }
        // Of classes derived from it.
        let view = object.cast::<TypedView>().ok()?;
        Some(view.get().place(py))
    }
}

/// The image of a view, and the node that it shows the whole of or a part of; not for rows of larger tables, which have no
/// node.
pub(crate) fn shown(object: &Bound<'_, PyAny>) -> Option<(Py<Image>, u64)> {
    if let Some(elements) = sequence::of(object) {
        return Some((elements.image.clone_ref(object.py()), elements.node));
    }
    place_of(object).or_else(|| root_of(object))
}

/// The image of a row that is the root of it, and its node: an instance that was shared by itself.
fn root_of(object: &Bound<'_, PyAny>) -> Option<(Py<Image>, u64)> {
    let (image, core, row) = row::of(object)?;
    let opened = image.get().open().ok()?;
    let root = opened.root_offset();
    match opened.node(root) {
        Ok(Node::Row(found)) if found.table == core.node && found.row == row => {
            Some((image.clone_ref(object.py()), root))
        }
        _ => None,
    }
}

/// Whether a view shows some elements of a list, rows of a table or characters, and not all in order.
pub(crate) fn is_part(object: &Bound<'_, PyAny>) -> bool {
    if let Some(run) = run::of(object) {
        return !run.is_whole();
    }
    if let Ok(text) = object.cast_exact::<StrView>() {
        return !text.get().is_whole();
    }
    match (sequence::of(object), object.cast_exact::<TableView>()) {
        (Some(elements), _) => !elements.is_whole(),
        (None, Ok(table)) => !table.get().is_whole(),
        (None, Err(_)) => false,
    }
}
