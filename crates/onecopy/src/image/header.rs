//! The first 64 bytes of an image.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic, `89 4F 43 50 59 0D 0A 1A` (`\x89OCPY\r\n\x1a`) |
//! | 8 | 4 | format version: 1 for a flat list, tuple or array, 2 for what is nested, 3 with typed nodes |
//! | 12 | 4 | flags, 0 |
//! | 16 | 8 | length of the image in bytes, this header included |
//! | 24 | 8 | offset of the root node |
//! | 32 | 24 | reserved, zero |
//! | 56 | 8 | check: FNV-1a 64 over bytes 0–55 |
//!
//! The magic follows PNG's reasoning: a byte past 127 and both line endings show a transfer that was not binary. The
//! check covers the header alone, so that opening an image stays a matter of microseconds whatever its size; it tells
//! a damaged header from a newer one.

use std::hint::black_box;

use super::bytes::{put, slice, u32_at, u64_at};
use super::error::{ImageError, corrupt};

/// The first eight bytes of every image.
pub const MAGIC: [u8; 8] = *b"\x89OCPY\r\n\x1a";
/// The newest format version that this library writes and reads.
pub const FORMAT_VERSION: u32 = 3;
/// The version of images with nested data but without typed nodes: readers of version 2 know them.
pub const NESTED_VERSION: u32 = 2;
/// The version of images that hold one flat list, tuple or array: readers of version 1 know them.
pub(crate) const FLAT_VERSION: u32 = 1;
/// Length of the header in bytes.
pub const HEADER_LEN: usize = 64;

const AT_VERSION: usize = 8;
const AT_FLAGS: usize = 12;
const AT_IMAGE_LEN: usize = 16;
const AT_ROOT: usize = 24;
const AT_RESERVED: usize = 32;
const AT_CHECK: usize = 56;

const _: () = assert!(AT_CHECK + 8 == HEADER_LEN);

/// What the header says once it has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Length of the image in bytes.
    pub image_len: u64,
    /// Offset of the root node.
    pub root: u64,
}

impl Header {
    /// The header's 64 bytes, for an image that readers of version 1 know.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        self.to_bytes_of(FLAT_VERSION)
    }

    /// The header's 64 bytes, for an image of this version.
    #[must_use]
    pub fn to_bytes_of(self, version: u32) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let fields = [
            (0, &MAGIC[..]),
            (AT_VERSION, &version.to_le_bytes()[..]),
            (AT_IMAGE_LEN, &self.image_len.to_le_bytes()[..]),
            (AT_ROOT, &self.root.to_le_bytes()[..]),
        ];
        for (offset, value) in fields {
            let written = put(&mut out, offset, value);
            debug_assert!(written, "header fields lie inside the header");
        }
        let check = fnv1a(out.get(..AT_CHECK).unwrap_or_default());
        let written = put(&mut out, AT_CHECK, &check.to_le_bytes());
        debug_assert!(written, "the check lies inside the header");
        out
    }

    /// Reads and checks the header at the start of `bytes`.
    ///
    /// # Errors
    /// [`ImageError::NoHeader`] or [`ImageError::NoSignature`] if `bytes` are no image, [`ImageError::Truncated`] if they are
    /// shorter than the image, [`ImageError::Newer`] for a later format,
    /// [`ImageError::Corrupt`] for anything else that does not hold.
    pub fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let found = bytes.len() as u64;
        if found < HEADER_LEN as u64 {
            return Err(ImageError::NoHeader {
                expected: HEADER_LEN as u64,
                found,
            });
        }
        // What is checked is what is used (O1 of `bytes`): a copy, which the compiler takes for anything.
        let copy: [u8; HEADER_LEN] = *bytes.first_chunk().ok_or(corrupt(0, "header"))?;
        let bytes = &bytemuck::cast::<_, [u64; HEADER_LEN / 8]>(black_box(copy));
        let bytes: &[u8] = bytemuck::cast_slice(bytes);
        if slice(bytes, 0, MAGIC.len() as u64, "magic")? != MAGIC {
            return Err(ImageError::NoSignature);
        }
        let check = u64_at(bytes, AT_CHECK as u64, "header check")?;
        if check != fnv1a(slice(bytes, 0, AT_CHECK as u64, "header")?) {
            return Err(corrupt(AT_CHECK as u64, "header check does not match"));
        }
        // After the check, so that a flipped bit is not reported as a version from the future.
        let version = u32_at(bytes, AT_VERSION as u64, "format version")?;
        if version > FORMAT_VERSION {
            return Err(ImageError::Newer {
                found: version,
                newest: FORMAT_VERSION,
            });
        }
        if version == 0 {
            return Err(corrupt(
                AT_VERSION as u64,
                "format version 0 does not exist",
            ));
        }
        if u32_at(bytes, AT_FLAGS as u64, "flags")? != 0 {
            return Err(corrupt(AT_FLAGS as u64, "unknown header flags"));
        }
        let reserved = slice(
            bytes,
            AT_RESERVED as u64,
            (AT_CHECK - AT_RESERVED) as u64,
            "",
        )?;
        if reserved.iter().any(|&byte| byte != 0) {
            return Err(corrupt(AT_RESERVED as u64, "reserved bytes are not zero"));
        }
        let image_len = u64_at(bytes, AT_IMAGE_LEN as u64, "image length")?;
        if image_len < HEADER_LEN as u64 {
            return Err(corrupt(
                AT_IMAGE_LEN as u64,
                "image length shorter than the header",
            ));
        }
        if image_len > found {
            return Err(ImageError::Truncated {
                expected: image_len,
                found,
            });
        }
        let root = u64_at(bytes, AT_ROOT as u64, "root offset")?;
        Ok(Self { image_len, root })
    }
}

/// FNV-1a, 64 bits: seven words of input need no stronger and no faster hash.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}
