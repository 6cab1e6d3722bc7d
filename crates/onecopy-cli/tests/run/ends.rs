//! How the command is started and ends, and the exit codes that say so.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{Folder, Guarded, MEASURED, command, has_python, onecopy, script, text};

#[test]
fn the_commands_exit_code_is_passed_through() {
    for code in [0, 1, 3, 7, 125, 255] {
        let output = script(&[], &format!("exit {code}"));
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    }
    assert_eq!(script(&[], "kill -KILL $$").status.code(), Some(128 + 9));
    assert_eq!(script(&[], "kill -SEGV $$").status.code(), Some(128 + 11));
}

#[test]
fn what_cannot_be_started_has_its_own_codes_and_says_why() {
    let folder = Folder::new("start");
    let missing = onecopy(&["run", "--", "no-such-command-anywhere"]);
    assert_eq!(missing.status.code(), Some(127));
    assert!(text(&missing.stderr).contains("no-such-command-anywhere: not found"));
    let plain = folder.file("plain");
    fs::write(&plain, "text").unwrap();
    let denied = onecopy(&["run", "--", &plain]);
    assert_eq!(denied.status.code(), Some(126), "{}", text(&denied.stderr));
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&plain, [0x7f, b'E', b'L', b'F', 0, 0]).unwrap();
    assert_eq!(onecopy(&["run", "--", &plain]).status.code(), Some(126));
    // On PATH, a file that may not be executed is found; a folder that may not be searched hides nothing.
    let closed = folder.file("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let from = |path: &str, name: &str| {
        let mut command = command();
        Guarded::output_of(command.env("PATH", path).args(["run", "--", name]))
            .status
            .code()
    };
    assert_eq!(from(folder.0.to_str().unwrap(), "plain"), Some(126));
    assert_eq!(from(&closed, "no-such-command-anywhere"), Some(127));
    let unwritable = onecopy(&[
        "run",
        "--json",
        "/no/such/folder/x",
        "--",
        "touch",
        &folder.file("ran"),
    ]);
    assert_eq!(unwritable.status.code(), Some(125));
    assert!(text(&unwritable.stderr).contains("/no/such/folder/x"));
    assert!(
        !PathBuf::from(folder.file("ran")).exists(),
        "it must not run for nothing"
    );
    assert_eq!(onecopy(&["run"]).status.code(), Some(2));
    assert_eq!(
        onecopy(&["run", "--max-copies", "0.5", "--", "true"])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn the_command_starts_with_the_default_action_for_a_closed_pipe() {
    // `yes` would write for ever if EPIPE were only an error to it, or end with a message.
    let output = script(
        &["-q"],
        "yes | head -1; yes >/dev/full; trap - PIPE; kill -PIPE $$",
    );
    assert_eq!(
        output.status.code(),
        Some(128 + 13),
        "{}",
        text(&output.stderr)
    );
    assert!(text(&output.stdout).starts_with("y\n"));
}

#[test]
fn a_command_that_is_killed_or_aborts_has_its_code_and_a_report() {
    let output = script(&[], "kill -KILL $$");
    assert_eq!(output.status.code(), Some(137));
    assert!(text(&output.stderr).starts_with("── onecopy"));
    assert_eq!(script(&["-q"], "kill -ABRT $$").status.code(), Some(134));
}

#[test]
fn a_command_without_memory_fails_in_its_own_way() {
    if !has_python() {
        return;
    }
    let lines = "
import sys
try:
    bytearray(1 << 34)
except MemoryError:
    sys.exit(42)
";
    let line = format!("ulimit -v 2000000; exec python3 -c '{lines}'");
    let output = script(&[], &line);
    assert_eq!(output.status.code(), Some(42), "{}", text(&output.stderr));
}

#[test]
fn what_was_ignored_stays_ignored_and_costs_no_result() {
    // As under nohup; as in the background of a script; as some service managers start programs.
    for (name, number) in [("HUP", 129), ("INT", 130), ("USR1", 138)] {
        for (ignored, expected) in [(true, 7), (false, number)] {
            let trap = if ignored {
                format!("trap '' {name};")
            } else {
                String::new()
            };
            let line = format!(
                "{trap} exec {} run -q -- sh -c 'kill -{name} $$; exit 7'",
                env!("CARGO_BIN_EXE_onecopy")
            );
            let output = Guarded::output_of(Command::new("sh").args(["-c", &line]));
            assert_eq!(output.status.code(), Some(expected), "{line}");
        }
    }
    let line = format!(
        "trap '' CHLD; exec {} run -q -- sh -c 'exit 7'",
        env!("CARGO_BIN_EXE_onecopy")
    );
    let output = Guarded::output_of(Command::new("sh").args(["-c", &line]));
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
}

#[test]
fn too_few_descriptors_are_said_before_the_start_or_cost_nothing() {
    let mut passed = 0;
    for limit in 3..24 {
        let line = format!(
            "ulimit -n {limit}; exec {} run -- sh -c 'exit 7'",
            env!("CARGO_BIN_EXE_onecopy")
        );
        let output = Guarded::output_of(Command::new("sh").args(["-c", &line]));
        let said = text(&output.stderr);
        match output.status.code() {
            Some(7) => passed += 1,
            Some(125) => assert!(said.contains("Too many open files"), "{limit}: {said}"),
            // Not even the program's own libraries could be loaded.
            Some(127) => assert!(said.contains("shared"), "{limit}: {said}"),
            other => panic!("{limit}: {other:?}: {said}"),
        }
        assert!(!said.contains("panicked"), "{limit}: {said}");
    }
    assert!(passed > 0, "a shell needs no more than 23");
}

/// Python: more children than there may be open files, and what the program itself may open.
const MANY: &str = "
import resource
held = bytearray(8 << 20)
children = []
for number in range(80):
    child = os.fork()
    if child == 0:
        signal.alarm(240)
        signal.pause()
    children.append(child)
measured()
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
sys.exit(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
";

#[test]
fn more_processes_than_a_program_may_open_files_are_counted() {
    if !has_python() {
        return;
    }
    let folder = Folder::new("descriptors");
    let json = folder.file("run.json");
    let line = format!(
        "ulimit -Sn 64; exec {} run -q --overhead 60 --json {json} -- python3 -c \"$PROGRAM\"",
        env!("CARGO_BIN_EXE_onecopy")
    );
    let program = MEASURED.to_owned() + MANY;
    let output = Guarded::output_of(
        Command::new("sh")
            .args(["-c", &line])
            .env("PROGRAM", program),
    );
    // The command's own limit is as it was.
    assert_eq!(output.status.code(), Some(64), "{}", text(&output.stderr));
    let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let counted = record["report"]["processes"].as_array().unwrap().len();
    assert_eq!(counted, 81, "{record:#}");
}

#[test]
fn without_a_folder_for_tags_all_else_is_as_good() {
    let output = Guarded::output_of(command().env("TMPDIR", "/no/such/folder").args([
        "run",
        "--",
        "sh",
        "-c",
        "echo ${ONECOPY_SIDE-none}; exit 7",
    ]));
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(text(&output.stdout), "none\n");
    let said = text(&output.stderr);
    assert!(
        said.contains("no folder for tags in /no/such/folder"),
        "{said}"
    );
    assert!(said.contains("── onecopy"), "{said}");
}

#[test]
fn the_whole_time_is_reported() {
    let folder = Folder::new("time");
    let json = folder.file("run.json");
    // So little may be spent that there is a single glance, at the start.
    let options = ["-q", "--overhead", "0.001", "--json", &json];
    let output = script(&options, "sleep 0.7");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert!(
        record["seconds"].as_f64().unwrap() >= 0.7,
        "{}",
        record["seconds"]
    );
}
