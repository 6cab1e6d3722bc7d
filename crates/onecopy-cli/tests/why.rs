//! `onecopy run --why` and `onecopy why PID` as programs, over families whose writes are known.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onecopy"));
    for name in [
        "NO_COLOR",
        "CLICOLOR_FORCE",
        "CLICOLOR",
        "COLUMNS",
        "ONECOPY_SIDE",
    ] {
        command.env_remove(name);
    }
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("onecopy-why-{name}-{}", std::process::id()));
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

/// An interpreter for which this expression is true, on PATH or among those of pyenv.
fn python(condition: &str) -> Option<String> {
    pythons(condition).into_iter().next()
}

/// All of them; none is a test that did not run.
fn pythons(condition: &str) -> Vec<String> {
    let mut names: Vec<PathBuf> = ["python3", "python3.14", "python3.13", "python3.12"]
        .map(PathBuf::from)
        .to_vec();
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let versions = fs::read_dir(home.join(".pyenv/versions"));
    names.extend(
        versions
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("bin/python3")),
    );
    let check = format!("import sys, sysconfig; sys.exit(not ({condition}))");
    let found: Vec<String> = names
        .into_iter()
        .filter(|name| {
            let output = Command::new(name).args(["-c", &check]).output();
            output.is_ok_and(|output| output.status.success())
        })
        .filter_map(|name| name.to_str().map(str::to_owned))
        .collect();
    if found.is_empty() {
        skip::skipped(format_args!(
            "no python3 on PATH or of pyenv with {condition}; this was NOT tried"
        ));
    }
    found
}

/// A program that answers lines on its standard input with lines on its standard output.
struct Family(Child, BufReader<std::process::ChildStdout>);

impl Family {
    fn start(mut command: Command) -> Self {
        use std::os::unix::process::CommandExt as _;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut family = Self(child, lines);
        family.expect("ready");
        family
    }

    fn expect(&mut self, expected: &str) {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), expected);
    }

    fn ask(&mut self, line: &str) {
        let input = self.0.stdin.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
        self.expect("done");
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.0.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
        let _ = self.0.wait();
    }
}

/// Runs `onecopy why PID` while `meanwhile` is done, and ends it with Ctrl-C.
fn watched(options: &[&str], family: &mut Family, meanwhile: impl FnOnce(&mut Family)) -> Output {
    let mut why = command()
        .args(["why", "--for", "3600"])
        .args(options)
        .arg(family.pid())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(why.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    if line.contains("watching") {
        meanwhile(family);
        kill_process(Pid::from_raw(why.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    }
    // Both streams at once: what does not fit into a pipe is waited for.
    let rest = std::thread::spawn(move || {
        let mut rest = String::new();
        errors.read_to_string(&mut rest).unwrap();
        rest
    });
    let mut output = why.wait_with_output().unwrap();
    output.stderr = (line + &rest.join().unwrap()).into_bytes();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

/// The same with `--json`.
fn watched_json(
    options: &[&str],
    family: &mut Family,
    meanwhile: impl FnOnce(&mut Family),
) -> Value {
    let output = watched(&[&["--json"], options].concat(), family, meanwhile);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Installs a filter that answers `perf_event_open` with an error, and starts a program under it.
const REFUSE: &str = r#"
import ctypes, errno, os, platform, struct, sys
number = {"x86_64": 298, "aarch64": 241}[platform.machine()]
refusal = 0x00050000 | getattr(errno, sys.argv[1])
# Load the number of the system call; if it is that one, go on, else skip one; refuse; allow.
filters = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, refusal), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in filters))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(filters), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
for arguments in ((38, 1, 0, 0, 0), (22, 2, ctypes.addressof(program), 0, 0)):
    if libc.prctl(*[ctypes.c_ulong(argument) for argument in arguments]):
        sys.exit(f"prctl{arguments}: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[2], sys.argv[2:])
"#;

/// Forks workers that read a list, and ends once they have been looked at.
const READERS: &str = r#"
import mmap, os, time
class Record:
    __slots__ = ("number",)
    def __init__(self, number):
        self.number = number
records = [Record(number) for number in range(100_000)]
def read():
    for record in records:
        pass
pids, started = [], os.pipe()
for worker in range(3):
    pid = os.fork()
    if pid == 0:
        read()
        os.write(started[1], b"x")
        while True:
            time.sleep(1000)
    pids.append(pid)
for pid in pids:
    os.read(started[0], 1)
def readings():
    try:
        return int(open(os.environ["ONECOPY_SIDE"] + "/readings").read())
    except (OSError, ValueError):
        return 0
# A reading may have begun before the workers were done; the one after it has not. Something must move.
first, patience = readings(), time.monotonic() + 120
while readings() < first + 2 and time.monotonic() < patience:
    with mmap.mmap(-1, mmap.PAGESIZE) as moved:
        moved[0] = 1
    time.sleep(0.02)
for pid in pids:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
"#;

fn row<'a>(why: &'a Value, name: &str) -> Option<&'a Value> {
    let types = why["objects"]["types"].as_array()?;
    types.iter().find(|row| row["name"] == name)
}

fn count(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no count"))
}

#[test]
fn without_page_faults_types_and_mappings_are_still_named_and_the_way_out_is_said() {
    let Some(python) = python("True") else {
        return;
    };
    let folder = Folder::new("refused");
    for (errno, way_out) in [
        ("EACCES", "perf_event"),
        ("EPERM", "perf_event"),
        ("ENOSYS", "seccomp"),
    ] {
        let [json, out] = ["run.json", "run.txt"].map(|name| folder.file(name));
        let output = Command::new(&python)
            .args(["-c", REFUSE, errno, env!("CARGO_BIN_EXE_onecopy")])
            .args([
                "run",
                "--why",
                "--overhead",
                "60",
                "--json",
                &json,
                "-o",
                &out,
                "--",
            ])
            .args([&python, "-c", READERS])
            .output()
            .unwrap();
        assert!(output.status.success(), "{errno}: {}", text(&output.stderr));
        let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
        let why = &record["why"];
        let reason = why["reason"]
            .as_str()
            .unwrap_or_else(|| panic!("{errno} was not noticed: {why:#}"));
        assert!(reason.contains(way_out), "{reason}");
        assert_eq!(why["unattributed"], why["pages"]);
        assert_eq!(why["stacks"].as_array().unwrap().len(), 0);
        let records = row(why, "Record").unwrap_or_else(|| panic!("{why:#}"));
        assert_eq!(
            (count(&records["of"]), count(&records["objects"])),
            (100_000, 100_000)
        );
        assert!(count(&records["bytes"]) >= 3 * 100_000 * 24, "{records}");
        let mapped: u64 = why["mappings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| count(&row["bytes"]))
            .sum();
        let page_size = count(&record["report"]["page_size"]);
        assert_eq!(mapped, count(&why["pages"]) * page_size, "{why:#}");
        // No more than the evidence says: neither cause is stated as a fact.
        let advice: Vec<&str> = why["advice"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(advice.len(), 1, "{advice:?}");
        assert!(
            advice[0].contains("only page faults tell") && advice[0].contains("Record"),
            "{advice:?}"
        );
        let out = fs::read_to_string(&out).unwrap();
        for part in [
            "100 %  unattributed",
            way_out,
            "COPIED PAGES OF",
            "OBJECTS ON COPIED PAGES",
        ] {
            assert!(out.contains(part), "{part:?} in {out}");
        }
        assert!(
            !out.contains("joined with write faults")
                && !out.contains("copied by reference counts"),
            "{out}"
        );
    }
}

#[test]
fn python_frames_are_the_ones_that_were_running() {
    let condition =
        "sys.version_info >= (3, 12) and sysconfig.get_config_var('PY_HAVE_PERF_TRAMPOLINE')";
    // Distributions strip theirs: then the way from a function to its caller is lost in the interpreter's own code.
    let is_stripped = |record: &Value| {
        let advice = record["why"]["advice"].as_array();
        let says = |line: &Value| {
            line.as_str()
                .is_some_and(|line| line.contains("whose functions have no names here"))
        };
        advice.is_some_and(|lines| lines.iter().any(says))
    };
    let found = pythons(condition);
    if found.is_empty() {
        return;
    }
    let record = found
        .iter()
        .map(|python| frames_of(python))
        .find(|record| record.as_ref().is_none_or(|record| !is_stripped(record)));
    match record {
        Some(Some(record)) => check_frames(&record),
        Some(None) => skip::skipped("faults were lost in each of ten runs; frames were NOT tried"),
        None => skip::skipped("every python3 is stripped; frames were NOT tried"),
    }
}

/// What is said of a program that this interpreter runs, whose workers read lists; `None` if faults are lost each time.
fn frames_of(python: &str) -> Option<Value> {
    let folder = Folder::new("frames");
    let [json, script] = ["run.json", "program.py"].map(|name| folder.file(name));
    fs::write(&script, READERS).unwrap();
    let measured = || {
        let options = ["run", "-q", "--why", "--overhead", "60", "--json", &json];
        let run = command()
            .args(options)
            .args(["--", python, &script])
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", text(&run.stderr));
        serde_json::from_str::<Value>(&fs::read_to_string(&json).unwrap()).unwrap()
    };
    // On a busy machine faults are lost, and which ones those are is chance: the program is run until none is.
    let is_whole =
        |record: &Value| record["why"]["reason"].is_string() || record["why"]["lost"] == 0;
    (0..10).map(|_| measured()).find(is_whole)
}

fn check_frames(record: &Value) {
    let why = &record["why"];
    if let Some(reason) = why["reason"].as_str() {
        skip::skipped(format_args!("{reason}; frames were NOT tried"));
        return;
    }
    let rows = why["python"].as_array().unwrap();
    assert!(!rows.is_empty(), "{why:#}");
    let mut readers = 0.0;
    for row in rows {
        let stack: Vec<&str> = row["stack"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        // Whatever ran, the module called it, and nothing called the module.
        assert_eq!(stack.last(), Some(&"<module> (program.py)"), "{rows:#?}");
        assert_eq!(
            stack
                .iter()
                .filter(|name| name.contains("<module>"))
                .count(),
            1,
            "{rows:#?}"
        );
        if stack == ["read (program.py)", "<module> (program.py)"] {
            readers += row["fraction"].as_f64().unwrap();
        }
    }
    assert!(readers > 0.5, "{rows:#?}");
    // What the interpreters have written for this is gone again.
    for process in record["report"]["processes"].as_array().unwrap() {
        let map = PathBuf::from(format!("/tmp/perf-{}.map", process["pid"]));
        assert!(!map.exists(), "{}", map.display());
    }
}

#[test]
fn a_server_that_replaces_its_workers_is_summed_over_all_of_them() {
    let Some(python) = python("True") else {
        return;
    };
    // Eight workers, one after the other; each has copied the same four megabytes when it is looked at.
    let program = r#"
import mmap, os, time
page = mmap.PAGESIZE
data = mmap.mmap(-1, 6 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
data[:] = b"x" * (6 << 20)
def readings():
    try:
        return int(open(os.environ["ONECOPY_SIDE"] + "/readings").read())
    except (OSError, ValueError):
        return 0
patience = time.monotonic() + 240
for generation in range(8):
    ready, written = os.pipe()
    pid = os.fork()
    if pid == 0:
        for offset in range(1 << 20, 5 << 20, page):
            data[offset] = 1
        os.write(written, b"x")
        while True:
            time.sleep(1000)
    os.read(ready, 1)
    first = readings()
    while readings() < first + 2 and time.monotonic() < patience:
        with mmap.mmap(-1, page) as moved:
            moved[0] = 1
        time.sleep(0.02)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
"#;
    let folder = Folder::new("generations");
    let json = folder.file("run.json");
    let output = command()
        .args([
            "run",
            "-q",
            "--why",
            "--overhead",
            "60",
            "--json",
            &json,
            "--",
            &python,
            "-c",
            program,
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let why = &record["why"];
    assert!(count(&why["processes"]) >= 8, "{why:#}");
    let copied = count(&why["pages"]) * count(&record["report"]["page_size"]);
    // Beside the four megabytes, what the interpreter writes in each worker, and the parent's part.
    assert!(
        (8 * (4 << 20)..8 * (6 << 20)).contains(&copied),
        "{copied}: {why:#}"
    );
}

/// A family that has copied something, and copies more when told to.
const ATTACHED: &str = r#"
import importlib.util, json, os, sys
def load(name, file):
    spec = importlib.util.spec_from_file_location(name, f"{sys.argv[1]}/{file}")
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
load("onecopy_left", "_left.py")
load("onecopy_handlers", "_handlers.py")
load("onecopy_samples", "_samples.py")
load("onecopy_objects", "_objects.py")
objects = sys.modules["onecopy_objects"]
side = os.environ["ONECOPY_SIDE"]
class Early:
    __slots__ = ("number",)
class Late:
    __slots__ = ("number",)
early = [Early() for _ in range(50_000)]
late = [Late() for _ in range(50_000)]
buffer = bytearray(b"x" * (8 << 20))
import ctypes
start = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
page = os.sysconf("SC_PAGESIZE")
first = -(-start // page) * page
tag = {"pid": os.getpid(), "name": "buffer", "start": first, "len": 4 << 20}
open(f"{side}/tags-{os.getpid()}.jsonl", "w").write(json.dumps(tag) + "\n")
objects.write_objects(side)
workers = []
for number in range(3):
    (order, tell), (answer, told) = os.pipe(), os.pipe()
    if os.fork() == 0:
        for one in early:
            pass
        os.write(told, b"x")
        os.read(order, 1)
        for one in late:
            pass
        for offset in range(first - start, first - start + (2 << 20), page):
            buffer[offset] = 1
        os.write(told, b"x")
        os.read(order, 1)
    workers.append((tell, answer))
    assert os.read(answer, 1) == b"x"
print("ready", flush=True)
for line in sys.stdin:
    for tell, answer in workers:
        os.write(tell, b"x")
        assert os.read(answer, 1) == b"x"
    print("done", flush=True)
"#;

fn attached(python: &str, side: &Folder) -> Family {
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/onecopy");
    let mut command = Command::new(python);
    command
        .args(["-c", ATTACHED, package])
        .env("ONECOPY_SIDE", &side.0);
    Family::start(command)
}

#[test]
fn attaching_late_tells_what_is_copied_now_from_what_had_been_copied_before() {
    let Some(python) = python("True") else {
        return;
    };
    let side = Folder::new("attached");
    let mut family = attached(&python, &side);
    let found = watched_json(&[], &mut family, |family| family.ask("go"));
    assert_eq!(found["report"]["baseline"], "now");
    let (before, why) = (&found["before"], &found["why"]);
    let of = |part: &Value, name, what: &str| row(part, name).map_or(0, |row| count(&row[what]));
    for (name, mostly) in [("Early", before), ("Late", why)] {
        // Each worker has read all of them. A few lie on one page with those of the other kind, or across
        // two pages.
        let sum = |what| of(before, name, what) + of(why, name, what);
        assert!(
            (50_000..50_010).contains(&sum("objects")),
            "{name}: {found:#}"
        );
        assert!(of(mostly, name, "objects") > 49_000, "{name}: {found:#}");
        assert_eq!(of(mostly, name, "of"), 50_000);
        let (each, rest) = (sum("bytes") / 150_000, sum("bytes") % 150_000);
        assert!(each >= 24 && rest == 0, "{name}: {found:#}");
    }
    let tagged = why["mappings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["label"] == "buffer");
    assert_eq!(count(&tagged.unwrap()["bytes"]), 3 * (2 << 20), "{why:#}");
    // What wrote earlier was not seen, and is not said.
    assert_eq!(before["unattributed"], before["pages"]);
    assert_eq!(before["stacks"].as_array().unwrap().len(), 0);
    if why["reason"].is_null() {
        let explained = count(&why["pages"]) - count(&why["unattributed"]);
        assert!(
            explained + count(&why["lost"]) > count(&why["pages"]) * 9 / 10,
            "{why:#}"
        );
    }
    // Once more for people, when nothing is copied any more.
    let output = watched(&[], &mut family, |_| ());
    let out = text(&output.stdout);
    for part in [
        "BEFORE",
        "what wrote there was not seen",
        "Early",
        "Late",
        "nothing was copied",
    ] {
        assert!(out.contains(part), "{part:?} in {out}");
    }
}

#[test]
fn a_family_without_python_has_mappings_and_no_objects() {
    // The child changes variables that lie in memory which it has from its parent.
    let script = r#"
a=1; b=2; i=0
while [ $i -lt 2000 ]; do eval "v$i=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"; i=$((i+1)); done
exec 3<&0
( echo ready; read line <&3; i=0
  while [ $i -lt 2000 ]; do eval "v$i=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"; i=$((i+1)); done
  echo done; read line <&3 )
:
"#;
    let mut sh = Command::new("sh");
    sh.args(["-c", script]);
    let mut family = Family::start(sh);
    let found = watched_json(&[], &mut family, |family| family.ask("go"));
    let why = &found["why"];
    assert!(count(&why["pages"]) > 10, "{found:#}");
    assert!(why["objects"].is_null());
    let mappings = why["mappings"].as_array().unwrap();
    assert!(
        mappings.iter().any(|row| row["label"] == "[heap]"),
        "{why:#}"
    );
    let refused = command()
        .args(["why", &family.pid(), "--objects", "/dev"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("no table of objects"),
        "{}",
        text(&refused.stderr)
    );
}

/// A family in which a worker writes to pages what is in them already, and changes others; and two processes
/// that were not forked from it, which hold the same bytes or not.
const CONTENT: &str = r#"
import json, mmap, os, subprocess, sys
page, side = mmap.PAGESIZE, os.environ["ONECOPY_SIDE"]
def filled(count, seed):
    pages = mmap.mmap(-1, count * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for number in range(count):
        pages[number * page : (number + 1) * page] = (seed + number).to_bytes(8, "little") * (page // 8)
    return pages
if len(sys.argv) > 1:
    data = filled(2_000, int(sys.argv[1]))
    print("filled", flush=True)
    sys.stdin.read()
    sys.exit()
buffer = filled(64, 1 << 40)
import ctypes
start = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
tag = {"pid": os.getpid(), "name": "buffer", "start": start, "len": 64 * page}
open(f"{side}/tags-{os.getpid()}.jsonl", "w").write(json.dumps(tag) + "\n")
ready, told = os.pipe()
for number in range(2):
    if os.fork() == 0:
        if number == 0:
            for offset in range(0, 20 * page, page):
                buffer[offset] = buffer[offset]
            for offset in range(30 * page, 37 * page, page):
                buffer[offset + 5] ^= 1
        os.write(told, b"x")
        sys.stdin.read()
        os._exit(0)
    assert os.read(ready, 1) == b"x"
for seed in (1, int(os.environ["SECOND"])):
    program = subprocess.Popen(
        [sys.executable, "-c", os.environ["PROGRAM"], str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert program.stdout.readline() == b"filled\n"
    globals()[f"program{seed}"] = program
print("ready", flush=True)
sys.stdin.read()
"#;

#[test]
fn copies_that_were_needless_and_pages_that_exist_twice_are_counted() {
    let Some(python) = python("True") else {
        return;
    };
    let mut duplicates = Vec::new();
    for second in ["1", "1000000"] {
        let side = Folder::new(&format!("content-{second}"));
        let mut command = Command::new(&python);
        command.args(["-c", CONTENT]);
        command
            .envs([("PROGRAM", CONTENT), ("SECOND", second)])
            .env("ONECOPY_SIDE", &side.0);
        let mut family = Family::start(command);
        let found = watched_json(&["--content"], &mut family, |_| ());
        let content = &found["content"];
        let rows = content["mappings"].as_array().unwrap();
        let buffer = rows.iter().find(|row| row["label"] == "buffer").unwrap();
        assert_eq!(
            (count(&buffer["pages"]), count(&buffer["needless"])),
            (27, 20),
            "{content:#}"
        );
        assert_eq!(content["denied"].as_array().unwrap().len(), 0);
        assert_eq!(content["estimated"], false);
        assert!(count(&content["own"]) > 4_000, "{content:#}");
        duplicates.push(count(&content["duplicates"]));
        let output = watched(&["--content"], &mut family, |_| ());
        let out = text(&output.stdout);
        for part in ["CONTENT", "needless copies", "buffer", "duplicates"] {
            assert!(out.contains(part), "{part:?} in {out}");
        }
    }
    // Interpreters have some pages in common whatever they do.
    assert!(
        (2_000..3_000).contains(&duplicates[0]) && duplicates[1] < 1_000,
        "{duplicates:?}"
    );
    // Not this process: other tests start and end programs of its tree.
    let mut quiet = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = quiet.id().to_string();
    let plain = command()
        .args(["why", "--json", "--for", "0.05", &pid])
        .output()
        .unwrap();
    quiet.kill().unwrap();
    quiet.wait().unwrap();
    let plain: Value = serde_json::from_slice(&plain.stdout).unwrap();
    assert!(plain["content"].is_null());
}
