//! The files that a run leaves behind.
#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use onecopy_meter::Report;

use super::record::Record;
use crate::cli::meter::Files;
use crate::output::{csv, html, json};

/// Every process at every reading.
pub(super) struct Rows<'a>(pub(super) &'a [(f64, Report)]);

/// Opens every file once, so that a wrong name is said before the command runs and not hours later.
pub(super) fn check(files: &Files, output: Option<&Path>) -> Result<()> {
    let named = [
        &files.html,
        &files.svg,
        &files.json,
        &files.csv,
        &files.jsonl,
    ];
    for path in named.into_iter().flatten().map(AsRef::as_ref).chain(output) {
        open(path, false)?;
    }
    Ok(())
}

fn open(path: &Path, truncate: bool) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(truncate);
    options
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Writes whatever was asked for; the first failure is reported after all were tried.
pub(super) fn write(files: &Files, record: &Record, rows: &Rows<'_>) -> Result<()> {
    let mut outcome = Ok(());
    let mut file = |path: &Option<std::path::PathBuf>,
                    write: &dyn Fn(&mut dyn Write) -> Result<()>| {
        let Some(path) = path else { return };
        let done = open(path, true).and_then(|file| {
            let mut out = BufWriter::new(file);
            write(&mut out)
                .and_then(|()| Ok(out.flush()?))
                .with_context(|| format!("cannot write {}", path.display()))
        });
        if outcome.is_ok() {
            outcome = done;
        }
    };
    file(&files.json, &|out| json::write(out, record));
    file(&files.jsonl, &|out| {
        record
            .samples
            .iter()
            .try_for_each(|sample| json::line(out, sample))
    });
    file(&files.csv, &|out| {
        csv::header_at(out)?;
        for (t, report) in rows.0 {
            for process in &report.processes {
                csv::row_at(out, *t, process)?;
            }
        }
        Ok(())
    });
    file(&files.html, &|out| {
        html::write(out, html::Subject::run(record))
    });
    file(&files.svg, &|out| {
        Ok(out.write_all(html::drawing(html::Subject::run(record))?.as_bytes())?)
    });
    outcome
}
