//! The word: a value by itself, or a way to one.
#![forbid(unsafe_code)]

const FLOAT_SHIFT: u64 = 1 << 48;
/// The largest word of a float: −∞.
const LAST_FLOAT: u64 = 0xfff0_0000_0000_0000 + FLOAT_SHIFT;
/// The NaN that is a word.
const NAN: u64 = 0x7ff8_0000_0000_0000;
const TAG_INT: u64 = 0xfff9;
const TAG_CONSTANT: u64 = 0xfffa;
const TAG_STR: u64 = 0xfffb;
const TAG_BYTES: u64 = 0xfffc;
const TAG_LARGE: u64 = 0xfffd;
const TAG_BLOB: u64 = 0xfffe;
const TAG_REFERENCE: u64 = 0xffff;
/// The 48 bits below a tag.
const PAYLOAD: u64 = (1 << 48) - 1;
/// The longest str or bytes that is a word.
pub(crate) const SHORT: usize = 5;
/// In the payload of a short str: it has characters above 127.
const IS_LATIN1: u64 = 1 << 43;

/// A word of a container that is a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word(pub(crate) u64);

/// What a word says by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Immediate {
    /// `None`.
    None,
    /// A bool.
    Bool(bool),
    /// An int of at most 48 bits.
    Int(i64),
    /// A float.
    Float(f64),
    /// A str of Latin-1 characters: its bytes and how many there are.
    Str([u8; SHORT], usize),
    /// Bytes and how many there are.
    Bytes([u8; SHORT], usize),
}

impl Word {
    /// `None`.
    pub const NONE: Self = Self(TAG_CONSTANT << 48);

    /// A bool.
    #[must_use]
    #[inline(always)]
    pub const fn of_bool(value: bool) -> Self {
        Self((TAG_CONSTANT << 48) | (1 + value as u64))
    }

    /// An int, if it has at most 48 bits.
    #[must_use]
    #[inline(always)]
    pub const fn of_int(value: i64) -> Option<Self> {
        if value << 16 >> 16 == value {
            Some(Self(TAG_INT << 48 | value as u64 & PAYLOAD))
        } else {
            None
        }
    }

    /// The int that the word is.
    #[must_use]
    #[inline(always)]
    pub const fn as_int(self) -> Option<i64> {
        if self.0 >> 48 == TAG_INT {
            Some((self.0 << 16) as i64 >> 16)
        } else {
            None
        }
    }

    /// A float, unless it is a NaN with a payload or a sign.
    #[must_use]
    #[inline(always)]
    pub const fn of_float(value: f64) -> Option<Self> {
        let bits = value.to_bits();
        if value.is_nan() && bits != NAN {
            return None;
        }
        Some(Self(bits.wrapping_add(FLOAT_SHIFT)))
    }

    /// The float that the word is.
    #[must_use]
    #[inline(always)]
    pub const fn as_float(self) -> Option<f64> {
        if self.0 >= FLOAT_SHIFT && self.0 <= LAST_FLOAT {
            Some(f64::from_bits(self.0 - FLOAT_SHIFT))
        } else {
            None
        }
    }

    /// A str of Latin-1 characters, if it is short.
    #[must_use]
    #[inline(always)]
    pub fn of_latin1(characters: &[u8]) -> Option<Self> {
        let latin1 = if characters.is_ascii() { 0 } else { IS_LATIN1 };
        Self::short(TAG_STR, characters).map(|word| Self(word | latin1))
    }

    /// Bytes, if they are few.
    #[must_use]
    #[inline(always)]
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        Self::short(TAG_BYTES, bytes).map(Self)
    }

    #[inline(always)]
    fn short(tag: u64, bytes: &[u8]) -> Option<u64> {
        (bytes.len() <= SHORT)
            .then(|| tag << 48 | (bytes.len() as u64) << 40 | super::super::words::tail(bytes))
    }

    /// What the word is written as inside a key that is made of several values.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The word that was written so, if it is a value by itself.
    #[must_use]
    pub fn of_bits(bits: u64) -> Option<Self> {
        Self(bits).immediate().map(|_| Self(bits))
    }

    /// The word that leads to a blob.
    #[inline(always)]
    pub(crate) const fn of_blob(at: u64) -> Self {
        Self(TAG_BLOB << 48 | at & PAYLOAD)
    }

    /// Where the blob stands that the word leads to.
    #[inline(always)]
    pub(crate) const fn as_blob(self) -> Option<u64> {
        if self.0 >> 48 == TAG_BLOB {
            Some(self.0 & PAYLOAD)
        } else {
            None
        }
    }

    /// The word that has a reference's name.
    pub(crate) const fn of_reference(name: u64) -> Self {
        Self(TAG_REFERENCE << 48 | name & PAYLOAD)
    }

    /// The word that has the name of a reference to a large value.
    pub(crate) const fn of_large(name: u64) -> Self {
        Self(TAG_LARGE << 48 | name & PAYLOAD)
    }

    /// Whether the reference that it names is to a large value.
    pub(crate) const fn is_large(self) -> bool {
        self.0 >> 48 == TAG_LARGE
    }

    /// The reference's name that the word has, to whatever it is.
    #[inline(always)]
    pub(crate) const fn as_reference(self) -> Option<u64> {
        if self.0 >> 48 == TAG_REFERENCE || self.is_large() {
            Some(self.0 & PAYLOAD)
        } else {
            None
        }
    }

    /// Whether it leads elsewhere: to a blob or another object.
    #[inline(always)]
    pub(crate) const fn leads(self) -> bool {
        self.0 >= TAG_LARGE << 48
    }

    /// What the word says by itself; `None` for one that leads elsewhere, and for no value.
    #[must_use]
    #[inline(always)]
    pub fn immediate(self) -> Option<Immediate> {
        if let Some(int) = self.as_int() {
            return Some(Immediate::Int(int));
        }
        if let Some(float) = self.as_float() {
            return Some(Immediate::Float(float));
        }
        let [bytes @ .., len, _, _] = self.0.to_le_bytes();
        let len = usize::from(len & 7);
        Some(match self.0 >> 48 {
            TAG_CONSTANT => match self.0 & PAYLOAD {
                0 => Immediate::None,
                1 => Immediate::Bool(false),
                2 => Immediate::Bool(true),
                _ => return None,
            },
            TAG_STR if len <= SHORT => Immediate::Str(bytes, len),
            TAG_BYTES if len <= SHORT => Immediate::Bytes(bytes, len),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_word_means_one_thing() {
        let words = [
            Word::NONE,
            Word::of_bool(false),
            Word::of_bool(true),
            Word::of_int(0).unwrap(),
            Word::of_int(-1).unwrap(),
            Word::of_float(0.0).unwrap(),
            Word::of_float(-0.0).unwrap(),
            Word::of_float(f64::NAN).unwrap(),
            Word::of_float(f64::NEG_INFINITY).unwrap(),
            Word::of_float(f64::from_bits(1)).unwrap(),
            Word::of_latin1(b"").unwrap(),
            Word::of_latin1(b"abcde").unwrap(),
            Word::of_latin1(b"\xe9").unwrap(),
            Word::of_bytes(b"").unwrap(),
            Word::of_bytes(b"abcde").unwrap(),
            Word::of_blob(0),
            Word::of_blob(PAYLOAD),
            Word::of_large(0),
            Word::of_large(PAYLOAD),
            Word::of_reference(0),
            Word::of_reference(PAYLOAD),
        ];
        for (index, word) in words.iter().enumerate() {
            assert_ne!(word.0, 0);
            assert!(
                words.iter().skip(index + 1).all(|other| other != word),
                "{word:?}"
            );
            let leads = word.as_blob().is_some() || word.as_reference().is_some();
            assert_ne!(word.immediate().is_some(), leads, "{word:?}");
            assert_eq!(word.leads(), leads, "{word:?}");
        }
        assert_eq!(Word::of_int(1 << 47), None);
        assert_eq!(Word::of_int(-(1 << 47)).unwrap().as_int(), Some(-(1 << 47)));
        assert_eq!(Word::of_float(-f64::NAN), None);
        assert_eq!(Word(0).immediate(), None);
    }

    proptest! {
        #[test]
        fn floats_and_ints_come_back(bits: u64, int: i64) {
            let float = f64::from_bits(bits);
            if let Some(word) = Word::of_float(float) {
                prop_assert_eq!(word.as_float().unwrap().to_bits(), bits);
                prop_assert_eq!(word.as_int(), None);
            }
            if let Some(word) = Word::of_int(int) {
                prop_assert_eq!(word.as_int(), Some(int));
                prop_assert_eq!(word.as_float(), None);
            }
        }
    }
}
