//! What `/proc` says of the whole machine.
#![forbid(unsafe_code)]

use std::fs::{self, File};

use super::Proc;
use crate::error::MeterError;
use crate::parse::{self, Meminfo};

impl Proc {
    /// The whole machine's memory.
    pub fn meminfo(&self) -> Result<Meminfo, MeterError> {
        let path = self.root.join("meminfo");
        let file = File::open(&path).map_err(|source| MeterError::Read {
            path: path.clone(),
            source,
        })?;
        parse::meminfo(file).map_err(|source| MeterError::Parse { path, source })
    }

    /// Pages of the machine that have got other frames since it started; 0 where that is not told.
    pub(crate) fn migrated(&self) -> u64 {
        let counts = File::open(self.root.join("vmstat")).map(parse::migrated);
        counts.map_or(0, |count| count.unwrap_or(0))
    }

    /// All processes, in no order. One that comes or goes meanwhile may be in it or not.
    pub fn pids(&self) -> Result<Vec<u32>, MeterError> {
        let failed = |source| MeterError::Read {
            path: self.root.clone(),
            source,
        };
        let mut pids = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            pids.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        Ok(pids)
    }

    /// Whether processes of other users can be seen at all (`hidepid` in `proc(5)`).
    pub(crate) fn hides_processes(&self) -> bool {
        !self.root.join("1/stat").exists()
    }
}
