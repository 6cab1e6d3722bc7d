//! The side folder: where programs that are measured leave what they want to be seen.
//!
//! Each process appends to its own files. The file `readings` says how many times the program's pages have been counted.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use onecopy::file::{self, Purpose};
use rustix::fs::{FlockOperation, flock};

/// The variable that tells a program where the folder is.
pub(super) const VARIABLE: &str = "ONECOPY_SIDE";

/// The variable that asks for a table of all objects before each fork.
pub(super) const WANTS_OBJECTS: &str = "ONECOPY_OBJECTS";

/// What the names of side folders begin with; a process id, a hyphen and a number follow.
const PREFIX: &str = "onecopy-run-";
/// The same of programs that are measured without `run` (`python/onecopy/_side.py`); eight letters follow.
const PREFIX_OF_PROGRAMS: &str = "onecopy-tags-";
/// The file in it that its owner keeps locked.
const LOCK: &str = "lock";
/// How long a new folder may be without a lock.
const LOCKED_WITHIN: Duration = Duration::from_mins(1);

/// A folder that only this user may read, removed at the end.
///
/// Its owner holds a lock on a file in it. The kernel takes the lock away when the owner is dead, so that
/// the next run can tell folders that were left behind, in whichever container and whoever has the process
/// id now.
#[derive(Debug)]
pub(super) struct SideFolder {
    path: PathBuf,
    _lock: File,
}

impl SideFolder {
    pub(super) fn create() -> io::Result<Self> {
        let base = std::env::temp_dir();
        for attempt in 0u32..1_000 {
            let path = base.join(format!("{PREFIX}{}-{attempt}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    return match lock(&path) {
                        Ok(lock) => Ok(Self { path, _lock: lock }),
                        Err(error) => {
                            remove(&path);
                            Err(error)
                        }
                    };
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(
            "every name for a temporary folder is taken",
        ))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SideFolder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// The file has its name only once it is locked: without a lock it has lost its owner.
fn lock(folder: &Path) -> io::Result<File> {
    let unnamed = folder.join("lock.new");
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unnamed)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    fs::rename(&unnamed, folder.join(LOCK))?;
    Ok(file)
}

/// Removes a side folder. What cannot be removed stays behind in the folder for temporary files.
pub(super) fn remove(folder: &Path) {
    for _ in 0..10 {
        match fs::remove_dir_all(folder) {
            // The command may still be writing into it.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
            _ => return,
        }
    }
}

/// Removes what runs and programs have left behind that were killed.
pub(super) fn remove_stale() {
    remove_stale_in(&std::env::temp_dir());
}

/// Takes a lock in a new side folder of a program that is measured without `run`, and removes those whose owners are dead.
/// The lock is that of an open file: children that are forked keep it, and the folder with it.
#[must_use]
pub fn hold(folder: &Path) -> Option<File> {
    // Where nothing can be locked, the folder stays behind if its owner is killed.
    let lock = lock(folder).ok();
    remove_stale_in(folder.parent()?);
    lock
}

/// Removes the side folders of this user in a folder for temporary files whose owners are dead.
fn remove_stale_in(base: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        // Of the entry itself, not of what a link leads to.
        let about = entry.metadata().ok().filter(fs::Metadata::is_dir);
        let path = entry.path();
        if !is_name(entry.file_name().to_str().unwrap_or_default())
            || about.is_none_or(|about| about.uid() != own)
        {
            continue;
        }
        if has_lost_its_owner(&path) {
            remove(&path);
        } else if is_old(&path) {
            // Its owner died before it locked anything. If something is in it, this fails.
            let _ = fs::remove_dir(&path);
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_number = |text: &str| {
        text.parse::<u32>()
            .is_ok_and(|number| number.to_string() == text)
    };
    if let Some(rest) = name.strip_prefix(PREFIX_OF_PROGRAMS) {
        let is_letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        return rest.len() == 8 && rest.bytes().all(is_letter);
    }
    let numbers = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('-'));
    numbers.is_some_and(|(pid, attempt)| is_number(pid) && is_number(attempt))
}

fn is_old(folder: &Path) -> bool {
    let changed = fs::symlink_metadata(folder).and_then(|about| about.modified());
    let age = changed.map(|changed| SystemTime::now().duration_since(changed));
    matches!(age, Ok(Ok(age)) if age > LOCKED_WITHIN)
}

fn has_lost_its_owner(folder: &Path) -> bool {
    let file = file::open_own(&folder.join(LOCK));
    file.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

/// What Python programs run at their start when they are asked for tables of their objects.
const SITE: [(&str, &str); 5] = [
    (
        "sitecustomize.py",
        include_str!("../../../../../python/onecopy/_sitecustomize.py"),
    ),
    (
        "onecopy_objects.py",
        include_str!("../../../../../python/onecopy/_objects.py"),
    ),
    (
        "onecopy_handlers.py",
        include_str!("../../../../../python/onecopy/_handlers.py"),
    ),
    (
        "onecopy_left.py",
        include_str!("../../../../../python/onecopy/_left.py"),
    ),
    (
        "onecopy_samples.py",
        include_str!("../../../../../python/onecopy/_samples.py"),
    ),
];

/// Lays a folder for `PYTHONPATH` into the side folder.
pub(super) fn write_site(side: &Path) -> Result<PathBuf> {
    let folder = side.join("site");
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    for (name, text) in SITE {
        file::write(&folder.join(name), Purpose::Note, text.as_bytes())?;
    }
    Ok(folder)
}

/// The side folder of a process that runs under `onecopy run`, from its environment.
pub(crate) fn folder_of(pid: u32) -> Option<PathBuf> {
    let folder = onecopy_meter::Proc::default().variable(pid, VARIABLE)?;
    Some(PathBuf::from(folder)).filter(|folder| folder.is_dir())
}

/// Says how many readings there were, in one step: nobody finds the file empty. A program may wait until it
/// has been measured; one that cannot be told is none the worse.
pub(super) fn write_readings(folder: &Path, readings: usize) {
    let path = folder.join("readings");
    let _ = file::write(&path, Purpose::Note, readings.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    use rustix::fs::{CWD, Mode, mkfifoat};

    #[test]
    fn only_folders_without_an_owner_are_stale() {
        let base = std::env::temp_dir().join(format!("onecopy-test-stale-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        let make = |name: &str| {
            let folder = base.join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("tags-1.jsonl"), "").unwrap();
            lock(&folder).unwrap()
        };
        // The process ids say nothing: the first is alive, the second is not.
        drop(make("onecopy-run-1-0"));
        let held = make("onecopy-run-4194305-0");
        for name in [
            "onecopy-run-01-0",
            "onecopy-run-1",
            "onecopy-run-1-0x",
            "onecopy-run-1-0-0",
        ] {
            drop(make(name));
        }
        fs::create_dir(base.join("onecopy-run-2-0")).unwrap();
        std::os::unix::fs::symlink(base.join("onecopy-run-1"), base.join("onecopy-run-3-0"))
            .unwrap();
        fs::write(base.join("onecopy-run-4-0"), "").unwrap();
        // Of programs that are measured without `run`.
        drop(make("onecopy-tags-abc_1234"));
        let live = make("onecopy-tags-live0000");
        for name in ["onecopy-tags-abc_123", "onecopy-tags-abc-1234"] {
            drop(make(name));
        }
        // A lock that is none: it would be waited for, or be somebody else's affair.
        for name in ["onecopy-tags-pipe0000", "onecopy-tags-link0000"] {
            fs::create_dir(base.join(name)).unwrap();
        }
        let pipe = base.join("onecopy-tags-pipe0000/lock");
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        std::os::unix::fs::symlink(
            base.join("onecopy-run-1/lock"),
            base.join("onecopy-tags-link0000/lock"),
        )
        .unwrap();
        // Whoever made it has died before it locked anything; or is about to; or was no side folder.
        let long_ago = SystemTime::now() - 2 * LOCKED_WITHIN;
        for name in [
            "onecopy-tags-empty000",
            "onecopy-run-5-0",
            "onecopy-tags-none",
        ] {
            fs::create_dir(base.join(name)).unwrap();
            let folder = File::open(base.join(name)).unwrap();
            folder.set_modified(long_ago).unwrap();
        }
        remove_stale_in(&base);
        let names = fs::read_dir(&base).unwrap();
        let mut left: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "onecopy-run-01-0",
                "onecopy-run-1",
                "onecopy-run-1-0-0",
                "onecopy-run-1-0x",
                "onecopy-run-2-0",
                "onecopy-run-3-0",
                "onecopy-run-4-0",
                "onecopy-run-4194305-0",
                "onecopy-tags-abc-1234",
                "onecopy-tags-abc_123",
                "onecopy-tags-link0000",
                "onecopy-tags-live0000",
                "onecopy-tags-none",
                "onecopy-tags-pipe0000",
            ]
        );
        assert!(base.join("onecopy-run-1/tags-1.jsonl").exists());
        drop((held, live));
        remove_stale_in(&base);
        assert!(!base.join("onecopy-run-4194305-0").exists());
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn what_a_program_puts_in_the_way_of_the_number_leads_nowhere() {
        let name = format!("onecopy-test-way-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let kept = folder.join("kept");
        fs::write(&kept, "kept").unwrap();
        std::os::unix::fs::symlink(&kept, folder.join("readings")).unwrap();
        write_readings(&folder, 1);
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_number_of_readings_is_never_seen_half_written() {
        let name = format!("onecopy-test-readings-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        write_readings(&folder, 1);
        let before = File::open(folder.join("readings")).unwrap();
        write_readings(&folder, 23);
        // Whoever has opened it still has what was there.
        assert_eq!(io::read_to_string(before).unwrap(), "1");
        assert_eq!(fs::read_to_string(folder.join("readings")).unwrap(), "23");
        fs::remove_dir_all(&folder).unwrap();
    }
}
