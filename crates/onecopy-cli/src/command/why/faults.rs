//! Page faults as they happen: for each process and page, the stack that touched it last.
//!
//! fork copies page tables of private memory, so reading inherited pages causes no faults: a fault on a
//! page that turns out copied was the write. The kernel reports each one (`perf_event_open(2)`, software
//! event `page-faults`, period 1) to its own ring per processor, because an event that children inherit
//! cannot be mapped otherwise. Faults while the kernel itself writes, in `read(2)` for example, are not
//! shown to unprivileged users; such pages stay unattributed.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use onecopy_meter::{Mapping, Proc};
use perf_event::events::Software;
use perf_event::{Builder, SampleFlag, Sampler};

/// Bytes of each ring: what is tried, and what an unprivileged user may lock, 516 KiB per processor for
/// all rings together.
const RING: usize = 8 << 20;
const SMALL_RING: usize = 256 << 10;
/// The same for the rings with copies of stacks.
const STACK_RING: usize = 2 << 20;
const SMALL_STACK_RING: usize = 128 << 10;
/// Pauses between two looks at empty rings.
const PAUSE: Duration = Duration::from_millis(2);
/// Every so many faults the stack itself is copied, to look for frames of Python in it; a prime.
const STACK_PERIOD: u64 = 61;
/// Bytes of the stack that are copied.
const STACK_BYTES: u32 = 4096;
/// Pages that are remembered, over all processes: about a gigabyte of tables.
const MOST: usize = 1 << 24;
/// Frames of a stack that are kept.
const FRAMES: usize = 12;

const RECORD_LOST: u32 = 2;
const RECORD_SAMPLE: u32 = 9;
/// Numbers from here on in a call chain are marks, not addresses.
const MARKS: u64 = u64::MAX - 4095;

/// One place in the code: a file and an offset in it, or an address that belongs to no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Frame {
    /// Index into [`Faults::files`]; `NO_FILE` for memory without one.
    pub(crate) file: u32,
    /// Offset in the file, or the address.
    pub(crate) offset: u64,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Index into [`Faults::stacks`].
    pub(crate) stack: u32,
    /// When it was noticed, in milliseconds since the recording began.
    pub(crate) ms: u32,
}

/// What [`Frame::file`] is for code that lies in no file: compiled while the program ran.
pub(crate) const NO_FILE: u32 = u32::MAX;

/// Everything that was recorded.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// The last fault by process and page.
    pub(crate) pages: HashMap<u32, HashMap<u64, Fault>>,
    /// When each process had its first fault, which is soon after it was forked; in milliseconds.
    pub(crate) first_ms: HashMap<u32, u32>,
    /// Innermost frame first.
    pub(crate) stacks: Vec<Vec<Frame>>,
    pub(crate) files: Vec<String>,
    /// For every so many faults: process, page, and the compiled code whose addresses were found on the
    /// stack, innermost first. CPython is built without frame pointers, so a call chain ends at its first
    /// function, but each Python function that is running has left a return address there.
    pub(crate) compiled: Vec<(u32, u64, Vec<u64>)>,
    /// Faults that the kernel had no room to record.
    pub(crate) lost: u64,
    /// Faults that this process had no room to remember.
    pub(crate) dropped: u64,
}

/// A recorder that has been started.
pub(crate) struct Recorder {
    stop: Sender<()>,
    thread: JoinHandle<Faults>,
}

impl Recorder {
    /// Records what the calling thread starts from now on, and the children of that.
    pub(crate) fn of_children() -> io::Result<Self> {
        let processors = thread::available_parallelism()?.get();
        let online = processors_online().unwrap_or_else(|| (0..processors).collect());
        let rings = |builder: fn() -> Builder<'static>, sizes: [usize; 2]| {
            let mut rings = Vec::new();
            let mut failure = None;
            for cpu in &online {
                let mut builder = builder();
                match mapped(builder.observe_self().one_cpu(*cpu).inherit(true), sizes) {
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
        let faults = rings(builder, [RING, SMALL_RING])?;
        // Without these there are no Python frames, and all else is as good.
        let stacks = rings(stack_builder, [STACK_RING, SMALL_STACK_RING]).unwrap_or_default();
        Ok(Self::start(faults, stacks))
    }

    /// Records these processes, but not what they start.
    pub(crate) fn of_processes(pids: &[u32]) -> io::Result<Self> {
        let (mut faults, mut stacks) = (Vec::new(), Vec::new());
        // The limit is for all rings of a user together.
        let share = |bytes: usize| (bytes / pids.len().max(1)).max(16 << 10);
        for pid in pids {
            let pid = pid.cast_signed();
            let sizes = [share(RING), share(SMALL_RING)];
            faults.push(mapped(builder().observe_pid(pid).any_cpu(), sizes)?);
            let sizes = [share(STACK_RING), share(SMALL_STACK_RING)];
            stacks.extend(mapped(stack_builder().observe_pid(pid).any_cpu(), sizes));
        }
        Ok(Self::start(faults, stacks))
    }

    fn start(faults: Vec<Sampler>, stacks: Vec<Sampler>) -> Self {
        let (stop, stopped) = channel();
        Self {
            stop,
            thread: thread::spawn(move || Table::default().run(faults, stacks, &stopped)),
        }
    }

    /// Ends the recording.
    pub(crate) fn stop(self) -> Faults {
        let _ = self.stop.send(());
        self.thread.join().unwrap_or_default()
    }
}

/// Opens the event with the first size of ring that may be had.
fn mapped(builder: &Builder<'_>, sizes: [usize; 2]) -> io::Result<Sampler> {
    let [large, small] = sizes;
    match builder.build()?.sampled(large) {
        Ok(sampler) => Ok(sampler),
        Err(_) => builder.build()?.sampled(small),
    }
}

fn builder() -> Builder<'static> {
    let mut builder = Builder::new(Software::PAGE_FAULTS);
    builder
        .sample_period(1)
        .sample(SampleFlag::IP | SampleFlag::TID | SampleFlag::ADDR | SampleFlag::CALLCHAIN)
        .exclude_callchain_kernel(true)
        .sample_max_stack(u16::try_from(FRAMES).unwrap_or(u16::MAX))
        .enabled(true);
    builder
}

fn stack_builder() -> Builder<'static> {
    let mut builder = Builder::new(Software::PAGE_FAULTS);
    builder
        .sample_period(STACK_PERIOD)
        .sample(SampleFlag::TID | SampleFlag::ADDR | SampleFlag::STACK_USER)
        .sample_stack_user(STACK_BYTES)
        .enabled(true);
    builder
}

fn processors_online() -> Option<Vec<usize>> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").ok()?;
    let mut found = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        found.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(found)
}

/// The tables while faults come in.
#[derive(Debug, Default)]
struct Table {
    faults: Faults,
    count: usize,
    known_stacks: HashMap<Vec<Frame>, u32>,
    known_files: HashMap<String, u32>,
    maps: HashMap<u32, Vec<Mapping>>,
    page_size: u64,
    now_ms: u32,
}

impl Table {
    fn run(
        mut self,
        mut faults: Vec<Sampler>,
        mut stacks: Vec<Sampler>,
        stopped: &Receiver<()>,
    ) -> Faults {
        self.page_size = Proc::default().page_size();
        let own = std::process::id();
        let mut pause = PAUSE;
        let begun = Instant::now();
        loop {
            self.now_ms = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
            let ended = !matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout));
            let mut found = 0;
            let rings = faults.iter_mut().map(|ring| (true, ring));
            for (is_fault, ring) in rings.chain(stacks.iter_mut().map(|ring| (false, ring))) {
                while let Some(record) = ring.next_record() {
                    found += 1;
                    let bytes = record.to_contiguous();
                    match (record.ty(), is_fault) {
                        (RECORD_SAMPLE, true) => self.sample(&bytes, own),
                        (RECORD_SAMPLE, false) => self.stack_copy(&bytes, own),
                        (RECORD_LOST, true) => self.faults.lost += word(&bytes, 1).unwrap_or(0),
                        _ => {}
                    }
                }
            }
            if ended {
                return self.faults;
            }
            // Where many come, more have come meanwhile.
            pause = if found > 64 { Duration::ZERO } else { PAUSE };
        }
    }

    /// `u32 pid, tid; u64 addr; u64 size; char data[size]; u64 used`.
    fn stack_copy(&mut self, bytes: &[u8], own: u32) {
        let (Some(ids), Some(address), Some(size)) =
            (word(bytes, 0), word(bytes, 1), word(bytes, 2))
        else {
            return;
        };
        let pid = (ids & u64::from(u32::MAX)) as u32;
        if pid == own {
            return;
        }
        let words = (0..size / 8).map_while(|index| word(bytes, 3 + index as usize));
        let found: Vec<u64> = words.filter(|word| self.is_compiled(pid, *word)).collect();
        if !found.is_empty() {
            self.faults
                .compiled
                .push((pid, address / self.page_size, found));
        }
    }

    /// Whether an address lies in code that belongs to no file.
    fn is_compiled(&self, pid: u32, address: u64) -> bool {
        let Some(maps) = self.maps.get(&pid) else {
            return false;
        };
        let index = maps.partition_point(|mapping| mapping.end <= address);
        let mapping = maps.get(index).filter(|mapping| mapping.start <= address);
        mapping.is_some_and(|mapping| mapping.name.is_empty() && mapping.permissions.contains('x'))
    }

    /// `u64 ip; u32 pid, tid; u64 addr; u64 nr; u64 ips[nr]`.
    fn sample(&mut self, bytes: &[u8], own: u32) {
        let (Some(ip), Some(ids), Some(address)) = (word(bytes, 0), word(bytes, 1), word(bytes, 2))
        else {
            return;
        };
        let pid = (ids & u64::from(u32::MAX)) as u32;
        if pid == own {
            return;
        }
        let count = word(bytes, 3).unwrap_or(0);
        let chain = (0..count).map_while(|index| word(bytes, 4 + index as usize));
        let mut addresses: Vec<u64> = chain.filter(|address| *address < MARKS).collect();
        if addresses.first() != Some(&ip) {
            addresses.insert(0, ip);
        }
        addresses.truncate(FRAMES);
        let fault = Fault {
            stack: self.stack(pid, &addresses),
            ms: self.now_ms,
        };
        self.faults.first_ms.entry(pid).or_insert(self.now_ms);
        let pages = self.faults.pages.entry(pid).or_default();
        if self.count >= MOST {
            self.faults.dropped += 1;
        } else if pages.insert(address / self.page_size, fault).is_none() {
            self.count += 1;
        }
    }

    fn stack(&mut self, pid: u32, addresses: &[u64]) -> u32 {
        let frames: Vec<Frame> = addresses
            .iter()
            .map(|address| self.frame(pid, *address))
            .collect();
        if let Some(known) = self.known_stacks.get(&frames) {
            return *known;
        }
        let number = self.faults.stacks.len() as u32;
        self.faults.stacks.push(frames.clone());
        self.known_stacks.insert(frames, number);
        number
    }

    fn frame(&mut self, pid: u32, address: u64) -> Frame {
        let nowhere = Frame {
            file: NO_FILE,
            offset: address,
        };
        if self.mapping(pid, address).is_none() {
            // Mapped since, or another program by now.
            let maps = Proc::default().maps(pid).unwrap_or_default();
            if !maps.is_empty() {
                self.maps.insert(pid, maps);
            }
        }
        let Some((path, offset)) = self.mapping(pid, address) else {
            return nowhere;
        };
        if !path.starts_with('/') {
            return nowhere;
        }
        let known = self.known_files.get(&path).copied();
        let file = known.unwrap_or_else(|| {
            let number = self.faults.files.len() as u32;
            self.faults.files.push(path.clone());
            self.known_files.insert(path, number);
            number
        });
        Frame { file, offset }
    }

    fn mapping(&self, pid: u32, address: u64) -> Option<(String, u64)> {
        let maps = self.maps.get(&pid)?;
        let index = maps.partition_point(|mapping| mapping.end <= address);
        let mapping = maps.get(index).filter(|mapping| mapping.start <= address)?;
        Some((
            mapping.name.clone(),
            address - mapping.start + mapping.offset,
        ))
    }
}

fn word(bytes: &[u8], index: usize) -> Option<u64> {
    let part = bytes.get(index * 8..index * 8 + 8)?;
    Some(u64::from_ne_bytes(part.try_into().ok()?))
}
