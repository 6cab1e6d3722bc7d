//! Lists and tuples: shared once, read in place.
//!
//! | file | question it answers |
//! |---|---|
//! | `view` | what are `ListView` and `TupleView`? |
//! | `decode` | how does an element become an object again? |
//! | `iterator` | how does `for x in view` step? |
//! | `ops` | how are views compared, searched, joined, printed, hashed? |
//! | `scan` | when can a search do without objects? |
//! | `export` | how does NumPy see a view? |
//! | `level` | when is it too deep? |
//! | `raw` | the C API calls that the safe files need |
//!
//! The slots behind `view[i]` and `len(view)` are in `crate::slots`.

pub(crate) mod decode;
mod export;
mod iterator;
pub(crate) mod level;
pub(crate) mod ops;
pub(crate) mod raw;
mod scan;
pub(crate) mod view;

use pyo3::prelude::*;

use crate::slots;
use view::{ListView, TupleView};

/// Adds the classes to the extension module and puts the fast slots into them.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    slots::install::<ListView>(py)?;
    slots::install::<TupleView>(py)?;
    module.add_class::<ListView>()?;
    module.add_class::<TupleView>()?;
    module.add_function(wrap_pyfunction!(view::_attach_view, module)?)?;
    module.add_function(wrap_pyfunction!(export::private_items, module)?)?;
    // Also lets `match` take views for sequences.
    let sequence = py.import("_collections_abc")?.getattr("Sequence")?;
    sequence.call_method1("register", (py.get_type::<ListView>(),))?;
    sequence.call_method1("register", (py.get_type::<TupleView>(),))?;
    Ok(())
}
