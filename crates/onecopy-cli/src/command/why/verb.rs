//! `onecopy why PID`: watches a living tree for a while, and says what it copied meanwhile.
#![forbid(unsafe_code)]

use std::io::Write;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use onecopy_meter::{Identity, ProcessMemory, Report, Session};
use serde::Serialize;

use super::faults::Recorder;
use super::{Copied, Why, objects};
use crate::OK;
use crate::cli::meter::WhyArguments;
use crate::command::report;
use crate::output::{json, report as text, units, why as printed};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Found {
    schema: &'static str,
    seconds: f64,
    /// What was copied while it was watched.
    why: Why,
    /// The tree at the end.
    report: Report,
}

/// Watches and prints.
pub(crate) fn run(arguments: &WhyArguments, out: &mut dyn Write) -> Result<i32> {
    let proc = report::proc(&arguments.measuring);
    let page_size = proc.page_size();
    let mut session = Session::new(proc, arguments.pid).patient();
    let before = session.read()?;
    if !before.complete {
        bail!(
            "process {} cannot be watched: {}",
            arguments.pid,
            before.limits.join("; ")
        );
    }
    let processes: Vec<Identity> = before
        .processes
        .iter()
        .map(ProcessMemory::identity)
        .collect();
    let pids: Vec<u32> = processes.iter().map(|process| process.pid).collect();
    let earlier = copied(&session, &processes);
    let recorder = Recorder::of_processes(&pids);
    thread::sleep(Duration::from_secs_f64(arguments.seconds));
    let found = session.read()?;
    let faults = recorder.map(Recorder::stop);
    let later = subtracted(copied(&session, &processes), &earlier, page_size);
    let table = arguments.objects.as_deref().and_then(objects::Table::read);
    if arguments.objects.is_some() && table.is_none() {
        bail!(
            "there is no table of objects in that folder: the program writes it when it is told to"
        );
    }
    let faults = faults.map_err(|error| super::refused(&error));
    let why = super::join(
        &later,
        faults.as_ref().map_err(String::as_str),
        table.as_ref(),
        page_size,
    );
    if arguments.json {
        let schema = "onecopy.why/1";
        let (seconds, report) = (arguments.seconds, found);
        json::write(
            out,
            &Found {
                schema,
                seconds,
                why,
                report,
            },
        )?;
    } else {
        let style = units::Style::default();
        text::report(out, &found, &text::Heading::default(), style)?;
        writeln!(out, "\n  Copied within the last {} s:", arguments.seconds)?;
        printed::why(out, &why, page_size, style)?;
    }
    Ok(OK)
}

fn copied(session: &Session, processes: &[Identity]) -> Copied {
    processes
        .iter()
        .map(|process| (process.pid, session.copied(*process)))
        .collect()
}

/// Pages of `now` that were not in `before`.
fn subtracted(now: Copied, before: &Copied, page_size: u64) -> Copied {
    let mut rest = Copied::new();
    for (pid, ranges) in now {
        let old = before.get(&pid).map(Vec::as_slice).unwrap_or_default();
        let is_old = |address: u64| {
            let index = old.partition_point(|range| range.end <= address);
            old.get(index).is_some_and(|range| range.start <= address)
        };
        let pages = ranges
            .iter()
            .flat_map(|range| range.clone().step_by(page_size as usize));
        let fresh = pages.filter(|address| !is_old(*address));
        let ranges: Vec<_> = fresh.map(|address| address..address + page_size).collect();
        if !ranges.is_empty() {
            rest.insert(pid, ranges);
        }
    }
    rest
}
