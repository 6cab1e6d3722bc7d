//! Why page faults may not be watched, and the way out.
#![forbid(unsafe_code)]

use std::fs;
use std::io;

use rustix::io::Errno;

/// The setting above which the kernel shows page faults to root only.
const PARANOID: i32 = 2;

/// What an error of `perf_event_open` means, and what helps.
pub(crate) fn refused(error: &io::Error) -> String {
    let setting = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    let setting = setting.ok().and_then(|text| text.trim().parse().ok());
    explained(error, setting)
}

fn explained(error: &io::Error, setting: Option<i32>) -> String {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    let why = match setting {
        Some(setting) if setting > PARANOID && (is(Errno::ACCESS) || is(Errno::PERM)) => format!(
            "kernel.perf_event_paranoid is {setting}; `sudo sysctl kernel.perf_event_paranoid={PARANOID}` allows it to \
             everybody, CAP_PERFMON to one program"
        ),
        _ if is(Errno::ACCESS) || is(Errno::PERM) => {
            "a sandbox or the profile of a container refuses it; \
             `--cap-add PERFMON`, or a seccomp profile that lets perf_event_open through, allows it"
                .to_owned()
        }
        None => "this kernel, or the sandbox around this program, has no perf events".to_owned(),
        _ if is(Errno::NOSYS) => {
            "the sandbox around this program has no perf events; a seccomp profile that lets \
             perf_event_open through allows it"
                .to_owned()
        }
        _ if is(Errno::MFILE) => {
            "too many files are open; `ulimit -n` with a larger number allows it".to_owned()
        }
        _ => "what the kernel says is all that is known".to_owned(),
    };
    format!("page faults may not be watched here (perf_event_open: {error}): {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_its_way_out() {
        let text = |errno: Errno, setting| {
            explained(&io::Error::from_raw_os_error(errno.raw_os_error()), setting)
        };
        for errno in [Errno::ACCESS, Errno::PERM] {
            assert!(text(errno, Some(3)).contains("sudo sysctl kernel.perf_event_paranoid=2"));
            // The setting is not to blame.
            assert!(!text(errno, Some(2)).contains("sysctl"));
            assert!(text(errno, Some(-1)).contains("seccomp"));
        }
        assert!(text(Errno::NOSYS, Some(2)).contains("sandbox"));
        assert!(text(Errno::NOSYS, None).contains("has no perf events"));
        assert!(text(Errno::MFILE, Some(2)).contains("ulimit -n"));
        assert!(text(Errno::NODEV, Some(2)).contains("No such device"));
    }
}
