//! Tests that cannot run here say so, and are counted: the test harness itself calls them passed.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write as _;

/// The variable that names the file in which `make test` collects what could not run.
const VARIABLE: &str = "ONECOPY_SKIPS";

/// Says that the calling test, or a part of it, cannot run, and why. The test returns then.
///
/// # Panics
/// The file that the environment names cannot be written: nobody would learn of the skip.
pub fn skipped(reason: impl Display) {
    let thread = std::thread::current();
    let line = format!("{}: {reason}\n", thread.name().unwrap_or("a test"));
    eprint!("SKIPPED: {line}");
    if let Some(path) = std::env::var_os(VARIABLE) {
        // One write, which the system appends whole: tests run side by side.
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("what could not run is written down");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_written_down_with_the_name_of_its_test() {
        const INNER: &str = "ONECOPY_SKIPS_INNER";
        if std::env::var_os(INNER).is_some() {
            // Run by the test below, in a process of its own.
            skipped("this is the test of skips itself");
            return;
        }
        let path = std::env::temp_dir().join(format!("onecopy-skips-{}", std::process::id()));
        let test = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "tests::a_skip_is_written_down_with_the_name_of_its_test",
            ])
            .envs([(VARIABLE, path.as_os_str()), (INNER, "1".as_ref())])
            .output()
            .unwrap();
        assert!(test.status.success());
        let written = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let name = "tests::a_skip_is_written_down_with_the_name_of_its_test";
        assert_eq!(
            written,
            format!("{name}: this is the test of skips itself\n")
        );
    }
}
