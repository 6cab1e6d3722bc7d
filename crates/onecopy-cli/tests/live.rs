//! The command as a program: small arrays, real workers, real memory.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onecopy"));
    for name in [
        "NO_COLOR",
        "CLICOLOR_FORCE",
        "CLICOLOR",
        "COLUMNS",
        "ONECOPY_STORE",
    ] {
        command.env_remove(name);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs `demo --json`, which must succeed and say nothing else.
fn demo(arguments: &[&str]) -> Value {
    let output = run(&[&["demo", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn copies(outcome: &Value) -> f64 {
    outcome["verdict"]["copies"].as_f64().unwrap()
}

/// Asserts `|found − expected| ≤ tolerance`.
fn near(found: f64, expected: f64, tolerance: f64, outcome: &Value) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{found}, not {expected}: {outcome:#}"
    );
}

#[test]
fn reading_under_fork_copies_nothing() {
    let outcome = demo(&["--n", "1500", "--workers", "3"]);
    assert_eq!(outcome["schema"], "onecopy.demo/1");
    assert_eq!(outcome["data_bytes"], 18_000_000);
    near(copies(&outcome), 1.0, 0.0, &outcome);
    near(
        outcome["verdict"]["rss_copies"].as_f64().unwrap(),
        4.0,
        0.0,
        &outcome,
    );
    let moments = outcome["moments"].as_array().unwrap();
    let when: Vec<&str> = moments
        .iter()
        .map(|moment| moment["when"].as_str().unwrap())
        .collect();
    assert_eq!(
        when,
        [
            "before allocating",
            "after allocating",
            "worker 1",
            "worker 2",
            "worker 3",
            "all are alive"
        ]
    );
    let workers = outcome["workers_found"].as_array().unwrap();
    assert_eq!(workers.len(), 3);
    for (index, worker) in workers.iter().enumerate() {
        assert_eq!(worker["row"], index);
        assert_eq!(worker["row_sum"], 1500.0);
        assert_eq!(worker["total"], 2_250_000.0);
        assert_eq!(worker["data_copied"], 0);
        assert!(
            worker["private_elsewhere"].as_u64().unwrap() <= 1 << 20,
            "{worker:#}"
        );
        // In the table of moments as well, a worker has next to nothing of its own.
        assert!(
            moments[index + 2]["memory"]["uss"].as_u64().unwrap() <= 2 << 20,
            "{outcome:#}"
        );
    }
    let report = &outcome["report"];
    assert_eq!(report["complete"], true);
    assert_eq!(report["processes"].as_array().unwrap().len(), 4);
    assert!(
        report["tree"]["copies"]["agreement"].as_f64().unwrap() > 0.97,
        "{report:#}"
    );
}

#[test]
fn what_workers_overwrite_is_copied_and_nothing_else() {
    for (workers, fraction) in [("4", "0.25"), ("2", "1"), ("3", "0.001")] {
        let outcome = demo(&["--n", "1500", "--workers", workers, "--write", fraction]);
        let expected = outcome["verdict"]["copies_expected"].as_f64().unwrap();
        let said = 1.0 + workers.parse::<f64>().unwrap() * fraction.parse::<f64>().unwrap();
        near(expected, said, 0.002, &outcome);
        near(copies(&outcome), expected, 1e-9, &outcome);
    }
}

#[test]
fn a_store_holds_one_copy_and_private_writes_come_on_top() {
    let outcome = demo(&["--n", "1500", "--workers", "3", "--share", "store"]);
    // A store gives memory in units of 64 KiB, or of 2 MiB for huge pages.
    let unit = f64::from(2 << 20) / 18_000_000.0;
    near(copies(&outcome), 1.0 + unit / 2.0, unit / 2.0, &outcome);
    near(
        outcome["verdict"]["rss_copies"].as_f64().unwrap(),
        4.0,
        4.0 * unit,
        &outcome,
    );
    let users = outcome["report"]["stores"][0]["users"].as_array().unwrap();
    assert_eq!(users.len(), 4);
    let written = demo(&[
        "--n",
        "1500",
        "--workers",
        "3",
        "--share",
        "store",
        "--write",
        "0.5",
    ]);
    near(copies(&written) - copies(&outcome), 1.5, 0.01, &written);
}

#[test]
fn the_smallest_experiments_work() {
    for arguments in [
        ["--n", "1", "--workers", "1"],
        ["--n", "2", "--workers", "5"],
        ["--n", "23", "--workers", "16"],
    ] {
        let outcome = demo(&arguments);
        near(copies(&outcome), 1.0, 0.0, &outcome);
        let outcome = demo(&[&arguments[..], &["--share", "store", "--write", "1"]].concat());
        assert!(copies(&outcome) >= 2.0, "{outcome:#}");
    }
}

#[test]
fn people_get_the_log_the_table_and_the_verdict() {
    let output = run(&["demo", "--n", "300", "--workers", "2"]);
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "progress is for terminals");
    for part in [
        "300 × 300 float64",
        "MemFree + Buffers + Cached",
        "worker 2",
        "copies           1.000 ×",
        "RSS says",
        "All 3 processes use 1.000 copies",
    ] {
        assert!(stdout.contains(part), "{part:?} in {stdout}");
    }
    assert!(
        stdout.lines().all(|line| line.chars().count() <= 100),
        "{stdout}"
    );
    assert!(!stdout.contains('\u{1b}'));
}

#[test]
fn colours_come_when_asked_for_and_never_with_no_color() {
    let small = ["demo", "--n", "30", "--workers", "1"];
    let forced = command()
        .args(small)
        .env("CLICOLOR_FORCE", "1")
        .output()
        .unwrap();
    assert!(text(&forced.stdout).contains("\u{1b}["));
    let both = command()
        .args(small)
        .env("CLICOLOR_FORCE", "1")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    assert!(!text(&both.stdout).contains('\u{1b}'));
}

#[test]
fn what_cannot_fit_is_refused_with_numbers_and_exit_code_1() {
    let output = run(&["demo", "--n", "4000000"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("122,070,312.5 MiB") && stderr.contains("MemAvailable"),
        "{stderr}"
    );
    assert_eq!(text(&output.stdout), "");
    let output = run(&["demo", "--n", "18446744073709551615", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("more than any process can address"));
}

#[test]
fn misuse_exits_with_2_and_help_with_0() {
    for arguments in [
        &["demo", "--workers", "0"][..],
        &["nonsense"],
        &[],
        &["demo", "--write", "2"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
    let help = run(&["demo", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("onecopy demo --write 0.25"));
    assert!(text(&run(&["--version"]).stdout).starts_with("onecopy "));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = command()
        .args(["demo", "--n", "300", "--workers", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}
