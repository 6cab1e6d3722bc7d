//! What can be wrong with bytes that claim to be an image, and with building one.

use std::path::Path;

use crate::printable_path;

/// Bytes that are not an image this version can read.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// A field, an offset or a length contradicts the rest of the image.
    #[error("corrupt image at offset {offset}: {what}")]
    Corrupt {
        /// Where the contradiction was found, from the image's start.
        offset: u64,
        /// What was expected there.
        what: &'static str,
    },
    /// The bytes are of another kind.
    #[error("not an image: the bytes do not begin with onecopy's signature")]
    NoSignature,
    /// There are fewer bytes than a header has.
    #[error("not an image: it has {found} bytes, and a header has {expected}")]
    NoHeader {
        /// A header's length.
        expected: u64,
        /// The length of the bytes given.
        found: u64,
    },
    /// The bytes end before the image does.
    #[error("truncated image: {expected} bytes were announced, {found} are there")]
    Truncated {
        /// The length that the header announces.
        expected: u64,
        /// The length of the bytes given.
        found: u64,
    },
    /// The image was written by a newer version of the format.
    #[error(
        "image format {found} is newer than this library reads (up to {newest}): update onecopy"
    )]
    Newer {
        /// The format version in the header.
        found: u32,
        /// The newest version this library reads.
        newest: u32,
    },
    /// The bytes do not start at an address that is a multiple of 8.
    #[error(
        "an image must start at an address that is a multiple of 8, this one starts at {address:#x}"
    )]
    Misaligned {
        /// The address given.
        address: usize,
    },
}

impl ImageError {
    /// What to say of a file with these bytes.
    #[must_use]
    pub fn of_file(&self, path: &Path) -> String {
        let path = printable_path(path);
        match self {
            Self::NoSignature => format!(
                "{path} is not an image file (it does not begin with onecopy's signature); name a file that onecopy.save() \
                 wrote"
            ),
            Self::NoHeader { expected, found } => format!(
                "{path} is not an image file: it has {found} bytes, and a header has {expected}"
            ),
            other => format!("{path}: {other}"),
        }
    }
}

/// Shorthand for the commonest finding.
pub(crate) const fn corrupt(offset: u64, what: &'static str) -> ImageError {
    ImageError::Corrupt { offset, what }
}

/// Why an image could not be written.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// An element does not fit the plan made from an earlier look at the data.
    #[error("element {index} changed while being shared")]
    Changed {
        /// Which element.
        index: u64,
    },
    /// What is written now is larger than what was measured before.
    #[error("the data changed while being shared: they have grown")]
    Outgrown,
    /// The image would be larger than its 48-bit offsets reach.
    #[error("an image of {len} bytes is larger than the format allows (2^48)")]
    TooLarge {
        /// The length that was needed, saturated.
        len: u64,
    },
    /// The memory given to the writer is not the length the plan asked for.
    #[error("the plan needs {needed} bytes, the memory given has {given}")]
    WrongLength {
        /// What the plan asked for.
        needed: u64,
        /// What was given.
        given: u64,
    },
    /// An array's shape, strides and data contradict each other.
    #[error("an array of this shape, strides and item size does not fit {data_len} bytes of data")]
    ArrayShape {
        /// Length of the data given.
        data_len: u64,
    },
}
