//! What does the interpreter look like? Every offset, flag and layout of `CPython` that the extension relies on stands
//! here, by version, and [`check`] tries at import whether they hold; the folders above ask.
//!
//! | file | question it answers |
//! |---|---|
//! | `pylong` | how is an int laid out? |
//! | `pyfloat` | how is a float laid out? |
//! | `items` | where are the items of a list or tuple? |
//! | `containers` | where do dicts, sets and others keep what they hold, and how large is that? |
//! | `members` | where do instances keep their slots? |
//! | `before` | what lies before an object? |
//! | `layouts` | which of these hold in this interpreter, and why do the others not? |
//! | `unicode` | where are the characters of a str? |
//! | `range` | what does a range hold? |
//! | `export` | how does an exporter of a buffer answer? |
//! | `header` | how is the first word of an object read, and marked as immortal? |
//! | `immortal` | what is an immortal object in which version? |
//! | `calibrate` | is this interpreter what `immortal` says? |
//! | `pymalloc` | where does a pool of blocks begin? |
//! | `slot` | how does a function that the interpreter calls directly reach code that may fail? |
//! | `main` | which interpreter of the process is this? |
//! | `symbol` | how are functions found that are not declared? |
//! | `import`, `ending` | what is made or found at its first use, and kept? Until when can it be? |

pub(crate) mod before;
pub(crate) mod calibrate;
pub(crate) mod containers;
mod ending;
pub(crate) mod export;
pub(crate) mod header;
pub(crate) mod immortal;
mod import;
mod importing;
pub(crate) mod items;
pub(crate) mod layouts;
mod main;
pub(crate) mod members;
pub(crate) mod pyfloat;
pub(crate) mod pylong;
pub(crate) mod pymalloc;
pub(crate) mod range;
pub(crate) mod slot;
pub(crate) mod symbol;
pub(crate) mod unicode;

use pyo3::prelude::*;

pub(crate) use import::{import_once, made_once, module, own_function};
pub(crate) use importing::check_importing;
pub(crate) use main::check_main;

/// Fails if this interpreter lays out what every image is made of in another way than is written here. What fewer need is
/// looked at too, and told when somebody asks for it: `layouts` and `calibrate`.
pub(crate) fn check(py: Python<'_>) -> PyResult<()> {
    pylong::check(py)?;
    items::check(py)?;
    unicode::check(py)?;
    layouts::try_all(|part| match part {
        layouts::Part::Before => before::check(py),
        layouts::Part::Dict => containers::check_dict(py),
        layouts::Part::Set => containers::check_set(py),
        layouts::Part::Values => {
            let ints = pylong::renews(py)? && pylong::makes(py)?;
            Ok(ints && pyfloat::renews(py)? && unicode::renews(py)?)
        }
    });
    calibrate::calibrate(py);
    Ok(())
}
