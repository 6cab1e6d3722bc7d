//! What the kernel reports of page faults, forks and programs, in the order in which it happened.
//!
//! Each processor, or each thread, has a ring of its own, because an event that children inherit cannot be
//! mapped otherwise. A task that moves from one processor to another leaves its records in two rings, so
//! they are put in order by their times. What is younger than the beginning of a look at the rings waits
//! for the next one: everything older is in some ring by then.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::thread;

use perf_event::events::Software;
use perf_event::{Builder, Clock, ReadFormat, SampleFlag, Sampler};
use rustix::time::{ClockId, clock_gettime};

/// Bytes of each ring: what is tried, and what an unprivileged user may lock, 516 KiB per processor for
/// all rings together.
const RING: usize = 8 << 20;
const SMALL_RING: usize = 256 << 10;
/// The same for the rings with copies of stacks.
const STACK_RING: usize = 2 << 20;
const SMALL_STACK_RING: usize = 128 << 10;
/// The smallest ring that is worth having.
const LEAST_RING: usize = 16 << 10;
/// Every so many faults the stack itself is copied, to look for frames of Python in it; a prime.
const STACK_PERIOD: u64 = 61;
/// Bytes of the stack that are copied.
const STACK_BYTES: u32 = 4096;
/// Frames of a stack that are kept.
const FRAMES: usize = 12;

const RECORD_LOST: u32 = 2;
const RECORD_COMM: u32 = 3;
const RECORD_EXIT: u32 = 4;
const RECORD_FORK: u32 = 7;
const RECORD_SAMPLE: u32 = 9;
/// `PERF_RECORD_MISC_COMM_EXEC`: the name changed because another program was started.
const IS_EXEC: u16 = 1 << 13;
/// Numbers from here on in a call chain are marks, not addresses.
const MARKS: u64 = u64::MAX - 4095;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A page fault: its address, and the addresses of its call chain, innermost first.
    Fault(u64, Vec<u64>),
    /// The same: its address, what was running, and the words that were on the stack.
    Words(u64, u64, Vec<u64>),
    /// This process was forked from the other.
    Fork(u32),
    /// It started another program.
    Exec,
    /// It ended.
    Exit,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// On the monotonic clock.
    pub(super) ns: u64,
    pub(super) pid: u32,
    pub(super) kind: Kind,
}

/// All rings.
#[derive(Default)]
pub(super) struct Rings {
    faults: Vec<Sampler>,
    stacks: Vec<Sampler>,
    /// Not in order yet.
    waiting: Vec<Event>,
    /// Lost records that the rings themselves tell of.
    lost: u64,
}

impl Rings {
    /// Rings for what the calling thread starts from now on, and the children of that.
    pub(super) fn of_children() -> io::Result<Self> {
        Self::of_children_with([RING, SMALL_RING])
    }

    fn of_children_with(sizes: [usize; 2]) -> io::Result<Self> {
        let processors = thread::available_parallelism()?.get();
        let online = processors_online().unwrap_or_else(|| (0..processors).collect());
        let rings = |builder: fn() -> Builder<'static>, sizes: [usize; 2]| {
            let mut rings = Vec::new();
            let mut failure = None;
            for cpu in &online {
                let mut builder = builder();
                builder.observe_self().one_cpu(*cpu).inherit(true);
                match mapped(&mut builder, sizes) {
                    Ok(ring) => rings.push(ring),
                    // A processor that is not there any more runs nothing.
                    Err(error) => failure = Some(error),
                }
            }
            match (rings.is_empty(), failure) {
                (true, Some(error)) => Err(error),
                _ => Ok(rings),
            }
        };
        Ok(Self {
            faults: rings(faults, sizes)?,
            // Without these there are no Python frames, and all else is as good.
            stacks: rings(stacks, [STACK_RING, SMALL_STACK_RING]).unwrap_or_default(),
            ..Self::default()
        })
    }

    /// Rings for all threads of these processes, but not for what they start.
    pub(super) fn of_processes(pids: &[u32]) -> io::Result<Self> {
        let threads: Vec<u32> = pids.iter().flat_map(|pid| threads(*pid)).collect();
        // The limit is for all rings of a user together.
        let count = threads.len().max(1);
        let share = |bytes: usize| (1usize << (bytes / count).max(1).ilog2()).max(LEAST_RING);
        let mut rings = Self::default();
        let mut failure = None;
        for thread in threads {
            let ring = |mut builder: Builder<'static>, sizes: [usize; 2]| {
                builder.observe_pid(thread.cast_signed()).any_cpu();
                mapped(&mut builder, sizes.map(share))
            };
            match ring(faults(), [RING, SMALL_RING]) {
                Ok(ring) => rings.faults.push(ring),
                // A thread that has ended meanwhile writes nothing.
                Err(error) if is_gone(&error) => {}
                Err(error) => failure = Some(error),
            }
            let stacks = ring(stacks(), [STACK_RING, SMALL_STACK_RING]);
            rings.stacks.extend(stacks);
        }
        // A part of the threads would be a part shown as the whole.
        failure.map_or(Ok(rings), Err)
    }

    /// What has happened since the last time, in order. With `all`, everything that is there.
    pub(super) fn read(&mut self, all: bool) -> Vec<Event> {
        let now = now_ns();
        let rings = self.faults.iter_mut().map(|ring| (true, ring));
        for (is_fault, ring) in rings.chain(self.stacks.iter_mut().map(|ring| (false, ring))) {
            while let Some(record) = ring.next_record() {
                let bytes = record.to_contiguous();
                if record.ty() == RECORD_LOST && is_fault {
                    self.lost += word(&bytes, 1).unwrap_or(0);
                }
                let found = event(record.ty(), record.misc(), &bytes, is_fault);
                self.waiting.extend(found);
            }
        }
        // Stable: what one ring has in one order stays in it.
        self.waiting.sort_by_key(|event| event.ns);
        let ready = self.waiting.partition_point(|event| all || event.ns < now);
        self.waiting.drain(..ready).collect()
    }

    /// Faults that the kernel had no room to record.
    pub(super) fn lost(&mut self) -> u64 {
        // A ring says what was lost with the next record that fits; the counter knows at once.
        let counted = self.faults.iter_mut().map(|ring| {
            let data = ring.as_counter_mut().read_full().ok();
            data.and_then(|data| data.lost()).unwrap_or(0)
        });
        counted.sum::<u64>().max(self.lost)
    }
}

/// The time that records carry.
pub(super) fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let ns = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    u64::try_from(ns).unwrap_or(0)
}

/// Opens the event with the first size of ring that may be had, and where it can be, with a counter of
/// lost records (Linux 6.0).
fn mapped(builder: &mut Builder<'_>, sizes: [usize; 2]) -> io::Result<Sampler> {
    let [large, small] = sizes;
    for format in [ReadFormat::LOST, ReadFormat::empty()] {
        builder.read_format(format);
        let counter = match builder.build() {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                continue;
            }
            other => other?,
        };
        return match counter.sampled(large) {
            Ok(sampler) => Ok(sampler),
            Err(_) => builder.build()?.sampled(small),
        };
    }
    builder.build()?.sampled(small)
}

fn faults() -> Builder<'static> {
    let mut builder = Builder::new(Software::PAGE_FAULTS);
    builder
        .sample_period(1)
        .sample(
            SampleFlag::IP
                | SampleFlag::TID
                | SampleFlag::TIME
                | SampleFlag::ADDR
                | SampleFlag::CALLCHAIN,
        )
        .exclude_callchain_kernel(true)
        .sample_max_stack(u16::try_from(FRAMES).unwrap_or(u16::MAX))
        .clockid(Clock::MONOTONIC)
        // Forks, ends, and the programs that are started.
        .task(true)
        .comm(true)
        .comm_exec(true)
        .sample_id_all(true)
        .enabled(true);
    builder
}

fn stacks() -> Builder<'static> {
    let mut builder = Builder::new(Software::PAGE_FAULTS);
    builder
        .sample_period(STACK_PERIOD)
        .sample(
            SampleFlag::IP
                | SampleFlag::TID
                | SampleFlag::TIME
                | SampleFlag::ADDR
                | SampleFlag::STACK_USER,
        )
        .sample_stack_user(STACK_BYTES)
        .clockid(Clock::MONOTONIC)
        .enabled(true);
    builder
}

/// Reads one record.
fn event(ty: u32, misc: u16, bytes: &[u8], is_fault: bool) -> Option<Event> {
    match ty {
        RECORD_SAMPLE if is_fault => fault(bytes),
        RECORD_SAMPLE => words(bytes),
        // `u32 pid, ppid; u32 tid, ptid; u64 time`, of threads, too.
        RECORD_FORK | RECORD_EXIT if is_fault => {
            let ((pid, parent), (thread, _)) = (halves(word(bytes, 0)?), halves(word(bytes, 1)?));
            let kind = if ty == RECORD_FORK {
                Kind::Fork(parent)
            } else {
                Kind::Exit
            };
            let is_process = if ty == RECORD_FORK {
                pid != parent
            } else {
                pid == thread
            };
            let ns = word(bytes, 2)?;
            is_process.then_some(Event { ns, pid, kind })
        }
        // `u32 pid, tid; char comm[]; u32 pid, tid; u64 time`.
        RECORD_COMM if is_fault && misc & IS_EXEC != 0 => Some(Event {
            ns: word(bytes, (bytes.len() / 8).checked_sub(1)?)?,
            pid: halves(word(bytes, 0)?).0,
            kind: Kind::Exec,
        }),
        _ => None,
    }
}

/// `u64 ip; u32 pid, tid; u64 time; u64 addr; u64 nr; u64 ips[nr]`.
fn fault(bytes: &[u8]) -> Option<Event> {
    let (ip, address) = (word(bytes, 0)?, word(bytes, 3)?);
    let count = word(bytes, 4).unwrap_or(0);
    let chain = (0..count).map_while(|index| word(bytes, 5 + index as usize));
    let mut addresses: Vec<u64> = chain.filter(|address| *address < MARKS).collect();
    if addresses.first() != Some(&ip) {
        addresses.insert(0, ip);
    }
    addresses.truncate(FRAMES);
    Some(Event {
        ns: word(bytes, 2)?,
        pid: halves(word(bytes, 1)?).0,
        kind: Kind::Fault(address, addresses),
    })
}

/// `u64 ip; u32 pid, tid; u64 time; u64 addr; u64 size; char data[size]; u64 used`.
fn words(bytes: &[u8]) -> Option<Event> {
    let size = word(bytes, 4)?;
    let used = word(bytes, 5 + (size / 8) as usize)
        .unwrap_or(size)
        .min(size);
    let words = (0..used / 8).map_while(|index| word(bytes, 5 + index as usize));
    Some(Event {
        ns: word(bytes, 2)?,
        pid: halves(word(bytes, 1)?).0,
        kind: Kind::Words(word(bytes, 3)?, word(bytes, 0)?, words.collect()),
    })
}

fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

fn word(bytes: &[u8], index: usize) -> Option<u64> {
    let part = bytes.get(index.checked_mul(8)?..)?.get(..8)?;
    Some(u64::from_ne_bytes(part.try_into().ok()?))
}

fn threads(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"));
    let names = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect()
}

fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

fn processors_online() -> Option<Vec<usize>> {
    let text = fs::read_to_string("/sys/devices/system/cpu/online").ok()?;
    let mut found = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        found.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn ids(pid: u32, other: u32) -> u64 {
        u64::from(pid) | u64::from(other) << 32
    }

    #[test]
    fn records_are_read_as_the_kernel_lays_them_out() {
        let chain = bytes(&[0x10, ids(7, 8), 99, 0x5000, 3, MARKS + 1, 0x10, 0x20]);
        let found = event(RECORD_SAMPLE, 0, &chain, true).unwrap();
        assert_eq!((found.pid, found.ns), (7, 99));
        assert_eq!(found.kind, Kind::Fault(0x5000, vec![0x10, 0x20]));
        // Of the stack's copy only what was in use: here two words of three.
        let stack = bytes(&[0x30, ids(7, 7), 98, 0x6000, 24, 1, 2, 3, 16]);
        let found = event(RECORD_SAMPLE, 0, &stack, false).unwrap();
        assert_eq!((found.pid, found.ns), (7, 98));
        assert_eq!(found.kind, Kind::Words(0x6000, 0x30, vec![1, 2]));
        let fork = bytes(&[ids(9, 7), ids(9, 7), 97, 0, 0]);
        let found = event(RECORD_FORK, 0, &fork, true).unwrap();
        assert_eq!((found.pid, found.ns, found.kind), (9, 97, Kind::Fork(7)));
        let exit = bytes(&[ids(9, 7), ids(9, 7), 96, 0, 0]);
        assert_eq!(event(RECORD_EXIT, 0, &exit, true).unwrap().kind, Kind::Exit);
        let name = bytes(&[ids(9, 9), u64::from_ne_bytes(*b"program\0"), ids(9, 9), 95]);
        let found = event(RECORD_COMM, IS_EXEC, &name, true).unwrap();
        assert_eq!((found.pid, found.ns, found.kind), (9, 95, Kind::Exec));
    }

    #[test]
    fn threads_are_no_processes_and_half_a_record_is_none() {
        let thread = bytes(&[ids(9, 9), ids(10, 9), 97, 0, 0]);
        assert_eq!(event(RECORD_FORK, 0, &thread, true), None);
        assert_eq!(event(RECORD_EXIT, 0, &thread, true), None);
        let renamed = bytes(&[ids(9, 9), 0, ids(9, 9), 95]);
        assert_eq!(event(RECORD_COMM, 0, &renamed, true), None);
        let whole = bytes(&[0x10, ids(7, 8), 99, 0x5000, 3, 0x10, 0x20, 0x30]);
        for len in 0..24 {
            assert_eq!(event(RECORD_SAMPLE, 0, &whole[..len], true), None);
        }
    }

    #[test]
    fn what_did_not_fit_into_a_ring_is_counted_as_lost() {
        // A page has room for some forty faults; starting this program takes hundreds.
        let mut rings = match Rings::of_children_with([4096, 4096]) {
            Ok(rings) => rings,
            Err(error) => {
                skip::skipped(format_args!("{error}; rings that overflow were NOT tried"));
                return;
            }
        };
        let run = || {
            let mut this = std::process::Command::new(std::env::current_exe().unwrap());
            this.arg("--list").output().unwrap()
        };
        assert!(run().status.success());
        let events = rings.read(true);
        let lost = rings.lost();
        assert!(
            events
                .iter()
                .any(|event| matches!(event.kind, Kind::Fault(..)))
        );
        assert!(lost > 0, "{} events", events.len());
        assert!(events.is_sorted_by_key(|event| event.ns));
        // What is lost once stays lost, and more comes on top.
        run();
        rings.read(true);
        assert!(rings.lost() > lost);
    }
}
