//! Adding many counts at once.
//!
//! Ints are added by the core, under the lock. Of other numbers some may be of classes that run code when they are read or
//! added: their sums are worked out without the lock, and put in place if all counts are as they were.
#![forbid(unsafe_code)]

use onecopy::shared::{Incoming, Key, Kind, RawDict, Tries};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt};

use super::list_work::QUICK;
use super::lock;
use super::pairs::Pairs;
use super::update::{again, sum};
use super::word::{self, Copies, Encoded, Objects};
use crate::error::Error;

/// Adds the counts of a real counter, for `method`. `is_first`: into a counter that was just made, which takes anything.
pub(super) fn add_all(
    raw: &RawDict,
    counts: &Bound<'_, PyAny>,
    method: &str,
    is_first: bool,
) -> PyResult<()> {
    let counts = counts.cast::<PyDict>()?;
    let mut pairs = Pairs::of(counts.len());
    let mut amounts = Vec::with_capacity(counts.len());
    for item in counts.iter() {
        pairs.push(&item.0, &item.1)?;
        amounts.push(item.1);
    }
    let items = pairs.items(raw);
    if raw.add_all(&items).map_err(Error::from)? {
        return Ok(());
    }
    if is_first && raw.is_empty().map_err(Error::from)? {
        let set = raw.exchange_all(&items, &vec![None; items.len()]);
        if set.map_err(Error::from)? {
            return Ok(());
        }
    }
    let py = counts.py();
    let are_plain = amounts.iter().all(is_plain);
    let mut tries = Tries::new(raw.writer_lock());
    loop {
        let mut locked = None;
        if tries.count() >= QUICK && are_plain {
            locked = Some(lock::hold(raw.writer_lock())?);
        }
        let before = read(py, raw, &items)?;
        let mut kept = before.iter().flatten();
        if !kept.all(|count| is_kept_plain(&count.incoming())) {
            locked = None;
        }
        let sums = tries.run(|| add(py, method, &amounts, &before))?;
        let done = exchange(raw, &items, &sums, &before);
        drop(locked);
        if done? {
            return Ok(());
        }
        again(py, &mut tries, method)?;
    }
}

type Counted<'a> = (Key<'a>, Incoming<'a>);

/// The counts as they are kept.
fn read(py: Python<'_>, raw: &RawDict, items: &[Counted<'_>]) -> PyResult<Vec<Option<Encoded>>> {
    let read_one = |(key, _): &Counted<'_>| {
        let found = raw.get(key, &Copies).map_err(Error::from)?;
        found.map(|found| word::copied(py, found)).transpose()
    };
    items.iter().map(read_one).collect()
}

/// Works the sums out.
fn add<'py>(
    py: Python<'py>,
    method: &str,
    amounts: &[Bound<'py, PyAny>],
    before: &[Option<Encoded>],
) -> PyResult<Vec<Encoded>> {
    let add_one = |(amount, old): (&Bound<'py, PyAny>, &Option<Encoded>)| {
        let old = old.as_ref().map(Encoded::incoming);
        let old = old.map(|old| word::object(py, old.make(&Objects)));
        Encoded::of(&sum(method, old.transpose()?, amount)?)
    };
    amounts.iter().zip(before).map(add_one).collect()
}

/// Puts the sums in place if all counts are as they were before.
fn exchange(
    raw: &RawDict,
    items: &[Counted<'_>],
    sums: &[Encoded],
    before: &[Option<Encoded>],
) -> PyResult<bool> {
    let items = items.iter().zip(sums);
    let items: Vec<_> = items
        .map(|((key, _), sum)| (*key, sum.incoming()))
        .collect();
    let before = before.iter().map(Option::as_ref);
    let before: Vec<_> = before.map(|old| old.map(Encoded::incoming)).collect();
    Ok(raw.exchange_all(&items, &before).map_err(Error::from)?)
}

/// Whether adding a number runs no code of others.
pub(super) fn is_plain(number: &Bound<'_, PyAny>) -> bool {
    number.is_exact_instance_of::<PyInt>() || number.is_exact_instance_of::<PyFloat>()
}

/// The same of a number as it is kept.
pub(super) fn is_kept_plain(number: &Incoming<'_>) -> bool {
    match number {
        Incoming::Word(word) => word.as_int().is_some() || word.as_float().is_some(),
        Incoming::Blob(kind, _) => matches!(kind, Kind::Int | Kind::Nan),
        Incoming::Reference(_) | Incoming::Large(_) => false,
    }
}
