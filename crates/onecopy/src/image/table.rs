//! Tables, and their rows as nodes of their own.
//!
//! Behind the 16 bytes of the head, whose count is that of the rows, come fields of 8 bytes:
//!
//! | kind | fields |
//! |---|---|
//! | 8 table | count of fields *f*; keys node with their names; class (0 or the offset of its blob); shapes (0 or a tuple node of list nodes); shape of each row (0 or a list node of 8-bit ints); *f* list nodes, one column each |
//! | 11 row | table node; the head's count is the row's index: a row that is also reached from elsewhere |
//!
//! A table's column byte says list (1) or tuple (2), the low two bits of its flags what its rows are: 0 dicts, 1
//! instances of a class by their attributes, 2 of a namedtuple. A *shape* lists the positions of the columns that a row has, in the order
//! of the row; without shapes, every row has all columns in order. A cell that a row does not have is `None`.

use super::arena::Arena;
use super::bytes::{once, u64_at};
use super::error::{BuildError, ImageError, corrupt};
use super::fields::{field_list, fields, place_node, put_fields, put_node};
use super::keys::Keys;
use super::node::{NodeHead, NodeKind};
use super::plan::Container;
use super::sequence::{Element, Items, Sequence};
use super::word::{Scalar, read_blob};

/// What the rows of a table were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RowKind {
    /// Dicts.
    Dict = 0,
    /// Instances of one class, by their attributes.
    Instance = 1,
    /// Instances of one namedtuple.
    NamedTuple = 2,
}

/// A list or tuple of rows with the same fields, resolved.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    /// Number of rows.
    pub rows: usize,
    /// List or tuple.
    pub container: Container,
    /// What the rows were.
    pub row_kind: RowKind,
    /// Names of the fields, in order of the columns.
    pub names: Keys<'a>,
    /// Offset of the keys node with the names.
    pub names_offset: u64,
    class: Option<&'a [u8]>,
    shapes: Option<Sequence<'a>>,
    row_shapes: Option<&'a [i8]>,
    columns: &'a [u64],
    image: &'a [u8],
    at: u64,
}

const TABLE_FIELDS: usize = 5;
/// Rows name their shape by an int of 8 bits.
const MOST_SHAPES: usize = 128;

impl<'a> Table<'a> {
    pub(crate) fn resolve(image: &'a [u8], at: u64, head: &NodeHead) -> Result<Self, ImageError> {
        let [count, names_offset, class, shapes, row_shapes] = fields::<TABLE_FIELDS>(image, at)?;
        let container = match u64_at(image, at, "table node")?.to_le_bytes() {
            [_, 1, ..] => Container::List,
            [_, 2, ..] => Container::Tuple,
            _ => return Err(corrupt(at, "a table is a list or a tuple")),
        };
        let row_kind = match head.flags {
            0 => RowKind::Dict,
            1 => RowKind::Instance,
            2 => RowKind::NamedTuple,
            _ => return Err(corrupt(at, "unknown kind of rows")),
        };
        let rows = usize::try_from(head.count).map_err(|_| corrupt(at, "number of rows"))?;
        let names = Keys::at(image, names_offset)?;
        let field_count = usize::try_from(count).unwrap_or(usize::MAX);
        if names.len() != field_count {
            return Err(corrupt(at, "a table has as many names as columns"));
        }
        let all = field_list(image, at, TABLE_FIELDS.saturating_add(field_count))?;
        let shapes = match shapes {
            0 => None,
            at => Some(Sequence::at(image, at)?),
        };
        // Some column has to vouch for the number of rows: nobody reads cells that are not there, but rows would be made.
        match all.get(TABLE_FIELDS) {
            Some(column) if Sequence::at(image, once(column))?.len() == rows => {}
            None if rows == 0 => {}
            _ => return Err(corrupt(at, "a column has one cell per row")),
        }
        let row_shapes = match row_shapes {
            0 => None,
            at => match Sequence::at(image, at)?.items() {
                Items::I8(items) if items.len() == rows => Some(items),
                _ => return Err(corrupt(at, "the shapes of rows are 8-bit ints")),
            },
        };
        if shapes.is_some() != row_shapes.is_some() || isize::try_from(rows).is_err() {
            return Err(corrupt(at, "rows have shapes if there are any"));
        }
        // So that a shape, which takes as long to read as there are columns, is not claimed without end.
        if shapes.is_some_and(|shapes| shapes.len() > MOST_SHAPES) {
            return Err(corrupt(at, "more shapes than 8-bit ints can name"));
        }
        let class = match class {
            0 => None,
            at => match read_blob(image, at)? {
                Scalar::Class(name) => Some(name),
                _ => return Err(corrupt(at, "the name of a class was expected")),
            },
        };
        Ok(Self {
            rows,
            container,
            row_kind,
            names,
            names_offset,
            class,
            shapes,
            row_shapes,
            columns: all.get(TABLE_FIELDS..).unwrap_or_default(),
            image,
            at,
        })
    }

    /// Number of columns.
    #[must_use]
    pub const fn field_count(&self) -> usize {
        self.columns.len()
    }

    /// The bytes of the image that it is a part of.
    #[must_use]
    pub const fn image(&self) -> &'a [u8] {
        self.image
    }

    /// Offset of the list node of a column.
    #[must_use]
    pub fn column_offset(&self, field: usize) -> Option<u64> {
        self.columns.get(field).map(once)
    }

    /// The class of the rows, `module:qualname`.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if the name is not UTF-8.
    pub fn class(&self) -> Result<Option<String>, ImageError> {
        let name = self.class.map(|name| String::from_utf8(name.to_vec()));
        let wrong = |_| corrupt(self.at, "the name of a class is not UTF-8");
        name.transpose().map_err(wrong)
    }

    /// A column.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it does not hold together or has not one cell per row.
    pub fn column(&self, field: usize) -> Result<Sequence<'a>, ImageError> {
        let offset = self.column_offset(field);
        let offset = offset.ok_or(corrupt(self.at, "the table has no such column"))?;
        let column = Sequence::at(self.image, offset)?;
        if column.len() != self.rows {
            return Err(corrupt(offset, "a column has one cell per row"));
        }
        Ok(column)
    }

    /// Whether rows have shapes of their own.
    #[must_use]
    pub const fn has_shapes(&self) -> bool {
        self.row_shapes.is_some()
    }

    /// Number of shapes; 0 if every row has all fields in order.
    #[must_use]
    pub fn shape_count(&self) -> usize {
        self.shapes.map_or(0, |shapes| shapes.len())
    }

    /// The positions of the columns that rows of a shape have, in order.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if the shape does not hold together.
    pub fn shape(&self, shape: usize) -> Result<Vec<usize>, ImageError> {
        let wrong = || corrupt(self.at, "a shape lists columns, each at most once");
        let shapes = self.shapes.ok_or_else(wrong)?;
        let element = shapes.get(shape)?.ok_or_else(wrong)?;
        let Element::Node(offset) = element else {
            return Err(wrong());
        };
        let list = Sequence::at(self.image, offset)?;
        if list.len() > self.field_count() {
            return Err(wrong());
        }
        let mut seen = vec![false; self.field_count()];
        let mut positions = Vec::with_capacity(list.len());
        for index in 0..list.len() {
            let element = list.get(index)?.ok_or_else(wrong)?;
            let Scalar::Int(position) = element.as_scalar() else {
                return Err(wrong());
            };
            let position = usize::try_from(position).map_err(|_| wrong())?;
            match seen.get_mut(position) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(wrong()),
            }
            positions.push(position);
        }
        Ok(positions)
    }

    /// The shape of a row, which must be one of the table's; `None` if every row has all fields in order.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it is not among the shapes.
    #[inline]
    pub fn row_shape(&self, row: usize) -> Result<Option<usize>, ImageError> {
        let Some(row_shapes) = self.row_shapes else {
            return Ok(None);
        };
        let shape = row_shapes.get(row).map(once);
        let shape = shape.and_then(|shape| usize::try_from(shape).ok());
        match shape.filter(|&shape| shape < self.shape_count()) {
            Some(shape) => Ok(Some(shape)),
            None => Err(corrupt(self.at, "a row has a shape that is not there")),
        }
    }
}

/// A row of a table that is also reached from elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct RowNode {
    /// Offset of the table.
    pub table: u64,
    /// Which of its rows.
    pub row: usize,
}

impl RowNode {
    pub(crate) fn resolve(image: &[u8], at: u64, head: &NodeHead) -> Result<Self, ImageError> {
        let [table] = fields(image, at)?;
        let table_head = NodeHead::read(image, table)?;
        if table_head.kind != NodeKind::Table || head.count >= table_head.count {
            return Err(corrupt(at, "a row of a table was expected"));
        }
        Ok(Self {
            table,
            row: head.count as usize,
        })
    }
}

/// Writes the node of a row that is also reached from elsewhere.
///
/// # Errors
/// As for [`Arena::alloc`].
pub fn put_row(arena: &mut Arena<'_>, table: u64, row: u64) -> Result<u64, BuildError> {
    put_node(arena, NodeKind::Row, row, &[table])
}

/// Takes memory for the node of a row whose table is written later.
///
/// # Errors
/// As for [`Arena::alloc`].
pub fn place_row(arena: &mut Arena<'_>) -> Result<u64, BuildError> {
    place_node(arena, 1)
}

/// Writes the node of a row where [`place_row`] took memory for it.
///
/// # Errors
/// [`BuildError::Outgrown`] if it does not lie in the memory.
pub fn put_placed_row(
    arena: &mut Arena<'_>,
    node: u64,
    table: u64,
    row: u64,
) -> Result<(), BuildError> {
    let head = NodeHead::new(NodeKind::Row, None, 0, 0, row);
    put_fields(arena, node, &head, &[table])
}

/// The parts of a table.
#[derive(Debug, Clone, Copy)]
pub struct TableParts<'a> {
    /// Number of rows.
    pub rows: u64,
    /// List or tuple.
    pub container: Container,
    /// What the rows are.
    pub row_kind: RowKind,
    /// Offset of the keys node with the names.
    pub names: u64,
    /// Offset of the blob of the class, or 0.
    pub class: u64,
    /// Offset of the tuple node of shapes, or 0.
    pub shapes: u64,
    /// Offset of the list node with the shape of each row, or 0.
    pub row_shapes: u64,
    /// Offsets of the columns.
    pub columns: &'a [u64],
}

/// Takes memory for a table node of so many fields.
///
/// # Errors
/// As for [`Arena::alloc`].
pub fn place_table(arena: &mut Arena<'_>, field_count: usize) -> Result<u64, BuildError> {
    place_node(arena, field_count.saturating_add(TABLE_FIELDS))
}

/// Writes a table node where [`place_table`] took memory for it.
///
/// # Errors
/// [`BuildError::Outgrown`] if it does not lie in the memory.
pub fn put_table(
    arena: &mut Arena<'_>,
    node: u64,
    parts: &TableParts<'_>,
) -> Result<(), BuildError> {
    let flags = parts.row_kind as u8;
    let head = NodeHead::new(NodeKind::Table, None, flags, 0, parts.rows);
    let count = parts.columns.len() as u64;
    let mut fields = vec![
        count,
        parts.names,
        parts.class,
        parts.shapes,
        parts.row_shapes,
    ];
    fields.extend_from_slice(parts.columns);
    put_fields(arena, node, &head, &fields)?;
    arena.put(node.saturating_add(1), &[parts.container.node_kind() as u8])
}
