//! Numbers for people: grouped by thousands, always with their unit.
#![forbid(unsafe_code)]

use std::fmt;
use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;

const MIB: f64 = 1_048_576.0;

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes as MiB, without the unit: two digits below ten MiB, one above.
pub(crate) fn mebibytes(bytes: u64) -> String {
    let mebibytes = bytes as f64 / MIB;
    if mebibytes < 9.995 {
        return format!("{mebibytes:.2}");
    }
    let tenths = (mebibytes * 10.0).round();
    #[expect(clippy::cast_sign_loss, reason = "a number of bytes is not negative")]
    let tenths = tenths as u64;
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

/// A number of bytes as kB, the kernel's word for 1,024 bytes, without the unit.
pub(crate) fn kilobytes(bytes: u64) -> String {
    grouped(bytes / 1024)
}

/// A number of bytes, shown with its unit: KiB below one MiB, MiB above.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1 << 20 {
            write!(f, "{} KiB", self.0.div_ceil(1024))
        } else {
            write!(f, "{} MiB", mebibytes(self.0))
        }
    }
}

/// Columns of a report that goes to no terminal.
const COLUMNS: usize = 100;

/// How reports are shown: in what units sizes are, and how long lines may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    plain: bool,
    pub(crate) columns: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Style {
    /// As plain numbers of bytes, or in the unit that fits.
    pub(crate) fn new(plain: bool) -> Self {
        Self {
            plain,
            columns: COLUMNS,
        }
    }

    /// As wide as the terminal, if it is one.
    pub(crate) fn on(self, out: impl AsFd) -> Self {
        let columns = tcgetwinsize(out).map_or(0, |size| usize::from(size.ws_col));
        match columns {
            // Serial lines do not know theirs.
            0 => self,
            columns => Self {
                columns: columns.max(40),
                ..self
            },
        }
    }

    /// The room that sizes take in tables.
    pub(crate) fn size_columns(self) -> usize {
        if self.plain { 12 } else { 8 }
    }

    /// A number of bytes with its unit, three digits of it.
    pub(crate) fn size(self, bytes: u64) -> String {
        if self.plain {
            return bytes.to_string();
        }
        let (value, unit) = match bytes {
            0..1_024 => return format!("{bytes} B"),
            1_024..1_047_552 => (bytes as f64 / 1_024.0, "KiB"),
            1_047_552..1_072_693_248 => (bytes as f64 / MIB, "MiB"),
            _ => (bytes as f64 / MIB / 1_024.0, "GiB"),
        };
        let digits = match value {
            value if value < 9.995 => 2,
            value if value < 99.95 => 1,
            _ => 0,
        };
        format!("{value:.digits$} {unit}")
    }

    /// The same for what may be unknown.
    pub(crate) fn maybe(self, bytes: Option<u64>) -> String {
        bytes.map_or_else(|| "unknown".to_owned(), |bytes| self.size(bytes))
    }
}

/// A change in bytes, with its sign.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.to < self.from { '−' } else { '+' };
        write!(f, "{sign}{} MiB", mebibytes(self.to.abs_diff(self.from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_carry_units() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(24_459_508), "24,459,508");
        assert_eq!(mebibytes(1_800_000_000), "1,716.6");
        assert_eq!(mebibytes(1_048_575), "1.00");
        assert_eq!(mebibytes(28 << 10), "0.03");
        assert_eq!(mebibytes(10 << 20), "10.0");
        assert_eq!(Bytes(1).to_string(), "1 KiB");
        let sizes = [
            0,
            1_023,
            1_024,
            99_999,
            1_048_575,
            10 << 20,
            1_100_000_000,
            5 << 40,
        ];
        let shown = sizes.map(|bytes| Style::default().size(bytes));
        assert_eq!(
            shown,
            [
                "0 B", "1023 B", "1.00 KiB", "97.7 KiB", "1.00 MiB", "10.0 MiB", "1.02 GiB",
                "5120 GiB"
            ]
        );
        assert_eq!(Style::new(true).size(99_999), "99999");
        assert_eq!(Bytes(86_016).to_string(), "84 KiB");
        assert_eq!(Bytes(3 << 20).to_string(), "3.00 MiB");
        assert_eq!(
            Change {
                from: 5 << 20,
                to: 2 << 20
            }
            .to_string(),
            "−3.00 MiB"
        );
        assert_eq!(Change { from: 0, to: 0 }.to_string(), "+0.00 MiB");
    }
}
