//! `smaps_rollup` and `smaps`: one process's memory, summed and per mapping (`proc_pid_smaps(5)`).
#![forbid(unsafe_code)]

use std::io::Read;

use serde::{Deserialize, Serialize};

use super::{Field, ParseError, text};

/// The counts that the kernel gives alike for a whole process and for one mapping, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemoryCounts {
    /// RSS: pages present, each counted in full however many processes map it.
    pub rss: u64,
    /// PSS: pages present, each divided by the number of its mappings.
    pub pss: u64,
    /// Present, mapped more than once, not written since it was read from its file.
    pub shared_clean: u64,
    /// Present, mapped more than once, written.
    pub shared_dirty: u64,
    /// Present, mapped here only, not written.
    pub private_clean: u64,
    /// Present, mapped here only, written.
    pub private_dirty: u64,
    /// Pages that belong to no file (any more), copies of file pages included.
    pub anonymous: u64,
    /// The part of `anonymous` mapped by huge-page entries.
    pub anonymous_huge: u64,
    /// Anonymous pages swapped out.
    pub swap: u64,
    /// Swapped pages divided by their users; `None` before Linux 4.3.
    pub swap_pss: Option<u64>,
}

impl MemoryCounts {
    /// USS: what would come back if this process alone went away.
    #[must_use]
    pub fn uss(&self) -> u64 {
        self.private_clean.saturating_add(self.private_dirty)
    }

    /// Pages present here that are mapped more than once.
    #[must_use]
    pub fn shared(&self) -> u64 {
        self.shared_clean.saturating_add(self.shared_dirty)
    }

    /// Adds the counts of another mapping; swap shares stay known only if both know them.
    pub fn add(&mut self, other: &Self) {
        let sum = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        sum(&mut self.rss, other.rss);
        sum(&mut self.pss, other.pss);
        sum(&mut self.shared_clean, other.shared_clean);
        sum(&mut self.shared_dirty, other.shared_dirty);
        sum(&mut self.private_clean, other.private_clean);
        sum(&mut self.private_dirty, other.private_dirty);
        sum(&mut self.anonymous, other.anonymous);
        sum(&mut self.anonymous_huge, other.anonymous_huge);
        sum(&mut self.swap, other.swap);
        self.swap_pss = self
            .swap_pss
            .zip(other.swap_pss)
            .map(|(left, right)| left.saturating_add(right));
    }
}

/// A whole process, from `smaps_rollup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rollup {
    /// The sums over all mappings.
    pub counts: MemoryCounts,
    /// The anonymous part of PSS; `None` before Linux 5.9.
    pub pss_anon: Option<u64>,
    /// The part of PSS that belongs to files; `None` before Linux 5.9.
    pub pss_file: Option<u64>,
    /// The part of PSS that belongs to shared memory; `None` before Linux 5.9.
    pub pss_shmem: Option<u64>,
}

/// What a mapping maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MappingKind {
    /// The stack of the first thread.
    Stack,
    /// The program break.
    Heap,
    /// Private memory of no file.
    Anonymous,
    /// A memory file, System V or POSIX shared memory, or shared anonymous memory.
    SharedMemory,
    /// A file: a program, a library, data.
    File,
    /// Pages of the kernel: `[vdso]` and its like.
    Special,
}

/// One mapping of a process, from `smaps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// The four letters of its permissions, `rw-p`.
    pub permissions: String,
    /// Where in the file it starts, in bytes.
    pub offset: u64,
    /// Major and minor number of the file's device.
    pub device: (u32, u32),
    /// The file's inode number; 0 for no file.
    pub inode: u64,
    /// The path or `[name]`, as the kernel writes it; may be empty.
    pub name: String,
    /// Its memory.
    pub counts: MemoryCounts,
}

impl Mapping {
    /// Length in bytes.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether writes go to the file for all to see (`MAP_SHARED`).
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.permissions.ends_with('s')
    }

    /// The name that a program has given to its memory (`PR_SET_VMA_ANON_NAME`), if it has.
    #[must_use]
    pub fn given_name(&self) -> Option<&str> {
        let name = self.name.strip_suffix(']')?;
        let given = name.strip_prefix("[anon:");
        given.or_else(|| name.strip_prefix("[anon_shmem:"))
    }

    /// Sorts the mapping by its name; on tmpfs elsewhere than `/dev/shm` a file stays a `File`.
    #[must_use]
    pub fn kind(&self) -> MappingKind {
        let name = self.name.as_str();
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if starts(&["/memfd:", "/dev/shm/", "/SYSV", "[anon_shmem:"])
            || name == "/dev/zero (deleted)"
        {
            MappingKind::SharedMemory
        } else if name == "/dev/zero" {
            // Privately mapped it is memory as any other; shared, the kernel makes a file of its own.
            MappingKind::Anonymous
        } else if name == "[heap]" {
            MappingKind::Heap
        } else if name == "[stack]" {
            MappingKind::Stack
        } else if name.is_empty() || starts(&["[anon:"]) {
            if self.inode == 0 {
                MappingKind::Anonymous
            } else {
                MappingKind::File
            }
        } else if name.starts_with('[') {
            MappingKind::Special
        } else {
            MappingKind::File
        }
    }
}

/// Reads the text of `/proc/PID/smaps_rollup`.
///
/// # Errors
/// A needed count is absent, no number, or in a unit other than kB.
pub fn rollup(source: impl Read) -> Result<Rollup, ParseError> {
    let text = text(source)?;
    let mut block = Block::default();
    for (index, line) in text.lines().enumerate() {
        match Field::split(index + 1, line) {
            Some(field) => block.take(&field)?,
            None if index == 0 => {}
            None => return Err(unexpected(index + 1, line)),
        }
    }
    let [pss_anon, pss_file, pss_shmem] = [block.pss_anon, block.pss_file, block.pss_shmem];
    Ok(Rollup {
        counts: block.finish(None)?,
        pss_anon,
        pss_file,
        pss_shmem,
    })
}

/// Reads the text of `/proc/PID/smaps`.
///
/// # Errors
/// As [`rollup`], and a header line of another form; a text that was cut off inside a mapping ends
/// in [`ParseError::Missing`].
pub fn smaps(source: impl Read) -> Result<Vec<Mapping>, ParseError> {
    let text = text(source)?;
    let mut mappings: Vec<Mapping> = Vec::new();
    let mut block = Block::default();
    let mut header_line = 0;
    for (index, line) in text.lines().enumerate() {
        if let Some(field) = Field::split(index + 1, line) {
            if mappings.is_empty() {
                return Err(unexpected(index + 1, line));
            }
            block.take(&field)?;
            continue;
        }
        if let Some(last) = mappings.last_mut() {
            last.counts = std::mem::take(&mut block).finish(Some(header_line))?;
        }
        header_line = index + 1;
        mappings.push(header(line).ok_or_else(|| unexpected(header_line, line))?);
    }
    if let Some(last) = mappings.last_mut() {
        last.counts = block.finish(Some(header_line))?;
    }
    Ok(mappings)
}

/// Reads the text of `/proc/PID/maps`: mappings without their counts, which cost the kernel a walk.
///
/// # Errors
/// A line of another form.
pub fn maps(source: impl Read) -> Result<Vec<Mapping>, ParseError> {
    let text = text(source)?;
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| header(line).ok_or_else(|| unexpected(index + 1, line)))
        .collect()
}

fn unexpected(line_number: usize, line: &str) -> ParseError {
    ParseError::Line {
        line_number,
        expected: "a mapping or `Name: number kB`",
        line: line.to_owned(),
    }
}

/// `start-end perms offset major:minor inode   name`, the name taken whole with its blanks.
fn header(line: &str) -> Option<Mapping> {
    let mut parts = line.splitn(6, ' ');
    let (start, end) = parts.next()?.split_once('-')?;
    let permissions = parts.next()?;
    let offset = parts.next()?;
    let (major, minor) = parts.next()?.split_once(':')?;
    let inode = parts.next()?;
    let name = parts.next().unwrap_or_default().trim_start();
    let start = u64::from_str_radix(start, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    if permissions.len() != 4 || end < start {
        return None;
    }
    Some(Mapping {
        start,
        end,
        permissions: permissions.to_owned(),
        offset: u64::from_str_radix(offset, 16).ok()?,
        device: (
            u32::from_str_radix(major, 16).ok()?,
            u32::from_str_radix(minor, 16).ok()?,
        ),
        inode: inode.parse().ok()?,
        name: name.to_owned(),
        counts: MemoryCounts::default(),
    })
}

/// The counts of one block while they are read.
#[derive(Debug, Default)]
struct Block {
    rss: Option<u64>,
    pss: Option<u64>,
    shared_clean: Option<u64>,
    shared_dirty: Option<u64>,
    private_clean: Option<u64>,
    private_dirty: Option<u64>,
    anonymous: Option<u64>,
    anonymous_huge: Option<u64>,
    swap: Option<u64>,
    swap_pss: Option<u64>,
    pss_anon: Option<u64>,
    pss_file: Option<u64>,
    pss_shmem: Option<u64>,
}

impl Block {
    fn take(&mut self, field: &Field<'_>) -> Result<(), ParseError> {
        let slot = match field.name {
            "Rss" => &mut self.rss,
            "Pss" => &mut self.pss,
            "Shared_Clean" => &mut self.shared_clean,
            "Shared_Dirty" => &mut self.shared_dirty,
            "Private_Clean" => &mut self.private_clean,
            "Private_Dirty" => &mut self.private_dirty,
            "Anonymous" => &mut self.anonymous,
            "AnonHugePages" => &mut self.anonymous_huge,
            "Swap" => &mut self.swap,
            "SwapPss" => &mut self.swap_pss,
            "Pss_Anon" => &mut self.pss_anon,
            "Pss_File" => &mut self.pss_file,
            "Pss_Shmem" => &mut self.pss_shmem,
            _ => return Ok(()),
        };
        *slot = Some(field.bytes()?);
        Ok(())
    }

    fn finish(self, line_number: Option<usize>) -> Result<MemoryCounts, ParseError> {
        let need =
            |value: Option<u64>, field| value.ok_or(ParseError::Missing { field, line_number });
        Ok(MemoryCounts {
            rss: need(self.rss, "Rss")?,
            pss: need(self.pss, "Pss")?,
            shared_clean: need(self.shared_clean, "Shared_Clean")?,
            shared_dirty: need(self.shared_dirty, "Shared_Dirty")?,
            private_clean: need(self.private_clean, "Private_Clean")?,
            private_dirty: need(self.private_dirty, "Private_Dirty")?,
            anonymous: need(self.anonymous, "Anonymous")?,
            anonymous_huge: need(self.anonymous_huge, "AnonHugePages")?,
            swap: need(self.swap, "Swap")?,
            swap_pss: self.swap_pss,
        })
    }
}

#[cfg(test)]
mod tests;
