//! Which objects lie on copied pages.
//!
//! The table is made by the program itself, in the parent, before it forks: `objects-PID.json` names
//! the types, `objects-PID.bin` has 16 bytes per object, little-endian: address (8), length (4; the
//! largest number stands for all that do not fit), type (4). Workers are never walked: that would write
//! to their reference counts and spoil what is measured.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Copied;

/// Types that a report names.
const TYPES: usize = 40;

/// The head of a table.
#[derive(Debug, Deserialize)]
struct Head {
    pid: u32,
    types: Vec<Kind>,
}

/// A type of object.
#[derive(Debug, Clone, Deserialize)]
struct Kind {
    name: String,
    /// Whether its objects are written to when they are only read: a reference count at the start.
    counted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Object {
    start: u64,
    len: u32,
    kind: u32,
}

/// All objects of a parent.
#[derive(Debug)]
pub(crate) struct Table {
    types: Vec<Kind>,
    objects: Vec<Object>,
}

/// Objects of one type on copied pages, over all processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TypeRow {
    pub(crate) name: String,
    /// Whether it has a reference count that readers write to.
    pub(crate) counted: bool,
    /// Objects of this type that there were before the fork.
    pub(crate) of: u64,
    /// Objects on copied pages in the process that has most of them.
    pub(crate) objects: u64,
    /// Bytes of objects on copied pages, over all processes.
    pub(crate) bytes: u64,
}

/// Objects on copied pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Objects {
    /// Most bytes first.
    pub(crate) types: Vec<TypeRow>,
    /// Bytes of copied pages that belong to no known object.
    pub(crate) other: u64,
}

impl Objects {
    /// Bytes of objects with reference counts.
    pub(crate) fn counted_bytes(&self) -> u64 {
        let counted = self.types.iter().filter(|row| row.counted);
        counted.map(|row| row.bytes).sum()
    }
}

impl Table {
    /// Reads the tables of a side folder; of several, the one that was written last.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let mut newest = None;
        for entry in fs::read_dir(folder).ok()?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("objects-") && Path::new(&name).extension() == Some("json".as_ref())
            {
                let changed = entry.metadata().and_then(|data| data.modified()).ok();
                newest = newest.max(Some((changed, entry.path())));
            }
        }
        let (_, path) = newest?;
        let head: Head = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let bytes = fs::read(folder.join(format!("objects-{}.bin", head.pid))).ok()?;
        Some(Self::parse(head.types, &bytes))
    }

    fn parse(types: Vec<Kind>, bytes: &[u8]) -> Self {
        let (rows, _) = bytes.as_chunks::<16>();
        let mut objects: Vec<Object> = rows
            .iter()
            .map(|row| {
                let word = u128::from_le_bytes(*row);
                Object {
                    start: word as u64,
                    len: (word >> 64) as u32,
                    kind: (word >> 96) as u32,
                }
            })
            .filter(|object| (object.kind as usize) < types.len())
            .collect();
        objects.sort_unstable_by_key(|object| object.start);
        objects.dedup_by_key(|object| object.start);
        Self { types, objects }
    }

    /// Counts objects on copied pages.
    pub(crate) fn join(&self, copied: &Copied, page_size: u64) -> Objects {
        let mut rows: HashMap<u32, TypeRow> = HashMap::new();
        for object in &self.objects {
            let kind = &self.types[object.kind as usize];
            let row = rows.entry(object.kind).or_insert_with(|| TypeRow {
                name: kind.name.clone(),
                counted: kind.counted,
                of: 0,
                objects: 0,
                bytes: 0,
            });
            row.of += 1;
        }
        let (mut all, mut known) = (0, 0);
        for ranges in copied.values() {
            let mut found: HashMap<u32, u64> = HashMap::new();
            let mut last = None;
            for range in ranges {
                all += range.end - range.start;
                // Objects are sorted and do not overlap; one may begin before the range.
                let first = self
                    .objects
                    .partition_point(|object| object.start < range.start);
                for (index, object) in self
                    .objects
                    .iter()
                    .enumerate()
                    .skip(first.saturating_sub(1))
                {
                    if object.start >= range.end {
                        break;
                    }
                    let end = object.start.saturating_add(u64::from(object.len));
                    let bytes = end
                        .min(range.end)
                        .saturating_sub(object.start.max(range.start));
                    if bytes == 0 {
                        continue;
                    }
                    if let Some(row) = rows.get_mut(&object.kind) {
                        row.bytes += bytes;
                        known += bytes;
                    }
                    // An object across several ranges is one object.
                    if last != Some(index) {
                        *found.entry(object.kind).or_default() += 1;
                    }
                    last = Some(index);
                }
            }
            for (kind, count) in found {
                if let Some(row) = rows.get_mut(&kind) {
                    row.objects = row.objects.max(count);
                }
            }
        }
        let _ = page_size;
        let mut types: Vec<TypeRow> = rows.into_values().filter(|row| row.objects > 0).collect();
        types.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        types.truncate(TYPES);
        Objects {
            types,
            other: all.saturating_sub(known),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_counted_on_the_pages_that_were_copied() {
        let kinds = ["str", "buffer"].map(|name| Kind {
            name: name.to_owned(),
            counted: name == "str",
        });
        let mut bytes = Vec::new();
        let mut add = |start: u64, len: u32, kind: u32| {
            bytes.extend_from_slice(&start.to_le_bytes());
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(&kind.to_le_bytes());
        };
        add(4096, 100, 0);
        add(4096 + 4000, 200, 0);
        add(0, 4096, 1);
        add(20 * 4096, 50, 0);
        add(1, 1, 7);
        let table = Table::parse(kinds.to_vec(), &bytes);
        let copied: Copied = [
            (7, std::iter::once(4096..8192).collect()),
            (8, std::iter::once(4096..12288).collect()),
        ]
        .into();
        let found = table.join(&copied, 4096);
        assert_eq!(found.types.len(), 1);
        let row = &found.types[0];
        assert_eq!((row.name.as_str(), row.of, row.objects), ("str", 3, 2));
        assert_eq!(row.bytes, 100 + 96 + 100 + 200);
        assert_eq!(found.other, 3 * 4096 - row.bytes);
        assert_eq!(found.counted_bytes(), row.bytes);
    }
}
