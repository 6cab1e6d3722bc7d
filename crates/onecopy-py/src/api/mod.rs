//! What does Python call? Arguments come in, the folders below do the work.
//!
//! | file | Python calls |
//! |---|---|
//! | `share` | `share()` |
//! | `array` | `empty()` and its sisters, and arrays as they lie in images |
//! | `file` | `save()`, `open()`, `from_buffer()`, `image_of()` |
//! | `store` | `stats()`, `collect()` |
//! | `memory` | `memory()` and its report |
//! | `places` | where objects lie, as `_ranges.py` and its sisters ask |
//! | `watch` | `watch()`, `assert_shared()`, `tag()` |
//! | `cli` | the `onecopy` command |

mod array;
mod cli;
mod file;
mod memory;
mod places;
mod share;
mod store;
mod watch;

use pyo3::prelude::*;

/// Adds the classes and functions to the extension module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    share::register(module)?;
    array::register(module)?;
    file::register(module)?;
    store::register(module)?;
    memory::register(module)?;
    places::register(module)?;
    watch::register(module)?;
    cli::register(module)
}
