//! `/proc/meminfo`: the whole machine (`proc_meminfo(5)`).
#![forbid(unsafe_code)]

use std::io::Read;

use serde::{Deserialize, Serialize};

use super::{Field, ParseError, text};

/// The machine's memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Meminfo {
    /// `MemTotal`: usable memory.
    pub total: u64,
    /// `MemFree`: memory used for nothing at all.
    pub free: u64,
    /// `MemAvailable`: the kernel's estimate of what new programs can have without swapping.
    pub available: u64,
    /// Buffers: cache of raw block devices.
    pub buffers: u64,
    /// Cached: the page cache **and all shared memory**, which is why adding it misleads.
    pub cached: u64,
    /// Shmem: tmpfs, memory files and shared anonymous memory; a part of `cached`.
    pub shmem: u64,
    /// `SwapFree`: unused swap space.
    pub swap_free: u64,
}

impl Meminfo {
    /// `MemFree` + `Buffers` + `Cached`, the sum that older experiments logged as free memory.
    ///
    /// It counts shared memory as free, because Cached contains it; [`Meminfo::available`] does not.
    #[must_use]
    pub fn free_buffers_cached(&self) -> u64 {
        self.free
            .saturating_add(self.buffers)
            .saturating_add(self.cached)
    }
}

/// Reads the text of `/proc/meminfo`.
///
/// # Errors
/// Any line in a unit other than kB, a needed field that is absent or is no number.
///
/// # Examples
/// ```
/// let text = "MemTotal: 9 kB\nMemFree: 4 kB\nMemAvailable: 6 kB\nBuffers: 1 kB\nCached: 3 kB\n\
///             Shmem: 2 kB\nSwapFree: 0 kB\n";
/// let memory = onecopy_meter::parse::meminfo(text.as_bytes())?;
/// assert_eq!(memory.free_buffers_cached(), 8 * 1024);
/// # Ok::<(), onecopy_meter::parse::ParseError>(())
/// ```
pub fn meminfo(source: impl Read) -> Result<Meminfo, ParseError> {
    let text = text(source)?;
    let mut found = [None; 7];
    for (index, line) in text.lines().enumerate() {
        let field = Field::split(index + 1, line).ok_or_else(|| ParseError::Line {
            line_number: index + 1,
            expected: "`Name: number kB`",
            line: line.to_owned(),
        })?;
        let place = NAMES.iter().position(|name| *name == field.name);
        // HugePages_Total and its like are counts; every quantity carries its unit.
        if place.is_none() && !field.value.contains(char::is_whitespace) {
            continue;
        }
        let bytes = field.bytes()?;
        if let Some(slot) = place.and_then(|place| found.get_mut(place)) {
            *slot = Some(bytes);
        }
    }
    let get = |place: usize| {
        let missing = ParseError::Missing {
            field: NAMES[place],
            line_number: None,
        };
        found[place].ok_or(missing)
    };
    Ok(Meminfo {
        total: get(0)?,
        free: get(1)?,
        available: get(2)?,
        buffers: get(3)?,
        cached: get(4)?,
        shmem: get(5)?,
        swap_free: get(6)?,
    })
}

const NAMES: [&str; 7] = [
    "MemTotal",
    "MemFree",
    "MemAvailable",
    "Buffers",
    "Cached",
    "Shmem",
    "SwapFree",
];

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &str = include_str!("../../tests/captured/meminfo");

    /// The captured text with one part of it changed.
    fn edited(from: &str, to: &str) -> String {
        assert_eq!(CAPTURED.matches(from).count(), 1, "{from}");
        CAPTURED.replace(from, to)
    }

    #[test]
    fn captured_text_gives_bytes() {
        let memory = meminfo(CAPTURED.as_bytes()).unwrap();
        assert_eq!(memory.total, 24_684_092 * 1024);
        assert_eq!(memory.free, 24_459_508 * 1024);
        assert_eq!(memory.available, 24_394_696 * 1024);
        assert_eq!(memory.shmem, 8_856 * 1024);
        assert_eq!(
            memory.free_buffers_cached(),
            (24_459_508 + 1_100 + 99_508) * 1024
        );
    }

    #[test]
    fn another_unit_is_named_with_its_line() {
        let text = edited(" 1100 kB", " 1100 MB");
        let error = meminfo(text.as_bytes()).unwrap_err();
        assert!(
            matches!(&error, ParseError::Unit { line_number: 4, field, unit, line }
                if field == "Buffers" && unit == "MB" && line.starts_with("Buffers:")),
            "{error}"
        );
        assert!(error.to_string().contains("\"MB\""), "{error}");
    }

    #[test]
    fn another_unit_in_a_line_nobody_needs_is_an_error_too() {
        let text = edited(" 688 kB", " 688 pages");
        let error = meminfo(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ParseError::Unit { field, .. } if field == "Percpu"));
    }

    #[test]
    fn a_needed_quantity_without_a_unit_is_refused() {
        let text = edited(" 24459508 kB", " 24459508");
        let error = meminfo(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ParseError::Unit { unit, .. } if unit.is_empty()));
    }

    #[test]
    fn a_missing_field_is_never_zero() {
        let text = edited("MemAvailable:", "MemAvailble:");
        let error = meminfo(text.as_bytes()).unwrap_err();
        assert!(matches!(
            error,
            ParseError::Missing {
                field: "MemAvailable",
                ..
            }
        ));
        assert!(meminfo(&b""[..]).is_err());
    }

    #[test]
    fn hostile_numbers_and_lines_are_refused() {
        for bad in [
            "-1 kB",
            "18446744073709551615 kB",
            "99999999999999999999 kB",
            "kB",
            "1e3 kB",
        ] {
            let text = edited("24459508 kB", bad);
            let error = meminfo(text.as_bytes()).unwrap_err();
            assert!(
                matches!(error, ParseError::Line { line_number: 2, .. }),
                "{bad}: {error}"
            );
        }
        let noise = format!("{CAPTURED}\u{0}\u{1}garbage\n");
        assert!(matches!(
            meminfo(noise.as_bytes()),
            Err(ParseError::Line { .. })
        ));
    }
}
