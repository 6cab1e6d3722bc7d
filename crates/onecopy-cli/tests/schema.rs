//! Every output in JSON is what its schema says.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value;

fn onecopy(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_onecopy"))
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Asserts that a document fits the schema of that name.
fn assert_valid(name: &str, document: &str) {
    let schema: Value = serde_json::from_str(&onecopy(&["schema", name])).unwrap();
    let value: Value = serde_json::from_str(document).unwrap();
    if let Err(problem) = check(&schema, &value) {
        panic!("{name}: {problem}");
    }
}

/// The part of JSON Schema that the schemas use.
fn check(schema: &Value, value: &Value) -> Result<(), String> {
    let known = [
        "$schema",
        "title",
        "description",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "minimum",
    ];
    for keyword in schema.as_object().ok_or("a schema is an object")?.keys() {
        assert!(
            known.contains(&keyword.as_str()),
            "this test does not know {keyword}"
        );
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let results: Vec<_> = any.iter().map(|schema| check(schema, value)).collect();
        return results
            .iter()
            .find(|result| result.is_ok())
            .cloned()
            .unwrap_or_else(|| Err(format!("{results:?}")));
    }
    if let Some(allowed) = schema["enum"].as_array() {
        return if allowed.contains(value) {
            Ok(())
        } else {
            Err(format!("{value} is not one of {allowed:?}"))
        };
    }
    if !schema["const"].is_null() {
        return if schema["const"] == *value {
            Ok(())
        } else {
            Err(format!("{value} is not {}", schema["const"]))
        };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("this test does not know the type {other}"),
    };
    if !types.iter().any(|name| is(name)) {
        return Err(format!("{value} is not {types:?}"));
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_i64(), value.as_i64())
        && number < least
    {
        return Err(format!("{number} is below {least}"));
    }
    for item in value.as_array().into_iter().flatten() {
        check(&schema["items"], item)?;
    }
    if let Some(fields) = value.as_object() {
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !fields.contains_key(name) {
                return Err(format!("{name} is missing"));
            }
        }
        for (name, field) in fields {
            let schema = schema["properties"]
                .get(name)
                .ok_or_else(|| format!("{name} is unknown"))?;
            check(schema, field).map_err(|problem| format!("{name}: {problem}"))?;
        }
    }
    Ok(())
}

#[test]
fn reports_and_their_changes_are_valid() {
    // A process of its own: this one has children that come and go in other tests.
    let mut watched = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It answers, so it is what it is going to be.
    watched.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    watched
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut [0])
        .unwrap();
    let pid = watched.id().to_string();
    let report = onecopy(&["report", &pid, "--json"]);
    assert_valid("report", &report);
    assert_valid("report", &onecopy(&["report", &pid, "--format", "jsonl"]));
    assert_valid("report", include_str!("recorded/report.json"));
    assert_valid(
        "diff",
        &onecopy(&["diff", &pid, "--every", "0.1", "--json"]),
    );
    assert_valid("why", &onecopy(&["why", &pid, "--for", "0.1", "--json"]));
    drop(watched.stdin.take());
    watched.wait().unwrap();
}

#[test]
fn a_report_of_a_part_of_a_tree_is_valid_and_has_no_sums() {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;
    // This process, looked at by somebody who may not.
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        skip::skipped("only root can become somebody who may not look into this process");
        return;
    }
    let program = env!("CARGO_BIN_EXE_onecopy");
    let mut command = Command::new("/proc/self/fd/0");
    // The folder of the program may be closed to nobody; the open file is not.
    command.stdin(fs::File::open(program).unwrap());
    let pid = std::process::id().to_string();
    let arguments = ["report", &pid, "--json"];
    let output = command.args(arguments).gid(65534).uid(65534).output();
    let output = output.unwrap();
    let document = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_valid("report", &document);
    let report: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(report["complete"], false);
    assert_eq!(report["skipped"][0]["reason"], "denied");
    assert_eq!(report["skipped"][0]["foreign"], true);
    for part in [
        "unique", "frames", "shared", "new", "wasted", "saved", "by_pss",
    ] {
        assert!(report["tree"]["copies"][part].is_null(), "{report:#}");
    }
    assert!(report["tree"]["copies"]["reason"].is_string());
}

#[test]
fn the_doctor_is_valid() {
    let found = onecopy(&["doctor", "--json"]);
    assert_valid("doctor", &found);
    let found: Value = serde_json::from_str(&found).unwrap();
    let names = [
        "frame numbers",
        "PSS",
        "zero pages (PAGEMAP_SCAN)",
        "page faults (perf events)",
        "single mappings (PROCMAP_QUERY)",
        "written pages (userfaultfd)",
        "mapped once (bit 56)",
        "the same of huge pages",
        "B: pages that workers copied",
        "B: parts of huge pages",
        "B: first parts of huge pages",
    ];
    let findings = found["findings"].as_array().unwrap();
    for name in names {
        let finding = findings
            .iter()
            .find(|finding| finding["name"].as_str().unwrap().starts_with(name));
        assert!(finding.is_some(), "{name}: {found:#}");
    }
    // Each line that does not work says what that costs, and no other does.
    for finding in findings {
        let works = finding["outcome"] == "works";
        assert_eq!(finding["lost"].is_null(), works, "{finding:#}");
    }
}

#[test]
fn runs_and_their_samples_are_valid() {
    let folder = std::env::temp_dir().join(format!("onecopy-schema-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let [json, lines] = ["run.json", "run.jsonl"].map(|name| folder.join(name));
    let (json, lines) = (json.to_str().unwrap(), lines.to_str().unwrap());
    // One that is over at once, one with a family, one with causes.
    let run = |options: &[&str], script: &str| {
        let common = ["run", "-q", "--json", json, "--jsonl", lines];
        onecopy(&[&common[..], options, &["--", "sh", "-c", script]].concat());
        let record = fs::read_to_string(json).unwrap();
        assert_valid("run", &record);
        for line in fs::read_to_string(lines).unwrap().lines() {
            assert_valid("sample", line);
        }
        record
    };
    run(&[], ":");
    for options in [&["--overhead", "50"][..], &["--why", "--overhead", "50"]] {
        // A family that stays until somebody has looked at it. Something must move meanwhile.
        let family = r#"
            (while [ ! -e "$ONECOPY_SIDE/over" ]; do sleep 0.02; done) &
            (while [ ! -e "$ONECOPY_SIDE/over" ]; do sleep 0.02; done; :) &
            until [ -s "$ONECOPY_SIDE/readings" ]; do /bin/true; done
            : > "$ONECOPY_SIDE/over"; wait"#;
        let record: Value = serde_json::from_str(&run(options, family)).unwrap();
        assert!(!record["report"].is_null(), "{options:?}: {record:#}");
    }
    let changes = onecopy(&["diff", json, json, "--json"]);
    assert_valid("diff", &changes);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_does_not_fit_is_noticed() {
    let schema: Value = serde_json::from_str(&onecopy(&["schema", "report"])).unwrap();
    let valid: Value = serde_json::from_str(include_str!("recorded/report.json")).unwrap();
    check(&schema, &valid).unwrap();
    for (field, wrong) in [
        ("schema", "onecopy.report/2".into()),
        ("complete", 1.into()),
        ("page_size", (-1).into()),
    ] {
        let mut changed = valid.clone();
        changed[field] = wrong;
        assert!(check(&schema, &changed).is_err(), "{field}");
    }
    let mut more = valid.clone();
    more["surprise"] = 1.into();
    assert!(check(&schema, &more).is_err());
    let mut fewer = valid;
    fewer.as_object_mut().unwrap().remove("limits");
    assert!(check(&schema, &fewer).is_err());
}

#[test]
fn shells_and_manuals_get_their_texts() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            onecopy(&["completions", shell]).contains("max-copies"),
            "{shell}"
        );
    }
    let manual = onecopy(&["man"]);
    assert!(
        manual.contains(".TH onecopy 1") && manual.contains("ONECOPY RUN"),
        "{manual}"
    );
}
