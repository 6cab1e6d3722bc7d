//! `onecopy top` on a terminal, and signals from outside.
//!
//! Tests wait for what is shown, and a watchdog ends a program that hangs.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::support::{Guarded, STAYS, command};

/// A terminal with `top` on it.
struct Terminal {
    /// What a person would sit at; gone, the terminal has hung up.
    outer: Option<File>,
    inner: File,
    top: Guarded,
    shown: Vec<u8>,
}

/// Ends a hang.
const PATIENCE: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};
const ENTERED: &str = "\u{1b}[?1049h";
const LEFT: &str = "\u{1b}[?1049l";

impl Terminal {
    fn with_top(of: &Guarded) -> Self {
        let outer = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&outer).unwrap();
        unlockpt(&outer).unwrap();
        let name = ptsname(&outer, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let inner = File::from(open(&name, flags, Mode::empty()).unwrap());
        let size = Winsize {
            ws_row: 24,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&inner, size).unwrap();
        let stdio = || Stdio::from(inner.try_clone().unwrap());
        let mut command = command();
        command
            .args(["top", &of.pid().to_string()])
            .env("TERM", "xterm");
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let top = Guarded::start(&mut command);
        let mut terminal = Self {
            outer: Some(File::from(outer)),
            inner,
            top,
            shown: Vec::new(),
        };
        terminal.wait_for(ENTERED);
        terminal.wait_for("copies");
        terminal
    }

    /// Reads until that is shown after what was waited for before.
    fn wait_for(&mut self, what: &str) {
        let end = loop {
            let text = String::from_utf8_lossy(&self.shown);
            if let Some(at) = text.find(what) {
                break text[at + what.len()..].to_owned();
            }
            let outer = self.outer.as_mut().unwrap();
            let mut waiting = [PollFd::new(&*outer, PollFlags::IN)];
            let found = poll(&mut waiting, Some(&PATIENCE)).unwrap();
            assert!(found > 0, "{what:?} never came, but {text:?}");
            let mut some = [0; 4096];
            let count = outer.read(&mut some).unwrap();
            self.shown.extend_from_slice(&some[..count]);
        };
        self.shown = end.into_bytes();
    }

    fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.inner).unwrap().local_modes;
        let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        assert!(!modes.intersects(cooked) || modes.contains(cooked));
        !modes.intersects(cooked)
    }

    /// Asserts that the terminal is as it was before.
    fn assert_left(&mut self) {
        assert!(!self.is_raw());
        self.wait_for(LEFT);
        self.wait_for("\u{1b}[?25h");
    }
}

fn observed() -> Guarded {
    Guarded::ready(Command::new("sh").args(["-c", STAYS]))
}

#[test]
fn a_signal_from_outside_leaves_the_terminal_as_it_was() {
    let observed = observed();
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        let mut terminal = Terminal::with_top(&observed);
        assert!(terminal.is_raw());
        terminal.top.send(signal);
        let status = terminal.top.child().wait().unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status}");
        terminal.assert_left();
    }
}

#[test]
fn a_stop_from_outside_gives_the_terminal_back_until_top_goes_on() {
    let observed = observed();
    let mut terminal = Terminal::with_top(&observed);
    let pid = Pid::from_raw(terminal.top.pid().cast_signed()).unwrap();
    // The second time, nobody could put the terminal back.
    for signal in [Signal::TSTP, Signal::STOP] {
        terminal.top.send(signal);
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "{status:?}");
        if signal == Signal::TSTP {
            terminal.assert_left();
        }
        terminal.top.send(Signal::CONT);
        terminal.wait_for(ENTERED);
        terminal.wait_for("copies");
        assert!(terminal.is_raw());
    }
    terminal.top.send(Signal::TERM);
    terminal.top.child().wait().unwrap();
    terminal.assert_left();
}

#[test]
fn top_ends_with_a_terminal_that_hangs_up() {
    let observed = observed();
    let mut terminal = Terminal::with_top(&observed);
    terminal.outer = None;
    // What a kernel sends to those whose terminal it was.
    terminal.top.send(Signal::HUP);
    let status = terminal.top.child().wait().unwrap();
    // By the signal, or because nothing could be drawn; the watchdog would have killed it.
    assert_ne!(status.signal(), Some(Signal::KILL.as_raw()), "{status}");
}
