//! Which words of the metadata mean something at the moment: what the tests damage.
#![forbid(unsafe_code)]
#![allow(
    clippy::arithmetic_side_effects,
    reason = "numbers of words, far below any limit"
)]

use super::file::StoreFile;
use super::handle::Store;
use super::layout::{
    Counter, ENTRY_BYTES, INTENT, INTENT_WRITES, LOCK, PROCESS_BYTES, THREAD_BYTES, THREAD_LIFE,
    THREAD_SLOTS, UNIT_BYTES,
};

/// The offsets of the words of each kind that are in use. Without the lock and without a check, so that it can be
/// asked while others are at work and after damage; offsets of a moment ago are as good.
pub(crate) fn in_use(store: &Store) -> Vec<(&'static str, Vec<u64>)> {
    let file = &store.0.file;
    let at = &file.geometry;
    let high = |counter, most| high(file, counter, most);
    let processes = high(Counter::ProcessHigh, at.process_slots);
    let threads = high(Counter::ThreadHigh, THREAD_SLOTS);
    let spans = high(Counter::SpanHigh, at.span_count);
    let entries = high(Counter::EntryHigh, at.entry_count);
    let units = high(Counter::UnitHigh, at.unit_count);
    let record = 1 + 2 * INTENT_WRITES as u64;
    let life = THREAD_LIFE / 8;
    let thread = [0, life, life + 1, life + 2, life + 3, life + 4];
    let process = [0, 1, 2, 3, 4];
    vec![
        ("header", rows(0, 8, 10, &[0])),
        ("lock", vec![LOCK]),
        ("intent record", rows(INTENT, 8, record, &[0])),
        ("counters", rows(Counter::ProcessHigh.offset(), 8, 14, &[0])),
        (
            "process slots",
            rows(at.processes, PROCESS_BYTES, processes, &process),
        ),
        (
            "thread slots",
            rows(at.threads, THREAD_BYTES, threads, &thread),
        ),
        ("handles", handles(file, processes)),
        ("span words", rows(at.spans, 8, spans, &[0])),
        (
            "entries",
            rows(at.entries, ENTRY_BYTES, entries, &[0, 1, 2, 3, 4]),
        ),
        ("units", rows(at.units, UNIT_BYTES, units, &[0, 1, 2, 3])),
    ]
}

/// A counter of at most 2^32; a damaged one names words that are not used, within what a table may have.
fn high(file: &StoreFile, counter: Counter, most: u64) -> u64 {
    let word = file.mem.get(counter.offset()) & u64::from(u32::MAX);
    word.min(most).min(1 << 12)
}

/// Words of each of `count` rows.
fn rows(start: u64, bytes: u64, count: u64, words: &[u64]) -> Vec<u64> {
    let at = |row: u64| start.saturating_add(row.saturating_mul(bytes));
    let words_of = |row| {
        words
            .iter()
            .map(move |word| at(row).saturating_add(word * 8))
    };
    (0..count).flat_map(words_of).collect()
}

/// The handles of the first process slots that were ever used.
fn handles(file: &StoreFile, processes: u64) -> Vec<u64> {
    let geometry = &file.geometry;
    let handles_of = |slot| {
        let high = file.mem.get(geometry.process(slot).saturating_add(24)) & 0xff;
        (0..high.min(geometry.handles_per_process)).map(move |handle| geometry.handle(slot, handle))
    };
    (0..processes).flat_map(handles_of).collect()
}
