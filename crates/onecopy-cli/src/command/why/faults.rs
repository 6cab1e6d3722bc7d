//! Page faults, by program and page: the stack that touched each page last.
//!
//! fork copies page tables of private memory, so reading inherited pages causes no faults: a fault on a
//! page that turns out copied was the write. The kernel reports each one (`perf_event_open(2)`, software
//! event `page-faults`, period 1). Faults while the kernel itself writes, in `read(2)` for example, are
//! not shown to unprivileged users; such pages stay unattributed.
//!
//! ```text
//! fork ─▶ a program of its own, of its parent's family ─▶ exec: another program, a family of its own
//!                                                      ─▶ exit: kept until it has been settled
//! ```
//! **Invariants**
//! - I1: a program has faults from its own fork on, or from the first fork that it made itself: before,
//!   nothing that it wrote to can have been copied.
//! - I2: faults of one program never explain pages of another that is no relative by fork.
#![forbid(unsafe_code)]

mod stacks;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use onecopy_meter::{Mapping, Proc, holding};

pub(super) use stacks::{Frame, NO_FILE};
use stacks::{KERNEL, Stacks};

use super::names::is_interpreter;
use super::perf_map::Origin;
use super::python_stack::Words;
use super::rings::{Event, Kind, now_ns};

/// Pages that are remembered, over all processes: about a gigabyte of tables.
const MOST: usize = 1 << 24;
/// Copies of stacks with code that belongs to no file, over all processes.
const MOST_WORDS: usize = 1 << 15;
/// Milliseconds after which a process's mappings are read again when something is looked for in vain.
const STALE_MS: u32 = 50;

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// Index into [`Faults::stacks`].
    pub(super) stack: u32,
    /// When it was, in milliseconds since the recording began.
    pub(super) ms: u32,
}

/// One program in one process, from fork or exec to exec or exit.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) pid: u32,
    /// Equal for programs that have memory from one ancestor.
    family: u64,
    /// When it began, in milliseconds since the recording began.
    since_ms: u32,
    /// When it ended.
    ended_ms: Option<u32>,
    pub(super) origin: Rc<Origin>,
    /// Whether its faults can matter yet (I1).
    has_relatives: bool,
    pages: HashMap<u64, Fault>,
    /// Of every so many faults: by page, what the stack holds.
    pub(super) words: HashMap<u64, Words>,
    maps: Rc<Vec<Mapping>>,
    /// When these were read.
    maps_ms: Option<u32>,
}

/// All programs, and what they have in common.
#[derive(Debug)]
pub(super) struct Faults {
    programs: Vec<Program>,
    /// The latest program of each process.
    current: HashMap<u32, usize>,
    pub(super) stacks: Stacks,
    page_size: u64,
    began_ns: u64,
    began: SystemTime,
    families: u64,
    /// This process, whose own faults are nobody's business.
    own: u32,
    page_count: usize,
    words_count: usize,
    /// Files of names that the programs leave behind are to be removed.
    remove_maps: bool,
    /// Faults that there was no room to remember.
    pub(super) dropped: u64,
}

impl Faults {
    /// Nothing recorded yet. With `remove_maps`, the files in which programs name their compiled code go
    /// away with them.
    pub(super) fn new(remove_maps: bool) -> Self {
        Self {
            programs: Vec::new(),
            current: HashMap::new(),
            stacks: Stacks::default(),
            page_size: Proc::default().page_size(),
            began_ns: now_ns(),
            began: SystemTime::now(),
            families: 0,
            own: std::process::id(),
            page_count: 0,
            words_count: 0,
            remove_maps,
            dropped: 0,
        }
    }

    /// Knows a process from before, with those that it was forked from, nearest first. They are pids and
    /// the moments when each began. Relatives have the same `family`, which is never zero.
    pub(super) fn add(&mut self, lineage: &[(u32, SystemTime)], family: u64) {
        let mut origin = None;
        for (pid, began) in lineage.iter().rev() {
            let (pid, began, parent) = (*pid, *began, origin.take());
            origin = Some(Rc::new(Origin {
                pid,
                began,
                parent,
                remove: Cell::new(false),
            }));
        }
        if let Some(origin) = origin {
            let mut program = Program::new(origin, u64::MAX - family, 0);
            program.has_relatives = true;
            self.start(program);
        }
    }

    /// The time of a record, on the clock of this table.
    pub(super) fn ms(&self, ns: u64) -> u32 {
        u32::try_from(ns.saturating_sub(self.began_ns) / 1_000_000).unwrap_or(u32::MAX)
    }

    pub(super) fn event(&mut self, event: Event) {
        let ms = self.ms(event.ns);
        let is_fault = matches!(event.kind, Kind::Fault(..) | Kind::Words(..));
        if is_fault && event.pid != self.own && !self.current.contains_key(&event.pid) {
            self.adopt(event.pid, event.ns);
        }
        match event.kind {
            Kind::Fault(address, chain) => self.fault(event.pid, address, &chain, ms),
            Kind::Words(address, ip, words) => self.words(event.pid, address, ip, &words, ms),
            Kind::Fork(parent) => self.fork(event.pid, parent, ms, event.ns),
            Kind::Exec => self.exec(event.pid, ms),
            Kind::Exit => {
                if let Some(program) = self.program(event.pid) {
                    program.ended_ms = Some(ms);
                }
            }
        }
    }

    fn program(&mut self, pid: u32) -> Option<&mut Program> {
        self.programs.get_mut(*self.current.get(&pid)?)
    }

    fn start(&mut self, program: Program) {
        self.current.insert(program.pid, self.programs.len());
        self.programs.push(program);
    }

    fn fork(&mut self, pid: u32, parent: u32, ms: u32, ns: u64) {
        self.end(pid, ms);
        let began = self.began + Duration::from_nanos(ns.saturating_sub(self.began_ns));
        let mut origin = Origin {
            pid,
            began,
            parent: None,
            remove: Cell::new(self.remove_maps),
        };
        let program = if let Some(parent) = self.program(parent) {
            parent.has_relatives = true;
            // A child that is gone before it can be asked has its parent's.
            if parent.maps_ms.is_none() {
                parent.read_maps(ms);
            }
            origin.parent = Some(Rc::clone(&parent.origin));
            let mut program = Program::new(Rc::new(origin), parent.family, ms);
            program.maps = Rc::clone(&parent.maps);
            program.has_relatives = true;
            program
        } else {
            // This process itself has forked: what it starts has no relative among the watched.
            self.families += 1;
            Program::new(Rc::new(origin), self.families, ms)
        };
        self.start(program);
    }

    /// Takes in a process whose fork was lost. Whose child it is, it can be asked as long as it is there.
    fn adopt(&mut self, pid: u32, ns: u64) {
        let proc = Proc::default();
        let parent = proc.stat(pid).ok().and_then(|stat| {
            let parent = proc.stat(stat.parent).ok()?;
            (parent.start_stack == stat.start_stack && stat.start_stack != 0).then_some(stat.parent)
        });
        self.fork(pid, parent.unwrap_or(self.own), self.ms(ns), ns);
    }

    fn exec(&mut self, pid: u32, ms: u32) {
        let Some(old) = self.program(pid) else {
            return;
        };
        // The process goes on to write into the same file.
        let remove = Cell::new(old.origin.remove.replace(false));
        let (began, parent) = (old.origin.began, None);
        self.end(pid, ms);
        self.families += 1;
        let origin = Origin {
            pid,
            began,
            parent,
            remove,
        };
        self.start(Program::new(Rc::new(origin), self.families, ms));
    }

    fn end(&mut self, pid: u32, ms: u32) {
        if let Some(program) = self.program(pid) {
            program.ended_ms.get_or_insert(ms);
        }
    }

    fn fault(&mut self, pid: u32, address: u64, chain: &[u64], ms: u32) {
        let page = address / self.page_size;
        let Some(program) = self.program(pid).filter(|program| program.has_relatives) else {
            return;
        };
        let is_known = program.pages.contains_key(&page);
        if !is_known && self.page_count >= MOST {
            self.dropped += 1;
            return;
        }
        let stack = self.stack(pid, chain, ms);
        if let Some(program) = self.program(pid) {
            program.pages.insert(page, Fault { stack, ms });
        }
        self.page_count += usize::from(!is_known);
    }

    fn words(&mut self, pid: u32, address: u64, ip: u64, words: &[u64], ms: u32) {
        let page = address / self.page_size;
        let room = self.words_count < MOST_WORDS;
        let Some(program) = self
            .program(pid)
            .filter(|program| program.has_relatives && room)
        else {
            return;
        };
        // New code lies in new mappings, so looking for it in old ones finds nothing.
        if program
            .maps_ms
            .is_none_or(|read| ms > read.saturating_add(STALE_MS))
        {
            program.read_maps(ms);
        }
        let maps = Rc::clone(&program.maps);
        let mut found = Vec::new();
        for (position, word) in (0u16..).zip(words) {
            if let Some(mapping) =
                holding(&maps, *word).filter(|mapping| mapping.permissions.contains('x'))
            {
                let file = mapping.name.rsplit('/').next().unwrap_or_default();
                if mapping.name.is_empty() || is_interpreter(file) {
                    found.push((position, self.stacks.place(mapping, *word)));
                }
            }
        }
        if !found.iter().any(|(_, frame)| frame.file == NO_FILE) {
            return;
        }
        let running = self.frame(pid, ip, ms, true);
        if let Some(program) = self.program(pid) {
            let is_new = program
                .words
                .insert(page, Words { running, found })
                .is_none();
            self.words_count += usize::from(is_new);
        }
    }

    fn stack(&mut self, pid: u32, addresses: &[u64], ms: u32) -> u32 {
        let frames = addresses.iter().enumerate();
        let frames: Vec<Frame> = frames
            .map(|(depth, address)| self.frame(pid, *address, ms, depth == 0))
            .collect();
        self.stacks.add(frames)
    }

    /// Where an address of code lies. What was running is surely code; the callers, found without frame
    /// pointers, may be anything.
    fn frame(&mut self, pid: u32, address: u64, ms: u32, is_sure: bool) -> Frame {
        let nowhere = Frame {
            file: NO_FILE,
            offset: address,
        };
        if address >> 63 != 0 {
            return Frame {
                file: KERNEL,
                offset: 0,
            };
        }
        let Some(program) = self.program(pid) else {
            return nowhere;
        };
        let is_old = program
            .maps_ms
            .is_none_or(|read| ms > read.saturating_add(STALE_MS));
        if is_sure && is_old && holding(&program.maps, address).is_none() {
            program.read_maps(ms);
        }
        let maps = Rc::clone(&program.maps);
        holding(&maps, address).map_or(nowhere, |mapping| self.stacks.place(mapping, address))
    }

    /// The program that a process was running at a moment.
    pub(super) fn at(&self, pid: u32, ms: u32) -> Option<&Program> {
        let mut programs = self.programs.iter().rev();
        programs.find(|program| program.pid == pid && program.since_ms <= ms)
    }

    /// The stack that wrote to a page which counts as copied by this program. It may be a relative's: when
    /// parent and child have a frame each, nothing but a fault tells which of the two wrote.
    pub(super) fn stack_at(&self, program: &Program, page: u64) -> Option<u32> {
        if let Some(fault) = program.pages.get(&page) {
            return Some(fault.stack);
        }
        let relatives = self
            .programs
            .iter()
            .filter(|other| other.family == program.family);
        let mut later = relatives.filter_map(|other| {
            let fault = other.pages.get(&page);
            fault.filter(|fault| fault.ms >= program.since_ms)
        });
        later.next().map(|fault| fault.stack)
    }

    /// Forgets what had ended before this moment in processes that nobody waits for any more, and returns
    /// who that was. The kernel tells of an end a little before a process is seen to be gone, so its own
    /// word is not enough. Where ends may have been lost, `is_there` tells.
    pub(super) fn forget_ended(
        &mut self,
        ms: u32,
        awaited: &HashSet<u32>,
        is_there: impl Fn(u32) -> bool,
    ) -> Vec<Rc<Origin>> {
        let is_going_on = |program: &&mut Program| program.ended_ms.is_none();
        for program in self.programs.iter_mut().filter(is_going_on) {
            if program.since_ms < ms && !is_there(program.pid) {
                program.ended_ms = Some(program.since_ms);
            }
        }
        let is_over = |program: &Program| {
            program.ended_ms.is_some_and(|ended| ended < ms) && !awaited.contains(&program.pid)
        };
        if !self.programs.iter().any(is_over) {
            return Vec::new();
        }
        let (ended, rest): (Vec<_>, Vec<_>) = self.programs.drain(..).partition(is_over);
        self.programs = rest;
        self.current = self
            .programs
            .iter()
            .enumerate()
            .map(|(index, program)| (program.pid, index))
            .collect();
        for program in &ended {
            self.page_count -= program.pages.len();
            self.words_count -= program.words.len();
        }
        self.forget_stacks();
        ended.into_iter().map(|program| program.origin).collect()
    }

    /// Drops stacks that no page refers to any more, once there are many.
    fn forget_stacks(&mut self) {
        if self.stacks.len() < 1 << 16 || self.stacks.len() < 2 * self.page_count {
            return;
        }
        let programs = self.programs.iter_mut();
        let faults = programs.flat_map(|program| program.pages.values_mut());
        self.stacks.keep(faults.map(|fault| &mut fault.stack));
    }

    /// Programs that are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.programs.len()
    }
}

impl Program {
    fn new(origin: Rc<Origin>, family: u64, since_ms: u32) -> Self {
        Self {
            pid: origin.pid,
            family,
            since_ms,
            ended_ms: None,
            origin,
            has_relatives: false,
            pages: HashMap::new(),
            words: HashMap::new(),
            maps: Rc::default(),
            maps_ms: None,
        }
    }

    fn read_maps(&mut self, ms: u32) {
        self.maps_ms = Some(ms);
        let maps = Proc::default().maps(self.pid).unwrap_or_default();
        // Of one that is gone, the last that were read.
        if !maps.is_empty() {
            self.maps = Rc::new(maps);
        }
    }
}

#[cfg(test)]
mod tests;
