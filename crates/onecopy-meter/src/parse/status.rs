//! `status`: two of the lines in which the kernel tells about a process or a thread (`proc_pid_status(5)`).
#![forbid(unsafe_code)]

/// The real user id from `/proc/PID/status`; the name of the process, above it, has no lines of its own.
pub(crate) fn user(status: &[u8]) -> Option<u32> {
    let mut lines = status.split(|byte| *byte == b'\n');
    let ids = lines.find_map(|line| line.strip_prefix(b"Uid:"))?;
    let ids = std::str::from_utf8(ids).ok()?;
    ids.split_ascii_whitespace().next()?.parse().ok()
}

/// Whether SIGKILL waits in `/proc/PID/status`, for the thread or for its process.
pub(crate) fn has_pending_kill(status: &[u8]) -> bool {
    const SIGKILL: u64 = 1 << 8;
    let mut lines = status.split(|byte| *byte == b'\n');
    lines.any(|line| {
        let set = line
            .strip_prefix(b"SigPnd:")
            .or_else(|| line.strip_prefix(b"ShdPnd:"));
        let set = set.and_then(|set| std::str::from_utf8(set).ok());
        let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
        set.is_some_and(|set| set & SIGKILL != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_that_waits_is_seen_for_the_thread_and_for_the_process() {
        let status = |thread: &str, process: &str| {
            let text = format!(
                "Name:\tShdPnd:\\t100\nSigPnd:\t{thread}\nShdPnd:\t{process}\nSigBlk:\t0000000000000100\n"
            );
            has_pending_kill(text.as_bytes())
        };
        let (none, kill) = ("0000000000000000", "0000000000000100");
        assert!(!status(none, none) && status(kill, none) && status(none, kill));
        assert!(!status("0000000000004000", none));
    }

    #[test]
    fn the_real_user_is_the_first_of_four() {
        let status = b"Name:\t\xff Uid:\\n7\nUmask:\t0022\nUid:\t1000\t0\t0\t0\nGid:\t5\t5\t5\t5\n";
        assert_eq!(user(status), Some(1_000));
        assert_eq!(user(b"Name:\tx\n"), None);
    }
}
