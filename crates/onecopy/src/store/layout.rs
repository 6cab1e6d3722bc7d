//! Where everything stands in the memory file, and the check that a file is laid out so.
//!
//! ```text
//! offset 0                                                                          one page
//!   0  u64  magic "ONECOPY\0"          40  u64  process slots
//!   8  u64  layout version             48  u64  handles per process
//!  16  16 B uuid                       56  u64  object entries
//!  32  u64  capacity of a mapping      64  u64  units
//!                                      72  u64  check over bytes 0..72 (FNV-1a)
//! 128  u32  lock word
//! 192  u64  armed  + 16 × {u64 offset, u64 value}       the intent record (see intent.rs)
//! 512  u64 × 16  counters (`Counter`): high-water marks, hints, sums, quota
//! PAGE       process slots    64 B each   {live|generation, pid, start of life, handle high-water,
//!                                          handle bytes committed, …}
//!            thread slots    128 B each   {state|process|generation, …; at 64: life word}
//!            handle tables     8 B each   one table per process slot: object ids this process holds
//!            span words        8 B each   used|n or n at the first span of a run of n
//!            object entries   64 B each   {state|owner|generation, first span, length, count, tag|next, …}
//!            units            32 B each   {used|generation, object id, born}
//! data_start, 2 MiB aligned: the spans
//! ```
//! All words but the lock word and the start of a process's life carry a check of themselves (check.rs); in an object entry that of the
//! count covers the row, in the intent record that of `armed` covers the list.
//!
//! **Invariants.** `I1`: the geometry is a function of the capacity, so a header whose check fits
//! cannot place tables on top of each other. `I2`: all words of the metadata are accessed as atomics.
#![forbid(unsafe_code)]
#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices are checked against the geometry before they get here; 2^46 bounds every sum"
)]

use super::check;
use crate::sys::life::LIFE_BYTES;
use crate::sys::mapping::{HUGE_PAGE, PAGE};

/// "ONECOPY\0" as a little-endian word.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"ONECOPY\0");
/// Raised whenever anything in this file's table changes.
pub(crate) const LAYOUT_VERSION: u64 = 4;
/// The smallest and the largest address range of a mapping, in bytes.
pub(crate) const MIN_CAPACITY: u64 = 1 << 28;
/// See [`MIN_CAPACITY`].
pub(crate) const MAX_CAPACITY: u64 = 1 << 46;
/// The unit of store space, in bytes.
pub(crate) const SPAN: u64 = 64 << 10;

/// Offset of the lock word.
pub(crate) const LOCK: u64 = 128;
/// Offset of the intent record.
pub(crate) const INTENT: u64 = 192;
/// Writes that one intent record can hold.
pub(crate) const INTENT_WRITES: usize = 16;
const COUNTERS: u64 = 512;
/// The first offset that an intent record may name: nothing before it changes that way.
pub(crate) const FIRST_WORD: u64 = COUNTERS;
/// Bytes of the header that the check covers.
const CHECKED: usize = 72;

const _: () = assert!(INTENT + 8 + INTENT_WRITES as u64 * 16 <= COUNTERS);
const _: () = assert!(COUNTERS + 16 * 8 <= PAGE);

/// Counters of the header, changed only under the store's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Counter {
    /// Process slots ever used.
    ProcessHigh,
    /// Thread slots ever used (raised without the lock, by compare-and-swap).
    ThreadHigh,
    /// Spans below this were used at some time.
    SpanHigh,
    /// No free span is below this one.
    SpanHint,
    /// Entries ever used.
    EntryHigh,
    /// No free entry is below this one.
    EntryHint,
    /// Units ever used.
    UnitHigh,
    /// No free unit is below this one.
    UnitHint,
    /// Sum of the committed bytes of all objects.
    Allocated,
    /// Quota for `Allocated`; 0 means none.
    MaxBytes,
    /// Bytes of the span table that `fallocate` has committed.
    SpanTable,
    /// The same for the entry table.
    EntryTable,
    /// The same for the unit table.
    UnitTable,
    /// The same for the thread slots.
    ThreadTable,
}

impl Counter {
    /// All of them, in the order of their places.
    pub(crate) const ALL: [Self; 14] = [
        Self::ProcessHigh,
        Self::ThreadHigh,
        Self::SpanHigh,
        Self::SpanHint,
        Self::EntryHigh,
        Self::EntryHint,
        Self::UnitHigh,
        Self::UnitHint,
        Self::Allocated,
        Self::MaxBytes,
        Self::SpanTable,
        Self::EntryTable,
        Self::UnitTable,
        Self::ThreadTable,
    ];
    /// Bits of a counter's value, and of a watermark in a process slot: more than `MAX_CAPACITY` needs.
    pub(crate) const BITS: u32 = 47;
    /// The largest value.
    pub(crate) const MAX: u64 = (1 << Self::BITS) - 1;

    /// The word that says `value`.
    pub(crate) const fn word(self, value: u64) -> u64 {
        check::with(self.offset(), Self::BITS, value)
    }

    /// Where the counter stands.
    pub(crate) const fn offset(self) -> u64 {
        COUNTERS + 8 * self as u64
    }
}

/// Bytes of one process slot.
pub(crate) const PROCESS_BYTES: u64 = 64;
/// Bytes of one thread slot; the life word is in its second half.
pub(crate) const THREAD_BYTES: u64 = 128;
/// Where the life word stands in a thread slot.
pub(crate) const THREAD_LIFE: u64 = 64;
/// Bytes of one object entry.
pub(crate) const ENTRY_BYTES: u64 = 64;
/// Bytes of one unit.
pub(crate) const UNIT_BYTES: u64 = 32;
/// Thread slots: the lock word has 15 bits for the slot number plus one.
pub(crate) const THREAD_SLOTS: u64 = (1 << 15) - 1;

const _: () = assert!(THREAD_LIFE + LIFE_BYTES <= THREAD_BYTES);

/// Places of all tables, computed from the capacity (I1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) capacity: u64,
    pub(crate) process_slots: u64,
    pub(crate) handles_per_process: u64,
    pub(crate) span_count: u64,
    pub(crate) entry_count: u64,
    pub(crate) unit_count: u64,
    pub(crate) processes: u64,
    pub(crate) threads: u64,
    pub(crate) handles: u64,
    pub(crate) spans: u64,
    pub(crate) entries: u64,
    pub(crate) units: u64,
    pub(crate) meta_len: u64,
    pub(crate) data_start: u64,
}

impl Geometry {
    /// The geometry for mappings of `capacity` bytes: a power of two of at least 256 MiB.
    pub(crate) fn new(capacity: u64) -> Option<Self> {
        if !capacity.is_power_of_two() || !(MIN_CAPACITY..=MAX_CAPACITY).contains(&capacity) {
            return None;
        }
        // A 64th of the address range at most goes to handle tables, which are sparse.
        let process_slots = (capacity >> 24).clamp(256, 4096);
        let handles_per_process = ((capacity >> 6) / process_slots / 8).min(1 << 20);
        let span_count = capacity / SPAN;
        let entry_count = span_count.min(1 << 22);
        let unit_count = span_count.min(1 << 20);
        let mut end = PAGE;
        let mut table = |bytes: u64| {
            let start = end;
            end = (end + bytes).next_multiple_of(PAGE);
            start
        };
        let processes = table(process_slots * PROCESS_BYTES);
        let threads = table(THREAD_SLOTS * THREAD_BYTES);
        let handles = table(process_slots * handles_per_process * 8);
        let spans = table(span_count * 8);
        let entries = table(entry_count * ENTRY_BYTES);
        let units = table(unit_count * UNIT_BYTES);
        let meta_len = end;
        // At least a page between metadata and data stays without access: a guard.
        let data_start = (meta_len + PAGE).next_multiple_of(HUGE_PAGE);
        Some(Self {
            capacity,
            process_slots,
            handles_per_process,
            span_count: (capacity - data_start) / SPAN,
            entry_count,
            unit_count,
            processes,
            threads,
            handles,
            spans,
            entries,
            units,
            meta_len,
            data_start,
        })
    }

    /// What a high-water mark counts: how many there can be, bytes of each, and what says how many bytes of their
    /// table are committed.
    pub(crate) fn table_of(&self, high: Counter) -> (u64, u64, Option<Counter>) {
        match high {
            Counter::ThreadHigh => (THREAD_SLOTS, THREAD_BYTES, Some(Counter::ThreadTable)),
            Counter::SpanHigh => (self.span_count, 8, Some(Counter::SpanTable)),
            Counter::EntryHigh => (self.entry_count, ENTRY_BYTES, Some(Counter::EntryTable)),
            Counter::UnitHigh => (self.unit_count, UNIT_BYTES, Some(Counter::UnitTable)),
            _ => (self.process_slots, PROCESS_BYTES, None),
        }
    }

    /// Offset of process slot `slot`.
    pub(crate) fn process(&self, slot: u64) -> u64 {
        self.processes + slot * PROCESS_BYTES
    }

    /// Offset of thread slot `slot`.
    pub(crate) fn thread(&self, slot: u64) -> u64 {
        self.threads + slot * THREAD_BYTES
    }

    /// Offset of handle `handle` of process slot `slot`.
    pub(crate) fn handle(&self, slot: u64, handle: u64) -> u64 {
        self.handles + (slot * self.handles_per_process + handle) * 8
    }

    /// Offset of the word of span `span`.
    pub(crate) fn span_word(&self, span: u64) -> u64 {
        self.spans + span * 8
    }

    /// Offset of the data of span `span`.
    pub(crate) fn span_data(&self, span: u64) -> u64 {
        self.data_start + span * SPAN
    }

    /// Offset of object entry `entry`.
    pub(crate) fn entry(&self, entry: u64) -> u64 {
        self.entries + entry * ENTRY_BYTES
    }

    /// Offset of unit `unit`.
    pub(crate) fn unit(&self, unit: u64) -> u64 {
        self.units + unit * UNIT_BYTES
    }
}

/// The immutable first bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) uuid: [u8; 16],
    pub(crate) geometry: Geometry,
}

impl Header {
    /// The header's words in order of their offsets.
    pub(crate) fn words(&self) -> [u64; CHECKED / 8 + 1] {
        let (low, high) = self.uuid.split_at(8);
        let word = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0u64, |word, byte| word << 8 | u64::from(*byte))
        };
        let geometry = &self.geometry;
        let mut words = [
            MAGIC,
            LAYOUT_VERSION,
            word(low),
            word(high),
            geometry.capacity,
            geometry.process_slots,
            geometry.handles_per_process,
            geometry.entry_count,
            geometry.unit_count,
            0,
        ];
        let [checked @ .., check] = &mut words;
        *check = fnv1a(checked);
        words
    }

    /// Reads a header back from the first bytes of a file.
    ///
    /// # Errors
    /// What differs from a header that this version writes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut words = [0u64; CHECKED / 8 + 1];
        let (chunks, _) = bytes.as_chunks::<8>();
        if chunks.len() < words.len() {
            return Err("the file is shorter than a header");
        }
        for (word, chunk) in words.iter_mut().zip(chunks) {
            *word = u64::from_le_bytes(*chunk);
        }
        let [magic, version, low, high, capacity, ..] = words;
        if magic != MAGIC {
            return Err("it does not begin with the magic number");
        }
        if version != LAYOUT_VERSION {
            return Err("its layout version is not the one of this build");
        }
        let geometry = Geometry::new(capacity).ok_or("its capacity is impossible")?;
        let mut uuid = [0; 16];
        let (first, second) = uuid.split_at_mut(8);
        first.copy_from_slice(&low.to_le_bytes());
        second.copy_from_slice(&high.to_le_bytes());
        let header = Self { uuid, geometry };
        if header.words() != words {
            return Err("its header does not match its check");
        }
        Ok(header)
    }
}

fn fnv1a(words: &[u64]) -> u64 {
    words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_follow_each_other_without_overlap() {
        for bits in 28..=46 {
            let geometry = Geometry::new(1 << bits).unwrap();
            let ends = [
                (geometry.processes, geometry.process_slots * PROCESS_BYTES),
                (geometry.threads, THREAD_SLOTS * THREAD_BYTES),
                (
                    geometry.handles,
                    geometry.process_slots * geometry.handles_per_process * 8,
                ),
                (geometry.spans, geometry.span_count * 8),
                (geometry.entries, geometry.entry_count * ENTRY_BYTES),
                (geometry.units, geometry.unit_count * UNIT_BYTES),
                (geometry.data_start, geometry.span_count * SPAN),
                (geometry.capacity, 0),
            ];
            for pair in ends.windows(2) {
                assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{bits}: {pair:?}");
            }
        }
        assert!(Geometry::new(1 << 27).is_none());
        assert!(Geometry::new((1 << 30) + 1).is_none());
    }

    #[test]
    fn a_header_survives_the_round_trip_and_no_change_goes_unseen() {
        let header = Header {
            uuid: [7; 16],
            geometry: Geometry::new(1 << 36).unwrap(),
        };
        let bytes: Vec<u8> = header
            .words()
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        assert_eq!(Header::parse(&bytes), Ok(header));
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert!(Header::parse(&changed).is_err(), "byte {index}");
        }
        assert!(Header::parse(&bytes[..79]).is_err());
    }
}
