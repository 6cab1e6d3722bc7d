//! `onecopy report`, and what shells ask for.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Folder, Guarded, STAYS, command, onecopy, text};

/// A program alone, whose tree the other tests leave as it is.
fn alone() -> (Guarded, String) {
    let mut shell = Command::new("sh");
    let alone = Guarded::ready(shell.args(["-c", STAYS]));
    let pid = alone.pid().to_string();
    (alone, pid)
}

#[test]
fn a_report_has_every_form_and_the_exit_codes_of_the_others() {
    let (_alone, pid) = alone();
    let plain = onecopy(&["report", &pid]);
    assert_eq!(plain.status.code(), Some(0), "{}", text(&plain.stderr));
    assert!(text(&plain.stdout).contains("physical"));
    let json: Value = serde_json::from_slice(&onecopy(&["report", &pid, "--json"]).stdout).unwrap();
    assert_eq!(json["schema"], "onecopy.report/1");
    let line = onecopy(&["report", &pid, "--format", "jsonl"]);
    assert_eq!(text(&line.stdout).lines().count(), 1);
    let csv = onecopy(&["report", &pid, "--format", "csv", "--no-header"]);
    assert!(!text(&csv.stdout).contains("pid,parent"));
    let bytes = onecopy(&["report", &pid, "--bytes"]);
    assert!(!text(&bytes.stdout).contains("MiB"));
    assert_eq!(onecopy(&["report", "4194305"]).status.code(), Some(1));
    assert_eq!(onecopy(&["report", "x"]).status.code(), Some(2));
    let coloured = onecopy(&["--color", "always", "report", &pid]);
    assert!(text(&coloured.stdout).contains('\u{1b}'));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let (_alone, pid) = alone();
    let commands: [&[&str]; 5] = [
        &["report", &pid, "--json"],
        &["completions", "bash"],
        &["man"],
        &["schema", "run"],
        &["--help"],
    ];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command();
        command.args(arguments).stdin(Stdio::null());
        let mut run = Guarded::start(command.stdout(writer).stderr(Stdio::piped()));
        let mut errors = String::new();
        let mut stderr = run.child().stderr.take().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        let code = run.child().wait().unwrap().code();
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_a_failure_that_is_said() {
    let commands: [&[&str]; 6] = [
        &["completions", "zsh"],
        &["man"],
        &["schema", "report"],
        &["--help"],
        &["--version"],
        &["run", "--help"],
    ];
    for arguments in commands {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut command = command();
        command.args(arguments).stdin(Stdio::null());
        let mut run = Guarded::start(command.stdout(full).stderr(Stdio::piped()));
        let mut errors = String::new();
        let mut stderr = run.child().stderr.take().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        assert_eq!(
            run.child().wait().unwrap().code(),
            Some(1),
            "{arguments:?}: {errors}"
        );
        assert!(
            errors.starts_with("onecopy: cannot write to standard output: No space left"),
            "{errors}"
        );
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn the_help_says_what_why_costs_and_changes() {
    let help = onecopy(&["run", "--help"]);
    let words: Vec<&str> = text(&help.stdout).split_whitespace().collect();
    let help = words.join(" ");
    for part in [
        "about a second per 100,000 dicts",
        "memory that it may not give back",
        "not part of --overhead",
        "ONECOPY_OBJECTS",
        "[default: 1; with --max-copies 10]",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
}

#[test]
fn the_other_commands_have_the_exit_codes_that_their_help_says() {
    let pid = std::process::id().to_string();
    // In no time nothing can change, and nothing be watched.
    for arguments in [["diff", &pid, "--every", "0"], ["why", &pid, "--for", "0"]] {
        let output = onecopy(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("nothing can change in no time"));
    }
    // A program alone has no number of copies, so that no limit can be checked.
    let mut sleeps = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let of = sleeps.id().to_string();
    let commands: [&[&str]; 4] = [
        &["report", &of],
        &["top", &of],
        &["diff", &of, "--every", "0.01"],
        &["why", &of, "--for", "0.01"],
    ];
    let codes = commands.map(|arguments| {
        let limited = onecopy(&[arguments, &["--max-copies", "1.5"]].concat());
        let said = text(&limited.stderr).contains("cannot be checked");
        let plain = onecopy(arguments).status.code();
        (plain, limited.status.code(), said)
    });
    // What is there now takes no time.
    let content = onecopy(&["why", &of, "--for", "0", "--content"]);
    assert_eq!(content.status.code(), Some(0), "{}", text(&content.stderr));
    sleeps.kill().unwrap();
    sleeps.wait().unwrap();
    assert_eq!(codes, [(Some(0), Some(3), true); 4]);
    for arguments in commands {
        let help = onecopy(&[arguments[0], "--help"]);
        assert!(text(&help.stdout).contains("Exit codes:"), "{arguments:?}");
    }
}

#[test]
fn a_folder_with_a_colon_comes_on_no_path() {
    let folder = Folder::new("with:colon");
    let run = |folder: &std::path::Path| {
        let mut run = command();
        run.env("TMPDIR", folder).env_remove("PYTHONPATH");
        run.args(["run", "--why", "--", "sh", "-c", "test -z \"$PYTHONPATH\""]);
        Guarded::output_of(&mut run)
    };
    let output = run(&folder.0);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("has a colon in its name"));
    let plain = Folder::new("without");
    assert_eq!(run(&plain.0).status.code(), Some(1));
}
