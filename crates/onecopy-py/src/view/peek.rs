//! `view.peek(key)`: a str or bytes inside other data, where it lies, and not as an object of its own.
#![forbid(unsafe_code)]

use onecopy::image::{Decoded, Element, Items, Node, Scalar, Sequence, Text, Word, read_blob};
use pyo3::prelude::*;

use super::run::{Run, Source};
use super::table_core::TableCore;
use super::text::StrView;
use crate::column::Elements;
use crate::error::{Error, corrupt};
use crate::image::Image;

/// Offset of the word in the node of a value.
const VALUE_WORD: usize = 16;

/// Element `at` of a list or tuple as a view, if it is a str or bytes.
pub(super) fn element<'py>(
    py: Python<'py>,
    elements: &Elements,
    at: usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let image = elements.image.bind(py);
    let opened = image.get().open()?;
    let sequence = opened.sequence_at(elements.node).map_err(Error::from)?;
    in_sequence(image, &sequence, at)
}

/// The cell of a table as a view, if it is a str or bytes.
pub(super) fn cell<'py>(
    image: &Bound<'py, Image>,
    core: &TableCore,
    position: usize,
    row: usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match image.get().open()?.node(core.node).map_err(Error::from)? {
        Node::Table(table) => {
            let column = table.column(position).map_err(Error::from)?;
            in_sequence(image, &column, row)
        }
        _ => Err(corrupt(core.node, "a table was expected")),
    }
}

/// The str or bytes that is a root, at a node.
pub(super) fn value<'py>(
    image: &Bound<'py, Image>,
    word: Word,
    node: u64,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let at = usize::try_from(node)? + VALUE_WORD;
    match word.decode() {
        Some(Decoded::Blob(offset)) => {
            let opened = image.get().open()?;
            let scalar = read_blob(opened.bytes(), offset).map_err(Error::from)?;
            of_scalar(image, node, &scalar)
        }
        Some(Decoded::Str(kind, short)) => {
            let bytes = short.as_bytes();
            of_text(image, node, Text { kind, bytes }, at).map(Some)
        }
        Some(Decoded::Bytes(short)) => of_bytes(image, node, at, short.as_bytes().len()).map(Some),
        _ => Ok(None),
    }
}

fn in_sequence<'py>(
    image: &Bound<'py, Image>,
    sequence: &Sequence<'_>,
    index: usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let at = match sequence.items() {
        // What is short lies in its word, the first byte first.
        Items::Words(words) => usize::try_from(words.at)? + index * size_of::<u64>(),
        _ => 0,
    };
    match sequence.get(index).map_err(Error::from)? {
        Some(Element::Scalar(scalar)) => of_scalar(image, 0, &scalar),
        Some(Element::ShortStr(kind, short)) => {
            let bytes = short.as_bytes();
            of_text(image, 0, Text { kind, bytes }, at).map(Some)
        }
        Some(Element::ShortBytes(short)) => {
            of_bytes(image, 0, at, short.as_bytes().len()).map(Some)
        }
        _ => Ok(None),
    }
}

/// The view of a str or bytes of the image.
fn of_scalar<'py>(
    image: &Bound<'py, Image>,
    node: u64,
    scalar: &Scalar<'_>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let offset = |bytes: &[u8]| {
        let start = image.get().bytes().as_ptr().addr();
        bytes.as_ptr().addr().wrapping_sub(start)
    };
    match *scalar {
        Scalar::Str(text) => of_text(image, node, text, offset(text.bytes)).map(Some),
        Scalar::Bytes(bytes) => of_bytes(image, node, offset(bytes), bytes.len()).map(Some),
        _ => Ok(None),
    }
}

fn of_text<'py>(
    image: &Bound<'py, Image>,
    node: u64,
    text: Text<'_>,
    offset: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let count = text.char_count();
    let view = StrView::new(image, node, text.kind, (offset, count), (0, 1, count))?;
    Ok(Bound::new(image.py(), view)?.into_any())
}

fn of_bytes<'py>(
    image: &Bound<'py, Image>,
    node: u64,
    offset: usize,
    len: usize,
) -> PyResult<Bound<'py, PyAny>> {
    Run::new(image, node, Source::Bytes, offset, len, (0, 1, len))?.view(image.py())
}
