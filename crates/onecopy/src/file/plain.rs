//! Files that are only read, and whose names others control: what programs leave behind, what they have mapped, what a
//! user names by mistake.
//!
//! Such a name may be a pipe, which would be waited for, a link to anywhere, a device without an end, or a file larger
//! than all memory. So only regular files are opened, and of those that others control never more is read than a number of
//! bytes that the caller names.
#![forbid(unsafe_code)]

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::place::Links;
use crate::error::{FileError, FileKind};
use crate::sys::user;

/// Opens a regular file, not through a link.
///
/// # Errors
/// It is none, or what the kernel says.
pub fn open(path: &Path) -> Result<File, FileError> {
    open_regular(path, Links::Refused, "no regular file")
}

/// Opens a regular file.
pub(super) fn open_regular(
    path: &Path,
    links: Links,
    advice: &'static str,
) -> Result<File, FileError> {
    let check = |about: io::Result<Metadata>| {
        let about = about.map_err(|source| kernel(path, source))?;
        if about.is_file() {
            return Ok(());
        }
        Err(FileError::NotRegular {
            path: path.to_owned(),
            kind: FileKind::of_std(about.file_type()),
            advice,
        })
    };
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    // Opening a device may do something, and a socket cannot be opened: they are looked at first.
    check(match links {
        Links::Followed => fs::metadata(path),
        Links::Refused => {
            flags |= OFlags::NOFOLLOW;
            fs::symlink_metadata(path)
        }
    })?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    let file = options.open(path).map_err(|source| kernel(path, source))?;
    // It may be another one by now.
    check(file.metadata())?;
    Ok(file)
}

/// The first bytes of a regular file, so many at most.
///
/// # Errors
/// It is none, or what the kernel says.
pub fn start(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let read = open(path)?.take(most).read_to_end(&mut bytes);
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
    let file = open(path)?;
    let about = file.metadata().map_err(|source| kernel(path, source))?;
    if about.uid() == user::effective() {
        return Ok(file);
    }
    let source = io::Error::from_raw_os_error(libc::EACCES);
    Err(kernel(path, source))
}

/// Removes an open file of this user, if the name still is its own.
///
/// # Errors
/// It is somebody else's, or what the kernel says.
pub fn remove_own(path: &Path, file: &File) -> Result<(), FileError> {
    let kernel = |source| kernel(path, source);
    let open = file.metadata().map_err(kernel)?;
    if open.uid() != user::effective() {
        return Err(kernel(io::Error::from_raw_os_error(libc::EACCES)));
    }
    let named = fs::symlink_metadata(path).map_err(kernel)?;
    if (named.dev(), named.ino()) == (open.dev(), open.ino()) {
        fs::remove_file(path).map_err(kernel)?;
    }
    Ok(())
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
