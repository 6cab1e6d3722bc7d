//! Looks at every element of an image once.
//!
//! Reading checks what it touches; this checks the rest, for images that come from a file or over the wire. After
//! `Ok`, every access succeeds and every str is in its narrowest form, so that it compares and hashes as Python's own.

use super::error::{ImageError, corrupt};
use super::text::TextKind;
use super::view::{Image, Items, Node, Offsets, Sequence, Spans};
use super::word::Scalar;

/// Checks the whole image: header, node, sections, every offset, word, blob and string.
///
/// # Errors
/// The first thing that does not hold.
pub fn validate(bytes: &[u8]) -> Result<(), ImageError> {
    match Image::open(bytes)?.root()? {
        Node::Array(_) => Ok(()),
        Node::Sequence(sequence) => validate_sequence(&sequence),
    }
}

fn validate_sequence(sequence: &Sequence<'_>) -> Result<(), ImageError> {
    match sequence.items() {
        Items::Str(spans) => validate_spans(&spans, true)?,
        Items::Bytes(spans) => validate_spans(&spans, false)?,
        Items::Bool(items) if items.iter().any(|&byte| byte > 1) => {
            return Err(corrupt(0, "a bool is neither 0 nor 1"));
        }
        _ => {}
    }
    for index in 0..sequence.len() {
        let at = index as u64;
        let element = sequence.get(index)?.ok_or(corrupt(at, "element missing"))?;
        match element.as_scalar() {
            Scalar::Str(text) if !text.is_canonical() => {
                return Err(corrupt(at, "text is not in its narrowest form"));
            }
            Scalar::Big(bytes) if !is_shortest(bytes) => {
                return Err(corrupt(at, "large int is not in its shortest form"));
            }
            _ => {}
        }
    }
    if let (Some(bits), Some(used @ 1..)) = (sequence.validity(), sequence.len().checked_rem(8))
        && bits.last().is_some_and(|&last| last >> used != 0)
    {
        return Err(corrupt(0, "validity bits past the last element"));
    }
    Ok(())
}

/// Offsets begin at 0, end where the data do, and carry kinds only where there is text that may have one.
fn validate_spans(spans: &Spans<'_>, text: bool) -> Result<(), ImageError> {
    let (first, last) = match spans.offsets {
        Offsets::Narrow(offsets) => (
            offsets
                .first()
                .map_or(0, |&first| u64::from(first << 2 >> 2)),
            offsets.last().map_or(0, |&last| u64::from(last)),
        ),
        Offsets::Wide(offsets) => (
            offsets.first().map_or(0, |&first| first << 2 >> 2),
            offsets.last().copied().unwrap_or_default(),
        ),
    };
    if first != 0 || last != spans.data.len() as u64 {
        return Err(corrupt(0, "offsets do not cover the data"));
    }
    let plain = |kinds: bool| kinds || (text && !spans.ascii);
    let only_ascii = match spans.offsets {
        Offsets::Narrow(offsets) => offsets.iter().all(|&offset| offset >> 30 == 0),
        Offsets::Wide(offsets) => offsets.iter().all(|&offset| offset >> 62 == 0),
    };
    if plain(only_ascii) {
        Ok(())
    } else {
        Err(corrupt(0, "a kind of text where none belongs"))
    }
}

/// Whether two's complement bytes could not be one shorter, and are past 64 bits.
fn is_shortest(bytes: &[u8]) -> bool {
    match bytes {
        [.., before, last] if bytes.len() > 8 => {
            let sign_fill = if before & 0x80 == 0 { 0 } else { 0xff };
            *last != sign_fill && !(bytes.len() == 9 && *last == 0)
        }
        _ => false,
    }
}

const _: () = assert!(
    TextKind::Ascii as u8 == 0,
    "offsets without a kind are those of ASCII"
);
