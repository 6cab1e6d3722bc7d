//! Why pages were copied, as tables below the drawing: what the text says, row by row.
#![forbid(unsafe_code)]

use std::io::Write;

use anyhow::Result;
use onecopy_meter::Report;

use super::Subject;
use super::svg::escaped;
use crate::output::units::{Style, grouped};
use crate::output::why_rows::{REST, lost, mapping_rows, object_rows, processes, python, stacks};

/// Writes the tables and the advice; nothing without `--why`.
pub(super) fn write(out: &mut dyn Write, subject: Subject<'_>, report: &Report) -> Result<()> {
    let style = Style::default();
    let Some(why) = subject.record.and_then(|record| record.why.as_ref()) else {
        return Ok(());
    };
    let size = style.size(why.pages * report.page_size);
    if why.pages == 0 {
        writeln!(
            out,
            "<h2>Why pages were copied</h2><p>Nothing was copied.</p>"
        )?;
        return advice(out, &why.advice);
    }
    writeln!(
        out,
        "<p>{size} were copied by {}.</p>",
        processes(why.processes)
    )?;
    for said in why.reason.iter().cloned().chain(lost(why)) {
        writeln!(out, "<p class=\"warning\">{}</p>", escaped(&said))?;
    }
    if why.reason.is_none() {
        table(
            out,
            &["code that wrote", "copied pages"],
            percents(stacks(why)),
        )?;
    } else {
        let rows = mapping_rows(why).into_iter();
        let rows = rows.map(|(label, bytes)| vec![label, style.size(bytes)]);
        table(out, &["copied pages of", "bytes in all"], rows.collect())?;
    }
    let title = "in Python, from every 61st fault";
    table(out, &[title, "copied pages"], percents(python(why)))?;
    if let Some(objects) = &why.objects {
        let (types, rest) = object_rows(objects);
        let mut rows: Vec<Vec<String>> = types
            .iter()
            .map(|row| {
                let (objects, of) = (grouped(row.objects), grouped(row.of));
                vec![row.name.clone(), objects, of, style.size(row.bytes)]
            })
            .collect();
        let none = String::new();
        rows.push(vec![REST.to_owned(), none.clone(), none, style.size(rest)]);
        let head = [
            "objects on copied pages",
            "most copied",
            "of",
            "bytes in all",
        ];
        table(out, &head, rows)?;
        for limit in &objects.limits {
            writeln!(out, "<p class=\"sentence\">{}</p>", escaped(limit))?;
        }
    }
    advice(out, &why.advice)
}

fn advice(out: &mut dyn Write, lines: &[String]) -> Result<()> {
    for line in lines {
        writeln!(out, "<p class=\"sentence\">→ {}</p>", escaped(line))?;
    }
    Ok(())
}

fn percents(rows: Vec<(u64, String)>) -> Vec<Vec<String>> {
    let rows = rows.into_iter();
    rows.map(|(percent, text)| vec![text, format!("{percent} %")])
        .collect()
}

/// A table of names that may be long; nothing without rows.
fn table(out: &mut dyn Write, head: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    write!(out, "<div class=\"table\"><table class=\"words\"><tr>")?;
    for name in head {
        write!(out, "<th>{}</th>", escaped(name))?;
    }
    writeln!(out, "</tr>")?;
    for row in rows {
        write!(out, "<tr>")?;
        for cell in row {
            write!(out, "<td>{}</td>", escaped(&cell))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</table></div>")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::run::record::Record;

    #[test]
    fn the_page_has_what_the_text_has() {
        let text = include_str!("../../../tests/recorded/report.json");
        let report: Report = serde_json::from_str(text).unwrap();
        let record: Record = serde_json::from_value(serde_json::json!({
            "schema": "onecopy.run/1", "command": ["x"], "exit": null, "seconds": 10.0, "level": "B",
            "overhead": {"allowed": 0.01, "readings": 1, "cpu_seconds": 0.0, "fraction": 0.0, "longest_reading": 0.0},
            "max_copies": 1.0, "max_copies_t": 1.0, "peak_sum_rss": 1, "peak_physical": 1, "peak_physical_t": 1.0,
            "faults_unseen": 0, "left_behind": [], "events": [], "samples": [], "report": null,
            "report_t": 1.0, "reason": null,
            "why": {
                "processes": 3, "pages": 100, "unattributed": 20, "lost": 7,
                "stacks": [{"stack": ["list_subscript"], "pages": 80, "cause": "interpreter"}],
                "python": [{"stack": ["count (t.py)", "<module> (t.py)"], "fraction": 0.53}],
                "objects": {
                    "types": [{"name": "dict", "counted": true, "of": 1000, "objects": 900, "bytes": 2048}],
                    "other": 1024, "limits": ["memory of <dict keys> has no name"]
                },
                "advice": ["onecopy.share() the data"], "reason": null
            }
        }))
        .unwrap();
        let mut out = Vec::new();
        write(&mut out, Subject::run(&record), &report).unwrap();
        let page = String::from_utf8(out).unwrap();
        for part in [
            "<td>count (t.py) ← &lt;module&gt; (t.py)</td><td>53 %</td>",
            "list_subscript</td><td>80 %</td>",
            "<td>unattributed</td><td>20 %</td>",
            "<td>dict</td><td>900</td><td>1,000</td><td>2.00 KiB</td>",
            "<td>other types, and what is no object</td><td></td><td></td><td>1.00 KiB</td>",
            "<p class=\"sentence\">memory of &lt;dict keys&gt; has no name</p>",
            "→ onecopy.share() the data",
            "7 faults could not be recorded",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }
}
