//! Files that processes of the tree read in place, as images that `onecopy.open()` maps: one copy whoever reads them, so
//! no part of the number of copies, but what the processes have in common.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use crate::parse::Mapping;

/// A smaller one is no data: what the C library keeps of locales and character sets, say.
const SMALLEST: u64 = 64 << 10;
/// So many are named.
const NAMED: usize = 3;

/// One of them.
#[derive(Debug)]
struct Shared {
    name: String,
    /// The most that any process has touched.
    rss: u64,
    users: Vec<u32>,
}

/// All of them, by device and inode.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<((u32, u32), u64), Shared>);

impl Files {
    /// Adds what a process reads in place: by mappings that nobody writes or runs, and in which all see the file.
    pub(super) fn add(&mut self, pid: u32, mappings: &[Mapping]) {
        let read = mappings.iter().filter(|mapping| {
            mapping.permissions == "r--s"
                && mapping.byte_len() >= SMALLEST
                && mapping.name.starts_with('/')
                && !mapping.name.starts_with("/memfd:")
        });
        for mapping in read {
            let key = (mapping.device, mapping.inode);
            let file = self.0.entry(key).or_insert_with(|| Shared {
                name: mapping.name.clone(),
                rss: 0,
                users: Vec::new(),
            });
            file.rss = file.rss.max(mapping.counts.rss);
            if file.users.last() != Some(&pid) {
                file.users.push(pid);
            }
        }
    }

    /// Names and counts those that several processes read; nothing if there are none.
    pub(super) fn said(&self) -> Option<String> {
        let shared = self.0.values().filter(|file| file.users.len() > 1);
        let mut shared: Vec<_> = shared.collect();
        shared.sort_by_key(|file| std::cmp::Reverse(file.rss));
        let named = shared.iter().take(NAMED).map(|file| {
            let (size, users) = (super::sums::size(file.rss), file.users.len());
            format!("{} ({size} in {users} processes)", file.name)
        });
        let mut said: Vec<_> = named.collect();
        let more = shared.len().saturating_sub(NAMED);
        if more > 0 {
            said.push(format!("{more} more"));
        }
        (!said.is_empty()).then(|| said.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn what_several_processes_read_in_place_is_named() {
        let line = |start: u64, permissions: &str, name: &str, inode: u64| {
            let end = start + (2 << 20);
            format!("{start:x}-{end:x} {permissions} 00000000 fe:00 {inode} {name}\n")
        };
        let text = line(0x1000_0000, "r--s", "/data/index", 7)
            + &line(0x2000_0000, "r--p", "/usr/lib/libc.so", 8)
            + &line(0x3000_0000, "rw-s", "/data/written", 9)
            + &line(0x4000_0000, "r--s", "/memfd:onecopy-1", 10);
        let mut mappings = parse::maps(text.as_bytes()).unwrap();
        for mapping in &mut mappings {
            mapping.counts.rss = 1 << 20;
        }
        let mut files = Files::default();
        files.add(1, &mappings);
        assert_eq!(files.said(), None);
        files.add(2, &mappings);
        assert_eq!(
            files.said().as_deref(),
            Some("/data/index (1 MiB in 2 processes)")
        );
    }
}
