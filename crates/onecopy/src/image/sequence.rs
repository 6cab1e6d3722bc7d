//! Lists and tuples as they lie in an image, resolved into typed slices.
//!
//! What the slices *contain* is checked where it is used; see `view`.

use super::build::{KIND_SHIFT_NARROW, KIND_SHIFT_WIDE};
use super::bytes::once;
use super::error::{ImageError, corrupt};
use super::node::{ColumnKind, FLAG_ASCII, FLAG_NULLABLE, NodeHead, NodeKind};
use super::parts::{Parts, check_head};
use super::plan::Container;
use super::text::{Text, TextKind};
use super::word::{Decoded, Scalar, Short, Word, read_blob};

/// A list or tuple, resolved.
///
/// **Invariants.** `V1`: items hold exactly `len` elements (offsets: `len + 1`). `V2`: a validity bitmap holds at least
/// `len` bits. `V3`: all slices lie inside the image and stay valid as long as its bytes do.
#[derive(Debug, Clone, Copy)]
pub struct Sequence<'a> {
    at: u64,
    container: Container,
    len: usize,
    validity: Option<&'a [u8]>,
    items: Items<'a>,
}

/// The elements of a sequence, by column kind.
#[derive(Debug, Clone, Copy)]
pub enum Items<'a> {
    /// Ints of 8 bits.
    I8(&'a [i8]),
    /// Ints of 16 bits.
    I16(&'a [i16]),
    /// Ints of 32 bits.
    I32(&'a [i32]),
    /// Ints of 64 bits.
    I64(&'a [i64]),
    /// Ints from 0 to 2^64 − 1.
    U64(&'a [u64]),
    /// Floats.
    F64(&'a [f64]),
    /// Bools: 0 is false, anything else true.
    Bool(&'a [u8]),
    /// Text.
    Str(Spans<'a>),
    /// Bytes.
    Bytes(Spans<'a>),
    /// Mixtures.
    Words(Words<'a>),
}

/// Where each element's text or bytes begin.
#[derive(Debug, Clone, Copy)]
pub enum Offsets<'a> {
    /// 30 bits of offset below two bits of kind.
    Narrow(&'a [u32]),
    /// 62 bits of offset below two bits of kind.
    Wide(&'a [u64]),
}

/// Elements that are parts of one run of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Spans<'a> {
    /// One more than there are elements.
    pub offsets: Offsets<'a>,
    /// The bytes that offsets point into.
    pub data: &'a [u8],
    /// Whether every element is announced as ASCII.
    pub ascii: bool,
    /// Offset of the offsets from the image's start.
    pub at: u64,
}

/// Words, and the image that their blobs lie in.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// One per element.
    pub words: &'a [u64],
    /// The whole image.
    pub image: &'a [u8],
    /// Offset of the words from the image's start.
    pub at: u64,
}

/// An element of a sequence: a scalar, or a few bytes that were taken out of a word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Element<'a> {
    /// A value that borrows from the image.
    Scalar(Scalar<'a>),
    /// Text that fit into its word.
    ShortStr(TextKind, Short),
    /// Bytes that fit into their word.
    ShortBytes(Short),
    /// The offset of a node.
    Node(u64),
}

impl Element<'_> {
    /// The element as a scalar; `None` for a node.
    #[must_use]
    pub fn as_scalar(&self) -> Scalar<'_> {
        match self {
            Self::Scalar(scalar) => *scalar,
            Self::ShortStr(kind, short) => Scalar::Str(Text {
                kind: *kind,
                bytes: short.as_bytes(),
            }),
            Self::ShortBytes(short) => Scalar::Bytes(short.as_bytes()),
            Self::Node(_) => Scalar::None,
        }
    }
}

impl<'a> From<Scalar<'a>> for Element<'a> {
    fn from(scalar: Scalar<'a>) -> Self {
        Self::Scalar(scalar)
    }
}

impl<'a> Sequence<'a> {
    /// The list or tuple at an offset.
    pub(crate) fn at(image: &'a [u8], offset: u64) -> Result<Self, ImageError> {
        Self::resolve(image, offset, &NodeHead::read(image, offset)?)
    }

    /// The list or tuple that has this head.
    pub(crate) fn resolve(image: &'a [u8], at: u64, head: &NodeHead) -> Result<Self, ImageError> {
        let broken = |what| corrupt(at, what);
        let container = match head.kind {
            NodeKind::List => Container::List,
            NodeKind::Tuple => Container::Tuple,
            _ => return Err(broken("a list or tuple was expected")),
        };
        let (column, len) = check_head(at, head)?;
        let nullable = head.flags & FLAG_NULLABLE != 0;
        let ascii = head.flags & FLAG_ASCII != 0;
        let parts = if head.is_compact() {
            Parts::compact(image, at, column, head)?
        } else {
            Parts::listed(image, at, column, head)?
        };
        let items = parts.items;
        let validity = parts.validity.of(image)?;
        if validity.len() != if nullable { len.div_ceil(8) } else { 0 } {
            return Err(broken("validity length"));
        }
        let data = parts.data.of(image)?;
        let spans = || -> Result<_, ImageError> {
            let count = len.checked_add(1).ok_or(broken("element count"))?;
            let offsets = match head.item_size {
                4 => Offsets::Narrow(items.typed(image, count)?),
                8 => Offsets::Wide(items.typed(image, count)?),
                _ => return Err(broken("offsets have 4 or 8 bytes")),
            };
            Ok(Spans {
                offsets,
                data,
                ascii,
                at: items.offset,
            })
        };
        let items = match column {
            ColumnKind::I8 => Items::I8(items.typed(image, len)?),
            ColumnKind::I16 => Items::I16(items.typed(image, len)?),
            ColumnKind::I32 => Items::I32(items.typed(image, len)?),
            ColumnKind::I64 => Items::I64(items.typed(image, len)?),
            ColumnKind::U64 => Items::U64(items.typed(image, len)?),
            ColumnKind::F64 => Items::F64(items.typed(image, len)?),
            ColumnKind::Bool => Items::Bool(items.typed(image, len)?),
            ColumnKind::Str => Items::Str(spans()?),
            ColumnKind::Bytes => Items::Bytes(spans()?),
            ColumnKind::Words => Items::Words(Words {
                words: items.typed(image, len)?,
                image,
                at: items.offset,
            }),
        };
        Ok(Self {
            at,
            container,
            len,
            validity: nullable.then_some(validity),
            items,
        })
    }

    /// Offset of the node.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.at
    }

    /// List or tuple.
    #[must_use]
    pub const fn container(&self) -> Container {
        self.container
    }

    /// Number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The validity bitmap, if some elements are `None`: bit `i % 8` of byte `i / 8` is clear for those.
    #[must_use]
    pub const fn validity(&self) -> Option<&'a [u8]> {
        self.validity
    }

    /// The elements, by column kind.
    #[must_use]
    pub const fn items(&self) -> Items<'a> {
        self.items
    }

    /// Element `index`, or `None` past the end.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if its offset, word or blob does not hold.
    pub fn get(&self, index: usize) -> Result<Option<Element<'a>>, ImageError> {
        if index >= self.len {
            return Ok(None);
        }
        if let Some(bits) = self.validity {
            let byte = bits.get(index >> 3).map(once).unwrap_or_default();
            if byte & (1 << (index & 7)) == 0 {
                return Ok(Some(Scalar::None.into()));
            }
        }
        let int = |value: i64| Some(Scalar::Int(value));
        let scalar = match self.items {
            Items::I8(items) => items.get(index).and_then(|&value| int(value.into())),
            Items::I16(items) => items.get(index).and_then(|&value| int(value.into())),
            Items::I32(items) => items.get(index).and_then(|&value| int(value.into())),
            Items::I64(items) => items.get(index).and_then(|&value| int(value)),
            Items::U64(items) => items.get(index).map(|&value| uint(value)),
            Items::F64(items) => items.get(index).map(|&value| Scalar::Float(value)),
            Items::Bool(items) => items.get(index).map(|&value| Scalar::Bool(value != 0)),
            Items::Str(spans) => Some(Scalar::Str(spans.text(index)?)),
            Items::Bytes(spans) => Some(Scalar::Bytes(spans.text(index)?.bytes)),
            Items::Words(words) => return words.get(index).map(Some),
        };
        Ok(scalar.map(Element::Scalar))
    }
}

/// The scalar of an int of 64 bits without sign.
fn uint(value: u64) -> Scalar<'static> {
    i64::try_from(value).map_or(Scalar::Uint(value), Scalar::Int)
}

impl<'a> Spans<'a> {
    /// Start, end and kind of element `index` as they are written, unchecked against the data.
    fn raw(&self, index: usize) -> Option<(u64, u64, u8)> {
        let end = index.checked_add(1)?;
        match self.offsets {
            Offsets::Narrow(offsets) => {
                const MASK: u32 = (1 << KIND_SHIFT_NARROW) - 1;
                let (start, end) = (once(offsets.get(index)?), once(offsets.get(end)?));
                let kind = (start >> KIND_SHIFT_NARROW) as u8;
                Some((u64::from(start & MASK), u64::from(end & MASK), kind))
            }
            Offsets::Wide(offsets) => {
                const MASK: u64 = (1 << KIND_SHIFT_WIDE) - 1;
                let (start, end) = (once(offsets.get(index)?), once(offsets.get(end)?));
                Some((start & MASK, end & MASK, (start >> KIND_SHIFT_WIDE) as u8))
            }
        }
    }

    /// The bytes of element `index` and the kind of text they are; for a bytes column the kind means nothing.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if its offsets do not lie in the data, in order, and a whole number of characters apart.
    pub fn text(&self, index: usize) -> Result<Text<'a>, ImageError> {
        let size = match self.offsets {
            Offsets::Narrow(_) => 4_u64,
            Offsets::Wide(_) => 8,
        };
        let at = self.at.saturating_add(size.saturating_mul(index as u64));
        let wrong = corrupt(at, "offsets of an element do not lie in its data");
        let (start, end, kind) = self.raw(index).ok_or(wrong.clone())?;
        let kind = TextKind::from_bits(kind);
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let bytes = range.and_then(|(start, end)| self.data.get(start..end));
        let bytes = bytes.filter(|bytes| bytes.len().is_multiple_of(kind.width()));
        Ok(Text {
            kind,
            bytes: bytes.ok_or(wrong)?,
        })
    }
}

impl<'a> Words<'a> {
    /// Element `index`.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if its word or blob does not hold.
    pub fn get(&self, index: usize) -> Result<Element<'a>, ImageError> {
        let at = self.at.saturating_add((index as u64).saturating_mul(8));
        let wrong = || corrupt(at, "word with an unknown tag");
        let word = once(self.words.get(index).ok_or_else(wrong)?);
        Ok(match Word(word).decode().ok_or_else(wrong)? {
            Decoded::None => Scalar::None.into(),
            Decoded::Bool(value) => Scalar::Bool(value).into(),
            Decoded::Int(value) => Scalar::Int(value).into(),
            Decoded::Float(value) => Scalar::Float(value).into(),
            Decoded::Str(kind, short) => Element::ShortStr(kind, short),
            Decoded::Bytes(short) => Element::ShortBytes(short),
            Decoded::Blob(offset) => read_blob(self.image, offset)?.into(),
            Decoded::Node(offset) => Element::Node(offset),
        })
    }
}
