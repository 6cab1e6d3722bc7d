//! Adding many counts at once.
//!
//! Ints are added by the core, under the lock. Of other numbers some may be of classes that run code when they are read or
//! added: their sums are worked out without the lock, and put in place if all counts are as they were.
#![forbid(unsafe_code)]

use onecopy::shared::{Incoming, Kind, RawDict};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use super::key::with_key;
use super::keyed::KeyValue;
use super::lock;
use super::pairs::Pairs;
use super::word::{self, Copies, Encoded, Objects};
use crate::error::Error;

/// How often others may be faster before the lock is kept, if no code of others runs meanwhile.
const TRIES: usize = 8;

/// Adds the counts of a real counter. `is_first`: into a counter that was just made, which takes anything.
pub(super) fn add_all(raw: &RawDict, counts: &Bound<'_, PyAny>, is_first: bool) -> PyResult<()> {
    let (mut pairs, mut amounts) = (Pairs::default(), Vec::new());
    for item in counts.call_method0("items")?.try_iter()? {
        let (key, amount): KeyValue<'_> = item?.extract()?;
        pairs.push(&key, &amount)?;
        amounts.push((key, amount));
    }
    if raw.add_all(&pairs.items(raw)).map_err(Error::from)? {
        return Ok(());
    }
    if is_first && raw.is_empty().map_err(Error::from)? {
        let absent = vec![None; amounts.len()];
        let set = raw.exchange_all(&pairs.items(raw), &absent);
        if set.map_err(Error::from)? {
            return Ok(());
        }
    }
    let are_plain = amounts.iter().all(|(_, amount)| is_plain(amount));
    let mut tried = 0;
    loop {
        let mut before = read(raw, &amounts)?;
        let mut locked = None;
        if tried >= TRIES && are_plain {
            locked = Some(lock::hold(raw.writer_lock())?);
            before = read(raw, &amounts)?;
            if !before.iter().flatten().all(is_kept_plain) {
                locked = None;
            }
        }
        let done = add_once(raw, &amounts, &before);
        drop(locked);
        if done? {
            return Ok(());
        }
        tried += 1;
    }
}

/// The counts as they are kept.
fn read(raw: &RawDict, amounts: &[KeyValue<'_>]) -> PyResult<Vec<Option<Encoded>>> {
    let read_one = |(key, _): &KeyValue<'_>| {
        let found = with_key(raw, key, |key| {
            Ok(raw.get(key, &Copies).map_err(Error::from)?)
        })?;
        found.map(|found| word::copied(key.py(), found)).transpose()
    };
    amounts.iter().map(read_one).collect()
}

/// Works the sums out and puts them in place if all counts are as they were before.
fn add_once(raw: &RawDict, amounts: &[KeyValue<'_>], before: &[Option<Encoded>]) -> PyResult<bool> {
    let mut sums = Pairs::default();
    for ((key, amount), old) in amounts.iter().zip(before) {
        check(amount)?;
        let Some(old) = old else {
            sums.push(key, amount)?;
            continue;
        };
        let old = word::object(key.py(), old.incoming().make(&Objects))?;
        check(&old)?;
        sums.push(key, &old.add(amount)?)?;
    }
    let expected: Vec<Option<Incoming<'_>>> = before
        .iter()
        .map(|old| old.as_ref().map(Encoded::incoming))
        .collect();
    let exchanged = raw.exchange_all(&sums.items(raw), &expected);
    Ok(exchanged.map_err(Error::from)?)
}

fn check(number: &Bound<'_, PyAny>) -> PyResult<()> {
    if number.is_instance_of::<PyInt>() || number.is_instance_of::<PyFloat>() {
        return Ok(());
    }
    let name = number.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "add() takes numbers and adds to numbers, not to {name}"
    )))
}

/// Whether adding a number runs no code of others.
fn is_plain(number: &Bound<'_, PyAny>) -> bool {
    number.is_exact_instance_of::<PyInt>() || number.is_exact_instance_of::<PyFloat>()
}

/// The same of a number as it is kept.
fn is_kept_plain(number: &Encoded) -> bool {
    !matches!(
        number.incoming(),
        Incoming::Blob(Kind::Pickle | Kind::Encoded, _) | Incoming::Large(_)
    )
}
