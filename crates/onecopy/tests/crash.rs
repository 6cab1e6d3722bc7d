//! Every metadata operation, killed by SIGKILL after every single store to shared memory, and its
//! recovery killed after every single store of its own.
//!
//! For each operation and each n: a fresh store in a known state, a child that dies right after its
//! n-th store, then one of two roads. *Plain*: this process recovers. *Nested*: another child recovers
//! and dies after its m-th store, for each m, then this process recovers. Afterwards all invariants
//! (`Store::verify`) must hold, the dead must hold nothing, objects held by the living must be intact,
//! and the operation must have happened wholly or not at all.
//!
//! `CRASH_STRIDE=k` takes every k-th m of the nested road (1 = all, the default of `make torture`);
//! the plain road is always exhaustive.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use std::time::Duration;

use onecopy::shared::{Number, RawArray, Sum};
use onecopy::store::{Chunk, Container};
use onecopy::testing::{arm, disarm};
use onecopy::{AllocateError, Huge, List, Object, Stats, Store, Token, Value};

/// What the parent prepares, and what the child starts from.
struct World {
    store: Store,
    /// Held by the parent for the whole time.
    kept: Object,
    /// Held by the parent until the child has been forked, then by the child alone.
    handed: Option<Object>,
    token: Option<Token>,
    /// Held by the parent for the whole time, if there is one.
    container: Option<Container>,
    /// As `handed`.
    handed_container: Option<Container>,
    /// Held by the parent for the whole time, if there is one: ints that count up.
    list: Option<List>,
}

struct Scenario {
    name: &'static str,
    prepare: fn(&mut World),
    operation: fn(&mut World),
    /// Whether the figures after recovery are those of "before" or of "after".
    outcome: fn(&Stats) -> bool,
}

const SCENARIOS: [Scenario; 22] = [
    Scenario {
        name: "allocate, publish and drop",
        prepare: |_| {},
        operation: |world| {
            let mut building = world.store.allocate(200_000, Huge::Auto).unwrap();
            building.as_mut_slice().fill(3);
            drop(building.publish().unwrap());
        },
        outcome: |stats| (stats.live_objects, stats.units) == (1, 0),
    },
    Scenario {
        name: "allocate and give up",
        prepare: |_| {},
        operation: |world| drop(world.store.allocate(70_000, Huge::Never).unwrap()),
        outcome: |stats| (stats.live_objects, stats.units) == (1, 0),
    },
    Scenario {
        name: "make a token",
        prepare: |_| {},
        operation: |world| {
            let _ = world.kept.token().unwrap();
        },
        outcome: |stats| stats.live_objects == 1 && stats.units <= 1,
    },
    Scenario {
        name: "attach an object that only its token holds",
        prepare: |world| {
            let object = publish(&world.store, 9);
            world.token = Some(object.token().unwrap());
        },
        operation: |world| {
            let object = Object::attach(&world.token.unwrap()).unwrap();
            assert!(object.bytes().iter().all(|byte| *byte == 9));
            std::mem::forget(object);
        },
        // The token is still in flight, or it was used by a process that died.
        outcome: |stats| matches!((stats.live_objects, stats.units), (2, 1) | (1, 0)),
    },
    Scenario {
        name: "attach an object that this process holds",
        prepare: |world| world.token = Some(world.kept.token().unwrap()),
        operation: |world| drop(Object::attach(&world.token.unwrap()).unwrap()),
        outcome: |stats| stats.live_objects == 1 && stats.units <= 1,
    },
    Scenario {
        name: "drop the last hold",
        prepare: |world| world.handed = Some(publish(&world.store, 5)),
        operation: |world| drop(world.handed.take()),
        outcome: |stats| (stats.live_objects, stats.units) == (1, 0),
    },
    Scenario {
        name: "fork",
        prepare: |world| world.handed = Some(publish(&world.store, 5)),
        operation: |_| {
            if fork() == 0 {
                exit(0);
            }
        },
        outcome: |stats| (stats.live_objects, stats.units) == (1, 0),
    },
    Scenario {
        name: "join a store through its token, attach and leave",
        prepare: |world| {
            let object = publish(&world.store, 9);
            world.token = Some(object.token().unwrap());
        },
        operation: |world| {
            let stores = disarm();
            let bytes = world.token.unwrap().to_bytes();
            let hex = bytes
                .iter()
                .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            let error = Command::new("/proc/self/exe")
                .env_remove("ONECOPY_STORE")
                .arg("--join")
                .arg(hex)
                .arg(stores.to_string())
                .exec();
            panic!("exec: {error}");
        },
        outcome: |stats| matches!((stats.live_objects, stats.units), (2, 1) | (1, 0)),
    },
    Scenario {
        name: "give up old tokens",
        prepare: |world| {
            let _ = publish(&world.store, 8).token().unwrap();
            let _ = world.kept.token().unwrap();
        },
        operation: |world| {
            world.store.collect(Some(Duration::ZERO)).unwrap();
        },
        outcome: |stats| stats.units <= 2 && stats.live_objects <= 2,
    },
    Scenario {
        name: "recover a dead process with holds and a half-built object",
        prepare: |world| {
            let child = fork();
            if child == 0 {
                std::mem::forget(publish(&world.store, 6));
                std::mem::forget(world.store.allocate(50_000, Huge::Auto).unwrap());
                exit(0);
            }
            wait_for_all();
        },
        operation: |world| {
            world.store.collect(None).unwrap();
        },
        outcome: |stats| (stats.live_objects, stats.units) == (1, 0),
    },
    Scenario {
        name: "make a container, let it grow and drop it",
        prepare: |_| {},
        operation: |world| drop(grown(&world.store, 1)),
        outcome: |stats| (stats.containers, stats.chunks) == (0, 0),
    },
    Scenario {
        name: "add a chunk to a container that others hold",
        prepare: |world| world.container = Some(grown(&world.store, 1)),
        operation: |world| {
            let container = world.container.as_ref().unwrap();
            fill(container, container.add_chunk(70_000, 1).unwrap());
        },
        outcome: |stats| stats.containers == 1 && matches!(stats.chunks, 1 | 2),
    },
    Scenario {
        name: "fail to add a chunk for lack of memory",
        prepare: |world| world.container = Some(grown(&world.store, 1)),
        operation: |world| {
            // There is room for it, and no memory.
            let container = world.container.as_ref().unwrap();
            let limit = libc::rlimit {
                rlim_cur: 4096,
                rlim_max: 4096,
            };
            // SAFETY: `limit` is initialised, and setrlimit(2) only reads it.
            let limited = unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
            assert_eq!(limited, 0);
            let error = container.add_chunk(70_000, 1).unwrap_err();
            assert!(matches!(error, AllocateError::NoMemory { .. }), "{error}");
        },
        outcome: |stats| (stats.containers, stats.chunks) == (1, 1),
    },
    Scenario {
        name: "free chunks of a container that others hold",
        prepare: |world| world.container = Some(grown(&world.store, 3)),
        operation: |world| {
            let container = world.container.as_ref().unwrap();
            // The newest and the oldest.
            container.free_chunks(|tag| tag != 1).unwrap();
        },
        outcome: |stats| stats.containers == 1 && (1..=3).contains(&stats.chunks),
    },
    Scenario {
        name: "drop the last hold of a container with chunks",
        prepare: |world| world.handed_container = Some(grown(&world.store, 3)),
        operation: |world| drop(world.handed_container.take()),
        outcome: |stats| (stats.containers, stats.chunks) == (0, 0),
    },
    Scenario {
        name: "attach a container that only its token holds",
        prepare: |world| {
            let container = grown(&world.store, 2);
            world.token = Some(container.token().unwrap());
        },
        operation: |world| {
            let container = Container::attach(&world.token.unwrap()).unwrap();
            check_chunks(&container);
            std::mem::forget(container);
        },
        outcome: |stats| {
            let figures = (stats.containers, stats.chunks, stats.units);
            matches!(figures, (1, 2, 1) | (0, 0, 0))
        },
    },
    Scenario {
        name: "fork, and let the child's container grow",
        prepare: |world| world.handed_container = Some(grown(&world.store, 0)),
        operation: |world| {
            if fork() == 0 {
                let container = world.handed_container.as_ref().unwrap();
                fill(container, container.add_chunk(10, 2).unwrap());
                check_chunks(container);
                exit(0);
            }
        },
        outcome: |stats| (stats.containers, stats.chunks) == (0, 0),
    },
    Scenario {
        name: "recover a dead process with a container",
        prepare: |world| {
            let child = fork();
            if child == 0 {
                std::mem::forget(grown(&world.store, 1));
                exit(0);
            }
            wait_for_all();
        },
        operation: |world| {
            world.store.collect(None).unwrap();
        },
        outcome: |stats| (stats.containers, stats.chunks) == (0, 0),
    },
    Scenario {
        name: "make an array, write to it and drop it",
        prepare: |_| {},
        operation: |world| drop(filled(&world.store)),
        outcome: |stats| (stats.containers, stats.chunks) == (0, 0),
    },
    Scenario {
        name: "recover a dead process with an array",
        prepare: |world| {
            let child = fork();
            if child == 0 {
                std::mem::forget(filled(&world.store));
                exit(0);
            }
            wait_for_all();
        },
        operation: |world| {
            world.store.collect(None).unwrap();
        },
        outcome: |stats| (stats.containers, stats.chunks) == (0, 0),
    },
    Scenario {
        name: "append to a list that needs a chunk for it",
        prepare: |world| world.list = Some(counting(&world.store, 0)),
        operation: |world| {
            let list = world.list.as_ref().unwrap();
            list.append(&Value::Int(list.len().unwrap().cast_signed()))
                .unwrap();
        },
        outcome: |stats| stats.containers == 1 && stats.chunks <= 1,
    },
    Scenario {
        name: "clear a list that has more memory than it then needs",
        prepare: |world| world.list = Some(counting(&world.store, 9000)),
        operation: |world| world.list.as_ref().unwrap().clear().unwrap(),
        outcome: |stats| stats.containers == 1 && stats.chunks <= 4,
    },
];

/// An array of several spans, written to by both ways.
fn filled(store: &Store) -> RawArray {
    let array = RawArray::create(store, 150_000, 8).unwrap();
    for at in (0..array.byte_len()).step_by(8 << 10) {
        assert_eq!(
            array.add_int(at, Number::Signed(8), 5).unwrap(),
            Sum::Int(5)
        );
    }
    array
}

/// A list that counts up: the next element needs a chunk, or `more` after that.
fn counting(store: &Store, more: i64) -> List {
    static FIT: OnceLock<i64> = OnceLock::new();
    let fit = *FIT.get_or_init(|| {
        let list = store.list().unwrap();
        let before = store.stats().unwrap().chunks;
        let append = |n| list.append(&Value::Int(n)).unwrap();
        (0..)
            .inspect(|n| append(*n))
            .find(|_| store.stats().unwrap().chunks > before)
            .unwrap()
    });
    let list = store.list().unwrap();
    // One by one, as above: many at once may take other blocks.
    (0..fit + more).for_each(|n| list.append(&Value::Int(n)).unwrap());
    list
}

/// The list counts up, to where it did or not at all, and can be used.
fn check_list(list: &List) {
    list.verify().unwrap();
    let values = list.to_vec().unwrap();
    assert!(
        values
            .iter()
            .zip(0..)
            .all(|(value, n)| *value == Value::Int(n))
    );
    list.insert(0, &Value::from("a text that needs a block"))
        .unwrap();
    list.pop(0).unwrap();
    assert_eq!(list.to_vec().unwrap(), values);
    list.verify().unwrap();
}

/// A container with chunks of the tags 0, 1, 2, …
fn grown(store: &Store, chunks: u32) -> Container {
    let container = Container::new(store, 1, 5000).unwrap();
    for tag in 0..chunks {
        let len = if tag % 2 == 0 { 5000 } else { 150_000 };
        fill(&container, container.add_chunk(len, tag).unwrap());
    }
    container
}

fn bytes(container: &Container, chunk: Chunk) -> *mut u8 {
    let (base, _) = container.data();
    base.as_ptr().wrapping_add(chunk.offset as usize)
}

/// Writes a chunk's tag into it.
fn fill(container: &Container, chunk: Chunk) {
    // SAFETY: the chunk is the container's, committed and mapped, and no other process writes to it now.
    unsafe { bytes(container, chunk).write_bytes(chunk.tag as u8, chunk.len as usize) }
}

/// Each chunk holds its tag, or zeros if whoever added it died before it was filled.
fn check_chunks(container: &Container) {
    for chunk in container.chunks().unwrap() {
        let at = bytes(container, chunk);
        let is_right = (0..chunk.len as usize).all(|index| {
            // SAFETY: within the chunk, which is committed and mapped, and nobody writes to it now.
            let byte = unsafe { at.wrapping_add(index).read_volatile() };
            byte == 0 || u32::from(byte) == chunk.tag
        });
        assert!(is_right, "{chunk:?}");
    }
}

fn publish(store: &Store, byte: u8) -> Object {
    let mut building = store.allocate(100_000, Huge::Never).unwrap();
    building.as_mut_slice().fill(byte);
    building.publish().unwrap()
}

fn fork() -> i32 {
    // SAFETY: this program has one thread, so the child may do anything.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    pid
}

fn exit(code: i32) -> ! {
    // SAFETY: ends the process without running anything of the parent's.
    unsafe { libc::_exit(code) }
}

/// Waits until this process has no descendants; whether SIGKILL ended one of them.
fn wait_for_all() -> bool {
    let mut killed = false;
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the result.
        if unsafe { libc::waitpid(-1, &raw mut status, 0) } == -1 {
            return killed;
        }
        if libc::WIFSIGNALED(status) {
            assert_eq!(
                libc::WTERMSIG(status),
                libc::SIGKILL,
                "died of another signal"
            );
            killed = true;
        } else {
            assert_eq!(libc::WEXITSTATUS(status), 0, "the child failed");
        }
    }
}

fn world(scenario: &Scenario) -> World {
    let store = Store::options().capacity_bytes(1 << 30).create().unwrap();
    let kept = publish(&store, 1);
    let mut world = World {
        store,
        kept,
        handed: None,
        token: None,
        container: None,
        handed_container: None,
        list: None,
    };
    (scenario.prepare)(&mut world);
    world
}

/// Runs the operation in a child that dies after its n-th store; whether it got that far.
fn crash_operation(scenario: &Scenario, world: &mut World, n: u64) -> bool {
    let child = fork();
    if child == 0 {
        // What was handed over is the child's alone once the parent has dropped it.
        arm(n);
        (scenario.operation)(world);
        disarm();
        exit(0);
    }
    let killed = wait_for_all();
    drop((world.handed.take(), world.handed_container.take()));
    killed
}

/// Recovers in a child that dies after its m-th store; whether it got that far.
fn crash_recovery(world: &World, m: u64) -> bool {
    let child = fork();
    if child == 0 {
        arm(m);
        world.store.collect(None).unwrap();
        if let Some(list) = &world.list {
            list.verify().unwrap();
        }
        disarm();
        exit(0);
    }
    wait_for_all()
}

fn check(scenario: &Scenario, world: World, place: &str) {
    let context = || format!("{}: {place}", scenario.name);
    world.store.collect(None).unwrap();
    world
        .store
        .verify()
        .unwrap_or_else(|error| panic!("{}: {error}", context()));
    world.list.iter().for_each(check_list);
    let stats = world.store.stats().unwrap();
    assert_eq!(
        stats.processes,
        1,
        "{}: the dead have no slot: {stats:?}",
        context()
    );
    assert_eq!(
        stats.holds,
        1 + u64::from(world.container.is_some()) + u64::from(world.list.is_some()),
        "{}: the dead hold nothing: {stats:?}",
        context()
    );
    assert_eq!(
        (stats.building_objects, stats.dying_objects),
        (0, 0),
        "{}",
        context()
    );
    assert!(
        (scenario.outcome)(&stats),
        "{}: neither before nor after: {stats:?}",
        context()
    );
    assert!(
        world.kept.bytes().iter().all(|byte| *byte == 1),
        "{}: an object changed",
        context()
    );
    if let Some(container) = &world.container {
        check_chunks(container);
        container.add_chunk(100_000, 99).unwrap();
    }
    // The store still works, and everything can be given back.
    let object = publish(&world.store, 2);
    assert!(
        object.bytes().iter().all(|byte| *byte == 2),
        "{}",
        context()
    );
    drop(object);
    let World {
        store,
        kept,
        container,
        list,
        ..
    } = world;
    drop((kept, container, list));
    store.collect(Some(Duration::ZERO)).unwrap();
    store
        .verify()
        .unwrap_or_else(|error| panic!("{}: at the end: {error}", context()));
    let empty = store.stats().unwrap();
    assert_eq!(
        (empty.allocated_bytes, empty.live_objects, empty.chunks),
        (0, 0, 0),
        "{}",
        context()
    );
}

fn run(scenario: &Scenario, stride: u64) {
    let (mut stores, mut recoveries) = (0, 0);
    for n in 1.. {
        let mut plain = world(scenario);
        if !crash_operation(scenario, &mut plain, n) {
            check(scenario, plain, "not killed");
            break;
        }
        stores = n;
        check(scenario, plain, &format!("killed after store {n}"));
        for m in (1 + n % stride..).step_by(usize::try_from(stride).unwrap()) {
            // How often a lock was waited for differs from run to run, and with it, by a few, the number of stores:
            // the last one may not be reached again.
            let reached = (0..10).find_map(|_| {
                let mut nested = world(scenario);
                crash_operation(scenario, &mut nested, n).then_some(nested)
            });
            let Some(nested) = reached else { break };
            let killed = crash_recovery(&nested, m);
            check(
                scenario,
                nested,
                &format!("killed after store {n}, recovery after store {m}"),
            );
            if !killed {
                break;
            }
            recoveries += 1;
        }
    }
    assert!(
        stores > 10,
        "{}: only {stores} stores were counted",
        scenario.name
    );
    println!(
        "test {} ({stores} kills, {recoveries} kills of the recovery) ... ok",
        scenario.name
    );
}

/// The other end of the scenario that joins: a new program, which knows nothing but the token.
fn join(hex: &str, stores: &str) -> ExitCode {
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap())
        .collect();
    let token = Token::from_bytes(&bytes).unwrap();
    arm(stores.parse().unwrap());
    let object = Object::attach(&token).unwrap();
    assert!(object.bytes().iter().all(|byte| *byte == 9));
    drop(object);
    disarm();
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, hex, stores] = arguments.as_slice()
        && mode == "--join"
    {
        return join(hex, stores);
    }
    // Grandchildren become children when their parent is killed, so that they can be waited for.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let stride = std::env::var("CRASH_STRIDE").map_or(7, |text| text.parse().unwrap());
    let filter: Vec<_> = arguments
        .iter()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let chosen: Vec<_> = SCENARIOS
        .iter()
        .filter(|scenario| {
            filter.is_empty()
                || filter
                    .iter()
                    .any(|part| scenario.name.contains(part.as_str()))
        })
        .collect();
    println!("\nrunning {} tests", chosen.len());
    let mut failed = 0;
    for scenario in &chosen {
        if std::panic::catch_unwind(|| run(scenario, stride)).is_err() {
            println!("test {} ... FAILED", scenario.name);
            failed += 1;
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out\n",
        chosen.len() - failed,
        SCENARIOS.len() - chosen.len()
    );
    ExitCode::from(u8::from(failed > 0))
}
