//! Signals to `onecopy run`, before and after the command's end.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, fcntl_getfl, fcntl_setfl, mkfifoat, open};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Folder, Guarded, command, text};

#[test]
fn signals_are_forwarded_or_noted() {
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
    ] {
        let line = format!("trap 'exit 9' {name}; echo ready; while :; do sleep 0.05; done");
        let mut run = Guarded::ready(command().args(["run", "--", "sh", "-c", &line]));
        run.send(signal);
        let output = run.output();
        assert_eq!(
            output.status.code(),
            Some(9),
            "{name}: {}",
            text(&output.stderr)
        );
        assert!(
            text(&output.stderr).contains("── onecopy"),
            "{name}: {}",
            text(&output.stderr)
        );
    }
}

/// A script that says when it gets USR1, and starts with `ready`.
const ANSWERS: &str = "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.02; done";

/// Interrupts, and waits until that was noted: signals are looked at in the order of their numbers, so that
/// when USR1 has been passed on, the interrupt has been counted.
fn interrupt(run: &mut Guarded) {
    run.send(Signal::INT);
    run.send(Signal::USR1);
    assert_eq!(run.line(), "usr1\n");
}

#[test]
fn the_first_interrupt_waits_the_second_reports_at_once_and_the_third_leaves() {
    // Ctrl-C reaches the command by itself; here only `run` gets it, and the command goes on.
    let folder = Folder::new("interrupts");
    let mut run = Guarded::ready(
        command()
            .env("TMPDIR", &folder.0)
            .args(["run", "--", "sh", "-c", ANSWERS]),
    );
    interrupt(&mut run);
    interrupt(&mut run);
    let mut errors = BufReader::new(run.child().stderr.take().unwrap());
    let mut lines = Vec::new();
    while !lines
        .last()
        .is_some_and(|line: &String| line.contains("still runs"))
    {
        let mut line = String::new();
        assert_ne!(errors.read_line(&mut line).unwrap(), 0, "{lines:?}");
        lines.push(line);
    }
    assert!(lines[0].contains("── onecopy"), "{lines:?}");
    assert_eq!(folder.names().len(), 1);
    run.send(Signal::INT);
    assert_eq!(run.child().wait().unwrap().code(), Some(130));
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

/// A run whose command has ended with 5, and which is stuck writing its report: nobody reads on.
fn stuck(folder: &Folder) -> (Guarded, File) {
    // A new one each time: what is in the old one stays there as long as a process that another test is just starting
    // has the reader's end, too.
    let fifo = folder.file("fifo");
    let _ = fs::remove_file(&fifo);
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
    let reader = open(
        &fifo,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .unwrap();
    let temporary = folder.file("tmp");
    fs::create_dir_all(&temporary).unwrap();
    // More than a pipe holds: the words of the command are in the report.
    let long = "x".repeat(100_000);
    let run = Guarded::start(
        command()
            .env("TMPDIR", &temporary)
            .args([
                "run", "-q", "--json", &fifo, "--", "sh", "-c", "exit 5", &long,
            ])
            .stdin(Stdio::null()),
    );
    let mut polled = [PollFd::new(&reader, PollFlags::IN)];
    let patience = Timespec {
        tv_sec: 100,
        tv_nsec: 0,
    };
    assert_eq!(
        poll(&mut polled, Some(&patience)).unwrap(),
        1,
        "nothing was written"
    );
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 1);
    (run, File::from(reader))
}

#[test]
fn a_signal_after_the_commands_end_ends_run_and_leaves_no_folder() {
    let folder = Folder::new("late");
    for signal in [Signal::TERM, Signal::HUP] {
        let (mut run, _reader) = stuck(&folder);
        run.send(signal);
        let status = run.child().wait().unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status}");
        assert_eq!(fs::read_dir(folder.file("tmp")).unwrap().count(), 0);
    }
}

#[test]
fn a_third_interrupt_ends_a_report_that_cannot_be_written() {
    let folder = Folder::new("third");
    let (mut run, _reader) = stuck(&folder);
    let status = loop {
        if let Some(status) = run.child().try_wait().unwrap() {
            break status;
        }
        run.send(Signal::INT);
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(130));
    assert_eq!(fs::read_dir(folder.file("tmp")).unwrap().count(), 0);
}

#[test]
fn a_report_that_was_stuck_loses_nothing_when_it_is_read_at_last() {
    let folder = Folder::new("slow");
    let (run, mut reader) = stuck(&folder);
    let flags = fcntl_getfl(&reader).unwrap();
    fcntl_setfl(&reader, flags - OFlags::NONBLOCK).unwrap();
    let mut json = String::new();
    reader.read_to_string(&mut json).unwrap();
    let record: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(record["exit"]["code"], 5);
    assert_eq!(run.output().status.code(), Some(5));
}

#[test]
fn folders_of_killed_runs_are_removed_by_the_next_one() {
    let folder = Folder::new("stale");
    let temporary = |command: &mut Command, line: &str| {
        command
            .env("TMPDIR", &folder.0)
            .args(["run", "-q", "--", "sh", "-c", line]);
    };
    let next = || {
        let mut next = command();
        temporary(&mut next, "exit 0");
        assert!(Guarded::output_of(&mut next).status.success());
        folder.names()
    };
    let mut first = command();
    temporary(&mut first, "echo ready; exec sleep 1000");
    let run = Guarded::ready(&mut first);
    let names = folder.names();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(next(), names, "its owner is alive");
    // Kills them all.
    drop(run);
    assert_eq!(folder.names(), names, "nobody was left to remove it");
    assert!(next().is_empty());
}
