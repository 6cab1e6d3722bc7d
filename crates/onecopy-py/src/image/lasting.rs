//! References into an image that are kept beside the image itself.
#![allow(unsafe_code, reason = "lengthens lifetimes")]

use pyo3::prelude::*;

use super::Opened;
use super::owner::Image;
use crate::error::Error;

/// The image with a lifetime that the compiler does not check.
///
/// # Safety
/// - whatever is made from it is not used after the last reference to `image` has gone: it is kept in a structure that
///   holds one, or is used only through such.
pub(crate) unsafe fn lasting(image: &Bound<'_, Image>) -> Result<Opened<'static>, Error> {
    // SAFETY: an `Image`'s bytes are mapped and in place as long as it lives; what is made from it is not
    // used any longer, as this function asks.
    let image: &'static Image = unsafe { &*std::ptr::from_ref(image.get()) };
    image.open()
}
