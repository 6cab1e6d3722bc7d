//! Text of one width: how a `str` element lies in an image.
//!
//! Every string is stored in the narrowest of four forms that holds its widest character: ASCII, Latin-1, UCS-2 or
//! UCS-4 (little-endian). That is `CPython`'s own form, so a reader makes the object with one allocation and one copy,
//! no decoder runs, and lone surrogates need no exception. Measured against UTF-8 in `docs/format.md`.

/// The width of a string's characters; its number is the one stored in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum TextKind {
    /// One byte each, all below 128.
    Ascii = 0,
    /// One byte each, at least one past 127.
    Latin1 = 1,
    /// Two bytes each, at least one past 255; surrogates may be lone.
    Ucs2 = 2,
    /// Four bytes each, at least one past 65,535.
    Ucs4 = 3,
}

impl TextKind {
    /// The kind with this number; numbers are two bits wide.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Ascii,
            1 => Self::Latin1,
            2 => Self::Ucs2,
            _ => Self::Ucs4,
        }
    }

    /// Bytes per character.
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::Ascii | Self::Latin1 => 1,
            Self::Ucs2 => 2,
            Self::Ucs4 => 4,
        }
    }

    /// The narrowest kind that holds `code`, a code point.
    #[must_use]
    pub const fn for_code(code: u32) -> Self {
        match code {
            0..=0x7f => Self::Ascii,
            0x80..=0xff => Self::Latin1,
            0x100..=0xffff => Self::Ucs2,
            _ => Self::Ucs4,
        }
    }
}

/// One string: its kind and the bytes of its characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    /// How wide the characters are.
    pub kind: TextKind,
    /// The characters, little-endian; a multiple of the width.
    pub bytes: &'a [u8],
}

impl<'a> Text<'a> {
    /// Code points in order.
    pub fn codes(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.bytes.chunks_exact(self.kind.width()).map(|unit| {
            unit.iter()
                .rev()
                .fold(0, |code: u32, &byte| (code << 8) | u32::from(byte))
        })
    }

    /// Characters in it.
    #[must_use]
    pub fn char_count(&self) -> usize {
        self.bytes
            .len()
            .checked_div(self.kind.width())
            .unwrap_or_default()
    }

    /// A copy of the text as Rust has it, or `None` if it holds a lone surrogate.
    #[must_use]
    pub fn to_str(&self) -> Option<String> {
        if self.kind == TextKind::Ascii {
            return String::from_utf8(self.bytes.to_vec()).ok();
        }
        self.codes().map(char::from_u32).collect()
    }

    /// Whether the bytes are what the kind promises: whole characters, all in range, the widest needing this kind.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        // One loop per kind, without early ends, so that the compiler makes vector code of each.
        let rest = match self.kind {
            TextKind::Ascii => return self.bytes.is_ascii(),
            TextKind::Latin1 => return !self.bytes.is_ascii(),
            TextKind::Ucs2 => {
                let (units, rest) = self.bytes.as_chunks::<2>();
                if units.iter().fold(0, |seen, unit| seen | unit[1]) == 0 {
                    return false;
                }
                rest
            }
            TextKind::Ucs4 => {
                let (units, rest) = self.bytes.as_chunks::<4>();
                let codes = units.iter().map(|&unit| u32::from_le_bytes(unit));
                let widest = codes.fold(0, u32::max);
                if TextKind::for_code(widest) != TextKind::Ucs4 || widest > 0x0010_ffff {
                    return false;
                }
                rest
            }
        };
        rest.is_empty()
    }
}

/// Text that owns its bytes: what a Rust string becomes on its way into an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextBuf {
    kind: TextKind,
    bytes: Vec<u8>,
}

impl TextBuf {
    /// Stores code points in the narrowest kind; surrogates are kept as they are.
    pub fn from_codes(codes: impl Iterator<Item = u32> + Clone) -> Self {
        let kind = TextKind::for_code(codes.clone().max().unwrap_or_default());
        let mut bytes = Vec::new();
        for code in codes {
            bytes.extend(code.to_le_bytes().into_iter().take(kind.width()));
        }
        Self { kind, bytes }
    }

    /// The text, borrowed.
    #[must_use]
    pub fn as_text(&self) -> Text<'_> {
        Text {
            kind: self.kind,
            bytes: &self.bytes,
        }
    }
}

impl From<&str> for TextBuf {
    fn from(text: &str) -> Self {
        Self::from_codes(text.chars().map(u32::from))
    }
}
