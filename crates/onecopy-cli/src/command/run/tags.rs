//! The names that programs have given to memory.
//!
//! Each process appends lines of JSON to its own file in the side folder, `tags-PID.jsonl`, so that no two write to one. A
//! line without length takes back what had the name before.
//!
//! A program may name things for as long as it runs. So what counts against the limit is what has a name now, not what
//! was ever written: each reading goes on where the last one ended.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use onecopy::file;
use onecopy_meter::Tag;

/// Bytes that are read at once, and in one reading. What a reading leaves is the next one's.
const PIECE: u64 = 4 << 20;
const MOST_BYTES: u64 = 256 << 20;
/// Ranges that may have names at a time. Later ones get none.
const MOST_RANGES: usize = 1 << 19;

/// Who gave which name.
type Owner = (u32, Option<u64>, String);

/// The names in one side folder.
#[derive(Debug)]
pub(crate) struct Tags {
    folder: PathBuf,
    /// How much of each file has been read; lines that are not whole yet have not.
    offsets: HashMap<OsString, u64>,
    named: HashMap<Owner, Named>,
    ranges: usize,
    names_given: u64,
}

/// What has a name.
#[derive(Debug, Default)]
struct Named {
    /// Names that were given before this one.
    age: u64,
    tags: Vec<Tag>,
}

impl Tags {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            offsets: HashMap::new(),
            named: HashMap::new(),
            ranges: 0,
            names_given: 0,
        }
    }

    /// The tags that are there now, in the order in which names were given.
    pub(crate) fn read(&mut self) -> Vec<Tag> {
        let mut left = MOST_BYTES;
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("tags-") {
                let offset = self.offsets.remove(&name).unwrap_or(0);
                let end = self.read_file(&entry.path(), offset, &mut left);
                self.offsets.insert(name, end);
            }
        }
        let mut named: Vec<&Named> = self.named.values().collect();
        named.sort_by_key(|named| named.age);
        named.iter().flat_map(|named| named.tags.clone()).collect()
    }

    /// Reads a file from an offset on; returns where it stopped.
    fn read_file(&mut self, path: &Path, mut offset: u64, left: &mut u64) -> u64 {
        loop {
            let most = PIECE.min(*left);
            let Ok(piece) = file::part(path, offset, most) else {
                return offset;
            };
            let read = piece.len() as u64;
            *left -= read;
            let lines = match piece.iter().rposition(|byte| *byte == b'\n') {
                Some(last) => &piece[..=last],
                // No line is that long: it is skipped.
                None if read == PIECE => &piece[..],
                None => return offset,
            };
            offset += lines.len() as u64;
            for line in lines.split(|byte| *byte == b'\n') {
                if let Ok(tag) = serde_json::from_slice::<Tag>(line) {
                    self.add(tag);
                }
            }
            if read < most || *left == 0 {
                return offset;
            }
        }
    }

    fn add(&mut self, tag: Tag) {
        let owner = (tag.pid, tag.start_time_ticks, tag.name.clone());
        if tag.len == 0 {
            // The name is given anew: what had it before has it no more.
            let before = self.named.remove(&owner).unwrap_or_default();
            self.ranges -= before.tags.len();
        } else if self.ranges < MOST_RANGES {
            let named = self.named.entry(owner).or_insert_with(|| {
                self.names_given += 1;
                Named {
                    age: self.names_given,
                    tags: Vec::new(),
                }
            });
            named.tags.push(tag);
            self.ranges += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn line(name: &str, start: u64, len: u64) -> String {
        format!("{{\"pid\":7,\"name\":\"{name}\",\"start\":{start},\"len\":{len}}}\n")
    }

    fn folder(test: &str) -> PathBuf {
        let name = format!("onecopy-test-tags-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn starts(tags: &[Tag], name: &str) -> Vec<u64> {
        let tags = tags.iter().filter(|tag| tag.name == name);
        tags.map(|tag| tag.start).collect()
    }

    #[test]
    fn the_newest_names_are_read_however_many_were_given_before() {
        let folder = folder("newest");
        let path = folder.join("tags-7.jsonl");
        let mut text = line("first", 4096, 8);
        let mut given = 0;
        while text.len() < 3 * PIECE as usize {
            given += 1;
            text += &(line("again", 0, 0) + &line("again", given * 4096, 8));
        }
        fs::write(&path, &text).unwrap();
        let mut tags = Tags::new(folder.clone());
        let found = tags.read();
        assert_eq!(starts(&found, "again"), [given * 4096]);
        assert_eq!(starts(&found, "first"), [4096]);

        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let more = line("again", 0, 0) + &line("again", 12_288, 8);
        let (begun, rest) = more.split_at(more.len() - 3);
        file.write_all(begun.as_bytes()).unwrap();
        // The name has been taken back; what has it now is not whole yet.
        assert_eq!(starts(&tags.read(), "again"), [] as [u64; 0]);
        file.write_all(rest.as_bytes()).unwrap();
        let found = tags.read();
        assert_eq!(starts(&found, "again"), [12_288]);
        assert_eq!(starts(&found, "first"), [4096]);
        assert_eq!(tags.read(), found);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn lines_without_end_are_passed_over_and_the_newest_name_comes_last() {
        let folder = folder("long");
        let mut text = line("older", 4096, 8);
        text.extend(std::iter::repeat_n('x', 2 * PIECE as usize));
        text += &("\n".to_owned() + &line("newer", 4096, 8));
        fs::write(folder.join("tags-7.jsonl"), text).unwrap();
        let found = Tags::new(folder.clone()).read();
        let names: Vec<&str> = found.iter().map(|tag| tag.name.as_str()).collect();
        assert_eq!(names, ["older", "newer"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
