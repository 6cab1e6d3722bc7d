//! `onecopy run` and `onecopy report` as programs: exit codes, signals, files, and what they say.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onecopy"));
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "COLUMNS"] {
        command.env_remove(name);
    }
    command
}

fn onecopy(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

/// `onecopy run OPTIONS -- sh -c SCRIPT`.
fn script(options: &[&str], script: &str) -> Output {
    let arguments = [&["run"], options, &["--", "sh", "-c", script]].concat();
    onecopy(&arguments)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("onecopy-test-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Starts `onecopy run` on a script that says `ready` on standard output.
fn started(script: &str) -> Child {
    let mut child = command()
        .args(["run", "--", "sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    child
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
}

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
fn standard_streams_belong_to_the_command() {
    use std::io::Write as _;
    let mut child = command()
        .args(["run", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    let output = child.wait_with_output().unwrap();
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
fn signals_are_forwarded_or_noted() {
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
    ] {
        let child = started(&format!(
            "trap 'exit 9' {name}; echo ready; while :; do sleep 0.05; done"
        ));
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(9),
            "{name}: {}",
            text(&output.stderr)
        );
        assert!(text(&output.stderr).contains("── onecopy"));
    }
}

#[test]
fn the_first_interrupt_waits_and_the_second_reports_at_once() {
    // Ctrl-C reaches the command by itself; here only `run` gets it, and the command goes on.
    let mut child = started("echo ready; while sleep 0.05; do echo; done");
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    send(&child, Signal::INT);
    // Signals of one kind that nobody has looked at yet become one, so it is sent until it is heard.
    let (heard, sender) = (std::sync::atomic::AtomicBool::new(false), &child);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !heard.load(std::sync::atomic::Ordering::Acquire) {
                std::thread::yield_now();
                send(sender, Signal::INT);
                std::thread::sleep(std::time::Duration::from_millis(200));
            }
        });
        let mut first = String::new();
        errors.read_line(&mut first).unwrap();
        heard.store(true, std::sync::atomic::Ordering::Release);
        first
    });
    assert!(report.contains("── onecopy"), "{report}");
    child.kill().unwrap();
    // The command, which lives on, ends at its next line: nobody reads it any more.
    drop(child.stdout.take());
    child.wait().unwrap();
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
        let status = Command::new(env!("CARGO_BIN_EXE_onecopy"))
            .args(["run", "--", "sh", "-c", line])
            .stderr(full)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(expected));
    }
}

#[test]
fn daemons_stay_in_the_tree_and_are_named_when_left_behind() {
    let folder = Folder::new("daemon");
    let json = folder.file("run.json");
    let pid_file = folder.file("pid");
    // The child of a child that has ended; it must let go of the streams, as they are waited for.
    let line = format!(
        "(sh -c 'echo $$ > {pid_file}; exec sleep 100' >/dev/null 2>&1 &) ; while [ ! -s {pid_file} ]; do sleep 0.02; done; sleep 0.3"
    );
    let output = script(&["--json", &json], &line);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let daemon: u64 = fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let left: Vec<u64> = record["left_behind"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    kill_process(
        Pid::from_raw(i32::try_from(daemon).unwrap()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
    assert_eq!(left, [daemon]);
    assert!(text(&output.stderr).contains(&format!("still running: processes {daemon}")));
}

/// A family that copies: the interpreter is the child's own heap, which reference counts write to.
const FAMILY: &str = "
import os, time
data = [str(i) for i in range(200_000)]
started, go = os.pipe(), os.pipe()
pids = []
for worker in range(3):
    pid = os.fork()
    if pid == 0:
        total = sum(len(text) for text in data)
        os.write(started[1], b'x')
        os.read(go[0], 1)
        os._exit(0)
    pids.append(pid)
for pid in pids:
    os.read(started[0], 1)
# A reading may have begun before the workers were done; the one after it has not. Something must move.
def readings():
    try:
        return int(open(os.environ['ONECOPY_SIDE'] + '/readings').read())
    except (KeyError, OSError, ValueError):
        return 0
first, patience = readings(), time.monotonic() + 120
while readings() < first + 2:
    if time.monotonic() > patience:
        os._exit(9)
    bytearray(1 << 21)
    time.sleep(0.02)
os.write(go[1], b'xxx')
for pid in pids:
    os.waitpid(pid, 0)
";

fn has_python() -> bool {
    let found = Command::new("python3")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: python3 is not on PATH");
    }
    found
}

#[test]
fn a_family_that_copies_breaks_a_budget_and_every_file_is_written() {
    if !has_python() {
        return;
    }
    let folder = Folder::new("family");
    let [json, jsonl, csv, out] =
        ["run.json", "run.jsonl", "run.csv", "run.txt"].map(|name| folder.file(name));
    let output = onecopy(&[
        "run",
        "--overhead",
        "50",
        "--max-copies",
        "1.5",
        "--json",
        &json,
        "--jsonl",
        &jsonl,
        "--csv",
        &csv,
        "-o",
        &out,
        "--",
        "python3",
        "-c",
        FAMILY,
    ]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("--max-copies allows 1.500"));
    let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(record["schema"], "onecopy.run/1");
    assert_eq!(record["exit"]["code"], 0);
    assert!(record["max_copies"].as_f64().unwrap() > 2.0, "{record:#}");
    let report = &record["report"];
    assert_eq!(report["processes"].as_array().unwrap().len(), 4);
    assert_eq!(report["baseline"], "fork");
    assert!(
        report["tree"]["copies"]["agreement"].as_f64().unwrap() > 0.98,
        "{report:#}"
    );
    let forks = record["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["kind"] == "fork");
    // Whatever finds the interpreter may have forked as well.
    assert!(forks.count() >= 3);
    for line in fs::read_to_string(&jsonl).unwrap().lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap()["t"].is_number());
    }
    let rows = fs::read_to_string(&csv).unwrap();
    assert!(
        rows.starts_with("t,pid,parent,name,role,rss,pss,uss,inherited,"),
        "{rows}"
    );
    assert!(rows.lines().any(|row| row.contains(",worker,")), "{rows}");
    let report = fs::read_to_string(&out).unwrap();
    assert!(
        report.contains("1 parent + 3 workers") && !report.contains('\u{1b}'),
        "{report}"
    );
    // The command's own failure is never hidden by a broken budget.
    let failing = FAMILY.to_owned() + "raise SystemExit(4)";
    let output = onecopy(&[
        "run",
        "-q",
        "--overhead",
        "50",
        "--max-copies",
        "1.5",
        "--",
        "python3",
        "-c",
        &failing,
    ]);
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn a_report_has_every_form_and_the_exit_codes_of_the_others() {
    let pid = std::process::id().to_string();
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
    let mut child = command()
        .args(["report", &std::process::id().to_string(), "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut errors = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), errors.as_str()),
        (Some(0), "")
    );
}

#[test]
fn a_reading_never_comes_sooner_than_a_hundred_times_the_last_ones_cost() {
    let folder = Folder::new("budget");
    let lines = folder.file("run.jsonl");
    // Something moves all the time, and there is a family.
    let grow = r#"a="$a xxxxxxxxxxxxxxxxxxxxxxxx"; i=$((i+1))"#;
    // Until there were three readings; the shell's own `read`, as other processes would come and go.
    let look = r#"r=0; { read r < "$ONECOPY_SIDE/readings"; } 2>/dev/null"#;
    let part = format!(
        "(i=0; r=0; until [ ${{r:-0}} -ge 3 ] || [ $i -ge 60000 ]; do {grow}; {look}; done) &"
    );
    let busy = format!("{part} {part} wait");
    let output = script(&["-q", "--jsonl", &lines], &busy);
    assert_eq!(text(&output.stderr), "");
    let text = fs::read_to_string(&lines).unwrap();
    let samples = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let readings: Vec<(f64, f64)> = samples
        .filter_map(|sample| Some((sample["t"].as_f64()?, sample["reading"]["cost"].as_f64()?)))
        .collect();
    assert!(readings.len() > 1, "{text}");
    for pair in readings.windows(2) {
        let ((before, cost), (after, _)) = (pair[0], pair[1]);
        // The moment is taken before the glance, the pause counts from the end of the reading.
        assert!(after - before >= 100.0 * cost, "{pair:?}");
    }
}
