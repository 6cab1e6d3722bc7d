//! What the fuzz targets share: damage that looks like an image, and values made of bytes.

pub mod damage;
pub mod input;

#[path = "../../crates/onecopy/tests/support/mod.rs"]
#[allow(missing_docs, clippy::pedantic)]
pub mod support;
