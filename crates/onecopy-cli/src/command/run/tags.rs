//! The names that programs have given to memory.
//!
//! Each process appends lines of JSON to its own file in the side folder, `tags-PID.jsonl`, so that no two write to one. A
//! line without length takes back what had the name before.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

use onecopy::file;
use onecopy_meter::Tag;

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
        let text = file::start(&entry.path(), MOST_BYTES.min(left)).unwrap_or_default();
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
