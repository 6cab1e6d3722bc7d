//! What a blob is, as the header of its block says.
#![forbid(unsafe_code)]

/// Kinds of blobs, as their headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// An int as little-endian two's complement in the fewest bytes.
    Int = 1,
    /// A NaN other than the usual one.
    Nan = 2,
    /// Bytes.
    Bytes = 3,
    /// A pickle.
    Pickle = 4,
    /// A key that is an object of the other side's, in the one way in which equal objects are written.
    Encoded = 5,
    /// A str of ASCII characters, one byte each.
    Ascii = 8,
    /// A str of characters below 256, one byte each.
    Latin1 = 9,
    /// A str of characters below 65,536, two bytes each.
    Ucs2 = 10,
    /// A str of four bytes a character.
    Ucs4 = 11,
}

impl Kind {
    /// What the header of a block says, if it is a blob.
    #[inline(always)]
    #[must_use]
    pub fn of(kind: u8) -> Option<Self> {
        Some(match kind {
            1 => Self::Int,
            2 => Self::Nan,
            3 => Self::Bytes,
            4 => Self::Pickle,
            5 => Self::Encoded,
            8 => Self::Ascii,
            9 => Self::Latin1,
            10 => Self::Ucs2,
            11 => Self::Ucs4,
            _ => return None,
        })
    }

    /// Bytes of a unit: the length of a blob is a multiple of it.
    #[inline(always)]
    #[must_use]
    pub fn unit(self) -> usize {
        match self {
            Self::Nan => 8,
            Self::Ucs2 => 2,
            Self::Ucs4 => 4,
            _ => 1,
        }
    }
}
