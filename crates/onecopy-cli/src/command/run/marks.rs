//! Moments that the programs themselves have named: `onecopy.mark()` and full collections.
//!
//! Each process appends lines of JSON to its own file in the side folder, `marks-PID.jsonl`, with the time of
//! `CLOCK_MONOTONIC`, which is the same in all processes.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::time::Instant;

use onecopy::file;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;

use super::record::{Event, EventKind};

/// Bytes that are read of each file: more than the thousand marks that a process leaves.
const MOST_BYTES: u64 = 1 << 20;
/// Bytes that are read of all of them.
const MOST_BYTES_OF_ALL: u64 = 64 << 20;
/// Marks of all processes together; the first ones count.
const MOST: usize = 10_000;

/// A line of the file.
#[derive(Deserialize)]
struct Line {
    pid: u32,
    kind: EventKind,
    label: String,
    /// Seconds of `CLOCK_MONOTONIC`.
    t: f64,
}

/// Adds what was marked since `started` to the events, which are in order of time afterwards.
pub(super) fn add(events: &mut Vec<Event>, folder: Option<&Path>, started: Instant) {
    let Some(folder) = folder else { return };
    let now = monotonic();
    let origin = now - started.elapsed().as_secs_f64();
    events.extend(read(folder, origin, now));
    events.sort_by(|a, b| a.t.total_cmp(&b.t));
}

fn read(folder: &Path, origin: f64, now: f64) -> Vec<Event> {
    let (mut found, mut left) = (Vec::new(), MOST_BYTES_OF_ALL);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with("marks-") {
            continue;
        }
        let Ok(text) = file::start(&entry.path(), MOST_BYTES.min(left)) else {
            continue;
        };
        left -= text.len() as u64;
        // A last line that is not whole is none.
        let lines = text.split(|byte| *byte == b'\n');
        let lines = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
        found.extend(lines.filter_map(|line| {
            let is_marked = matches!(line.kind, EventKind::Mark | EventKind::Gc);
            let t = line.t - origin;
            // Not those of an earlier watch in the same folder, nor what claims to be yet to come.
            (is_marked && t >= 0.0 && line.t <= now).then_some(Event {
                t,
                kind: line.kind,
                pid: line.pid,
                label: Some(line.label),
            })
        }));
    }
    found.sort_by(|a, b| a.t.total_cmp(&b.t));
    found.truncate(MOST);
    found
}

fn monotonic() -> f64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_since_the_start_count_in_order() {
        let folder =
            std::env::temp_dir().join(format!("onecopy-test-marks-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let second = concat!(
            "{\"pid\":7,\"kind\":\"mark\",\"label\":\"epoch 2\",\"t\":13.5}\n",
            "{\"pid\":7,\"kind\":\"mark\",\"label\":\"before\",\"t\":9.5}\n",
            "{\"pid\":7,\"kind\":\"exit\",\"label\":\"forged\",\"t\":12}\n",
            "{\"pid\":7,\"kind\":\"mark\",\"label\":\"forged\",\"t\":1e300}\n",
            "no JSON\n\n",
            "{\"pid\":7,\"kind\":\"mark\",\"label\":\"cut of",
        );
        fs::write(folder.join("marks-7.jsonl"), second).unwrap();
        let first = "{\"pid\":8,\"kind\":\"gc\",\"label\":\"full collection\",\"t\":11.0}\n";
        fs::write(folder.join("marks-8.jsonl"), first).unwrap();
        fs::write(folder.join("tags-8.jsonl"), first).unwrap();
        let found = read(&folder, 10.0, 20.0);
        let event = |t, kind, pid, label: &str| Event {
            t,
            kind,
            pid,
            label: Some(label.to_owned()),
        };
        let expected = [
            event(1.0, EventKind::Gc, 8, "full collection"),
            event(3.5, EventKind::Mark, 7, "epoch 2"),
        ];
        assert_eq!(found, expected);
        fs::remove_dir_all(&folder).unwrap();
        assert!(read(&folder, 10.0, 20.0).is_empty());
    }

    #[test]
    fn both_clocks_are_the_same() {
        let (before, started, after) = (monotonic(), Instant::now(), monotonic());
        // However much time passes between two calls, it moves what is computed to one side alone.
        let elapsed = started.elapsed().as_secs_f64();
        let late = monotonic() - elapsed;
        let early = monotonic();
        let early = early - started.elapsed().as_secs_f64();
        let rounding = 1e-6;
        assert!(before <= late + rounding && early <= after + rounding);
    }
}
