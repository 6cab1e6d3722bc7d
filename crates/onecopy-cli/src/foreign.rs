//! Files whose names others control: what programs that are measured leave behind, and what they have mapped.
//!
//! Such a name may be a pipe, which would be waited for, a link to anywhere, a device without an end, or a file larger
//! than all memory. So only regular files are read, and never more than a number of bytes that the caller names.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file, not through a link.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "no regular file"));
    }
    Ok(file)
}

/// The first bytes of a regular file, so many at most.
pub(crate) fn start(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All of a regular file, if it has no more bytes than that.
pub(crate) fn whole(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let too_large = || io::Error::new(ErrorKind::FileTooLarge, "larger than it can be");
    if file.metadata()?.len() > most {
        return Err(too_large());
    }
    // It may grow meanwhile.
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Writes a file of that name, in place of whatever has it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::create_new(path)?.write_all(bytes)
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
                start(path, 1).is_err() && whole(path, 1).is_err(),
                "{}",
                path.display()
            );
        }
        assert!(whole(&huge, 1 << 20).is_err() && whole(&plain, 9).is_err());
        // What is written goes nowhere else.
        for path in [&link, &pipe, &huge, &folder.join("new")] {
            write(path, b"text").unwrap();
            assert_eq!(whole(path, 4).unwrap(), b"text");
        }
        assert_eq!(fs::read(&plain).unwrap(), b"0123456789");
        fs::remove_dir_all(&folder).unwrap();
    }
}
