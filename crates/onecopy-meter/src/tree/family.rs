//! Who is related by fork.
#![forbid(unsafe_code)]

use crate::walk::Read;

/// Processes are one family when they have the same bottom of the stack: `exec` draws a new one,
/// `fork` keeps it. Where it is not shown, nothing can be said about relatives.
pub(super) fn join_family(families: &mut Vec<Vec<Read>>, read: Read) {
    let bottom = read.stat.start_stack;
    let related = |family: &&mut Vec<Read>| bottom != 0 && family[0].stat.start_stack == bottom;
    match families.iter_mut().find(related) {
        Some(family) => family.push(read),
        None => families.push(vec![read]),
    }
}
