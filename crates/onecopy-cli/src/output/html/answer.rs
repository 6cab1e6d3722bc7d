//! The answer: the number, of how much it speaks, and what it does not speak of.
#![forbid(unsafe_code)]

use std::io::Write;

use anyhow::Result;
use onecopy_meter::Report;

use super::Subject;
use super::svg::escaped;
use crate::output::answer::{Answer, Verdict, agreement, moved, unseen};
use crate::output::members::members;
use crate::output::units::Style;

/// What compares memory that is new.
const COMPARE: &str = "onecopy why PID --content";
/// Blocks that are drawn at most.
const BLOCKS: usize = 32;

/// Writes the number, blocks of which each is a whole copy, and the same in words.
pub(super) fn write(out: &mut dyn Write, subject: Subject<'_>, report: &Report) -> Result<()> {
    let answer = Answer::of(report);
    if let Some(value) = answer.copies {
        number(out, &answer, value)?;
    } else {
        let reason = report.tree.copies.reason.as_deref();
        writeln!(
            out,
            "<div class=\"answer\"><b>–</b><span>copies unknown</span></div>\n\
             <p class=\"sentence\">{}.</p>",
            escaped(&capital(reason.unwrap_or("no reason is known")))
        )?;
    }
    for (class, sentence) in sentences(subject, report, &answer) {
        let sentence = escaped(&sentence).replace(COMPARE, &format!("<code>{COMPARE}</code>"));
        writeln!(out, "<p class=\"{class}\">{sentence}</p>")?;
    }
    let small = facts(subject, report, &answer).join(" · ");
    writeln!(out, "<p class=\"soft\">{}</p>", escaped(&small))?;
    Ok(())
}

fn number(out: &mut dyn Write, answer: &Answer, value: f64) -> Result<()> {
    let class = match answer.verdict() {
        Verdict::Good => "good",
        Verdict::Bad => "bad",
        Verdict::Open => "open",
    };
    let noun = if (value - 1.0).abs() < 0.005 {
        "copy"
    } else {
        "copies"
    };
    let common = Style::default().maybe(answer.common);
    let who = match answer.processes {
        1 => "one process has inherited or shares".to_owned(),
        each => format!("{each} processes have in common"),
    };
    writeln!(
        out,
        "<div class=\"answer\"><b class=\"{class}\">{value:.2}</b><span>{noun} of the {common} that {who}</span></div>"
    )?;
    write!(out, "<div class=\"blocks\" aria-hidden=\"true\">")?;
    for block in 0..answer.processes.min(BLOCKS) {
        let filled = ((value - block as f64) * 100.0).clamp(0.0, 100.0);
        write!(out, "<i><b style=\"width:{filled:.0}%\"></b></i>")?;
    }
    writeln!(out, "</div>")?;
    Ok(())
}

/// What belongs to the number, with the class of each sentence.
fn sentences(
    subject: Subject<'_>,
    report: &Report,
    answer: &Answer,
) -> Vec<(&'static str, String)> {
    let style = Style::default();
    let mut found = Vec::new();
    let mut say = |class, text| found.push((class, text));
    if let (Some(_), Some(copied)) = (answer.copies, answer.copied) {
        say(
            "sentence",
            match copied {
                0 => "Nothing of that was copied.".to_owned(),
                copied => format!(
                    "{} more exist because processes wrote there.",
                    style.size(copied)
                ),
            },
        );
    }
    if let Some(new) = answer.not_compared() {
        say(
            "sentence strong",
            format!(
                "{} more lie in one process each: they were not compared, and may hold the same data loaded or unpickled \
                 several times. {COMPARE} compares them, and finds arrays, texts and files, but no lists and dicts.",
                style.size(new)
            ),
        );
    }
    if let Some(stores) = answer.stores(style) {
        say("sentence", format!("Stores: {stores}."));
    }
    if let Some(record) = subject.record {
        let unseen = unseen(record, report.page_size, style);
        let not_counted = record.not_counted.as_ref();
        let warnings = [
            unseen.map(|text| format!("Unseen: {text}.")),
            not_counted.map(|reason| format!("Not counted: {reason}.")),
        ];
        for warning in warnings.into_iter().flatten() {
            say("warning", warning);
        }
    }
    found
}

fn facts(subject: Subject<'_>, report: &Report, answer: &Answer) -> Vec<String> {
    let (style, tree) = (Style::default(), &report.tree);
    let why = moved(report).map_or_else(String::new, |moved| format!(" ({moved})"));
    let mut facts = vec![
        members(report),
        format!("level {}", report.level),
        format!("physical {}", style.maybe(answer.physical)),
        format!("sum of PSS {}", style.maybe(tree.sum_pss)),
        format!("agreement of the two {}{why}", agreement(report)),
        format!("top would say {}", style.maybe(tree.sum_rss)),
    ];
    if let Some(record) = subject.record {
        let t = record.report_t.unwrap_or_default();
        facts.push(format!("read at {t:.1} s of {:.1} s", record.seconds));
    }
    facts
}

/// A clause as the start of a sentence.
fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::run::record::Record;

    const RECORDED: &str = include_str!("../../../tests/recorded/report.json");

    fn written(record: Option<&Record>, report: &Report) -> String {
        let mut out = Vec::new();
        let subject = Subject {
            record,
            report: Some(report),
        };
        write(&mut out, subject, report).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn report(common: u64, new: u64, value: Option<f64>) -> Report {
        let mut report: Report = serde_json::from_str(RECORDED).unwrap();
        let copies = &mut report.tree.copies;
        (copies.unique, copies.frames, copies.shared) = (Some(common), Some(common), Some(0));
        (copies.wasted, copies.new, copies.value) = (Some(0), Some(new), value);
        report
    }

    #[test]
    fn the_headline_says_of_how_much_it_speaks() {
        let good = written(None, &report(2168, 0, Some(1.0)));
        let said =
            "<b class=\"good\">1.00</b><span>copy of the 8.47 MiB that 4 processes have in common<";
        assert!(good.contains(said), "{good}");
        assert!(good.contains("Nothing of that was copied."), "{good}");
        assert!(!good.contains("not compared"), "{good}");
        let bad = written(None, &serde_json::from_str(RECORDED).unwrap());
        let said = "<b class=\"bad\">2.01</b><span>copies of the 13.9 MiB that 4 processes have in common<";
        assert!(bad.contains(said), "{bad}");
        assert!(bad.contains(">13.9 MiB more exist because"), "{bad}");
    }

    #[test]
    fn data_in_each_process_are_no_good_news_and_no_copies() {
        for value in [Some(1.0), Some(3.07), None] {
            let mut report = report(1, 166 << 8, value);
            report.tree.copies.reason = value.is_none().then(|| "next to nothing".to_owned());
            let page = written(None, &report);
            assert!(
                !page.contains("\"good\"") && !page.contains("\"bad\""),
                "{page}"
            );
            assert!(
                page.contains("166 MiB more lie in one process each: they were not compared"),
                "{page}"
            );
            assert!(page.contains("onecopy why PID --content"), "{page}");
            assert_eq!(
                page.contains(">Next to nothing.<"),
                value.is_none(),
                "{page}"
            );
        }
    }

    #[test]
    fn what_was_not_seen_stands_with_the_number() {
        let found = report(100, 0, Some(1.0));
        let mut record: Record = serde_json::from_value(serde_json::json!({
            "schema": "onecopy.run/1", "command": ["x"], "exit": null, "seconds": 10.0, "level": "B",
            "overhead": {"allowed": 0.01, "readings": 1, "cpu_seconds": 0.0, "fraction": 0.0, "longest_reading": 0.0},
            "max_copies": 1.0, "max_copies_t": 1.0, "peak_sum_rss": 1, "peak_physical": 1, "peak_physical_t": 1.0,
            "faults_unseen": 29_184, "left_behind": [], "events": [], "samples": [], "report": null,
            "report_t": 1.0, "why": null, "not_counted": "too <soon>", "reason": null
        }))
        .unwrap();
        let page = written(Some(&record), &found);
        let said = "<p class=\"warning\">Unseen: 29,184 page faults that no reading has seen: up to 114 MiB more may \
                    have been copied;";
        assert!(page.contains(said), "{page}");
        assert!(page.contains("Not counted: too &lt;soon&gt;."), "{page}");
        (record.faults_unseen, record.not_counted) = (256, None);
        assert!(!written(Some(&record), &found).contains("warning"));
    }

    #[test]
    fn counted_memory_and_the_sum_of_pss_have_two_names() {
        let mut report = report(100, 0, Some(1.0));
        report.drift = 1;
        let page = written(None, &report);
        assert!(
            page.contains("physical ") && page.contains("sum of PSS 33.0 MiB"),
            "{page}"
        );
        assert!(!page.contains("physical (PSS)"), "{page}");
        assert!(
            page.contains("agreement of the two 100.0 % (1 page moved while"),
            "{page}"
        );
    }
}
