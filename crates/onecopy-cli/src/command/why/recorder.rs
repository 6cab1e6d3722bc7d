//! The thread that records page faults and settles what processes have copied, beside the one that reads
//! pages.
//!
//! ```text
//! kernel ──▶ rings ─▶ faults ─┐
//! sampler ─▶ feed ─▶ messages ┴▶ ledger ─▶ why
//! ```
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use onecopy_meter::{Glance, Identity, Proc, Report, Session};

use super::faults::Faults;
use super::ledger::{Copied, Ledger};
use super::rings::{Rings, now_ns};
use super::{Why, refused};

/// Pauses between two looks at empty rings.
const PAUSE: Duration = Duration::from_millis(2);

/// What the recording thread is told.
#[derive(Debug)]
enum Message {
    /// A process has ended, or the recording is about to: this is what it had copied.
    Settle(Copied),
    /// All that had ended before this moment has been settled, but for these processes.
    Settled(u64, HashSet<u32>),
    Stop,
}

/// A recorder that has been started.
#[derive(Debug)]
pub(crate) struct Recorder {
    messages: Sender<Message>,
    thread: JoinHandle<Why>,
    sees_faults: bool,
}

/// A process that was there before the recording: those that it was forked from, nearest first, itself
/// included, each with the moment when it began; and the bottom of its stack.
pub(crate) type Known = (Vec<(u32, SystemTime)>, u64);

impl Recorder {
    /// Records what the calling thread starts from now on, and the children of that. Where faults may not
    /// be watched, the result says so instead of them. Tables of objects are in `folder`. With
    /// `remove_maps`, the files in which Python programs name their compiled code go away with them.
    pub(crate) fn of_children(folder: Option<PathBuf>, remove_maps: bool) -> Self {
        Self::start(Rings::of_children(), Vec::new(), remove_maps, folder)
    }

    /// Records processes that are there, but not what they start.
    pub(crate) fn of_processes(known: Vec<Known>, folder: Option<PathBuf>) -> Self {
        let pids: Vec<u32> = known
            .iter()
            .filter_map(|(lineage, _)| Some(lineage.first()?.0))
            .collect();
        Self::start(Rings::of_processes(&pids), known, false, folder)
    }

    fn start(
        rings: io::Result<Rings>,
        known: Vec<Known>,
        remove_maps: bool,
        folder: Option<PathBuf>,
    ) -> Self {
        let (messages, received) = channel();
        let sees_faults = rings.is_ok();
        let thread = thread::spawn(move || {
            let ledger = Ledger::new(folder, Proc::default().page_size());
            match rings {
                Ok(rings) => {
                    let mut faults = Faults::new(remove_maps);
                    for (lineage, family) in &known {
                        faults.add(lineage, *family);
                    }
                    record(rings, faults, ledger, &received)
                }
                Err(error) => settle(ledger, &received, refused(&error)),
            }
        });
        Self {
            messages,
            thread,
            sees_faults,
        }
    }

    /// Whether page faults may be watched here.
    pub(crate) fn sees_faults(&self) -> bool {
        self.sees_faults
    }

    /// The side that tells what processes have copied.
    pub(crate) fn feed(&self) -> Feed {
        Feed {
            messages: self.messages.clone(),
            last: HashMap::new(),
            families: HashMap::new(),
        }
    }

    /// Ends the recording. What has not been settled by then is in no sum.
    pub(crate) fn stop(self) -> Why {
        let _ = self.messages.send(Message::Stop);
        self.thread.join().unwrap_or_else(|_| Why {
            reason: Some("the thread that records has failed".to_owned()),
            ..Why::default()
        })
    }
}

fn record(
    mut rings: Rings,
    mut faults: Faults,
    mut ledger: Ledger,
    messages: &Receiver<Message>,
) -> Why {
    let mut pause = PAUSE;
    let mut has_lost = false;
    loop {
        let message = messages.recv_timeout(pause);
        // Faults that are in the rings came before the message.
        let is_news = !matches!(message, Err(RecvTimeoutError::Timeout));
        let events = rings.read(is_news);
        // Where many come, more have come meanwhile.
        pause = if events.len() > 64 {
            Duration::ZERO
        } else {
            PAUSE
        };
        for event in events {
            faults.event(event);
        }
        match message {
            Ok(Message::Settle(copied)) => ledger.settle(&copied, Some(&faults)),
            Ok(Message::Settled(ns, awaited)) => {
                has_lost |= rings.lost() > 0;
                let proc = Proc::default();
                let is_there = |pid| !has_lost || proc.stat(pid).is_ok();
                for origin in faults.forget_ended(faults.ms(ns), &awaited, is_there) {
                    ledger.forget(&origin);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => {
                return ledger.finish(rings.lost() + faults.dropped, None);
            }
        }
    }
}

/// The same without faults.
fn settle(mut ledger: Ledger, messages: &Receiver<Message>, reason: String) -> Why {
    loop {
        match messages.recv() {
            Ok(Message::Settle(copied)) => ledger.settle(&copied, None),
            Ok(Message::Settled(..)) => {}
            Ok(Message::Stop) | Err(_) => return ledger.finish(0, Some(reason)),
        }
    }
}

/// Keeps what each living process had copied when it was last read, and hands it on when it has ended.
#[derive(Debug)]
pub(crate) struct Feed {
    messages: Sender<Message>,
    last: HashMap<Identity, Copied>,
    /// The bottoms of the stacks of those that are being read.
    families: HashMap<Identity, u64>,
}

impl Feed {
    /// Is told that these processes are about to be read. Whoever has ended afterwards cannot be asked.
    pub(crate) fn begin(&mut self, glance: &Glance) {
        let proc = Proc::default();
        let family = |seen: &onecopy_meter::Seen| {
            let stat = proc.stat(seen.pid).ok()?;
            let same = stat.start_time_ticks == seen.start_time_ticks;
            same.then_some((seen.identity(), stat.start_stack))
        };
        self.families = glance.processes.iter().filter_map(family).collect();
    }

    /// Takes over the reading.
    pub(crate) fn read(&mut self, session: &Session, report: &Report) {
        for (identity, family) in std::mem::take(&mut self.families) {
            let pid = identity.pid;
            let ranges = session.copied(identity);
            if ranges.is_empty() || !report.processes.iter().any(|row| row.pid == pid) {
                continue;
            }
            let copied = Copied {
                pid,
                family,
                read_ns: now_ns(),
                ranges,
                mappings: mappings(report, pid),
            };
            self.replace(identity, copied);
        }
    }

    /// The last reading of a program counts; another program in the same process begins anew.
    fn replace(&mut self, identity: Identity, copied: Copied) {
        let family = copied.family;
        if let Some(before) = self.last.insert(identity, copied)
            && before.family != family
        {
            self.settle(before);
        }
    }

    /// Takes over a look at the tree that began at this moment: who is not in it any more has ended.
    pub(crate) fn alive(&mut self, glance: &Glance, began_ns: u64) {
        let proc = Proc::default();
        let alive = |identity: &Identity| {
            let is_it = |seen: &onecopy_meter::Seen| seen.identity() == *identity;
            // A child that exits may hide another one from the list of children.
            glance.processes.iter().any(is_it)
                || proc.stat(identity.pid).is_ok_and(|stat| {
                    stat.start_time_ticks == identity.start_time_ticks && !stat.has_exited()
                })
        };
        self.settle_all_but(alive);
        let seen = glance.processes.iter().map(|seen| seen.pid);
        let awaited = seen
            .chain(self.last.keys().map(|process| process.pid))
            .collect();
        let _ = self.messages.send(Message::Settled(began_ns, awaited));
    }

    fn settle_all_but(&mut self, alive: impl Fn(&Identity) -> bool) {
        let gone = self.last.extract_if(|identity, _| !alive(identity));
        for (_, copied) in gone {
            // The thread at the other end goes only when it is told to.
            let _ = self.messages.send(Message::Settle(copied));
        }
    }

    /// The clock of [`Feed::alive`].
    pub(crate) fn now_ns() -> u64 {
        now_ns()
    }

    /// Hands on what processes had copied; sorted, so that equal runs have equal results.
    pub(crate) fn finish(mut self) {
        let mut last: Vec<Copied> = self.last.drain().map(|(_, copied)| copied).collect();
        last.sort_by_key(|copied| copied.pid);
        for copied in last {
            self.settle(copied);
        }
    }

    /// Hands on what a process has copied.
    pub(crate) fn settle(&self, copied: Copied) {
        let _ = self.messages.send(Message::Settle(copied));
    }
}

/// What the copied pages of a process belong to, in a reading.
pub(crate) fn mappings(report: &Report, pid: u32) -> Vec<(String, u64)> {
    let mut found: HashMap<&str, u64> = HashMap::new();
    for row in &report.mappings {
        for user in row.processes.iter().filter(|user| user.pid == pid) {
            *found.entry(&row.label).or_default() += user.pages.copied;
        }
    }
    let found = found.into_iter().filter(|(_, bytes)| *bytes > 0);
    found
        .map(|(label, bytes)| (label.to_owned(), bytes))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_ten_thousand_workers_only_the_living_are_remembered_and_all_are_in_the_sum() {
        let (messages, received) = channel();
        let summed = thread::spawn(move || {
            let ledger = Ledger::new(None, 4096);
            settle(ledger, &received, "no faults in this test".to_owned())
        });
        let mut feed = Feed {
            messages: messages.clone(),
            last: HashMap::new(),
            families: HashMap::new(),
        };
        for number in 0..10_000u64 {
            // A few pids that come again and again, as other processes.
            let identity = Identity {
                pid: 1_000 + (number % 7) as u32,
                start_time_ticks: number,
            };
            let page = number * 4096;
            let copied = |pages: u64| Copied {
                pid: identity.pid,
                ranges: std::iter::once(page..page + pages * 4096).collect(),
                ..Copied::default()
            };
            // Read twice: the last reading counts.
            feed.replace(identity, copied(1));
            feed.replace(identity, copied(2));
            feed.settle_all_but(|process| process.start_time_ticks + 3 > number);
            assert!(feed.last.len() <= 3);
        }
        // Another program in one process, told by the bottom of its stack.
        for family in [1, 2, 2] {
            let ranges = std::iter::once(0..4096).collect();
            let copied = Copied {
                pid: 5,
                family,
                ranges,
                ..Copied::default()
            };
            feed.replace(
                Identity {
                    pid: 5,
                    start_time_ticks: 5,
                },
                copied,
            );
        }
        feed.finish();
        messages.send(Message::Stop).unwrap();
        let why = summed.join().unwrap();
        assert_eq!((why.processes, why.pages), (10_002, 20_002));
    }
}
