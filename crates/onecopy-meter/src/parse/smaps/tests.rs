//! Captured texts of `smaps` and `smaps_rollup`, whole, cut and made up.
#![forbid(unsafe_code)]

use super::MappingKind::{Anonymous, File, Heap, SharedMemory, Special, Stack};
use super::*;

const ROLLUP: &str = include_str!("../../../tests/captured/smaps_rollup");
const SMAPS: &str = include_str!("../../../tests/captured/smaps");

#[test]
fn captured_rollup_gives_the_kernels_numbers() {
    let memory = rollup(ROLLUP.as_bytes()).unwrap();
    assert_eq!(memory.counts.rss, 1_680 * 1024);
    assert_eq!(memory.counts.pss, 436 * 1024);
    assert_eq!(memory.counts.uss(), 200 * 1024);
    assert_eq!(memory.counts.shared(), 1_480 * 1024);
    assert_eq!(memory.pss_anon, Some(116 * 1024));
    assert_eq!(memory.pss_file, Some(320 * 1024));
    assert_eq!(memory.pss_shmem, Some(0));
}

#[test]
fn an_older_kernel_leaves_parts_unknown_instead_of_zero() {
    let text = ROLLUP
        .lines()
        .filter(|line| !line.starts_with("Pss_") && !line.starts_with("SwapPss"))
        .collect::<Vec<_>>()
        .join(
            "
",
        );
    let memory = rollup(text.as_bytes()).unwrap();
    assert_eq!((memory.pss_anon, memory.counts.swap_pss), (None, None));
    let mut sum = rollup(ROLLUP.as_bytes()).unwrap().counts;
    sum.add(&memory.counts);
    assert_eq!(sum.swap_pss, None);
    assert_eq!(sum.rss, 2 * 1_680 * 1024);
}

#[test]
fn an_empty_or_cut_rollup_is_an_error() {
    assert!(matches!(
        rollup(&b""[..]),
        Err(ParseError::Missing { field: "Rss", .. })
    ));
    let cut = &ROLLUP[..ROLLUP.find("Private_Dirty").unwrap()];
    assert!(matches!(
        rollup(cut.as_bytes()),
        Err(ParseError::Missing {
            field: "Private_Dirty",
            ..
        })
    ));
    let unit = ROLLUP.replace("436 kB", "436 MB");
    assert!(matches!(
        rollup(unit.as_bytes()),
        Err(ParseError::Unit { line_number: 3, .. })
    ));
}

#[test]
fn captured_smaps_gives_each_mapping_its_own_counts_and_kind() {
    let mappings = smaps(SMAPS.as_bytes()).unwrap();
    let kinds: Vec<MappingKind> = mappings.iter().map(Mapping::kind).collect();
    assert_eq!(
        kinds,
        [
            File,
            Heap,
            SharedMemory,
            SharedMemory,
            Anonymous,
            File,
            Stack,
            Special
        ]
    );
    let private = &mappings[2];
    assert_eq!(private.name, "/memfd:onecopy-test (deleted)");
    assert_eq!((private.device, private.inode), ((0, 1), 37));
    assert!(!private.is_shared());
    assert_eq!(private.counts.anonymous, 8 * 1024);
    assert!(mappings[3].is_shared());
    assert_eq!(mappings[3].byte_len(), 1 << 20);
    assert_eq!(mappings[3].counts.rss, 64 * 1024);
    assert_eq!(mappings[5].offset, 0x26000);
}

#[test]
fn names_that_programs_give_to_memory_are_found() {
    // As Linux 6.18 writes them (`fs/proc/task_mmu.c`): the name of shared memory stands in the file's
    // place, with its device and inode.
    let text = "7f00-7f10 rw-p 00000000 00:00 0    [anon:glibc: malloc arena]\n\
                7f10-7f20 rw-s 00000000 00:01 1234 [anon_shmem:weights]\n\
                7f20-7f30 rw-p 00000000 00:01 1235 /dev/zero (deleted)\n\
                7f30-7f40 rw-p 00000000 00:05 9    /dev/zero\n\
                7f40-7f50 r-xp 00000000 fe:00 77   /dev/zeroes\n";
    let found = maps(text.as_bytes()).unwrap();
    let names: Vec<_> = found.iter().map(Mapping::given_name).collect();
    let given = [
        Some("glibc: malloc arena"),
        Some("weights"),
        None,
        None,
        None,
    ];
    assert_eq!(names, given);
    let kinds: Vec<_> = found.iter().map(Mapping::kind).collect();
    let expected = [Anonymous, SharedMemory, SharedMemory, Anonymous, File];
    assert_eq!(kinds, expected);
}

#[test]
fn maps_are_the_headers_of_smaps() {
    let mappings = smaps(SMAPS.as_bytes()).unwrap();
    let is_header = |line: &&str| line.contains('-') && !line.contains("kB");
    let text: Vec<&str> = SMAPS.lines().filter(is_header).collect();
    let found = maps(text.join("\n").as_bytes()).unwrap();
    assert_eq!(found.len(), mappings.len());
    assert_eq!(found[0].name, mappings[0].name);
    assert!(maps(&b"no mapping"[..]).is_err());
}

#[test]
fn names_with_blanks_colons_and_stray_bytes_are_kept() {
    let mut text = SMAPS
        .replace("/usr/bin/python3.11", "/tmp/a b: c")
        .into_bytes();
    let place = text
        .windows(6)
        .position(|bytes| bytes == b"/tmp/a")
        .unwrap();
    text[place + 5] = 0xff;
    let mappings = smaps(&text[..]).unwrap();
    assert_eq!(mappings[0].name, "/tmp/\u{fffd} b: c");
    assert_eq!(mappings[0].kind(), MappingKind::File);
}

#[test]
fn a_text_cut_inside_a_mapping_is_an_error() {
    let stack = SMAPS.find("[stack]").unwrap();
    let error = smaps(&SMAPS.as_bytes()[..stack + 40]).unwrap_err();
    assert!(
        matches!(
            error,
            ParseError::Missing {
                line_number: Some(151),
                ..
            }
        ),
        "{error}"
    );
    assert!(smaps(&b"Rss: 4 kB\n"[..]).is_err());
    assert!(smaps(&b"zz-10 rw-p 0 0:0 0\n"[..]).is_err());
    assert!(smaps(&b"20-10 rw-p 0 0:0 0\n"[..]).is_err());
    assert!(smaps(&b""[..]).unwrap().is_empty());
}
