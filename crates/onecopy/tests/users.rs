//! Stores and users: a store is shared by the processes of one user, whatever a variable, a token, a name or a
//! descriptor says, and a program with more rights than its caller believes no variable.
//!
//! Needs root, which can become another user. The other side of each test is this program again, started with a role.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::FromRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};

use onecopy::{AttachError, Object, Store, Token, Uuid, View};

const VARIABLE: &str = "ONECOPY_STORE";
/// `nobody`, or any number that is not root's.
const OTHER: u32 = 65_534;

type Test = (&'static str, fn(&Stage));

const TESTS: [Test; 9] = [
    ("a variable of another user is as good as none", variable),
    ("a token of another user is refused", token),
    ("a token of root is refused for another user", token_of_root),
    ("a name of another user's store is not searched for", name),
    (
        "a descriptor of another user's store is refused",
        descriptor,
    ),
    (
        "a worker that dropped its privileges stays in the family",
        dropped,
    ),
    (
        "a process that gained privileges leaves its old store",
        gained,
    ),
    (
        "a process without rights that becomes another user leaves its old store",
        renamed,
    ),
    ("a set-user-id program reads no variable", set_user_id),
];

/// A folder with a copy of this program that other users may run.
struct Stage {
    folder: PathBuf,
    program: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("onecopy-users-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o755).create(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let program = folder.join("users");
        fs::copy("/proc/self/exe", &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, program }
    }

    fn command(&self, user: u32, role: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_remove(VARIABLE)
            .uid(user)
            .gid(user)
            .args(["--role", role]);
        command
    }

    /// Runs a role to its end and returns what it says.
    fn say(&self, user: u32, role: &str, value: &str, variable: Option<&str>) -> String {
        let mut command = self.command(user, role);
        said(
            command
                .arg(value)
                .envs(variable.map(|value| (VARIABLE, value))),
        )
    }

    /// A process of `user` that keeps a store until it is dropped.
    fn keeper(&self, user: u32) -> Keeper {
        let mut child = self
            .command(user, "keep")
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = || lines.next().unwrap().unwrap();
        Keeper {
            variable: line(),
            token: line(),
            child,
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

struct Keeper {
    child: Child,
    variable: String,
    token: String,
}

impl Keeper {
    fn uuid(&self) -> &str {
        self.variable.rsplit(':').next().unwrap()
    }

    /// Its descriptor of the store, as this process sees it.
    fn path(&self) -> String {
        let mut parts = self.variable.split(':');
        format!(
            "/proc/{}/fd/{}",
            parts.next().unwrap(),
            parts.next().unwrap()
        )
    }

    /// That descriptor's file, opened by this process.
    fn opened(&self) -> fs::File {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).open(self.path()).unwrap()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // It waits for the end of its input.
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

fn variable(stage: &Stage) {
    for (owner, user) in [(OTHER, 0), (0, OTHER), (0, 0), (OTHER, OTHER)] {
        let keeper = stage.keeper(owner);
        let used = stage.say(user, "current", "-", Some(&keeper.variable));
        assert_eq!(used == keeper.uuid(), owner == user, "{owner} {user}");
    }
}

fn token(stage: &Stage) {
    let keeper = stage.keeper(OTHER);
    for variable in [None, Some(keeper.variable.as_str())] {
        let result = stage.say(0, "attach", &keeper.token, variable);
        assert_eq!(result, format!("foreign {OTHER} 0"));
    }
    assert_eq!(stage.say(OTHER, "attach", &keeper.token, None), "attached");
}

fn token_of_root(stage: &Stage) {
    let keeper = stage.keeper(0);
    let result = stage.say(OTHER, "attach", &keeper.token, None);
    assert_eq!(result, format!("of a foreign process 0 {OTHER}"));
    assert_eq!(stage.say(0, "attach", &keeper.token, None), "attached");
}

fn name(stage: &Stage) {
    let keeper = stage.keeper(OTHER);
    // A process of root that has the other user's file open, and a variable that leads nowhere: by its name alone.
    let file = keeper.opened();
    let lost = format!("{}:0:{}", u32::MAX >> 1, keeper.uuid());
    assert_ne!(stage.say(0, "current", "-", Some(&lost)), keeper.uuid());
    assert_eq!(stage.say(OTHER, "current", "-", Some(&lost)), keeper.uuid());
    drop(file);
}

fn descriptor(stage: &Stage) {
    let keeper = stage.keeper(OTHER);
    let file = keeper.opened();
    let expected = format!("foreign {OTHER} 0");
    let given = |user| {
        let mut command = stage.command(user, "descriptor");
        said(command.arg(keeper.uuid()).stdin(file.try_clone().unwrap()))
    };
    assert_eq!(given(0), expected);
    assert_eq!(given(OTHER), "attached");
}

/// Forks; the child does its part and ends.
fn in_child(part: impl FnOnce()) {
    // SAFETY: this program has one thread, so the child may do anything.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(part));
        // SAFETY: ends the process without running anything of the parent's.
        unsafe { libc::_exit(i32::from(result.is_err())) };
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
        "the child failed: {status}"
    );
}

fn set_effective_user(user: u32) {
    // SAFETY: this program has one thread; no memory is passed.
    assert_eq!(unsafe { libc::seteuid(user) }, 0);
}

fn dropped(_: &Stage) {
    in_child(|| {
        let store = Store::current().unwrap();
        let view = store.share_slice(&[1u64, 2]).unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        in_child(|| {
            let token = view.token().unwrap();
            // SAFETY: as in `set_effective_user`.
            assert_eq!(unsafe { libc::setuid(OTHER) }, 0);
            assert_eq!(&*view, [1, 2]);
            assert_eq!(&*View::<[u64]>::attach(&token).unwrap(), [1, 2]);
            assert_eq!(Store::current().unwrap().uuid(), store.uuid());
            let mine = Store::current().unwrap().share_slice(&[3u64]).unwrap();
            // Its children, too.
            in_child(|| {
                assert_eq!(
                    mine[0] + Store::current().unwrap().share_slice(&[4u64]).unwrap()[0],
                    7
                );
            });
            rustix::io::write(&writer, &mine.token().unwrap().to_bytes()).unwrap();
        });
        let mut bytes = [0; Token::LEN];
        assert_eq!(rustix::io::read(&reader, &mut bytes).unwrap(), Token::LEN);
        let token = Token::from_bytes(&bytes).unwrap();
        assert_eq!(&*View::<[u64]>::attach(&token).unwrap(), [3]);
        store.collect(None).unwrap();
        store.verify().unwrap();
    });
}

fn gained(_: &Stage) {
    in_child(|| {
        set_effective_user(OTHER);
        let old = Store::current().unwrap();
        let view = old.share_slice(&[1u64]).unwrap();
        let token = view.token().unwrap();
        set_effective_user(0);
        let new = Store::current().unwrap();
        assert_ne!(new.uuid(), old.uuid());
        assert_eq!(view[0], 1, "views of before can be read");
        let error = View::<[u64]>::attach(&token).unwrap_err();
        assert!(
            matches!(
                error,
                AttachError::ForeignOwner {
                    owner_uid: OTHER,
                    expected_uid: 0,
                    ..
                }
            ),
            "{error}"
        );
        let fd = old.duplicate_fd().unwrap();
        let error = Store::from_fd(fd, old.uuid()).unwrap_err();
        assert!(matches!(error, AttachError::ForeignOwner { .. }), "{error}");
        // Its children find the new one.
        let variable = std::env::var(VARIABLE).unwrap();
        assert!(variable.ends_with(&new.uuid().to_string()), "{variable}");
        in_child(|| assert_eq!(Store::current().unwrap().uuid(), new.uuid()));
    });
}

fn renamed(_: &Stage) {
    // What could not run is written down by the parent: another user may not write there.
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    in_child(|| {
        // SAFETY: this program has one thread; no memory is passed.
        assert_eq!(unsafe { libc::setuid(OTHER) }, 0);
        let old = Store::current().unwrap();
        let view = old.share_slice(&[1u64]).unwrap();
        // SAFETY: a number is passed, no memory. Otherwise the map of users is root's to write.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) }, 0);
        // SAFETY: this program has one thread; no memory is passed.
        if unsafe { libc::unshare(libc::CLONE_NEWUSER) } != 0
            || fs::write("/proc/self/uid_map", format!("1 {OTHER} 1")).is_err()
        {
            rustix::io::write(&writer, b"x").unwrap();
            return;
        }
        assert_eq!(rustix::process::geteuid().as_raw(), 1);
        assert_ne!(Store::current().unwrap().uuid(), old.uuid());
        assert_eq!(view[0], 1, "views of before can be read");
    });
    drop(writer);
    if rustix::io::read(&reader, &mut [0]).unwrap() > 0 {
        skip::skipped("no user namespace can be made here");
    }
}

fn set_user_id(stage: &Stage) {
    // Owned by root, set-user-id, started by another user: it has root's rights and that user's environment.
    let program = stage.folder.join("set-user-id");
    fs::copy(&stage.program, &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let run = |variable: Option<&str>| {
        let mut command = Command::new(&program);
        command
            .env_remove(VARIABLE)
            .uid(OTHER)
            .gid(OTHER)
            .args(["--role", "secure", "-"]);
        said(command.envs(variable.map(|value| (VARIABLE, value))))
    };
    let plain = run(None);
    if !plain.starts_with("user 0 untrusted true ") {
        skip::skipped(format_args!(
            "set-user-id programs do not work in {}: {plain}",
            stage.folder.display()
        ));
        return;
    }
    // The store of root itself, which the variable of a caller must not choose either.
    let keeper = stage.keeper(0);
    let used = run(Some(&keeper.variable));
    assert!(!used.ends_with(keeper.uuid()), "{used}");
    assert_eq!(
        stage.say(0, "secure", "-", Some(&keeper.variable)),
        format!("user 0 untrusted false {}", keeper.uuid())
    );
}

/// The other side of the tests.
fn play(role: &str, value: &str) {
    let outcome = |result: Result<(), AttachError>| match result {
        Ok(()) => "attached".to_owned(),
        Err(AttachError::ForeignOwner {
            owner_uid,
            expected_uid,
            ..
        }) => format!("foreign {owner_uid} {expected_uid}"),
        Err(AttachError::ForeignProcess {
            owner_uid,
            expected_uid,
            ..
        }) => format!("of a foreign process {owner_uid} {expected_uid}"),
        Err(AttachError::NotFound { reason, .. }) => format!("not found: {reason}"),
        Err(AttachError::StoreGone { reason, .. }) => format!("gone: {reason}"),
        Err(other) => panic!("{other}"),
    };
    match role {
        "keep" => {
            let view = Store::current().unwrap().share_slice(&[7u64]).unwrap();
            println!("{}", std::env::var(VARIABLE).unwrap());
            println!("{}", hex(&view.token().unwrap().to_bytes()));
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        "current" => println!("{}", Store::current().unwrap().uuid()),
        "attach" => {
            let token = Token::from_bytes(&bytes(value)).unwrap();
            println!("{}", outcome(Object::attach(&token).map(drop)));
        }
        "descriptor" => {
            let uuid = Uuid::parse(value).unwrap();
            // SAFETY: the standard input is open, and nobody else uses it.
            let fd = unsafe { std::os::fd::OwnedFd::from_raw_fd(0) };
            println!("{}", outcome(Store::from_fd(fd, uuid).map(drop)));
        }
        "secure" => println!(
            "user {} untrusted {} {}",
            rustix::process::geteuid().as_raw(),
            onecopy::environment_is_untrusted(),
            Store::current().unwrap().uuid()
        ),
        _ => panic!("no such role: {role}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap())
        .collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, role, value] = arguments.as_slice()
        && mode == "--role"
    {
        play(role, value);
        return ExitCode::SUCCESS;
    }
    let chosen = |name: &str| {
        let mut filters = arguments
            .iter()
            .skip(1)
            .filter(|argument| !argument.starts_with('-'))
            .peekable();
        filters.peek().is_none() || filters.any(|part| name.contains(part.as_str()))
    };
    let tests: Vec<_> = TESTS.iter().filter(|test| chosen(test.0)).collect();
    println!("\nrunning {} tests", tests.len());
    let mut failed = 0;
    if rustix::process::geteuid().is_root() {
        let stage = Stage::new();
        for (name, test) in &tests {
            let verdict = std::panic::catch_unwind(|| test(&stage)).map_or("FAILED", |()| "ok");
            failed += usize::from(verdict != "ok");
            println!("test {name} ... {verdict}");
        }
    } else {
        for (name, _) in &tests {
            skip::skipped(format_args!("{name}: only root can become another user"));
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {failed} failed\n",
        tests.len() - failed
    );
    ExitCode::from(u8::from(failed > 0))
}
