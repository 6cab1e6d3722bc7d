//! Values as Rust programs have them.
#![forbid(unsafe_code)]

use super::error::ContainerError;
use super::reference::Reference;
use super::value::{Immediate, Incoming, Kind, Large, Sink, Word, narrowest_int, small_int};
use crate::error::AccessError;

/// A value of a container, for Rust programs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `None`.
    None,
    /// A bool.
    Bool(bool),
    /// An int of at most 64 bits.
    Int(i64),
    /// Another int, little-endian two's complement in the fewest bytes.
    BigInt(Vec<u8>),
    /// A float.
    Float(f64),
    /// A str.
    Str(String),
    /// A str with surrogates, which is no text outside Python: its code points.
    Surrogates(Vec<u32>),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A pickle.
    Pickle(Vec<u8>),
    /// A key that Python has written: a tuple, an Enum, a UUID, a date.
    Encoded(Vec<u8>),
    /// Another object of the store: a container, or an object that never changes. Not a copy of it.
    Reference(Reference),
}

impl Value {
    /// Calls `take` with the value as a container keeps it.
    #[inline(always)]
    pub(crate) fn with_incoming<T>(&self, take: impl FnOnce(Incoming<'_>) -> T) -> T {
        take(self.encode().incoming())
    }

    /// The value as a container keeps it.
    #[inline(always)]
    pub(crate) fn encode(&self) -> Encoded<'_> {
        let word = match self {
            Self::None => Some(Word::NONE),
            Self::Bool(value) => Some(Word::of_bool(*value)),
            Self::Int(value) => Word::of_int(*value),
            Self::Float(value) => Word::of_float(*value),
            _ => None,
        };
        match word {
            Some(word) => Encoded::Known(Incoming::Word(word)),
            None => self.encode_long(),
        }
    }

    #[inline(never)]
    fn encode_long(&self) -> Encoded<'_> {
        Encoded::Known(match self {
            Self::Int(value) => {
                return Encoded::Made(Kind::Int, narrowest_int(&value.to_le_bytes()).to_vec());
            }
            Self::BigInt(bytes) => match small_int(narrowest_int(bytes)).and_then(Word::of_int) {
                Some(word) => Incoming::Word(word),
                None => Incoming::Blob(Kind::Int, narrowest_int(bytes)),
            },
            Self::Float(value) => {
                return Encoded::Made(Kind::Nan, value.to_bits().to_le_bytes().to_vec());
            }
            Self::Str(text) if text.is_ascii() => Incoming::of_latin1(text.as_bytes(), true),
            Self::Str(text) => return Encoded::of_str(text.chars().map(u32::from)),
            Self::Surrogates(points) => return Encoded::of_str(points.iter().copied()),
            Self::Bytes(bytes) => Incoming::of_bytes(bytes),
            Self::Pickle(bytes) => Incoming::Blob(Kind::Pickle, bytes),
            Self::Encoded(bytes) => Incoming::Blob(Kind::Encoded, bytes),
            Self::Reference(reference) => Incoming::Reference(reference),
            Self::None | Self::Bool(_) => Incoming::Word(Word::NONE),
        })
    }
}

/// A value as a container keeps it.
#[derive(Debug)]
pub(crate) enum Encoded<'a> {
    Known(Incoming<'a>),
    Made(Kind, Vec<u8>),
}

impl Encoded<'_> {
    fn of_str(points: impl Iterator<Item = u32> + Clone) -> Self {
        let (kind, bytes) = narrowest_str(points);
        Self::Made(kind, bytes)
    }

    #[inline(always)]
    pub(crate) fn incoming(&self) -> Incoming<'_> {
        match self {
            Self::Known(incoming) => *incoming,
            Self::Made(kind, bytes) => of_made(*kind, bytes),
        }
    }
}

macro_rules! value_from {
    ($($type:ty, $name:ident => $value:expr;)*) => {
        $(impl From<$type> for Value {
            fn from($name: $type) -> Self {
                $value
            }
        })*
    };
}
value_from! {
    bool, value => Self::Bool(value);
    i32, value => Self::Int(value.into());
    i64, value => Self::Int(value);
    f64, value => Self::Float(value);
    &str, value => Self::Str(value.to_owned());
    String, value => Self::Str(value);
    &[u8], value => Self::Bytes(value.to_owned());
    Vec<u8>, value => Self::Bytes(value);
    Reference, value => Self::Reference(value);
}

fn of_made(kind: Kind, bytes: &[u8]) -> Incoming<'_> {
    match kind {
        Kind::Ascii | Kind::Latin1 => Incoming::of_latin1(bytes, kind == Kind::Ascii),
        _ => Incoming::Blob(kind, bytes),
    }
}

/// Code points in the narrowest kind.
fn narrowest_str(points: impl Iterator<Item = u32> + Clone) -> (Kind, Vec<u8>) {
    let last = points.clone().max().unwrap_or(0);
    match last {
        0..0x80 => (Kind::Ascii, points.map(|point| point as u8).collect()),
        0x80..0x100 => (Kind::Latin1, points.map(|point| point as u8).collect()),
        0x100..0x1_0000 => (
            Kind::Ucs2,
            points
                .flat_map(|point| (point as u16).to_le_bytes())
                .collect(),
        ),
        _ => (Kind::Ucs4, points.flat_map(u32::to_le_bytes).collect()),
    }
}

/// Makes [`Value`]s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values;

/// Why there is no value.
#[derive(Debug)]
pub(crate) enum NoValue {
    /// A blob that means nothing, which only damage leaves.
    Damaged,
    /// What a word refers to could not be held.
    NotHeld(AccessError),
}

impl NoValue {
    /// The error; `damaged` makes it if there is none yet.
    pub(crate) fn or(self, damaged: impl FnOnce() -> ContainerError) -> ContainerError {
        match self {
            Self::Damaged => damaged(),
            Self::NotHeld(error) => error.into(),
        }
    }
}

impl Sink for Values {
    type Made = Value;
    type Room = Vec<u8>;
    type Error = NoValue;

    fn word(&self, word: Word) -> Result<Value, NoValue> {
        Ok(match word.immediate().ok_or(NoValue::Damaged)? {
            Immediate::None => Value::None,
            Immediate::Bool(value) => Value::Bool(value),
            Immediate::Int(value) => Value::Int(value),
            Immediate::Float(value) => Value::Float(value),
            Immediate::Str(bytes, len) => Value::Str(
                bytes
                    .iter()
                    .take(len)
                    .map(|byte| char::from(*byte))
                    .collect(),
            ),
            Immediate::Bytes(bytes, len) => Value::Bytes(bytes.iter().take(len).copied().collect()),
        })
    }

    fn room(&self, _: Kind, len: usize) -> Result<(Vec<u8>, *mut u8), NoValue> {
        let mut room = vec![0; len];
        let place = room.as_mut_ptr();
        Ok((room, place))
    }

    fn filled(&self, room: Vec<u8>, kind: Kind, _: usize) -> Result<Value, NoValue> {
        let text = |points: Vec<u32>| {
            let text: Option<String> = points.iter().map(|point| char::from_u32(*point)).collect();
            match text {
                Some(text) => Value::Str(text),
                None => Value::Surrogates(points),
            }
        };
        Ok(match kind {
            Kind::Int => small_int(&room).map_or(Value::BigInt(room), Value::Int),
            Kind::Nan => {
                let bits = room.try_into().map_err(|_| NoValue::Damaged)?;
                Value::Float(f64::from_bits(u64::from_le_bytes(bits)))
            }
            Kind::Bytes => Value::Bytes(room),
            Kind::Pickle => Value::Pickle(room),
            Kind::Encoded => Value::Encoded(room),
            Kind::Ascii | Kind::Latin1 => {
                Value::Str(room.iter().map(|byte| char::from(*byte)).collect())
            }
            Kind::Ucs2 => {
                let (units, _) = room.as_chunks::<2>();
                text(
                    units
                        .iter()
                        .map(|unit| u32::from(u16::from_le_bytes(*unit)))
                        .collect(),
                )
            }
            Kind::Ucs4 => {
                let (units, _) = room.as_chunks::<4>();
                let points: Vec<u32> = units.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
                if points.iter().any(|point| *point > 0x10_ffff) {
                    return Err(NoValue::Damaged);
                }
                text(points)
            }
        })
    }

    fn reference(&self, reference: Result<Reference, AccessError>) -> Result<Value, NoValue> {
        reference.map(Value::Reference).map_err(NoValue::NotHeld)
    }

    fn large(&self, large: Result<Large, AccessError>) -> Result<Value, NoValue> {
        let large = large.map_err(NoValue::NotHeld)?;
        Incoming::Blob(large.kind(), large.bytes()).make(self)
    }
}

/// Makes values of what is taken out under a lock: what is large is copied later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TakenValues;

/// A value that was taken out.
#[derive(Debug)]
pub(crate) enum Taken {
    Value(Value),
    Large(Large),
}

impl Taken {
    /// The value, once nothing is locked.
    pub(crate) fn value(self) -> Result<Value, NoValue> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Large(large) => Values.large(Ok(large)),
        }
    }
}

impl Sink for TakenValues {
    type Made = Taken;
    type Room = Vec<u8>;
    type Error = NoValue;

    fn word(&self, word: Word) -> Result<Taken, NoValue> {
        Values.word(word).map(Taken::Value)
    }

    fn room(&self, kind: Kind, len: usize) -> Result<(Vec<u8>, *mut u8), NoValue> {
        Values.room(kind, len)
    }

    fn filled(&self, room: Vec<u8>, kind: Kind, len: usize) -> Result<Taken, NoValue> {
        Values.filled(room, kind, len).map(Taken::Value)
    }

    fn reference(&self, reference: Result<Reference, AccessError>) -> Result<Taken, NoValue> {
        Values.reference(reference).map(Taken::Value)
    }

    fn large(&self, large: Result<Large, AccessError>) -> Result<Taken, NoValue> {
        large.map(Taken::Large).map_err(NoValue::NotHeld)
    }
}
