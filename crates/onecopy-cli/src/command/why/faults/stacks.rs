//! Stacks and the files that their code lies in, each kept once and known by its number.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use onecopy_meter::Mapping;

/// One place in the code: a file and an offset in it, or an address that belongs to no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::command::why) struct Frame {
    /// What [`Stacks::file`] takes; `NO_FILE` for memory without one.
    pub(in crate::command::why) file: u32,
    /// Offset in the file, or the address.
    pub(in crate::command::why) offset: u64,
}

/// What [`Frame::file`] is for code that lies in no file: compiled while the program ran.
pub(in crate::command::why) const NO_FILE: u32 = u32::MAX;
/// What it is for the kernel's own code, which writes in a system call. Only root is shown such faults.
pub(super) const KERNEL: u32 = u32::MAX - 1;

/// All stacks that a page refers to, the innermost frame first.
#[derive(Debug, Default)]
pub(in crate::command::why) struct Stacks {
    frames: Vec<Vec<Frame>>,
    numbers: HashMap<Vec<Frame>, u32>,
    files: Vec<String>,
    known_files: HashMap<String, u32>,
}

impl Stacks {
    /// The stack with this number.
    pub(in crate::command::why) fn get(&self, number: u32) -> &[Frame] {
        let stack = self.frames.get(number as usize);
        stack.map(Vec::as_slice).unwrap_or_default()
    }

    /// The path of [`Frame::file`].
    pub(in crate::command::why) fn file(&self, number: u32) -> Option<&String> {
        self.files.get(number as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// The number of a stack.
    pub(super) fn add(&mut self, frames: Vec<Frame>) -> u32 {
        if let Some(known) = self.numbers.get(&frames) {
            return *known;
        }
        let number = self.frames.len() as u32;
        self.frames.push(frames.clone());
        self.numbers.insert(frames, number);
        number
    }

    /// The place in the code of an address that lies in this mapping.
    pub(super) fn place(&mut self, mapping: &Mapping, address: u64) -> Frame {
        if !mapping.name.starts_with('/') {
            return Frame {
                file: NO_FILE,
                offset: address,
            };
        }
        let known = self.known_files.get(&mapping.name).copied();
        let file = known.unwrap_or_else(|| {
            let number = self.files.len() as u32;
            self.files.push(mapping.name.clone());
            self.known_files.insert(mapping.name.clone(), number);
            number
        });
        Frame {
            file,
            offset: address - mapping.start + mapping.offset,
        }
    }

    /// Drops all stacks but those with these numbers, which change.
    pub(super) fn keep<'a>(&mut self, numbers: impl Iterator<Item = &'a mut u32>) {
        self.numbers.clear();
        let old = std::mem::take(&mut self.frames);
        let mut moved: HashMap<u32, u32> = HashMap::new();
        for number in numbers {
            *number = *moved.entry(*number).or_insert_with(|| {
                let frames = old.get(*number as usize).cloned().unwrap_or_default();
                self.add(frames)
            });
        }
    }
}
