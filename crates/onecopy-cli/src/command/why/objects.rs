//! Which objects lie on copied pages.
//!
//! The table is made by the program itself, in the parent, before it forks: `objects-PID.json` names
//! the types, `objects-PID.bin` has 16 bytes per object, little-endian: address (8), length (4; the
//! largest number stands for all that do not fit), type (4). Workers are never walked: that would write
//! to their reference counts and spoil what is measured. A table speaks for the family of the process that
//! wrote it, which it names by the bottom of the stack, and for nobody else.
#![forbid(unsafe_code)]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use onecopy::file;
use serde::{Deserialize, Serialize};

/// Types that a report names.
const TYPES: usize = 40;

/// Bytes of all tables together: some seventy million objects. Others are not looked at.
const MOST_BYTES: u64 = 1 << 30;
/// Bytes of the head of a table.
const MOST_HEAD_BYTES: u64 = 16 << 20;

/// The head of a table.
#[derive(Debug, Deserialize)]
struct Head {
    pid: u32,
    /// Bottom of the stack; older programs do not say.
    #[serde(default)]
    family: Option<u64>,
    /// How long the program took for it; older ones do not say.
    #[serde(default)]
    seconds: Option<f64>,
    types: Vec<Kind>,
    /// What the program could not tell, and why.
    #[serde(default)]
    limits: Vec<String>,
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
pub(super) struct Table {
    pid: u32,
    family: Option<u64>,
    seconds: Option<f64>,
    types: Vec<Kind>,
    limits: Vec<String>,
    objects: Vec<Object>,
}

/// The tables of a folder, each read once.
#[derive(Debug, Default)]
pub(super) struct Tables {
    folder: Option<PathBuf>,
    read: HashSet<PathBuf>,
    /// Bytes of those that were found.
    bytes: u64,
    found: Vec<Rc<Table>>,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Objects {
    /// Most bytes first.
    pub(crate) types: Vec<TypeRow>,
    /// Bytes of copied pages that belong to no known object.
    pub(crate) other: u64,
    /// How long programs took to write the tables that this comes from; `None` where they do not say.
    #[serde(default)]
    pub(crate) seconds: Option<f64>,
    /// What programs could not tell of their objects, and why.
    #[serde(default)]
    pub(crate) limits: Vec<String>,
}

impl Objects {
    /// Bytes of objects with reference counts.
    pub(crate) fn counted_bytes(&self) -> u64 {
        let counted = self.types.iter().filter(|row| row.counted);
        counted.map(|row| row.bytes).sum()
    }
}

impl Tables {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            ..Self::default()
        }
    }

    /// Whether there is any table.
    pub(super) fn any(&mut self) -> bool {
        self.look();
        !self.found.is_empty()
    }

    /// The table that speaks for a process.
    pub(super) fn of(&mut self, pid: u32, family: u64) -> Option<Rc<Table>> {
        if self.find(pid, family).is_none() {
            self.look();
        }
        self.find(pid, family)
    }

    fn find(&self, pid: u32, family: u64) -> Option<Rc<Table>> {
        let mut own = self.found.iter().filter(|table| table.pid == pid);
        let mut related: Vec<&Rc<Table>> = self
            .found
            .iter()
            .filter(|table| family != 0 && table.family == Some(family))
            .collect();
        // Where the bottom of the stack is the same for every program, or not known, only a single table
        // can be trusted.
        if related.is_empty() && self.found.iter().all(|table| table.family.is_none()) {
            related = self.found.iter().collect();
        }
        let is_related = |table: &&Rc<Table>| related.iter().any(|other| Rc::ptr_eq(other, table));
        match (own.find(is_related), related.as_slice()) {
            (Some(table), _) => Some(Rc::clone(table)),
            (None, [table]) => Some(Rc::clone(table)),
            _ => None,
        }
    }

    /// Reads tables that have come since.
    fn look(&mut self) {
        let entries = self
            .folder
            .as_deref()
            .and_then(|folder| fs::read_dir(folder).ok());
        for entry in entries.into_iter().flatten().flatten() {
            let (name, path) = (
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            );
            let is_head = name.starts_with("objects-")
                && Path::new(&name).extension() == Some("json".as_ref());
            if is_head && self.read.insert(path.clone()) {
                let table = Table::read(&path, MOST_BYTES - self.bytes);
                if let Some((table, bytes)) = table {
                    self.found.push(Rc::new(table));
                    self.bytes += bytes;
                }
            }
        }
    }
}

impl Table {
    /// The table, if it has no more bytes than that, and how many it has.
    fn read(head: &Path, most: u64) -> Option<(Self, u64)> {
        let folder = head.parent()?;
        let head = file::whole(head, MOST_HEAD_BYTES).ok()?;
        let head: Head = serde_json::from_slice(&head).ok()?;
        let path = folder.join(format!("objects-{}.bin", head.pid));
        let bytes = file::whole(&path, most).ok()?;
        Some((Self::parse(head, &bytes), bytes.len() as u64))
    }

    fn parse(head: Head, bytes: &[u8]) -> Self {
        let Head {
            pid,
            family,
            seconds,
            types,
            limits,
        } = head;
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
        // A type may say any size of its objects; none reaches into the next one.
        let next: Vec<u64> = objects.iter().skip(1).map(|object| object.start).collect();
        for (object, next) in objects.iter_mut().zip(next) {
            object.len =
                u32::try_from(next - object.start).map_or(object.len, |most| object.len.min(most));
        }
        Self {
            pid,
            family,
            seconds,
            types,
            limits,
            objects,
        }
    }

    /// Objects and their bytes within ranges, by type.
    fn within(&self, ranges: &[Range<u64>]) -> HashMap<u32, (u64, u64)> {
        let mut found: HashMap<u32, (u64, u64)> = HashMap::new();
        let mut last = None;
        for range in ranges {
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
                let (objects, sum) = found.entry(object.kind).or_default();
                // An object across several ranges is one object.
                *objects += u64::from(last != Some(index));
                *sum += bytes;
                last = Some(index);
            }
        }
        found
    }
}

/// Objects on copied pages, over all processes so far.
#[derive(Debug, Default)]
pub(super) struct Sums {
    rows: HashMap<String, TypeRow>,
    /// Tables whose objects have been counted.
    counted: Vec<Rc<Table>>,
    all: u64,
}

impl Sums {
    /// Adds a process.
    pub(super) fn add(&mut self, table: Option<Rc<Table>>, ranges: &[Range<u64>]) {
        self.all += ranges
            .iter()
            .map(|range| range.end - range.start)
            .sum::<u64>();
        let Some(table) = table else {
            return;
        };
        if !self.counted.iter().any(|known| Rc::ptr_eq(known, &table)) {
            let mut counts = vec![0; table.types.len()];
            for object in &table.objects {
                counts[object.kind as usize] += 1;
            }
            for (kind, count) in counts.into_iter().enumerate() {
                self.row(&table, kind as u32).of += count;
            }
            self.counted.push(Rc::clone(&table));
        }
        for (kind, (objects, bytes)) in table.within(ranges) {
            let row = self.row(&table, kind);
            row.objects = row.objects.max(objects);
            row.bytes += bytes;
        }
    }

    fn row(&mut self, table: &Table, kind: u32) -> &mut TypeRow {
        let kind = &table.types[kind as usize];
        self.rows
            .entry(kind.name.clone())
            .or_insert_with(|| TypeRow {
                name: kind.name.clone(),
                counted: kind.counted,
                of: 0,
                objects: 0,
                bytes: 0,
            })
    }

    /// The sums, as they are shown; `None` without any table.
    pub(super) fn finish(self) -> Option<Objects> {
        let rows = self.rows.into_values().filter(|row| row.objects > 0);
        let mut types: Vec<TypeRow> = rows.collect();
        types.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        types.truncate(TYPES);
        let named: u64 = types.iter().map(|row| row.bytes).sum();
        let seconds = self.counted.iter().map(|table| table.seconds);
        let told = seconds
            .flatten()
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        let limits: BTreeSet<&String> = self
            .counted
            .iter()
            .flat_map(|table| &table.limits)
            .collect();
        (!self.counted.is_empty()).then(|| Objects {
            limits: limits.into_iter().cloned().collect(),
            types,
            other: self.all.saturating_sub(named),
            seconds: told.reduce(|sum, seconds| sum + seconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pid: u32, family: Option<u64>, objects: &[(u64, u32, u32)]) -> Rc<Table> {
        let types = ["str", "buffer"].map(|name| Kind {
            name: name.to_owned(),
            counted: name == "str",
        });
        let mut bytes = Vec::new();
        for (start, len, kind) in objects {
            bytes.extend_from_slice(&start.to_le_bytes());
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(&kind.to_le_bytes());
        }
        let types = types.to_vec();
        Rc::new(Table::parse(
            Head {
                pid,
                family,
                seconds: Some(1.5),
                types,
                limits: vec!["a limit".to_owned()],
            },
            &bytes,
        ))
    }

    #[test]
    fn objects_that_claim_too_much_end_where_the_next_one_begins() {
        let table = table(
            1,
            None,
            &[(0, u32::MAX, 0), (64, u32::MAX, 1), (128, 32, 0)],
        );
        let mut sums = Sums::default();
        sums.add(Some(table), &pages(0..4096));
        let found = sums.finish().unwrap();
        let bytes: Vec<(&str, u64)> = found
            .types
            .iter()
            .map(|row| (row.name.as_str(), row.bytes))
            .collect();
        assert_eq!(bytes, [("str", 96), ("buffer", 64)]);
        assert_eq!(found.other, 4096 - 160);
    }

    fn pages(range: Range<u64>) -> Vec<Range<u64>> {
        std::iter::once(range).collect()
    }

    #[test]
    fn objects_are_counted_on_the_pages_that_were_copied() {
        let table = table(
            1,
            None,
            &[
                (4096, 100, 0),
                (4096 + 4000, 200, 0),
                (0, 4096, 1),
                (20 * 4096, 50, 0),
                (1, 1, 7),
            ],
        );
        let mut sums = Sums::default();
        sums.add(Some(Rc::clone(&table)), &pages(4096..8192));
        sums.add(Some(table), &pages(4096..12288));
        // A process for which no table speaks.
        sums.add(None, &pages(0..4096));
        let found = sums.finish().unwrap();
        assert_eq!(found.types.len(), 1);
        let row = &found.types[0];
        assert_eq!((row.name.as_str(), row.of, row.objects), ("str", 3, 2));
        assert_eq!(row.bytes, 100 + 96 + 100 + 200);
        assert_eq!(found.other, 4 * 4096 - row.bytes);
        assert_eq!(found.counted_bytes(), row.bytes);
        assert_eq!(found.seconds, Some(1.5));
        assert_eq!(found.limits, ["a limit"]);
        assert!(Sums::default().finish().is_none());
    }

    #[test]
    fn a_table_speaks_for_its_own_family_only() {
        let folder = std::env::temp_dir().join(format!("onecopy-tables-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (pid, family) in [(10, 111), (20, 222)] {
            let head = format!(
                r#"{{"pid":{pid},"family":{family},"types":[{{"name":"str","counted":true}}]}}"#
            );
            fs::write(folder.join(format!("objects-{pid}.json")), head).unwrap();
            fs::write(folder.join(format!("objects-{pid}.bin")), [0; 16]).unwrap();
        }
        let mut tables = Tables::new(Some(folder.clone()));
        let mut of = |pid, family| tables.of(pid, family).map(|table| table.pid);
        assert_eq!(of(10, 111), Some(10));
        assert_eq!(of(11, 111), Some(10));
        assert_eq!(of(21, 222), Some(20));
        assert_eq!(of(30, 333), None);
        assert_eq!(of(10, 333), None, "a pid alone is no family");
        assert_eq!(of(31, 0), None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
