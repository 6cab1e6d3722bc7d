//! Bounds-checked little-endian access: the only way the reader touches numbers in an image.
//!
//! **Invariant.** `O1`: a number that decides anything (an offset, a length, a kind) is loaded once, by [`once`], and what
//! was loaded is checked and used. Nothing in the kernel keeps another process of the user from writing to a published
//! image; a number that was checked and then loaded again would be another one by then.

use bytemuck::AnyBitPattern;

use super::error::{ImageError, corrupt};

/// Rounds `value` up to a multiple of `align`, a power of two; `None` past the end of `u64`.
pub(crate) const fn round_up(value: u64, align: u64) -> Option<u64> {
    let mask = align.wrapping_sub(1);
    match value.checked_add(mask) {
        Some(sum) => Some(sum & !mask),
        None => None,
    }
}

/// The number that is there now, loaded exactly once however often it is used.
#[inline]
pub(crate) fn once<T: Copy>(place: &T) -> T {
    // SAFETY: a reference is aligned and valid for reads. The compiler neither repeats nor splits up the use of a
    // volatile load, so whatever is written to the bytes meanwhile, the result stays what it is.
    #[allow(unsafe_code, reason = "safe code has no load that is done once")]
    unsafe {
        std::ptr::from_ref(place).read_volatile()
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

fn number<T: AnyBitPattern>(
    bytes: &[u8],
    offset: u64,
    what: &'static str,
) -> Result<T, ImageError> {
    let place = slice(bytes, offset, size_of::<T>() as u64, what)?;
    let place = bytemuck::try_from_bytes(place).map_err(|_| corrupt(offset, what))?;
    Ok(once(place))
}

/// The `u32` at `offset`, a multiple of 4.
pub(crate) fn u32_at(bytes: &[u8], offset: u64, what: &'static str) -> Result<u32, ImageError> {
    number(bytes, offset, what)
}

/// The `u64` at `offset`, a multiple of 8.
pub(crate) fn u64_at(bytes: &[u8], offset: u64, what: &'static str) -> Result<u64, ImageError> {
    number(bytes, offset, what)
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
