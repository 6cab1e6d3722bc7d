//! One immutable object as position-independent bytes: the same in a store, in a file and on the wire.
//!
//! An image has a header, a root node, and sections that the node names by their offset from the image's start. There
//! are no pointers; numbers are little-endian; sections start at multiples of 64, large numeric data at multiples of
//! 4096. `docs/format.md` gives the byte tables, and each file here repeats its own.
//!
//! ```text
//! elements ── Survey ──▶ Plan ──▶ Layout ── Writer ──▶ bytes ── Image::open ──▶ Sequence / Array
//!             (look)     (columns)  (offsets)  (write once)       (check once)     (typed slices)
//! ```
//!
//! | file | question it answers |
//! |---|---|
//! | `header` | is this an image, and how long is it? |
//! | `node` | what lies here, and where are its parts? |
//! | `word` | how does one value fit into 8 bytes, and where does it go if not? |
//! | `text` | how wide are a string's characters? |
//! | `plan` | which column suits these elements, and how long will the image be? |
//! | `build` | how are the bytes written? |
//! | `arena` | how is memory for many nodes handed out, measured first and then written? |
//! | `cursor` | how is a list or tuple filled that lies among other nodes? |
//! | `hash`, `key_hashes`, `keys`, `equal` | how is a key found? |
//! | `fields` | what stands behind the head of a node that leads to others? |
//! | `graph` | how do dicts, sets and pickled objects lead to their parts? |
//! | `table` | how do many objects with the same fields lie in columns? |
//! | `typed` | how does an object remember its class beside its content? |
//! | `array` | how does an n-dimensional array describe itself? |
//! | `view` | how is an image opened, and a node resolved? |
//! | `parts`, `sequence` | where do a list's parts lie, and how are its elements read without copying? |
//! | `validate` | does the whole image hold together? |
//!
//! **Invariants.** `I1`: an image never changes once it is published. `I2`: bytes are input: reading checks every
//! offset and length it uses, yields [`ImageError`] for what does not hold, and never panics; that is so even for bytes
//! that another process changes meanwhile, against `I1` (see `bytes`). `I3`: the same elements
//! give the same bytes, on every machine.

#![deny(
    unsafe_code,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used
)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

#[cfg(not(target_endian = "little"))]
compile_error!("images are little-endian and are read in place: a big-endian machine cannot");

mod arena;
mod array;
mod build;
mod bytes;
mod cursor;
mod equal;
mod error;
mod fields;
mod graph;
pub mod hash;
mod header;
mod key_hashes;
mod keys;
mod node;
mod parts;
mod plan;
mod sequence;
mod table;
mod text;
mod typed;
mod validate;
mod view;
mod word;

pub use arena::Arena;
pub use array::{Array, ArrayLayout, ArrayShape, ArraySpec, DIMENSION_LIMIT, place_array};
pub use build::{ImageBuf, Writer, sequence_image};
pub use cursor::{COMPACT_LIMIT, ColumnCursor};
pub use equal::equal;
pub use error::{BuildError, ImageError};
pub use graph::{
    Dict, DictParts, ObjectNode, ObjectPlace, Set, place_dict, place_object, place_set, put_dict,
    put_set, put_value,
};
pub use header::{FORMAT_VERSION, HEADER_LEN, Header, MAGIC, NESTED_VERSION};
pub use key_hashes::KEY_DEPTH;
pub use keys::{Candidates, Keys, put_keys};
pub use node::{ColumnKind, NodeHead, NodeKind, Section};
pub use plan::{Container, IntWidth, Layout, Plan, Survey};
pub use sequence::{Element, Items, Offsets, Sequence, Spans, Words};
pub use table::{
    RowKind, RowNode, Table, TableParts, place_row, place_table, put_placed_row, put_row, put_table,
};
pub use text::{Text, TextBuf, TextKind};
pub use typed::{Typed, place_typed, put_typed};
pub use validate::validate;
pub use view::{Image, Node};
pub use word::{
    BLOB_ALIGN, Decoded, INLINE_LEN, OFFSET_LIMIT, Scalar, Short, Word, blob_len, read_blob,
};
