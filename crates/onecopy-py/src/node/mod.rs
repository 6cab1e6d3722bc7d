//! Views of nodes that are no lists: dicts, sets, tables and their rows, pickled objects.
//!
//! | file | question it answers |
//! |---|---|
//! | `finder` | where is a key? |
//! | `dict`, `set` | what are `DictView`, `SetView` and `FrozenSetView`? |
//! | `table` | what is `TableView`, and what do its rows share? |
//! | `row`, `record` | what are rows of dicts, of dataclasses, of namedtuples? |
//! | `object` | what is `ObjectView`? |
//! | `real` | how does the real thing come back? |
//! | `text` | what does `repr()` do about cycles? |
#![deny(unsafe_code)]

mod dict;
mod finder;
mod object;
mod real;
mod record;
mod row;
mod set;
pub(crate) mod table;
pub(crate) mod text;

use onecopy::image::{Decoded, Node, read_blob};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::cpython::own_function;
use crate::error::{Error, corrupt};
use crate::image::objects::{self, Objects};
use crate::image::{Image, rebuilt};
use crate::list::view::{self, ListView, TupleView, View};
use crate::value::scalar;

pub(crate) use real::to_python;

/// Adds the classes to the extension module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    objects::register(&Views);
    module.add_class::<dict::DictView>()?;
    module.add_class::<set::SetView>()?;
    module.add_class::<set::FrozenSetView>()?;
    module.add_class::<table::TableView>()?;
    module.add_class::<row::RowView>()?;
    module.add_class::<record::RecordView>()?;
    module.add_class::<record::NamedTupleView>()?;
    module.add_class::<object::ObjectView>()?;
    module.add_function(wrap_pyfunction!(real::real, module)?)?;
    module.add_function(wrap_pyfunction!(attach_node, module)?)?;
    module.add_function(wrap_pyfunction!(row::attach_row, module)?)?;
    module.add_function(wrap_pyfunction!(table::attach_table, module)?)?;
    // Also lets `match` take views for mappings and sequences.
    let abc = py.import("_collections_abc")?;
    let mapping = abc.getattr("Mapping")?;
    mapping.call_method1("register", (py.get_type::<dict::DictView>(),))?;
    mapping.call_method1("register", (py.get_type::<row::RowView>(),))?;
    let set = abc.getattr("Set")?;
    set.call_method1("register", (py.get_type::<set::SetView>(),))?;
    set.call_method1("register", (py.get_type::<set::FrozenSetView>(),))?;
    let sequence = abc.getattr("Sequence")?;
    sequence.call_method1("register", (py.get_type::<table::TableView>(),))?;
    sequence.call_method1("register", (py.get_type::<record::NamedTupleView>(),))?;
    Ok(())
}

/// Objects of nodes, as views.
struct Views;

impl Objects for Views {
    fn node<'py>(&self, image: &Bound<'py, Image>, node: u64) -> PyResult<Bound<'py, PyAny>> {
        object_at(image, node)
    }

    fn real<'py>(&self, view: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        to_python(view)
    }
}

/// What `share()` returns for a whole image.
pub(crate) fn root_object<'py>(image: &Bound<'py, Image>) -> PyResult<Bound<'py, PyAny>> {
    attach_node(image, image.get().open()?.root_offset())
}

/// The Python object of a node: a view, an array, or a rebuilt object.
pub(crate) fn object_at<'py>(
    image: &Bound<'py, Image>,
    offset: u64,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    let opened = image.get().open()?;
    Ok(match opened.node(offset).map_err(Error::from)? {
        Node::Sequence(sequence) => view::wrap(py, View::of_sequence(image, &sequence))?,
        Node::Dict(_) => dict::DictView::new(image, offset)?.into_any(),
        Node::Set(set) if set.frozen => set::FrozenSetView::new(image, offset)?.into_any(),
        Node::Set(_) => set::SetView::new(image, offset)?.into_any(),
        Node::Table(_) => table::TableView::new(image, offset)?.into_any(),
        Node::Row(row) => row::of_table(image, row.table, row.row)?,
        Node::Array(_) => {
            let arrays = py.import("onecopy._array")?;
            arrays.call_method1("array_of_node", (image, offset))?
        }
        Node::Object(_) => rebuilt::object(image, offset)?,
        Node::Value(word) => word_object(image, word.decode(), offset)?,
        Node::Keys(_) => return Err(corrupt(offset, "a value was expected")),
    })
}

/// The object of a word that stands alone.
fn word_object<'py>(
    image: &Bound<'py, Image>,
    word: Option<Decoded>,
    at: u64,
) -> PyResult<Bound<'py, PyAny>> {
    use onecopy::image::{Scalar, Text};
    let short;
    let opened = image.get().open()?;
    let value = match word {
        Some(Decoded::None) => Scalar::None,
        Some(Decoded::Bool(value)) => Scalar::Bool(value),
        Some(Decoded::Int(value)) => Scalar::Int(value),
        Some(Decoded::Float(value)) => Scalar::Float(value),
        Some(Decoded::Str(kind, text)) => {
            short = text;
            let bytes = short.as_bytes();
            Scalar::Str(Text { kind, bytes })
        }
        Some(Decoded::Bytes(bytes)) => {
            short = bytes;
            Scalar::Bytes(short.as_bytes())
        }
        Some(Decoded::Blob(offset)) => {
            match read_blob(opened.bytes(), offset).map_err(Error::from)? {
                Scalar::Pickle(_) => return rebuilt::pickled(image, offset),
                value => value,
            }
        }
        Some(Decoded::Node(offset)) => return object_at(image, offset),
        None => return Err(corrupt(at, "word with an unknown tag")),
    };
    scalar::object(image.py(), &value)
}

/// Whether an object is a view that the walk takes apart again, and not an array.
pub(crate) fn is_view(object: &Bound<'_, PyAny>) -> bool {
    object.is_exact_instance_of::<ListView>()
        || object.is_exact_instance_of::<TupleView>()
        || object.is_exact_instance_of::<dict::DictView>()
        || object.is_exact_instance_of::<set::SetView>()
        || object.is_exact_instance_of::<set::FrozenSetView>()
        || object.is_exact_instance_of::<table::TableView>()
        || object.is_exact_instance_of::<row::RowView>()
        || object.is_exact_instance_of::<record::RecordView>()
        || object.is_exact_instance_of::<record::NamedTupleView>()
        || object.is_exact_instance_of::<object::ObjectView>()
}

/// The image and node that a view shows, if it is one of a whole node.
pub(crate) fn place_of(object: &Bound<'_, PyAny>) -> Option<(Py<Image>, u64)> {
    let py = object.py();
    if let Ok(view) = object.cast_exact::<dict::DictView>() {
        Some(view.get().place(py))
    } else if let Ok(view) = object.cast_exact::<set::SetView>() {
        Some(view.get().place(py))
    } else if let Ok(view) = object.cast_exact::<set::FrozenSetView>() {
        Some(view.get().place(py))
    } else if let Ok(view) = object.cast_exact::<table::TableView>() {
        Some(view.get().place(py))
    } else if let Ok(view) = object.cast_exact::<object::ObjectView>() {
        Some(view.get().place(py))
    } else {
        None
    }
}

/// Whether a view shows some rows of a table and not all.
pub(crate) fn is_part_of_table(object: &Bound<'_, PyAny>) -> bool {
    object
        .cast_exact::<table::TableView>()
        .is_ok_and(|view| !view.get().is_whole())
}

static ATTACH_NODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// What pickling a view of a node gives.
pub(crate) type Reduced<'py> = (Bound<'py, PyAny>, (Py<Image>, u64));

/// Pickles a view as its image and node.
pub(crate) fn reduce<'py>(py: Python<'py>, image: &Py<Image>, node: u64) -> PyResult<Reduced<'py>> {
    let attach = own_function(py, &ATTACH_NODE, "_attach_node")?;
    Ok((attach, (image.clone_ref(py), node)))
}

/// Unpickles a view.
#[pyfunction(name = "_attach_node")]
fn attach_node<'py>(image: &Bound<'py, Image>, node: u64) -> PyResult<Bound<'py, PyAny>> {
    let opened = image.get().open()?;
    if let Node::Object(_) = opened.node(node).map_err(Error::from)? {
        return Ok(object::ObjectView::new(image, node)?.into_any());
    }
    object_at(image, node)
}
