//! The extension module `onecopy._onecopy`: a thin layer over the core, the meter and the command.
//!
//! | file | Python sees |
//! |---|---|
//! | `object` | `Image`, the owner of a shared object |
//! | `buffer` | the buffer protocol over images, images being built, private mappings |
//! | `array` | how arrays describe themselves in their image |
//! | `build`, `progress` | `share()` |
//! | `list`, `slots`, `cpython` | views of lists and tuples |
//! | `node` | views of dicts, sets, tables, rows, pickled objects |
//! | `file` | `save()`, `open()`, `from_buffer()` |
//! | `freeze` | `freeze()`, `is_frozen()` |
//! | `store` | `stats()`, `collect()` |
//! | `tree` | `tree_apply()`, for scikit-learn's forests |
//! | `memory` | `memory()` and its report |
//! | `watch` | `watch()`, `assert_shared()`, `tag()` |
//! | `cli` | the `onecopy` command |
//! | `error` | the exceptions |
#![deny(unsafe_code)]

use pyo3::prelude::*;

mod array;
mod build;
mod cli;
mod column;
mod cpython;
mod error;
mod file;
mod freeze;
mod image;
mod memory;
mod progress;
mod store;
mod tree;
mod value;
mod view;
mod watch;

/// The native part of onecopy; import `onecopy` instead.
#[pymodule]
fn _onecopy(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
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
    error::Exceptions::register(module)?;
    cpython::check(py)?;
    freeze::register(module)?;
    module.add_class::<store::Stats>()?;
    module.add_class::<store::Collected>()?;
    module.add_class::<memory::Report>()?;
    module.add_class::<memory::ProcessMemory>()?;
    module.add_class::<memory::SkippedProcess>()?;
    module.add_class::<memory::StoreMemory>()?;
    module.add_class::<watch::Sampler>()?;
    image::register(module)?;
    view::register(module)?;
    module.add_function(wrap_pyfunction!(build::share_graph, module)?)?;
    module.add_function(wrap_pyfunction!(file::save_graph, module)?)?;
    module.add_function(wrap_pyfunction!(file::open_file, module)?)?;
    module.add_function(wrap_pyfunction!(file::open_buffer, module)?)?;
    module.add_function(wrap_pyfunction!(file::image_of_view, module)?)?;
    module.add_function(wrap_pyfunction!(file::_image_behind, module)?)?;
    module.add_function(wrap_pyfunction!(file::_file_image, module)?)?;
    module.add_function(wrap_pyfunction!(file::_buffer_image, module)?)?;
    module.add_function(wrap_pyfunction!(array::array_allocate, module)?)?;
    module.add_function(wrap_pyfunction!(array::array_geometry, module)?)?;
    module.add_function(wrap_pyfunction!(tree::tree_apply, module)?)?;
    module.add_function(wrap_pyfunction!(tree::tree_apply_csr, module)?)?;
    module.add_function(wrap_pyfunction!(store::stats, module)?)?;
    module.add_function(wrap_pyfunction!(store::collect, module)?)?;
    module.add_function(wrap_pyfunction!(memory::memory, module)?)?;
    module.add_function(wrap_pyfunction!(watch::_buffer_range, module)?)?;
    module.add_function(wrap_pyfunction!(watch::_measure_ranges, module)?)?;
    module.add_function(wrap_pyfunction!(watch::_relatives, module)?)?;
    module.add_function(wrap_pyfunction!(watch::_note_forks, module)?)?;
    module.add_function(wrap_pyfunction!(watch::_fork_count, module)?)?;
    module.add_function(wrap_pyfunction!(watch::_hold_side_folder, module)?)?;
    module.add_function(wrap_pyfunction!(file::_write_report, module)?)?;
    module.add_function(wrap_pyfunction!(cli::_cli_main, module)?)
}
