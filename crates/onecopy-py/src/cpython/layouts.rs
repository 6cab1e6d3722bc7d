//! Which layouts hold in this interpreter, and why the others do not. Tried once, at import; what needs a layout that does
//! not hold says so, and does without.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use pyo3::prelude::*;

/// A layout that not everything needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// What lies before an object.
    Before,
    /// Keys and values of dicts.
    Dict,
    /// Entries of sets.
    Set,
}

impl Part {
    pub(crate) const ALL: [Self; 3] = [Self::Before, Self::Dict, Self::Set];

    /// What `_layouts()` calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Dict => "dict",
            Self::Set => "set",
        }
    }
}

static FOUND: OnceLock<[Result<(), String>; Part::ALL.len()]> = OnceLock::new();

/// Whether a layout is as `cpython/` says, or why it cannot be relied on.
pub(crate) fn known(part: Part) -> Result<(), &'static str> {
    match FOUND.get().map(|found| &found[part as usize]) {
        Some(Ok(())) => Ok(()),
        Some(Err(why)) => Err(why),
        None => Err("the extension module was not initialised"),
    }
}

/// Tries all of them on samples; `check` says whether a layout held.
pub(super) fn try_all(check: impl Fn(Part) -> PyResult<bool>) {
    let tried = |part: Part| {
        let what = match part {
            Part::Before => "what lies before an object",
            Part::Dict => "dicts",
            Part::Set => "sets",
        };
        match check(part) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!(
                "onecopy does not know how this Python lays out {what}"
            )),
            Err(error) => Err(format!(
                "onecopy could not look how this Python lays out {what}: {error}"
            )),
        }
    };
    let _ = FOUND.get_or_init(|| Part::ALL.map(tried));
}
