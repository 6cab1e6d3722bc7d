//! What earlier readings knew about each process, so that later ones can tell copied from new.
//!
//! ```text
//! child first seen ─▶ its base: what its source has noted at the fork, or has at that moment
//! child seen again ─▶ base, and what it has copied so far
//! it forks itself  ─▶ both sides remember the pages it had copied: at level B nothing else tells
//!                     that their common frame is not the family's
//! ```
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use crate::account::Member;
use crate::forks::ForkLog;
use crate::page_set::PageSet;
use crate::parse::Stat;
use crate::report::Identity;

/// Names one program in one process for ever: a pid may come again, and `exec` draws a new place or, where
/// that is not random, at least ends what the process has been forked with.
pub(crate) type Program = (Identity, u64, u64, bool);

pub(crate) fn program(stat: &Stat) -> Program {
    (
        stat.identity(),
        stat.start_stack,
        stat.start_code,
        stat.is_forked(),
    )
}

/// What is remembered of one process.
#[derive(Debug, Default, Clone)]
struct Past {
    base: Option<Arc<PageSet>>,
    /// Whether the base, or a part of it, was noted at a fork.
    noted: bool,
    /// Whether it had been forked already when the tree was read for the first time.
    late: bool,
    lineage: Vec<(Arc<PageSet>, u64)>,
    copied: Arc<PageSet>,
}

/// What is remembered between readings.
#[derive(Debug, Default, Clone)]
pub(crate) struct History {
    processes: HashMap<Program, Past>,
    /// Whether anything was read before.
    pub(crate) begun: bool,
    /// What processes have noted of their forks themselves.
    pub(crate) forks: ForkLog,
    writers: u64,
}

/// Larger than any frame number, and than nothing.
const WRITER: u64 = 1 << 62;

impl History {
    /// Members of one family, oldest first, as the account needs them.
    pub(crate) fn members(&mut self, stats: &[&Stat]) -> Vec<Member> {
        let known = |stat: &Stat| {
            let past = self.processes.get(&program(stat));
            past.is_some_and(|past| past.base.is_some())
        };
        let parents: Vec<Option<usize>> = stats
            .iter()
            .map(|stat| stats.iter().position(|other| other.pid == stat.parent))
            .collect();
        let sources: Vec<Option<usize>> = stats
            .iter()
            .enumerate()
            .map(|(number, stat)| {
                let is_fresh = number > 0 && !known(stat);
                is_fresh.then(|| {
                    parents[number]
                        .filter(|parent| *parent < number)
                        .unwrap_or(0)
                })
            })
            .collect();
        let noted = self.take_notes(stats, &sources);
        let first_reading = !self.begun;
        let mut members = Vec::with_capacity(stats.len());
        for (number, stat) in stats.iter().enumerate() {
            let has_forked = sources.contains(&Some(number));
            let mut children = sources.iter().zip(&noted);
            let is_source = children.any(|(source, noted)| *source == Some(number) && !noted);
            let past = self.processes.entry(program(stat)).or_insert_with(|| Past {
                late: first_reading && number > 0,
                ..Past::default()
            });
            let new_lineage = has_forked && !past.copied.is_empty();
            let remembered = past.lineage.first();
            if new_lineage && remembered.is_none_or(|(set, _)| !Arc::ptr_eq(set, &past.copied)) {
                self.writers += 1;
                past.lineage
                    .insert(0, (Arc::clone(&past.copied), WRITER | self.writers));
            }
            if let Some(source) = sources[number] {
                let inherited = members
                    .get(source)
                    .map(|member: &Member| member.lineage.clone());
                past.lineage = inherited.unwrap_or_default();
            }
            members.push(Member {
                base: past.base.clone(),
                parent: parents[number],
                source: sources[number].filter(|_| !noted[number]),
                is_source,
                noted: past.noted,
                lineage: past.lineage.clone(),
                ..Member::default()
            });
        }
        members
    }

    /// Gives children that were not seen before what their source noted when it forked them, and the source as
    /// well: what it had then is what it shares. Says which children got it.
    fn take_notes(&mut self, stats: &[&Stat], sources: &[Option<usize>]) -> Vec<bool> {
        let mut noted = vec![false; stats.len()];
        for (number, source) in sources.iter().enumerate() {
            let Some(source) = source.map(|source| stats[source]) else {
                continue;
            };
            let Some(pages) = self.forks.base(source.pid, stats[number]) else {
                continue;
            };
            for stat in [source, stats[number]] {
                let past = self.processes.entry(program(stat)).or_default();
                past.noted = true;
                past.base = Some(match past.base.take() {
                    None => Arc::clone(&pages),
                    Some(base) => {
                        let mut base = Arc::unwrap_or_clone(base);
                        base.extend(&pages);
                        Arc::new(base)
                    }
                });
            }
            noted[number] = true;
        }
        noted
    }

    /// Takes over what a reading has found.
    pub(crate) fn remember(&mut self, stats: &[Stat], members: &mut [Member]) {
        let mut bases: Vec<PageSet> = members
            .iter_mut()
            .map(|member| std::mem::take(&mut member.found_base))
            .collect();
        for number in 0..members.len() {
            if let Some(source) = members[number].source {
                let found = bases[number].clone();
                bases[source].extend(&found);
            }
        }
        for ((stat, member), found) in stats.iter().zip(members).zip(bases) {
            let past = self.processes.entry(program(stat)).or_default();
            past.copied = Arc::new(std::mem::take(&mut member.copied));
            if found.is_empty() && member.source.is_none() {
                continue;
            }
            let mut base = past.base.as_deref().cloned().unwrap_or_default();
            base.extend(&found);
            past.base = Some(Arc::new(base));
        }
    }

    /// Whether a fork was missed: a process that is still there was forked before the first reading, and
    /// nobody had noted what it got.
    pub(crate) fn has_missed_forks(&self) -> bool {
        let mut processes = self.processes.values();
        !self.begun || processes.any(|past| past.late)
    }

    /// Forgets processes that are gone.
    pub(crate) fn keep_only(&mut self, alive: &[Program]) {
        self.processes.retain(|program, _| alive.contains(program));
    }

    /// The pages that a process had copied when it was last read.
    pub(crate) fn copied(&self, process: Identity) -> Option<&PageSet> {
        let mut found = self
            .processes
            .iter()
            .filter(|(program, _)| program.0 == process);
        found.next().map(|(_, past)| past.copied.as_ref())
    }
}
