//! Searches columns of numbers without making objects of them.

use std::ops::Range;

use onecopy::image::Items;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use super::elements::Elements;
use crate::error::Error;

/// The first element in `range` that equals `value`, if this is a column where that can be seen without
/// objects: `None` says that it is not, `Some(None)` that there is no such element.
#[allow(clippy::option_option)] // Two different questions, as said above.
pub(crate) fn find(
    elements: &Elements,
    value: &Bound<'_, PyAny>,
    range: Range<usize>,
) -> PyResult<Option<Option<usize>>> {
    if elements.format().is_none() {
        return Ok(None);
    }
    if let Ok(value) = value.cast_exact::<PyInt>() {
        let Ok(value) = value.extract::<i128>() else {
            return Ok(None);
        };
        return items(elements).map(|items| match items {
            Items::I8(items) => Some(position(elements, items, range, i8::try_from(value).ok())),
            Items::I16(items) => Some(position(elements, items, range, i16::try_from(value).ok())),
            Items::I32(items) => Some(position(elements, items, range, i32::try_from(value).ok())),
            Items::I64(items) => Some(position(elements, items, range, i64::try_from(value).ok())),
            Items::U64(items) => Some(position(elements, items, range, u64::try_from(value).ok())),
            _ => None,
        });
    }
    if let Ok(value) = value.cast_exact::<PyFloat>() {
        return items(elements).map(|items| match items {
            Items::F64(items) => Some(position(elements, items, range, Some(value.value()))),
            _ => None,
        });
    }
    Ok(None)
}

fn items(elements: &Elements) -> PyResult<Items<'_>> {
    let image = elements.image.get().open()?;
    Ok(image
        .sequence_at(elements.node)
        .map_err(Error::from)?
        .items())
}

/// Where `value` stands; a value that the column cannot hold stands nowhere.
fn position<T: PartialEq + Copy>(
    elements: &Elements,
    items: &[T],
    mut range: Range<usize>,
    value: Option<T>,
) -> Option<usize> {
    let value = value?;
    if elements.steps.step == 1 && !range.is_empty() {
        let (first, last) = (
            elements.steps.at(range.start),
            elements.steps.at(range.end - 1),
        );
        let found = position_in(items.get(first..=last)?, value);
        return found.map(|found| range.start + found);
    }
    range.find(|&index| items.get(elements.steps.at(index)) == Some(&value))
}

/// Where `value` stands. A block is looked at whole before the question is asked where in it: without a way out at each
/// item the compiler compares several at once.
fn position_in<T: PartialEq + Copy>(items: &[T], value: T) -> Option<usize> {
    const BLOCK: usize = 128;
    let count = |block: &[T]| block.iter().filter(|&&item| item == value).count();
    let has_it = |block: &[T]| count(block) > 0;
    let block = items.chunks(BLOCK).position(has_it)?;
    let start = block * BLOCK;
    let found = items.get(start..)?.iter().position(|&item| item == value)?;
    Some(start + found)
}
