//! Folders that are held open, and names in them: nobody can put another folder in the place of one that is held
//! (`openat(2)`).
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, PROC_SUPER_MAGIC, Stat, StatxAttributes,
    StatxFlags, fchmod, fchown, fstat, fstatfs, linkat, open, openat, readlinkat, renameat, statx,
    unlinkat,
};
use rustix::io::Errno;

use super::user;

/// Nothing is opened by a descriptor of this kind: what has the name is only pointed at.
const POINT: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const ENTER: OFlags = POINT.union(OFlags::DIRECTORY);
/// Neither waits for the other end of a pipe, nor becomes the owner of a terminal, nor goes through a link.
const CAREFUL: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);
/// New files are their owner's alone.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
const ALL_RIGHTS: u32 = 0o777;

/// A folder, held open.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

/// What has a name, pointed at and not opened.
#[derive(Debug)]
pub(crate) struct Found {
    fd: OwnedFd,
    stat: Stat,
}

/// Which file or folder it is: device and inode.
pub(crate) type Identity = (u64, u64);

impl Folder {
    /// Where a path begins: at the root, or here.
    pub(crate) fn start(is_absolute: bool) -> io::Result<Self> {
        let path = if is_absolute { "/" } else { "." };
        Ok(Self(open(path, ENTER, Mode::empty())?))
    }

    /// The folder in which the last name of a path stands, and that name. Links before it are followed.
    pub(crate) fn of(path: &Path) -> io::Result<(Self, &OsStr)> {
        let name = path.file_name().ok_or(Errno::ISDIR)?;
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        let flags = ENTER - OFlags::NOFOLLOW;
        let folder = open(above.unwrap_or(Path::new(".")), flags, Mode::empty())?;
        Ok((Self(folder), name))
    }

    /// The folder above.
    pub(crate) fn parent(&self) -> io::Result<Self> {
        Ok(Self(openat(&self.0, "..", ENTER, Mode::empty())?))
    }

    /// What has a name here; a link is not followed.
    pub(crate) fn look(&self, name: &OsStr) -> io::Result<Option<Found>> {
        Found::of(openat(&self.0, name, POINT, Mode::empty()))
    }

    /// What the kernel finds behind a link.
    pub(crate) fn look_behind(&self, name: &OsStr) -> io::Result<Option<Found>> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        Found::of(openat(&self.0, name, flags, Mode::empty()))
    }

    /// The folder that the kernel finds behind a link.
    pub(crate) fn behind(&self, name: &OsStr) -> io::Result<Self> {
        let flags = ENTER - OFlags::NOFOLLOW;
        Ok(Self(openat(&self.0, name, flags, Mode::empty())?))
    }

    /// Its owner, rights and number of names.
    pub(crate) fn about(&self) -> io::Result<Stat> {
        Ok(fstat(&self.0)?)
    }

    /// A new file without a name; `None` where the file system makes none.
    pub(crate) fn make_unnamed(&self) -> io::Result<Option<File>> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match openat(&self.0, ".", flags, PRIVATE) {
            Ok(fd) => Ok(can_be_named(&fd).then(|| fd.into())),
            // `open(2)`: the last two are what a kernel says that does not know the flag.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A new file; `None` if the name is taken.
    pub(crate) fn make(&self, name: &OsStr) -> io::Result<Option<File>> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | CAREFUL;
        match openat(&self.0, name, flags, PRIVATE) {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::EXIST) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a file without a name one; `false` if it is taken.
    pub(crate) fn link(&self, file: &File, name: &OsStr) -> io::Result<bool> {
        let from = by_descriptor(file.as_raw_fd());
        match linkat(CWD, from, &self.0, name, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts what has one name in the place of what has the other.
    pub(crate) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    /// Takes a name away from a file.
    pub(crate) fn unlink(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Takes a name away from a file if it still is the file's.
    pub(crate) fn unlink_file(&self, name: &OsStr, file: &File) -> io::Result<()> {
        if self.leads_to(name, file) {
            self.unlink(name)?;
        }
        Ok(())
    }

    /// The same of a file of this user.
    pub(crate) fn unlink_own(&self, name: &OsStr, file: &File) -> io::Result<()> {
        if fstat(file)?.st_uid != user::effective() {
            return Err(Errno::ACCESS.into());
        }
        self.unlink_file(name, file)
    }

    /// Whether a name is that of an open file.
    pub(crate) fn leads_to(&self, name: &OsStr, file: &File) -> bool {
        match (self.look(name), fstat(file)) {
            (Ok(Some(named)), Ok(open)) => named.identity() == (open.st_dev, open.st_ino),
            _ => false,
        }
    }

    /// Opens a regular file of this user for reading; `None` for whatever else has the name.
    pub(crate) fn open_own(&self, name: &OsStr) -> io::Result<Option<File>> {
        let file = self.open_regular(name, OFlags::NOFOLLOW)?.ok();
        Ok(file.filter(|file| fstat(file).is_ok_and(|stat| stat.st_uid == user::effective())))
    }

    /// Opens a regular file for reading; of whatever else has the name, its type. `nofollow` says whether a link is such.
    fn open_regular(&self, name: &OsStr, nofollow: OFlags) -> io::Result<Result<File, FileType>> {
        let kind = |fd: &OwnedFd| Ok::<_, Errno>(FileType::from_raw_mode(fstat(fd)?.st_mode));
        // Opening a device may do something, and a socket cannot be opened: it is looked at first, and again when it is
        // open, as it may be another one by then.
        let flags = OFlags::PATH | OFlags::CLOEXEC | nofollow;
        let found = kind(&openat(&self.0, name, flags, Mode::empty())?)?;
        if found != FileType::RegularFile {
            return Ok(Err(found));
        }
        let flags = OFlags::RDONLY | (CAREFUL - OFlags::NOFOLLOW) | nofollow;
        let fd = openat(&self.0, name, flags, Mode::empty())?;
        match kind(&fd)? {
            FileType::RegularFile => Ok(Ok(fd.into())),
            other => Ok(Err(other)),
        }
    }

    /// The names that begin and end in this way.
    pub(crate) fn names(&self, start: &OsStr, end: &str) -> io::Result<Vec<OsString>> {
        let mut found = Vec::new();
        for entry in Dir::new(self.open()?)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name.starts_with(start.as_bytes()) && name.ends_with(end.as_bytes()) {
                found.push(OsString::from_vec(name));
            }
        }
        Ok(found)
    }

    /// Flushes its names to the disk.
    pub(crate) fn flush(&self) -> io::Result<()> {
        File::from(self.open()?).sync_all()
    }

    fn open(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat(&self.0, ".", flags, Mode::empty())?)
    }
}

impl Found {
    fn of(opened: Result<OwnedFd, Errno>) -> io::Result<Option<Self>> {
        match opened {
            Ok(fd) => {
                let stat = fstat(&fd)?;
                Ok(Some(Self { fd, stat }))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Permission bits, the special ones not among them.
    pub(crate) fn rights(&self) -> u32 {
        self.stat.st_mode & ALL_RIGHTS
    }

    pub(crate) fn owner(&self) -> u32 {
        self.stat.st_uid
    }

    pub(crate) fn group(&self) -> u32 {
        self.stat.st_gid
    }

    pub(crate) fn identity(&self) -> Identity {
        (self.stat.st_dev, self.stat.st_ino)
    }

    /// Whether there are no other hard links of it. Everybody can make one of a file that they can write to
    /// (`fs.protected_hardlinks`, `sysctl/fs`).
    pub(crate) fn has_one_name(&self) -> bool {
        self.stat.st_nlink == 1
    }

    pub(crate) fn is_own(&self) -> bool {
        self.stat.st_uid == user::effective()
    }

    /// Where a link leads.
    pub(crate) fn link_target(&self) -> io::Result<OsString> {
        let target = readlinkat(&self.fd, "", Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// Whether it is a link that the kernel makes for something that is open.
    pub(crate) fn is_in_proc(&self) -> io::Result<bool> {
        Ok(fstatfs(&self.fd)?.f_type == PROC_SUPER_MAGIC)
    }

    /// Whether something is mounted on it, so that nothing can be put in its place (`rename(2)`, `EBUSY`). Kernels before
    /// 5.8 do not tell.
    pub(crate) fn is_mount_point(&self) -> bool {
        let about = statx(&self.fd, "", AtFlags::EMPTY_PATH, StatxFlags::empty());
        let root = StatxAttributes::MOUNT_ROOT;
        about.is_ok_and(|about| about.stx_attributes.contains(root))
    }

    /// The folder that it is.
    pub(crate) fn into_folder(self) -> Folder {
        Folder(self.fd)
    }

    /// Opens it for writing, without waiting for whoever reads.
    pub(crate) fn open_for_writing(&self) -> io::Result<File> {
        // The link of a descriptor leads to the very thing, and is to be followed.
        let flags = (OFlags::WRONLY | CAREFUL) - OFlags::NOFOLLOW;
        let path = by_descriptor(self.fd.as_raw_fd());
        Ok(open(path, flags, Mode::empty())?.into())
    }
}

/// Opens a regular file for reading; of whatever else has the name, its type.
pub(crate) fn open_regular(path: &Path, is_followed: bool) -> io::Result<Result<File, FileType>> {
    if path.file_name().is_none() {
        return Ok(Err(FileType::Directory));
    }
    let (folder, name) = Folder::of(path)?;
    let is_folder = path.as_os_str().as_bytes().ends_with(b"/");
    match folder.open_regular(
        name,
        if is_followed {
            OFlags::empty()
        } else {
            OFlags::NOFOLLOW
        },
    )? {
        Ok(_) if is_folder => Err(Errno::NOTDIR.into()),
        found => Ok(found),
    }
}

/// Gives a file the group and the rights of another that it replaces, as far as this process may: where the group must
/// stay, it gets no rights that others have not.
pub(crate) fn fit(file: &File, rights: u32, group: Option<u32>) -> io::Result<()> {
    let mut rights = rights & ALL_RIGHTS;
    if let Some(group) = group.filter(|group| fstat(file).map_or(true, |now| now.st_gid != *group))
        && fchown(file, None, Some(Gid::from_raw(group))).is_err()
    {
        rights &= 0o707 | ((rights & 0o007) << 3);
    }
    Ok(fchmod(file, Mode::from_raw_mode(rights))?)
}

/// Whether a file without a name can get one by way of `/proc` (`open(2)`, at `O_TMPFILE`).
fn can_be_named(fd: &OwnedFd) -> bool {
    let through = rustix::fs::stat(by_descriptor(fd.as_raw_fd()));
    matches!((through, fstat(fd)), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

fn by_descriptor(number: i32) -> String {
    format!("/proc/self/fd/{number}")
}
