//! The 8-byte word: one value of any supported type, or where it lies.
//!
//! A word is NaN-boxed. A float is its own bits, as long as its top sixteen bits are below `FFF9`; every number,
//! infinity and NaN that arithmetic makes is. The seven patterns above are tags with 48 bits of payload:
//!
//! | top 16 bits | tag | payload |
//! |---|---|---|
//! | `0000`–`FFF8` | float | the other 48 bits of it |
//! | `FFF9` | int | two's complement, 48 bits |
//! | `FFFA` | constant | 0 `None`, 1 `False`, 2 `True` |
//! | `FFFB` | short str | bits 40–42 length in bytes (0–5), bit 43 set for Latin-1, clear for ASCII; bits 0–39 the bytes, first lowest |
//! | `FFFC` | short bytes | as above, bit 43 clear |
//! | `FFFD` | blob | offset of the blob from the image's start |
//! | `FFFE` | node | offset of a node |
//! | `FFFF` | | reserved |
//!
//! A blob starts at a multiple of 8 with a head of 8 bytes, the kind in the lowest byte and the length of what follows
//! in the other seven, and is padded with zeros to a multiple of 8:
//!
//! | kind | content |
//! |---|---|
//! | 1 | int past 48 bits: `i64`, 8 bytes |
//! | 2 | int from 2^63 to 2^64 − 1: `u64`, 8 bytes |
//! | 3 | larger int: two's complement, shortest |
//! | 4 | float whose bits look like a tag: 8 bytes |
//! | 5 | bytes |
//! | 6 | complex: two `f64`, real and imaginary |
//! | 8, 9, 10, 11 | str in ASCII, Latin-1, UCS-2, UCS-4 |
//! | 16 | a pickle of protocol 5 without buffers outside it |
//! | 17 | the name of a class: `module:qualname`, UTF-8 |
//!
//! **Invariants.** `W1`: an equal value of an equal type always has the same word or an equal blob (there is one way
//! to write each value). `W2`: decoding any 64 bits gives a value or an error, never a panic.

use super::bytes::{put, round_up, slice, u64_at};
use super::error::{ImageError, corrupt};
use super::text::{Text, TextKind};

const PAYLOAD_BITS: u32 = 48;
const PAYLOAD_MASK: u64 = (1 << PAYLOAD_BITS) - 1;
/// Bytes of a str or bytes that fit into a word.
pub const INLINE_LEN: usize = 5;
const INLINE_LEN_SHIFT: u32 = 40;
const INLINE_LATIN1: u64 = 1 << 43;
/// Length of a blob's head.
pub(crate) const BLOB_HEAD_LEN: u64 = 8;
/// Blobs start at multiples of this.
pub const BLOB_ALIGN: u64 = 8;
/// Offsets in words are below this.
pub const OFFSET_LIMIT: u64 = 1 << PAYLOAD_BITS;

const TAG_INT: u16 = 0xfff9;
const TAG_CONST: u16 = 0xfffa;
const TAG_STR: u16 = 0xfffb;
const TAG_BYTES: u16 = 0xfffc;
const TAG_BLOB: u16 = 0xfffd;
const TAG_NODE: u16 = 0xfffe;

const CONST_NONE: u64 = 0;
const CONST_FALSE: u64 = 1;
const CONST_TRUE: u64 = 2;

const BLOB_I64: u8 = 1;
const BLOB_U64: u8 = 2;
const BLOB_BIG: u8 = 3;
const BLOB_F64: u8 = 4;
const BLOB_BYTES: u8 = 5;
const BLOB_COMPLEX: u8 = 6;
const BLOB_STR: u8 = 8;
const BLOB_PICKLE: u8 = 16;
const BLOB_CLASS: u8 = 17;

/// One value that is not a container.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// Python's `None`.
    None,
    /// A bool.
    Bool(bool),
    /// An int from −2^63 to 2^63 − 1.
    Int(i64),
    /// An int from 2^63 to 2^64 − 1; smaller ones are [`Scalar::Int`].
    Uint(u64),
    /// An int past both: two's complement, little-endian, in the fewest bytes.
    Big(&'a [u8]),
    /// A float.
    Float(f64),
    /// Text.
    Str(Text<'a>),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A complex number: real and imaginary part.
    Complex(f64, f64),
    /// An object that only Python knows, pickled.
    Pickle(&'a [u8]),
    /// The name of a class; never an element.
    Class(&'a [u8]),
}

/// A value in 8 bytes, or the place of its blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Word(pub u64);

/// Up to [`INLINE_LEN`] bytes taken out of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short {
    bytes: [u8; 8],
    len: u8,
}

impl Short {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// What a word says by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decoded {
    /// Python's `None`.
    None,
    /// A bool.
    Bool(bool),
    /// An int of 48 bits.
    Int(i64),
    /// A float.
    Float(f64),
    /// A short str of this kind, ASCII or Latin-1.
    Str(TextKind, Short),
    /// Short bytes.
    Bytes(Short),
    /// The offset of a blob.
    Blob(u64),
    /// The offset of a node.
    Node(u64),
}

const fn tagged(tag: u16, payload: u64) -> Word {
    Word(((tag as u64) << PAYLOAD_BITS) | payload)
}

fn inline(tag: u16, bytes: &[u8]) -> Option<Word> {
    if bytes.len() > INLINE_LEN {
        return None;
    }
    let packed = bytes
        .iter()
        .rev()
        .fold(0, |packed: u64, &byte| (packed << 8) | u64::from(byte));
    Some(tagged(
        tag,
        packed | ((bytes.len() as u64) << INLINE_LEN_SHIFT),
    ))
}

impl Word {
    /// The word of a value that needs no blob.
    #[must_use]
    pub fn inline(value: &Scalar<'_>) -> Option<Self> {
        match *value {
            Scalar::None => Some(tagged(TAG_CONST, CONST_NONE)),
            Scalar::Bool(false) => Some(tagged(TAG_CONST, CONST_FALSE)),
            Scalar::Bool(true) => Some(tagged(TAG_CONST, CONST_TRUE)),
            Scalar::Int(value) => {
                let word = tagged(TAG_INT, value.cast_unsigned() & PAYLOAD_MASK);
                (sign_extend(word.0) == value).then_some(word)
            }
            Scalar::Float(value) => {
                let bits = value.to_bits();
                (bits >> PAYLOAD_BITS < u64::from(TAG_INT)).then_some(Self(bits))
            }
            Scalar::Str(Text {
                kind: TextKind::Ascii,
                bytes,
            }) => inline(TAG_STR, bytes),
            Scalar::Str(Text {
                kind: TextKind::Latin1,
                bytes,
            }) => inline(TAG_STR, bytes).map(|word| Self(word.0 | INLINE_LATIN1)),
            Scalar::Bytes(bytes) => inline(TAG_BYTES, bytes),
            Scalar::Str(_)
            | Scalar::Uint(_)
            | Scalar::Big(_)
            | Scalar::Complex(..)
            | Scalar::Pickle(_)
            | Scalar::Class(_) => None,
        }
    }

    /// The word that points to the blob at `offset`; `None` if the offset is past [`OFFSET_LIMIT`] or not aligned.
    #[must_use]
    pub fn blob(offset: u64) -> Option<Self> {
        (offset < OFFSET_LIMIT && offset.is_multiple_of(BLOB_ALIGN))
            .then(|| tagged(TAG_BLOB, offset))
    }

    /// The word that points to the node at `offset`; `None` if the offset is past [`OFFSET_LIMIT`] or not aligned.
    #[must_use]
    pub fn node(offset: u64) -> Option<Self> {
        (offset < OFFSET_LIMIT && offset.is_multiple_of(BLOB_ALIGN))
            .then(|| tagged(TAG_NODE, offset))
    }

    /// The offset of the node that the word points to, if it does.
    #[must_use]
    pub fn node_offset(self) -> Option<u64> {
        match self.decode() {
            Some(Decoded::Node(offset)) => Some(offset),
            _ => None,
        }
    }

    /// What the word says by itself, or `None` for a tag this version does not know.
    #[must_use]
    pub fn decode(self) -> Option<Decoded> {
        let tag = (self.0 >> PAYLOAD_BITS) as u16;
        let payload = self.0 & PAYLOAD_MASK;
        match tag {
            0..TAG_INT => Some(Decoded::Float(f64::from_bits(self.0))),
            TAG_INT => Some(Decoded::Int(sign_extend(self.0))),
            TAG_CONST => match payload {
                CONST_NONE => Some(Decoded::None),
                CONST_FALSE => Some(Decoded::Bool(false)),
                CONST_TRUE => Some(Decoded::Bool(true)),
                _ => None,
            },
            TAG_STR => {
                let latin1 = payload & INLINE_LATIN1 != 0;
                let kind = if latin1 {
                    TextKind::Latin1
                } else {
                    TextKind::Ascii
                };
                short(payload & !INLINE_LATIN1).map(|short| Decoded::Str(kind, short))
            }
            TAG_BYTES => short(payload).map(Decoded::Bytes),
            TAG_BLOB => Some(Decoded::Blob(payload)),
            TAG_NODE => Some(Decoded::Node(payload)),
            _ => None,
        }
    }
}

fn sign_extend(word: u64) -> i64 {
    (word << 16).cast_signed() >> 16
}

fn short(payload: u64) -> Option<Short> {
    let len = (payload >> INLINE_LEN_SHIFT) as u8;
    (usize::from(len) <= INLINE_LEN).then(|| Short {
        bytes: payload.to_le_bytes(),
        len,
    })
}

/// Bytes that the blob of `value` takes in an image, padding included; 0 if it needs none.
#[must_use]
pub fn blob_len(value: &Scalar<'_>) -> u64 {
    if Word::inline(value).is_some() {
        return 0;
    }
    // A length is at most `isize::MAX`, so neither the head nor the rounding can overflow.
    round_up(content_len(value).saturating_add(BLOB_HEAD_LEN), BLOB_ALIGN).unwrap_or(u64::MAX)
}

fn content_len(value: &Scalar<'_>) -> u64 {
    match *value {
        Scalar::None | Scalar::Bool(_) => 0,
        Scalar::Int(_) | Scalar::Uint(_) | Scalar::Float(_) => 8,
        Scalar::Complex(..) => 16,
        Scalar::Big(bytes)
        | Scalar::Bytes(bytes)
        | Scalar::Pickle(bytes)
        | Scalar::Class(bytes)
        | Scalar::Str(Text { bytes, .. }) => bytes.len() as u64,
    }
}

/// Writes the blob of `value` to the start of `out`, padding included, and says how many bytes that took; `None` if
/// they do not fit.
pub(crate) fn write_blob(value: &Scalar<'_>, out: &mut [u8]) -> Option<u64> {
    let (eight, sixteen);
    let (kind, content): (u8, &[u8]) = match *value {
        Scalar::None | Scalar::Bool(_) => return None,
        Scalar::Int(value) => {
            eight = value.to_le_bytes();
            (BLOB_I64, &eight)
        }
        Scalar::Uint(value) => {
            eight = value.to_le_bytes();
            (BLOB_U64, &eight)
        }
        Scalar::Float(value) => {
            eight = value.to_bits().to_le_bytes();
            (BLOB_F64, &eight)
        }
        Scalar::Big(bytes) => (BLOB_BIG, bytes),
        Scalar::Bytes(bytes) => (BLOB_BYTES, bytes),
        Scalar::Complex(real, imaginary) => {
            let both = (u128::from(imaginary.to_bits()) << 64) | u128::from(real.to_bits());
            sixteen = both.to_le_bytes();
            (BLOB_COMPLEX, &sixteen)
        }
        Scalar::Pickle(bytes) => (BLOB_PICKLE, bytes),
        Scalar::Class(bytes) => (BLOB_CLASS, bytes),
        Scalar::Str(text) => (BLOB_STR.wrapping_add(text.kind as u8), text.bytes),
    };
    let len = content.len() as u64;
    let padded = round_up(len.checked_add(BLOB_HEAD_LEN)?, BLOB_ALIGN)?;
    let room = out.get_mut(..usize::try_from(padded).ok()?)?;
    let head = (len << 8) | u64::from(kind);
    let end = BLOB_HEAD_LEN.checked_add(len)? as usize;
    let written = put(room, 0, &head.to_le_bytes()) && put(room, BLOB_HEAD_LEN as usize, content);
    room.get_mut(end..)?.fill(0);
    written.then_some(padded)
}

/// Reads the blob at `offset` of `image`.
///
/// # Errors
/// [`ImageError::Corrupt`] if it does not lie inside the image or its kind is unknown.
pub fn read_blob(image: &[u8], offset: u64) -> Result<Scalar<'_>, ImageError> {
    if !offset.is_multiple_of(BLOB_ALIGN) {
        return Err(corrupt(offset, "a blob starts at a multiple of 8"));
    }
    let head = u64_at(image, offset, "blob head outside the image")?;
    let at = offset.saturating_add(BLOB_HEAD_LEN);
    let content = slice(image, at, head >> 8, "blob content outside the image")?;
    let eight = || {
        let bytes = content
            .try_into()
            .map_err(|_| corrupt(offset, "blob of 8 bytes expected"))?;
        Ok(u64::from_le_bytes(bytes))
    };
    match head as u8 {
        BLOB_I64 => eight().map(|bits| Scalar::Int(bits.cast_signed())),
        BLOB_U64 => eight().map(Scalar::Uint),
        BLOB_F64 => eight().map(|bits| Scalar::Float(f64::from_bits(bits))),
        BLOB_BIG => Ok(Scalar::Big(content)),
        BLOB_BYTES => Ok(Scalar::Bytes(content)),
        BLOB_COMPLEX if content.len() == 16 => Ok(Scalar::Complex(
            f64::from_bits(u64_at(content, 0, "complex")?),
            f64::from_bits(u64_at(content, 8, "complex")?),
        )),
        BLOB_PICKLE => Ok(Scalar::Pickle(content)),
        BLOB_CLASS => Ok(Scalar::Class(content)),
        kind @ BLOB_STR..12 => {
            let kind = TextKind::from_bits(kind.wrapping_sub(BLOB_STR));
            if !content.len().is_multiple_of(kind.width()) {
                return Err(corrupt(offset, "str blob of a broken length"));
            }
            Ok(Scalar::Str(Text {
                kind,
                bytes: content,
            }))
        }
        _ => Err(corrupt(offset, "unknown kind of blob")),
    }
}
