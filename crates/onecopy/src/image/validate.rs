//! Looks at every element of an image once.
//!
//! Reading checks what it touches; this checks the rest, for images that come from a file or over the wire. After
//! `Ok`, every access succeeds and every str is in its narrowest form, so that it compares and hashes as Python's own.

use std::collections::HashSet;

use super::error::{ImageError, corrupt};
use super::key_hashes::{KeyHashes, LONG_BLOB};
use super::sequence::{Items, Offsets, Sequence, Spans};
use super::table::Table;
use super::text::{Text, TextKind};
use super::view::{Image, Node};
use super::word::{Decoded, Scalar, Word, read_blob};

/// Checks the whole image: header, every node that can be reached, every offset, word, blob, string, key and index.
///
/// # Errors
/// The first thing that does not hold.
pub fn validate(bytes: &[u8]) -> Result<(), ImageError> {
    let image = Image::open(bytes)?;
    let mut walk = Walk {
        image,
        met: HashSet::new(),
        ahead: vec![image.root_offset()],
        left: image.bytes().len() as u64,
        long_blobs: HashSet::new(),
        keys: Vec::new(),
    };
    walk.met.insert(image.root_offset());
    while let Some(offset) = walk.ahead.pop() {
        walk.node(offset)?;
    }
    // Now that no parts overlap (L1), hashing them takes as long as they are.
    let mut hashes = KeyHashes::new(image);
    for &offset in &walk.keys {
        hashes.check(&image.keys_at(offset)?)?;
    }
    Ok(())
}

/// The nodes that have been met, and those of them that have not been looked at: a graph may have cycles.
///
/// **Invariant.** `L1`: the work is bounded by the image's length, however small the image and however many nodes claim
/// to lie in the same bytes: no writer lets nodes overlap, so the bytes of all of them are at most those of the image.
/// Keys are hashed when all of it has been met (H1 of `key_hashes`).
struct Walk<'a> {
    image: Image<'a>,
    met: HashSet<u64>,
    ahead: Vec<u64>,
    /// Bytes that nodes and long blobs may still have.
    left: u64,
    /// Blobs that were looked at; several words may lead to one.
    long_blobs: HashSet<u64>,
    /// Nodes of keys that were met.
    keys: Vec<u64>,
}

impl<'a> Walk<'a> {
    fn meet(&mut self, offset: u64) {
        if self.met.insert(offset) {
            self.ahead.push(offset);
        }
    }

    fn node(&mut self, offset: u64) -> Result<(), ImageError> {
        match self.image.node(offset)? {
            Node::Array(array) => {
                let dimensions = array.spec.shape.len().saturating_mul(16);
                self.spend(offset, array.spec.dtype.len().saturating_add(dimensions))
            }
            Node::Sequence(sequence) => self.sequence(&sequence),
            Node::Dict(dict) => {
                self.meet(dict.keys_offset);
                self.meet(dict.values_offset);
                Ok(())
            }
            Node::Set(set) => {
                self.meet(set.keys_offset);
                Ok(())
            }
            Node::Keys(keys) => {
                self.meet(keys.items_offset);
                self.keys.push(offset);
                self.spend(offset, keys.slots().len().saturating_mul(8))
            }
            Node::Table(table) => self.table(&table),
            Node::Object(object) => {
                self.spend(offset, object.buffer_count().saturating_mul(16))?;
                for index in 0..object.buffer_count() {
                    object.buffer(index)?;
                }
                Ok(())
            }
            Node::Row(row) => {
                self.meet(row.table);
                Ok(())
            }
            Node::Typed(typed) => {
                // Objects of one class may share its name.
                if self.long_blobs.insert(typed.class) {
                    self.spend(offset, typed.class_name()?.len())?;
                }
                self.meet(typed.content);
                self.word(offset, typed.argument)?;
                self.word(offset, typed.state)
            }
            Node::Value(word) => self.word(offset, word),
        }
    }

    fn word(&mut self, at: u64, word: Word) -> Result<(), ImageError> {
        match word.decode() {
            Some(Decoded::Node(offset)) => self.meet(offset),
            Some(Decoded::Blob(offset)) => self.blob(offset)?,
            Some(Decoded::Str(kind, short)) => {
                let bytes = short.as_bytes();
                check_scalar(at, &Scalar::Str(Text { kind, bytes }))?;
            }
            Some(_) => {}
            None => return Err(corrupt(at, "word with an unknown tag")),
        }
        Ok(())
    }

    fn blob(&mut self, offset: u64) -> Result<(), ImageError> {
        let scalar = read_blob(self.image.bytes(), offset)?;
        if let Scalar::Str(Text { bytes, .. }) | Scalar::Bytes(bytes) | Scalar::Big(bytes) = scalar
            && bytes.len() > LONG_BLOB
        {
            if !self.long_blobs.insert(offset) {
                return Ok(());
            }
            self.spend(offset, bytes.len())?;
        }
        check_scalar(offset, &scalar)
    }

    /// Counts bytes of a part that no other part shares (L1).
    fn spend(&mut self, at: u64, len: usize) -> Result<(), ImageError> {
        let left = self.left.checked_sub(len as u64);
        self.left = left.ok_or(corrupt(at, "parts of the image lie in the same bytes"))?;
        Ok(())
    }

    fn sequence(&mut self, sequence: &Sequence<'a>) -> Result<(), ImageError> {
        let at = sequence.offset();
        // No item has less than a byte.
        self.spend(at, sequence.len())?;
        if let Items::Str(spans) | Items::Bytes(spans) = sequence.items() {
            self.spend(at, spans.data.len())?;
        }
        if let Items::Words(words) = sequence.items() {
            for (index, &word) in words.words.iter().enumerate() {
                let distance = (index as u64).saturating_mul(8);
                self.word(words.at.saturating_add(distance), Word(word))?;
            }
            return Ok(());
        }
        validate_sequence(sequence)
    }

    fn table(&mut self, table: &Table<'a>) -> Result<(), ImageError> {
        let at = table.names_offset;
        self.spend(at, table.field_count().saturating_mul(8))?;
        self.spend(at, table.class()?.map_or(0, |name| name.len()))?;
        let shaped = if table.has_shapes() { table.rows } else { 0 };
        self.spend(at, shaped)?;
        self.meet(table.names_offset);
        for field in 0..table.field_count() {
            let name = table.names.items.get(field)?;
            if !name.is_some_and(|name| matches!(name.as_scalar(), Scalar::Str(_))) {
                return Err(corrupt(table.names_offset, "the name of a field is a str"));
            }
        }
        for field in 0..table.field_count() {
            let column = table.column(field)?;
            self.meet(column.offset());
        }
        for shape in 0..table.shape_count() {
            table.shape(shape)?;
        }
        for row in 0..shaped {
            table.row_shape(row)?;
        }
        Ok(())
    }
}

fn check_scalar(at: u64, value: &Scalar<'_>) -> Result<(), ImageError> {
    match value {
        Scalar::Str(text) if !text.is_canonical() => {
            Err(corrupt(at, "text is not in its narrowest form"))
        }
        Scalar::Big(bytes) if !is_shortest(bytes) => {
            Err(corrupt(at, "large int is not in its shortest form"))
        }
        Scalar::Class(_) => Err(corrupt(at, "the name of a class is no element")),
        _ => Ok(()),
    }
}

fn validate_sequence(sequence: &Sequence<'_>) -> Result<(), ImageError> {
    let at = sequence.offset();
    match sequence.items() {
        Items::Str(spans) => validate_spans(&spans, true)?,
        Items::Bytes(spans) => validate_spans(&spans, false)?,
        Items::Bool(items) if items.iter().any(|&byte| byte > 1) => {
            return Err(corrupt(at, "a bool is neither 0 nor 1"));
        }
        _ => {}
    }
    for index in 0..sequence.len() {
        let element = sequence.get(index)?.ok_or(corrupt(at, "element missing"))?;
        check_scalar(at, &element.as_scalar())?;
    }
    if let (Some(bits), Some(used @ 1..)) = (sequence.validity(), sequence.len().checked_rem(8))
        && bits.last().is_some_and(|&last| last >> used != 0)
    {
        return Err(corrupt(at, "validity bits past the last element"));
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
        return Err(corrupt(spans.at, "offsets do not cover the data"));
    }
    let plain = |kinds: bool| kinds || (text && !spans.ascii);
    let only_ascii = match spans.offsets {
        Offsets::Narrow(offsets) => offsets.iter().all(|&offset| offset >> 30 == 0),
        Offsets::Wide(offsets) => offsets.iter().all(|&offset| offset >> 62 == 0),
    };
    if plain(only_ascii) {
        Ok(())
    } else {
        Err(corrupt(spans.at, "a kind of text where none belongs"))
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
