//! What a worker writes to its parent.
//!
//! ```text
//! offset  size
//! 0       1     kind: 'P' paused, 'R' result, 'X' panic, 'E' result that cannot be serialized
//! 1       8     length of the payload, little endian
//! 9       …     payload: nothing, postcard of T, postcard of Panic, UTF-8
//! ```
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::error::Place;

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 9;

/// The kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Paused = b'P',
    Result = b'R',
    Panic = b'X',
    Encode = b'E',
}

/// A panic on its way to the parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Panic {
    pub(crate) message: String,
    pub(crate) place: Option<Place>,
}

/// The bytes before a payload of `len` bytes.
pub(crate) fn header(kind: Kind, len: usize) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let (first, rest) = header.split_at_mut(1);
    first.copy_from_slice(&[kind as u8]);
    rest.copy_from_slice(&(len as u64).to_le_bytes());
    header
}

/// Puts frames together from bytes as they come.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    bytes: Vec<u8>,
}

/// A frame that has arrived whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Paused,
    Result(Vec<u8>),
    Panic(Vec<u8>),
    Encode(Vec<u8>),
    /// The first byte is none of the kinds: something else wrote to the pipe.
    Unknown(u8),
}

impl Assembler {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next frame that is whole.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let (kind, len) = self.announced()?;
        let kind = match kind {
            b'P' => Kind::Paused,
            b'R' => Kind::Result,
            b'X' => Kind::Panic,
            b'E' => Kind::Encode,
            other => return Some(Frame::Unknown(other)),
        };
        let end = usize::try_from(len).ok()?.checked_add(HEADER_BYTES)?;
        if self.bytes.len() < end {
            return None;
        }
        let rest = self.bytes.split_off(end);
        let mut payload = std::mem::replace(&mut self.bytes, rest);
        payload.drain(..HEADER_BYTES);
        Some(match kind {
            Kind::Paused => Frame::Paused,
            Kind::Result => Frame::Result(payload),
            Kind::Panic => Frame::Panic(payload),
            Kind::Encode => Frame::Encode(payload),
        })
    }

    /// Kind and length of the frame that is arriving, once its header is whole.
    fn announced(&self) -> Option<(u8, u64)> {
        let (header, _) = self.bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [kind, len @ ..] = *header;
        Some((kind, u64::from_le_bytes(len)))
    }

    /// What stands unfinished: the announced length, and how much of the payload has arrived.
    pub(crate) fn unfinished(&self) -> Option<(Option<u64>, u64)> {
        if self.bytes.is_empty() {
            return None;
        }
        let received = self.bytes.len().saturating_sub(HEADER_BYTES) as u64;
        Some((self.announced().map(|(_, len)| len), received))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_together_from_single_bytes() {
        let mut stream = header(Kind::Paused, 0).to_vec();
        stream.extend(header(Kind::Result, 3));
        stream.extend(b"abc");
        let mut assembler = Assembler::default();
        let mut frames = Vec::new();
        for byte in stream {
            assembler.push(&[byte]);
            frames.extend(assembler.next());
        }
        assert_eq!(frames, [Frame::Paused, Frame::Result(b"abc".to_vec())]);
        assert_eq!(assembler.unfinished(), None);
    }

    #[test]
    fn a_torn_frame_tells_how_much_is_there() {
        let mut assembler = Assembler::default();
        assembler.push(&header(Kind::Result, 100)[..5]);
        assert_eq!(assembler.unfinished(), Some((None, 0)));
        assembler.push(&header(Kind::Result, 100)[5..]);
        assembler.push(b"12345");
        assert_eq!(assembler.next(), None);
        assert_eq!(assembler.unfinished(), Some((Some(100), 5)));
    }

    #[test]
    fn lengths_beyond_memory_and_unknown_kinds_do_no_harm() {
        let mut assembler = Assembler::default();
        assembler.push(b"R");
        assembler.push(&u64::MAX.to_le_bytes());
        assert_eq!(assembler.next(), None);
        assert_eq!(assembler.unfinished(), Some((Some(u64::MAX), 0)));
        let mut assembler = Assembler::default();
        assembler.push(b"garbage on the pipe");
        assert_eq!(assembler.next(), Some(Frame::Unknown(b'g')));
    }
}
