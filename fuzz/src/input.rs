//! Values made of whatever bytes a fuzzer gives.

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use onecopy::image::{Container, RowKind, Scalar, TextBuf};

use crate::support::model::{Grid, Rows, Value};

/// Containers in containers.
const DEPTH: usize = 5;
/// Members of one container.
const MEMBERS: usize = 40;

/// A value of any kind.
#[derive(Debug, Clone)]
pub struct Tree(pub Value);

/// A value that is no container.
#[derive(Debug, Clone)]
pub struct Leaf(pub Value);

impl<'a> Arbitrary<'a> for Leaf {
    fn arbitrary(given: &mut Unstructured<'a>) -> Result<Self> {
        leaf(given).map(Self)
    }
}

impl<'a> Arbitrary<'a> for Tree {
    fn arbitrary(given: &mut Unstructured<'a>) -> Result<Self> {
        tree(given, 0).map(Self)
    }
}

fn leaf(given: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match given.int_in_range(0..=12)? {
        0 => Value::None,
        1 => Value::Bool(given.arbitrary()?),
        2 => Value::Int(i64::from(given.arbitrary::<i8>()?)),
        3 => Value::Int(given.arbitrary()?),
        4 => uint(given.arbitrary()?),
        5 => big(given.arbitrary()?),
        6 => Value::Float(f64::from_bits(given.arbitrary()?)),
        7 => Value::Float(f64::from(given.arbitrary::<i16>()?) / 2.0),
        8 => Value::text(given.arbitrary()?),
        9 => {
            // Any code points: lone surrogates, too.
            let widest = *given.choose(&[0x7f, 0xff, 0xffff, 0x0010_ffff])?;
            let codes: Vec<u32> = given.arbitrary()?;
            let codes = codes.into_iter().map(|code| code % (widest + 1));
            Value::Str(TextBuf::from_codes(codes))
        }
        10 => Value::Bytes(given.arbitrary()?),
        11 => Value::Complex(
            f64::from_bits(given.arbitrary()?),
            *given.choose(&[0.0, -0.0, 1.5, f64::NAN])?,
        ),
        _ => Value::Pickle(given.arbitrary()?),
    })
}

fn uint(value: u64) -> Value {
    i64::try_from(value).map_or(Value::Uint(value), Value::Int)
}

/// An int from two's complement, in the one form that it has.
fn big(mut bytes: Vec<u8>) -> Value {
    bytes.truncate(40);
    while let [.., before, last] = bytes[..]
        && last == if before & 0x80 == 0 { 0 } else { 0xff }
    {
        bytes.pop();
    }
    match bytes[..] {
        [] => Value::Int(0),
        [.., last] if bytes.len() <= 8 => {
            let mut wide = [if last & 0x80 == 0 { 0 } else { 0xff }; 8];
            wide[..bytes.len()].copy_from_slice(&bytes);
            Value::Int(i64::from_le_bytes(wide))
        }
        _ => match bytes[..].split_first_chunk::<8>() {
            Some((&low, [0])) => uint(u64::from_le_bytes(low)),
            _ => Value::Big(bytes),
        },
    }
}

fn many<T>(
    given: &mut Unstructured<'_>,
    mut make: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut all = Vec::new();
    // Without bytes left every choice is the first one.
    while all.len() < MEMBERS && !given.is_empty() && given.ratio(7, 8)? {
        all.push(make(given)?);
    }
    Ok(all)
}

/// Members of the same kind over and over, as columns have them.
fn column(given: &mut Unstructured<'_>, count: usize) -> Result<Vec<Value>> {
    let some: Vec<_> = (0..=given.int_in_range(0..=2)?)
        .map(|_| leaf(given))
        .collect::<Result<_>>()?;
    (0..count)
        .map(|_| Ok(given.choose(&some)?.clone()))
        .collect()
}

fn members(given: &mut Unstructured<'_>, depth: usize) -> Result<Vec<Value>> {
    if given.ratio(1, 3)? {
        let count = *given.choose(&[1, 2, 7, 8, 9, 64, 65, 600])?;
        return column(given, count);
    }
    many(given, |given| tree(given, depth + 1))
}

/// Keys that differ as in Python.
fn keys(given: &mut Unstructured<'_>) -> Result<Vec<Value>> {
    let mut keys = many(given, |given| key(given, 0))?;
    if given.ratio(1, 4)? {
        keys.extend((1000..1000 + given.int_in_range(0..=400)?).map(Value::Int));
    }
    Ok(distinct(keys))
}

/// One of each that Python takes for equal.
fn distinct(keys: Vec<Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for key in keys {
        let same = |other: &Value| match (key.scalar(), other.scalar()) {
            (Some(key), Some(other)) => onecopy::image::equal(&key, &other),
            _ => false,
        };
        if !kept.iter().any(same) {
            kept.push(key);
        }
    }
    kept
}

fn key(given: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
    Ok(match given.int_in_range(0..=7)? {
        0 if depth < 20 => Value::Tuple(many(given, |given| key(given, depth + 1))?),
        1 if depth < 3 => Value::FrozenSet(distinct(many(given, |given| key(given, depth + 1))?)),
        _ => leaf(given)?,
    })
}

fn tree(given: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
    if depth >= DEPTH {
        return leaf(given);
    }
    Ok(match given.int_in_range(0..=13)? {
        0 | 1 => Value::List(members(given, depth)?),
        2 => Value::Tuple(members(given, depth)?),
        3 | 4 => {
            let entries = keys(given)?.into_iter();
            let entries = entries.map(|key| Ok((key, leaf(given)?)));
            Value::Dict(entries.collect::<Result<_>>()?)
        }
        5 => Value::Set(keys(given)?),
        6 => Value::FrozenSet(keys(given)?),
        7 => Value::Table(rows(given, depth)?),
        8 => {
            let rows = rows(given, depth)?;
            let last = rows.count.saturating_sub(1) as u64;
            let which = match rows.count {
                0 => Vec::new(),
                _ => many(given, |given| given.int_in_range(0..=last))?,
            };
            Value::TableAndRows(rows, which)
        }
        9 => Value::Object(given.arbitrary()?, given.arbitrary()?),
        10 => {
            let shape = [given.int_in_range(0..=5)?, given.int_in_range(0..=800)?];
            let data = vec![given.arbitrary()?; (shape[0] * shape[1]) as usize];
            let shape = shape.to_vec();
            Value::Array(Grid { shape, data })
        }
        11 => {
            let content = match given.int_in_range(0..=4)? {
                0 => Value::List(members(given, depth)?),
                1 => Value::Tuple(members(given, depth)?),
                2 => Value::Set(keys(given)?),
                3 => Value::FrozenSet(keys(given)?),
                _ => Value::Table(rows(given, depth)?),
            };
            let (argument, state) = (tree(given, depth + 1)?, tree(given, depth + 1)?);
            Value::Typed(given.arbitrary()?, Box::new([content, argument, state]))
        }
        _ => leaf(given)?,
    })
}

fn rows(given: &mut Unstructured<'_>, depth: usize) -> Result<Rows> {
    let mut names = keys(given)?;
    names.retain(|name| matches!(name, Value::Str(_)));
    names.truncate(20);
    // No column, no row.
    let counts = if names.is_empty() {
        &[0][..]
    } else {
        &[0, 1, 2, 9, 33]
    };
    let count = *given.choose(counts)?;
    let cells = |given: &mut Unstructured<'_>| -> Result<Vec<Value>> {
        let mut cells = column(given, count)?;
        if let Some(cell) = cells.first_mut()
            && given.ratio(1, 3)?
        {
            *cell = tree(given, depth + 2)?;
        }
        Ok(cells)
    };
    let columns: Vec<_> = names
        .into_iter()
        .map(|name| Ok((name, cells(given)?)))
        .collect::<Result<_>>()?;
    // Only rows have shapes.
    let shapes = if count > 0 && given.arbitrary()? {
        let shapes: Vec<Vec<usize>> = (0..=given.int_in_range(0..=3)?)
            .map(|_| {
                let all = (0..columns.len()).rev();
                all.filter_map(|at| {
                    given
                        .arbitrary()
                        .map(|kept: bool| kept.then_some(at))
                        .transpose()
                })
                .collect::<Result<_>>()
            })
            .collect::<Result<_>>()?;
        let last = shapes.len() as i8 - 1;
        let of_rows = (0..count).map(|_| given.int_in_range(0..=last));
        Some((shapes.clone(), of_rows.collect::<Result<_>>()?))
    } else {
        None
    };
    Ok(Rows {
        container: *given.choose(&[Container::List, Container::Tuple])?,
        kind: *given.choose(&[RowKind::Dict, RowKind::Instance, RowKind::NamedTuple])?,
        class: given.arbitrary()?,
        count,
        columns,
        shapes,
    })
}

/// Scalars of values that have one.
#[must_use]
pub fn scalars(values: &[Leaf]) -> Vec<Scalar<'_>> {
    values.iter().filter_map(|leaf| leaf.0.scalar()).collect()
}
