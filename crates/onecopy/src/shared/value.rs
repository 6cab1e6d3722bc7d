//! What a word of a container means, and values on their way in and out.
//!
//! ```text
//! 0                     nothing: an empty place
//! 1 … 0xffff            marks of a container's own, no values
//! bits of a float + 2^48                    a float; all NaNs but the usual one are blobs
//! 0xfff9 | 48 bits      an int of up to 48 bits, two's complement
//! 0xfffa | n            None, False, True
//! 0xfffb | length (3), Latin-1 or ASCII (1), four bits of zeros | 40 bits     a str of up to five bytes
//! 0xfffc | length (3)   | 40 bits           bytes, up to five
//! 0xfffe | offset       a blob: a block whose header says what and how long
//! 0xffff | index (20), generation (28)      a reference to another object of the store (referring.rs)
//! ```
//! A str is kept in the narrowest of one, two and four bytes a character, as CPython keeps it. Wide ints are
//! little-endian two's complement in the fewest bytes. Objects are pickles, made and read by whoever knows how.
#![allow(
    unsafe_code,
    reason = "bytes are copied to where the reader wants them"
)]

use super::change::Change;
use super::error::ContainerError;
use super::layout::{CLASSES, Header, class_len};
pub(crate) use super::layout::{DIRECTORY, ENTRY, LEASE, LONG_RECORD, PAGE_OF_WORDS, SEGMENT};
use super::look::{Look, Retry};
use super::reference::Reference;
use crate::error::AccessError;
use crate::store::SPAN;

const FLOAT_SHIFT: u64 = 1 << 48;
/// The largest word of a float: −∞.
const LAST_FLOAT: u64 = 0xfff0_0000_0000_0000 + FLOAT_SHIFT;
/// The NaN that is a word.
const NAN: u64 = 0x7ff8_0000_0000_0000;
const TAG_INT: u64 = 0xfff9;
const TAG_CONSTANT: u64 = 0xfffa;
const TAG_STR: u64 = 0xfffb;
const TAG_BYTES: u64 = 0xfffc;
const TAG_BLOB: u64 = 0xfffe;
const TAG_REFERENCE: u64 = 0xffff;
/// The 48 bits below a tag.
const PAYLOAD: u64 = (1 << 48) - 1;
/// The longest blob whose length is believed if the store has so many bytes.
const LARGE: usize = 1 << 20;
/// The longest str or bytes that is a word.
pub(crate) const SHORT: usize = 5;
/// In the payload of a short str: it has characters above 127.
const IS_LATIN1: u64 = 1 << 43;

/// Kinds of blobs, as their headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// An int as little-endian two's complement in the fewest bytes.
    Int = 1,
    /// A NaN other than the usual one.
    Nan = 2,
    /// Bytes.
    Bytes = 3,
    /// A pickle.
    Pickle = 4,
    /// A key that is an object of the other side's, in the one way in which equal objects are written.
    Encoded = 5,
    /// A str of ASCII characters, one byte each.
    Ascii = 8,
    /// A str of characters below 256, one byte each.
    Latin1 = 9,
    /// A str of characters below 65,536, two bytes each.
    Ucs2 = 10,
    /// A str of four bytes a character.
    Ucs4 = 11,
}

impl Kind {
    /// What the header of a block says, if it is a blob.
    #[inline(always)]
    #[must_use]
    pub fn of(kind: u8) -> Option<Self> {
        Some(match kind {
            1 => Self::Int,
            2 => Self::Nan,
            3 => Self::Bytes,
            4 => Self::Pickle,
            5 => Self::Encoded,
            8 => Self::Ascii,
            9 => Self::Latin1,
            10 => Self::Ucs2,
            11 => Self::Ucs4,
            _ => return None,
        })
    }

    /// Bytes of a unit: the length of a blob is a multiple of it.
    #[inline(always)]
    #[must_use]
    pub fn unit(self) -> usize {
        match self {
            Self::Nan => 8,
            Self::Ucs2 => 2,
            Self::Ucs4 => 4,
            _ => 1,
        }
    }
}

/// A word of a container that is a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word(pub(crate) u64);

/// What a word says by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Immediate {
    /// `None`.
    None,
    /// A bool.
    Bool(bool),
    /// An int of at most 48 bits.
    Int(i64),
    /// A float.
    Float(f64),
    /// A str of Latin-1 characters: its bytes and how many there are.
    Str([u8; SHORT], usize),
    /// Bytes and how many there are.
    Bytes([u8; SHORT], usize),
}

impl Word {
    /// `None`.
    pub const NONE: Self = Self(TAG_CONSTANT << 48);

    /// A bool.
    #[must_use]
    #[inline(always)]
    pub const fn of_bool(value: bool) -> Self {
        Self((TAG_CONSTANT << 48) | (1 + value as u64))
    }

    /// An int, if it has at most 48 bits.
    #[must_use]
    #[inline(always)]
    pub const fn of_int(value: i64) -> Option<Self> {
        if value << 16 >> 16 == value {
            Some(Self(TAG_INT << 48 | value as u64 & PAYLOAD))
        } else {
            None
        }
    }

    /// The int that the word is.
    #[must_use]
    #[inline(always)]
    pub const fn as_int(self) -> Option<i64> {
        if self.0 >> 48 == TAG_INT {
            Some((self.0 << 16) as i64 >> 16)
        } else {
            None
        }
    }

    /// A float, unless it is a NaN with a payload or a sign.
    #[must_use]
    #[inline(always)]
    pub const fn of_float(value: f64) -> Option<Self> {
        let bits = value.to_bits();
        if value.is_nan() && bits != NAN {
            return None;
        }
        Some(Self(bits.wrapping_add(FLOAT_SHIFT)))
    }

    /// The float that the word is.
    #[must_use]
    #[inline(always)]
    pub const fn as_float(self) -> Option<f64> {
        if self.0 >= FLOAT_SHIFT && self.0 <= LAST_FLOAT {
            Some(f64::from_bits(self.0 - FLOAT_SHIFT))
        } else {
            None
        }
    }

    /// A str of Latin-1 characters, if it is short.
    #[must_use]
    #[inline(always)]
    pub fn of_latin1(characters: &[u8]) -> Option<Self> {
        let latin1 = if characters.is_ascii() { 0 } else { IS_LATIN1 };
        Self::short(TAG_STR, characters).map(|word| Self(word | latin1))
    }

    /// Bytes, if they are few.
    #[must_use]
    #[inline(always)]
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        Self::short(TAG_BYTES, bytes).map(Self)
    }

    #[inline(always)]
    fn short(tag: u64, bytes: &[u8]) -> Option<u64> {
        (bytes.len() <= SHORT)
            .then(|| tag << 48 | (bytes.len() as u64) << 40 | super::words::tail(bytes))
    }

    /// What the word is written as inside a key that is made of several values.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The word that was written so, if it is a value by itself.
    #[must_use]
    pub fn of_bits(bits: u64) -> Option<Self> {
        Self(bits).immediate().map(|_| Self(bits))
    }

    /// The word that leads to a blob.
    #[inline(always)]
    pub(crate) const fn of_blob(at: u64) -> Self {
        Self(TAG_BLOB << 48 | at & PAYLOAD)
    }

    /// Where the blob stands that the word leads to.
    #[inline(always)]
    pub(crate) const fn as_blob(self) -> Option<u64> {
        if self.0 >> 48 == TAG_BLOB {
            Some(self.0 & PAYLOAD)
        } else {
            None
        }
    }

    /// The word that has a reference's name.
    pub(crate) const fn of_reference(name: u64) -> Self {
        Self(TAG_REFERENCE << 48 | name & PAYLOAD)
    }

    /// The reference's name that the word has.
    #[inline(always)]
    pub(crate) const fn as_reference(self) -> Option<u64> {
        if self.0 >> 48 == TAG_REFERENCE {
            Some(self.0 & PAYLOAD)
        } else {
            None
        }
    }

    /// Whether it leads elsewhere: to a blob or another object.
    #[inline(always)]
    pub(crate) const fn leads(self) -> bool {
        self.0 >= TAG_BLOB << 48
    }

    /// What the word says by itself; `None` for one that leads elsewhere, and for no value.
    #[must_use]
    #[inline(always)]
    pub fn immediate(self) -> Option<Immediate> {
        if let Some(int) = self.as_int() {
            return Some(Immediate::Int(int));
        }
        if let Some(float) = self.as_float() {
            return Some(Immediate::Float(float));
        }
        let [bytes @ .., len, _, _] = self.0.to_le_bytes();
        let len = usize::from(len & 7);
        Some(match self.0 >> 48 {
            TAG_CONSTANT => match self.0 & PAYLOAD {
                0 => Immediate::None,
                1 => Immediate::Bool(false),
                2 => Immediate::Bool(true),
                _ => return None,
            },
            TAG_STR if len <= SHORT => Immediate::Str(bytes, len),
            TAG_BYTES if len <= SHORT => Immediate::Bytes(bytes, len),
            _ => return None,
        })
    }
}

/// A value on its way in: a word, or the bytes of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The word is all.
    Word(Word),
    /// The content of a blob.
    Blob(Kind, &'a [u8]),
    /// Another object of the store.
    Reference(&'a Reference),
}

impl<'a> Incoming<'a> {
    /// A str of ASCII or Latin-1 characters.
    #[must_use]
    #[inline(always)]
    pub fn of_latin1(characters: &'a [u8], is_ascii: bool) -> Self {
        match Word::of_latin1(characters) {
            Some(word) => Self::Word(word),
            None if is_ascii => Self::Blob(Kind::Ascii, characters),
            None => Self::Blob(Kind::Latin1, characters),
        }
    }

    /// An int, from little-endian two's complement.
    #[must_use]
    pub fn of_int(bytes: &'a [u8]) -> Self {
        let bytes = narrowest_int(bytes);
        let word = small_int(bytes).and_then(Word::of_int);
        word.map_or(Self::Blob(Kind::Int, bytes), Self::Word)
    }

    /// Bytes.
    #[must_use]
    #[inline(always)]
    pub fn of_bytes(bytes: &'a [u8]) -> Self {
        Word::of_bytes(bytes).map_or(Self::Blob(Kind::Bytes, bytes), Self::Word)
    }

    /// The word of the value; a blob gets its block here, filled before the change's commit.
    ///
    /// # Errors
    /// No memory.
    #[inline(always)]
    pub(crate) fn place(&self, change: &mut Change<'_>) -> Result<Word, ContainerError> {
        match *self {
            Self::Word(word) => Ok(word),
            Self::Blob(kind, bytes) => {
                let at = change.allocate(kind as u8, bytes.len() as u64)?;
                change.fill(at + 8, bytes)?;
                Ok(Word::of_blob(at))
            }
            Self::Reference(reference) => change.refer(reference),
        }
    }
}

impl Change<'_> {
    /// Fills a block that this change takes.
    ///
    /// # Errors
    /// It does not lie in the container.
    #[inline(always)]
    pub(crate) fn fill(&self, at: u64, bytes: &[u8]) -> Result<(), ContainerError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let words = (bytes.len() as u64).div_ceil(8);
        self.heap.own_all(at, 8 * words)?;
        for word in 0..words {
            self.note(at + 8 * word);
        }
        self.heap.words.fill(at, bytes);
        Ok(())
    }
}

/// Makes results from what is read. Nothing that is read is trusted before it was looked at again, so a sink gets
/// words that were, and fills room that it may have to throw away.
pub trait Sink {
    /// What is made.
    type Made;
    /// Room for the content of a blob.
    type Room;
    /// Why it cannot be made.
    type Error;

    /// Makes a result of a word.
    fn word(&self, word: Word) -> Result<Self::Made, Self::Error>;
    /// Makes room for `len` bytes: where they go has to be valid for writes of so many.
    fn room(&self, kind: Kind, len: usize) -> Result<(Self::Room, *mut u8), Self::Error>;
    /// Makes the result of room that was filled; what is in it is what was in the container at one moment.
    fn filled(&self, room: Self::Room, kind: Kind, len: usize) -> Result<Self::Made, Self::Error>;
    /// Makes the result of a reference to another object, or of why it cannot be held.
    fn reference(
        &self,
        reference: Result<Reference, AccessError>,
    ) -> Result<Self::Made, Self::Error>;
}

/// What is read ends as a result, as an error of the sink, or in another try.
#[inline(always)]
pub(crate) fn read_value<S: Sink>(
    look: &Look<'_>,
    word: u64,
    sink: &S,
) -> Result<Result<S::Made, S::Error>, Retry> {
    let word = Word(word);
    if !word.leads() {
        look.check()?;
        return Ok(sink.word(word));
    }
    match word.as_blob() {
        Some(at) => read_blob(look, at, sink),
        None => read_reference(look, word, sink),
    }
}

/// Under the container's lock the sink holds what it gets before the reference can go.
#[cold]
#[inline(never)]
fn read_reference<S: Sink>(
    look: &Look<'_>,
    word: Word,
    sink: &S,
) -> Result<Result<S::Made, S::Error>, Retry> {
    Ok(sink.reference(look.hold(word)?))
}

impl Look<'_> {
    /// Takes a hold on what a word refers to. It was dropped: then another word stands there by now.
    pub(crate) fn hold(&self, word: Word) -> Result<Result<Reference, AccessError>, Retry> {
        self.check()?;
        let name = word.as_reference().ok_or(Retry)?;
        match self.heap.container.hold_reference(name) {
            Ok(Some(referent)) => Ok(Ok(Reference(referent))),
            Ok(None) => Err(Retry),
            Err(error) => Ok(Err(error)),
        }
    }

    /// What a blob is, and how long: true, and no longer than its block, before anything is allocated for it.
    #[inline(always)]
    pub(crate) fn blob(&self, at: u64) -> Result<(Kind, usize), Retry> {
        let header = Header(self.load(at)?);
        self.check()?;
        let kind = Kind::of(header.kind()).ok_or(Retry)?;
        Ok((kind, self.content(at, header, header.len(), kind)?))
    }

    /// The length of the content at the end of a block: true, and no longer than the block.
    #[inline(always)]
    pub(crate) fn content(
        &self,
        at: u64,
        header: Header,
        len: u64,
        kind: Kind,
    ) -> Result<usize, Retry> {
        let len = usize::try_from(len).map_err(|_| Retry)?;
        let end = at
            .checked_add(8)
            .and_then(|start| start.checked_add(header.len()));
        if !len.is_multiple_of(kind.unit()) || end.is_none_or(|end| end > self.heap.words.len()) {
            return Err(Retry);
        }
        if len > LARGE {
            self.check_large(at, header)?;
        }
        Ok(len)
    }

    /// A damaged length may be that of the whole store.
    #[cold]
    #[inline(never)]
    fn check_large(&self, at: u64, header: Header) -> Result<(), Retry> {
        let fits = header.class() < CLASSES && header.len() <= class_len(header.class());
        let (heap, last) = (self.heap, at.wrapping_add(header.len()) & !7);
        let owns = |at| heap.container.owns(at);
        // Others' spans may stand between two chunks.
        let is_own = owns(last) && (at..last).step_by(SPAN as usize).all(owns);
        // Another process may have added the chunk.
        if fits && (is_own || heap.container.owns_now(at, last)) {
            Ok(())
        } else {
            Err(Retry)
        }
    }

    /// Copies a blob's content behind what is in `to`, with a header in front and zeros up to the next multiple of eight.
    pub(crate) fn append_blob(
        &self,
        at: u64,
        blob: (Kind, usize),
        to: &mut Vec<u8>,
    ) -> Result<(), Retry> {
        self.append_content(at.wrapping_add(8), blob, to)
    }

    /// The same for content that stands elsewhere in its block.
    pub(crate) fn append_content(
        &self,
        at: u64,
        blob: (Kind, usize),
        to: &mut Vec<u8>,
    ) -> Result<(), Retry> {
        let (kind, len) = blob;
        let room = len.next_multiple_of(8);
        to.try_reserve(8 + room).map_err(|_| Retry)?;
        to.extend(Header::new(kind as u8, 0, len as u64).0.to_le_bytes());
        let start = to.len();
        to.resize(start + room, 0);
        let content = to.get_mut(start..).ok_or(Retry)?;
        if self.is_past() {
            for (nth, bytes) in (0..).zip(content.chunks_exact_mut(8)) {
                bytes.copy_from_slice(&self.load(at.wrapping_add(8 * nth))?.to_le_bytes());
            }
            content.get_mut(len..).ok_or(Retry)?.fill(0);
            return Ok(());
        }
        let place = content.as_mut_ptr();
        // SAFETY: `place` is the beginning of `room >= len` bytes of a vector, which is not part of the data area.
        let copied = unsafe { self.heap.words.copy_out(at, place, len) };
        if copied { Ok(()) } else { Err(Retry) }
    }
}

impl Incoming<'_> {
    /// Makes what a sink makes of a value that is no longer in the container.
    #[inline(always)]
    pub fn make<S: Sink>(&self, sink: &S) -> Result<S::Made, S::Error> {
        match *self {
            Self::Word(word) => sink.word(word),
            Self::Blob(kind, bytes) => {
                let (room, place) = sink.room(kind, bytes.len())?;
                // SAFETY: `place` is valid for writes of so many bytes, in memory of the sink's own that it has just made
                // (the duty of `Sink::room`), so it does not overlap with `bytes`.
                unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
                sink.filled(room, kind, bytes.len())
            }
            Self::Reference(reference) => sink.reference(Ok(reference.clone())),
        }
    }
}

#[inline(always)]
fn read_blob<S: Sink>(
    look: &Look<'_>,
    at: u64,
    sink: &S,
) -> Result<Result<S::Made, S::Error>, Retry> {
    let (kind, len) = look.blob(at)?;
    read_content(look, at + 8, kind, len, sink)
}

/// Makes what a sink makes of content whose length is known to be true.
#[inline(always)]
pub(crate) fn read_content<S: Sink>(
    look: &Look<'_>,
    at: u64,
    kind: Kind,
    len: usize,
    sink: &S,
) -> Result<Result<S::Made, S::Error>, Retry> {
    let (room, place) = match sink.room(kind, len) {
        Ok(made) => made,
        Err(error) => return Ok(Err(error)),
    };
    // SAFETY: `place` is valid for writes of `len` bytes (the duty of `Sink::room`), in memory of the sink's own.
    let copied = unsafe { look.heap.words.copy_out(at, place, len) };
    if !copied {
        return Err(Retry);
    }
    look.check()?;
    Ok(sink.filled(room, kind, len))
}

/// The fewest bytes that mean the same int; none for 0.
pub(super) fn narrowest_int(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [rest @ .., last] = bytes {
        let is_negative_below = rest.last().is_some_and(|byte| byte & 0x80 != 0);
        let is_spare = (*last == 0 && !is_negative_below) || (*last == 0xff && is_negative_below);
        if !is_spare {
            break;
        }
        bytes = rest;
    }
    bytes
}

/// An int of at most eight bytes.
pub(super) fn small_int(bytes: &[u8]) -> Option<i64> {
    let sign = bytes
        .last()
        .map_or(0, |byte| if byte & 0x80 == 0 { 0 } else { 0xff });
    let mut word = [sign; 8];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_word_means_one_thing() {
        let words = [
            Word::NONE,
            Word::of_bool(false),
            Word::of_bool(true),
            Word::of_int(0).unwrap(),
            Word::of_int(-1).unwrap(),
            Word::of_float(0.0).unwrap(),
            Word::of_float(-0.0).unwrap(),
            Word::of_float(f64::NAN).unwrap(),
            Word::of_float(f64::NEG_INFINITY).unwrap(),
            Word::of_float(f64::from_bits(1)).unwrap(),
            Word::of_latin1(b"").unwrap(),
            Word::of_latin1(b"abcde").unwrap(),
            Word::of_latin1(b"\xe9").unwrap(),
            Word::of_bytes(b"").unwrap(),
            Word::of_bytes(b"abcde").unwrap(),
            Word::of_blob(0),
            Word::of_blob(PAYLOAD),
        ];
        for (index, word) in words.iter().enumerate() {
            assert_ne!(word.0, 0);
            assert!(
                words.iter().skip(index + 1).all(|other| other != word),
                "{word:?}"
            );
            let as_blob = word.as_blob().is_some();
            assert_ne!(word.immediate().is_some(), as_blob, "{word:?}");
        }
        assert_eq!(Word::of_int(1 << 47), None);
        assert_eq!(Word::of_int(-(1 << 47)).unwrap().as_int(), Some(-(1 << 47)));
        assert_eq!(Word::of_float(-f64::NAN), None);
        assert_eq!(Word(0).immediate(), None);
    }

    proptest! {
        #[test]
        fn floats_and_ints_come_back(bits: u64, int: i64) {
            let float = f64::from_bits(bits);
            if let Some(word) = Word::of_float(float) {
                prop_assert_eq!(word.as_float().unwrap().to_bits(), bits);
                prop_assert_eq!(word.as_int(), None);
            }
            if let Some(word) = Word::of_int(int) {
                prop_assert_eq!(word.as_int(), Some(int));
                prop_assert_eq!(word.as_float(), None);
            }
            let bytes = int.to_le_bytes();
            prop_assert_eq!(small_int(narrowest_int(&bytes)), Some(int));
        }
    }
}
