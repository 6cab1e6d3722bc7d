//! The side folder: where programs that `onecopy run` has started say which memory they want to see.
//!
//! Each process appends lines of JSON to its own file, `tags-PID.jsonl`, so that no two write to one. A
//! line without length takes back what had the name before. The file `readings` says how many times the
//! program's pages have been counted.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use onecopy_meter::Tag;

/// The variable that tells a program where the folder is.
pub(super) const VARIABLE: &str = "ONECOPY_SIDE";

/// The variable that asks for a table of all objects before each fork.
pub(super) const WANTS_OBJECTS: &str = "ONECOPY_OBJECTS";

/// A folder that only this user may read, removed at the end.
#[derive(Debug)]
pub(super) struct SideFolder(PathBuf);

impl SideFolder {
    pub(super) fn create() -> io::Result<Self> {
        let base = std::env::temp_dir();
        for attempt in 0u32..1_000 {
            let path = base.join(format!("onecopy-run-{}-{attempt}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(
            "every name for a temporary folder is taken",
        ))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SideFolder {
    fn drop(&mut self) {
        // What cannot be removed stays behind in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
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
    let written = fs::write(&unnamed, readings.to_string());
    let _ = written.and_then(|()| fs::rename(&unnamed, folder.join("readings")));
}

/// The tags that are there now; lines that are not whole yet are left for the next time.
pub(crate) fn read(folder: &Path) -> Vec<Tag> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut tags: Vec<Tag> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with("tags-") {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        for tag in text
            .lines()
            .filter_map(|line| serde_json::from_str::<Tag>(line).ok())
        {
            if tag.len == 0 {
                // The name is given anew: what had it before has it no more.
                tags.retain(|other| (other.pid, &other.name) != (tag.pid, &tag.name));
            } else {
                tags.push(tag);
            }
        }
    }
    tags
}
