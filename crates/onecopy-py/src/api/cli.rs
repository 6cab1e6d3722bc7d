//! The `onecopy` command of the wheel: the CLI crate's library, called from Python.
#![forbid(unsafe_code)]

use std::ffi::OsString;

use pyo3::prelude::*;

/// Adds the function to the extension module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_cli_main, module)?)
}

/// Runs the command line `argv`, whose first item is the program's name, and returns its exit code.
///
/// Ctrl-C and a closed pipe end the process as they end any command, instead of becoming Python exceptions. What the
/// interpreter ignores is not ignored by commands that are started.
#[pyfunction]
fn _cli_main(py: Python<'_>, argv: Vec<OsString>) -> PyResult<i32> {
    for stream in ["stdout", "stderr"] {
        let stream = py.import("sys")?.getattr(stream)?;
        // None under pythonw-like conditions, and in a process whose descriptors are closed.
        if !stream.is_none() {
            stream.call_method0("flush")?;
        }
    }
    let signal = py.import("signal")?;
    let default = signal.getattr("SIG_DFL")?;
    for name in ["SIGINT", "SIGPIPE", "SIGXFSZ"] {
        signal.call_method1("signal", (signal.getattr(name)?, &default))?;
    }
    Ok(py.detach(|| onecopy_cli::run(argv)))
}
