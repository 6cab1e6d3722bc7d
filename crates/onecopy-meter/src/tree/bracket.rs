//! Whether everybody whose pages were read still had them when all pages were read.
//!
//! A process that ends takes its pages along, and those it shared are mapped once less from then on. So what
//! was read of its relatives before and after does not fit together, and a process that is caught while it ends
//! looks like one that has little memory. What ends a process, in the order of the kernel (`kernel/exit.c`,
//! `kernel/signal.c`, `fs/exec.c`, `mm/oom_kill.c`), and what `/proc` shows of it:
//!
//! ```text
//! step                             address space   pages   state  shown by
//! SIGKILL sent (complete_signal)   stands          there   any    SigPnd; ShdPnd until it is a zombie
//!   out of memory (oom_reaper)     stands          TAKEN   any    likewise, or PF_SIGNALED, PF_EXITING
//! get_signal, core dump            stands          there   any    PF_SIGNALED, PF_DUMPCORE
//! exit_signals                     stands          there   R      PF_EXITING
//! exit_mm: mmput                   no users left   there   R      pagemap has no entry any more
//!   exit_mmap                      no users left   TAKEN   R D    likewise
//! exit_notify                      none            none    Z      Z
//! release_task                     none            none    -      not in the list
//!
//! exec (begin_new_exec)            another one     TAKEN   any    pagemap of the old one has no entry any more
//! ```
//! Two pieces of evidence are taken of each process before its pages are read, and looked at again after the pages
//! of *all* processes were:
//!
//! - E1: the open `pagemap`. It belongs to the address space and not to the process (`proc_mem_open`), and reading it
//!   gives nothing as soon as the address space has no user (`mmget_not_zero`). The kernel takes pages only after
//!   that (`mmput`), so an entry proves that neither `exit` nor `exec` had taken one until then. An empty text of
//!   mappings is never a process without memory.
//! - E2: who it is, and which program it runs ([`program`]), while it is not dying and not killed. An address space
//!   that several processes use ([`SkipReason::ParentsMemory`](crate::report::SkipReason)) outlives the exit and the
//!   `exec` of each, so that E1 alone would not do; and what is killed may lose its pages while E1 holds.
//!
//! The tree is listed before the first and after the last of this, so that somebody who came or went is seen as well
//! ([`looks`]); who came *and* went in between was waited for, and its page faults were added to its parent's.
//!
//! What remains: a child that nobody waits for (its parent ignores SIGCHLD) may come and go unseen; and `exit_group`
//! by a process's only thread leaves no sign for the microseconds until `PF_EXITING`, in which the kernel would have to
//! take its pages because memory has run out.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use crate::history::{Program, program};
use crate::parse::Stat;
use crate::read::{Proc, has_memory};
use crate::walk::Read;

/// What names the same processes with the same programs before and after.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Look {
    program: Program,
    has_exited: bool,
    /// Rises when it waits for a child that has ended.
    children_minor_faults: u64,
}

/// Looks at all processes. Threads of the kernel come and go without a trace in any number.
pub(super) fn looks(list: &[Stat]) -> HashSet<Look> {
    let processes = list.iter().filter(|stat| !stat.is_kernel_thread());
    processes
        .map(|stat| Look {
            program: program(stat),
            has_exited: stat.has_exited(),
            children_minor_faults: stat.children_minor_faults,
        })
        .collect()
}

/// Whether a process has still, or had until now, all memory that it had when it was opened.
pub(super) fn has_kept_its_memory(proc: &Proc, read: &Read) -> bool {
    let was = &read.stat;
    !read.lost
        && has_memory(was.pid, &read.pagemap)
        && proc
            .stat(was.pid)
            .is_ok_and(|now| program(&now) == program(was) && !is_ending(proc, &now))
}

/// Whether a process has ended or may lose its pages at any moment.
pub(super) fn is_ending(proc: &Proc, now: &Stat) -> bool {
    now.has_exited() || now.is_dying() || proc.is_killed(now.thread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::stat;

    #[test]
    fn a_look_tells_programs_exits_and_children_that_have_ended() {
        let text = include_str!("../../tests/captured/stat");
        let was = stat(text.as_bytes()).unwrap();
        let same = |now: Stat| looks(std::slice::from_ref(&was)) == looks(&[now]);
        let later = Stat {
            minor_faults: was.minor_faults + 7,
            parent: 1,
            state: 'S',
            ..was.clone()
        };
        assert!(same(later));
        for change in [
            |stat: &mut Stat| stat.start_time_ticks += 1,
            |stat: &mut Stat| stat.start_stack += 16,
            |stat: &mut Stat| stat.start_code += 16,
            |stat: &mut Stat| stat.flags ^= 0x40,
            |stat: &mut Stat| stat.state = 'Z',
            |stat: &mut Stat| stat.children_minor_faults += 1,
        ] {
            let mut now = was.clone();
            change(&mut now);
            assert!(!same(now));
        }
    }
}
