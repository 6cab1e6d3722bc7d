//! An entry: the block of a key and its value.
//!
//! ```text
//! header: 32 + kind of the key (0 for a word), 64 more with a form | length     value     lower half of the hash | place
//! [ form: a word ]     key: a word, or bytes
//! ```
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::generation::Blocks;
use super::super::layout::Header;
use super::super::lock::Locked;
use super::super::look::{Look, Retry};
use super::super::value::{ENTRY, Incoming, Kind, Sink, Word, read_content};
use super::hash::{FORMED, Key, no_key};
use super::{KEY_AT, PLACE_AT, RawDict, VALUE_AT};

/// What a sink makes, or why it cannot.
pub(super) type Made<S> = Result<<S as Sink>::Made, <S as Sink>::Error>;

/// A key and the value that it is to have.
pub(super) type Item<'i, 'a> = (&'i Key<'a>, &'i Incoming<'a>);

/// What an entry's header says of its key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// The word at this offset.
    Word(u64),
    /// A blob's kind, the offset of its content, and its length.
    Blob(Kind, u64, usize),
}

/// How the key is given: its form, if it has one.
#[inline(always)]
pub(super) fn given(look: &Look<'_>, entry: u64) -> Result<Shape, Retry> {
    let header = Header(look.load(entry)?);
    look.check()?;
    if header.kind() & FORMED != 0 {
        return Ok(Shape::Word(entry.wrapping_add(KEY_AT)));
    }
    shape(look, entry, header)
}

/// How the key is compared.
pub(super) fn canonical(look: &Look<'_>, entry: u64) -> Result<Shape, Retry> {
    let header = Header(look.load(entry)?);
    look.check()?;
    shape(look, entry, header)
}

#[inline(always)]
fn shape(look: &Look<'_>, entry: u64, header: Header) -> Result<Shape, Retry> {
    let form = if header.kind() & FORMED == 0 { 0 } else { 8 };
    let at = entry.wrapping_add(KEY_AT + form);
    let kind = (header.kind() & !FORMED).wrapping_sub(ENTRY);
    if kind == 0 {
        return Ok(Shape::Word(at));
    }
    let kind = Kind::of(kind).ok_or(Retry)?;
    let len = header.len().checked_sub(KEY_AT - 8 + form).ok_or(Retry)?;
    let len = look.content(entry, header, len, kind)?;
    Ok(Shape::Blob(kind, at, len))
}

/// Makes the key of an entry, as it was given.
#[inline(always)]
pub(super) fn read_key<S: Sink>(look: &Look<'_>, entry: u64, sink: &S) -> Result<Made<S>, Retry> {
    match given(look, entry)? {
        Shape::Word(at) => {
            let word = look.load(at)?;
            look.check()?;
            Ok(sink.word(Word(word)))
        }
        Shape::Blob(kind, at, len) => read_content(look, at, kind, len, sink),
    }
}

/// Takes a block for an entry and fills it; the offset of its header.
#[inline(always)]
pub(super) fn new_entry(
    blocks: &mut impl Blocks,
    key: &Key<'_>,
    hash: u64,
    place: u64,
    value: Word,
) -> Result<u64, ContainerError> {
    let header = Header(if key.form.is_some() {
        key.header_with_form()
    } else {
        key.header
    });
    let entry = blocks.allocate(header.kind(), header.len())?;
    blocks.prepare(entry + VALUE_AT, value.0)?;
    blocks.prepare(entry + PLACE_AT, hash << 32 | place)?;
    let mut at = entry + KEY_AT;
    if let Some(form) = key.form {
        blocks.prepare(at, form.0)?;
        at += 8;
    }
    match key.canonical {
        Incoming::Word(word) => blocks.prepare(at, word.0)?,
        Incoming::Blob(_, bytes) => blocks.fill(at, bytes)?,
        Incoming::Reference(_) | Incoming::Large(_) => no_key(),
    }
    Ok(entry)
}

impl RawDict {
    /// Calls `take` with the key of an entry as it is compared.
    pub(super) fn with_canonical<T>(
        &self,
        locked: &Locked<'_>,
        entry: u64,
        take: impl FnOnce(Incoming<'_>) -> T,
    ) -> Result<T, ContainerError> {
        let look = Look::locked(locked.heap);
        let shape = super::super::look::found(locked.heap, canonical(&look, entry))?;
        match shape {
            Shape::Word(at) => Ok(take(Incoming::Word(Word(locked.load(at)?)))),
            Shape::Blob(kind, at, len) => {
                let mut bytes = Vec::with_capacity(len.next_multiple_of(8));
                for word in 0..len.div_ceil(8) as u64 {
                    bytes.extend(locked.load(at.wrapping_add(8 * word))?.to_le_bytes());
                }
                bytes.truncate(len);
                Ok(take(Incoming::Blob(kind, &bytes)))
            }
        }
    }
}
