//! The command line resolved: sizes worked out, and refused before anything is allocated.
#![forbid(unsafe_code)]

use anyhow::{Context as _, Result, bail};
use onecopy_meter::Meminfo;
use serde::{Deserialize, Serialize};

use crate::cli::{DemoArguments, Share};
use crate::output::units::{Bytes, grouped};

const ELEMENT_BYTES: u64 = size_of::<f64>() as u64;
/// Page table entries: 8 bytes for each 4 KiB page, in each process.
const TABLE_PART: u64 = 512;
/// Stack, heap and kernel structures of one process, generously.
const PROCESS_BYTES: u64 = 4 << 20;

/// What `onecopy demo` is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DemoOptions {
    /// Rows, and columns.
    pub(crate) n: u64,
    /// Worker processes.
    pub(crate) workers: u64,
    /// The fraction that was asked for.
    pub(crate) write: f64,
    /// The whole rows that come closest to it.
    pub(crate) written_rows: u64,
    /// How the workers get at the array.
    pub(crate) share: Share,
    /// The array's size.
    pub(crate) data_bytes: u64,
}

impl DemoOptions {
    /// Works out the sizes.
    pub(crate) fn resolve(arguments: &DemoArguments) -> Result<Self> {
        let n = arguments.n;
        let elements = n
            .checked_mul(n)
            .and_then(|cells| cells.checked_mul(ELEMENT_BYTES));
        let data_bytes = elements
            .filter(|bytes| isize::try_from(*bytes).is_ok())
            .with_context(|| {
                let n = grouped(n);
                format!("--n {n}: {n} × {n} float64 is more than any process can address")
            })?;
        Ok(Self {
            n,
            workers: u64::from(arguments.workers),
            write: arguments.write,
            #[expect(clippy::cast_sign_loss, reason = "the fraction is between 0 and 1")]
            written_rows: ((arguments.write * n as f64).round() as u64).min(n),
            share: arguments.share,
            data_bytes,
        })
    }

    /// Bytes that each worker will overwrite.
    pub(crate) fn written_bytes(&self) -> u64 {
        // No overflow: at most `data_bytes`, which is a product of the same factors.
        self.written_rows * self.n * ELEMENT_BYTES
    }

    /// Processes that will have the array.
    pub(crate) fn processes(&self) -> u64 {
        self.workers + 1
    }

    /// Memory that the whole experiment takes, copies and page tables included.
    pub(crate) fn needed_bytes(&self) -> u64 {
        let copies = self.written_bytes().saturating_mul(self.workers);
        let tables = (self.data_bytes / TABLE_PART).saturating_mul(self.processes());
        let processes = PROCESS_BYTES.saturating_mul(self.processes());
        self.data_bytes
            .saturating_add(copies)
            .saturating_add(tables)
            .saturating_add(processes)
    }

    /// Refuses what does not fit into the machine's memory.
    pub(crate) fn check_fits(&self, memory: &Meminfo) -> Result<()> {
        let needed = self.needed_bytes();
        if needed <= memory.available {
            return Ok(());
        }
        let n = grouped(self.n);
        let what = if self.written_rows == 0 {
            "page tables included".to_owned()
        } else {
            format!("the copies that {} workers write included", self.workers)
        };
        // Everything but the fixed part grows with n².
        let fixed = PROCESS_BYTES.saturating_mul(self.processes());
        let room = memory.available.saturating_sub(fixed) as f64;
        let part = room / needed.saturating_sub(fixed).max(1) as f64;
        #[expect(clippy::cast_sign_loss, reason = "a square root is not negative")]
        let largest = (self.n as f64 * part.max(0.0).sqrt()).floor() as u64;
        bail!(
            "{n} × {n} float64 is {}, and the experiment needs {} ({what}), but only {} are \
             available (MemAvailable {} kB); the largest --n that fits is {}",
            Bytes(self.data_bytes),
            Bytes(needed),
            Bytes(memory.available),
            grouped(memory.available / 1024),
            grouped(largest),
        );
    }
}

impl DemoOptions {
    /// Stops when others have taken the memory that `missing_bytes` of the array, and the workers,
    /// still need: the kernel would end somebody's process instead.
    pub(crate) fn check_still_fits(&self, memory: &Meminfo, missing_bytes: u64) -> Result<()> {
        let there = self.data_bytes.saturating_sub(missing_bytes);
        let needed = self.needed_bytes().saturating_sub(there);
        if needed <= memory.available {
            return Ok(());
        }
        bail!(
            "other programs have taken memory meanwhile: the experiment still needs {}, but only {} \
             are available (MemAvailable {} kB)",
            Bytes(needed),
            Bytes(memory.available),
            grouped(memory.available / 1024),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(n: u64, workers: u16, write: f64) -> Result<DemoOptions> {
        let arguments = DemoArguments {
            n,
            workers,
            write,
            share: Share::Fork,
            json: false,
        };
        DemoOptions::resolve(&arguments)
    }

    fn machine(available_kilobytes: u64) -> Meminfo {
        let text = format!(
            "MemTotal: 1 kB\nMemFree: 1 kB\nMemAvailable: {available_kilobytes} kB\nBuffers: 1 kB\n\
             Cached: 1 kB\nShmem: 0 kB\nSwapFree: 0 kB\n"
        );
        onecopy_meter::parse::meminfo(text.as_bytes()).unwrap()
    }

    #[test]
    fn sizes_beyond_the_address_space_are_refused_without_wrapping() {
        for n in [u64::MAX, 1 << 32, 1 << 31, 1_518_500_250, 1_073_741_824] {
            let error = options(n, 4, 0.0).unwrap_err();
            assert!(
                error.to_string().contains("more than any process"),
                "{n}: {error}"
            );
        }
        assert_eq!(
            options(1_073_741_823, 4, 0.0).unwrap().data_bytes,
            1_073_741_823u64.pow(2) * 8
        );
    }

    #[test]
    fn fractions_become_whole_rows() {
        let quarter = options(15_000, 4, 0.25).unwrap();
        assert_eq!(quarter.written_rows, 3_750);
        assert_eq!(quarter.written_bytes() * 4, quarter.data_bytes);
        assert_eq!(options(3, 4, 0.5).unwrap().written_rows, 2);
        assert_eq!(options(7, 1, 1.0).unwrap().written_rows, 7);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_numbers_and_a_size_that_does() {
        let machine = machine(4 << 20);
        assert!(
            options(15_000, 4, 0.0)
                .unwrap()
                .check_fits(&machine)
                .is_ok()
        );
        // Four whole copies more: 8.4 GiB.
        let error = options(15_000, 4, 1.0)
            .unwrap()
            .check_fits(&machine)
            .unwrap_err()
            .to_string();
        assert!(error.contains("1,716.6 MiB"), "{error}");
        assert!(
            error.contains("4,096.0 MiB are available (MemAvailable 4,194,304 kB)"),
            "{error}"
        );
        let largest = error
            .rsplit(' ')
            .next()
            .unwrap()
            .replace(',', "")
            .parse()
            .unwrap();
        assert!(largest > 9_000 && largest < 15_000, "{error}");
        assert!(
            options(largest, 4, 1.0)
                .unwrap()
                .check_fits(&machine)
                .is_ok()
        );
        assert!(
            options(largest + 20, 4, 1.0)
                .unwrap()
                .check_fits(&machine)
                .is_err()
        );
        let quarter = options(15_000, 4, 0.25).unwrap();
        // The array is there, and its copies are not.
        assert!(quarter.check_still_fits(&self::machine(2 << 20), 0).is_ok());
        let rest = quarter
            .check_still_fits(&self::machine(2 << 20), 1 << 30)
            .unwrap_err();
        assert!(rest.to_string().contains("still needs 2,"), "{rest}");
        let huge = options(1_073_741_823, 1024, 1.0).unwrap();
        assert!(huge.check_fits(&machine).is_err());
    }
}
