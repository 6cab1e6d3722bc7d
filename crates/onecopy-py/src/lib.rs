//! The extension module `onecopy._onecopy`: a thin layer over the core, the meter and the command.
//!
//! Each folder imports only those above it in this table; `python/tests/test_layers.py` fails otherwise.
//!
//! | folder | question it answers |
//! |---|---|
//! | `error` | which exception is raised? |
//! | `cpython` | what does the interpreter look like? |
//! | `value` | how do one Python value and one scalar turn into each other? |
//! | `image` | who owns the bytes? |
//! | `column` | how is one column read? |
//! | `view` | what does a reader see? |
//! | `pack` | how do objects become an image? |
//! | `container` | how do workers write? |
//! | `freeze` | how do real objects become immortal? (over `cpython` alone) |
//! | `api` | what does Python call? |
#![deny(unsafe_code)]

use pyo3::prelude::*;

mod api;
mod column;
mod container;
mod cpython;
mod error;
mod freeze;
mod image;
mod pack;
mod value;
mod view;

/// The native part of onecopy; import `onecopy` instead.
#[pymodule]
fn _onecopy(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    cpython::check_main(py)?;
    if cfg!(debug_assertions) {
        let category = py.get_type::<pyo3::exceptions::PyRuntimeWarning>();
        PyErr::warn(
            py,
            &category,
            c"onecopy was built without optimisation: do not measure its speed",
            1,
        )?;
    }
    // Workers forked before the first share() belong to the same family.
    onecopy::Store::create_at_fork()?;

    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add(
        "_environment_is_untrusted",
        onecopy::environment_is_untrusted(),
    )?;
    cpython::check(py)?;
    error::Exceptions::register(module)?;
    image::register(module)?;
    view::register(module)?;
    container::register(module)?;
    freeze::register(module)?;
    api::register(module)
}
