//! What does a reader see?
//!
//! | file | question it answers |
//! |---|---|
//! | `sequence`, `sequence_methods` | what are `ListView` and `TupleView`? |
//! | `slots` | how are `view[i]` and `len(view)` as fast as the interpreter allows? |
//! | `export` | how does NumPy see a list? |
//! | `dict`, `mapping` | what is `DictView`, and what has it in common with a row? |
//! | `entries` | what are `keys()`, `values()` and `items()` of a dict or row? |
//! | `set` | what are `SetView` and `FrozenSetView`? |
//! | `finder` | where is a key? |
//! | `table_core` | what do the rows of a table share? |
//! | `table`, `table_methods` | what is `TableView`? |
//! | `row`, `record`, `named` | what are rows of dicts, of instances, of namedtuples? |
//! | `rows`, `record_class` | what have views of instances in common, and of which types are they? |
//! | `object` | what is `ObjectView`? |
//! | `typed`, `real_typed` | what is `TypedView`, the base of views that remember a class? |
//! | `run`, `bytes` | what are `BytesView` and `ArrayView`? |
//! | `text` | what is `StrView`? |
//! | `peek` | how is a str or bytes inside other data read in place? |
//! | `sequential`, `ops` | how are lists, tuples and tables searched, compared and joined? |
//! | `repr`, `level` | what about cycles, and when is it too deep? |
//! | `methods` | which methods do all views have? |
//! | `missing` | what does a view not do, and what does it instead? |
//! | `reduce`, `generic` | how is a view pickled, and how is one annotated? |
//! | `kinds` | which view is an object? |
//! | `real`, `real_rows` | how does the real thing come back? |
//! | `word` | what is a value that stands alone? |
//! | `make` | which view shows a node? With `real` it implements `Objects` |

mod bytes;
mod dict;
mod entries;
mod export;
mod finder;
mod generic;
pub(crate) mod kinds;
mod level;
mod make;
mod mapping;
mod methods;
mod missing;
mod named;
mod object;
mod ops;
mod peek;
mod real;
mod real_rows;
mod real_typed;
mod record;
mod record_class;
mod reduce;
mod repr;
mod row;
mod rows;
pub(crate) mod run;
mod sequence;
mod sequence_methods;
mod sequential;
mod set;
mod slots;
mod table;
mod table_core;
mod table_methods;
mod text;
mod typed;
mod word;

use pyo3::prelude::*;

use crate::image::objects;
use dict::DictView;
use named::NamedTupleView;
use record::RecordView;
use row::RowView;
use run::{ArrayView, BytesView};
use sequence::{ListView, TupleView};
use set::{FrozenSetView, SetView};
use table::TableView;
use text::StrView;

pub(crate) use make::root_object;

/// Adds the classes to the extension module, puts the fast slots into them, and says who makes objects of nodes.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    objects::register(&make::Views);
    slots::install::<ListView>(py)?;
    slots::install::<TupleView>(py)?;
    named::install(py)?;
    record::install_dealloc(py);
    module.add_class::<ListView>()?;
    module.add_class::<TupleView>()?;
    module.add_class::<DictView>()?;
    module.add_class::<SetView>()?;
    module.add_class::<FrozenSetView>()?;
    module.add_class::<TableView>()?;
    module.add_class::<RowView>()?;
    module.add_class::<RecordView>()?;
    module.add_class::<NamedTupleView>()?;
    module.add_class::<object::ObjectView>()?;
    module.add_class::<object::CallableView>()?;
    module.add_class::<typed::TypedView>()?;
    module.add_class::<BytesView>()?;
    module.add_class::<ArrayView>()?;
    module.add_class::<StrView>()?;
    missing::install(
        &[py.get_type::<ListView>(), py.get_type::<TableView>()],
        &[py.get_type::<DictView>(), py.get_type::<RowView>()],
        &[py.get_type::<SetView>()],
    )?;
    module.add_function(wrap_pyfunction!(sequence::_attach_view, module)?)?;
    module.add_function(wrap_pyfunction!(export::private_items, module)?)?;
    module.add_function(wrap_pyfunction!(make::attach_node, module)?)?;
    module.add_function(wrap_pyfunction!(row::attach_row, module)?)?;
    module.add_function(wrap_pyfunction!(table::attach_table, module)?)?;
    module.add_function(wrap_pyfunction!(record::register_record_class, module)?)?;
    module.add_function(wrap_pyfunction!(record::record_layout, module)?)?;
    module.add_function(wrap_pyfunction!(record::record_dict, module)?)?;
    module.add_function(wrap_pyfunction!(record::record_field, module)?)?;
    module.add_function(wrap_pyfunction!(record::record_same, module)?)?;
    module.add_function(wrap_pyfunction!(record::record_hash, module)?)?;
    module.add_function(wrap_pyfunction!(real::real, module)?)?;
    module.add_function(wrap_pyfunction!(run::_attach_run, module)?)?;
    module.add_function(wrap_pyfunction!(text::_attach_text, module)?)?;
    // Also lets `match` take views for sequences and mappings.
    let abc = py.import("_collections_abc")?;
    let sequence = abc.getattr("Sequence")?;
    sequence.call_method1("register", (py.get_type::<ListView>(),))?;
    sequence.call_method1("register", (py.get_type::<TupleView>(),))?;
    sequence.call_method1("register", (py.get_type::<TableView>(),))?;
    sequence.call_method1("register", (py.get_type::<NamedTupleView>(),))?;
    sequence.call_method1("register", (py.get_type::<BytesView>(),))?;
    sequence.call_method1("register", (py.get_type::<ArrayView>(),))?;
    sequence.call_method1("register", (py.get_type::<StrView>(),))?;
    let mapping = abc.getattr("Mapping")?;
    mapping.call_method1("register", (py.get_type::<DictView>(),))?;
    mapping.call_method1("register", (py.get_type::<RowView>(),))?;
    entries::register(py)?;
    let set = abc.getattr("Set")?;
    set.call_method1("register", (py.get_type::<SetView>(),))?;
    set.call_method1("register", (py.get_type::<FrozenSetView>(),))?;
    Ok(())
}
