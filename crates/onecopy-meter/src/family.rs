//! Who is related by fork, and so may share pages.
//!
//! `exec` puts the stack and the code at new places, `fork` leaves them where they are: relatives have both
//! at the same address. Where addresses are not drawn at random (`setarch -R`, a debugger) strangers have
//! so, too. What then tells them apart is that the kernel notes who has executed a program since it was
//! forked: such a process begins a family, and only what was forked below it belongs there.
//!
//! | a process | belongs to |
//! |---|---|
//! | has executed a program | a family of its own, as the oldest in it |
//! | was forked, its parent is at the same place | its parent's family |
//! | was forked, its parent is not (daemons, orphans) | the one older family at its place; of several, the one in its session |
//! | likewise, and there is no such family | those at its place for which there is none, too |
//!
//! A process whose parent has executed the same program once more, at the same place, is taken for a
//! relative: nothing in `/proc` tells.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use crate::parse::Stat;

/// Processes sorted into families.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Families {
    /// Per process, the number of its family: that of one of its members.
    pub of: Vec<usize>,
    /// Processes that several families might have forked.
    pub doubtful: usize,
}

/// Sorts processes into families.
#[must_use]
pub fn families(stats: &[Stat]) -> Families {
    let by_pid: HashMap<u32, usize> = (0..stats.len()).map(|i| (stats[i].pid, i)).collect();
    let mut by_place: HashMap<Place, Vec<usize>> = HashMap::new();
    for (number, stat) in stats.iter().enumerate() {
        by_place
            .entry(place(number, stat))
            .or_default()
            .push(number);
    }
    let mut families = Families {
        of: (0..stats.len()).collect(),
        doubtful: 0,
    };
    for (place_of, members) in by_place {
        let (founders, forked): (Vec<usize>, Vec<usize>) = members
            .into_iter()
            .partition(|number| !stats[*number].is_forked());
        let (mut children, mut orphans) = (Vec::new(), Vec::new());
        for number in forked {
            let parent = by_pid.get(&stats[number].parent).copied();
            let parent = parent.filter(|parent| {
                let older = stats[*parent].start_time_ticks <= stats[number].start_time_ticks;
                older && *parent != number && place(*parent, &stats[*parent]) == place_of
            });
            match parent {
                Some(parent) => children.push((number, parent)),
                None => orphans.push(number),
            }
        }
        orphans.sort_by_key(|number| stats[*number].start_time_ticks);
        let mut homeless = None;
        for number in orphans {
            families.of[number] = match candidates(stats, &founders, number).as_slice() {
                [one] => *one,
                several => {
                    families.doubtful += usize::from(!several.is_empty());
                    *homeless.get_or_insert(number)
                }
            };
        }
        // Up to the one whose family is known, and back.
        let mut open: HashMap<usize, usize> = children.into_iter().collect();
        while let Some(number) = open.keys().next().copied() {
            let mut chain = vec![number];
            while let Some(parent) = open.get(&chain[chain.len() - 1]) {
                if chain.contains(parent) {
                    break;
                }
                chain.push(*parent);
            }
            let family = families.of[chain[chain.len() - 1]];
            for number in chain {
                open.remove(&number);
                families.of[number] = family;
            }
        }
    }
    families
}

/// Where `exec` has put a program. A process that may not be looked into is at a place of its own.
type Place = (u64, u64, usize);

fn place(number: usize, stat: &Stat) -> Place {
    match stat.start_stack {
        0 => (0, 0, number),
        stack => (stack, stat.start_code, 0),
    }
}

/// Which of the founders may have forked a process whose parent is not there any more.
fn candidates(stats: &[Stat], founders: &[usize], number: usize) -> Vec<usize> {
    let orphan = &stats[number];
    let older = |founder: &usize| stats[*founder].start_time_ticks <= orphan.start_time_ticks;
    let all: Vec<usize> = founders.iter().copied().filter(older).collect();
    let of_session = |founder: &usize| stats[*founder].session == orphan.session;
    let near: Vec<usize> = all.iter().copied().filter(of_session).collect();
    if all.len() > 1 && near.len() == 1 {
        near
    } else {
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::stat;

    const FORKED: u64 = 0x40;

    /// A process at a place, started at a moment, forked or not, in the session 1.
    fn at(pid: u32, parent: u32, place: u64, moment: u64, flags: u64) -> Stat {
        let text = include_str!("../tests/captured/stat");
        let mut stat = stat(text.as_bytes()).unwrap();
        (stat.pid, stat.parent, stat.flags) = (pid, parent, flags);
        (stat.start_stack, stat.start_code) = (place, place / 2);
        (stat.start_time_ticks, stat.session) = (moment, 1);
        stat
    }

    /// The pids of each family, sorted.
    fn sorted(stats: &[Stat]) -> Vec<Vec<u32>> {
        let found = families(stats);
        let mut by_family: HashMap<usize, Vec<u32>> = HashMap::new();
        for (stat, family) in stats.iter().zip(&found.of) {
            by_family.entry(*family).or_default().push(stat.pid);
        }
        let mut all: Vec<Vec<u32>> = by_family.into_values().collect();
        for pids in &mut all {
            pids.sort_unstable();
        }
        all.sort();
        all
    }

    #[test]
    fn forked_children_and_theirs_are_a_family() {
        let stats = [
            at(9, 5, 70, 3, FORKED),
            at(5, 1, 70, 1, 0),
            at(7, 9, 70, 4, FORKED),
            // Has executed another program.
            at(8, 5, 90, 2, 0),
        ];
        assert_eq!(sorted(&stats), [vec![5, 7, 9], vec![8]]);
    }

    #[test]
    fn strangers_at_one_place_are_no_family() {
        // Two runs of one program without random addresses, the second one a child of the first.
        let stats = [
            at(5, 1, 70, 1, 0),
            at(6, 5, 70, 2, 0),
            at(7, 5, 70, 3, FORKED),
            at(8, 6, 70, 3, FORKED),
        ];
        assert_eq!(sorted(&stats), [vec![5, 7], vec![6, 8]]);
        assert_eq!(families(&stats).doubtful, 0);
    }

    #[test]
    fn orphans_belong_to_the_family_at_their_place() {
        // The one between them has gone; 1 is the reaper.
        let stats = [
            at(1, 0, 10, 0, 0),
            at(9, 1, 70, 3, FORKED),
            at(5, 1, 70, 1, 0),
        ];
        assert_eq!(sorted(&stats), [vec![1], vec![5, 9]]);
        // Workers of a daemon whose first process has gone.
        let daemons = [at(9, 1, 70, 3, FORKED), at(8, 1, 70, 4, FORKED)];
        assert_eq!(sorted(&daemons), [vec![8, 9]]);
        let workers = [at(9, 1, 70, 3, FORKED), at(8, 9, 70, 4, FORKED)];
        assert_eq!(sorted(&workers), [vec![8, 9]]);
    }

    #[test]
    fn orphans_that_two_families_may_have_forked_are_no_relatives_of_either() {
        let mut stats = [
            at(5, 1, 70, 1, 0),
            at(6, 1, 70, 2, 0),
            at(9, 1, 70, 3, FORKED),
        ];
        assert_eq!(sorted(&stats), [vec![5], vec![6], vec![9]]);
        assert_eq!(families(&stats).doubtful, 1);
        // Unless only one of them is in its session, or old enough.
        stats[0].session = 4;
        assert_eq!(sorted(&stats), [vec![5], vec![6, 9]]);
        (stats[0].session, stats[1].start_time_ticks) = (1, 7);
        assert_eq!(sorted(&stats), [vec![5, 9], vec![6]]);
        assert_eq!(families(&stats).doubtful, 0);
    }

    #[test]
    fn a_process_whose_place_is_not_shown_is_nobodys_relative() {
        let stats = [at(5, 1, 0, 1, 0), at(6, 5, 0, 2, FORKED)];
        assert_eq!(sorted(&stats), [vec![5], vec![6]]);
    }

    #[test]
    fn parents_that_cannot_be_do_no_harm() {
        // Between two looks a number was given to another process.
        let circle = [at(5, 6, 70, 1, FORKED), at(6, 5, 70, 1, FORKED)];
        assert_eq!(sorted(&circle), [vec![5, 6]]);
        let younger = [at(5, 6, 70, 1, FORKED), at(6, 1, 70, 3, 0)];
        assert_eq!(sorted(&younger), [vec![5], vec![6]]);
        let own = [at(5, 5, 70, 1, FORKED)];
        assert_eq!(sorted(&own), [vec![5]]);
    }
}
