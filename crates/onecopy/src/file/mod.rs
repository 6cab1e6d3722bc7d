//! Ordinary files: how they are opened and written where others may have put something in the way.
//!
//! Images are opened by mapping them ([`FileImage`]) and written by [`FileBuilder`]; [`NewFile`] writes anything, and
//! [`open`], [`start`], [`whole`] read what others have left. [`Place`] says where a path leads.
#![deny(unsafe_code)]

mod error;
mod image;
mod new;
mod place;
mod plain;

pub use error::{FileError, FileKind, FileUse};
pub use image::{FileBuilder, FileIdentity, FileImage};
pub use new::{NewFile, Purpose, write};
pub use place::Place;
pub use plain::{open, open_own, part, remove_own, start, whole};
