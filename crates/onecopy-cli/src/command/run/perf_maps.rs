//! `/tmp/perf-PID.map`: the names of compiled Python frames, left behind by interpreters that were asked
//! for them.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The variable that asks CPython 3.12 and later.
pub(super) const VARIABLE: &str = "PYTHONPERFSUPPORT";
/// Where the interpreter puts the files, whatever `TMPDIR` says.
const FOLDER: &str = "/tmp";
/// Bytes of the first line that are looked at.
const LINE: u64 = 4096;

/// The files that were there before the command, which are not ours to remove.
#[derive(Debug)]
pub(super) struct PerfMaps {
    folder: PathBuf,
    before: HashSet<u32>,
}

impl PerfMaps {
    /// To be called before the command is started. `None` when the user has decided already whether there
    /// are to be such files: then they are wanted, or none come.
    pub(super) fn asked_for_here() -> Option<Self> {
        std::env::var_os(VARIABLE)
            .is_none()
            .then(|| Self::of(Path::new(FOLDER)))
    }

    fn of(folder: &Path) -> Self {
        let names = fs::read_dir(folder).into_iter().flatten().flatten();
        let pid = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let pid = name.to_str()?.strip_prefix("perf-")?.strip_suffix(".map")?;
            pid.parse().ok()
        };
        Self {
            folder: folder.to_owned(),
            before: names.filter_map(pid).collect(),
        }
    }

    /// Removes what the interpreters of these processes have written, and nothing else.
    pub(super) fn remove<'a>(&self, pids: impl Iterator<Item = &'a u32>) {
        for pid in pids.filter(|pid| !self.before.contains(pid)) {
            let path = self.folder.join(format!("perf-{pid}.map"));
            if is_of_python(&path) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Whether this is a file of this user's in which an interpreter has named its functions: `12ab 34 py::f:/x.py`.
fn is_of_python(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let plain = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.uid() == own);
    if !plain {
        return false;
    }
    let Ok(file) = File::open(path) else {
        return false;
    };
    let mut line = Vec::new();
    let read = BufReader::new(file.take(LINE)).read_until(b'\n', &mut line);
    let mut words = line.split(|byte| *byte == b' ');
    read.is_ok() && words.nth(2).is_some_and(|name| name.starts_with(b"py::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_interpreters_of_the_command_wrote_is_removed() {
        let name = format!("onecopy-test-perf-maps-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let file = |pid: u32| folder.join(format!("perf-{pid}.map"));
        let python = "7f00 20 py::f:/x.py\n7f20 20 py::g:/x.py\n";
        fs::write(file(1), python).unwrap();
        let maps = PerfMaps::of(&folder);
        fs::write(file(2), python).unwrap();
        fs::write(file(3), "7f00 20 LazyCompile:~main /x.js\n").unwrap();
        fs::write(file(4), "").unwrap();
        let elsewhere = folder.join("elsewhere");
        fs::write(&elsewhere, python).unwrap();
        std::os::unix::fs::symlink(&elsewhere, file(5)).unwrap();
        fs::write(file(6), python).unwrap();
        maps.remove([1, 2, 3, 4, 5, 7].iter());
        let left: Vec<bool> = (1..=6)
            .map(|pid| fs::symlink_metadata(file(pid)).is_ok())
            .collect();
        assert_eq!(left, [true, false, true, true, true, true]);
        assert!(elsewhere.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
