//! A member of a family loses its memory before a look that a reading takes at any of them, for each such look: the
//! reading is wholly of the time before, wholly of the time after, or says that it is not complete.
//!
//! `STEP_STRIDE=k` takes every k-th look of each scenario (1 = all, the default of `make torture`); without it the
//! scenarios share the looks among them.
//!
//! ```text
//! the root, a process of its own for each step, reads
//! ├── the target: wrote pages, and loses its memory at the step
//! │   └── its child, which wrote the same pages, in some scenarios
//! └── a worker that is idle
//! ```

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use common::truth::{data, me, pages_of, session, sums};
use common::{Child, PAGE, Pages, answer_of_a_process, become_nobody};
use onecopy_meter::testing::{arm, disarm};
use onecopy_meter::{Level, Proc, Report};

const PAGES: usize = 1_024;
const WRITTEN: usize = 300;
/// Memory that takes the kernel a while to give back.
const LARGE: usize = 16_384;

/// How the target loses its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// By SIGKILL; its parent has not waited for it yet.
    Kill,
    /// By itself; its parent has waited for it.
    Exit,
    /// By executing another program.
    Exec,
    /// By SIGKILL, and it is held where its address space is gone and the process is not.
    HalfExit,
    /// By SIGKILL, held before its exit, and the kernel has taken its pages though its address space stands, as when
    /// memory runs out (`process_mrelease(2)`).
    Reclaim,
    /// By SIGKILL, at any moment from the step on.
    Meanwhile,
}

#[derive(Debug, Clone, Copy)]
struct Scenario {
    loss: Loss,
    /// Whether the target has a child that lives on.
    has_child: bool,
    as_nobody: bool,
}

struct Family {
    pages: Pages,
    target: Rc<Child>,
    idle: Child,
    /// The target's child.
    child: Option<u32>,
    /// What lets the target end that is held.
    held: Option<i32>,
}

impl Family {
    fn make(scenario: Scenario) -> Self {
        let pages = Pages::new(PAGES);
        let large = Pages::reserved(LARGE);
        let idle = Child::after(|| {
            if scenario.as_nobody {
                become_nobody();
            }
        });
        if scenario.loss == Loss::HalfExit {
            // SAFETY: a plain system call without pointers.
            let done = unsafe { libc::unshare(libc::CLONE_NEWPID) };
            assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        }
        if scenario.as_nobody {
            assert!(become_nobody());
        }
        common::reap_orphans();
        let target = Rc::new(Child::in_stages(&[
            &|| {
                pages.write(0..WRITTEN);
                if scenario.loss == Loss::Meanwhile {
                    large.write(0..LARGE);
                }
                if scenario.has_child {
                    std::mem::forget(Child::after(|| {
                        common::outlive_parent();
                        pages.write(0..WRITTEN);
                    }));
                }
            },
            &|| {
                if scenario.loss == Loss::Exec {
                    let words = [c"sleep".as_ptr(), c"1000".as_ptr(), std::ptr::null()];
                    // SAFETY: the words end with zeros and their list with a null pointer; on success nothing of
                    // this program is left.
                    unsafe { libc::execvp(c"sleep".as_ptr(), words.as_ptr()) };
                }
                common::exit(0);
            },
        ]));
        let held = match scenario.loss {
            // The first process of a namespace ends when all others there were waited for (pid_namespaces(7)).
            Loss::HalfExit => Some(zombie()),
            Loss::Reclaim => {
                trace_exit(target.pid());
                None
            }
            _ => None,
        };
        let (pid, mut child) = (target.pid(), None);
        if scenario.has_child {
            let path = format!("/proc/{pid}/task/{pid}/children");
            let children = fs::read_to_string(path).unwrap();
            child = Some(children.trim().parse().unwrap());
        }
        Self {
            pages,
            target,
            idle,
            child,
            held,
        }
    }

    /// All of its processes.
    fn pids(&self) -> Vec<u32> {
        let known = [me(), self.target.pid(), self.idle.pid()];
        known.into_iter().chain(self.child).collect()
    }
}

impl Drop for Family {
    /// Ends whoever would not end with this process, and lets those end that are held: they are waited for.
    fn drop(&mut self) {
        if let Some(zombie) = self.held {
            wait_for(zombie, 0);
        }
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: lets a process go on if this one has stopped it; no address is looked at.
        unsafe { libc::ptrace(libc::PTRACE_CONT, self.target.pid(), none, none) };
        if let Some(child) = self.child {
            // SAFETY: it is an orphan that this process gets, or the child of one that is about to be.
            unsafe { libc::kill(child.cast_signed(), libc::SIGKILL) };
        }
    }
}

/// A child that has exited and was not waited for.
fn zombie() -> i32 {
    let Some(pid) = common::fork() else {
        common::exit(0);
    };
    wait_for(pid, libc::WNOWAIT);
    pid
}

/// Waits until a child has exited.
fn wait_for(pid: i32, flags: i32) {
    let id = libc::id_t::try_from(pid).unwrap();
    // SAFETY: all zeros are a `siginfo_t`.
    let mut info = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for what is written.
    let done = unsafe { libc::waitid(libc::P_PID, id, &raw mut info, libc::WEXITED | flags) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

fn kill(pid: u32) {
    // SAFETY: it is a child of this process that was not waited for, so the number is still its own.
    let done = unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) };
    assert_eq!(done, 0);
}

/// The process stops in its exit, before it lets go of its memory (`PTRACE_EVENT_EXIT`).
fn trace_exit(pid: u32) {
    let (none, options) = (
        std::ptr::null_mut::<libc::c_void>(),
        libc::PTRACE_O_TRACEEXIT,
    );
    // SAFETY: the options are a number; no address is looked at.
    let done = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, none, i64::from(options)) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Kills a process that stops in its exit, and has the kernel take its pages.
fn reclaim(pid: u32) {
    // SAFETY: a plain system call without pointers.
    let file = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    assert!(file >= 0, "{}", std::io::Error::last_os_error());
    kill(pid);
    let mut status = 0;
    // SAFETY: there is room for the status.
    let found = unsafe { libc::waitpid(pid.cast_signed(), &raw mut status, libc::__WALL) };
    assert!(found == pid.cast_signed() && libc::WIFSTOPPED(status));
    // SAFETY: a plain system call without pointers.
    let done = unsafe { libc::syscall(libc::SYS_process_mrelease, file, 0) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Waits until a file of a process says that.
fn wait_until(pid: u32, name: &str, is_there: impl Fn(&str) -> bool) {
    while !is_there(&fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap()) {
        std::thread::yield_now();
    }
}

/// Takes the target's memory, and waits until that is done.
fn lose(loss: Loss, target: &Child) {
    let pid = target.pid();
    match loss {
        Loss::Kill => {
            kill(pid);
            wait_for(pid.cast_signed(), libc::WNOWAIT);
        }
        Loss::Exit => {
            target.go();
            wait_for(pid.cast_signed(), 0);
        }
        Loss::Exec => {
            target.go();
            wait_until(pid, "comm", |name| name == "sleep\n");
            // It has come to its own code, and sleeps there.
            wait_until(pid, "syscall", |call| {
                call.starts_with(&libc::SYS_clock_nanosleep.to_string())
            });
        }
        Loss::HalfExit => {
            kill(pid);
            wait_until(pid, "stat", |stat| stat.contains(") S ") && gone(pid));
        }
        Loss::Reclaim => reclaim(pid),
        Loss::Meanwhile => kill(pid),
    }
}

/// Whether a process has no address space.
fn gone(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/statm")).is_ok_and(|sizes| sizes.starts_with("0 0 "))
}

/// A folder like `/proc`, in which nothing is but these processes: whatever else runs here would be looked at as well,
/// which takes most of the time. Removed in the end.
struct Machine(PathBuf);

impl Machine {
    fn of(pids: &[u32]) -> Self {
        let path = std::env::temp_dir().join(format!("onecopy-steps-{}", me()));
        fs::create_dir_all(&path).unwrap();
        let machine = Self(path);
        let names = pids.iter().map(u32::to_string);
        for name in names.chain(["thread-self".to_owned()]) {
            symlink(Path::new("/proc").join(&name), machine.0.join(&name)).unwrap();
        }
        machine
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn judge(scenario: Scenario, report: &Report, target: u32) {
    if !report.complete {
        assert_eq!(report.tree.sum_pss, None, "{report:#?}");
        assert_eq!(report.tree.copies.frames, None, "{report:#?}");
        let mut rows = report.mappings.iter();
        assert!(rows.all(|row| row.sums().is_none()), "{report:#?}");
        assert!(!report.limits.is_empty());
        return;
    }
    let row = data(report);
    let (all, written) = (PAGES as u64, WRITTEN as u64);
    let of_child = if scenario.has_child { written } else { 0 };
    let process = report.processes.iter().find(|row| row.pid == target);
    let is_after = process.is_none_or(|row| row.name == "sleep");
    let of_target = if is_after { 0 } else { written };
    assert_eq!(
        sums(row),
        (all, all + of_child + of_target, 0),
        "{report:#?}"
    );
    let of_target = if is_after {
        [0; 4]
    } else {
        [all - written, written, 0, 0]
    };
    assert_eq!(pages_of(row, target), of_target, "{report:#?}");
    let others = 2 + usize::from(scenario.has_child);
    let count = others + usize::from(process.is_some());
    assert_eq!(report.processes.len(), count, "{report:#?}");
    let may_be_there = !is_after || scenario.loss == Loss::Exec;
    assert!(process.is_none() || may_be_there, "{report:#?}");
    for row in &report.processes {
        let (has_pages, is_writer) = (row.name != "sleep", row.pid == target && !is_after);
        assert!(!has_pages || row.rss >= all * PAGE as u64, "{report:#?}");
        assert!(
            !is_writer || row.uss >= written * PAGE as u64,
            "{report:#?}"
        );
    }
}

/// One reading with the loss at a step; whether it has that many.
fn has_step(scenario: Scenario, step: u64) -> bool {
    let family = Family::make(scenario);
    let (pids, target) = (family.pids(), Rc::clone(&family.target));
    let machine = Machine::of(&pids);
    let proc = Proc::at(&machine.0, PAGE as u64);
    let level = if scenario.as_nobody {
        Level::B
    } else {
        Proc::default().level()
    };
    assert_eq!(proc.level(), level);
    let mut session = session(proc, &family.pages);
    arm(&pids, step, move || lose(scenario.loss, &target));
    let report = session.read().unwrap();
    let has_happened = disarm();
    judge(scenario, &report, family.target.pid());
    has_happened
}

/// Tries the steps of a reading at each level of evidence, until it has no more. `number` tells where to begin, so that
/// all scenarios together try every step.
fn at_each_step(number: u64, stride: u64, loss: Loss, has_child: bool) {
    let stride = match std::env::var("STEP_STRIDE") {
        Ok(given) => given.parse().unwrap(),
        Err(_) => stride,
    };
    let is_root = rustix::process::geteuid().is_root();
    if loss == Loss::HalfExit && !is_root {
        skip::skipped("a namespace of process numbers needs CAP_SYS_ADMIN");
        return;
    }
    if !is_root {
        skip::skipped("level A needs CAP_SYS_ADMIN");
    }
    for as_nobody in [false, true].into_iter().take(1 + usize::from(is_root)) {
        let scenario = Scenario {
            loss,
            has_child,
            as_nobody,
        };
        let mut step = 1 + (2 * number + u64::from(as_nobody)) % stride;
        while answer_of_a_process(|| has_step(scenario, step)) {
            step += stride;
        }
        // As many as one pass has at the least, or nothing was tried.
        assert!(step > 100, "{scenario:?} has {step} steps");
    }
}

/// The stride where `STEP_STRIDE` gives none.
const STRIDE: u64 = 12;

#[test]
fn a_killed_worker_is_in_a_reading_wholly_or_not_at_all() {
    at_each_step(0, STRIDE, Loss::Kill, false);
}

#[test]
fn so_is_a_killed_parent_whose_child_lives_on() {
    at_each_step(1, STRIDE, Loss::Kill, true);
}

#[test]
fn so_is_a_worker_that_exits() {
    at_each_step(2, STRIDE, Loss::Exit, false);
}

#[test]
fn so_is_a_parent_that_exits_whose_child_lives_on() {
    at_each_step(3, STRIDE, Loss::Exit, true);
}

#[test]
fn so_is_a_worker_that_executes_another_program() {
    at_each_step(4, STRIDE, Loss::Exec, false);
}

#[test]
fn so_is_a_parent_that_executes_another_program_and_whose_child_lives_on() {
    at_each_step(5, STRIDE, Loss::Exec, true);
}

#[test]
fn a_worker_whose_address_space_is_gone_is_never_an_empty_one() {
    // Only this state deceives all who look at lists and states, so it has more steps.
    at_each_step(0, 3, Loss::HalfExit, false);
}

#[test]
fn pages_that_the_kernel_takes_from_a_killed_worker_are_never_overlooked() {
    at_each_step(0, STRIDE, Loss::Reclaim, false);
}

#[test]
fn a_large_worker_that_is_killed_meanwhile_is_in_a_reading_wholly_or_not_at_all() {
    at_each_step(1, STRIDE, Loss::Meanwhile, false);
}
