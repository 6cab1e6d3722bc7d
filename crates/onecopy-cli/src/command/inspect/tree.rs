//! The nodes of an image as a tree of entries.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use onecopy::image::{
    Array, Container, Decoded, Dict, Element, Image, ImageError, Items, Keys, Node, RowKind,
    Scalar, Sequence, Spans, Table, Typed, Word, read_blob,
};
use serde::Serialize;

/// A node, or a part of one.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    /// What leads to it: `[3]`, `["key"]`, `.field`, `keys`.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: String,
    /// Elements, entries, rows, members or buffers.
    pub(crate) count: u64,
    /// Bytes of its own: without what its words lead to.
    pub(crate) bytes: u64,
    /// Where it lies in the file.
    pub(crate) offset: u64,
    /// The first values.
    pub(crate) samples: Vec<String>,
    /// What it leads to, as far as it was looked at.
    pub(crate) children: Vec<Entry>,
}

/// How far to look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) depth: usize,
    pub(crate) samples: usize,
}

/// Looks at an image.
pub(crate) struct Looker<'a> {
    image: Image<'a>,
    limits: Limits,
    met: HashSet<u64>,
}

/// Longer values are cut.
const SAMPLE_LEN: usize = 40;

impl<'a> Looker<'a> {
    pub(crate) fn new(image: Image<'a>, limits: Limits) -> Self {
        Self {
            image,
            limits,
            met: HashSet::new(),
        }
    }

    /// The entry of the node at `offset`, and those below it.
    pub(crate) fn node(
        &mut self,
        name: String,
        offset: u64,
        depth: usize,
    ) -> Result<Entry, ImageError> {
        let again = !self.met.insert(offset);
        let mut entry = Entry {
            name,
            kind: String::new(),
            count: 0,
            bytes: 0,
            offset,
            samples: Vec::new(),
            children: Vec::new(),
        };
        let deeper = depth < self.limits.depth && !again;
        match self.image.node(offset)? {
            Node::Sequence(sequence) => self.sequence(&mut entry, &sequence, depth, deeper)?,
            Node::Array(array) => describe_array(&mut entry, &array),
            Node::Dict(dict) => self.dict(&mut entry, &dict, depth, deeper)?,
            Node::Set(set) => {
                "frozenset".clone_into(&mut entry.kind);
                if !set.frozen {
                    "set".clone_into(&mut entry.kind);
                }
                entry.count = set.keys.len() as u64;
                entry.bytes = 24 + keys_bytes(&set.keys);
                entry.samples = self.samples(&set.keys.items)?;
            }
            Node::Table(table) => self.table(&mut entry, &table, depth, deeper)?,
            Node::Object(object) => {
                "pickled object with buffers".clone_into(&mut entry.kind);
                entry.count = object.buffer_count() as u64;
                entry.bytes = 32 + object.pickle.len() as u64;
                for index in 0..object.buffer_count() {
                    entry.bytes += object.buffer(index)?.len + 16;
                }
            }
            Node::Row(row) => {
                entry.kind = format!("row {} of the table at {}", row.row, row.table);
                entry.bytes = 24;
            }
            Node::Typed(typed) => {
                // Whoever made the file wrote it, maybe for the terminal.
                entry.kind = format!("object of {}", typed.class_name()?.escape_debug());
                (entry.count, entry.bytes) = (1, 48);
                if deeper {
                    self.typed(&mut entry, &typed, depth)?;
                }
            }
            Node::Value(word) => {
                "value".clone_into(&mut entry.kind);
                (entry.count, entry.bytes) = (1, 24);
                entry.samples = vec![self.word(word)?];
            }
            Node::Keys(keys) => {
                "keys".clone_into(&mut entry.kind);
                entry.count = keys.len() as u64;
                entry.bytes = keys_bytes(&keys);
            }
        }
        if again {
            entry.kind.push_str(", shown above");
        }
        Ok(entry)
    }

    fn sequence(
        &mut self,
        entry: &mut Entry,
        sequence: &Sequence<'a>,
        depth: usize,
        deeper: bool,
    ) -> Result<(), ImageError> {
        let container = match sequence.container() {
            Container::List => "list",
            Container::Tuple => "tuple",
        };
        entry.kind = format!("{container} of {}", column(sequence));
        entry.count = sequence.len() as u64;
        entry.bytes = 16 + sequence_bytes(sequence);
        entry.samples = self.samples(sequence)?;
        if deeper {
            self.children(entry, sequence, depth, |index| format!("[{index}]"))?;
        }
        Ok(())
    }

    /// The first nodes that a sequence leads to.
    fn children(
        &mut self,
        entry: &mut Entry,
        sequence: &Sequence<'a>,
        depth: usize,
        name: impl Fn(usize) -> String,
    ) -> Result<(), ImageError> {
        let Items::Words(words) = sequence.items() else {
            return Ok(());
        };
        for (index, &word) in words.words.iter().enumerate() {
            if entry.children.len() >= self.limits.samples {
                break;
            }
            if let Some(offset) = Word(word).node_offset() {
                entry
                    .children
                    .push(self.node(name(index), offset, depth + 1)?);
            }
        }
        Ok(())
    }

    fn dict(
        &mut self,
        entry: &mut Entry,
        dict: &Dict<'a>,
        depth: usize,
        deeper: bool,
    ) -> Result<(), ImageError> {
        entry.kind = format!("dict of {}", column(&dict.values));
        entry.count = dict.keys.len() as u64;
        entry.bytes = 32 + keys_bytes(&dict.keys) + 16 + sequence_bytes(&dict.values);
        let keys = self.samples(&dict.keys.items)?;
        let values = self.samples(&dict.values)?;
        entry.samples = keys
            .iter()
            .zip(&values)
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        if deeper {
            let mut names = Vec::new();
            for index in 0..dict.keys.len().min(self.limits.samples.max(64)) {
                names.push(element(&dict.keys.items, index)?);
            }
            self.children(entry, &dict.values, depth, |index| {
                let key = names.get(index).map_or("…", String::as_str);
                format!("[{key}]")
            })?;
        }
        Ok(())
    }

    fn table(
        &mut self,
        entry: &mut Entry,
        table: &Table<'a>,
        depth: usize,
        deeper: bool,
    ) -> Result<(), ImageError> {
        let rows = match table.row_kind {
            RowKind::Dict => "dicts",
            RowKind::Instance => "instances",
            RowKind::NamedTuple => "namedtuples",
        };
        entry.kind = format!("table of {rows}");
        if let Some(class) = table.class()? {
            // Whoever made the file wrote it, maybe for the terminal.
            entry.kind = format!("{} ({})", entry.kind, class.escape_debug());
        }
        entry.count = table.rows as u64;
        entry.bytes = 56 + 8 * table.field_count() as u64 + keys_bytes(&table.names);
        if !deeper {
            return Ok(());
        }
        for field in 0..table.field_count() {
            let name = element(&table.names.items, field)?;
            let offset = table.column_offset(field).unwrap_or_default();
            entry
                .children
                .push(self.node(format!("column {name}"), offset, depth + 1)?);
        }
        Ok(())
    }

    /// The content of an object, and what it has beside it.
    fn typed(
        &mut self,
        entry: &mut Entry,
        typed: &Typed<'a>,
        depth: usize,
    ) -> Result<(), ImageError> {
        let content = self.node("content".to_owned(), typed.content, depth + 1)?;
        entry.children.push(content);
        for (name, word) in [("argument", typed.argument), ("state", typed.state)] {
            if let Some(offset) = word.node_offset() {
                let child = self.node(name.to_owned(), offset, depth + 1)?;
                entry.children.push(child);
            } else if word.decode() != Some(Decoded::None) {
                entry.samples.push(format!("{name}: {}", self.word(word)?));
            }
        }
        Ok(())
    }

    fn samples(&self, sequence: &Sequence<'_>) -> Result<Vec<String>, ImageError> {
        (0..sequence.len().min(self.limits.samples))
            .map(|index| element(sequence, index))
            .collect()
    }

    fn word(&self, word: Word) -> Result<String, ImageError> {
        Ok(match word.decode() {
            Some(Decoded::None) => scalar(&Scalar::None),
            Some(Decoded::Bool(value)) => scalar(&Scalar::Bool(value)),
            Some(Decoded::Int(value)) => scalar(&Scalar::Int(value)),
            Some(Decoded::Float(value)) => scalar(&Scalar::Float(value)),
            Some(Decoded::Str(kind, short)) => scalar(&Scalar::Str(onecopy::image::Text {
                kind,
                bytes: short.as_bytes(),
            })),
            Some(Decoded::Bytes(short)) => scalar(&Scalar::Bytes(short.as_bytes())),
            Some(Decoded::Blob(offset)) => scalar(&read_blob(self.image.bytes(), offset)?),
            Some(Decoded::Node(offset)) => format!("node at {offset}"),
            None => "?".to_owned(),
        })
    }
}

fn keys_bytes(keys: &Keys<'_>) -> u64 {
    48 + 8 * keys.slots().len() as u64 + 16 + sequence_bytes(&keys.items)
}

fn element(sequence: &Sequence<'_>, index: usize) -> Result<String, ImageError> {
    Ok(match sequence.get(index)? {
        None => String::new(),
        Some(Element::Node(offset)) => format!("node at {offset}"),
        Some(element) => scalar(&element.as_scalar()),
    })
}

fn describe_array(entry: &mut Entry, array: &Array<'_>) {
    let shape: Vec<_> = array.spec.shape.iter().map(u64::to_string).collect();
    let dtype = array.spec.dtype.escape_debug();
    entry.kind = format!("array {} of {dtype}", shape.join(" × "));
    entry.count = array.spec.as_shape().count().unwrap_or_default();
    entry.bytes = 80 + array.data.len() as u64;
}

/// What the elements of a sequence are.
fn column(sequence: &Sequence<'_>) -> &'static str {
    match sequence.items() {
        _ if sequence.is_empty() => "nothing",
        Items::I8(_) | Items::I16(_) | Items::I32(_) | Items::I64(_) | Items::U64(_) => "int",
        Items::F64(_) => "float",
        Items::Bool(_) => "bool",
        Items::Str(_) => "str",
        Items::Bytes(_) => "bytes",
        Items::Words(_) => "anything",
    }
}

fn sequence_bytes(sequence: &Sequence<'_>) -> u64 {
    let spans = |spans: &Spans<'_>| {
        let offsets = match spans.offsets {
            onecopy::image::Offsets::Narrow(offsets) => size_of_val(offsets),
            onecopy::image::Offsets::Wide(offsets) => size_of_val(offsets),
        };
        offsets + spans.data.len()
    };
    let items = match sequence.items() {
        Items::I8(items) => size_of_val(items),
        Items::I16(items) => size_of_val(items),
        Items::I32(items) => size_of_val(items),
        Items::I64(items) => size_of_val(items),
        Items::U64(items) => size_of_val(items),
        Items::F64(items) => size_of_val(items),
        Items::Bool(items) => size_of_val(items),
        Items::Str(column) | Items::Bytes(column) => spans(&column),
        Items::Words(words) => size_of_val(words.words),
    };
    (items + sequence.validity().map_or(0, <[u8]>::len)) as u64
}

/// A value as Python would write it, cut if it is long.
fn scalar(value: &Scalar<'_>) -> String {
    let text = match *value {
        Scalar::None => "None".to_owned(),
        Scalar::Bool(true) => "True".to_owned(),
        Scalar::Bool(false) => "False".to_owned(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Uint(value) => value.to_string(),
        Scalar::Big(bytes) => format!("int of {} bytes", bytes.len()),
        Scalar::Float(value) => format!("{value:?}"),
        Scalar::Complex(real, imaginary) => format!("({real}{imaginary:+}j)"),
        Scalar::Str(text) => {
            let part: String = text
                .codes()
                .take(SAMPLE_LEN + 1)
                .map(|code| char::from_u32(code).unwrap_or('\u{fffd}'))
                .collect();
            format!("{part:?}")
        }
        Scalar::Bytes(bytes) => {
            let part = bytes.get(..SAMPLE_LEN).unwrap_or(bytes);
            format!("b\"{}\"", part.escape_ascii())
        }
        Scalar::Pickle(bytes) => format!("pickled object, {} bytes", bytes.len()),
        Scalar::Class(name) => format!("class {}", String::from_utf8_lossy(name).escape_debug()),
    };
    if text.chars().count() <= SAMPLE_LEN {
        return text;
    }
    text.chars().take(SAMPLE_LEN).chain("…".chars()).collect()
}
