//! Files that are only read, and whose names others control: what programs leave behind, what they have mapped, what a
//! user names by mistake.
//!
//! Such a name may be a pipe, which would be waited for, a link to anywhere, a device without an end, or a file larger
//! than all memory. So only regular files are opened, and of those that others control never more is read than a number of
//! bytes that the caller names.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::error::{FileError, FileKind, FileUse};
use super::place::Links;
use crate::sys::folder::{self, Folder};

/// Opens a regular file, not through a link.
///
/// # Errors
/// It is none, or what the kernel says.
pub fn open(path: &Path) -> Result<File, FileError> {
    open_regular(path, Links::Refused, FileUse::Read)
}

/// Opens a regular file.
pub(super) fn open_regular(path: &Path, links: Links, wanted: FileUse) -> Result<File, FileError> {
    let opened = folder::open_regular(path, links == Links::Followed);
    let opened = opened.map_err(|source| kernel(path, source))?;
    opened.map_err(|found| FileError::NotRegular {
        path: path.to_owned(),
        kind: FileKind::of(found),
        wanted,
    })
}

/// The first bytes of a regular file, so many at most.
///
/// # Errors
/// It is none, or what the kernel says.
pub fn start(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    part(path, 0, most)
}

/// The bytes of a regular file from an offset on, so many at most.
///
/// # Errors
/// It is none, or what the kernel says.
pub fn part(path: &Path, offset: u64, most: u64) -> Result<Vec<u8>, FileError> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    let read = file
        .seek(SeekFrom::Start(offset))
        .and_then(|_| file.take(most).read_to_end(&mut bytes));
    read.map_err(|source| kernel(path, source))?;
    Ok(bytes)
}

/// All of a regular file, if it has no more bytes than that.
///
/// # Errors
/// It is none, or larger, or what the kernel says.
pub fn whole(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let kernel = |source| kernel(path, source);
    let too_large = || kernel(io::Error::from_raw_os_error(libc::EFBIG));
    let file = open(path)?;
    if file.metadata().map_err(kernel)?.len() > most {
        return Err(too_large());
    }
    // It may grow meanwhile.
    let mut bytes = Vec::new();
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(kernel)?;
    if bytes.len() as u64 > most {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Opens a regular file of this user, not through a link.
///
/// # Errors
/// It is none, or somebody else's, or what the kernel says.
pub fn open_own(path: &Path) -> Result<File, FileError> {
    let opened = Folder::of(path).and_then(|(folder, name)| folder.open_own(name));
    let foreign = || io::Error::from_raw_os_error(libc::EACCES);
    let file = opened.and_then(|file| file.ok_or_else(foreign));
    file.map_err(|source| kernel(path, source))
}

/// Removes an open file of this user, if the name still is its own.
///
/// # Errors
/// It is somebody else's, or what the kernel says.
pub fn remove_own(path: &Path, file: &File) -> Result<(), FileError> {
    let removed = Folder::of(path).and_then(|(folder, name)| folder.unlink_own(name, file));
    removed.map_err(|source| kernel(path, source))
}

/// What the kernel said about a file that was to be read.
pub(super) fn kernel(path: &Path, source: io::Error) -> FileError {
    FileError::Kernel {
        step: "read",
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;

    use rustix::fs::{CWD, Mode, mkfifoat};

    #[test]
    fn neither_pipes_nor_links_nor_devices_nor_endless_files_are_read() {
        let folder = std::env::temp_dir().join(format!("onecopy-foreign-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [plain, link, pipe, huge] =
            ["plain", "link", "pipe", "huge"].map(|name| folder.join(name));
        fs::write(&plain, "0123456789").unwrap();
        std::os::unix::fs::symlink(&plain, &link).unwrap();
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        File::create(&huge).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(whole(&plain, 10).unwrap(), b"0123456789");
        assert_eq!(start(&plain, 4).unwrap(), b"0123");
        assert_eq!(start(&huge, 4).unwrap(), [0; 4]);
        let endless = Path::new("/dev/zero");
        for path in [&link, &pipe, &folder, &folder.join("missing"), endless] {
            assert!(
                start(path, 1).is_err() && whole(path, 1).is_err() && open_own(path).is_err(),
                "{}",
                path.display()
            );
        }
        assert!(whole(&huge, 1 << 20).is_err() && whole(&plain, 9).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
