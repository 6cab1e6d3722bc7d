//! From a node to its Python object.
#![forbid(unsafe_code)]

use onecopy::image::{Node, NodeHead, NodeKind};
use pyo3::prelude::*;

use super::dict::DictView;
use super::object::ObjectView;
use super::set::{FrozenSetView, SetView};
use super::table::TableView;
use super::word::word_object;
use super::{peek, real, row, run, sequence, typed};
use crate::column::Elements;
use crate::error::{Error, corrupt};
use crate::image::objects::Objects;
use crate::image::{Image, array, rebuilt};

/// Objects of nodes, as views.
pub(super) struct Views;

impl Objects for Views {
    fn node<'py>(&self, image: &Bound<'py, Image>, node: u64) -> PyResult<Bound<'py, PyAny>> {
        object_at(image, node)
    }

    fn real<'py>(&self, view: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        real::to_python(view)
    }
}

/// What `share()` returns for a whole image.
pub(crate) fn root_object<'py>(image: &Bound<'py, Image>) -> PyResult<Bound<'py, PyAny>> {
    attach_node(image, image.get().open()?.root_offset())
}

/// The Python object of a node: a view, an array, or a rebuilt object.
fn object_at<'py>(image: &Bound<'py, Image>, offset: u64) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    let opened = image.get().open()?;
    let head = opened.head(offset).map_err(Error::from)?;
    match head.kind {
        NodeKind::List | NodeKind::Tuple => {
            let sequence = opened.sequence_of(offset, &head).map_err(Error::from)?;
            sequence::wrap(py, Elements::of_sequence(image, &sequence))
        }
        NodeKind::Dict => Ok(DictView::new(image, offset)?.into_any()),
        NodeKind::Table => Ok(TableView::new(image, offset)?.into_any()),
        _ => rare_at(image, offset, &head),
    }
}

/// The object of a node that is neither a list nor a dict. Apart, so that the stack that it takes is not set up for those.
#[inline(never)]
fn rare_at<'py>(
    image: &Bound<'py, Image>,
    offset: u64,
    head: &NodeHead,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    let opened = image.get().open()?;
    match opened.node_of(offset, head).map_err(Error::from)? {
        Node::Set(set) if set.frozen => Ok(FrozenSetView::new(image, offset)?.into_any()),
        Node::Set(_) => Ok(SetView::new(image, offset)?.into_any()),
        Node::Row(row) => row::of_table(image, row.table, row.row),
        Node::Array(array) => {
            if let Some(run) = run::of_array(image, offset, &array)? {
                return run.view(py);
            }
            let arrays = crate::cpython::module(py, "onecopy._array")?;
            arrays.call_method1("show", array::shown_as(image, array, offset)?)
        }
        Node::Object(_) => rebuilt::object(image, offset),
        Node::Typed(found) => typed::show(image, offset, &found),
        Node::Value(word) => word_object(image, word, offset),
        _ => Err(corrupt(offset, "a value was expected")),
    }
}

/// Unpickles a view.
#[pyfunction(name = "_attach_node")]
pub(super) fn attach_node<'py>(
    image: &Bound<'py, Image>,
    node: u64,
) -> PyResult<Bound<'py, PyAny>> {
    let opened = image.get().open()?;
    match opened.node(node).map_err(Error::from)? {
        Node::Object(object) => return ObjectView::view(image, node, object.callable),
        Node::Value(word) => {
            if let Some(view) = peek::value(image, word, node)? {
                return Ok(view);
            }
        }
        _ => {}
    }
    object_at(image, node)
}
