//! Names: of a store, and of an object in it.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;

/// A store's name: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid(pub(crate) [u8; 16]);

impl Uuid {
    pub(crate) fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        // Up to 256 bytes are never cut short or interrupted (getrandom(2)).
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        Ok(Self(bytes))
    }

    /// Reads a name back from its 32 hexadecimal digits, for [`crate::Store::from_fd`] in another process.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        Some(Self(u128::from_str_radix(text, 16).ok()?.to_be_bytes()))
    }

    /// What the memory file is called in `/proc/PID/maps`.
    pub(crate) fn file_name(self) -> String {
        format!("onecopy-{self}")
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// An object's name: its row in the table, and how often that row was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ObjectId {
    /// As it stands in handles and units, 54 bits: an index has 22 (`Geometry::new`). Never 0, since generations
    /// start at 1.
    pub(crate) fn packed(self) -> u64 {
        u64::from(self.generation) << 22 | u64::from(self.index)
    }

    pub(crate) fn from_packed(value: u64) -> Option<Self> {
        (value != 0).then_some(Self {
            index: value as u32 & ((1 << 22) - 1),
            generation: (value >> 22) as u32,
        })
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.index, self.generation)
    }
}

/// Which unit a token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnitId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_round_trip() {
        let uuid = Uuid::random().unwrap();
        assert_eq!(Uuid::parse(&uuid.to_string()), Some(uuid));
        assert_eq!(Uuid::parse("+0000000000000000000000000000000"), None);
        assert_eq!(Uuid::parse("short"), None);
        let id = ObjectId {
            index: 0,
            generation: 1,
        };
        assert_eq!(ObjectId::from_packed(id.packed()), Some(id));
        assert_eq!(ObjectId::from_packed(0), None);
    }
}
