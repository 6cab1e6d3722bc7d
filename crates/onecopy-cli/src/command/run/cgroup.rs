//! The peak that the kernel saw: `memory.peak` of the cgroup (v2, Linux 5.19), when this process was started in
//! one of its own, as `systemd-run --scope` does.
//!
//! Sampling misses what lies between two looks, and this does not. It also counts page cache and kernel memory, and
//! is no sum of the rows of the report.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// The cgroup that this process and what it starts have for themselves, or why there is none.
#[derive(Debug, Clone)]
pub(super) struct OwnCgroup(Result<PathBuf, String>);

impl Default for OwnCgroup {
    fn default() -> Self {
        Self(Err(Self::NOT_ASKED.to_owned()))
    }
}

impl OwnCgroup {
    /// Why it is not known of a program that watches itself.
    pub(super) const NOT_ASKED: &str = "the watching began after the program";

    /// To be called before the command is started.
    pub(super) fn find() -> Self {
        let read =
            |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let folder = read("/proc/self/cgroup")
            .and_then(|cgroup| locate(&cgroup, &read("/proc/self/mountinfo")?))
            .and_then(|folder| is_own(&folder, std::process::id()).map(|()| folder));
        Self(folder)
    }

    /// Its peak in bytes, or why that is not known.
    pub(super) fn peak(&self) -> Result<u64, String> {
        let path = self.0.clone()?.join("memory.peak");
        let text = fs::read_to_string(&path).map_err(|error| {
            format!(
                "{}: {error} (it needs Linux 5.19 and the memory controller)",
                path.display()
            )
        })?;
        let peak = text.trim().parse();
        peak.map_err(|_| format!("{}: not a number: {text:?}", path.display()))
    }
}

/// The folder of a process's cgroup, from `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn locate(cgroup: &str, mountinfo: &str) -> Result<PathBuf, String> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"));
    let path = path.ok_or("cgroups of version 2 are not in use")?;
    for line in mountinfo.lines() {
        // `36 35 0:30 ROOT MOUNTPOINT rw,… … - TYPE …`
        let Some((mount, rest)) = line.split_once(" - ") else {
            continue;
        };
        let mut fields = mount.split(' ').skip(3);
        let (Some(root), Some(point)) = (fields.next(), fields.next()) else {
            continue;
        };
        let below = Path::new(path).strip_prefix(root);
        if let (true, Ok(below)) = (rest.starts_with("cgroup2 "), below) {
            return Ok(Path::new(point).join(below));
        }
    }
    Err("no mount shows this process's cgroup".to_owned())
}

fn is_own(folder: &Path, pid: u32) -> Result<(), String> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let alone = read("cgroup.procs")?.trim() == pid.to_string();
    let leaf = read("cgroup.stat")?
        .lines()
        .any(|line| line == "nr_descendants 0");
    if alone && leaf {
        return Ok(());
    }
    Err(format!(
        "others are in the cgroup {} as well; `systemd-run --scope` makes one of its own",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As systemd lays it out, here with the old hierarchies beside.
    const MOUNTS: &str = "\
24 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
33 24 0:28 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
34 24 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
";

    #[test]
    fn the_folder_is_found_from_captured_texts() {
        let scope = "1:name=systemd:/x\n0::/user.slice/user-1000.slice/run-r1.scope\n";
        assert_eq!(
            locate(scope, MOUNTS).unwrap(),
            Path::new("/sys/fs/cgroup/user.slice/user-1000.slice/run-r1.scope")
        );
        let container = "40 30 0:28 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(
            locate("0::/docker/ab/job\n", container).unwrap(),
            Path::new("/sys/fs/cgroup/job")
        );
        let error = |cgroup, mounts| locate(cgroup, mounts).unwrap_err();
        // In a container with a namespace of its own, where this process may be the only one.
        assert_eq!(
            locate("0::/\n", MOUNTS).unwrap(),
            Path::new("/sys/fs/cgroup")
        );
        assert!(error("4:memory:/job\n", MOUNTS).contains("not in use"));
        assert!(error("0::/elsewhere\n", container).contains("no mount"));
    }

    #[test]
    fn a_peak_is_told_only_of_a_cgroup_without_others() {
        let name = format!("onecopy-test-cgroup-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("cgroup.procs", "41\n");
        write("cgroup.stat", "nr_descendants 0\nnr_dying_descendants 2\n");
        assert_eq!(is_own(&folder, 41), Ok(()));
        let own = OwnCgroup(Ok(folder.clone()));
        assert!(own.peak().unwrap_err().contains("Linux 5.19"));
        write("memory.peak", "2748779069\n");
        assert_eq!(own.peak(), Ok(2_748_779_069));
        write("cgroup.procs", "41\n77\n");
        assert!(is_own(&folder, 41).unwrap_err().contains("others are in"));
        write("cgroup.procs", "41\n");
        write("cgroup.stat", "nr_descendants 1\n");
        assert!(is_own(&folder, 41).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
