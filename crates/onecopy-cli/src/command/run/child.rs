//! The command as a child process: how it is started, what becomes of signals, and how it ended.
//!
//! ```text
//! Before ─ started ─▶ Runs(pid) ─ waited for ─▶ Ended
//!                     TERM, HUP, USR1, USR2     TERM, HUP: this process ends by them
//!                     are passed on
//! ```
//! It runs in the same process group, so that what the terminal sends reaches it anyway: INT and QUIT
//! are only counted here; the third one ends this process, whatever it is doing. As a subreaper this
//! process becomes the parent of whatever the command leaves behind, which keeps daemons in the tree.
//!
//! **Invariants**
//! - I1. The command is waited for, and `Ended` set, under the lock under which signals are sent. So no
//!   signal is ever sent to a number that may be somebody else's by now.
//! - I2. Both threads are there before the command is, so that no lack of threads can lose its result.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process, wait, waitid,
};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use super::record::Exit;
use super::side::{self, SideFolder};
use crate::output::say;

/// The exit code after a third Ctrl-C: 128 and SIGINT.
const INTERRUPTED: i32 = 130;

/// The variable that asks CPython 3.12 and later for the names of compiled frames.
pub(super) const FRAMES: &str = "PYTHONPERFSUPPORT";

/// What the main thread waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// The command has ended, and when.
    Ended(Exit, Instant),
    /// Ctrl-C, or Ctrl-\.
    Interrupt,
}

/// Why the command could not be started, and the exit code that says so.
#[derive(Debug)]
pub(super) struct NotStarted {
    pub(super) code: i32,
    pub(super) message: String,
}

/// A started command.
pub(super) struct Running {
    pub(super) pid: u32,
    /// Just before it was started.
    pub(super) started: Instant,
    pub(super) happenings: Receiver<Happening>,
}

/// How far the command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    Runs(Pid),
    Ended,
}

#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Phase>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Phase> {
        // A phase is a plain value: it is whole even if somebody has panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What Python programs are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    /// A table of all objects before each fork.
    pub(super) objects: bool,
    /// The names of compiled frames: CPython 3.12 and later show them to whoever reads stacks.
    pub(super) frames: bool,
}

/// Starts the command. Signals that come from here on are seen, even before it runs.
pub(super) fn start(
    command: &[OsString],
    side: Option<&SideFolder>,
    asked: Asked,
) -> Result<Running, NotStarted> {
    let own = |message: String| NotStarted {
        code: super::OWN_FAILURE,
        message,
    };
    let Some((program, arguments)) = command.split_first() else {
        return Err(own("no command was given".to_owned()));
    };
    rustix::process::set_child_subreaper(rustix::process::getpid().into())
        .map_err(|error| own(format!("cannot become the parent of daemons: {error}")))?;
    let signals = Signals::new(taken(ignored()))
        .map_err(|error| own(format!("cannot receive signals: {error}")))?;
    let side = side.map(SideFolder::path);
    let mut prepared = Command::new(program);
    prepared.args(arguments);
    if let Some(side) = side {
        prepared.env(side::VARIABLE, side);
    }
    if asked.objects
        && let Some(path) = side.and_then(python_path)
    {
        prepared.env("PYTHONPATH", path);
        prepared.env(side::WANTS_OBJECTS, "1");
    }
    if asked.frames {
        prepared.env(FRAMES, "1");
    }
    let (sender, happenings) = channel();
    let shared = Shared(Arc::new(Mutex::new(Phase::Before)));
    let mut phase = shared.lock();
    let threads = pass_signals(signals, shared.clone(), sender.clone(), side)
        .and_then(|()| wait_for(shared.clone(), sender));
    let started = Instant::now();
    // The standard library gives the child default action for SIGPIPE and an empty signal mask.
    let child = threads
        .map_err(|error| own(format!("cannot start a thread: {error}")))
        .and_then(|()| {
            let child = prepared.spawn();
            child.map_err(|error| not_started(program, &error))
        });
    let pid = child.as_ref().ok().map(std::process::Child::id);
    *phase = match pid.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
        Some(pid) => Phase::Runs(pid),
        None => Phase::Ended,
    };
    drop(phase);
    Ok(Running {
        pid: child?.id(),
        started,
        happenings,
    })
}

/// The signals to be received. Handlers and not `SIG_IGN`: exec resets handlers, and ignoring would be
/// inherited. What is ignored already (under `nohup`, or in the background of a script) stays so, for the
/// command as well. PIPE is among them because an error says as much and costs no result; CHLD, because
/// nobody's end can be waited for while it is ignored.
fn taken(ignored: u64) -> Vec<i32> {
    let is_ignored = |signal: i32| ignored >> (signal - 1) & 1 == 1;
    let mut signals = vec![SIGPIPE, SIGCHLD];
    let others = [SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2];
    signals.extend(others.into_iter().filter(|signal| !is_ignored(*signal)));
    signals
}

/// The signals that this process was started to ignore, bit n − 1 for signal n.
pub(crate) fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// `PYTHONPATH` with a folder before it that makes Python programs write tables of their objects.
fn python_path(side: &Path) -> Option<OsString> {
    // Without it there is no table, and all else is as good.
    if side.as_os_str().as_bytes().contains(&b':') {
        // That would be two folders, and anybody might have made the first.
        say(format_args!(
            "no tables of objects: the folder for temporary files, {}, has a colon in its name, and PYTHONPATH cannot hold \
             it; set TMPDIR to another one",
            std::env::temp_dir().display()
        ));
        return None;
    }
    let mut path = side::write_site(side).ok()?.into_os_string();
    if let Some(others) = std::env::var_os("PYTHONPATH").filter(|others| !others.is_empty()) {
        path.push(":");
        path.push(others);
    }
    Some(path)
}

fn not_started(program: &OsString, error: &io::Error) -> NotStarted {
    let name = program.to_string_lossy();
    let (code, what) = match error.kind() {
        ErrorKind::NotFound => (127, "not found".to_owned()),
        // What exec says of a folder on PATH that may not be searched, as shells do not.
        ErrorKind::PermissionDenied if !is_somewhere(program) => (127, "not found".to_owned()),
        ErrorKind::PermissionDenied => (126, "not executable".to_owned()),
        // ENOEXEC has no kind of its own.
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            (126, "not in a form that can be executed".to_owned())
        }
        _ => (super::OWN_FAILURE, format!("cannot be started: {error}")),
    };
    NotStarted {
        code,
        message: format!("{name}: {what}"),
    }
}

/// Whether there is a file of that name, on PATH unless it names its folder.
fn is_somewhere(program: &OsString) -> bool {
    let is_named = program.to_string_lossy().contains('/');
    let path = std::env::var_os("PATH").filter(|_| !is_named);
    path.is_none_or(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

fn pass_signals(
    mut signals: Signals,
    shared: Shared,
    sender: Sender<Happening>,
    side: Option<&Path>,
) -> io::Result<()> {
    let side = side.map(Path::to_owned);
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || {
        let mut interrupts = 0;
        let leave = || {
            if let Some(side) = &side {
                side::remove(side);
            }
        };
        for signal in signals.forever() {
            match signal {
                SIGINT | SIGQUIT => {
                    interrupts += 1;
                    if interrupts > 2 {
                        leave();
                        low_level::exit(INTERRUPTED);
                    }
                    // Nobody waits any more once the command has ended.
                    let _ = sender.send(Happening::Interrupt);
                }
                SIGTERM | SIGHUP | SIGUSR1 | SIGUSR2 => {
                    // Blocks while the command is being started. I1.
                    let phase = shared.lock();
                    if let (Phase::Runs(pid), Some(signal)) =
                        (*phase, Signal::from_named_raw(signal))
                    {
                        let _ = kill_process(pid, signal);
                    } else if matches!(signal, SIGTERM | SIGHUP) {
                        leave();
                        // Does not return: default action for both is to end the process.
                        let _ = low_level::emulate_default_handler(signal);
                    }
                }
                _ => {}
            }
        }
    })?;
    Ok(())
}

/// Waits for everything that ends, because orphans of the command become children of this process.
fn wait_for(shared: Shared, sender: Sender<Happening>) -> io::Result<()> {
    let thread = thread::Builder::new().name("ends".to_owned());
    thread.spawn(move || {
        let exit = loop {
            // Blocks while the command is being started.
            let Phase::Runs(pid) = *shared.lock() else {
                return;
            };
            // Waits for somebody's end, but leaves it to be waited for under the lock.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let found = waitid(WaitId::All, options);
            let mut phase = shared.lock();
            match found.and_then(|_| wait(WaitOptions::NOHANG)) {
                Ok(Some((ended, status))) if ended == pid => {
                    *phase = Phase::Ended;
                    break exit(status);
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => {
                    *phase = Phase::Ended;
                    // Somebody else has waited for it; how it ended nobody will know.
                    break Exit {
                        code: None,
                        signal: None,
                    };
                }
            }
        };
        let _ = sender.send(Happening::Ended(exit, Instant::now()));
    })?;
    Ok(())
}

fn exit(status: WaitStatus) -> Exit {
    Exit {
        code: status.exit_status(),
        signal: status.terminating_signal(),
    }
}
