//! What can go wrong with a file.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::printable_path;

/// Why a file could not be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Something that is no regular file has the name.
    #[error("{}: {}", printable_path(path), self.what())]
    NotRegular {
        /// As it was given.
        path: PathBuf,
        /// What it is.
        kind: FileKind,
        /// What was to be done with it.
        wanted: FileUse,
    },
    /// A file that is to be read has nothing in it.
    #[error("{} {}", printable_path(path), self.what())]
    Empty {
        /// The file, from the root.
        path: PathBuf,
    },
    /// The path leads through a link that anybody could have put there.
    #[error("{}: {}", printable_path(path), self.what())]
    ForeignLink {
        /// As it was given.
        path: PathBuf,
        /// Whose link it is.
        owner: u32,
    },
    /// Somebody else's file has the name, in a folder in which anybody could have put it there.
    #[error("{}: {}", printable_path(path), self.what())]
    ForeignFile {
        /// As it was given.
        path: PathBuf,
        /// Whose file it is.
        owner: u32,
    },
    /// What the kernel said, which is the source of this.
    #[error("cannot {step} {}", printable_path(path))]
    Kernel {
        /// What was to be done: `read` or `write`.
        step: &'static str,
        /// As it was given.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
}

impl FileError {
    pub(crate) fn not_replaced(path: &Path, kind: FileKind) -> Self {
        Self::NotRegular {
            path: path.to_owned(),
            kind,
            wanted: FileUse::Replace,
        }
    }

    /// What is wrong and what to do, for a text that names the path elsewhere.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::NotRegular { kind, wanted, .. } => match wanted {
                FileUse::Replace => {
                    format!("cannot replace {kind} with a file; choose another name")
                }
                FileUse::Image => {
                    format!("{kind} is not an image file; name a file that onecopy.save() wrote")
                }
                FileUse::Read => format!("{kind} is not a regular file"),
            },
            Self::Empty { .. } => {
                "is empty, so it is not an image: perhaps a copy was interrupted; save it again"
                    .to_owned()
            }
            Self::ForeignLink { owner, .. } => format!(
                "the path leads through a link of user {owner}, and everybody can write to the link's folder; name the file \
                 itself, or choose another folder"
            ),
            Self::ForeignFile { owner, .. } => format!(
                "the file belongs to user {owner}, and everybody can write to its folder; choose another name or folder"
            ),
            Self::Kernel { source, .. } => {
                let text = source.to_string();
                text.split(" (os error")
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            }
        }
    }

    /// The number that the kernel would give for it (`errno(3)`), if there is one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::NotRegular {
                kind: FileKind::Folder,
                ..
            } => Some(libc::EISDIR),
            Self::NotRegular {
                kind: FileKind::MountPoint,
                ..
            } => Some(libc::EBUSY),
            Self::NotRegular { .. } => Some(libc::EINVAL),
            Self::ForeignLink { .. } | Self::ForeignFile { .. } => Some(libc::EACCES),
            Self::Kernel { source, .. } => source.raw_os_error(),
            Self::Empty { .. } => None,
        }
    }
}

/// What was to be done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileUse {
    /// Putting another in its place.
    Replace,
    /// Mapping it as an image.
    Image,
    /// Reading it.
    Read,
}

/// What a name may be that of, if not of a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A directory.
    Folder,
    /// A symbolic link.
    Link,
    /// A pipe with a name.
    Pipe,
    /// A socket with a name.
    Socket,
    /// A device of bytes, such as a terminal or `/dev/null`.
    CharacterDevice,
    /// A device of blocks, such as a disk.
    BlockDevice,
    /// A file that a process has open, named by its descriptor.
    OpenFile,
    /// A file on which another is mounted.
    MountPoint,
    /// None of these.
    Unknown,
}

impl FileKind {
    pub(crate) fn of(found: FileType) -> Self {
        match found {
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            FileType::Fifo => Self::Pipe,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice => Self::CharacterDevice,
            FileType::BlockDevice => Self::BlockDevice,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "a folder",
            Self::Link => "a symbolic link",
            Self::Pipe => "a named pipe",
            Self::Socket => "a socket",
            Self::CharacterDevice => "a character device",
            Self::BlockDevice => "a block device",
            Self::OpenFile => "the descriptor of an open file",
            Self::MountPoint => "a mount point",
            Self::Unknown => "something unknown",
        })
    }
}
