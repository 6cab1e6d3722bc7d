//! Bounds-checked little-endian access: the only way the reader touches numbers in an image.

use super::error::{ImageError, corrupt};

/// Rounds `value` up to a multiple of `align`, a power of two; `None` past the end of `u64`.
pub(crate) const fn round_up(value: u64, align: u64) -> Option<u64> {
    let mask = align.wrapping_sub(1);
    match value.checked_add(mask) {
        Some(sum) => Some(sum & !mask),
        None => None,
    }
}

/// The `len` bytes at `offset`.
pub(crate) fn slice<'a>(
    bytes: &'a [u8],
    offset: u64,
    len: u64,
    what: &'static str,
) -> Result<&'a [u8], ImageError> {
    let end = offset.checked_add(len).ok_or(corrupt(offset, what))?;
    let start = usize::try_from(offset).map_err(|_| corrupt(offset, what))?;
    let end = usize::try_from(end).map_err(|_| corrupt(offset, what))?;
    bytes.get(start..end).ok_or(corrupt(offset, what))
}

fn array<const N: usize>(
    bytes: &[u8],
    offset: u64,
    what: &'static str,
) -> Result<[u8; N], ImageError> {
    slice(bytes, offset, N as u64, what)?
        .try_into()
        .map_err(|_| corrupt(offset, what))
}

/// The `u32` at `offset`.
pub(crate) fn u32_at(bytes: &[u8], offset: u64, what: &'static str) -> Result<u32, ImageError> {
    array(bytes, offset, what).map(u32::from_le_bytes)
}

/// The `u64` at `offset`.
pub(crate) fn u64_at(bytes: &[u8], offset: u64, what: &'static str) -> Result<u64, ImageError> {
    array(bytes, offset, what).map(u64::from_le_bytes)
}

/// Copies `value` to the start of `out[offset..]`; `false` if it does not fit.
#[must_use]
pub(crate) fn put(out: &mut [u8], offset: usize, value: &[u8]) -> bool {
    let room = offset
        .checked_add(value.len())
        .and_then(|end| out.get_mut(offset..end));
    room.is_some_and(|room| {
        room.copy_from_slice(value);
        true
    })
}
