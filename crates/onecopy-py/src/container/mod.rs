//! How do workers write?
//!
//! | file | question it answers |
//! |---|---|
//! | `list`, `list_iterator` | what is `onecopy.List`? |
//! | `cell` | what is `onecopy.Value`? |
//! | `lock` | what is `container.lock`? |
//! | `word` | how do a Python value and a word of a container turn into each other? |
//! | `handle` | how is a container pickled and annotated? |
//! | `wait` | what happens while a lock is waited for? |

mod cell;
mod handle;
mod list;
mod list_iterator;
mod lock;
mod wait;
mod word;

use pyo3::prelude::*;

/// Adds the classes to the extension module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    wait::install();
    module.add_class::<list::List>()?;
    module.add_class::<cell::Value>()?;
    module.add_class::<lock::Lock>()?;
    module.add_function(wrap_pyfunction!(list::_attach_list, module)?)?;
    module.add_function(wrap_pyfunction!(cell::_attach_value, module)?)?;
    let mutable = py.import("_collections_abc")?.getattr("MutableSequence")?;
    mutable.call_method1("register", (py.get_type::<list::List>(),))?;
    Ok(())
}
