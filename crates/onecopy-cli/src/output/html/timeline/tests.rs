use super::*;

fn record(events: &serde_json::Value) -> Record {
    let record = serde_json::json!({
        "schema": "onecopy.run/1", "command": ["x"], "exit": null, "seconds": 10.0, "level": "B",
        "overhead": {"allowed": 0.01, "readings": 1, "cpu_seconds": 0.0, "fraction": 0.0, "longest_reading": 0.0},
        "max_copies": 1.0, "max_copies_t": 1.0, "peak_sum_rss": 8192, "peak_physical": 4096,
        "peak_physical_t": 1.0, "faults_unseen": 0, "left_behind": [], "events": events,
        "samples": [{"t": 1.0, "processes": 2, "sum_rss": 8192, "faults": 0, "reading": {
            "copies": 1.0, "once": 4096, "wasted": 0, "new": 0, "shared": 0, "file": 0, "physical": 4096,
            "sum_pss": 4096, "complete": true, "cost": 0.0}}],
        "report": null, "report_t": null, "why": null, "reason": null
    });
    serde_json::from_value(record).unwrap()
}

fn mark(t: f64, label: &str) -> serde_json::Value {
    serde_json::json!({"t": t, "kind": "mark", "pid": 5, "label": label})
}

#[test]
fn marks_have_labels_and_collections_ticks() {
    let none = draw(&record(&serde_json::json!([])), 1000.0).unwrap();
    assert!(
        !none.contains("full collection") && !none.contains(">mark<"),
        "{none}"
    );
    let event = |t: f64, kind: &str, label: Option<&str>| serde_json::json!({"t": t, "kind": kind, "pid": 5, "label": label});
    let events = [
        event(1.0, "fork", None),
        mark(2.0, "epoch <1>"),
        mark(2.1, "close to it"),
        event(3.0, "gc", Some("full collection, 0.1 s")),
        mark(9.99, "little room at the end"),
    ];
    let drawing = draw(&record(&serde_json::json!(events)), 1000.0).unwrap();
    assert!(drawing.contains("<title>epoch &lt;1&gt; (process 5, 2.00 s)</title>"));
    for label in ["epoch &lt;1&gt;", "close to it", "little room at the end"] {
        assert!(drawing.contains(&format!(">{label}</text>")), "{drawing}");
    }
    assert!(drawing.contains("class=\"end\">little room"), "{drawing}");
    assert!(!drawing.contains(" more</text>"), "{drawing}");
    assert!(drawing.contains("<title>full collection, 0.1 s (process 5, 3.00 s)</title>"));
    assert!(drawing.contains(">full collection</text>") && drawing.contains(">mark</text>"));
    assert_eq!(drawing.matches("class=\"gc\"").count(), 2); // it, and the legend
}

#[test]
fn labels_without_room_are_counted_and_those_of_several_processes_are_one() {
    let many: Vec<_> = (0..7_u8)
        .map(|number| mark(2.0 + f64::from(number) / 100.0, &format!("step {number}")))
        .collect();
    let drawing = draw(&record(&serde_json::json!(many)), 400.0).unwrap();
    assert!(drawing.contains(">+3 more</text>"), "{drawing}");
    assert_eq!(drawing.matches("class=\"lead\"").count(), ROWS, "{drawing}");
    let same: Vec<_> = (0..4_u8)
        .map(|number| mark(2.0 + f64::from(number) / 100.0, "half"))
        .collect();
    let drawing = draw(&record(&serde_json::json!(same)), 400.0).unwrap();
    assert!(drawing.contains(">half ×4</text>"), "{drawing}");
    let long = [mark(2.0, &"name ".repeat(30))];
    let drawing = draw(&record(&serde_json::json!(long)), 1000.0).unwrap();
    assert!(
        drawing.contains("…</text>") && drawing.contains("name  (process 5"),
        "{drawing}"
    );
}

fn sample(t: f64, sum_rss: u64, physical: Option<u64>) -> Sample {
    let reading = physical.map(|once| {
        serde_json::json!({
            "copies": 1.0, "once": once, "wasted": 0, "new": 0, "shared": 0, "file": 0, "physical": once,
            "sum_pss": once, "complete": true, "cost": 0.0
        })
    });
    let sample = serde_json::json!({
        "t": t, "processes": 2, "sum_rss": sum_rss, "faults": 0, "reading": reading
    });
    serde_json::from_value(sample).unwrap()
}

#[test]
fn nothing_is_drawn_as_known_after_the_last_reading_nor_above_the_rss() {
    let samples = [
        sample(1.0, 900, Some(500)),
        sample(2.0, 800, None),
        sample(3.0, 400, None),
        sample(5.0, 900, Some(600)),
        sample(8.0, 599, None),
    ];
    let found = spans(&samples, 10.0);
    let ends: Vec<(f64, f64, bool)> = found
        .iter()
        .map(|span| (span.from, span.to, span.is_known))
        .collect();
    assert_eq!(
        ends,
        [(1.0, 3.0, true), (5.0, 5.04, true), (5.04, 8.0, false)]
    );
    let mut record = record(&serde_json::json!([]));
    record.samples = samples.to_vec();
    let drawing = draw(&record, 1000.0).unwrap();
    assert!(
        drawing.contains(">after the last reading</text>"),
        "{drawing}"
    );
    assert!(drawing.contains("class=\"once unread\""), "{drawing}");
    // The end itself is no gap.
    record.samples = vec![sample(0.0, 900, Some(500)), sample(10.0, 900, Some(500))];
    let drawing = draw(&record, 1000.0).unwrap();
    assert!(!drawing.contains("unread"), "{drawing}");
}

#[test]
fn lines_are_at_round_sizes() {
    let lines = |most: u64| -> Vec<String> {
        let step = step(most as f64);
        let lines = (0..).map(|line| line * step);
        lines.take_while(|bytes| *bytes < most).map(round).collect()
    };
    assert_eq!(lines(354 << 20), ["0", "100 MiB", "200 MiB", "300 MiB"]);
    assert_eq!(lines(4300 << 10), ["0", "1 MiB", "2 MiB", "3 MiB", "4 MiB"]);
    assert_eq!(lines(1900 << 20), ["0", "500 MiB", "1000 MiB", "1500 MiB"]);
    assert_eq!(lines(40 << 30), ["0", "10 GiB", "20 GiB", "30 GiB"]);
    for most in (12..45)
        .map(|power| 1_u64 << power)
        .chain([1, 5000, 2049 << 20])
    {
        let count = lines(most).len();
        assert!((1..=6).contains(&count), "{most}: {:?}", lines(most));
    }
}
