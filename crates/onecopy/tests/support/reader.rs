//! Reads everything there is to read in bytes that may be damaged, in a bounded number of steps.

use std::collections::HashSet;
use std::fmt::Debug;
use std::ops::Range;

use onecopy::image::{
    Decoded, Element, Image, ImageError, Items, Keys, Node, Offsets, Scalar, Sequence, Table, Text,
    TextKind, Word, hash, read_blob, validate,
};

/// Reads everything in `bytes`. Reading gives values or errors; in an image that `validate` accepts, no errors.
///
/// # Panics
/// If that does not hold, or something that was read does not lie in the image.
pub fn read_all(bytes: &[u8]) {
    let valid = validate(bytes).is_ok();
    let image = match Image::open(bytes) {
        Ok(image) => image,
        Err(error) => {
            assert!(!valid, "valid, yet {error}");
            return;
        }
    };
    let mut reader = Reader {
        image,
        valid,
        // Nodes may overlap, so that a small image has many long lists.
        steps_left: 20_000,
        met: HashSet::new(),
        ahead: vec![image.root_offset()],
    };
    while let Some(offset) = reader.ahead.pop() {
        if reader.steps_left == 0 {
            return;
        }
        if reader.met.insert(offset) {
            reader.step();
            if let Some(node) = reader.get(image.node(offset)) {
                reader.node(&node);
            }
        }
    }
}

struct Reader<'a> {
    image: Image<'a>,
    valid: bool,
    steps_left: usize,
    met: HashSet<u64>,
    ahead: Vec<u64>,
}

impl<'a> Reader<'a> {
    fn step(&mut self) {
        self.steps_left = self.steps_left.saturating_sub(1);
    }

    /// What was read, if it was; an error in a valid image is one too many.
    fn get<T: Debug>(&self, outcome: Result<T, ImageError>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                assert!(!self.valid, "valid, yet {error}");
                None
            }
        }
    }

    fn inside(&self, part: &[u8]) {
        let Range { start, end } = self.image.bytes().as_ptr_range();
        let part = part.as_ptr_range();
        assert!(
            start <= part.start && part.end <= end,
            "outside of the image"
        );
    }

    fn node(&mut self, node: &Node<'a>) {
        match node.clone() {
            Node::Sequence(sequence) => self.sequence(&sequence),
            Node::Array(array) => {
                self.inside(array.data);
                let shape = array.spec.as_shape();
                let extent = shape.extent().expect("checked when resolved");
                assert!(extent <= array.data.len() as u64);
                let count = shape.count().expect("checked when resolved");
                assert!(count == 0 || shape.strides.iter().all(|&stride| stride >= 0));
            }
            Node::Dict(dict) => {
                assert_eq!(dict.keys.len(), dict.values.len());
                self.ahead.extend([dict.keys_offset, dict.values_offset]);
            }
            Node::Set(set) => self.ahead.push(set.keys_offset),
            Node::Keys(keys) => {
                self.keys(&keys);
                self.ahead.push(keys.items_offset);
            }
            Node::Table(table) => self.table(&table),
            Node::Object(object) => {
                self.inside(object.pickle);
                for index in 0..object.buffer_count().min(self.steps_left) {
                    self.step();
                    if let Some(section) = self.get(object.buffer(index)) {
                        let end = section.offset.checked_add(section.len);
                        assert!(end.is_some_and(|end| end <= self.image.bytes().len() as u64));
                    }
                }
                assert!(object.buffer(object.buffer_count()).is_err());
            }
            Node::Row(row) => {
                if let Some(Node::Table(table)) = self.get(self.image.node(row.table)) {
                    assert!(row.row < table.rows);
                    self.row(&table, row.row);
                }
                self.ahead.push(row.table);
            }
            Node::Typed(typed) => {
                let _ = self.get(typed.class_name());
                self.ahead.push(typed.content);
                self.word(typed.argument);
                self.word(typed.state);
            }
            Node::Value(word) => self.word(word),
        }
    }

    fn word(&mut self, word: Word) {
        match word.decode() {
            Some(Decoded::Node(offset)) => self.ahead.push(offset),
            Some(Decoded::Blob(offset)) => {
                if let Some(scalar) = self.get(read_blob(self.image.bytes(), offset)) {
                    self.scalar(&scalar);
                }
            }
            other => assert!(other.is_some() || !self.valid),
        }
    }

    fn sequence(&mut self, sequence: &Sequence<'a>) {
        match sequence.items() {
            Items::Str(spans) | Items::Bytes(spans) => {
                self.inside(spans.data);
                let offsets = match spans.offsets {
                    Offsets::Narrow(offsets) => offsets.len(),
                    Offsets::Wide(offsets) => offsets.len(),
                };
                assert_eq!(offsets, sequence.len() + 1);
                assert!(spans.text(sequence.len()).is_err());
                assert!(spans.text(usize::MAX).is_err());
            }
            Items::Words(words) => assert!(words.get(sequence.len()).is_err()),
            _ => {}
        }
        for index in 0..sequence.len().min(self.steps_left) {
            self.step();
            let Some(element) = self.get(sequence.get(index)) else {
                continue;
            };
            match element.expect("an index below the length") {
                Element::Node(offset) => self.ahead.push(offset),
                element => self.scalar(&element.as_scalar()),
            }
        }
        assert_eq!(sequence.get(sequence.len()), Ok(None));
        assert_eq!(sequence.get(usize::MAX), Ok(None));
    }

    fn scalar(&mut self, scalar: &Scalar<'_>) {
        match scalar {
            Scalar::Str(text) => {
                self.steps_left = self.steps_left.saturating_sub(text.bytes.len() / 16);
                assert_eq!(text.codes().count(), text.char_count());
                assert!(text.is_canonical() || !self.valid);
                let _ = text.to_str();
            }
            Scalar::Class(_) => assert!(!self.valid, "valid, yet a class is an element"),
            _ => {}
        }
        for seed in [0, u64::MAX] {
            let hashed = hash::scalar(scalar, seed).is_some();
            assert_eq!(
                hashed,
                !matches!(scalar, Scalar::Pickle(_) | Scalar::Class(_))
            );
        }
    }

    fn keys(&mut self, keys: &Keys<'a>) {
        let text = Text {
            kind: TextKind::Ascii,
            bytes: b"a",
        };
        for hash in [0, 1, u64::MAX] {
            let candidates = keys.candidates(hash).take(self.steps_left);
            assert!(candidates.count() <= keys.len().max(keys.slots().len()));
            assert!(keys.candidates(hash).all(|position| position < keys.len()));
            let _ = self.get(keys.find_scalar(&Scalar::Int(1), hash));
            let _ = self.get(keys.find_text(text, hash));
        }
        for position in 0..keys.len().min(self.steps_left).min(64) {
            self.step();
            let Some(Some(element)) = self.get(keys.items.get(position)) else {
                continue;
            };
            if matches!(element, Element::Node(_)) {
                continue;
            }
            let scalar = element.as_scalar();
            let Some(hash) = hash::scalar(&scalar, keys.seed) else {
                continue;
            };
            let found = self.get(keys.find_scalar(&scalar, hash)).flatten();
            // Another key may equal it, but nothing can come after it.
            if self.valid && onecopy::image::equal(&scalar, &scalar) {
                assert!(found.is_some());
            }
        }
    }

    fn table(&mut self, table: &Table<'a>) {
        self.ahead.push(table.names_offset);
        assert_eq!(table.names.len(), table.field_count());
        for field in 0..table.field_count().min(self.steps_left) {
            self.step();
            let _ = self.get(table.column(field));
            self.ahead.extend(table.column_offset(field));
        }
        assert!(table.column(table.field_count()).is_err());
        for shape in 0..table.shape_count().min(self.steps_left) {
            self.steps_left = self.steps_left.saturating_sub(table.field_count() + 1);
            if let Some(positions) = self.get(table.shape(shape)) {
                assert!(
                    positions
                        .iter()
                        .all(|&position| position < table.field_count())
                );
            }
        }
        for row in [0, table.rows.wrapping_sub(1), table.rows / 2] {
            if row < table.rows {
                self.row(table, row);
            }
        }
    }

    fn row(&mut self, table: &Table<'a>, row: usize) {
        if let Some(Some(shape)) = self.get(table.row_shape(row)) {
            assert!(shape < table.shape_count());
        }
        for field in 0..table.field_count().min(self.steps_left) {
            self.step();
            if let Some(column) = self.get(table.column(field)) {
                assert_eq!(column.len(), table.rows);
                let _ = self.get(column.get(row));
            }
        }
    }
}
