//! The way from what was given to `share()` to one object in it, for messages.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// Names longer than this are cut.
const NAME_LEN: usize = 60;

/// A step from a container to something in it.
#[derive(Clone)]
pub(crate) enum Step<'py> {
    /// An element of a list or tuple.
    Index(usize),
    /// The value of a key.
    Key(Bound<'py, PyAny>),
    /// A key of a dict.
    KeyItself,
    /// A member of a set.
    Member,
    /// A field of an instance.
    Attribute(Bound<'py, PyAny>),
}

/// `data[3]["callback"].field`.
pub(crate) fn text(steps: &[Step<'_>]) -> String {
    let mut text = "data".to_owned();
    for step in steps {
        // Writing to a String does not fail.
        let _ = match step {
            Step::Index(index) => write!(text, "[{index}]"),
            Step::Key(key) => write!(text, "[{}]", name(key)),
            Step::KeyItself => write!(text, " (a key)"),
            Step::Member => write!(text, " (a member)"),
            Step::Attribute(field) => write!(text, ".{field}"),
        };
    }
    text
}

fn name(key: &Bound<'_, PyAny>) -> String {
    let full = match key.cast::<PyString>() {
        Ok(key) => format!("\"{}\"", key.to_string_lossy()),
        // Python code of a stranger's class is not run for a message.
        Err(_) if key.is_exact_instance_of::<PyBytes>() || key.extract::<f64>().is_ok() => key
            .repr()
            .map_or_else(|_| "…".to_owned(), |text| text.to_string()),
        Err(_) => key
            .get_type()
            .name()
            .map_or_else(|_| "…".to_owned(), |name| format!("<{name}>")),
    };
    if full.chars().count() <= NAME_LEN {
        return full;
    }
    full.chars().take(NAME_LEN).chain("…".chars()).collect()
}
