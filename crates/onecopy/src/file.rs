//! Images in ordinary files: opened by mapping them, saved so that a crash leaves the old file or the new one.
//!
//! Saving writes to a temporary file beside the target, flushes it, renames it over the target and flushes the folder
//! (`rename(2)`: the target is replaced atomically). Temporary files are locked while their writer lives; a later save
//! to the same path removes those whose writer has died. Between making one and locking it, its writer looks dead: it
//! makes another if somebody removed it.
//!
//! **Crash points.** Dying before the rename leaves the old file and a temporary one, after it the new file.
#![forbid(unsafe_op_in_unsafe_fn)]

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Mmap, MmapMut};

use crate::store::PrivateMapping;
use crate::sys;

/// Ends the names of temporary files.
const TEMPORARY: &str = ".onecopy-tmp";

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
    map: Option<Mmap>,
    path: PathBuf,
    identity: FileIdentity,
}

impl FileImage {
    /// Maps the file at `path`, which takes the same time whatever its size.
    ///
    /// # Errors
    /// What the kernel says: not found, no permission, a directory.
    ///
    /// # Safety
    /// - nobody changes or shortens the file as long as the mapping lives: readers would see other bytes than those
    ///   that were checked, or die by SIGBUS. Files written by [`FileBuilder`] are replaced, never changed.
    #[allow(unsafe_code, reason = "see above")]
    pub unsafe fn open(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let file = File::open(&path)?;
        let about = file.metadata()?;
        if about.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        }
        let identity = FileIdentity {
            len: about.len(),
            inode: about.ino(),
            modified_ns: about
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(about.mtime_nsec()),
        };
        let map = if identity.len == 0 {
            None
        } else {
            // SAFETY: the caller's word.
            Some(unsafe { sys::file::map(&file)? })
        };
        Ok(Self {
            file,
            map,
            path,
            identity,
        })
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
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

/// A file being written.
#[derive(Debug)]
pub struct FileBuilder {
    target: PathBuf,
    temporary: PathBuf,
    file: File,
    map: Option<MmapMut>,
}

impl FileBuilder {
    /// Makes room for `len` bytes in a temporary file beside `target`.
    ///
    /// # Errors
    /// What the kernel says, a full disk among it. Nothing is left then.
    pub fn create(target: &Path, len: u64) -> io::Result<Self> {
        // A symbolic link stays: what it leads to is replaced.
        let target = match fs::canonicalize(target) {
            Ok(found) => found,
            Err(_) => std::path::absolute(target)?,
        };
        if target.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        }
        let permissions = fs::metadata(&target).map(|about| about.permissions()).ok();
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let name = target.file_name().ok_or_else(invalid)?;
        remove_abandoned(&target, name);
        let (temporary, file) = new_temporary(&target, name)?;
        // From here on the drop removes the file.
        let mut builder = Self {
            target,
            temporary,
            file,
            map: None,
        };
        if let Some(permissions) = permissions {
            builder.file.set_permissions(permissions)?;
        }
        sys::file::reserve(&mut builder.file, len)?;
        if len > 0 {
            builder.map = Some(sys::file::map_new(&builder.file)?);
        }
        Ok(builder)
    }

    /// The bytes to be written, zero at first.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.map.as_deref_mut().unwrap_or_default()
    }

    /// Flushes the bytes to the disk and puts the file in the place of the target.
    ///
    /// # Errors
    /// What the kernel says. The target is unchanged then, unless only flushing the folder failed: then it is the new
    /// file, and may be the old one again after a crash of the machine.
    pub fn commit(mut self) -> io::Result<()> {
        self.map = None;
        // Writes through a mapping are in the page cache, which this flushes (`fsync(2)`).
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.target)?;
        let folder = self.target.parent().unwrap_or(Path::new("/"));
        File::open(folder)?.sync_all()
    }
}

impl Drop for FileBuilder {
    fn drop(&mut self) {
        // After a commit nothing has this name any more.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// A file that nobody else uses, beside the target, locked as long as it is open.
fn new_temporary(target: &Path, name: &OsStr) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        // Relaxed: only distinct numbers are needed.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut temporary = prefix(name);
        temporary.push(format!("{}-{count}{TEMPORARY}", std::process::id()));
        let temporary = target.with_file_name(temporary);
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&temporary);
        let file = match file {
            // Of a process with the same number: one that died, or of another namespace (`pid_namespaces(7)`).
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            file => file?,
        };
        match sys::file::try_lock(&file) {
            Ok(true) if leads_to(&temporary, &file) => return Ok((temporary, file)),
            // Before it was locked, another saver took it for abandoned and removes it.
            Ok(_) => {}
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                return Err(error);
            }
        }
    }
}

/// Whether a name still is that of an open file.
fn leads_to(path: &Path, file: &File) -> bool {
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(named), Ok(open)) => (named.dev(), named.ino()) == (open.dev(), open.ino()),
        _ => false,
    }
}

/// How names of temporary files for this target begin.
fn prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    prefix
}

/// Removes temporary files of writers that have died.
fn remove_abandoned(target: &Path, name: &OsStr) {
    let Some(entries) = target.parent().and_then(|folder| fs::read_dir(folder).ok()) else {
        return;
    };
    let prefix = prefix(name);
    for entry in entries.flatten() {
        let found = entry.file_name();
        let bytes = found.as_encoded_bytes();
        if bytes.starts_with(prefix.as_encoded_bytes())
            && bytes.ends_with(TEMPORARY.as_bytes())
            && let Ok(file) = File::open(entry.path())
            && matches!(sys::file::try_lock(&file), Ok(true))
            // It may have been removed meanwhile, and the name be a living writer's.
            && leads_to(&entry.path(), &file)
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each looks for files of dead writers while the others have made theirs and not yet locked it.
    #[test]
    fn savers_of_one_path_leave_each_other_alone() {
        let folder = std::env::temp_dir().join(format!("onecopy-savers-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let target = folder.join("data");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let builder = FileBuilder::create(&target, 8).unwrap();
                        assert!(leads_to(&builder.temporary, &builder.file));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir(&folder).unwrap();
    }
}
