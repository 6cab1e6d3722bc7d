//! Every operation that changes what a container refers to, killed by SIGKILL after every single store to shared memory, the
//! container's and the store's; and whoever takes over killed after every single store of that.
//!
//! Afterwards the container is as before the operation or as after it, it refers to exactly what is in it, the store has nothing
//! else, and all of it can be given back.
//!
//! `CRASH_STRIDE=k` takes every k-th store of both (1 = all, the default of `make torture`), beginning with another one in each
//! operation; of operations that store thousands it takes fewer.

use std::process::ExitCode;

use onecopy::shared::{Cell, Incoming, Large, Mixed, Reference, Slice, Word};
use onecopy::{Dict, Huge, List, Object, Store, Value};

use onecopy::testing::{arm, disarm};

/// What the parent prepares and holds for the whole time, but for what is handed over.
struct World {
    store: Store,
    list: List,
    dict: Dict,
    cell: Cell,
    /// Something to be put in.
    spare: List,
    image: Object,
    /// Held by the parent until the child has been forked, then by the child alone.
    handed: Option<List>,
}

struct Scenario {
    name: &'static str,
    prepare: fn(&mut World),
    operation: fn(&mut World),
}

fn image(store: &Store, byte: u8) -> Object {
    let mut building = store.allocate(5000, Huge::Never).unwrap();
    building.as_mut_slice().fill(byte);
    building.publish().unwrap()
}

fn to_image(store: &Store, byte: u8) -> Value {
    Value::Reference(Reference::of_image(image(store, byte)))
}

fn to(list: &List) -> Value {
    Value::Reference(list.reference())
}

fn labelled(store: &Store, label: i64) -> List {
    let list = store.list().unwrap();
    list.append(&Value::Int(label)).unwrap();
    list
}

/// A list of an int, two images, a list in a list and a text.
fn some(world: &mut World) {
    let inner = labelled(&world.store, 3);
    inner.append(&to(&labelled(&world.store, 4))).unwrap();
    let values = [
        Value::Int(0),
        to_image(&world.store, 1),
        to_image(&world.store, 2),
        to(&inner),
        "a text that needs a block".into(),
    ];
    world.list.extend(&values).unwrap();
    for (key, value) in (0..).zip(&values) {
        world.dict.set(&Value::Int(key), value).unwrap();
    }
}

/// So many elements that a list is made anew.
fn many(world: &mut World) {
    some(world);
    world.list.extend(&vec![Value::Int(7); 9000]).unwrap();
    let items: Vec<_> = (10..100).map(|n| (Value::Int(n), Value::Int(n))).collect();
    world.dict.update(&items).unwrap();
}

/// A value that is an object of its own.
fn large(letter: u8) -> Value {
    vec![letter; 2 << 20].into()
}

fn large_ones(world: &mut World) {
    let values = [
        Value::Int(0),
        large(b'a'),
        "a text that needs a block".into(),
        large(b'b'),
    ];
    world.list.extend(&values).unwrap();
    for (key, value) in (0..).zip(&values) {
        world.dict.set(&Value::Int(key), value).unwrap();
    }
}

fn in_cell(world: &mut World) {
    let list = labelled(&world.store, 5);
    world
        .cell
        .set(&Incoming::Reference(&list.reference()))
        .unwrap();
}

/// A list in a list in a list, and an image; and one that refers to itself.
fn nested(world: &mut World) {
    let outer = labelled(&world.store, 1);
    let middle = labelled(&world.store, 2);
    middle.append(&to(&labelled(&world.store, 3))).unwrap();
    middle.append(&to_image(&world.store, 4)).unwrap();
    outer.append(&to(&middle)).unwrap();
    outer.append(&to(&world.spare)).unwrap();
    world.handed = Some(outer);
}

fn circle(world: &mut World) {
    some(world);
    let one = labelled(&world.store, 1);
    let other = world.store.dict().unwrap();
    one.append(&Value::Reference(other.reference())).unwrap();
    one.append(&to(&one)).unwrap();
    one.append(&to_image(&world.store, 4)).unwrap();
    one.append(&to(&world.spare)).unwrap();
    other.set(&Value::None, &to(&one)).unwrap();
}

fn none(_: &mut World) {}

fn stepped() -> Slice {
    Slice {
        start: Some(0),
        stop: Some(4),
        step: 2,
    }
}

macro_rules! scenarios {
    ($($name:literal, $prepare:expr, $operation:expr;)*) => {
        &[$(Scenario { name: $name, prepare: $prepare, operation: $operation },)*]
    };
}

const SCENARIOS: &[Scenario] = scenarios! {
    "append data with containers in it", some, |world| {
        let parts = [world.spare.reference(), Reference::of_image(world.image.clone())];
        let mixed = Mixed::create(&world.store, b"a pickle", &parts).unwrap();
        world.list.append(&Value::Reference(mixed.reference())).unwrap();
    };
    "append to an empty list", none, |world| world.list.append(&to(&world.spare)).unwrap();
    "append", some, |world| world.list.append(&to(&world.spare)).unwrap();
    "append itself", some, |world| world.list.append(&to(&world.list)).unwrap();
    "append an image", some, |world| {
        let image = Reference::of_image(world.image.clone());
        world.list.append(&Value::Reference(image)).unwrap();
    };
    "set over an int", some, |world| world.list.set(0, &to(&world.spare)).unwrap();
    "set over a text", some, |world| world.list.set(4, &to(&world.spare)).unwrap();
    "set over an image", some, |world| world.list.set(1, &to(&world.spare)).unwrap();
    "set an int over a list", some, |world| world.list.set(3, &Value::Int(9)).unwrap();
    "set a text over an image", some, |world| world.list.set(2, &"another long text".into()).unwrap();
    "insert", some, |world| world.list.insert(1, &to(&world.spare)).unwrap();
    "extend", some, |world| {
        world.list.extend(&[to(&world.spare), Value::Int(1), to(&world.spare)]).unwrap();
    };
    "pop an image", some, |world| drop(world.list.pop(1).unwrap());
    "pop the last", |world| { some(world); world.list.pop(-1).unwrap(); }, |world| drop(world.list.pop(-1).unwrap());
    "delete a slice", some, |world| world.list.delete_slice(Slice::range(Some(1), Some(4))).unwrap();
    "delete with a step", some, |world| {
        world.list.delete_slice(Slice { start: Some(1), stop: None, step: 2 }).unwrap();
    };
    "replace a slice", some, |world| {
        world.list.set_slice(Slice::range(Some(1), Some(3)), &[to(&world.spare)]).unwrap();
    };
    "replace with a step", some, |world| {
        world.list.set_slice(stepped(), &[to(&world.spare), Value::Int(4)]).unwrap();
    };
    "reverse", some, |world| world.list.reverse().unwrap();
    "clear", some, |world| world.list.clear().unwrap();
    "replace all", some, |world| {
        world.list.replace(&[to(&world.spare), to(&world.spare), Value::Int(1)]).unwrap();
    };
    "replace all by many", some, |world| {
        let mut values = vec![Value::Int(5); 600];
        values.push(to(&world.spare));
        world.list.replace(&values).unwrap();
    };
    "clear a large list", many, |world| world.list.clear().unwrap();
    "cut a large list", many, |world| world.list.delete_slice(Slice::range(Some(2), None)).unwrap();
    "exchange", some, |world| {
        let old = world.list.get(3).unwrap();
        assert!(world.list.compare_exchange(3, &old, &to(&world.spare)).unwrap());
    };
    "read", some, |world| std::mem::forget(world.list.get(1).unwrap());
    "set a key", some, |world| world.dict.set(&Value::Int(50), &to(&world.spare)).unwrap();
    "set a key again", some, |world| world.dict.set(&Value::Int(1), &to(&world.spare)).unwrap();
    "set a key to an int", some, |world| world.dict.set(&Value::Int(3), &Value::Int(5)).unwrap();
    "set a key to itself", some, |world| {
        world.dict.set(&Value::Int(3), &Value::Reference(world.dict.reference())).unwrap();
    };
    "delete a key", some, |world| assert!(world.dict.delete(&Value::Int(1)).unwrap());
    "pop a key", some, |world| drop(world.dict.pop(&Value::Int(3)).unwrap());
    "update", some, |world| {
        let items: Vec<_> = (1..8)
            .map(|n| (Value::Int(n), if n % 2 == 0 { Value::Int(n) } else { to(&world.spare) }))
            .collect();
        world.dict.update(&items).unwrap();
    };
    "clear a dict", some, |world| world.dict.clear().unwrap();
    "clear a large dict", many, |world| world.dict.clear().unwrap();
    "set a single value", none, |world| {
        world.cell.set(&Incoming::Reference(&world.spare.reference())).unwrap();
    };
    "set a single value again", in_cell, |world| {
        world.cell.set(&Incoming::Reference(&world.spare.reference())).unwrap();
    };
    "set a single value to None", in_cell, |world| {
        world.cell.set(&Incoming::Word(Word::NONE)).unwrap();
    };
    "append a large value", none, |world| world.list.append(&large(b'c')).unwrap();
    "set a large value over another", large_ones, |world| world.list.set(1, &large(b'c')).unwrap();
    "set an int over a large value", large_ones, |world| world.list.set(1, &Value::Int(1)).unwrap();
    "replace a slice with large values", large_ones, |world| {
        world.list.set_slice(Slice::range(Some(1), None), &[large(b'c'), large(b'd')]).unwrap();
    };
    "pop a large value", large_ones, |world| drop(world.list.pop(1).unwrap());
    "clear a list of large values", large_ones, |world| world.list.clear().unwrap();
    "set a key to a large value", large_ones, |world| world.dict.set(&Value::Int(3), &large(b'c')).unwrap();
    "pop a large value of a dict", large_ones, |world| drop(world.dict.pop(&Value::Int(1)).unwrap());
    "set a single value to a large one", in_cell, |world| {
        let bytes = vec![b'c'; 2 << 20];
        world.cell.set(&Incoming::of_bytes(&bytes)).unwrap();
    };
    "let nested lists go", nested, |world| drop(world.handed.take());
    "collect a circle", circle, |world| {
        world.store.collect(None).unwrap();
    };
};

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

/// Runs something in a child that dies after its n-th store; whether it got that far.
fn killed_after(n: u64, work: impl FnOnce()) -> bool {
    let child = fork();
    if child == 0 {
        arm(n);
        work();
        disarm();
        exit(0);
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    if libc::WIFSIGNALED(status) {
        assert_eq!(libc::WTERMSIG(status), libc::SIGKILL);
        return true;
    }
    assert_eq!(libc::WEXITSTATUS(status), 0, "the child failed");
    false
}

fn world(scenario: &Scenario) -> World {
    let store = Store::options().capacity_bytes(1 << 30).create().unwrap();
    let mut world = World {
        list: store.list().unwrap(),
        dict: store.dict().unwrap(),
        cell: Cell::create(&store).unwrap(),
        spare: labelled(&store, 100),
        image: image(&store, 200),
        handed: None,
        store,
    };
    (scenario.prepare)(&mut world);
    world
}

/// What a value is, whatever it is called in its store.
fn text(value: &Value, depth: u64) -> String {
    if let Value::Bytes(bytes) = value {
        let [first, last] = [bytes.first(), bytes.last()];
        return format!("{} bytes from {first:?} to {last:?}", bytes.len());
    }
    let Value::Reference(reference) = value else {
        return format!("{value:?}");
    };
    if let Some(image) = reference.image() {
        return format!("an image of {}", image.bytes()[0]);
    }
    if let Some(mixed) = Mixed::of_reference(reference).unwrap() {
        return format!(
            "{} parts of {:?}",
            mixed.parts().unwrap().len(),
            mixed.pickle()
        );
    }
    match List::of_reference(reference).unwrap() {
        Some(list) if depth < 3 => {
            let values = list.to_vec().unwrap();
            let texts: Vec<_> = values.iter().map(|value| text(value, depth + 1)).collect();
            format!("a list of {texts:?}")
        }
        Some(_) => "a list".to_owned(),
        None => "a dict".to_owned(),
    }
}

struct Texts;

impl onecopy::shared::Sink for Texts {
    type Made = Value;
    type Room = ();
    type Error = ();

    fn word(&self, _: Word) -> Result<Value, ()> {
        Ok(Value::None)
    }
    fn room(&self, _: onecopy::shared::Kind, _: usize) -> Result<((), *mut u8), ()> {
        Err(())
    }
    fn filled(&self, (): (), _: onecopy::shared::Kind, _: usize) -> Result<Value, ()> {
        Err(())
    }
    fn reference(&self, found: Result<Reference, onecopy::AccessError>) -> Result<Value, ()> {
        found.map(Value::Reference).map_err(drop)
    }
    fn large(&self, found: Result<Large, onecopy::AccessError>) -> Result<Value, ()> {
        found.map(|found| found.bytes().into()).map_err(drop)
    }
}

/// All that is in the three containers, and how many references that is.
fn picture(world: &World) -> (Vec<String>, u64) {
    let mut values = world.list.to_vec().unwrap();
    values.push(Value::None);
    for (key, value) in world.dict.items().unwrap() {
        values.extend([key, value]);
    }
    values.push(Value::None);
    values.push(world.cell.get(&Texts).unwrap().unwrap());
    let references = values
        .iter()
        .filter(|value| matches!(value, Value::Reference(_) | Value::Bytes(_)));
    let count = references.count() as u64;
    (values.iter().map(|value| text(value, 0)).collect(), count)
}

fn verify(world: &World) {
    world.list.verify().unwrap();
    world.dict.verify().unwrap();
    // Takes the lock, and so over.
    world.cell.writer_lock().hold(None).unwrap();
    world.cell.writer_lock().release().unwrap();
}

fn check(world: World, ends: &[Vec<String>; 2], place: &str) {
    // What is read before anybody has repaired it.
    let (seen, _) = picture(&world);
    assert!(
        ends.contains(&seen),
        "{place}: neither before nor after: {seen:?}"
    );
    world.store.collect(None).unwrap();
    verify(&world);
    let (repaired, references) = picture(&world);
    assert!(
        repaired == seen || repaired == ends[1],
        "{place}: {seen:?} before the repair, {repaired:?} after it"
    );
    world
        .store
        .verify()
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    let stats = world.store.stats().unwrap();
    // A list in a list that is in both the list and the dict.
    let inner = u64::from(repaired.iter().any(|text| text.contains("Int(4)")));
    assert_eq!(stats.references, references + inner, "{place}: {stats:?}");
    assert_eq!(
        (stats.processes, stats.holds),
        (1, 5),
        "{place}: the dead hold nothing: {stats:?}"
    );
    assert_eq!(
        (stats.building_objects, stats.dying_objects),
        (0, 0),
        "{place}"
    );
    assert!(world.image.bytes().iter().all(|byte| *byte == 200));
    assert_eq!(world.spare.to_vec().unwrap(), [Value::Int(100)], "{place}");
    // All can be used, and be given back.
    world.list.append(&to(&world.spare)).unwrap();
    assert_eq!(
        text(&world.list.pop(-1).unwrap(), 0),
        text(&to(&world.spare), 0)
    );
    verify(&world);
    let store = world.store.clone();
    drop(world);
    store.collect(None).unwrap();
    store
        .verify()
        .unwrap_or_else(|error| panic!("{place}: at the end: {error}"));
    let empty = store.stats().unwrap();
    assert_eq!(
        (empty.allocated_bytes, empty.references, empty.units),
        (0, 0, 0),
        "{place}: {empty:?}"
    );
}

fn run(scenario: &Scenario, index: u64, stride: u64) {
    let before = picture(&world(scenario)).0;
    let mut done = world(scenario);
    (scenario.operation)(&mut done);
    let ends = [before, picture(&done).0];
    drop(done);
    let (mut kills, mut recoveries) = (0, 0);
    let operate = |n: u64| {
        let mut world = world(scenario);
        let child = &mut world;
        let killed = killed_after(n, || (scenario.operation)(child));
        world.handed = None;
        (world, killed)
    };
    // A child does more than this process would: it has to say first who it is.
    let mut stores = 1;
    let mut more = 64;
    while operate(stores + more).1 {
        stores += more;
        more *= 2;
    }
    while more > 1 {
        more /= 2;
        if operate(stores + more).1 {
            stores += more;
        }
    }
    let step = if stride == 1 {
        1
    } else {
        stride * (1 + stores / 400)
    };
    let step = usize::try_from(step).unwrap();
    for n in (1 + (7 * index) % stride.min(stores)..=stores).step_by(step) {
        let place = format!("{}, after store {n} of {stores}", scenario.name);
        let (plain, killed) = operate(n);
        kills += u64::from(killed);
        check(plain, &ends, &place);
        for m in (1 + (n / stride + index) % stride..).step_by(step) {
            let (nested, _) = operate(n);
            let killed = killed_after(m, || {
                nested.store.collect(None).unwrap();
                verify(&nested);
            });
            check(
                nested,
                &ends,
                &format!("{place}, taken over until store {m}"),
            );
            if !killed {
                break;
            }
            recoveries += 1;
        }
    }
    assert!(kills > 0, "{}: no kill", scenario.name);
    println!(
        "test {} ({kills} kills, {recoveries} kills of the successor) ... ok",
        scenario.name
    );
}

fn main() -> ExitCode {
    let stride = std::env::var("CRASH_STRIDE").map_or(41, |text| text.parse().unwrap());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<_> = arguments
        .iter()
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let chosen: Vec<_> = SCENARIOS
        .iter()
        .filter(|scenario| {
            names.is_empty()
                || names
                    .iter()
                    .any(|part| scenario.name.contains(part.as_str()))
        })
        .collect();
    println!("\nrunning {} tests", chosen.len());
    let mut failed = 0;
    for (index, scenario) in (0..).zip(&chosen) {
        if std::panic::catch_unwind(|| run(scenario, index, stride)).is_err() {
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
