//! What the store asks `/proc` about processes: who has a memory file open, who is stopped.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use super::memory::{self, MemoryFile, Refused};

/// Milliseconds since boot, the same clock in every process.
pub(crate) fn boot_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = Duration::new(
        now.tv_sec.unsigned_abs(),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    );
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// The rights that files of this process are made without (`umask(2)`, whose own answer changes them for a moment in all
/// threads). Where `/proc` does not say, others get none.
pub(crate) fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok())
        .unwrap_or(0o077)
}

/// The state letter of a process, `None` when it is gone.
pub(crate) fn state(pid: u32) -> Option<char> {
    stat_field(&format!("/proc/{pid}/stat"), 3)?.chars().next()
}

/// When a thread of this process started, in clock ticks since boot; `None` when it is gone.
pub(crate) fn thread_start(id: i32) -> Option<u64> {
    stat_field(&format!("/proc/self/task/{id}/stat"), 22)?
        .parse()
        .ok()
}

/// A field of `proc_pid_stat(5)`, by its number there, from 3 on.
fn stat_field(path: &str, number: usize) -> Option<String> {
    // The command name may be any bytes, blanks and parentheses among them; the third field follows the last one.
    // It fits, and one read is all that it takes: attaching asks for it.
    let mut stat = [0; 4096];
    let len = fs::File::open(path).ok()?.read(&mut stat).ok()?;
    let stat = String::from_utf8_lossy(stat.get(..len)?);
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    fields.nth(number.checked_sub(3)?).map(str::to_owned)
}

/// Opens descriptor `fd` of process `pid` if it is the memory file called `name`.
///
/// The name is read first, so that a recycled number does not open a pipe or a device. It proves nothing, since the
/// other process may put something else there before the file is opened: what was opened is looked at afterwards.
pub(crate) fn open_fd(pid: u32, fd: u32, name: &str) -> Result<MemoryFile, Refused> {
    let path = format!("/proc/{pid}/fd/{fd}");
    let target = fs::read_link(&path).map_err(Refused::Kernel)?;
    if !is_memfd(target.to_str().unwrap_or(""), name) {
        return Err(Refused::Kind("the descriptor is another file now"));
    }
    MemoryFile::inspect(memory::open_path(&path).map_err(Refused::Kernel)?)
}

/// Whose a process is: its effective user (`proc_pid(5)`).
pub(crate) fn owner(pid: u32) -> Option<u32> {
    Some(fs::metadata(format!("/proc/{pid}")).ok()?.uid())
}

/// No process that may be looked into has the memory file.
#[derive(Debug)]
pub(crate) struct NotFound {
    /// Whether some may not.
    pub(crate) was_refused: bool,
}

/// Looks through the descriptors of all processes of this user for the memory file called `name`, on which each process
/// that uses it has a lock beyond `life_byte`.
pub(crate) fn find_memfd(name: &str, life_byte: u64) -> Result<MemoryFile, NotFound> {
    let own_uid = super::user::effective();
    let processes = fs::read_dir("/proc").map_err(|_| NotFound { was_refused: true })?;
    let mut was_refused = false;
    let (used_before, mut others) = (locked_beyond(life_byte), Vec::new());
    for process in processes.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if owner(pid) != Some(own_uid) {
            continue;
        }
        match find_in(pid, name, &mut others) {
            Ok(Some(file)) => return Ok(file),
            // One that has ended and was not waited for has no descriptors, and says so in this way.
            Err(error) if is_denied(&error) => {
                was_refused |= !matches!(state(pid), Some('Z' | 'X'));
            }
            // It has not the file, or it vanished.
            Ok(None) | Err(_) => {}
        }
    }
    // Whoever may not be looked into has it open only if some file is in use that is none of those that were seen.
    // Files that were made or left meanwhile tell nothing.
    was_refused &= match (used_before, locked_beyond(life_byte)) {
        (Some(before), Some(after)) => before
            .iter()
            .any(|inode| after.contains(inode) && !others.contains(inode)),
        _ => true,
    };
    Err(NotFound { was_refused })
}

/// Inodes of the files that some description, of whatever process, has locked at `first` or beyond it (`proc_locks(5)`).
fn locked_beyond(first: u64) -> Option<Vec<u64>> {
    let text = fs::read_to_string("/proc/locks").ok()?;
    let inode = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let is_of_description = fields.next()? == "OFDLCK";
        let inode = fields.nth(3)?.rsplit(':').next()?.parse().ok()?;
        let start: u64 = fields.next()?.parse().ok()?;
        (is_of_description && start >= first).then_some(inode)
    };
    Some(text.lines().filter_map(inode).collect())
}

/// Adds the inodes of other memory files that it comes across to `others`.
fn find_in(pid: u32, name: &str, others: &mut Vec<u64>) -> io::Result<Option<MemoryFile>> {
    for descriptor in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        let number = descriptor
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        match number.map(|number| open_fd(pid, number, name)) {
            Some(Ok(file)) => return Ok(Some(file)),
            Some(Err(Refused::Kernel(error))) if is_denied(&error) => return Err(error),
            Some(Err(_)) => {
                let link = fs::read_link(descriptor.path()).unwrap_or_default();
                if link.to_string_lossy().starts_with("/memfd:") {
                    others.extend(fs::metadata(descriptor.path()).map(|file| file.ino()));
                }
            }
            _ => {}
        }
    }
    Ok(None)
}

/// Whether the kernel refused for want of rights.
pub(crate) fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

fn is_memfd(target: &str, name: &str) -> bool {
    target
        .strip_prefix("/memfd:")
        .is_some_and(|rest| rest == name || rest.strip_suffix(" (deleted)") == Some(name))
}

/// The number that another process can use to open this descriptor.
pub(crate) fn number(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn who_uses_a_memory_file_is_told_by_its_locks() {
        let fd = memory::create("onecopy-locks-test").unwrap();
        let inode = rustix::fs::fstat(&fd).unwrap().st_ino;
        let is_listed = |first| locked_beyond(first).unwrap().contains(&inode);
        assert!(!is_listed(0));
        assert!(super::super::lock::OfdLock::try_take(fd.as_fd(), (1 << 47) + 3).unwrap());
        assert!(is_listed(1 << 47));
        assert!(!is_listed((1 << 47) + 4));
        let mut others = Vec::new();
        let found = find_in(std::process::id(), "onecopy-no-such", &mut others).unwrap();
        assert!(found.is_none() && others.contains(&inode));
    }

    #[test]
    fn a_memory_file_is_found_by_name_only() {
        let fd = memory::create("onecopy-procfs-test").unwrap();
        let pid = std::process::id();
        assert!(open_fd(pid, number(&fd), "onecopy-procfs-test").is_ok());
        assert!(open_fd(pid, number(&fd), "onecopy-other").is_err());
        assert!(find_memfd("onecopy-procfs-test", 1 << 47).is_ok());
        assert!(find_memfd("onecopy-no-such", 1 << 47).is_err());
        assert!(matches!(state(pid), Some('R' | 'S')));
    }
}
