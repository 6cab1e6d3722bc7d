//! Who owns the bytes?
//!
//! | file | question it answers |
//! |---|---|
//! | `owner` | what is an `Image`, and where do its bytes lie? |
//! | `methods` | what can Python do with one? |
//! | `purpose` | is a view pickled to travel or to be hashed? |
//! | `lasting` | how can a view keep references into its image? |
//! | `buffer`, `build_buffer` | how does other code get at the memory: of an image, of a private copy, of one being built? |
//! | `array` | how does an array lie here, how in an image, and how does NumPy show it? |
//! | `copy` | how is large memory copied? |
//! | `kept` | what was made of an image before? |
//! | `rebuilt` | what comes out of a pickle? |
//! | `objects` | who makes objects of nodes? The trait that the views implement |
//! | `element` | how does a decoder get such an object? |
//!
//! `Image` here is the owner; what the core makes of its bytes is called [`Opened`].

pub(crate) mod array;
pub(crate) mod buffer;
pub(crate) mod build_buffer;
pub(crate) mod copy;
pub(crate) mod element;
mod kept;
mod lasting;
mod methods;
pub(crate) mod objects;
mod owner;
mod purpose;
pub(crate) mod rebuilt;

use pyo3::prelude::*;

pub(crate) use lasting::lasting;
pub(crate) use onecopy::image::Image as Opened;
pub(crate) use owner::Image;

/// Adds the classes to the extension module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Image>()?;
    module.add_class::<buffer::ImageBuffer>()?;
    module.add_class::<buffer::PrivateBuffer>()?;
    module.add_class::<build_buffer::BuildBuffer>()?;
    module.add_function(wrap_pyfunction!(methods::_image, module)?)
}
