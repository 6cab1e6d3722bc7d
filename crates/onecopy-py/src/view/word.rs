//! The object of a word that is no element of a column.
#![forbid(unsafe_code)]

use onecopy::image::{Decoded, Scalar, Text, Word, read_blob};
use pyo3::prelude::*;

use crate::error::{Error, corrupt};
use crate::image::{Image, objects, rebuilt};
use crate::value::scalar;

/// The object of a word that stands alone.
pub(super) fn word_object<'py>(
    image: &Bound<'py, Image>,
    word: Word,
    at: u64,
) -> PyResult<Bound<'py, PyAny>> {
    let short;
    let opened = image.get().open()?;
    let value = match word.decode() {
        Some(Decoded::None) => Scalar::None,
        Some(Decoded::Bool(value)) => Scalar::Bool(value),
        Some(Decoded::Int(value)) => Scalar::Int(value),
        Some(Decoded::Float(value)) => Scalar::Float(value),
        Some(Decoded::Str(kind, text)) => {
            short = text;
            let bytes = short.as_bytes();
            Scalar::Str(Text { kind, bytes })
        }
        Some(Decoded::Bytes(bytes)) => {
            short = bytes;
            Scalar::Bytes(short.as_bytes())
        }
        Some(Decoded::Blob(offset)) => {
            match read_blob(opened.bytes(), offset).map_err(Error::from)? {
                Scalar::Pickle(_) => return rebuilt::pickled(image, offset),
                value => value,
            }
        }
        Some(Decoded::Node(offset)) => return objects::node(image, offset),
        None => return Err(corrupt(at, "word with an unknown tag")),
    };
    scalar::object(image.py(), &value)
}
