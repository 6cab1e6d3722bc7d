//! Where a file is to be written: its folder, held open, and its name there.
//!
//! ```text
//! /data/now/x ─▶ [/] ─ data ─▶ [data] ─ now ─▶ a link: may it be followed? ─▶ [run-7] + "x"
//! ```
//! A path is walked name by name, each folder opened relative to the one before, so that a folder that somebody renames or
//! replaces meanwhile leads nowhere else. In a folder that everybody can write to, like `/tmp`, only links of this user and
//! of the folder's owner are followed, wherever in the path they stand, and files of others are no targets: whoever puts
//! one there chooses what is written to. The same goes for a folder that another user has there. (`fs.protected_symlinks` and its kin, in `sysctl/fs`, are the kernel's own form of
//! that, for sticky folders; they may be off, and root is exempt from some.) The group of a folder is trusted, as its owner
//! chose it.
//!
//! A link that the kernel makes for what a process has open (`/proc/PID/root`, `cwd`, `fd/N`) is followed by the kernel: its
//! text is a path in that process's root folder, or that of something removed.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};

use super::error::{FileError, FileKind};
use crate::sys::folder::{Folder, Found, Identity};
use crate::sys::user;

/// Links that are followed before a path counts as a loop, as many as the kernel follows.
const MOST_LINKS: usize = 40;
/// Everybody can write to the folder. Sticky or not: then others can even rename what lies there.
const IS_SHARED: u32 = 0o002;

/// Whether links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// Where their owners may be trusted.
    Followed,
    /// A link in the place of the file is refused.
    Refused,
}

/// Where a file is to be written.
#[derive(Debug)]
pub struct Place {
    pub(super) folder: Folder,
    pub(super) name: OsString,
    /// What has the name now.
    pub(super) found: Option<Found>,
    /// As it was given.
    path: PathBuf,
    /// Whether the way leads through something that another user has put into a folder that everybody can write to.
    is_strangers: bool,
}

impl Place {
    /// Walks a path. A link at its end is followed: the place is where it leads, be there a file yet or not.
    ///
    /// # Errors
    /// A folder; a link, or a file, of somebody else in a folder that everybody can write to; or what the kernel says.
    pub fn find(path: &Path) -> Result<Self, FileError> {
        Self::walk(path, Links::Followed)
    }

    pub(super) fn walk(path: &Path, links: Links) -> Result<Self, FileError> {
        let kernel = |source| kernel(path, source);
        let mut left = steps(path.as_os_str());
        if left.is_empty() {
            return Err(kernel(error(libc::ENOENT)));
        }
        let mut folder = Folder::start(path.is_absolute()).map_err(kernel)?;
        let (mut followed, mut is_strangers) = (0, false);
        while let Some(name) = left.pop_front() {
            match name.as_bytes() {
                b"." => continue,
                b".." => {
                    folder = folder.parent().map_err(kernel)?;
                    continue;
                }
                _ => {}
            }
            let is_last = left.is_empty();
            let found = match folder.look(&name).map_err(kernel)? {
                None if !is_last => return Err(kernel(error(libc::ENOENT))),
                None => return Ok(Self::new(folder, name, None, path, is_strangers)),
                Some(found) => found,
            };
            match found.file_type() {
                FileType::Directory => {
                    is_strangers = !is_trusted(&found, &about(&folder, path)?, is_strangers);
                    folder = found.into_folder();
                }
                FileType::Symlink if is_last && links == Links::Refused => {
                    return Err(FileError::not_replaced(path, FileKind::Link));
                }
                FileType::Symlink => {
                    followed += 1;
                    if followed > MOST_LINKS {
                        return Err(kernel(error(libc::ELOOP)));
                    }
                    if !is_trusted(&found, &about(&folder, path)?, is_strangers) {
                        return Err(FileError::ForeignLink {
                            path: path.to_owned(),
                            owner: found.owner(),
                        });
                    }
                    let is_in_proc = found.is_in_proc().map_err(kernel)?;
                    if is_in_proc && is_last {
                        return Self::open_elsewhere(folder, name, path);
                    }
                    if is_in_proc {
                        folder = folder.behind(&name).map_err(kernel)?;
                        continue;
                    }
                    let target = found.link_target().map_err(kernel)?;
                    if target.as_bytes().starts_with(b"/") {
                        folder = Folder::start(true).map_err(kernel)?;
                    }
                    let mut steps = steps(&target);
                    steps.append(&mut left);
                    left = steps;
                }
                _ if !is_last => return Err(kernel(error(libc::ENOTDIR))),
                _ => {
                    let place = Self::new(folder, name, Some(found), path, is_strangers);
                    place.check_owner()?;
                    return Ok(place);
                }
            }
        }
        Err(FileError::not_replaced(path, FileKind::Folder))
    }

    /// Behind a link of `/proc`: something that a process has open, which its text may not lead to.
    fn open_elsewhere(folder: Folder, name: OsString, path: &Path) -> Result<Self, FileError> {
        let found = folder.look_behind(&name);
        let found = found.map_err(|source| kernel(path, source))?;
        match found.as_ref().map(Found::file_type) {
            None => Err(kernel(path, error(libc::ENOENT))),
            Some(FileType::RegularFile) => Err(FileError::not_replaced(path, FileKind::OpenFile)),
            Some(FileType::Directory) => Err(FileError::not_replaced(path, FileKind::Folder)),
            Some(_) => Ok(Self::new(folder, name, found, path, false)),
        }
    }

    fn new(
        folder: Folder,
        name: OsString,
        found: Option<Found>,
        path: &Path,
        is_strangers: bool,
    ) -> Self {
        let path = path.to_owned();
        Self {
            folder,
            name,
            found,
            path,
            is_strangers,
        }
    }

    /// Looks again at what has the name; what has come there meanwhile is not followed.
    pub(super) fn look_again(&mut self) -> Result<(), FileError> {
        let found = self.folder.look(&self.name);
        self.found = found.map_err(|source| self.kernel(source))?;
        self.check_owner()?;
        self.check_regular()
    }

    /// What has the name, if that is no regular file, and so can be written to but not replaced.
    #[must_use]
    pub fn special(&self) -> Option<FileKind> {
        let found = self.found.as_ref()?.file_type();
        (found != FileType::RegularFile).then(|| FileKind::of(found))
    }

    /// Opens what has the name for writing, if it is no regular file. Nobody is waited for: of a pipe that nobody reads the
    /// kernel says `ENXIO`, and what is written does not wait for room until the caller asks for that.
    ///
    /// # Errors
    /// A regular file, or what the kernel says.
    pub fn open_special(&self) -> io::Result<File> {
        match &self.found {
            Some(found) if self.special().is_some() => found.open_for_writing(),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Device and inode of what has the name.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.found.as_ref().map(Found::identity)
    }

    /// What tells places apart: device and inode of the folder, and the name there.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn key(&self) -> Result<(Identity, OsString), FileError> {
        let about = self.folder.about();
        let about = about.map_err(|source| self.kernel(source))?;
        Ok(((about.st_dev, about.st_ino), self.name.clone()))
    }

    /// Whether somebody has removed the folder, so that nothing can be put there any more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.folder.about().is_ok_and(|about| about.st_nlink == 0)
    }

    /// The path that led here.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn check_regular(&self) -> Result<(), FileError> {
        let is_mount_point = || self.found.as_ref().is_some_and(Found::is_mount_point);
        match self.special() {
            Some(kind) => Err(FileError::not_replaced(&self.path, kind)),
            None if is_mount_point() => {
                Err(FileError::not_replaced(&self.path, FileKind::MountPoint))
            }
            None => Ok(()),
        }
    }

    /// Whoever has put something into a folder that everybody can write to has chosen where the data go.
    fn check_owner(&self) -> Result<(), FileError> {
        let Some(found) = &self.found else {
            return Ok(());
        };
        if is_trusted(found, &about(&self.folder, &self.path)?, self.is_strangers) {
            return Ok(());
        }
        Err(FileError::ForeignFile {
            path: self.path.clone(),
            owner: found.owner(),
        })
    }

    pub(super) fn kernel(&self, source: io::Error) -> FileError {
        kernel(&self.path, source)
    }
}

fn about(folder: &Folder, path: &Path) -> Result<Stat, FileError> {
    folder.about().map_err(|source| kernel(path, source))
}

/// Whether what lies in a folder is of this user; or, unless the folder is a stranger's, of the folder's owner or in a
/// folder that not everybody can write to.
fn is_trusted(found: &Found, folder: &Stat, is_strangers: bool) -> bool {
    let is_chosen = folder.st_mode & IS_SHARED == 0 || found.owner() == folder.st_uid;
    found.owner() == user::effective() || (is_chosen && !is_strangers)
}

/// The names of a path. A slash at the end asks for a folder, as `.` does.
fn steps(path: &OsStr) -> VecDeque<OsString> {
    let bytes = path.as_bytes();
    let names = bytes.split(|byte| *byte == b'/');
    let names = names.filter(|name| !name.is_empty());
    let mut steps: VecDeque<OsString> = names.map(|name| OsStr::from_bytes(name).into()).collect();
    if bytes.ends_with(b"/") {
        steps.push_back(".".into());
    }
    steps
}

fn error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

/// What the kernel said about a file that was to be written.
pub(super) fn kernel(path: &Path, source: io::Error) -> FileError {
    FileError::Kernel {
        step: "write",
        path: path.to_owned(),
        source,
    }
}
