//! The files of `onecopy run`, and the streams that it shares with the command.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
use serde_json::Value;

use crate::support::{Folder, Guarded, READ, command, onecopy, script, text};

#[test]
fn standard_streams_belong_to_the_command() {
    let mut run = Guarded::start(
        command()
            .args(["run", "--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let mut input = run.child().stdin.take().unwrap();
    input.write_all(b"through").unwrap();
    drop(input);
    let output = run.output();
    assert_eq!(text(&output.stdout), "through");
    assert!(
        text(&output.stderr).starts_with("── onecopy"),
        "{}",
        text(&output.stderr)
    );
    let quiet = script(&["-q"], "echo out; echo err >&2");
    assert_eq!(
        (text(&quiet.stdout), text(&quiet.stderr)),
        ("out\n", "err\n")
    );
}

#[test]
fn a_full_disk_is_said_and_costs_no_result() {
    let full = script(&["--json", "/dev/full"], "exit 0");
    assert_eq!(full.status.code(), Some(125));
    let errors = text(&full.stderr);
    assert!(
        errors.contains("/dev/full") && errors.contains("ended with 0"),
        "{errors}"
    );
    assert_eq!(
        script(&["--json", "/dev/full"], "exit 6").status.code(),
        Some(6)
    );
}

#[test]
fn a_full_disk_behind_standard_error_does_not_change_the_exit_code() {
    for (line, expected) in [("exit 6", 6), ("exit 0", 125)] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut run = Guarded::start(
            command()
                .args(["run", "--", "sh", "-c", line])
                .stdin(Stdio::null())
                .stderr(full),
        );
        let status = run.child().wait().unwrap();
        assert_eq!(status.code(), Some(expected));
    }
}

/// `script`, with a standard error or output whose reader has left.
fn without_reader(options: &[&str], line: &str, is_error: bool) -> Option<i32> {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command();
    command
        .arg("run")
        .args(options)
        .args(["--", "sh", "-c", line])
        .stdin(Stdio::null());
    if is_error {
        command.stderr(writer);
    } else {
        command.stdout(writer);
    }
    Guarded::start(&mut command).child().wait().unwrap().code()
}

#[test]
fn a_reader_that_leaves_changes_no_exit_code() {
    for (line, expected) in [("exit 0", 0), ("exit 6", 6)] {
        assert_eq!(without_reader(&[], line, true), Some(expected));
        assert_eq!(
            without_reader(&["-q", "--json", "-"], line, false),
            Some(expected)
        );
        assert_eq!(without_reader(&["-o", "-"], line, false), Some(expected));
        let closed = format!(
            "exec {} run -- sh -c '{line}' 2>&- >&-",
            env!("CARGO_BIN_EXE_onecopy")
        );
        let output = Guarded::output_of(Command::new("sh").args(["-c", &closed]));
        assert_eq!(output.status.code(), Some(expected));
    }
}

#[test]
fn old_files_are_unharmed_until_a_report_is_written() {
    let folder = Folder::new("unharmed");
    let (old, new) = (folder.file("old.json"), folder.file("new.txt"));
    let before = "x".repeat(100_000);
    fs::write(&old, &before).unwrap();
    let missing = onecopy(&[
        "run",
        "--json",
        &old,
        "-o",
        &new,
        "--",
        "no-such-command-anywhere",
    ]);
    assert_eq!(missing.status.code(), Some(127));
    assert_eq!(fs::read_to_string(&old).unwrap(), before);
    assert_eq!(folder.names(), ["old.json"], "an empty report is no report");
    let line = format!("wc -c <{old}");
    let output = script(&["-q", "--json", &old], &line);
    assert_eq!(text(&output.stdout).trim(), "100000");
    // Emptied before it is written: nothing of the longer text is left.
    let record: Value = serde_json::from_str(&fs::read_to_string(&old).unwrap()).unwrap();
    assert_eq!(record["exit"]["code"], 0);
}

#[test]
fn a_report_is_found_under_its_name_even_if_the_command_tidies_up() {
    let folder = Folder::new("tidies");
    let json = folder.file("run.json");
    let output = script(&["-q", "--json", &json], &format!("rm {json}; exit 4"));
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(record["exit"]["code"], 4);
}

#[test]
fn the_command_has_none_of_the_files() {
    let folder = Folder::new("inherits");
    let (json, csv) = (folder.file("run.json"), folder.file("run.csv"));
    let output = script(
        &["-q", "--json", &json, "--csv", &csv],
        "ls -l /proc/self/fd",
    );
    assert!(
        text(&output.stdout).contains("/fd"),
        "{}",
        text(&output.stdout)
    );
    assert!(
        !text(&output.stdout).contains("run."),
        "{}",
        text(&output.stdout)
    );
    assert!(
        !text(&output.stdout).contains("/lock"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn two_outputs_never_share_a_file() {
    let folder = Folder::new("twice");
    let (path, link, ran) = (folder.file("out"), folder.file("link"), folder.file("ran"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for (first, second) in [
        (path.as_str(), path.as_str()),
        (&path, &link),
        ("-", "-"),
        ("-", "/dev/stdout"),
    ] {
        let output = onecopy(&["run", "--json", first, "-o", second, "--", "touch", &ran]);
        assert_eq!(output.status.code(), Some(125), "{first} {second}");
        let said = text(&output.stderr);
        assert!(said.contains("--json and --output both write to"), "{said}");
        assert!(!Path::new(&ran).exists());
        assert!(!Path::new(&path).exists());
    }
    let output = onecopy(&[
        "run",
        "-q",
        "--json",
        "/dev/null",
        "--csv",
        "/dev/null",
        "--",
        "true",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn a_named_pipe_without_reader_is_said_and_one_with_a_reader_gets_the_report() {
    let folder = Folder::new("fifo");
    let (fifo, ran) = (folder.file("fifo"), folder.file("ran"));
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
    let output = onecopy(&["run", "--json", &fifo, "--", "touch", &ran]);
    assert_eq!(output.status.code(), Some(125));
    assert!(
        text(&output.stderr).contains("nobody reads it"),
        "{}",
        text(&output.stderr)
    );
    assert!(!Path::new(&ran).exists());
    // The reader sees the end once, after the whole report.
    let reader = open(
        &fifo,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .unwrap();
    let output = onecopy(&["run", "-q", "--json", &fifo, "--", "true"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut json = String::new();
    File::from(reader).read_to_string(&mut json).unwrap();
    let record: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(record["schema"], "onecopy.run/1");
}

#[test]
fn a_hyphen_is_standard_output_after_the_command() {
    for name in ["-", "/dev/stdout", "/dev/fd/1"] {
        let output = onecopy(&["run", "-q", "--json", name, "--", "echo", "first"]);
        let rest = text(&output.stdout).strip_prefix("first\n").unwrap();
        let record: Value = serde_json::from_str(rest).unwrap();
        assert_eq!(record["command"][0], "echo");
        // A file keeps what the command has written.
        let folder = Folder::new("hyphen");
        let path = folder.file("out");
        fs::write(&path, "before\n").unwrap();
        let mut run = Guarded::start(
            command()
                .args(["run", "-o", name, "--", "echo", "first"])
                .stdin(Stdio::null())
                .stdout(fs::OpenOptions::new().append(true).open(&path).unwrap()),
        );
        assert!(run.child().wait().unwrap().success());
        let written = fs::read_to_string(&path).unwrap();
        assert!(
            written.starts_with("before\nfirst\n── onecopy"),
            "{written}"
        );
    }
    let output = onecopy(&["run", "-q", "--json", "/dev/stderr", "--", "true"]);
    assert!(
        text(&output.stderr).starts_with('{'),
        "{}",
        text(&output.stderr)
    );
    let help = onecopy(&["run", "--help"]);
    assert!(text(&help.stdout).contains("- is standard output"));
}

#[test]
fn a_quiet_run_writes_the_report_that_was_asked_for() {
    let folder = Folder::new("quiet");
    let out = folder.file("run.txt");
    let output = script(&["-q", "-o", &out], &format!("{READ}; exit 4"));
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(4), ""));
    let report = fs::read_to_string(&out).unwrap();
    assert!(report.starts_with("── onecopy"), "{report}");
}

#[test]
fn a_picture_of_next_to_nothing_costs_no_result() {
    let folder = Folder::new("nothing");
    let [svg, lines] = ["e.svg", "e.jsonl"].map(|name| folder.file(name));
    // Over before anybody can look, as a rule.
    for _ in 0..5 {
        let options = ["run", "-q", "--svg", &svg, "--jsonl", &lines, "--"];
        let output = onecopy(&[&options[..], &["true"]].concat());
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        let picture = fs::read_to_string(&svg).unwrap();
        assert!(
            picture.starts_with("<svg ") && picture.trim_end().ends_with("</svg>"),
            "{picture}"
        );
        fs::read_to_string(&lines).unwrap();
    }
}

#[test]
fn whatever_a_program_leaves_in_the_side_folder_nobody_hangs_or_drowns() {
    let folder = Folder::new("traps");
    let json = folder.file("run.json");
    let kept = folder.file("kept");
    fs::write(&kept, "kept").unwrap();
    // Pipes without a writer, devices without an end, files larger than memory, and a link where `run` writes.
    let traps = format!(
        r#"cd "$ONECOPY_SIDE" && for kind in tags marks objects; do
               for end in jsonl json bin; do
                   mkfifo $kind-1.$end; ln -s /dev/zero $kind-2.$end; truncate -s 1T $kind-3.$end
               done
           done
           echo '{{"pid":4,"types":[]}}' > objects-4.json; mkfifo objects-4.bin
           echo '{{"pid":5,"types":[]}}' > objects-5.json; truncate -s 1T objects-5.bin
           ln -s {kept} readings.new; echo ready
           i=0; until [ -s readings ] && [ $i -ge 50 ]; do sleep 0.02 & wait; i=$((i+1)); done"#
    );
    for options in [&["--overhead", "50"][..], &["--why", "--overhead", "50"]] {
        let options = [&["-q", "--json", &json], options].concat();
        let output = script(&options, &traps);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "ready\n");
        let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
        assert!(record["report"].is_object(), "{record:#}");
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
    }
}

fn rights(path: &str) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_rights(path: impl AsRef<Path>, rights: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(rights)).unwrap();
}

#[test]
fn reports_hold_command_lines_and_are_their_owners_alone_unless_he_has_said_otherwise() {
    let folder = Folder::new("rights");
    let [json, csv, html, text] =
        ["new.json", "open.csv", "set.html", "new.txt"].map(|name| folder.file(name));
    for (path, rights) in [(&csv, 0o644), (&html, 0o4755)] {
        fs::write(path, "old").unwrap();
        set_rights(path, rights);
    }
    let options = [
        "-q", "--json", &json, "--csv", &csv, "--html", &html, "-o", &text,
    ];
    let output = script(&options, "echo a secret word >/dev/null");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        [&json, &csv, &html, &text].map(|path| rights(path)),
        [0o600, 0o644, 0o755, 0o600]
    );
    let help = onecopy(&["run", "--help"]);
    assert!(self::text(&help.stdout).contains("only you can read"));
}

#[test]
fn a_report_that_cannot_be_written_leaves_the_old_one() {
    let folder = Folder::new("limit");
    let json = folder.file("run.json");
    fs::write(&json, "old").unwrap();
    let line = format!(
        "trap '' XFSZ; ulimit -f 0; exec {} run -q --json {json} -- true",
        env!("CARGO_BIN_EXE_onecopy")
    );
    let output = Guarded::output_of(Command::new("sh").args(["-c", &line]));
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert_eq!(fs::read_to_string(&json).unwrap(), "old");
    assert_eq!(folder.names(), ["run.json"]);
}

#[test]
fn what_others_put_into_a_shared_folder_gets_no_report() {
    if !rustix::process::geteuid().is_root() {
        skip::skipped("only root can make files that belong to somebody else");
        return;
    }
    let folder = Folder::new("shared");
    let victim = Folder::new("victim");
    set_rights(&folder.0, 0o1777);
    let [link, pipe, file, ran] = ["link", "pipe", "file", "ran"].map(|name| folder.file(name));
    symlink(victim.file("data"), &link).unwrap();
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    fs::write(&file, "theirs").unwrap();
    // They would read it.
    let _reader = open(
        &pipe,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .unwrap();
    for path in [&link, &pipe, &file] {
        lchown(path, Some(65_534), None).unwrap();
        let output = onecopy(&["run", "-q", "--json", path, "--", "touch", &ran]);
        assert_eq!(output.status.code(), Some(125), "{path} {output:?}");
        let said = text(&output.stderr);
        assert!(said.contains("user 65534"), "{said}");
    }
    assert!(!Path::new(&ran).exists() && victim.names().is_empty());
    assert_eq!(fs::read_to_string(&file).unwrap(), "theirs");
}

#[test]
fn a_folder_that_the_command_has_made_anew_gets_the_report() {
    let folder = Folder::new("anew");
    let (inner, json) = (folder.file("inner"), folder.file("inner/run.json"));
    fs::create_dir(&inner).unwrap();
    let line = format!("rm -r {inner} && mkdir {inner}");
    let output = script(&["-q", "--json", &json], &line);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(record["exit"]["code"], 0);
}

#[test]
fn names_of_files_in_errors_are_no_commands_to_the_terminal() {
    let folder = Folder::new("names");
    let name = folder.file("\u{1b}[2J\u{9b}31m\u{202e}");
    fs::write(&name, "no image").unwrap();
    for arguments in [
        &["inspect", &name][..],
        &["inspect", &format!("{name}x")],
        &["inspect", "x", &name],
        &["diff", &name, &name],
        &["run", "--json", &format!("{name}/x"), "--", "true"],
        &["run", "--", &name],
    ] {
        let output = onecopy(arguments);
        assert!(!output.status.success());
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(said.contains("\\u{1b}[2J"), "{said:?}");
        assert!(!said.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{said:?}");
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_not_the_end() {
    let folder = Folder::new("limit");
    let limited = |command: &str| {
        let program = env!("CARGO_BIN_EXE_onecopy");
        let script = format!("ulimit -f 1; exec {program} {command}");
        Guarded::output_of(Command::new("sh").args(["-c", &script]))
    };
    let json = folder.0.join("j");
    let json = json.to_str().unwrap();
    let output = limited(&format!(
        "run --json {json} --jsonl {json}l -- sh -c 'exit 7'"
    ));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("File too large"), "{said}");
    // The command itself meets the limit as it would without this one.
    let file = folder.0.join("large");
    let write = format!(
        "dd if=/dev/zero of={} bs=4096 count=2 2>&1",
        file.to_str().unwrap()
    );
    let output = limited(&format!("run --quiet -- sh -c 'exec {write}'"));
    assert_eq!(output.status.code(), Some(128 + 25), "{output:?}");
    let output = limited(&format!("report $$ --json > {json}2"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text(&output.stderr).contains("File too large"),
        "{output:?}"
    );
}
