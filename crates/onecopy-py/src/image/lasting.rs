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
    // SAFETY: `image` shows that the value is there, in an object that does not move. It stays there as long as
    // somebody has a reference to the object, and what is made from it is used no longer, as this function asks. Nobody
    // has a `&mut` to it: the class is frozen.
    let image: &'static Image = unsafe { &*std::ptr::from_ref(image.get()) };
    image.open()
}
