//! Values on their way out.
#![allow(
    unsafe_code,
    reason = "bytes are copied to where the reader wants them"
)]

use super::super::layout::{CLASSES, Header, class_len};
use super::super::look::{Look, Retry};
use super::super::reference::Reference;
use super::incoming::Incoming;
use super::kind::Kind;
use super::large::{LARGE, Large};
use super::word::Word;
use crate::error::AccessError;
use crate::store::SPAN;

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
    /// Makes the result of a large value, or of why it cannot be held. The container may be locked, so this does not copy
    /// it if the sink can help it.
    fn large(&self, large: Result<Large, AccessError>) -> Result<Self::Made, Self::Error>;
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
    if word.is_large() {
        return Ok(sink.large(look.hold_large(word)?));
    }
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

    /// The same for a word that is a large value.
    pub(crate) fn hold_large(&self, word: Word) -> Result<Result<Large, AccessError>, Retry> {
        match self.hold(word)? {
            Ok(reference) => Large::open(reference).map(Ok).ok_or(Retry),
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
        // Only a key is so long, or an int.
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
            Self::Large(large) => sink.large(Ok(large.clone())),
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
