//! Images in ordinary files: opened by mapping them, saved so that a crash leaves the old file or the new one.
#![forbid(unsafe_op_in_unsafe_fn)]

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapMut};

use super::error::{FileError, FileUse};
use super::new::{NewFile, Purpose};
use super::place::{self, Links};
use super::plain::{self, open_regular};
use crate::store::PrivateMapping;
use crate::sys;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    /// Length in bytes.
    pub len: u64,
    /// The inode: another file under the same name has another.
    pub inode: u64,
    /// Time of the last change of its content, in nanoseconds since 1970.
    pub modified_ns: i64,
}

/// The bytes of a file, mapped.
#[derive(Debug)]
pub struct FileImage {
    file: File,
    map: Mmap,
    path: PathBuf,
    identity: FileIdentity,
}

impl FileImage {
    /// Maps the file at `path`, which takes the same time whatever its size. Nobody is waited for: a named pipe is refused
    /// as a device is.
    ///
    /// # Errors
    /// It is no regular file, or empty, or what the kernel says: not found, no permission.
    ///
    /// # Safety
    /// - nobody changes or shortens the file as long as the mapping lives: readers would see other bytes than those
    ///   that were checked, or die by SIGBUS. Files written by [`FileBuilder`] are replaced, never changed.
    #[allow(unsafe_code, reason = "see above")]
    pub unsafe fn open(path: &Path) -> Result<Self, FileError> {
        let failed = |source| plain::kernel(path, source);
        let path = std::path::absolute(path).map_err(failed)?;
        let file = open_regular(&path, Links::Followed, FileUse::Image)?;
        let about = file.metadata().map_err(failed)?;
        let identity = FileIdentity {
            len: about.len(),
            inode: about.ino(),
            modified_ns: about
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(about.mtime_nsec()),
        };
        if identity.len == 0 {
            return Err(FileError::Empty { path });
        }
        // SAFETY: `map` asks that nobody changes or shortens the file as long as the mapping lives, which is the whole
        // length of this value's life and what this function asks of its caller.
        let map = unsafe { sys::file::map(&file) };
        Ok(Self {
            map: map.map_err(failed)?,
            file,
            path,
            identity,
        })
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Where it lies, from the root.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which state of the file it is.
    #[must_use]
    pub const fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// A writable copy-on-write mapping of the bytes.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn private_mapping(&self) -> io::Result<PrivateMapping> {
        PrivateMapping::of_file(self.file.as_fd(), self.bytes().len())
    }
}

/// The file of an image being written.
#[derive(Debug)]
pub struct FileBuilder {
    new: NewFile,
    map: Option<MmapMut>,
}

impl FileBuilder {
    /// Makes room for `len` bytes in a temporary file in the folder of `target`.
    ///
    /// # Errors
    /// `target` is something that is not replaced, or what the kernel says, a full disk among it. Nothing is left then.
    pub fn create(target: &Path, len: u64) -> Result<Self, FileError> {
        let failed = |source| place::kernel(target, source);
        // From here on the drop removes the file.
        let mut new = NewFile::create(target, Purpose::Data)?;
        sys::file::reserve(new.file(), len).map_err(failed)?;
        let map = (len > 0).then(|| sys::file::map_new(new.file()));
        let map = map.transpose().map_err(failed)?;
        Ok(Self { new, map })
    }

    /// The bytes to be written, zero at first.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.map.as_deref_mut().unwrap_or_default()
    }

    /// Flushes the bytes to the disk and puts the file in the place of the target.
    ///
    /// # Errors
    /// As [`NewFile::commit`].
    pub fn commit(self) -> Result<(), FileError> {
        // Writes through a mapping are in the page cache, which is flushed (`fsync(2)`).
        drop(self.map);
        self.new.commit()
    }
}
