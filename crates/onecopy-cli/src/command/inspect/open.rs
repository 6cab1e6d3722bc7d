//! Maps the file that is looked at.
#![allow(unsafe_code, reason = "mapping a file is unsafe: others may change it")]

use std::path::Path;

use onecopy::{FileError, FileImage};

/// Maps a file for reading.
pub(super) fn open(path: &Path) -> Result<FileImage, FileError> {
    // SAFETY: nobody changes or shortens the file as long as the mapping lives, which is what `open` asks: files that
    // `onecopy.save` writes are replaced and never changed, this command says in its help that the file must not be changed
    // meanwhile, and it ends after one look at it.
    unsafe { FileImage::open(path) }
}
