//! Searches columns of numbers without making objects of them.

use onecopy::image::Items;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use super::view::View;
use crate::error::Error;

/// The first element from `start` to `stop` that equals `value`, if this is a column where that can be seen without
/// objects: `None` says that it is not, `Some(None)` that there is no such element.
#[allow(clippy::option_option)] // Two different questions, as said above.
pub(crate) fn find(
    view: &View,
    value: &Bound<'_, PyAny>,
    start: usize,
    stop: usize,
) -> PyResult<Option<Option<usize>>> {
    if view.format.is_none() {
        return Ok(None);
    }
    let range = start..stop;
    if let Ok(value) = value.cast_exact::<PyInt>() {
        let Ok(value) = value.extract::<i128>() else {
            return Ok(None);
        };
        return items(view).map(|items| match items {
            Items::I8(items) => Some(position(view, items, range, i8::try_from(value).ok())),
            Items::I16(items) => Some(position(view, items, range, i16::try_from(value).ok())),
            Items::I32(items) => Some(position(view, items, range, i32::try_from(value).ok())),
            Items::I64(items) => Some(position(view, items, range, i64::try_from(value).ok())),
            Items::U64(items) => Some(position(view, items, range, u64::try_from(value).ok())),
            _ => None,
        });
    }
    if let Ok(value) = value.cast_exact::<PyFloat>() {
        return items(view).map(|items| match items {
            Items::F64(items) => Some(position(view, items, range, Some(value.value()))),
            _ => None,
        });
    }
    Ok(None)
}

fn items(view: &View) -> PyResult<Items<'_>> {
    let image = view.image.get().open()?;
    Ok(image.sequence_at(view.node).map_err(Error::from)?.items())
}

/// Where `value` stands; a value that the column cannot hold stands nowhere.
fn position<T: PartialEq + Copy>(
    view: &View,
    items: &[T],
    mut range: std::ops::Range<usize>,
    value: Option<T>,
) -> Option<usize> {
    let value = value?;
    if view.steps.step == 1 && !range.is_empty() {
        let (first, last) = (view.steps.at(range.start), view.steps.at(range.end - 1));
        let found = items
            .get(first..=last)?
            .iter()
            .position(|&item| item == value);
        return found.map(|found| range.start + found);
    }
    range.find(|&index| items.get(view.steps.at(index)) == Some(&value))
}
