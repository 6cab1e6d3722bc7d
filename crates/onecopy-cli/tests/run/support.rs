//! Programs under a watchdog, and folders that go away.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Once};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGVTALRM,
};

/// How long a program may take before it counts as hung.
const PATIENCE: Duration = Duration::from_mins(2);

/// Lets programs start with signals as a terminal has them, even if the tests run under `nohup` or in the
/// background of a script: what has a handler here, exec sets to its default.
fn undo_ignored() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
        for signal in [
            SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGVTALRM,
        ] {
            if mask >> (signal - 1) & 1 == 1 {
                // Nobody looks at the flag: to this process it is as good as ignored.
                signal_hook::flag::register(signal, Arc::default()).unwrap();
            }
        }
    });
}

/// `onecopy`, with an environment that tests know.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onecopy"));
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "COLUMNS"] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn onecopy(arguments: &[&str]) -> Output {
    Guarded::output_of(command().args(arguments))
}

/// `onecopy run OPTIONS -- sh -c SCRIPT`.
pub(crate) fn script(options: &[&str], script: &str) -> Output {
    let arguments = [&["run"], options, &["--", "sh", "-c", script]].concat();
    onecopy(&arguments)
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A program in a process group of its own. If it hangs, all of the group is killed, and whoever waits for
/// it fails.
pub(crate) struct Guarded {
    child: Option<Child>,
    done: Sender<()>,
    watchdog: Option<JoinHandle<bool>>,
    what: String,
}

impl Guarded {
    pub(crate) fn start(command: &mut Command) -> Self {
        undo_ignored();
        let child = command.process_group(0).spawn().unwrap();
        let group = Pid::from_raw(child.id().cast_signed()).unwrap();
        let (done, wait) = channel();
        let watchdog = thread::spawn(move || {
            let hangs = wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
            if hangs {
                let _ = kill_process_group(group, Signal::KILL);
            }
            hangs
        });
        Self {
            child: Some(child),
            done,
            watchdog: Some(watchdog),
            what: format!("{command:?}"),
        }
    }

    pub(crate) fn output_of(command: &mut Command) -> Output {
        command.stdin(Stdio::null());
        Self::start(command.stdout(Stdio::piped()).stderr(Stdio::piped())).output()
    }

    /// Starts it, and waits until it has said `ready` on standard output.
    pub(crate) fn ready(command: &mut Command) -> Self {
        command.stdin(Stdio::null());
        let mut started = Self::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        assert_eq!(started.line(), "ready\n");
        started
    }

    /// The next line on its standard output, and nothing of what follows.
    pub(crate) fn line(&mut self) -> String {
        let out = self.child().stdout.as_mut().unwrap();
        let (mut line, mut byte) = (Vec::new(), [0]);
        while line.last() != Some(&b'\n') && out.read(&mut byte).unwrap() == 1 {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn send(&mut self, signal: Signal) {
        let pid = Pid::from_raw(self.child().id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Reads all that it says, and waits for its end.
    pub(crate) fn output(mut self) -> Output {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        self.assert_ended();
        output
    }

    fn assert_ended(&mut self) {
        let _ = self.done.send(());
        let hung = self.watchdog.take().unwrap().join().unwrap();
        assert!(
            !hung,
            "hung, and was killed after {PATIENCE:?}: {}",
            self.what
        );
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // The test has failed, or wants no more of it. The group has its number until it is waited for.
        let group = Pid::from_raw(child.id().cast_signed()).unwrap();
        let _ = kill_process_group(group, Signal::KILL);
        let _ = child.wait();
        if let (Some(watchdog), Ok(())) = (self.watchdog.take(), self.done.send(())) {
            let hung = watchdog.join().unwrap_or(false);
            assert!(!hung || thread::panicking(), "hung: {}", self.what);
        }
    }
}

/// A folder that goes away.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("onecopy-test-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// What is in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn has_python() -> bool {
    let found = Command::new("python3")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        skip::skipped("python3 is not on PATH");
    }
    found
}

/// For `sh`: stays as it is from `ready` on. Were it to start another program then, a reading could come between.
pub(crate) const STAYS: &str = "echo ready; kill -STOP $$";

/// For `sh`: waits until the tree has been counted, while processes come and go.
pub(crate) const READ: &str = r#"r=0; until [ ${r:-0} -ge 1 ]; do /bin/true; { read r < "$ONECOPY_SIDE/readings"; } 2>/dev/null; done; true"#;

/// Python: waits until the tree has been counted twice more, the first of which may have begun before the
/// call. Something must move.
pub(crate) const MEASURED: &str = "
import mmap, os, signal, sys, time
def readings():
    try:
        return int(open(os.environ['ONECOPY_SIDE'] + '/readings').read())
    except (KeyError, OSError, ValueError):
        return 0
def measured():
    first, patience = readings(), time.monotonic() + 100
    while readings() < first + 2:
        if time.monotonic() > patience:
            os._exit(9)
        # A page fault for certain: an allocator may have memory left over.
        page = mmap.mmap(-1, mmap.PAGESIZE)
        page[0] = 1
        page.close()
        time.sleep(0.02)
";
