//! `onecopy why PID`: watches a living tree for a while, and says what it copied meanwhile.
//!
//! What had been copied before is a sum of its own: the pages and the objects on them are known, what wrote
//! to them is not.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use onecopy_meter::{Glance, Proc, Report, Session, holding};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use super::content::{self, Content};
use super::ledger::Ledger;
use super::objects::Tables;
use super::recorder::{Known, Recorder, mappings};
use super::{Copied, Why};
use crate::USAGE;
use crate::cli::meter::WhyArguments;
use crate::command::report;
use crate::command::run::{side, tags::Tags};
use crate::output::{json, report as text, say, units, why as printed};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Found {
    schema: &'static str,
    /// How long it was watched.
    seconds: f64,
    /// What was copied while it was watched.
    why: Why,
    /// What had been copied before.
    before: Why,
    /// What is in the pages, if that was asked for.
    content: Option<Content>,
    /// Processes that came meanwhile, which were not watched.
    unwatched: u64,
    /// The tree at the end.
    report: Report,
}

/// Why a reading is not complete: of its limits those for which it has no sums. The others are no matter here.
fn gaps(report: &Report) -> String {
    let limits = report.limits.iter().map(String::as_str);
    let gaps: Vec<&str> = limits.filter(|limit| limit.contains("no sums")).collect();
    gaps.join("; ")
}

/// Watches and prints.
pub(crate) fn run(arguments: &WhyArguments, out: &mut dyn Write) -> Result<i32> {
    if arguments.seconds <= 0.0 && !arguments.content {
        say("--for 0: nothing can change in no time; only --content looks at what is there");
        return Ok(USAGE);
    }
    let proc = report::proc(&arguments.measuring);
    let page_size = proc.page_size();
    let side = side::folder_of(arguments.pid);
    let folder = arguments.objects.clone().or_else(|| side.clone());
    let mut tags = side.map(Tags::new);
    if arguments.objects.is_some() && !Tables::new(folder.clone()).any() {
        bail!(
            "there is no table of objects in that folder: the program writes it when it is told to"
        );
    }
    let interrupted = interrupts()?;
    let mut session = Session::new(proc.clone(), arguments.pid).patient();
    let glance = session.glance()?;
    // Before the first reading: what is written between the two is explained, and what was there before
    // is taken off.
    let recorder = Recorder::of_processes(known(&proc, &glance), folder.clone());
    let earlier = read(&proc, &mut session, tags.as_mut(), &glance)?;
    let (first, copied_before) = &earlier;
    report::check_root(arguments.pid, first)?;
    if !first.complete {
        bail!(
            "process {} cannot be watched: {}",
            arguments.pid,
            gaps(first)
        );
    }
    let seconds = wait(arguments.seconds, glance.processes.len(), &interrupted);
    let (last, copied) = read(&proc, &mut session, tags.as_mut(), &glance)?;
    if !last.complete {
        say(format_args!(
            "the last reading is not complete, so more may have been copied than follows: {}",
            gaps(&last)
        ));
    }
    let tags = tags.map(|mut tags| tags.read()).unwrap_or_default();
    let content = arguments
        .content
        .then(|| content::look(&proc, &copied, &parents(&glance), &tags));
    let feed = recorder.feed();
    for mut copied in copied {
        let before = copied_before.iter().find(|before| before.pid == copied.pid);
        subtract(&mut copied, before, page_size);
        feed.settle(copied);
    }
    let mut why = recorder.stop();
    why.advice.extend(super::of_their_own(&last));
    let before = settled(Ledger::new(folder, page_size), copied_before);
    let unwatched = unwatched(&glance, &last);
    let found = Found {
        schema: "onecopy.why/1",
        seconds,
        why,
        before,
        content,
        unwatched,
        report: last,
    };
    if arguments.json {
        json::write(out, &found)?;
    } else {
        print(out, &found)?;
    }
    Ok(report::verdict(&arguments.measuring, &found.report))
}

/// Waits for the time to pass or for Ctrl-C; returns how many seconds it was.
fn wait(seconds: f64, processes: usize, interrupted: &Receiver<()>) -> f64 {
    let begun = Instant::now();
    say(format_args!(
        "watching {processes} processes for {seconds} s; Ctrl-C ends it sooner"
    ));
    // Either way, the time is over.
    let _ = interrupted.recv_timeout(Duration::from_secs_f64(seconds));
    begun.elapsed().as_secs_f64()
}

fn parents(glance: &Glance) -> HashMap<u32, u32> {
    let seen = glance.processes.iter();
    seen.map(|seen| (seen.pid, seen.parent)).collect()
}

/// How many processes came after the first look.
fn unwatched(glance: &Glance, last: &Report) -> u64 {
    let is_known = |pid: u32| glance.processes.iter().any(|seen| seen.pid == pid);
    let new = last.processes.iter().filter(|row| !is_known(row.pid));
    new.count() as u64
}

/// What all these have copied, without the reasons.
fn settled(mut ledger: Ledger, copied: &[Copied]) -> Why {
    for copied in copied {
        ledger.settle(copied, None);
    }
    ledger.finish(0, None)
}

fn print(out: &mut dyn Write, found: &Found) -> Result<()> {
    let (style, page_size) = (
        units::Style::default().on(std::io::stdout()),
        found.report.page_size,
    );
    text::report(out, &found.report, &text::Heading::default(), style)?;
    printed::before(out, &found.before, page_size, style)?;
    writeln!(out, "\n  Copied within the last {:.1} s:", found.seconds)?;
    printed::why(out, &found.why, page_size, style)?;
    if let Some(content) = &found.content {
        printed::content(out, content, page_size, style)?;
    }
    if found.why.reason.is_none() && found.unwatched > 0 {
        writeln!(
            out,
            "  note: {} processes came meanwhile and were not watched",
            found.unwatched
        )?;
    }
    Ok(())
}

/// Tells when Ctrl-C was pressed.
fn interrupts() -> Result<Receiver<()>> {
    let (sender, received) = channel();
    let mut signals = Signals::new([SIGINT]).context("cannot receive signals")?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if sender.send(()).is_err() {
                return;
            }
        }
    });
    Ok(received)
}

/// Reads the tree: the report, and what each of the processes that were there at first has copied.
fn read(
    proc: &Proc,
    session: &mut Session,
    tags: Option<&mut Tags>,
    glance: &Glance,
) -> Result<(Report, Vec<Copied>)> {
    session.set_tags(tags.map(Tags::read).unwrap_or_default());
    let report = session.read()?;
    let now = session.glance()?;
    let is_same = |pid: u32, start: u64| {
        let mut all = now.processes.iter();
        all.any(|seen| (seen.pid, seen.start_time_ticks) == (pid, start))
    };
    let stack_of = |pid: u32| proc.stat(pid).map_or(0, |stat| stat.start_stack);
    let processes = glance.processes.iter();
    let here = processes.filter(|seen| is_same(seen.pid, seen.start_time_ticks));
    let copied = here.map(|seen| Copied {
        pid: seen.pid,
        family: stack_of(seen.pid),
        read_ns: super::recorder::Feed::now_ns(),
        ranges: session.copied(seen.identity()),
        mappings: mappings(&report, seen.pid),
    });
    let copied = copied.collect();
    Ok((report, copied))
}

/// The processes, with those that they were forked from, in the tree or above it.
fn known(proc: &Proc, glance: &Glance) -> Vec<Known> {
    let up = clock_gettime(ClockId::Boottime);
    let up = Duration::new(
        up.tv_sec.unsigned_abs(),
        u32::try_from(up.tv_nsec).unwrap_or(0),
    );
    let booted = SystemTime::now()
        .checked_sub(up)
        .unwrap_or(SystemTime::UNIX_EPOCH);
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let began = |start: u64| booted + Duration::from_secs_f64(start as f64 / ticks as f64);
    let lineage = |pid: u32| {
        let family = proc.stat(pid).map_or(0, |stat| stat.start_stack);
        let (mut found, mut next) = (Vec::new(), pid);
        while let Ok(stat) = proc.stat(next) {
            let is_related = next == pid || (stat.start_stack == family && family != 0);
            if !is_related || found.iter().any(|(pid, _)| *pid == next) {
                break;
            }
            found.push((next, began(stat.start_time_ticks)));
            next = stat.parent;
        }
        (found, family)
    };
    let processes = glance.processes.iter();
    processes.map(|seen| lineage(seen.pid)).collect()
}

/// Takes off what had been copied before.
fn subtract(now: &mut Copied, before: Option<&Copied>, page_size: u64) {
    let Some(before) = before else {
        return;
    };
    let is_old = |address: u64| holding(&before.ranges, address).is_some();
    let mut rest: Vec<Range<u64>> = Vec::new();
    let pages = now
        .ranges
        .iter()
        .flat_map(|range| range.clone().step_by(page_size as usize));
    for address in pages.filter(|address| !is_old(*address)) {
        match rest.last_mut() {
            Some(last) if last.end == address => last.end += page_size,
            _ => rest.push(address..address + page_size),
        }
    }
    now.ranges = rest;
    for (label, bytes) in &mut now.mappings {
        let old = before.mappings.iter().find(|(other, _)| other == label);
        *bytes = bytes.saturating_sub(old.map_or(0, |(_, bytes)| *bytes));
    }
    now.mappings.retain(|(_, bytes)| *bytes > 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_had_been_copied_before_is_taken_off() {
        let copied = |ranges: &[Range<u64>], bytes: &[(&str, u64)]| Copied {
            ranges: ranges.to_vec(),
            mappings: bytes
                .iter()
                .map(|(label, bytes)| ((*label).to_owned(), *bytes))
                .collect(),
            ..Copied::default()
        };
        let before = copied(&[20..30, 40..50], &[("heap", 20), ("stack", 10)]);
        let mut now = copied(
            &[10..30, 30..50],
            &[("heap", 40), ("stack", 10), ("tag", 10)],
        );
        subtract(&mut now, Some(&before), 10);
        assert_eq!(now, copied(&[10..20, 30..40], &[("heap", 20), ("tag", 10)]));
        let whole = now.clone();
        subtract(&mut now, None, 10);
        assert_eq!(now, whole);
    }
}
