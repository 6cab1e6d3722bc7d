//! From a real list or tuple straight into the store.
//!
//! A few thousand elements are looked at to guess what all of them are. If that is a column of plain numbers, they are
//! checked while they are written, so the source is walked once. A guess that proves wrong, and everything that is not a
//! column of plain numbers, takes two passes: survey, then write. Either way the memory of the image is taken once, at
//! its exact length; there is no second copy of the data.
#![forbid(unsafe_code)]

use onecopy::image::{BuildError, ColumnKind, IntWidth, Layout, Plan, Survey, Writer};
use onecopy::store::{Building, Huge, Object, Store};
use pyo3::prelude::*;

use super::source::{CHUNK_LEN, Repeats, Source};
use crate::error::Error;
use crate::value::item::Item;

/// Elements that the guess is made from.
const SAMPLE_LEN: usize = 4096;

/// Columns of ints are as wide as NumPy makes them of the same list: `np.asarray(view)` shows the memory as it lies, and
/// arithmetic on 8 or 16 bits would overflow where that on the list's array does not.
pub(crate) const INT_WIDTH: IntWidth = IntWidth::Full;

/// Shares an exact list or tuple of plain values; `None` for anything else.
pub(crate) fn share(object: &Bound<'_, PyAny>, huge: Huge) -> PyResult<Option<Object>> {
    let py = object.py();
    let Some(source) = Source::of(object) else {
        return Ok(None);
    };
    let store = Store::current().map_err(Error::from)?;
    let allocate = |layout: &Layout| -> Result<Building, Error> {
        let len = usize::try_from(layout.image_len).map_err(|_| BuildError::TooLarge {
            len: layout.image_len,
        })?;
        Ok(store.allocate(len, huge)?)
    };
    let mut building = None;
    if let Guess::Numbers(plan) = guess(&source) {
        let layout = plan.layout().map_err(Error::from)?;
        let mut memory = allocate(&layout)?;
        if write_numbers(&source, &layout, memory.as_mut_slice())? {
            building = Some(memory);
        }
    }
    let building = if let Some(building) = building {
        building
    } else {
        let Some(survey) = survey(&source)? else {
            return Ok(None);
        };
        let plan = survey.plan(source.container, INT_WIDTH);
        let layout = plan.layout().map_err(Error::from)?;
        let mut memory = allocate(&layout)?;
        write(&source, &layout, memory.as_mut_slice())?;
        memory
    };
    let object = py.detach(|| building.publish()).map_err(Error::from)?;
    Ok(Some(object))
}

/// What a sample of the elements suggests.
enum Guess {
    /// All are plain numbers, which fit this plan.
    Numbers(Plan),
    /// Some are not.
    Other,
}

fn guess(source: &Source<'_, '_>) -> Guess {
    let (mut survey, mut scratch) = (Survey::default(), Vec::new());
    let step = source.len().div_ceil(SAMPLE_LEN).max(1);
    for index in (0..source.len()).step_by(step) {
        let Some(&item) = source.chunk(index).first() else {
            break;
        };
        match item.scalar(&mut scratch) {
            Some(scalar) => survey.observe(&scalar),
            None => return Guess::Other,
        }
    }
    let plan = survey.plan(source.container, INT_WIDTH);
    if plan.column.has_data() || plan.nullable {
        return Guess::Other;
    }
    Guess::Numbers(Plan {
        count: source.len() as u64,
        ..plan
    })
}

/// Looks at every element; `None` if one is no plain value, or if long text is repeated so often that it should be stored
/// once.
fn survey(source: &Source<'_, '_>) -> PyResult<Option<Survey>> {
    let (mut survey, mut scratch) = (Survey::default(), Vec::new());
    let mut repeats = Repeats::default();
    let mut plain = true;
    let mut start = 0;
    while start < source.len() && plain {
        source.check(start)?;
        for &item in source.chunk(start) {
            let Some(scalar) = item.scalar(&mut scratch) else {
                plain = false;
                break;
            };
            survey.observe(&scalar);
            repeats.observe(item, &scalar, 0);
        }
        start += CHUNK_LEN;
    }
    source.check(source.len())?;
    Ok((plain && !repeats.pay(&survey)).then_some(survey))
}

fn write(source: &Source<'_, '_>, layout: &Layout, out: &mut [u8]) -> PyResult<()> {
    let mut writer = Writer::new(layout, out).map_err(Error::from)?;
    let mut scratch = Vec::new();
    source.for_each(|index, item| {
        let changed = BuildError::Changed {
            index: index as u64,
        };
        let scalar = item
            .scalar(&mut scratch)
            .ok_or_else(|| Error::from(changed))?;
        Ok(writer.push(&scalar).map_err(Error::from)?)
    })?;
    Ok(writer.finish().map_err(Error::from)?)
}

/// Writes a column of plain numbers; `false` if an element is something else or does not fit.
fn write_numbers(source: &Source<'_, '_>, layout: &Layout, out: &mut [u8]) -> PyResult<bool> {
    let writer = Writer::new(layout, out).map_err(Error::from)?;
    let Some(items) = writer.into_numeric_items() else {
        return Ok(false);
    };
    match layout.plan.column {
        ColumnKind::I8 => fill(source, items, |item| {
            i8::try_from(item.int()?).ok().map(i8::to_le_bytes)
        }),
        ColumnKind::I16 => fill(source, items, |item| {
            i16::try_from(item.int()?).ok().map(i16::to_le_bytes)
        }),
        ColumnKind::I32 => fill(source, items, |item| {
            i32::try_from(item.int()?).ok().map(i32::to_le_bytes)
        }),
        ColumnKind::I64 => fill(source, items, |item| item.int().map(i64::to_le_bytes)),
        ColumnKind::F64 => fill(source, items, |item| item.float().map(f64::to_le_bytes)),
        ColumnKind::Bool => fill(source, items, |item| {
            item.bool().map(|value| [u8::from(value)])
        }),
        _ => Ok(false),
    }
}

#[inline]
fn fill<const N: usize>(
    source: &Source<'_, '_>,
    out: &mut [u8],
    read: impl Fn(Item) -> Option<[u8; N]>,
) -> PyResult<bool> {
    for (chunk, out) in out.chunks_mut(CHUNK_LEN * N).enumerate() {
        let start = chunk * CHUNK_LEN;
        source.check(start)?;
        for (slot, &item) in out.chunks_exact_mut(N).zip(source.chunk(start)) {
            let Some(bytes) = read(item) else {
                return Ok(false);
            };
            slot.copy_from_slice(&bytes);
        }
    }
    source.check(source.len())?;
    Ok(true)
}
