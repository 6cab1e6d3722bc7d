//! What others may have put in the way of a file, and what anybody sees of it while it is written.

use super::*;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, makedev, mkfifoat, mknodat};

use crate::file::FileKind;
use crate::testing::{ignore_steps, watch_steps};

const NOBODY: u32 = 65_534;
const SHARED: u32 = 0o1777;

/// A folder that goes away.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("onecopy-new-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Like `/tmp`.
    fn shared(name: &str) -> Self {
        let scratch = Self::new(name);
        set_rights(&scratch.0, SHARED);
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn set_rights(path: &Path, rights: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(rights)).unwrap();
}

fn rights(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip::skipped("only root can make files that belong to somebody else");
    }
    is_root
}

fn save(path: &Path) -> Result<(), FileError> {
    write(path, Purpose::Data, b"new")
}

/// Both ways to make a temporary file: without a name, and where the file system makes none.
fn ways(path: &Path, purpose: Purpose) -> [NewFile; 2] {
    let place = Place::find(path).unwrap();
    let made = named(&place);
    [
        NewFile::create(path, purpose).unwrap(),
        NewFile::of(place, purpose, made).unwrap(),
    ]
}

#[test]
fn at_no_step_has_anybody_more_rights_than_in_the_end_and_the_old_file_or_the_new_one_is_there() {
    let scratch = Scratch::new("steps");
    let usual = Purpose::Data.rights();
    for (before, after) in [
        (0o600, 0o600),
        (0o4777, 0o777),
        (0o2640, 0o640),
        (0o1400, 0o400),
    ] {
        for way in 0..2 {
            let path = scratch.at("data");
            let _ = fs::remove_file(&path);
            fs::write(&path, "old").unwrap();
            set_rights(&path, before);
            let (steps, seen) = channel();
            let folder = scratch.0.clone();
            watch_steps(move |step| {
                for name in names(&folder) {
                    let path = folder.join(&name);
                    steps
                        .send((step, name, rights(&path), fs::read(&path).unwrap()))
                        .unwrap();
                }
            });
            let [unnamed, named] = ways(&path, Purpose::Data);
            let mut new = if way == 0 {
                drop(named);
                unnamed
            } else {
                drop(unnamed);
                named
            };
            new.file().write_all(b"new").unwrap();
            new.commit().unwrap();
            ignore_steps();
            let mut last = ("", Vec::new());
            for (step, name, rights, bytes) in seen.try_iter() {
                match name.as_str() {
                    "data" if bytes == b"old" => assert_eq!(rights, before),
                    // Not before it is whole.
                    "data" => assert_eq!((rights, step), (after, "renamed")),
                    _ => assert_eq!(rights & !(0o600 | after), 0, "{step} {name} {rights:o}"),
                }
                if name == "data" {
                    last = (step, bytes);
                }
            }
            assert_eq!(last, ("renamed", b"new".to_vec()));
            assert_eq!(names(&scratch.0), ["data"]);
        }
    }
    save(&scratch.at("fresh")).unwrap();
    assert_eq!(rights(&scratch.at("fresh")), usual);
    write(&scratch.at("report"), Purpose::Report, b"new").unwrap();
    assert_eq!(rights(&scratch.at("report")), 0o600);
}

#[test]
fn what_is_no_regular_file_is_refused_by_its_kind_and_unharmed() {
    let scratch = Scratch::new("kinds");
    let [pipe, socket, folder, device] =
        ["pipe", "socket", "folder", "device"].map(|name| scratch.at(name));
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::create_dir(&folder).unwrap();
    // Not the real one, which root could replace.
    let null = match mknodat(
        CWD,
        scratch.at("null"),
        FileType::CharacterDevice,
        Mode::RUSR,
        makedev(1, 3),
    ) {
        Ok(()) => scratch.at("null"),
        Err(_) => "/dev/null".into(),
    };
    symlink(&null, &device).unwrap();
    let descriptor = File::create(scratch.at("open")).unwrap();
    let open = format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&descriptor)
    );
    for (path, expected) in [
        (pipe.clone(), FileKind::Pipe),
        (socket, FileKind::Socket),
        (folder.clone(), FileKind::Folder),
        (folder.join("."), FileKind::Folder),
        (folder.join(".."), FileKind::Folder),
        ("/".into(), FileKind::Folder),
        (device.clone(), FileKind::CharacterDevice),
        (open.into(), FileKind::OpenFile),
    ] {
        let before = fs::symlink_metadata(&path).unwrap();
        let error = save(&path).unwrap_err();
        assert!(
            matches!(error, FileError::NotRegular { kind, .. } if kind == expected),
            "{path:?}: {error}"
        );
        let after = fs::symlink_metadata(&path).unwrap();
        assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()));
    }
    // What is there at the end counts, too.
    let path = scratch.at("late");
    let new = NewFile::create(&path, Purpose::Data).unwrap();
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    assert!(matches!(
        new.commit().unwrap_err(),
        FileError::NotRegular {
            kind: FileKind::Pipe,
            ..
        }
    ));
    for (path, errno) in [
        (PathBuf::new(), libc::ENOENT),
        (scratch.at("missing/data"), libc::ENOENT),
        (scratch.at("new/"), libc::ENOENT),
        (scratch.at("open/"), libc::ENOTDIR),
        (scratch.at("open/data"), libc::ENOTDIR),
    ] {
        assert_eq!(save(&path).unwrap_err().errno(), Some(errno), "{path:?}");
    }
    let left: Vec<String> = names(&scratch.0);
    let expected = ["device", "folder", "late", "open", "pipe", "socket"];
    assert!(
        left.iter()
            .filter(|name| *name != "null")
            .eq(expected.iter())
    );
}

#[test]
fn own_links_stay_and_lead_to_the_file_that_is_written() {
    let scratch = Scratch::shared("links");
    fs::create_dir_all(scratch.at("a/b")).unwrap();
    fs::write(scratch.at("a/b/old"), "old").unwrap();
    for (link, target) in [
        ("one", "a/b/old"),
        ("two", "one"),
        ("dangling", "a/b/fresh"),
        ("folder", "a/b"),
        ("up", "a/b/../../two"),
        ("loop", "loop"),
    ] {
        symlink(target, scratch.at(link)).unwrap();
    }
    symlink(scratch.at("a"), scratch.at("absolute")).unwrap();
    for (path, found) in [
        ("one", "a/b/old"),
        ("two", "a/b/old"),
        ("up", "a/b/old"),
        ("dangling", "a/b/fresh"),
        ("folder/third", "a/b/third"),
        ("absolute/b/fourth", "a/b/fourth"),
        ("absolute/../fifth", "fifth"),
    ] {
        save(&scratch.at(path)).unwrap();
        assert_eq!(fs::read(scratch.at(found)).unwrap(), b"new", "{path}");
        fs::write(scratch.at("a/b/old"), "old").unwrap();
    }
    for link in ["one", "two", "up", "dangling", "folder", "absolute"] {
        assert!(scratch.at(link).is_symlink());
    }
    let error = save(&scratch.at("loop")).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ELOOP));
    let error = write(&scratch.at("one"), Purpose::Note, b"new").unwrap_err();
    assert!(matches!(
        error,
        FileError::NotRegular {
            kind: FileKind::Link,
            ..
        }
    ));
}

#[test]
fn links_and_files_of_others_in_a_shared_folder_are_not_followed_or_replaced() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::shared("foreign");
    let victim = Scratch::new("victim");
    fs::write(victim.at("data"), "old").unwrap();
    let [to_file, to_nothing, to_folder, file, pipe] =
        ["file-link", "dangling", "folder-link", "file", "pipe"].map(|name| scratch.at(name));
    symlink(victim.at("data"), &to_file).unwrap();
    symlink(victim.at("fresh"), &to_nothing).unwrap();
    symlink(&victim.0, &to_folder).unwrap();
    fs::write(&file, "theirs").unwrap();
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    let all = [&to_file, &to_nothing, &to_folder, &file, &pipe];
    for path in all {
        lchown(path, Some(NOBODY), None).unwrap();
    }
    let attempts = [
        to_file.clone(),
        to_nothing.clone(),
        to_folder.join("data"),
        file.clone(),
    ];
    for path in &attempts {
        let error = save(path).unwrap_err();
        let is_said = matches!(
            error,
            FileError::ForeignLink { owner: NOBODY, .. }
                | FileError::ForeignFile { owner: NOBODY, .. }
        );
        assert!(is_said && error.errno() == Some(libc::EACCES), "{error}");
    }
    // Nor would a report be written into it.
    assert!(Place::find(&pipe).is_err());
    assert_eq!(fs::read(victim.at("data")).unwrap(), b"old");
    assert_eq!(names(&victim.0), ["data"]);
    // A folder that another user has in one that everybody can write to, here /tmp, is no better.
    chown(&scratch.0, Some(NOBODY), None).unwrap();
    assert!(attempts.iter().all(|path| save(path).is_err()));
    chown(&scratch.0, Some(0), None).unwrap();
    // Elsewhere the owner of a folder is trusted with the names in it.
    let inner = victim.at("inner");
    fs::create_dir(&inner).unwrap();
    set_rights(&inner, 0o777);
    symlink(victim.at("fresh"), inner.join("link")).unwrap();
    lchown(inner.join("link"), Some(NOBODY), None).unwrap();
    assert!(save(&inner.join("link")).is_err());
    chown(&inner, Some(NOBODY), None).unwrap();
    save(&inner.join("link")).unwrap();
    fs::remove_dir_all(&inner).unwrap();
    // A folder is no safer without the sticky bit; its group is trusted.
    for (rights, is_trusted) in [
        (0o777, false),
        (0o2777, false),
        (0o1775, true),
        (0o755, true),
    ] {
        set_rights(&scratch.0, rights);
        assert_eq!(save(&to_file).is_ok(), is_trusted, "{rights:o}");
    }
    assert_eq!(names(&victim.0), ["data", "fresh"]);
}

#[test]
fn a_link_of_proc_leads_to_the_very_folder_wherever_in_the_path_it_stands() {
    let scratch = Scratch::new("proc");
    let [folder, decoy] = ["folder", "folder (deleted)"].map(|name| scratch.at(name));
    fs::create_dir(&folder).unwrap();
    let open = File::open(&folder).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&open);
    let path = PathBuf::from(format!("/proc/self/fd/{number}/data"));
    save(&path).unwrap();
    assert_eq!(names(&folder), ["data"]);
    // What the text of the link says then is not where it leads.
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&decoy).unwrap();
    assert!(save(&path).is_err());
    assert!(names(&decoy).is_empty());
    assert_eq!(
        save(Path::new("/proc/self/exe/data")).unwrap_err().errno(),
        Some(libc::ENOTDIR)
    );
}

#[test]
fn a_name_may_be_as_long_as_the_file_system_allows() {
    let scratch = Scratch::new("long");
    for length in [LONGEST_KEPT, LONGEST_KEPT + 1, 230, 255] {
        let name = "x".repeat(length);
        let path = scratch.at(&name);
        for mut new in ways(&path, Purpose::Data) {
            new.file().write_all(b"new").unwrap();
            new.commit().unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), b"new");
        // A dead writer's file of such a name is found again.
        fs::write(scratch.0.join(new_name(name.as_ref())), "left").unwrap();
        save(&path).unwrap();
        assert_eq!(names(&scratch.0), [name]);
        fs::remove_file(&path).unwrap();
    }
    let error = NewFile::create(&scratch.at(&"x".repeat(256)), Purpose::Data).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ENAMETOOLONG));
}

#[test]
fn a_mount_point_is_refused_before_anything_is_written() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new("mount");
    let [source, target] = ["source", "target"].map(|name| scratch.at(name));
    fs::write(&source, "old").unwrap();
    fs::write(&target, "").unwrap();
    let mount = |program: &str, arguments: &[&Path]| {
        let mut command = std::process::Command::new(program);
        command
            .args(arguments)
            .status()
            .is_ok_and(|status| status.success())
    };
    if !mount("mount", &[Path::new("--bind"), &source, &target]) {
        skip::skipped("nothing can be mounted here");
        return;
    }
    let made = NewFile::create(&target, Purpose::Data).map(drop);
    assert!(mount("umount", &[&target]));
    let error = made.unwrap_err();
    assert_eq!(error.errno(), Some(libc::EBUSY), "{error}");
    assert_eq!(names(&scratch.0), ["source", "target"]);
}

#[test]
fn a_file_of_somebody_else_gives_no_rights_and_takes_those_that_it_had_not() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new("rights");
    let usual = Purpose::Data.rights();
    for (theirs, expected) in [(0o4777, usual), (0o666, usual), (0o600, usual & 0o600)] {
        let path = scratch.at("data");
        fs::write(&path, "theirs").unwrap();
        chown(&path, Some(NOBODY), None).unwrap();
        set_rights(&path, theirs);
        save(&path).unwrap();
        assert_eq!(rights(&path), expected, "{theirs:o}");
        assert_eq!(fs::metadata(&path).unwrap().uid(), 0);
    }
    // The group keeps its rights, as it is the same.
    let path = scratch.at("team");
    fs::write(&path, "old").unwrap();
    chown(&path, None, Some(12_345)).unwrap();
    set_rights(&path, 0o640);
    save(&path).unwrap();
    let about = fs::metadata(&path).unwrap();
    assert_eq!((about.gid(), about.mode() & 0o7777), (12_345, 0o640));
}

#[test]
fn a_folder_that_is_replaced_meanwhile_leads_nowhere_else() {
    let scratch = Scratch::new("swapped");
    let [folder, elsewhere, moved] = ["folder", "elsewhere", "moved"].map(|name| scratch.at(name));
    fs::create_dir(&folder).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("data"), "theirs").unwrap();
    let (from, to, other) = (folder.clone(), moved.clone(), elsewhere.clone());
    watch_steps(move |step| {
        if step == "made" {
            fs::rename(&from, &to).unwrap();
            symlink(&other, &from).unwrap();
        }
    });
    save(&folder.join("data")).unwrap();
    ignore_steps();
    assert_eq!(fs::read(moved.join("data")).unwrap(), b"new");
    assert_eq!(fs::read(elsewhere.join("data")).unwrap(), b"theirs");
    assert_eq!(names(&elsewhere), ["data"]);
    let new = NewFile::create(&moved.join("data"), Purpose::Data).unwrap();
    assert!(!new.place().is_lost());
    fs::remove_dir_all(&moved).unwrap();
    assert!(new.place().is_lost());
    assert_eq!(new.commit().unwrap_err().errno(), Some(libc::ENOENT));
}

#[test]
fn whatever_is_named_like_an_abandoned_file_neither_hangs_nor_misleads() {
    let scratch = Scratch::new("abandoned");
    let [path, kept] = ["data", "kept"].map(|name| scratch.at(name));
    fs::write(&kept, "kept").unwrap();
    let trap = |number: u32| scratch.at(&format!(".data.{number}-0.onecopy-tmp"));
    mkfifoat(CWD, trap(1), Mode::RUSR | Mode::WUSR).unwrap();
    fs::create_dir(trap(2)).unwrap();
    symlink(&kept, trap(3)).unwrap();
    symlink("/dev/zero", trap(4)).unwrap();
    let mut stay = vec![1, 2, 3, 4];
    // Of a writer that has died, and of one that lives.
    fs::write(trap(6), "").unwrap();
    let alive = File::create(trap(7)).unwrap();
    assert!(sys::file::try_lock(&alive).unwrap());
    stay.push(7);
    if is_root() {
        fs::write(trap(5), "").unwrap();
        chown(trap(5), Some(NOBODY), None).unwrap();
        stay.push(5);
    }
    let (done, wait) = channel();
    let target = path.clone();
    std::thread::spawn(move || done.send(save(&target).is_ok()));
    assert!(wait.recv_timeout(Duration::from_mins(2)).unwrap(), "hangs");
    stay.sort_unstable();
    let mut expected: Vec<String> = stay
        .into_iter()
        .map(|number| format!(".data.{number}-0.onecopy-tmp"))
        .collect();
    expected.extend(["data".to_owned(), "kept".to_owned()]);
    assert_eq!(names(&scratch.0), expected);
    assert_eq!(fs::read(&kept).unwrap(), b"kept");
}

/// Each looks for files of dead writers while the others have made theirs and not yet locked it.
#[test]
fn savers_of_one_path_leave_each_other_alone() {
    let scratch = Scratch::new("savers");
    let target = scratch.at("data");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    for new in ways(&target, Purpose::Data) {
                        let name = new.temporary.as_ref();
                        let folder = &new.place.folder;
                        assert!(name.is_none_or(|name| folder.leads_to(name, &new.file)));
                    }
                }
            });
        }
    });
    assert!(names(&scratch.0).is_empty());
}
