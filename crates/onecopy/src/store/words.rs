//! Which words of the metadata mean something at the moment: what the tests damage.
#![forbid(unsafe_code)]
#![allow(
    clippy::arithmetic_side_effects,
    reason = "numbers of words, far below any limit"
)]

use super::handle::Store;
use super::layout::{
    Counter, ENTRY_BYTES, INTENT, INTENT_WRITES, LOCK, PROCESS_BYTES, THREAD_BYTES, THREAD_LIFE,
    UNIT_BYTES,
};

/// The offsets of the words of each kind that are in use. Without the lock and without a check, so that it can be
/// asked while others are at work and after damage; offsets of a moment ago are as good.
pub(crate) fn in_use(store: &Store) -> Vec<(&'static str, Vec<u64>)> {
    let file = &store.0.file;
    let geometry = &file.geometry;
    // Counters of at most 2^32; a damaged one names words that are not used, within what a table may have.
    let high = |counter: Counter, most: u64| {
        let word = file.mem.get(counter.offset()) & u64::from(u32::MAX);
        word.min(most).min(1 << 12)
    };
    let rows = |start: u64, bytes: u64, count: u64, words: &[u64]| {
        let at = |row: u64| start.saturating_add(row.saturating_mul(bytes));
        let row_words = |row| {
            words
                .iter()
                .map(move |word| at(row).saturating_add(word * 8))
        };
        (0..count).flat_map(row_words).collect::<Vec<_>>()
    };
    let processes = high(Counter::ProcessHigh, geometry.process_slots);
    let threads = high(Counter::ThreadHigh, super::layout::THREAD_SLOTS);
    let life = THREAD_LIFE / 8;
    let handles = (0..processes).flat_map(|slot| {
        let high = file.mem.get(geometry.process(slot).saturating_add(24)) & 0xff;
        (0..high.min(geometry.handles_per_process)).map(move |handle| (slot, handle))
    });
    vec![
        ("header", rows(0, 8, 10, &[0])),
        ("lock", vec![LOCK]),
        (
            "intent record",
            rows(INTENT, 8, 1 + 2 * INTENT_WRITES as u64, &[0]),
        ),
        ("counters", rows(Counter::ProcessHigh.offset(), 8, 14, &[0])),
        (
            "process slots",
            rows(
                geometry.processes,
                PROCESS_BYTES,
                processes,
                &[0, 1, 2, 3, 4],
            ),
        ),
        (
            "thread slots",
            rows(
                geometry.threads,
                THREAD_BYTES,
                threads,
                &[0, life, life + 1, life + 2, life + 3, life + 4],
            ),
        ),
        (
            "handles",
            handles
                .map(|(slot, handle)| geometry.handle(slot, handle))
                .collect(),
        ),
        (
            "span words",
            rows(
                geometry.spans,
                8,
                high(Counter::SpanHigh, geometry.span_count),
                &[0],
            ),
        ),
        (
            "entries",
            rows(
                geometry.entries,
                ENTRY_BYTES,
                high(Counter::EntryHigh, geometry.entry_count),
                &[0, 1, 2, 3],
            ),
        ),
        (
            "units",
            rows(
                geometry.units,
                UNIT_BYTES,
                high(Counter::UnitHigh, geometry.unit_count),
                &[0, 1, 2],
            ),
        ),
    ]
}
