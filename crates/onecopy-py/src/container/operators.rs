//! The operators in place of a counter: `+=`, `-=`, `&=` and `|=` of `collections.Counter`, which keep what is above 0.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use onecopy::shared::{RawDict, Snapshot};
use pyo3::prelude::*;
use pyo3::types::PyInt;

use super::counts::{is_kept_plain, is_plain};
use super::key::OwnedKey;
use super::keyed::KeyValue;
use super::pairs::{Changes, change};
use super::word::{self, Objects};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Sub,
    And,
    Or,
}

impl Operator {
    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+=",
            Self::Sub => "-=",
            Self::And => "&=",
            Self::Or => "|=",
        }
    }

    /// What becomes of a count; `None`: it is taken out. What was never counted has the count 0.
    fn apply<'py>(
        self,
        ours: &Bound<'py, PyAny>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let count = match self {
            Self::Add => ours.add(other)?,
            Self::Sub => ours.sub(other)?,
            Self::And if other.lt(ours)? => other.clone(),
            Self::Or if other.gt(ours)? => other.clone(),
            Self::And | Self::Or => ours.clone(),
        };
        Ok(count.gt(0)?.then_some(count))
    }
}

/// Applies an operator to all counts of a container and of a real dict.
pub(super) fn combine(raw: &RawDict, how: Operator, other: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = other.py();
    let zero = PyInt::new(py, 0).into_any();
    let mut others = Vec::new();
    for item in other.call_method0("items")?.try_iter()? {
        let (key, count): KeyValue<'_> = item?.extract()?;
        others.push((OwnedKey::of(&key)?, count));
    }
    let places = others.iter().enumerate();
    let places: HashMap<_, _> = places.map(|(at, (key, _))| (key.identity(), at)).collect();
    let are_plain = others.iter().all(|(_, count)| is_plain(count));
    let has_plain = |picture: &Snapshot| {
        let mut values = picture.iter().skip(1).step_by(2);
        are_plain && values.all(|value| is_kept_plain(&value))
    };
    let work_out = |picture: &Snapshot| {
        let mut changes = Changes::default();
        let mut is_met = vec![false; others.len()];
        let mut all = picture.iter();
        while let (Some(given), Some(value)) = (all.next(), all.next()) {
            let key = OwnedKey::of_given(&given)?;
            let place = places.get(&key.identity()).copied();
            let other = place.and_then(|at| others.get(at)).map(|item| &item.1);
            if let Some(met) = place.and_then(|at| is_met.get_mut(at)) {
                *met = true;
            }
            let ours = word::object(py, value.make(&Objects))?;
            match how.apply(&ours, other.unwrap_or(&zero))? {
                None => changes.gone.push(key),
                Some(count) if count.is(&ours) => {}
                Some(count) => changes.set.push_key(key, &count)?,
            }
        }
        for ((key, count), is_met) in others.iter().zip(is_met) {
            if !is_met && let Some(count) = how.apply(&zero, count)? {
                changes.set.push_key(key.clone(), &count)?;
            }
        }
        Ok(changes)
    };
    change(py, raw, how.symbol(), has_plain, work_out)
}
