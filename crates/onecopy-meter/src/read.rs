//! Opens `/proc`, and nothing else does. Every reader turns the kernel's ways of saying "gone" and
//! "not yours" into [`MeterError::Gone`] and [`MeterError::Denied`].
#![forbid(unsafe_code)]

mod machine;
mod pages;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::MeterError;
use crate::parse::{self, Mapping, ParseError, Rollup, Stat, Statm};
use crate::testing;

pub(crate) use pages::has_memory;

/// A `/proc` to read: the machine's own, or captured texts laid out in the same way.
#[derive(Debug, Clone)]
pub struct Proc {
    root: PathBuf,
    page_size: u64,
    force_bits: bool,
    /// Whether it has to be the one that shows this process.
    is_live: bool,
}

impl Default for Proc {
    fn default() -> Self {
        Self::live_at("/proc")
    }
}

impl Proc {
    /// Reads `root` as if it were `/proc` of a machine with pages of `page_size` bytes.
    pub fn at(root: impl Into<PathBuf>, page_size: u64) -> Self {
        Self {
            root: root.into(),
            page_size,
            force_bits: false,
            is_live: false,
        }
    }

    fn live_at(root: impl Into<PathBuf>) -> Self {
        Self {
            is_live: true,
            ..Self::at(root, rustix::param::page_size() as u64)
        }
    }

    /// The same `/proc`, read without looking at frame numbers even where the kernel shows them.
    #[must_use]
    pub fn without_frames(mut self) -> Self {
        self.force_bits = true;
        self
    }

    /// The children of a process, as its own files tell them; `None` where the kernel does not. One
    /// that exits meanwhile may hide another, so this serves for looking often, not for sums.
    pub(crate) fn children(&self, pid: u32) -> Option<Vec<u32>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path(pid, "task")).ok()?.flatten() {
            let text = match fs::read_to_string(entry.path().join("children")) {
                Ok(text) => text,
                // A thread that has ended has no children: they went to another one, if it had any.
                Err(_) if !entry.path().exists() => continue,
                Err(error) if is(&error, &[Errno::SRCH]) => continue,
                Err(_) => return None,
            };
            found.extend(
                text.split_ascii_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
        Some(found)
    }

    /// The words of a process's command line; empty when it has none or may not be read.
    #[must_use]
    pub fn command_line(&self, pid: u32) -> Vec<String> {
        let bytes = fs::read(self.path(pid, "cmdline")).unwrap_or_default();
        let words = bytes
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty());
        words
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    }

    /// A variable of the environment that a process was started with, if it may be read.
    #[must_use]
    pub fn variable(&self, pid: u32, name: &str) -> Option<std::ffi::OsString> {
        use std::os::unix::ffi::OsStringExt as _;
        let bytes = fs::read(self.path(pid, "environ")).ok()?;
        let mut found = bytes.split(|byte| *byte == 0).filter_map(|entry| {
            let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(std::ffi::OsString::from_vec(value.to_vec()))
        });
        found.next()
    }

    /// Bytes per page.
    #[must_use]
    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// Who a process is; anybody may ask.
    pub fn stat(&self, pid: u32) -> Result<Stat, MeterError> {
        let stat = self.read(pid, "stat", parse::stat)?;
        // The first thread may be a zombie while others use the memory that it shows no more.
        let seen_by = (stat.has_exited() && stat.threads > 1).then(|| self.living_thread(&stat));
        Ok(seen_by.flatten().unwrap_or(stat))
    }

    /// The process whose first thread has exited, as another of its threads sees it.
    fn living_thread(&self, stat: &Stat) -> Option<Stat> {
        let threads = fs::read_dir(self.path(stat.pid, "task")).ok()?.flatten();
        let ids = threads.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let mut others = ids.filter_map(|thread| self.read(thread, "stat", parse::stat).ok());
        let other = others.find(|other| !other.has_exited())?;
        Some(Stat {
            pid: stat.pid,
            name: stat.name.clone(),
            start_time_ticks: stat.start_time_ticks,
            flags: other.flags_with_program_of(stat),
            ..other
        })
    }

    /// The same, of a process that has memory.
    pub(crate) fn stat_with_memory(&self, pid: u32) -> Result<Stat, MeterError> {
        let stat = self.stat(pid)?;
        if stat.has_exited() {
            return Err(MeterError::Gone { pid });
        }
        if stat.is_kernel_thread() {
            return Err(MeterError::KernelThread { pid });
        }
        Ok(stat)
    }

    /// Page faults that the calling thread has taken; 0 where that is not told.
    pub(crate) fn own_faults(&self) -> u64 {
        let stat = File::open(self.root.join("thread-self/stat")).map(parse::stat);
        stat.map_or(0, |stat| stat.map_or(0, |stat| stat.minor_faults))
    }

    /// A process's sizes that anybody may ask for.
    pub fn statm(&self, pid: u32) -> Result<Statm, MeterError> {
        self.read(pid, "statm", |file| parse::statm(file, self.page_size))
    }

    /// A process's memory, summed by the kernel.
    pub fn rollup(&self, pid: u32) -> Result<Rollup, MeterError> {
        self.read(pid, "smaps_rollup", parse::rollup)
    }

    /// A process's mappings.
    pub fn mappings(&self, pid: u32) -> Result<Vec<Mapping>, MeterError> {
        let found = self.read(pid, "smaps", parse::smaps)?;
        self.unless_gone(pid, found)
    }

    /// A process's mappings without their counts, which is much cheaper.
    pub fn maps(&self, pid: u32) -> Result<Vec<Mapping>, MeterError> {
        let found = self.read(pid, "maps", parse::maps)?;
        self.unless_gone(pid, found)
    }

    /// No program runs without a mapping, so none at all means that the address space is gone.
    fn unless_gone(&self, pid: u32, found: Vec<Mapping>) -> Result<Vec<Mapping>, MeterError> {
        if found.is_empty() {
            self.stat_with_memory(pid)?;
            return Err(MeterError::Gone { pid });
        }
        Ok(found)
    }

    /// Whether a process belongs to another user than this one. `/proc/PID` itself does not tell: it is root's where
    /// the process is not dumpable (proc(5)).
    pub(crate) fn is_foreign(&self, pid: u32) -> Option<bool> {
        let status = fs::read(self.path(pid, "status")).ok()?;
        Some(parse::user(&status)? != rustix::process::geteuid().as_raw())
    }

    /// Whether a thread's process was killed, or is gone.
    pub(crate) fn is_killed(&self, thread: u32) -> bool {
        let status = self.read(thread, "status", |mut text| {
            let mut bytes = Vec::new();
            text.read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        status.map_or(true, |status| parse::has_pending_kill(&status))
    }

    /// Opens a file of a process.
    pub(crate) fn open(&self, pid: u32, name: &str) -> Result<File, MeterError> {
        self.check_namespace()?;
        let path = self.path(pid, name);
        File::open(&path).map_err(|error| failure(pid, &path, error))
    }

    /// Whether numbers here mean the processes that this one calls so. In a pid namespace that was given no `/proc` of
    /// its own they do not (`pid_namespaces(7)`).
    fn check_namespace(&self) -> Result<(), MeterError> {
        let own = std::process::id();
        let found = || fs::read_link(self.root.join("self")).ok();
        match self.is_live.then(found) {
            Some(found) if found.as_deref() != Some(Path::new(&own.to_string())) => {
                Err(MeterError::OtherNamespace { pid: own, found })
            }
            _ => Ok(()),
        }
    }

    /// Whatever is opened of a process goes by here.
    fn path(&self, pid: u32, name: &str) -> PathBuf {
        testing::step(pid);
        self.root.join(pid.to_string()).join(name)
    }

    fn read<T>(
        &self,
        pid: u32,
        name: &str,
        parse: impl FnOnce(Text) -> Result<T, ParseError>,
    ) -> Result<T, MeterError> {
        let file = self.open(pid, name)?;
        let failed = |error| parse_failure(pid, &self.root.join(pid.to_string()).join(name), error);
        parse(Text { pid, file }).map_err(failed)
    }
}

/// A file of a process, read from its start. The kernel writes a long one piece by piece.
struct Text {
    pid: u32,
    file: File,
}

impl io::Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        testing::step(self.pid);
        self.file.read(buffer)
    }
}

/// What this process is called, for an error.
pub(crate) fn name_of(found: Option<&Path>) -> String {
    found.map_or_else(
        || "nothing".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn is(error: &io::Error, codes: &[Errno]) -> bool {
    error
        .raw_os_error()
        .is_some_and(|raw| codes.iter().any(|code| code.raw_os_error() == raw))
}

/// What to do about a process that may not be looked into; to be its user is not always enough (ptrace(2)).
pub(crate) fn way_in(pid: u32) -> &'static str {
    let status = fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let user = parse::user(&status);
    let own = rustix::process::getuid();
    match (own.is_root(), user == Some(own.as_raw())) {
        (false, false) => "run as its user or as root",
        (false, true) => {
            "its user is the same, but it has more privileges or is not dumpable (PR_SET_DUMPABLE): run as root"
        }
        (true, _) => {
            "it has more privileges than this process, though that is run by root, or is not dumpable \
             (PR_SET_DUMPABLE), which takes CAP_SYS_PTRACE"
        }
    }
}

fn failure(pid: u32, path: &Path, source: io::Error) -> MeterError {
    // An open file of a process that exits afterwards answers ESRCH; so do zombies, whose memory is
    // gone already.
    if is(&source, &[Errno::NOENT, Errno::SRCH]) {
        MeterError::Gone { pid }
    } else if is(&source, &[Errno::ACCESS, Errno::PERM]) {
        MeterError::Denied {
            pid,
            path: path.to_owned(),
            source,
        }
    } else {
        MeterError::Read {
            path: path.to_owned(),
            source,
        }
    }
}

fn parse_failure(pid: u32, path: &Path, error: ParseError) -> MeterError {
    match error {
        ParseError::Read(source) => failure(pid, path, source),
        source => MeterError::Parse {
            path: path.to_owned(),
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_stands_in_for_the_first_one_does_not_say_who_has_executed_a_program() {
        let root = std::env::temp_dir().join(format!("onecopy-threads-{}", std::process::id()));
        let text = include_str!("../tests/captured/stat").trim_end();
        let (_, rest) = text.split_once(") ").unwrap();
        let write = |folder: &str, state: char, flags: u64, threads: u32| {
            let mut fields: Vec<String> = rest.split(' ').map(str::to_owned).collect();
            fields[0] = state.to_string();
            fields[6] = flags.to_string();
            fields[17] = threads.to_string();
            let folder = root.join(folder);
            fs::create_dir_all(&folder).unwrap();
            let line = format!("7 (first) {}\n", fields.join(" "));
            fs::write(folder.join("stat"), line).unwrap();
        };
        let (plain, forked) = (0x0040_0000, 0x0040_0040);
        // Every thread has the mark of one that was forked: it was cloned.
        for (first, is_forked) in [(plain, false), (forked, true)] {
            write("7", 'Z', first | 0x4, 2);
            fs::create_dir_all(root.join("7/task/8")).unwrap();
            write("8", 'S', forked, 2);
            let stat = Proc::at(&root, 4096).stat(7).unwrap();
            assert_eq!((stat.pid, stat.has_exited()), (7, false));
            assert_eq!(stat.is_forked(), is_forked);
            // The first thread has ended; the process has not.
            assert!(!stat.is_dying());
        }
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn numbers_of_another_namespace_are_refused() {
        let root = std::env::temp_dir().join(format!("onecopy-meter-self-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        let own = std::process::id();
        std::os::unix::fs::symlink(format!("/proc/{own}"), root.join(own.to_string())).unwrap();
        for (name, found) in [(Some("1"), "called 1"), (None, "called nothing")] {
            if let Some(name) = name {
                std::os::unix::fs::symlink(name, root.join("self")).unwrap();
            }
            let errors = [
                Proc::live_at(&root).stat(own).unwrap_err(),
                Proc::live_at(&root).maps(own).unwrap_err(),
                Proc::live_at(&root).open_pagemap(own).unwrap_err(),
                Proc::live_at(&root).tree(own).unwrap_err(),
            ];
            for error in errors {
                assert!(error.to_string().contains(found), "{error}");
            }
            let _ = fs::remove_file(root.join("self"));
        }
        assert_eq!(Proc::at(&root, 4096).stat(own).unwrap().pid, own);
        std::os::unix::fs::symlink(own.to_string(), root.join("self")).unwrap();
        assert_eq!(Proc::live_at(&root).stat(own).unwrap().pid, own);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_process_that_is_gone_is_killed_and_nobodys() {
        let (proc, own, gone) = (Proc::default(), std::process::id(), 1 << 23);
        assert!(proc.is_killed(gone) && !proc.is_killed(own));
        assert_eq!(proc.is_foreign(own), Some(false));
        assert_eq!(proc.is_foreign(gone), None);
    }
}
