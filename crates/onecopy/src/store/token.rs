//! The token: what travels instead of the data.
//!
//! ```text
//!  0  4 B  "OCT1"                     36  u32  unit index
//!  4  16 B uuid of the store          40  u32  unit generation
//! 20  u32  pid of the sender          44  u64  length of the object in bytes
//! 24  u32  its fd of the store        52  8 B  zero
//! 28  u32  object index               60  u32  check over bytes 0..60 (FNV-1a)
//! 32  u32  object generation
//! ```
#![forbid(unsafe_code)]

use super::id::{ObjectId, UnitId, Uuid};
use crate::error::AttachError;

const MAGIC: [u8; 4] = *b"OCT1";

/// Describes a shared object to another process of the same user; 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub(crate) store: Uuid,
    pub(crate) pid: u32,
    pub(crate) fd: u32,
    pub(crate) object: ObjectId,
    pub(crate) unit: UnitId,
    pub(crate) len: u64,
}

impl Token {
    /// Bytes of a token.
    pub const LEN: usize = 64;

    /// The token as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let fields: [&[u8]; 9] = [
            &MAGIC,
            &self.store.0,
            &self.pid.to_le_bytes(),
            &self.fd.to_le_bytes(),
            &self.object.index.to_le_bytes(),
            &self.object.generation.to_le_bytes(),
            &self.unit.index.to_le_bytes(),
            &self.unit.generation.to_le_bytes(),
            &self.len.to_le_bytes(),
        ];
        let mut bytes = [0; Self::LEN];
        for (target, source) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *target = *source;
        }
        let check = check(&bytes);
        for (target, source) in bytes.iter_mut().skip(60).zip(check) {
            *target = source;
        }
        bytes
    }

    /// Reads a token back.
    ///
    /// # Errors
    /// [`AttachError::BadToken`] if the bytes are not what [`Token::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AttachError> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().map_err(|_| AttachError::BadToken {
            what: "it is not 64 bytes long",
        })?;
        let (fields, rest) = bytes.as_chunks::<4>().0.split_at(13);
        if fields.first() != Some(&MAGIC) {
            return Err(AttachError::BadToken {
                what: "it does not begin with OCT1",
            });
        }
        if rest.last() != Some(&check(bytes)) {
            return Err(AttachError::BadToken {
                what: "its check does not fit",
            });
        }
        let word = |index: usize| {
            fields
                .get(index)
                .map_or(0, |field| u32::from_le_bytes(*field))
        };
        let mut store = [0; 16];
        for (target, source) in store.iter_mut().zip(bytes.iter().skip(4)) {
            *target = *source;
        }
        Ok(Self {
            store: Uuid(store),
            pid: word(5),
            fd: word(6),
            object: ObjectId {
                index: word(7),
                generation: word(8),
            },
            unit: UnitId {
                index: word(9),
                generation: word(10),
            },
            len: u64::from(word(11)) | u64::from(word(12)) << 32,
        })
    }
}

fn check(bytes: &[u8; Token::LEN]) -> [u8; 4] {
    bytes
        .iter()
        .take(60)
        .fold(0x811c_9dc5u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        })
        .to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_and_a_changed_one_is_refused() {
        let token = Token {
            store: Uuid([9; 16]),
            pid: 1234,
            fd: 5,
            object: ObjectId {
                index: 6,
                generation: 7,
            },
            unit: UnitId {
                index: 8,
                generation: 9,
            },
            len: 1 << 33 | 1,
        };
        let bytes = token.to_bytes();
        assert_eq!(Token::from_bytes(&bytes).unwrap(), token);
        for index in 0..Token::LEN {
            let mut changed = bytes;
            changed[index] ^= 0x10;
            assert!(Token::from_bytes(&changed).is_err(), "byte {index}");
        }
        assert!(Token::from_bytes(&bytes[1..]).is_err());
    }
}
