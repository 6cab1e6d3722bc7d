//! The side folder: where programs that `onecopy run` has started say which memory they want to see.
//!
//! Each process appends lines of JSON to its own file, `tags-PID.jsonl`, so that no two write to one. A
//! line without length takes back what had the name before. The file `readings` says how many times the
//! program's pages have been counted.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use onecopy_meter::Tag;
use rustix::fs::{FlockOperation, OFlags, flock};

use crate::foreign;

/// The variable that tells a program where the folder is.
pub(super) const VARIABLE: &str = "ONECOPY_SIDE";

/// The variable that asks for a table of all objects before each fork.
pub(super) const WANTS_OBJECTS: &str = "ONECOPY_OBJECTS";

/// What the names of side folders begin with; a process id, a hyphen and a number follow.
const PREFIX: &str = "onecopy-run-";
/// The file in it that its owner keeps locked.
const LOCK: &str = "lock";

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
    let file = File::create_new(&unnamed)?;
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

/// Removes what runs have left behind that were killed.
pub(super) fn remove_stale() {
    remove_stale_in(&std::env::temp_dir());
}

fn remove_stale_in(base: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let is_ours = || {
            entry
                .metadata()
                .ok()
                .filter(fs::Metadata::is_dir)
                .is_some_and(|meta| meta.uid() == own)
        };
        if is_name(entry.file_name().to_str().unwrap_or_default())
            && is_ours()
            && has_lost_its_owner(&entry.path())
        {
            remove(&entry.path());
        }
    }
}

fn is_name(name: &str) -> bool {
    let numbers = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('-'));
    let is_number = |text: &str| {
        text.parse::<u32>()
            .is_ok_and(|number| number.to_string() == text)
    };
    numbers.is_some_and(|(pid, attempt)| is_number(pid) && is_number(attempt))
}

fn has_lost_its_owner(folder: &Path) -> bool {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.read(true).custom_flags(flags.bits().cast_signed());
    let file = options.open(folder.join(LOCK));
    file.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

/// What Python programs run at their start when they are asked for tables of their objects.
const SITE: &str = include_str!("../../../../../python/onecopy/_sitecustomize.py");
const OBJECTS: &str = include_str!("../../../../../python/onecopy/_objects.py");

/// Lays a folder for `PYTHONPATH` into the side folder.
pub(super) fn write_site(side: &Path) -> io::Result<PathBuf> {
    let folder = side.join("site");
    fs::create_dir(&folder)?;
    fs::write(folder.join("sitecustomize.py"), SITE)?;
    fs::write(folder.join("onecopy_objects.py"), OBJECTS)?;
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
    let unnamed = folder.join("readings.new");
    let written = foreign::write(&unnamed, readings.to_string().as_bytes());
    let _ = written.and_then(|()| fs::rename(&unnamed, folder.join("readings")));
}

/// Bytes that are read of each file of tags, and of all of them.
const MOST_BYTES: u64 = 4 << 20;
const MOST_BYTES_OF_ALL: u64 = 64 << 20;

/// The tags that are there now; lines that are not whole yet are left for the next time.
pub(crate) fn read(folder: &Path) -> Vec<Tag> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut tags: Vec<Tag> = Vec::new();
    let mut left = MOST_BYTES_OF_ALL;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with("tags-") {
            continue;
        }
        let text = foreign::start(&entry.path(), MOST_BYTES.min(left)).unwrap_or_default();
        left -= text.len() as u64;
        for tag in text
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Tag>(line).ok())
        {
            if tag.len == 0 {
                // The name is given anew: what had it before has it no more.
                let key = |tag: &Tag| (tag.pid, tag.start_time_ticks, tag.name.clone());
                tags.retain(|other| key(other) != key(&tag));
            } else {
                tags.push(tag);
            }
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ]
        );
        assert!(base.join("onecopy-run-1/tags-1.jsonl").exists());
        drop(held);
        remove_stale_in(&base);
        assert!(!base.join("onecopy-run-4194305-0").exists());
        fs::remove_dir_all(&base).unwrap();
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
