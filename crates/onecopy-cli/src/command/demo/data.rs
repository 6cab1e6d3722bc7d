//! The array: plain anonymous memory that fork shares, or an object in a store.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::io;
use std::ops::Range;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use memmap2::{Advice, MmapMut};
use onecopy::{Huge, Object, PrivateMapping, Store};

use crate::cli::Share;
use crate::options::DemoOptions;

/// Numbers written between two looks at the progress bar: 32 MiB.
const STEP: usize = 1 << 22;

/// Where the array will be; made before the first measurement.
#[derive(Debug)]
pub(super) enum Place {
    Fork,
    Store(Store),
}

/// The array.
#[derive(Debug)]
pub(super) enum Data {
    /// A mapping of its own. Huge pages are declined, so that a worker's write copies pages of 4 KiB
    /// whatever the machine's policy is, and rows can be counted in pages. This also keeps the kernel
    /// from joining the mapping with a neighbour's.
    Fork(RefCell<MmapMut>),
    /// An object in a store.
    Store { object: Object, id: String },
}

/// What keeps a worker's copies; nothing where they are in the array's own place.
pub(super) type Kept = Option<PrivateMapping>;

impl Place {
    pub(super) fn new(share: Share) -> Result<Self> {
        Ok(match share {
            Share::Fork => Self::Fork,
            Share::Store => Self::Store(Store::new()?),
        })
    }

    /// Allocates the array and fills it with ones.
    pub(super) fn allocate(&self, options: &DemoOptions) -> Result<Data> {
        let len = usize::try_from(options.data_bytes)?;
        match self {
            Self::Fork => {
                let mut memory = MmapMut::map_anon(len).context("cannot allocate the array")?;
                match memory.advise(Advice::NoHugePage) {
                    // A kernel without huge pages has none to decline.
                    Err(error) if error.kind() != io::ErrorKind::InvalidInput => {
                        return Err(error).context("cannot decline huge pages");
                    }
                    _ => {}
                }
                fill(bytemuck::cast_slice_mut(&mut memory), |missing| {
                    options.check_still_fits(&onecopy_meter::meminfo()?, missing)
                })?;
                Ok(Data::Fork(RefCell::new(memory)))
            }
            Self::Store(store) => {
                let mut building = store.allocate(len, Huge::Auto)?;
                // All of its memory was taken when it was allocated.
                fill(
                    bytemuck::cast_slice_mut(building.as_mut_slice()),
                    |_| Ok(()),
                )?;
                Ok(Data::Store {
                    object: building.publish()?,
                    id: store.uuid().to_string(),
                })
            }
        }
    }
}

impl Data {
    /// Works on the array's numbers.
    pub(super) fn read<T>(&self, work: impl FnOnce(&[f64]) -> T) -> T {
        match self {
            Self::Fork(memory) => work(bytemuck::cast_slice(&memory.borrow())),
            Self::Store { object, .. } => work(bytemuck::cast_slice(object.bytes())),
        }
    }

    /// Overwrites the first numbers, for this process only, and reads them back: their sum, and what
    /// keeps them.
    pub(super) fn overwrite(&self, count: usize, value: f64) -> io::Result<(f64, Kept)> {
        if count == 0 {
            return Ok((0.0, None));
        }
        let write = |bytes: &mut [u8]| {
            let values: &mut [f64] = bytemuck::cast_slice_mut(bytes);
            let part = &mut values[..count];
            part.fill(value);
            part.iter().sum()
        };
        match self {
            Self::Fork(memory) => Ok((write(&mut memory.borrow_mut()), None)),
            Self::Store { object, .. } => {
                let mut private = object.private_mapping()?;
                Ok((write(private.as_mut_slice()), Some(private)))
            }
        }
    }

    /// Where the array stands in this process's memory, in whole pages.
    pub(super) fn addresses(&self, page_size: u64) -> Range<u64> {
        self.read(|values| {
            let start = values.as_ptr().addr() as u64;
            let end = start + size_of_val(values) as u64;
            start..end.next_multiple_of(page_size)
        })
    }

    /// The name of its store in the meter's reports.
    pub(super) fn store_id(&self) -> Option<&str> {
        match self {
            Self::Fork(_) => None,
            Self::Store { id, .. } => Some(id),
        }
    }
}

/// Writes ones, with a progress bar if somebody watches. `check` hears before each step how many
/// bytes are missing.
fn fill(values: &mut [f64], check: impl Fn(u64) -> Result<()>) -> Result<()> {
    let all = size_of_val(values) as u64;
    let bar = ProgressBar::new(all);
    let template = "filling the array {wide_bar} {binary_bytes} of {binary_total_bytes}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    for part in values.chunks_mut(STEP) {
        check(all - bar.position())?;
        part.fill(1.0);
        bar.inc(size_of_val(part) as u64);
    }
    bar.finish_and_clear();
    Ok(())
}
