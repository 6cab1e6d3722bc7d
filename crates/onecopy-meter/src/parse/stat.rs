//! `stat` and `statm`: who a process is, and its size without needing any right
//! (`proc_pid_stat(5)`, `proc_pid_statm(5)`).
#![forbid(unsafe_code)]

use std::io::Read;

use serde::{Deserialize, Serialize};

use super::{ParseError, text};
use crate::report::Identity;

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stat {
    /// Its id.
    pub pid: u32,
    /// The thread through which its memory is seen: the first one, whose id is `pid`, unless that has exited and
    /// others live on.
    pub thread: u32,
    /// Its name, at most 15 bytes; may hold any character, blanks and brackets too.
    pub name: String,
    /// State letter: `R`, `S`, `D`, `Z` (exited, not yet waited for), `T`, …
    pub state: char,
    /// Its parent's id.
    pub parent: u32,
    /// Its session.
    pub session: i64,
    /// The kernel's flags (`PF_…` of `linux/sched.h`).
    pub flags: u64,
    /// Page faults that needed no disk, of all threads.
    pub minor_faults: u64,
    /// The same of its children that it has waited for, and of theirs.
    pub children_minor_faults: u64,
    /// Threads.
    pub threads: u32,
    /// When it started, in clock ticks since boot: with the pid it names one process for ever.
    pub start_time_ticks: u64,
    /// Pages present; since Linux 6.2 it may lag by some pages per processor.
    pub rss_pages: u64,
    /// Address of the program's code. 0 or 1 without the right to look.
    pub start_code: u64,
    /// Address of the bottom of the stack. `exec` picks a new one, `fork` keeps it. 0 without the right to
    /// look.
    pub start_stack: u64,
}

/// Exits, is past a core dump, dumps core, was ended by a signal (`PF_EXITING`, `PF_POSTCOREDUMP`, `PF_DUMPCORE`,
/// `PF_SIGNALED`).
const PF_DYING: u64 = 0x4 | 0x8 | 0x200 | 0x400;
/// Has not executed a program since it was forked.
const PF_FORKNOEXEC: u64 = 0x40;
/// A thread of the kernel.
const PF_KTHREAD: u64 = 0x0020_0000;

impl Stat {
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            pid: self.pid,
            start_time_ticks: self.start_time_ticks,
        }
    }

    /// Whether it is a thread of the kernel, which has no memory of its own.
    #[must_use]
    pub fn is_kernel_thread(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }

    /// Whether it still runs the program of the process that forked it, in the memory that it got from
    /// there. Without this it has executed a program of its own, and inherited nothing.
    #[must_use]
    pub fn is_forked(&self) -> bool {
        self.flags & PF_FORKNOEXEC != 0
    }

    /// The flags of this thread, for a process whose first thread is `first`. `fork` and `clone` set `PF_FORKNOEXEC` in
    /// every thread that they make (`copy_process`); only the first one, as which a program is executed, tells of the
    /// process.
    pub(crate) fn flags_with_program_of(&self, first: &Self) -> u64 {
        self.flags & !PF_FORKNOEXEC | first.flags & PF_FORKNOEXEC
    }

    /// Whether it is on its way out: what is left of its memory may go at any moment.
    #[must_use]
    pub fn is_dying(&self) -> bool {
        self.flags & PF_DYING != 0 && !self.is_kernel_thread() && !self.has_exited()
    }

    /// Whether the process has exited and keeps no memory, only its entry in the table.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Sizes from `statm`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Statm {
    /// Address space. 0 says that there is none: the process has exited, or is about to have.
    pub size: u64,
    /// RSS; since Linux 6.2 it may lag by some pages per processor.
    pub rss: u64,
    /// The part of `rss` in files and shared memory. Memory shared by fork is **not** in it.
    pub shared: u64,
}

/// Reads the text of `/proc/PID/stat`.
///
/// # Errors
/// The text has fewer fields than Linux 2.6 wrote, or another form.
pub fn stat(source: impl Read) -> Result<Stat, ParseError> {
    let text = text(source)?;
    let bad = |expected| ParseError::Line {
        line_number: 1,
        expected,
        line: text.clone(),
    };
    // The name may contain anything, so its end is the last bracket of the text.
    let open = text.find('(').ok_or_else(|| bad("`pid (name) state …`"))?;
    let close = text
        .rfind(')')
        .filter(|close| *close > open)
        .ok_or_else(|| bad("`)`"))?;
    let (head, rest) = text.split_at(close);
    let name = &head[open + 1..];
    let pid = head[..open]
        .trim()
        .parse()
        .map_err(|_| bad("a process id"))?;
    let fields: Vec<&str> = rest[1..].split_ascii_whitespace().collect();
    // Field numbers are those of the manual page; field 3 is the first behind the name.
    let number = |field: usize, what| {
        let text = fields.get(field - 3).ok_or_else(|| bad(what))?;
        text.parse::<u64>().map_err(|_| bad(what))
    };
    let small = |field, what| {
        number(field, what).and_then(|value| u32::try_from(value).map_err(|_| bad(what)))
    };
    Ok(Stat {
        pid,
        thread: pid,
        name: name.to_owned(),
        state: fields
            .first()
            .and_then(|state| state.chars().next())
            .ok_or_else(|| bad("a state letter"))?,
        parent: small(4, "field 4, the parent's id")?,
        session: fields
            .get(3)
            .and_then(|session| session.parse().ok())
            .ok_or_else(|| bad("field 6, the session"))?,
        flags: number(9, "field 9, the flags")?,
        minor_faults: number(10, "field 10, the minor faults")?,
        children_minor_faults: number(11, "field 11, the minor faults of children")?,
        threads: small(20, "field 20, the number of threads")?,
        start_time_ticks: number(22, "field 22, the start time")?,
        rss_pages: number(24, "field 24, the pages present")?,
        start_code: number(26, "field 26, the address of the code")?,
        start_stack: number(28, "field 28, the bottom of the stack")?,
    })
}

/// Reads the text of `/proc/PID/statm`, which counts in pages of `page_size` bytes.
///
/// # Errors
/// Fewer than three numbers, or a size beyond 64 bits.
pub fn statm(source: impl Read, page_size: u64) -> Result<Statm, ParseError> {
    let text = text(source)?;
    let bad = || ParseError::Line {
        line_number: 1,
        expected: "seven numbers of pages",
        line: text.clone(),
    };
    let mut numbers = text.split_ascii_whitespace().map(|field| {
        field
            .parse::<u64>()
            .ok()
            .and_then(|pages| pages.checked_mul(page_size))
            .ok_or_else(bad)
    });
    let mut next = || numbers.next().unwrap_or_else(|| Err(bad()));
    Ok(Statm {
        size: next()?,
        rss: next()?,
        shared: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = include_str!("../../tests/captured/stat");

    #[test]
    fn captured_stat_is_understood() {
        let stat = stat(STAT.as_bytes()).unwrap();
        assert_eq!(
            (stat.pid, stat.parent, stat.state, stat.threads),
            (5834, 5815, 'R', 1)
        );
        assert_eq!(
            (stat.name.as_str(), stat.start_time_ticks),
            ("cat", 121_056)
        );
        assert_eq!(stat.start_stack, 140_736_765_478_112);
        assert!(!stat.has_exited());
        assert_eq!(stat.session, 3257);
        assert_eq!((stat.rss_pages, stat.start_code), (350, 94_217_569_845_248));
        assert!(!stat.is_kernel_thread() && !stat.is_forked() && !stat.is_dying());
    }

    #[test]
    fn flags_tell_kernel_threads_and_forked_children() {
        let kthreadd = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 3 0 0 20 0 1 0 30 0 0 \
            18446744073709551615 0 0 0 0 0 0 0 2147483647 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
        assert!(stat(kthreadd.as_bytes()).unwrap().is_kernel_thread());
        let forked = STAT.replace(" 4194304 ", " 4194368 ");
        assert!(stat(forked.as_bytes()).unwrap().is_forked());
        for flag in [0x4, 0x8, 0x200, 0x400] {
            let with = STAT.replace(" 4194304 ", &format!(" {} ", 0x0040_0000 | flag));
            let dying = stat(with.as_bytes()).unwrap();
            assert!(dying.is_dying());
            // A zombie keeps the flags, and has nothing left to lose.
            let zombie = Stat {
                state: 'Z',
                ..dying
            };
            assert!(!zombie.is_dying());
        }
    }

    #[test]
    fn a_name_made_to_confuse_parsers_does_not() {
        let text = STAT.replace("(cat) R", "(a) R 1 (\n) Z");
        let stat = stat(text.as_bytes()).unwrap();
        assert_eq!((stat.name.as_str(), stat.state), ("a) R 1 (\n", 'Z'));
        assert_eq!(stat.parent, 5815);
        assert!(stat.has_exited());
    }

    #[test]
    fn texts_of_another_form_are_refused() {
        for bad in [
            "",
            "1",
            "1 (x",
            "1 )x(",
            "1 (x) R",
            "x (y) R 1 2 3",
            "1 () ",
        ] {
            assert!(stat(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let cut = &STAT[..STAT.len() / 3];
        assert!(matches!(stat(cut.as_bytes()), Err(ParseError::Line { .. })));
    }

    #[test]
    fn statm_counts_in_pages_of_the_given_size() {
        let sizes = statm(&b"765 350 320 6 0 86 0\n"[..], 4096).unwrap();
        assert_eq!(
            sizes,
            Statm {
                size: 765 * 4096,
                rss: 350 * 4096,
                shared: 320 * 4096
            }
        );
        assert_eq!(statm(&b"1 2 3 4 5 6 7"[..], 16384).unwrap().rss, 2 * 16384);
        for bad in [
            "",
            "1 2",
            "1 -2 3",
            "1 99999999999999999999 3",
            "1 18446744073709551615 3",
        ] {
            assert!(statm(bad.as_bytes(), 4096).is_err(), "{bad:?}");
        }
    }
}
