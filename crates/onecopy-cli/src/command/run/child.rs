//! The command as a child process: how it is started, what becomes of signals, and how it ended.
//!
//! It runs in the same process group, so that what the terminal sends reaches it anyway: INT and QUIT
//! are only noted here. TERM, HUP, USR1 and USR2 are passed on. As a subreaper this process becomes the
//! parent of whatever the command leaves behind, which keeps daemons in the tree.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::{Handle, Signals};

use super::record::Exit;

/// What the main thread waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// The command has ended.
    Ended(Exit),
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
    pub(super) happenings: Receiver<Happening>,
    signals: Handle,
}

/// Starts the command. Signals that come from here on are seen, even before it runs.
pub(super) fn start(
    command: &[OsString],
    side: Option<&Path>,
    why: bool,
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
    // Handlers and not SIG_IGN: exec resets handlers, and ignoring would be inherited.
    let signals = Signals::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2])
        .map_err(|error| own(format!("cannot receive signals: {error}")))?;
    let mut prepared = Command::new(program);
    prepared.args(arguments);
    if let Some(side) = side {
        prepared.env(super::tags::VARIABLE, side);
    }
    if why {
        if let Some(path) = side.and_then(python_path) {
            prepared.env("PYTHONPATH", path);
            prepared.env(super::tags::WANTS_OBJECTS, "1");
        }
        // CPython 3.12 and later then show their frames to whoever reads stacks.
        prepared.env("PYTHONPERFSUPPORT", "1");
    }
    // The standard library gives the child default action for SIGPIPE and an empty signal mask.
    let child = prepared
        .spawn()
        .map_err(|error| not_started(program, &error))?;
    let pid = child.id();
    let (sender, happenings) = channel();
    let handle = signals.handle();
    pass_signals(signals, pid, sender.clone());
    wait_for(pid, sender);
    Ok(Running {
        pid,
        happenings,
        signals: handle,
    })
}

/// `PYTHONPATH` with a folder before it that makes Python programs write tables of their objects.
fn python_path(side: &Path) -> Option<OsString> {
    // Without it there is no table, and all else is as good.
    let mut path = super::tags::write_site(side).ok()?.into_os_string();
    if let Some(others) = std::env::var_os("PYTHONPATH").filter(|others| !others.is_empty()) {
        path.push(":");
        path.push(others);
    }
    Some(path)
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signals.close();
    }
}

fn not_started(program: &OsString, error: &io::Error) -> NotStarted {
    let name = program.to_string_lossy();
    let (code, what) = match error.kind() {
        ErrorKind::NotFound => (127, "not found".to_owned()),
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

fn pass_signals(mut signals: Signals, pid: u32, sender: Sender<Happening>) {
    thread::spawn(move || {
        for signal in signals.forever() {
            if matches!(signal, SIGINT | SIGQUIT) {
                if sender.send(Happening::Interrupt).is_err() {
                    return;
                }
                continue;
            }
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) {
                // It is waited for by this process alone, so the number is still its own, or nobody's.
                let _ = kill_process(pid, signal);
            }
        }
    });
}

/// Waits for everything that ends, because orphans of the command become children of this process.
fn wait_for(pid: u32, sender: Sender<Happening>) {
    thread::spawn(move || {
        loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((ended, status)))
                    if ended.as_raw_nonzero().get().cast_unsigned() == pid =>
                {
                    let _ = sender.send(Happening::Ended(exit(status)));
                    return;
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => {
                    // Somebody else has waited for it; how it ended nobody will know.
                    let unknown = Exit {
                        code: None,
                        signal: None,
                    };
                    let _ = sender.send(Happening::Ended(unknown));
                    return;
                }
            }
        }
    });
}

fn exit(status: WaitStatus) -> Exit {
    Exit {
        code: status.exit_status(),
        signal: status.terminating_signal(),
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        Self {
            code: status.code(),
            signal: status.signal(),
        }
    }
}
