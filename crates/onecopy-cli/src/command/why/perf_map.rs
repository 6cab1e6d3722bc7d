//! Names of code that a process compiled while it ran, as it writes them into `/tmp/perf-PID.map`.
//!
//! Such a file may be a trap, or of a program that had the same pid long ago. It counts only if it is a
//! plain file, belongs to this user or to root, and was made after the process began. A forked child has
//! its parent's compiled code as well; what it compiles itself goes into a file of its own (CPython begins
//! a new one after each fork).
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use onecopy::file;
use onecopy_meter::holding;

/// Larger files are not read.
const LARGEST: u64 = 64 << 20;
/// Bytes of the first line that are looked at.
const LINE: u64 = 4096;
/// Times of files may lag behind the clock by a tick of the kernel, and a process's own by another.
const SLACK: Duration = Duration::from_millis(50);

/// A process as the author of such a file, and those that it was forked from.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) pid: u32,
    /// When it was forked.
    pub(super) began: SystemTime,
    /// What its code was inherited from; `None` once it has started another program.
    pub(super) parent: Option<Rc<Origin>>,
    /// The file is here on this command's behalf, and goes when nobody needs it any more.
    pub(super) remove: Cell<bool>,
}

impl Origin {
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/tmp/perf-{}.map", self.pid))
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if self.remove.get() {
            remove(&self.path(), self.began);
        }
    }
}

/// The files that were read, as long as their authors are there.
#[derive(Debug, Default)]
pub(super) struct PerfMaps {
    known: HashMap<(u32, SystemTime), Map>,
}

#[derive(Debug)]
struct Map {
    /// Its length when it was read; it grows.
    len: u64,
    functions: Vec<(Range<u64>, String)>,
}

impl PerfMaps {
    /// The function at an address of a process: in its own file, or in that of the nearest process that it
    /// was forked from.
    pub(super) fn function(&mut self, origin: &Origin, address: u64) -> Option<String> {
        let mut next = Some(origin);
        while let Some(origin) = next {
            let map = self.map(origin);
            if let Some((_, name)) = holding(&map.functions, address) {
                return Some(name.clone());
            }
            next = origin.parent.as_deref();
        }
        None
    }

    /// Looks again at files that have grown since.
    pub(super) fn refresh(&mut self, origin: &Origin) {
        let mut next = Some(origin);
        while let Some(origin) = next {
            let key = (origin.pid, origin.began);
            let len = fs::symlink_metadata(origin.path()).map_or(0, |data| data.len());
            if self.known.get(&key).is_some_and(|map| map.len != len) {
                self.known.remove(&key);
            }
            next = origin.parent.as_deref();
        }
    }

    /// Forgets the file of a process that nobody asks for any more.
    pub(super) fn forget(&mut self, origin: &Origin) {
        self.known.remove(&(origin.pid, origin.began));
    }

    fn map(&mut self, origin: &Origin) -> &Map {
        let key = (origin.pid, origin.began);
        self.known
            .entry(key)
            .or_insert_with(|| read(&origin.path(), origin.began))
    }
}

/// The file, if it is one to be believed for a process that began then.
fn opened(path: &Path, began: SystemTime) -> Option<File> {
    let file = file::open(path).ok()?;
    let data = file.metadata().ok()?;
    let own = rustix::process::geteuid().as_raw();
    // Where no time of birth is kept, the last change has to do.
    let made = data.created().or_else(|_| data.modified()).ok()?;
    let is_ours = data.uid() == own || data.uid() == 0;
    (is_ours && data.len() <= LARGEST && made + SLACK >= began).then_some(file)
}

/// Removes a file of this user that the interpreter has written, and no other program that names its code for itself. An
/// empty one is from an interpreter that ended before it had compiled anything.
fn remove(path: &Path, began: SystemTime) {
    let Some(mut file) = opened(path, began) else {
        return;
    };
    let mut start = Vec::new();
    let read = (&mut file).take(LINE).read_to_end(&mut start);
    let first = start.split(|byte| *byte == b'\n').next();
    let name = first.and_then(|first| first.split(|byte| *byte == b' ').nth(2));
    let is_of_python = start.is_empty() || name.is_some_and(|name| name.starts_with(b"py::"));
    if read.is_ok() && is_of_python {
        // One that cannot be removed stays in the folder for temporary files.
        let _ = file::remove_own(path, &file);
    }
}

fn read(path: &Path, began: SystemTime) -> Map {
    let mut text = Vec::new();
    if let Some(file) = opened(path, began) {
        // What cannot be read has no names.
        let _ = file.take(LARGEST).read_to_end(&mut text);
    }
    Map {
        len: text.len() as u64,
        functions: parse(&String::from_utf8_lossy(&text)),
    }
}

/// Lines `start size name`, both numbers hexadecimal. Of two at one address the later one counts.
fn parse(text: &str) -> Vec<(Range<u64>, String)> {
    let mut found: Vec<(Range<u64>, String)> = text
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ' ');
            let start = u64::from_str_radix(parts.next()?.trim_start_matches("0x"), 16).ok()?;
            let size = u64::from_str_radix(parts.next()?.trim_start_matches("0x"), 16).ok()?;
            Some((start..start.checked_add(size)?, parts.next()?.to_owned()))
        })
        .collect();
    found.sort_by_key(|(range, _)| range.start);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `/tmp/perf-PID.map` for pids that no process has, as they are larger than any can be.
    struct Written(PathBuf);

    impl Written {
        fn new(pid: u32, text: &str) -> Self {
            let path = PathBuf::from(format!("/tmp/perf-{pid}.map"));
            fs::write(&path, text).unwrap();
            Self(path)
        }
    }

    impl Drop for Written {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn pid(number: u32) -> u32 {
        // pid_max is at most 2^22.
        (1 << 23) + std::process::id() * 16 + number
    }

    fn origin(pid: u32, parent: Option<&Rc<Origin>>) -> Rc<Origin> {
        Rc::new(Origin {
            pid,
            began: SystemTime::now() - Duration::from_secs(10),
            parent: parent.cloned(),
            remove: Cell::new(false),
        })
    }

    #[test]
    fn an_address_is_named_by_its_own_process_or_what_that_was_forked_from() {
        let [parent, child, stranger] = [1, 2, 3].map(pid);
        let _files = [
            Written::new(
                parent,
                "1000 100 py::of_parent:a.py\n2000 100 py::both:a.py\n",
            ),
            Written::new(child, "2000 100 py::of_child:a.py\n"),
            Written::new(
                stranger,
                "3000 100 py::of_stranger:b.py\n1000 100 py::wrong:b.py\n",
            ),
        ];
        let parent = origin(parent, None);
        let child = origin(child, Some(&parent));
        let mut maps = PerfMaps::default();
        // In this order: the stranger's file has been read when the others are asked for.
        let name = |maps: &mut PerfMaps, origin: &Origin, address| maps.function(origin, address);
        let stranger = origin(stranger, None);
        assert_eq!(
            name(&mut maps, &stranger, 0x3000).unwrap(),
            "py::of_stranger:b.py"
        );
        assert_eq!(
            name(&mut maps, &child, 0x1050).unwrap(),
            "py::of_parent:a.py"
        );
        assert_eq!(
            name(&mut maps, &child, 0x2050).unwrap(),
            "py::of_child:a.py"
        );
        assert_eq!(name(&mut maps, &parent, 0x2050).unwrap(), "py::both:a.py");
        assert_eq!(name(&mut maps, &child, 0x3000), None);
        assert_eq!(name(&mut maps, &parent, 0x3000), None);
    }

    #[test]
    fn files_that_have_grown_are_read_again() {
        let number = pid(4);
        let file = Written::new(number, "1000 10 first\n");
        let (origin, mut maps) = (origin(number, None), PerfMaps::default());
        assert_eq!(maps.function(&origin, 0x2000), None);
        fs::write(&file.0, "1000 10 first\n2000 10 second\n1000 10 anew\n").unwrap();
        maps.refresh(&origin);
        assert_eq!(maps.function(&origin, 0x2000).unwrap(), "second");
        assert_eq!(maps.function(&origin, 0x1000).unwrap(), "anew");
    }

    #[test]
    fn files_older_than_the_process_and_files_that_are_none_do_not_count() {
        let number = pid(5);
        let file = Written::new(number, "1000 10 stale\n");
        let later = SystemTime::now() + Duration::from_secs(10);
        assert!(read(&file.0, later).functions.is_empty());
        assert_eq!(read(&file.0, SystemTime::UNIX_EPOCH).functions.len(), 1);
        let link = Written(PathBuf::from(format!("/tmp/perf-{}.map", pid(6))));
        std::os::unix::fs::symlink(&file.0, &link.0).unwrap();
        assert!(read(&link.0, SystemTime::UNIX_EPOCH).functions.is_empty());
        let pipe = Written(PathBuf::from(format!("/tmp/perf-{}.map", pid(7))));
        let done = std::process::Command::new("mkfifo")
            .arg(&pipe.0)
            .status()
            .unwrap();
        assert!(done.success());
        assert!(read(&pipe.0, SystemTime::UNIX_EPOCH).functions.is_empty());
    }

    #[test]
    fn files_of_somebody_else_do_not_count() {
        if !rustix::process::geteuid().is_root() {
            skip::skipped("only root can make a file that belongs to somebody else");
            return;
        }
        let number = pid(8);
        let file = Written::new(number, "1000 10 py::foreign:a.py\n");
        std::os::unix::fs::chown(&file.0, Some(65_534), None).unwrap();
        assert!(read(&file.0, SystemTime::UNIX_EPOCH).functions.is_empty());
        drop(Origin {
            pid: number,
            began: SystemTime::now() - Duration::from_secs(10),
            parent: None,
            remove: Cell::new(true),
        });
        assert!(file.0.exists());
    }

    #[test]
    fn a_file_goes_with_the_last_one_who_needs_it_and_others_stay() {
        let [mine, stale, other, early] = [9, 10, 12, 13].map(pid);
        let python = "1000 10 py::f:a.py\n";
        let (file, old) = (Written::new(mine, python), Written::new(stale, python));
        let foreign = Written::new(other, "1000 10 LazyCompile:~main a.js\n");
        let parent = Rc::new(Origin {
            pid: mine,
            began: SystemTime::now() - Duration::from_secs(10),
            parent: None,
            remove: Cell::new(true),
        });
        let child = origin(pid(11), Some(&parent));
        drop(parent);
        assert!(file.0.exists());
        drop(child);
        assert!(!file.0.exists());
        drop(Origin {
            pid: stale,
            began: SystemTime::now() + Duration::from_secs(10),
            parent: None,
            remove: Cell::new(true),
        });
        assert!(old.0.exists());
        drop(Origin {
            pid: other,
            began: SystemTime::now() - Duration::from_secs(10),
            parent: None,
            remove: Cell::new(true),
        });
        assert!(foreign.0.exists());
        let empty = Written::new(early, "");
        drop(Origin {
            pid: early,
            began: SystemTime::now() - Duration::from_secs(10),
            parent: None,
            remove: Cell::new(true),
        });
        assert!(!empty.0.exists());
    }
}
