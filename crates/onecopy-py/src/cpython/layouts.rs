//! Which layouts hold in this interpreter, and why the others do not. Tried once, at import; what needs a layout that does
//! not hold says so, and does without.
#![forbid(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// The values of ints, floats and strs, when others are written there.
    Values,
}

impl Part {
    pub(crate) const ALL: [Self; 4] = [Self::Before, Self::Dict, Self::Set, Self::Values];
    /// Those that sizes and places are told by.
    pub(super) const HOLDERS: [Self; 3] = [Self::Before, Self::Dict, Self::Set];

    /// What `_layouts()` calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Dict => "dict",
            Self::Set => "set",
            Self::Values => "values",
        }
    }
}

static FOUND: OnceLock<[Result<(), String>; Part::ALL.len()]> = OnceLock::new();

/// `Part::Values` as one word, for those who read it for each value.
static VALUES: AtomicBool = AtomicBool::new(false);

/// Whether other values can be written into ints, floats and strs.
#[inline]
pub(crate) fn values_are_known() -> bool {
    // Relaxed: set once, when the module is imported, before anything is read.
    VALUES.load(Ordering::Relaxed)
}

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
            Part::Values => "the values of ints, floats and strs",
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
    VALUES.store(known(Part::Values).is_ok(), Ordering::Relaxed);
}
