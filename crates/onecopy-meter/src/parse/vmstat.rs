//! `/proc/vmstat`: counters of the whole machine (`proc_vmstat(5)`).
#![forbid(unsafe_code)]

use std::io::Read;

use super::text;

/// Pages that have got other frames since the machine was started (`pgmigrate_success`): by compaction, by balancing
/// between NUMA nodes, or because a frame is needed for something else. `None` where the kernel was built without that.
pub(crate) fn migrated(source: impl Read) -> Option<u64> {
    let text = text(source).ok()?;
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("pgmigrate_success "));
    count?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_the_kernel_moved_are_found() {
        let text = "nr_free_pages 5\npgmigrate_success 3018481\npgmigrate_fail 44256\n";
        assert_eq!(migrated(text.as_bytes()), Some(3_018_481));
        assert_eq!(migrated("nr_free_pages 5\n".as_bytes()), None);
        assert_eq!(migrated("pgmigrate_success many\n".as_bytes()), None);
    }
}
