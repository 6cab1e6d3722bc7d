//! The memory file: memfd, seals, growth, punching and the limits that growth must respect.
//!
//! A memfd is outside the size limit of any tmpfs mount and inside the accounting of the memory
//! cgroup (`memfd_create(2)`). The seals `SHRINK|SEAL` mean that nobody can truncate it, so an
//! access below its length never raises SIGBUS for that reason; holes can still be punched.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FallocateFlags, FileType, MemfdFlags, OFlags, SealFlags};
use rustix::io::Errno;

/// What `fstatfs(2)` says of memory files and of files on a tmpfs.
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// What one `fallocate` asks for at most: tmpfs undoes an interrupted call, so a retry must be small.
const FALLOCATE_STEP: u64 = 64 << 20;

/// The part of `MemTotal` that is left to everybody else: `MemAvailable` is an estimate and counts memory
/// that cannot be had at once, so going to its end means the OOM killer.
const RESERVE: u64 = 64;

/// Creates the sealed memory file `name`.
pub(crate) fn create(name: &str) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // NOEXEC_SEAL came with Linux 6.3.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
        other => other?,
    };
    rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(fd)
}

/// Why a file is not taken for a store.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is another user's, who could change what this process reads.
    Owner {
        /// Whose it is.
        owner_uid: u32,
        /// Whose it would have to be: the effective user's.
        expected_uid: u32,
    },
    /// It is no memory file that [`create`] could have made.
    Kind(&'static str),
    /// It could not be opened or asked.
    Kernel(io::Error),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Owner { owner_uid, .. } => write!(formatter, "it belongs to user {owner_uid}"),
            Self::Kind(what) => formatter.write_str(what),
            Self::Kernel(error) => error.fmt(formatter),
        }
    }
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Self {
        Self::Kernel(error.into())
    }
}

/// A memory file that another process made and that this one may map: the effective user's, without a name, and
/// sealed, so that no access below its length raises SIGBUS.
#[derive(Debug)]
pub(crate) struct MemoryFile {
    pub(crate) fd: OwnedFd,
    pub(crate) owner_uid: u32,
}

impl MemoryFile {
    /// Looks at what was opened. Nothing that a path or a link says about a file counts: only what the kernel says
    /// of the open descriptor.
    pub(crate) fn inspect(fd: OwnedFd) -> Result<Self, Refused> {
        let stat = rustix::fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Refused::Kind("it is a pipe, a device or a folder"));
        }
        if rustix::fs::fstatfs(&fd)?.f_type != TMPFS_MAGIC || stat.st_nlink != 0 {
            return Err(Refused::Kind("it is an ordinary file"));
        }
        let expected_uid = super::user::effective();
        if stat.st_uid != expected_uid {
            return Err(Refused::Owner {
                owner_uid: stat.st_uid,
                expected_uid,
            });
        }
        // A deleted file of a tmpfs has no seals and can be given none: only a memory file passes.
        if !rustix::fs::fcntl_get_seals(&fd)?.contains(SealFlags::SHRINK | SealFlags::SEAL) {
            return Err(Refused::Kind("it is not sealed against shrinking"));
        }
        Ok(Self {
            fd,
            owner_uid: stat.st_uid,
        })
    }
}

/// Opens the same file again: a new open file description, with locks of its own.
pub(crate) fn reopen(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    open_path(&format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Opens a memory file through `/proc`. Whatever else may stand under that number by now neither blocks this process
/// nor becomes its terminal.
pub(crate) fn open_path(path: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        path,
        OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY,
        rustix::fs::Mode::empty(),
    )?)
}

/// How the limit of [`file_size_limit`] is called in errors.
pub(crate) const FILE_SIZE_LIMIT: &str = "RLIMIT_FSIZE, `ulimit -f`";

/// The offset that this process may not pass in any file, memory files included (`RLIMIT_FSIZE`, `getrlimit(2)`).
pub(crate) fn file_size_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Fsize)
        .current
        .unwrap_or(u64::MAX)
}

/// Bytes of addresses that this process may have (`RLIMIT_AS`, `getrlimit(2)`).
pub(crate) fn address_space_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::As)
        .current
        .unwrap_or(u64::MAX)
}

/// The store's file would become longer than this process may make any file.
#[derive(Debug, thiserror::Error)]
#[error(
    "the store's file would grow to {end} bytes, and this process may not write beyond {limit} \
     ({FILE_SIZE_LIMIT}): raise the limit"
)]
pub(crate) struct TooLong {
    end: u64,
    limit: u64,
}

/// Fails where the kernel would also send SIGXFSZ, which ends a program that does not ignore it.
fn check_file_size(end: u64) -> io::Result<()> {
    let limit = file_size_limit();
    if end > limit {
        let error = TooLong { end, limit };
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, error));
    }
    Ok(())
}

/// Makes a new file `len` bytes long, without memory for them.
///
/// # Errors
/// What the kernel says; [`io::ErrorKind::FileTooLarge`], with [`TooLong`], past [`file_size_limit`].
pub(crate) fn lengthen(fd: BorrowedFd<'_>, len: u64) -> io::Result<()> {
    check_file_size(len)?;
    Ok(rustix::fs::ftruncate(fd, len)?)
}

/// Commits `[offset, offset + len)`: afterwards no access there can fail for lack of memory.
///
/// # Errors
/// As [`lengthen`].
pub(crate) fn commit(fd: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<()> {
    check_file_size(offset.saturating_add(len))?;
    let mut done = 0;
    while done < len {
        let step = FALLOCATE_STEP.min(len - done);
        match rustix::fs::fallocate(fd, FallocateFlags::empty(), offset + done, step) {
            Ok(()) => done += step,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Gives the pages of `[offset, offset + len)` back to the kernel; the range reads as zeros.
pub(crate) fn punch(fd: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    loop {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(fd, flags, offset, len) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Bytes of the file, holes included.
pub(crate) fn len(fd: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(rustix::fs::fstat(fd.as_fd())?.st_size.unsigned_abs())
}

/// Bytes of memory that the file occupies now (`st_blocks`).
pub(crate) fn occupied(fd: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(rustix::fs::fstat(fd.as_fd())?.st_blocks.unsigned_abs() * 512)
}

/// Whether an error of [`commit`] means that memory ran out.
pub(crate) fn is_out_of_memory(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw_os_error),
        Some(Errno::NOSPC | Errno::NOMEM | Errno::DQUOT)
    )
}

/// Memory that can still be had, and the limit that says so.
///
/// `fallocate` on a memfd would otherwise go on until the OOM killer runs. The smaller of
/// `MemAvailable` less a reserve, + `SwapFree` (`/proc/meminfo`, `proc_meminfo(5)`) and what the process's own cgroup
/// (v2) leaves: `memory.max − memory.current + inactive_file`. `None` when neither can be read.
pub(crate) fn available() -> Option<(u64, &'static str)> {
    let machine = read_small("/proc/meminfo").and_then(|text| {
        let available = meminfo_bytes(&text, "MemAvailable:")?;
        let reserve = meminfo_bytes(&text, "MemTotal:").unwrap_or(0) / RESERVE;
        let available = available.saturating_sub(reserve);
        Some((
            available.saturating_add(meminfo_bytes(&text, "SwapFree:").unwrap_or(0)),
            "MemAvailable",
        ))
    });
    let cgroup = cgroup_available().map(|bytes| (bytes, "memory limit of the cgroup"));
    match (machine, cgroup) {
        (Some(machine), Some(cgroup)) => Some(if cgroup.0 < machine.0 {
            cgroup
        } else {
            machine
        }),
        (machine, cgroup) => machine.or(cgroup),
    }
}

fn meminfo_bytes(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kilobytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The tightest limit on the way from the process's cgroup to the root.
fn cgroup_available() -> Option<u64> {
    let text = read_small("/proc/self/cgroup")?;
    let mut path = text
        .lines()
        .find_map(|line| line.strip_prefix("0::"))?
        .trim()
        .to_owned();
    let mut tightest = None;
    while path.len() > 1 {
        let folder = format!("/sys/fs/cgroup{path}");
        if let Some(left) = cgroup_level(&folder) {
            tightest = Some(tightest.map_or(left, |old: u64| old.min(left)));
        }
        path.truncate(path.rfind('/').unwrap_or(0));
    }
    tightest
}

fn cgroup_level(folder: &str) -> Option<u64> {
    let limit: u64 = read_small(&format!("{folder}/memory.max"))?
        .trim()
        .parse()
        .ok()?;
    let current: u64 = read_small(&format!("{folder}/memory.current"))?
        .trim()
        .parse()
        .ok()?;
    let reclaimable = read_small(&format!("{folder}/memory.stat"))
        .and_then(|stat| {
            stat.lines()
                .find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok())
        })
        .unwrap_or(0u64);
    Some(limit.saturating_sub(current).saturating_add(reclaimable))
}

fn read_small(path: &str) -> Option<String> {
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(1 << 20)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_file_cannot_shrink_and_gives_memory_back() {
        let fd = create("onecopy-test").unwrap();
        commit(fd.as_fd(), 0, 1 << 20).unwrap();
        assert!(rustix::fs::ftruncate(&fd, 0).is_err());
        assert_eq!(occupied(fd.as_fd()).unwrap(), 1 << 20);
        punch(fd.as_fd(), 0, 1 << 20).unwrap();
        assert_eq!(occupied(fd.as_fd()).unwrap(), 0);
        assert!(MemoryFile::inspect(fd).is_ok());
    }

    #[test]
    fn only_a_sealed_memory_file_is_taken_for_a_store() {
        let refused = |fd: OwnedFd| match MemoryFile::inspect(fd) {
            Err(Refused::Kind(what)) => what,
            other => panic!("{other:?}"),
        };
        let (pipe, _writer) = rustix::pipe::pipe().unwrap();
        assert_eq!(refused(pipe), "it is a pipe, a device or a folder");
        let program = File::open("/proc/self/exe").unwrap();
        assert_eq!(refused(program.into()), "it is an ordinary file");
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let bare = rustix::fs::memfd_create("onecopy-test", flags).unwrap();
        assert_eq!(refused(bare), "it is not sealed against shrinking");
        // A file with a fitting name on a tmpfs, deleted but open: as good as a hostile user can make it.
        let path = format!("/dev/shm/memfd:onecopy-test-{}", std::process::id());
        if let Ok(file) = File::create_new(&path) {
            std::fs::remove_file(&path).unwrap();
            let what = refused(file.into());
            assert!(what.starts_with("it is not sealed") || what.starts_with("it is an ordinary"));
        } else {
            skip::skipped("no file can be made in /dev/shm");
        }
    }

    #[test]
    fn meminfo_is_read_in_kilobytes_only() {
        assert_eq!(
            meminfo_bytes("A: 1 kB\nMemAvailable:  12 kB\n", "MemAvailable:"),
            Some(12 * 1024)
        );
        assert_eq!(
            meminfo_bytes("MemAvailable:  12 MB\n", "MemAvailable:"),
            None
        );
        assert_eq!(meminfo_bytes("", "MemAvailable:"), None);
        assert!(available().is_some_and(|(bytes, _)| bytes > 0));
    }
}
