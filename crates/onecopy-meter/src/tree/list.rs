//! Who belongs to the tree.
#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};

use super::Subject;
use crate::error::MeterError;
use crate::parse::Stat;

/// The process and its descendants, parents before children and older before younger.
pub(super) fn list(subject: &Subject<'_>) -> Result<Vec<Stat>, MeterError> {
    let (proc, root) = (subject.proc, subject.root);
    let first = proc.stat(root)?;
    if !subject.children {
        return Ok(vec![first]);
    }
    let mut by_parent: HashMap<u32, Vec<Stat>> = HashMap::new();
    for pid in proc.pids()? {
        match proc.stat(pid) {
            Ok(stat) if pid != root => by_parent.entry(stat.parent).or_default().push(stat),
            // Came and went between two system calls, or is hidden: nobody's child to us.
            Ok(_) | Err(MeterError::Gone { .. } | MeterError::Denied { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let mut found = Vec::new();
    let mut queue = VecDeque::from([first]);
    while let Some(stat) = queue.pop_front() {
        let mut next = by_parent.remove(&stat.pid).unwrap_or_default();
        next.sort_by_key(|child| (child.start_time_ticks, child.pid));
        queue.extend(next);
        let is_left_out = subject.without.contains(&stat.identity());
        if !is_left_out && (subject.with_root || stat.pid != root) {
            found.push(stat);
        }
    }
    Ok(found)
}
