//! Nested values as a model: written by the builder, and compared with what is read.

use onecopy::image::{
    Arena, ArrayShape, BuildError, ColumnCursor, Container, Decoded, Dict, Element, FORMAT_VERSION,
    Image, ImageBuf, ImageError, IntWidth, KEY_DEPTH, Keys, NESTED_VERSION, Node, RowKind, Scalar,
    Sequence, Survey, TableParts, TextBuf, Word, hash, place_array, place_dict, place_object,
    place_set, place_table, place_typed, put_dict, put_keys, put_row, put_set, put_table,
    put_typed, put_value, read_blob,
};

/// A value of any kind that an image holds.
#[derive(Debug, Clone)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Big(Vec<u8>),
    Float(f64),
    Complex(f64, f64),
    Str(TextBuf),
    Bytes(Vec<u8>),
    Pickle(Vec<u8>),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Set(Vec<Value>),
    FrozenSet(Vec<Value>),
    Table(Rows),
    /// A list of a table and some of its rows.
    TableAndRows(Rows, Vec<u64>),
    Object(Vec<u8>, Vec<Vec<u8>>),
    Array(Grid),
    /// A class, the content, the argument and the state.
    Typed(String, Box<[Value; 3]>),
    /// The root again: a cycle.
    Root,
}

/// A table, column by column.
#[derive(Debug, Clone)]
pub struct Rows {
    pub container: Container,
    pub kind: RowKind,
    pub class: Option<String>,
    pub count: usize,
    pub columns: Vec<(Value, Vec<Value>)>,
    /// The columns of each shape, and the shape of each row.
    pub shapes: Option<(Vec<Vec<usize>>, Vec<i8>)>,
}

/// An array of bytes in C order.
#[derive(Debug, Clone)]
pub struct Grid {
    pub shape: Vec<u64>,
    pub data: Vec<u8>,
}

impl Value {
    pub fn text(content: &str) -> Self {
        Self::Str(TextBuf::from(content))
    }

    /// The value as a scalar; `None` for what has a node of its own.
    pub fn scalar(&self) -> Option<Scalar<'_>> {
        Some(match self {
            Self::None => Scalar::None,
            Self::Bool(value) => Scalar::Bool(*value),
            Self::Int(value) => Scalar::Int(*value),
            Self::Uint(value) => Scalar::Uint(*value),
            Self::Big(value) => Scalar::Big(value),
            Self::Float(value) => Scalar::Float(*value),
            Self::Complex(real, imaginary) => Scalar::Complex(*real, *imaginary),
            Self::Str(value) => Scalar::Str(value.as_text()),
            Self::Bytes(value) => Scalar::Bytes(value),
            Self::Pickle(value) => Scalar::Pickle(value),
            _ => return None,
        })
    }

    fn hash(&self, seed: u64, depth: usize) -> Option<u64> {
        let all = |members: &[Self]| -> Option<Vec<u64>> {
            let members = members.iter();
            members.map(|value| value.hash(seed, depth + 1)).collect()
        };
        match self {
            Self::Tuple(_) | Self::FrozenSet(_) if depth > KEY_DEPTH => None,
            Self::Tuple(members) => Some(hash::tuple(&all(members)?, seed)),
            Self::FrozenSet(members) => Some(hash::frozenset(all(members)?.into_iter(), seed)),
            value => hash::scalar(&value.scalar()?, seed),
        }
    }
}

/// Builds the image of a value: measured, then written into memory that held something else.
pub fn image_of(value: &Value) -> Result<ImageBuf, BuildError> {
    let mut measure = Arena::measure();
    let mut build = Build::default();
    let root = build.root(&mut measure, value)?;
    let version = build.version();
    let len = measure.finish(root, version)?;
    let mut bytes = vec![0xaa; len as usize];
    let mut arena = Arena::write(&mut bytes);
    assert_eq!(Build::default().root(&mut arena, value)?, root);
    assert_eq!(arena.finish(root, version)?, len);
    Ok(ImageBuf::copy_of(&bytes))
}

/// One walk over a value.
#[derive(Default)]
struct Build {
    root: Option<u64>,
    typed: bool,
}

impl Build {
    /// The version of the readers that know all nodes of the image.
    const fn version(&self) -> u32 {
        if self.typed {
            FORMAT_VERSION
        } else {
            NESTED_VERSION
        }
    }

    fn root(&mut self, arena: &mut Arena<'_>, value: &Value) -> Result<u64, BuildError> {
        match value.scalar() {
            Some(scalar) => {
                let word = arena.blob(&scalar)?;
                put_value(arena, word)
            }
            None => self.node(arena, value),
        }
    }

    fn node(&mut self, arena: &mut Arena<'_>, value: &Value) -> Result<u64, BuildError> {
        match value {
            Value::List(members) => self.sequence(arena, Container::List, members),
            Value::Tuple(members) => self.sequence(arena, Container::Tuple, members),
            Value::Dict(entries) => {
                let node = place_dict(arena)?;
                self.root.get_or_insert(node);
                let (keys, values): (Vec<_>, Vec<_>) = entries.iter().cloned().unzip();
                let keys = self.keys(arena, &keys)?;
                let values = self.sequence(arena, Container::List, &values)?;
                put_dict(arena, node, entries.len() as u64, keys, values)?;
                Ok(node)
            }
            Value::Set(members) | Value::FrozenSet(members) => {
                let node = place_set(arena)?;
                self.root.get_or_insert(node);
                let frozen = matches!(value, Value::FrozenSet(_));
                let keys = self.keys(arena, members)?;
                put_set(arena, node, members.len() as u64, frozen, keys)?;
                Ok(node)
            }
            Value::Table(rows) => self.table(arena, rows),
            Value::TableAndRows(rows, which) => {
                let plan = words(Container::List, which.len() + 1);
                let mut cursor = ColumnCursor::place(arena, &plan)?;
                self.root.get_or_insert(cursor.node);
                let table = self.table(arena, rows)?;
                cursor.push_word(arena, node_word(table)?)?;
                for &row in which {
                    let row = put_row(arena, table, row)?;
                    cursor.push_word(arena, node_word(row)?)?;
                }
                cursor.finish(arena)
            }
            Value::Object(pickle, buffers) => {
                let lens: Vec<u64> = buffers.iter().map(|buffer| buffer.len() as u64).collect();
                let place = place_object(arena, pickle.len() as u64, &lens, false)?;
                arena.put(place.pickle.offset, pickle)?;
                for (section, buffer) in place.buffers.iter().zip(buffers) {
                    arena.put(section.offset, buffer)?;
                }
                Ok(place.node)
            }
            Value::Array(grid) => {
                let strides = grid.strides();
                let (node, data) =
                    place_array(arena, &grid.described(&strides), grid.data.len() as u64)?;
                arena.put(data.offset, &grid.data)?;
                Ok(node)
            }
            Value::Typed(class, parts) => {
                self.typed = true;
                let node = place_typed(arena)?;
                self.root.get_or_insert(node);
                let class = arena.class_blob(class)?;
                let [content, argument, state] = &**parts;
                let content = self.node(arena, content)?;
                let argument = self.word(arena, argument)?;
                let state = self.word(arena, state)?;
                put_typed(arena, node, class, content, argument, state)?;
                Ok(node)
            }
            // A root that is no list or dict has no node to come back to yet.
            Value::Root => Ok(self.root.unwrap_or(64)),
            _ => unreachable!("scalars have no node"),
        }
    }

    fn word(&mut self, arena: &mut Arena<'_>, value: &Value) -> Result<Word, BuildError> {
        match value.scalar() {
            Some(scalar) => arena.blob(&scalar),
            None => node_word(self.node(arena, value)?),
        }
    }

    fn sequence(
        &mut self,
        arena: &mut Arena<'_>,
        container: Container,
        members: &[Value],
    ) -> Result<u64, BuildError> {
        let mut survey = Survey::default();
        for member in members {
            match member.scalar() {
                Some(scalar) => survey.observe(&scalar),
                None => survey.observe_other(),
            }
        }
        let plan = survey.plan(container, IntWidth::Narrowest);
        let mut cursor = ColumnCursor::place(arena, &plan)?;
        self.root.get_or_insert(cursor.node);
        for member in members {
            if let Some(scalar) = member.scalar() {
                cursor.push(arena, &scalar)?;
            } else {
                let node = self.node(arena, member)?;
                cursor.push_word(arena, node_word(node)?)?;
            }
        }
        cursor.finish(arena)
    }

    fn keys(&mut self, arena: &mut Arena<'_>, keys: &[Value]) -> Result<u64, BuildError> {
        let items = self.sequence(arena, Container::Tuple, keys)?;
        let opaque = keys.iter().any(|key| key.hash(0, 0).is_none());
        put_keys(arena, items, keys.len() as u64, opaque, |seed, give| {
            for key in keys {
                give(key.hash(seed, 0));
            }
            Ok(())
        })
    }

    fn table(&mut self, arena: &mut Arena<'_>, rows: &Rows) -> Result<u64, BuildError> {
        let node = place_table(arena, rows.columns.len())?;
        self.root.get_or_insert(node);
        let names: Vec<_> = rows.columns.iter().map(|(name, _)| name.clone()).collect();
        let names = self.keys(arena, &names)?;
        let class = match &rows.class {
            Some(class) => arena.class_blob(class)?,
            None => 0,
        };
        let (mut shapes, mut row_shapes) = (0, 0);
        if let Some((lists, of_rows)) = &rows.shapes {
            let ints = |list: &Vec<usize>| {
                Value::List(
                    list.iter()
                        .map(|&at| Value::Int(at.cast_signed() as i64))
                        .collect(),
                )
            };
            let lists: Vec<_> = lists.iter().map(ints).collect();
            shapes = self.sequence(arena, Container::Tuple, &lists)?;
            let of_rows: Vec<_> = of_rows.iter().map(|&row| Value::Int(row.into())).collect();
            row_shapes = self.sequence(arena, Container::List, &of_rows)?;
        }
        let mut columns = Vec::new();
        for (_, cells) in &rows.columns {
            columns.push(self.sequence(arena, Container::List, cells)?);
        }
        let parts = TableParts {
            rows: rows.count as u64,
            container: rows.container,
            row_kind: rows.kind,
            names,
            class,
            shapes,
            row_shapes,
            columns: &columns,
        };
        put_table(arena, node, &parts)?;
        Ok(node)
    }
}

fn words(container: Container, count: usize) -> onecopy::image::Plan {
    let mut survey = Survey::default();
    (0..count).for_each(|_| survey.observe_other());
    survey.plan(container, IntWidth::Full)
}

fn node_word(node: u64) -> Result<Word, BuildError> {
    Word::node(node).ok_or(BuildError::TooLarge { len: node })
}

impl Grid {
    fn strides(&self) -> Vec<i64> {
        let mut strides = vec![1; self.shape.len()];
        for at in (1..strides.len()).rev() {
            strides[at - 1] = strides[at] * self.shape[at].max(1).cast_signed();
        }
        strides
    }

    fn described<'a>(&'a self, strides: &'a [i64]) -> ArrayShape<'a> {
        ArrayShape {
            dtype: "|u1",
            item_size: 1,
            shape: &self.shape,
            strides,
            read_only: false,
        }
    }
}

/// Compares an image with the value that it was made of.
///
/// # Panics
/// If they differ.
pub fn check_image(bytes: &[u8], value: &Value) {
    let image = Image::open(bytes).unwrap();
    let check = Check { image };
    check.node(image.root_offset(), value).unwrap();
}

struct Check<'a> {
    image: Image<'a>,
}

impl<'a> Check<'a> {
    fn node(&self, offset: u64, value: &Value) -> Result<(), ImageError> {
        match (self.image.node(offset)?, value) {
            (Node::Sequence(read), Value::List(members)) => {
                assert_eq!(read.container(), Container::List);
                self.members(&read, members)
            }
            (Node::Sequence(read), Value::Tuple(members)) => {
                assert_eq!(read.container(), Container::Tuple);
                self.members(&read, members)
            }
            (Node::Dict(dict), Value::Dict(entries)) => self.dict(&dict, entries),
            (Node::Set(set), Value::Set(members) | Value::FrozenSet(members)) => {
                assert_eq!(set.frozen, matches!(value, Value::FrozenSet(_)));
                self.keys(&set.keys, &members.iter().collect::<Vec<_>>())
            }
            (Node::Table(_), Value::Table(rows)) => self.table(offset, rows),
            (Node::Sequence(read), Value::TableAndRows(rows, which)) => {
                let node = |index| match read.get(index) {
                    Ok(Some(Element::Node(offset))) => offset,
                    other => panic!("{other:?} is no node"),
                };
                assert_eq!(read.len(), which.len() + 1);
                for (index, &row) in which.iter().enumerate() {
                    let Node::Row(read) = self.image.node(node(index + 1))? else {
                        panic!("a row was written");
                    };
                    assert_eq!((read.table, read.row as u64), (node(0), row));
                }
                self.table(node(0), rows)
            }
            (Node::Object(object), Value::Object(pickle, buffers)) => {
                assert_eq!(object.pickle, pickle);
                assert_eq!(object.buffer_count(), buffers.len());
                for (index, buffer) in buffers.iter().enumerate() {
                    let read = object.buffer(index)?;
                    let bytes = &self.image.bytes()[read.offset as usize..][..read.len as usize];
                    assert_eq!(bytes, buffer);
                    assert!(read.offset.is_multiple_of(64));
                }
                Ok(())
            }
            (Node::Array(array), Value::Array(grid)) => {
                assert_eq!(array.spec.as_shape(), grid.described(&grid.strides()));
                assert_eq!(array.data, grid.data);
                Ok(())
            }
            (Node::Typed(typed), Value::Typed(class, parts)) => {
                let [content, argument, state] = &**parts;
                assert_eq!(&typed.class_name()?, class);
                self.node(typed.content, content)?;
                self.word(typed.argument, argument)?;
                self.word(typed.state, state)
            }
            (Node::Value(word), value) => self.word(word, value),
            (_, Value::Root) => {
                assert_eq!(offset, self.image.root_offset());
                Ok(())
            }
            (node, value) => panic!("{node:?} was read, {value:?} was written"),
        }
    }

    fn word(&self, word: Word, value: &Value) -> Result<(), ImageError> {
        match (word.decode(), value.scalar()) {
            (Some(Decoded::Node(offset)), None) => self.node(offset, value),
            (Some(Decoded::Blob(at)), Some(scalar)) => {
                assert_same(&read_blob(self.image.bytes(), at)?, &scalar);
                Ok(())
            }
            (_, scalar) => {
                assert_eq!(Word::inline(&scalar.unwrap()), Some(word));
                Ok(())
            }
        }
    }

    fn members<'v>(
        &self,
        read: &Sequence<'a>,
        members: impl IntoIterator<Item = &'v Value, IntoIter: ExactSizeIterator>,
    ) -> Result<(), ImageError> {
        let members = members.into_iter();
        assert_eq!(read.len(), members.len());
        for (index, member) in members.enumerate() {
            let element = read.get(index)?.unwrap();
            match (&element, member.scalar()) {
                (&Element::Node(offset), None) => self.node(offset, member)?,
                (Element::Node(_), _) | (_, None) => panic!("{element:?} for {member:?}"),
                (_, Some(scalar)) => assert_same(&element.as_scalar(), &scalar),
            }
        }
        Ok(())
    }

    fn dict(&self, dict: &Dict<'a>, entries: &[(Value, Value)]) -> Result<(), ImageError> {
        let (keys, values): (Vec<_>, Vec<_>) = entries.iter().map(|(k, v)| (k, v)).unzip();
        self.keys(&dict.keys, &keys)?;
        self.members(&dict.values, values)
    }

    /// Every key is there and, unless only Python can compare it, found.
    fn keys(&self, read: &Keys<'a>, keys: &[&Value]) -> Result<(), ImageError> {
        self.members(&read.items, keys.iter().copied())?;
        for (position, key) in keys.iter().enumerate() {
            let Some(hash) = key.hash(read.seed, 0) else {
                assert!(read.opaque);
                continue;
            };
            assert!(read.candidates(hash).any(|found| found == position));
            let Some(scalar) = key.scalar() else { continue };
            if onecopy::image::equal(&scalar, &scalar) {
                assert_eq!(read.find_scalar(&scalar, hash)?, Some(position), "{key:?}");
            }
            if let Scalar::Str(text) = scalar {
                assert_eq!(read.find_text(text, hash)?, Some(position));
            }
        }
        Ok(())
    }

    fn table(&self, offset: u64, rows: &Rows) -> Result<(), ImageError> {
        let Node::Table(table) = self.image.node(offset)? else {
            panic!("a table was written");
        };
        let class = table.class()?;
        assert_eq!(
            (table.rows, table.container, table.row_kind, class),
            (rows.count, rows.container, rows.kind, rows.class.clone())
        );
        let names: Vec<_> = rows.columns.iter().map(|(name, _)| name).collect();
        self.keys(&table.names, &names)?;
        for (field, (_, cells)) in rows.columns.iter().enumerate() {
            self.members(&table.column(field)?, cells)?;
        }
        let (shapes, of_rows) = rows.shapes.clone().unzip();
        for row in 0..table.rows {
            let shape = of_rows
                .as_ref()
                .map(|of_rows| usize::try_from(of_rows[row]).unwrap());
            assert_eq!(table.row_shape(row)?, shape);
        }
        let shapes = shapes.unwrap_or_default();
        assert_eq!(table.shape_count(), shapes.len());
        for (index, shape) in shapes.iter().enumerate() {
            assert_eq!(table.shape(index)?, *shape);
        }
        Ok(())
    }
}

/// Equal, bit for bit: a NaN is the same NaN, and zeros keep their signs.
pub fn assert_same(read: &Scalar<'_>, written: &Scalar<'_>) {
    match (read, written) {
        (Scalar::Float(read), Scalar::Float(written)) => {
            assert_eq!(read.to_bits(), written.to_bits());
        }
        (Scalar::Complex(read, i), Scalar::Complex(written, j)) => {
            assert_eq!(read.to_bits(), written.to_bits());
            assert_eq!(i.to_bits(), j.to_bits());
        }
        (read, written) => assert_eq!(read, written),
    }
}
