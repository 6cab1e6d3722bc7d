//! Pages while they are counted, over a tree, a mapping or one process; reports say them in their own units.
#![forbid(unsafe_code)]

use crate::report::PageBytes;

/// Pages over a tree or a mapping.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageSums {
    pub(crate) unique: u64,
    pub(crate) frames: u64,
    pub(crate) new: u64,
    /// Σ over the processes of the pages behind `frames`.
    pub(crate) present: u64,
    pub(crate) private_copies: u64,
}

impl std::ops::AddAssign for PageSums {
    fn add_assign(&mut self, more: Self) {
        self.unique += more.unique;
        self.frames += more.frames;
        self.new += more.new;
        self.present += more.present;
        self.private_copies += more.private_copies;
    }
}

/// Pages of one process.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessPages {
    pub(crate) inherited: u64,
    pub(crate) shared: u64,
    pub(crate) copied: u64,
    pub(crate) last_owner: u64,
    pub(crate) new: u64,
}

impl std::ops::AddAssign for ProcessPages {
    fn add_assign(&mut self, more: Self) {
        self.inherited += more.inherited;
        self.shared += more.shared;
        self.copied += more.copied;
        self.last_owner += more.last_owner;
        self.new += more.new;
    }
}

impl ProcessPages {
    pub(crate) fn to_bytes(self, page_size: u64) -> PageBytes {
        PageBytes {
            inherited: self.inherited * page_size,
            shared: self.shared * page_size,
            copied: self.copied * page_size,
            last_owner: self.last_owner * page_size,
            new: self.new * page_size,
        }
    }
}
