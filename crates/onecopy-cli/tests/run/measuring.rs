//! What `onecopy run` measures, and what that costs.

use std::collections::HashMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Folder, MEASURED, READ, has_python, onecopy, script, text};

/// A family that copies: the interpreter is the child's own heap, which reference counts write to.
const FAMILY: &str = "
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
measured()
os.write(go[1], b'xxx')
for pid in pids:
    os.waitpid(pid, 0)
";

#[test]
fn a_family_that_copies_breaks_a_budget_and_every_file_is_written() {
    if !has_python() {
        return;
    }
    let folder = Folder::new("family");
    let family = MEASURED.to_owned() + FAMILY;
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
        &family,
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
    let failing = family + "raise SystemExit(4)";
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
fn a_reading_never_comes_sooner_than_a_hundred_times_the_last_ones_cost() {
    let folder = Folder::new("budget");
    let lines = folder.file("run.jsonl");
    // Something moves all the time, and there is a family.
    let grow = r#"a="$a xxxxxxxxxxxxxxxxxxxxxxxx"; i=$((i+1)); [ $i -lt 20000 ] || { i=0; a=; }"#;
    // Until there were three readings; the shell's own `read`, as other processes would come and go.
    let look = r#"r=0; { read r < "$ONECOPY_SIDE/readings"; } 2>/dev/null"#;
    let part = format!("(i=0; r=0; until [ ${{r:-0}} -ge 3 ]; do {grow}; {look}; done) &");
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

#[test]
fn daemons_stay_in_the_tree_and_are_named_when_left_behind() {
    let folder = Folder::new("daemon");
    let json = folder.file("run.json");
    let pid_file = folder.file("pid");
    // The child of a child that has ended; it must let go of the streams, as they are waited for.
    let line = format!(
        "(sh -c 'echo $$ > {pid_file}; exec sleep 100' >/dev/null 2>&1 &) ; while [ ! -s {pid_file} ]; do sleep 0.02; done; {READ}"
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
    assert!(text(&output.stderr).contains(&format!("still running: process {daemon}")));
}

/// What is known of a run: its record, rows of CSV by name of column, and what the command has said.
struct Ran {
    record: Value,
    rows: Vec<HashMap<String, String>>,
    out: String,
}

/// Runs a Python program that begins with [`MEASURED`].
fn ran(name: &str, program: &str) -> Ran {
    let folder = Folder::new(name);
    let (json, csv) = (folder.file("run.json"), folder.file("run.csv"));
    let program = MEASURED.to_owned() + program;
    let options = [
        "run",
        "-q",
        "--overhead",
        "50",
        "--json",
        &json,
        "--csv",
        &csv,
    ];
    let output = onecopy(&[&options[..], &["--", "python3", "-c", &program]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let csv = fs::read_to_string(&csv).unwrap();
    let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let names = cells(csv.lines().next().unwrap());
    let rows = csv.lines().skip(1);
    Ran {
        record: serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap(),
        rows: rows
            .map(|row| names.iter().cloned().zip(cells(row)).collect())
            .collect(),
        out: text(&output.stdout).trim().to_owned(),
    }
}

/// Process ids of the events of that kind.
fn pids_of(record: &Value, kind: &str) -> Vec<u64> {
    let events = record["events"].as_array().unwrap().iter();
    let events = events.filter(|event| event["kind"] == kind);
    events.map(|event| event["pid"].as_u64().unwrap()).collect()
}

#[test]
fn a_worker_that_is_killed_is_an_exit_while_its_parent_lives() {
    if !has_python() {
        return;
    }
    let Ran { record, .. } = ran(
        "killed",
        "
pid = os.fork()
if pid == 0:
    signal.pause()
measured()
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
measured()
",
    );
    let forked = pids_of(&record, "fork");
    let gone = pids_of(&record, "exit");
    assert!(
        forked.iter().any(|pid| gone.contains(pid)),
        "{forked:?} {gone:?}"
    );
    assert_eq!(record["exit"]["code"], 0);
}

#[test]
fn a_daemon_in_a_session_of_its_own_stays_in_the_tree() {
    if !has_python() {
        return;
    }
    let ran = ran(
        "session",
        "
r, w = os.pipe()
if os.fork() == 0:
    os.setsid()
    pid = os.fork()
    if pid == 0:
        for stream in range(3):
            os.dup2(os.open('/dev/null', os.O_RDWR), stream)
        signal.pause()
    os.write(w, str(pid).encode())
    os._exit(0)
os.wait()
pid = int(os.read(r, 20))
measured()
os.kill(pid, signal.SIGKILL)
print(pid)
",
    );
    // Its parent has ended, so that it belongs to `run` itself.
    let run = ran.record["report"]["root"].to_string();
    let adopted = ran
        .rows
        .iter()
        .any(|row| row["pid"] == ran.out && row["parent"] == run && row["role"] == "worker");
    assert!(adopted, "{} of {run}: {:#?}", ran.out, ran.rows);
}

#[test]
fn a_child_that_runs_another_program_is_no_relative_any_more() {
    if !has_python() {
        return;
    }
    let ran = ran(
        "exec",
        "
(r, w), (answers, answer) = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    os.dup2(r, 0)
    os.dup2(answer, 1)
    os.close(w)
    os.execvp('cat', ['cat'])
os.write(w, b'x')
os.read(answers, 1)
measured()
os.close(w)
os.waitpid(pid, 0)
print(pid)
",
    );
    let of_cat: Vec<_> = ran.rows.iter().filter(|row| row["name"] == "cat").collect();
    assert!(!of_cat.is_empty(), "{:#?}", ran.rows);
    for row in of_cat {
        assert_eq!((&row["pid"], row["role"].as_str()), (&ran.out, "alone"));
    }
}

#[test]
fn processes_that_come_and_go_all_the_time_do_not_put_off_the_first_reading() {
    let folder = Folder::new("churn");
    let json = folder.file("run.json");
    // Until it was read, but no longer than the watchdog waits.
    let output = script(&["--json", &json], READ);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        !text(&output.stderr).contains("nothing measured"),
        "{}",
        text(&output.stderr)
    );
    let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert!(
        record["report"].is_object() && record["reason"].is_null(),
        "{record:#}"
    );
}

/// A pool that was started anew: two pages of shared memory, as semaphores take them, and much that each has for itself.
const ANEW: &str = "
import subprocess
memory = os.memfd_create('semaphores')
os.truncate(memory, 2 * mmap.PAGESIZE)
own = '''
import mmap, sys
semaphores = mmap.mmap(int(sys.argv[1]), 2 * mmap.PAGESIZE)
semaphores[0] = semaphores[mmap.PAGESIZE] = 1
data = bytes(range(256)) * (20 << 12)
print('ready', flush=True)
sys.stdin.read()
'''
workers = [
    subprocess.Popen(
        [sys.executable, '-c', own, str(memory)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[memory],
    )
    for worker in range(2)
]
for worker in workers:
    worker.stdout.readline()
measured()
for worker in workers:
    worker.communicate()
";

#[test]
fn some_semaphores_are_no_number_of_copies_for_a_pool_that_was_started_anew() {
    if !has_python() {
        return;
    }
    let program = MEASURED.to_owned() + ANEW;
    let folder = Folder::new("anew");
    let json = folder.file("run.json");
    let ran = || {
        let options = ["--max-copies", "1.05", "--overhead", "50", "--json", &json];
        let command = ["--why", "--", "python3", "-c", &program];
        let output = onecopy(&[&["run"], &options[..], &command].concat());
        let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
        (output, record)
    };
    // Between its fork and the start of its own program, a worker has all that its parent has. A reading just then
    // finds a family, and one copy: that run is another case.
    let is_anew = |record: &Value| {
        let samples = record["samples"].as_array().unwrap();
        samples
            .iter()
            .all(|sample| sample["reading"]["copies"].is_null())
    };
    let (output, record) = (0..20)
        .map(|_| ran())
        .find(|(_, record)| is_anew(record))
        .expect("each of twenty runs was read between a fork and the start of a program");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("in common: too little for a number"),
        "{said}"
    );
    assert!(
        said.contains("--max-copies 1.050 cannot be checked"),
        "{said}"
    );
    assert!(said.contains("why PID --content"), "{said}");
    // What `--why` has to say of it.
    assert!(said.contains("next to nothing was inherited"), "{said}");
    let copies = &record["report"]["tree"]["copies"];
    // What is known of the parts is there.
    assert!(copies["value"].is_null() && copies["shared"].as_u64() >= Some(2));
    assert!(copies["new"].as_u64().unwrap() > 2 * (20 << 20) / 4096);
}

/// A worker that copies everything after the last reading and ends; 7 if there was a reading meanwhile.
const LATE: &str = "
data = bytearray(40 << 20)
data[::mmap.PAGESIZE] = b'x' * (len(data) // mmap.PAGESIZE)
(r, w) = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(r, 1)
    data[::mmap.PAGESIZE] = b'y' * (len(data) // mmap.PAGESIZE)
    os._exit(0)
measured()
before = readings()
os.write(w, b'x')
os.waitpid(pid, 0)
if readings() != before:
    os._exit(7)
";

#[test]
fn a_limit_that_held_at_every_reading_says_what_may_have_been_copied_since() {
    if !has_python() {
        return;
    }
    let program = MEASURED.to_owned() + LATE;
    let folder = Folder::new("late-copies");
    let json = folder.file("run.json");
    let ran = || {
        let options = [
            "-q",
            "--max-copies",
            "1.2",
            "--overhead",
            "1",
            "--json",
            &json,
        ];
        let command = ["--", "python3", "-c", &program];
        let output = onecopy(&[&["run"], &options[..], &command].concat());
        let said = text(&output.stderr).to_owned();
        (output.status.code(), said)
    };
    let begin = "onecopy: --max-copies 1.2 held at every reading, the last at ";
    // A busy machine may put a reading into the middle, which finds too many copies, or behind the worker's end, after
    // which nothing was copied. The program knows of it only when the reading is done.
    let said = (0..20).find_map(|_| {
        let (code, said) = ran();
        match code {
            Some(0) => assert!(said.starts_with(begin), "{said}"),
            Some(3) => assert!(said.contains("copies, and --max-copies"), "{said}"),
            other => assert_eq!(other, Some(7), "{said}"),
        }
        let is_quiet = said.ends_with(" more may have been copied since\n");
        (code == Some(0) && is_quiet).then_some(said)
    });
    let said = said.expect("there was a reading in the middle of each of twenty runs");
    assert_eq!(said.lines().count(), 1, "{said}");
    // The worker has ended, and what it took is not forgotten.
    let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let pages = (40 << 20) / record["report"]["page_size"].as_u64().unwrap();
    assert!(record["faults_unseen"].as_u64().unwrap() >= pages, "{said}");
}
