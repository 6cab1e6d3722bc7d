//! Maps the file that is looked at.
#![allow(unsafe_code, reason = "mapping a file is unsafe: others may change it")]

use std::path::Path;

use anyhow::{Context as _, Result};
use onecopy::FileImage;

/// Maps a file for reading.
pub(super) fn open(path: &Path) -> Result<FileImage> {
    // SAFETY: files that `onecopy.save` writes are replaced and never changed. This command says in its help that the file
    // must not be changed meanwhile, and ends after one look at it.
    let file = unsafe { FileImage::open(path) };
    file.with_context(|| path.display().to_string())
}
