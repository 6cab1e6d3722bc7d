//! Containers and images as values of containers: what is read is the thing itself, and what nobody refers to goes.

use std::time::Duration;

use onecopy::shared::{Cell, End, Reference, Slice};
use onecopy::{ContainerError, Dict, DictError, Huge, List, ListError, Object, Store, Value};

fn small() -> Store {
    Store::options().capacity_bytes(1 << 33).create().unwrap()
}

fn image(store: &Store, byte: u8) -> Object {
    let mut building = store.allocate(100_000, Huge::Never).unwrap();
    building.as_mut_slice().fill(byte);
    building.publish().unwrap()
}

fn to_image(store: &Store, byte: u8) -> Value {
    Value::Reference(Reference::of_image(image(store, byte)))
}

fn to(list: &List) -> Value {
    Value::Reference(list.reference())
}

fn list_of(value: &Value) -> List {
    let Value::Reference(reference) = value else {
        panic!("no reference: {value:?}")
    };
    List::of_reference(reference).unwrap().unwrap()
}

fn labelled(store: &Store, label: i64) -> List {
    let list = store.list().unwrap();
    list.append(&Value::Int(label)).unwrap();
    list
}

/// References, containers and images; everything is sound.
fn figures(store: &Store) -> (u64, u64, u64) {
    store.verify().unwrap();
    let stats = store.stats().unwrap();
    assert_eq!(stats.dying_objects, 0);
    (stats.references, stats.containers, stats.live_objects)
}

#[test]
fn what_is_read_is_the_thing_itself() {
    let store = small();
    let (outer, inner) = (store.dict().unwrap(), labelled(&store, 1));
    let key = Value::from("inner");
    outer.set(&key, &to(&inner)).unwrap();
    outer
        .set(&Value::from("image"), &to_image(&store, 7))
        .unwrap();
    drop(inner);
    assert_eq!(figures(&store), (2, 2, 1));
    list_of(&outer.get(&key).unwrap().unwrap())
        .append(&Value::Int(2))
        .unwrap();
    let again = list_of(&outer.get(&key).unwrap().unwrap());
    assert_eq!(again.to_vec().unwrap(), [Value::Int(1), Value::Int(2)]);
    let Some(Value::Reference(found)) = outer.get(&Value::from("image")).unwrap() else {
        panic!("no image")
    };
    assert!(found.image().unwrap().bytes().iter().all(|byte| *byte == 7));
    outer.verify().unwrap();
    outer.clear().unwrap();
    // Who has read them keeps them.
    assert_eq!(figures(&store), (0, 2, 1));
    drop((again, found));
    assert_eq!(figures(&store), (0, 1, 0));
    drop(outer);
    assert_eq!(figures(&store), (0, 0, 0));
}

/// Each operation, and how many of the images it leaves in a list of 1 int and 11 images.
#[test]
#[allow(clippy::too_many_lines, reason = "a table of all operations")]
fn a_list_refers_to_what_is_in_it_and_to_nothing_else() {
    type Step = fn(&Store, &List);
    let range = |start, stop| Slice::range(Some(start), Some(stop));
    let _ = range;
    let operations: &[(&str, Step, u64)] = &[
        ("nothing", |_, _| {}, 11),
        ("set", |_, list| list.set(1, &Value::Int(1)).unwrap(), 10),
        (
            "set a text",
            |_, list| list.set(1, &"a longer text".into()).unwrap(),
            10,
        ),
        (
            "set another",
            |store, list| list.set(-1, &to_image(store, 9)).unwrap(),
            11,
        ),
        (
            "set over an int",
            |store, list| list.set(0, &to_image(store, 9)).unwrap(),
            12,
        ),
        (
            "append",
            |store, list| list.append(&to_image(store, 9)).unwrap(),
            12,
        ),
        (
            "insert",
            |store, list| list.insert(5, &to_image(store, 9)).unwrap(),
            12,
        ),
        (
            "extend",
            |store, list| {
                list.extend(&[to_image(store, 9), Value::None, to_image(store, 9)])
                    .unwrap();
            },
            13,
        ),
        ("pop", |_, list| drop(list.pop(-1).unwrap()), 10),
        (
            "pop from the middle",
            |_, list| drop(list.pop(4).unwrap()),
            10,
        ),
        (
            "delete a slice",
            |_, list| {
                list.delete_slice(Slice::range(Some(0), Some(4))).unwrap();
            },
            8,
        ),
        (
            "delete every second",
            |_, list| {
                list.delete_slice(Slice {
                    start: None,
                    stop: None,
                    step: 2,
                })
                .unwrap();
            },
            6,
        ),
        (
            "replace a slice",
            |store, list| {
                list.set_slice(Slice::range(Some(2), Some(9)), &[to_image(store, 9)])
                    .unwrap();
            },
            5,
        ),
        (
            "replace every third",
            |store, list| {
                let values = [
                    to_image(store, 9),
                    Value::None,
                    Value::Int(1),
                    to_image(store, 8),
                ];
                list.set_slice(
                    Slice {
                        start: None,
                        stop: None,
                        step: 3,
                    },
                    &values,
                )
                .unwrap();
            },
            10,
        ),
        ("reverse", |_, list| list.reverse().unwrap(), 11),
        ("clear", |_, list| list.clear().unwrap(), 0),
        ("take all", |_, list| drop(list.take_all().unwrap()), 0),
        (
            "replace all",
            |store, list| {
                let values: Vec<Value> = (0..5).map(|n| to_image(store, n)).collect();
                list.replace(&values).unwrap();
            },
            5,
        ),
        (
            "replace all by many",
            |store, list| {
                let mut values = vec![Value::Int(5); 3000];
                values.insert(1000, to_image(store, 9));
                list.replace(&values).unwrap();
            },
            1,
        ),
        (
            "a new directory",
            |_, list| {
                list.extend(&vec![Value::Int(7); 20_000]).unwrap();
                list.delete_slice(Slice::range(Some(12), None)).unwrap();
            },
            11,
        ),
        (
            "made anew",
            |_, list| {
                list.extend(&vec![Value::Int(7); 20_000]).unwrap();
                list.delete_slice(Slice::range(Some(2), None)).unwrap();
            },
            1,
        ),
        (
            "exchange",
            |store, list| {
                let old = list.get(3).unwrap();
                assert!(!list.compare_exchange(2, &old, &Value::None).unwrap());
                assert!(list.compare_exchange(3, &old, &Value::None).unwrap());
                assert!(!list.compare_exchange(3, &old, &to_image(store, 1)).unwrap());
            },
            10,
        ),
        (
            "the same twice",
            |_, list| list.append(&list.get(1).unwrap()).unwrap(),
            12,
        ),
    ];
    for (name, operation, left) in operations {
        let store = small();
        let list = labelled(&store, 0);
        let values: Vec<Value> = (0..11).map(|n| to_image(&store, n)).collect();
        list.extend(&values).unwrap();
        drop(values);
        assert_eq!(figures(&store), (11, 1, 11), "{name}");
        operation(&store, &list);
        list.verify().unwrap();
        let held = list.to_vec().unwrap();
        let read = held
            .iter()
            .filter(|value| matches!(value, Value::Reference(_)));
        assert_eq!(read.count() as u64, *left, "{name}");
        drop(held);
        let (references, containers, images) = figures(&store);
        let shared = u64::from(*name == "the same twice");
        assert_eq!(
            (references, containers, images),
            (*left, 1, left - shared),
            "{name}"
        );
        drop(list);
        assert_eq!(figures(&store), (0, 0, 0), "{name}");
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table of all operations")]
fn a_dict_refers_to_what_is_in_it_and_to_nothing_else() {
    type Step = fn(&Store, &Dict);
    let operations: &[(&str, Step, u64)] = &[
        ("nothing", |_, _| {}, 9),
        (
            "replace",
            |_, dict| dict.set(&1.into(), &2.into()).unwrap(),
            8,
        ),
        (
            "replace by another",
            |store, dict| dict.set(&1.into(), &to_image(store, 3)).unwrap(),
            9,
        ),
        (
            "add",
            |store, dict| dict.set(&100.into(), &to_image(store, 3)).unwrap(),
            10,
        ),
        (
            "delete",
            |_, dict| assert!(dict.delete(&4.into()).unwrap()),
            8,
        ),
        (
            "pop",
            |_, dict| drop(dict.pop(&4.into()).unwrap().unwrap()),
            8,
        ),
        (
            "pop the last",
            |_, dict| drop(dict.pop_item(End::Last).unwrap().unwrap()),
            8,
        ),
        (
            "set a default",
            |store, dict| {
                assert!(
                    dict.set_default(&1.into(), &to_image(store, 3))
                        .unwrap()
                        .is_some()
                );
                assert!(
                    dict.set_default(&200.into(), &to_image(store, 3))
                        .unwrap()
                        .is_none()
                );
            },
            10,
        ),
        (
            "update",
            |store, dict| {
                let items: Vec<_> = (0..40)
                    .map(|n| {
                        (
                            Value::Int(n),
                            if n % 2 == 0 {
                                Value::Int(n)
                            } else {
                                to_image(store, 5)
                            },
                        )
                    })
                    .collect();
                dict.update(&items).unwrap();
            },
            20,
        ),
        ("clear", |_, dict| dict.clear().unwrap(), 0),
        (
            "clear many",
            |_, dict| {
                let items: Vec<_> = (0..5000)
                    .map(|n| (Value::Int(n + 50), Value::Int(n)))
                    .collect();
                dict.update(&items).unwrap();
                dict.clear().unwrap();
            },
            0,
        ),
        (
            "made anew",
            |_, dict| {
                let items: Vec<_> = (0..30_000)
                    .map(|n| (Value::Int(n + 50), "a longer text".into()))
                    .collect();
                dict.update(&items).unwrap();
                for (key, _) in &items {
                    assert!(dict.delete(key).unwrap());
                }
            },
            9,
        ),
        (
            "exchange",
            |_, dict| {
                let old = dict.get(&3.into()).unwrap().unwrap();
                assert!(
                    dict.compare_exchange(&3.into(), &old, &Value::None)
                        .unwrap()
                );
                assert!(
                    !dict
                        .compare_exchange(&3.into(), &old, &Value::None)
                        .unwrap()
                );
            },
            8,
        ),
        (
            "move to the end",
            |_, dict| assert!(dict.move_to_end(&3.into()).unwrap()),
            9,
        ),
    ];
    for (name, operation, left) in operations {
        let store = small();
        let dict = store.dict().unwrap();
        for n in 0..9u8 {
            dict.set(&Value::Int(n.into()), &to_image(&store, n))
                .unwrap();
        }
        operation(&store, &dict);
        dict.verify().unwrap();
        let values = dict.values().unwrap();
        let read = values
            .iter()
            .filter(|value| matches!(value, Value::Reference(_)));
        assert_eq!(read.count() as u64, *left, "{name}");
        drop(values);
        assert_eq!(dict.picture().unwrap().count() as u64, dict.len().unwrap());
        assert_eq!(figures(&store), (*left, 1, *left), "{name}");
        drop(dict);
        assert_eq!(figures(&store), (0, 0, 0), "{name}");
    }
}

#[test]
fn a_single_value_refers_to_one_thing() {
    let store = small();
    let cell = Cell::create(&store).unwrap();
    let inner = Cell::create(&store).unwrap();
    let list = store.list().unwrap();
    list.append(&Value::Reference(cell.reference())).unwrap();
    let Value::Reference(found) = list.get(0).unwrap() else {
        panic!("no reference")
    };
    let found = Cell::of_reference(&found).unwrap().unwrap();
    found
        .set(&onecopy::shared::Incoming::Reference(&inner.reference()))
        .unwrap();
    drop((inner, found));
    assert_eq!(figures(&store), (2, 3, 0));
    cell.set(&onecopy::shared::Incoming::Word(
        onecopy::shared::Word::NONE,
    ))
    .unwrap();
    assert_eq!(figures(&store), (1, 2, 0));
}

#[test]
fn sets_and_counters_come_back_as_what_they_are_and_are_no_keys() {
    let store = small();
    let (set, counter) = (store.set().unwrap(), store.counter().unwrap());
    let list = store.list().unwrap();
    let references = [
        set.reference(),
        counter.reference(),
        store.dict().unwrap().reference(),
    ];
    list.extend(&references.clone().map(Value::Reference))
        .unwrap();
    let found: Vec<_> = list.to_vec().unwrap();
    for (nth, value) in found.iter().enumerate() {
        let Value::Reference(reference) = value else {
            panic!("no reference")
        };
        assert_eq!(
            onecopy::Set::of_reference(reference).unwrap().is_some(),
            nth == 0
        );
        assert_eq!(
            onecopy::Counter::of_reference(reference).unwrap().is_some(),
            nth == 1
        );
        assert!(List::of_reference(reference).unwrap().is_none());
        let error = set.insert(value).unwrap_err();
        assert!(matches!(error, DictError::NoKey { .. }), "{error}");
    }
}

#[test]
fn what_lies_in_another_store_is_refused_and_leaves_nothing() {
    let (store, other) = (small(), small());
    let list = labelled(&store, 0);
    let foreign = labelled(&other, 1);
    let refused = |result: Result<(), ListError>| {
        let error = result.unwrap_err();
        assert!(
            matches!(error, ListError::Container(ContainerError::OtherStore)),
            "{error}"
        );
    };
    let inner = labelled(&store, 2);
    refused(list.append(&to(&foreign)));
    refused(list.set(0, &to(&foreign)));
    refused(list.extend(&[to(&inner), to(&foreign)]));
    refused(list.insert(0, &to(&foreign)));
    refused(list.replace(&[to(&inner), to(&foreign)]));
    let mut many = vec![Value::Int(0); 2000];
    many.extend([to(&inner), to(&foreign)]);
    refused(list.replace(&many));
    assert_eq!(list.to_vec().unwrap(), [Value::Int(0)]);
    list.verify().unwrap();
    assert_eq!(figures(&store), (0, 2, 0));
}

#[test]
fn a_chain_of_thousands_of_containers_goes_without_recursion() {
    let store = small();
    let mut last = store.list().unwrap();
    for _ in 0..5000 {
        let next = store.list().unwrap();
        next.append(&to(&last)).unwrap();
        last = next;
    }
    assert_eq!(figures(&store), (5000, 5001, 0));
    drop(last);
    assert_eq!(figures(&store), (0, 0, 0));
    assert_eq!(store.stats().unwrap().allocated_bytes, 0);
}

#[test]
fn a_container_with_many_references_goes_whole() {
    let store = small();
    let (outer, inner) = (store.list().unwrap(), store.list().unwrap());
    outer.extend(&vec![to(&inner); 3000]).unwrap();
    assert_eq!(figures(&store), (3000, 2, 0));
    drop(inner);
    drop(outer);
    assert_eq!(figures(&store), (0, 0, 0));
}

#[test]
fn cycles_live_until_they_are_collected() {
    let store = small();
    let kept = labelled(&store, 1);
    kept.append(&to(&kept)).unwrap();
    let (one, other) = (labelled(&store, 2), store.dict().unwrap());
    one.append(&Value::Reference(other.reference())).unwrap();
    other.set(&Value::None, &to(&one)).unwrap();
    one.append(&to(&kept)).unwrap();
    one.append(&to_image(&store, 3)).unwrap();
    let token = other.token().unwrap();
    drop((one, other));
    store.collect(None).unwrap();
    // The token still leads there.
    assert_eq!(figures(&store), (5, 3, 1));
    let again = Dict::attach(&token).unwrap();
    store.collect(Some(Duration::ZERO)).unwrap();
    assert_eq!(figures(&store), (5, 3, 1));
    drop(again);
    assert_eq!(figures(&store), (5, 3, 1));
    let collected = store.collect(None).unwrap();
    assert_eq!((collected.cycles, collected.objects), (2, 3));
    assert_eq!(figures(&store), (1, 1, 0));
    assert_eq!(
        list_of(&kept.get(1).unwrap()).get(0).unwrap(),
        Value::Int(1)
    );
    drop(kept);
    store.collect(None).unwrap();
    assert_eq!(figures(&store), (0, 0, 0));
}

#[test]
fn readers_beside_a_writer_find_something_that_is_there() {
    let store = small();
    let outer = store.list().unwrap();
    outer
        .extend(&[to(&labelled(&store, 0)), to(&labelled(&store, 1))])
        .unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..2000 {
                outer.set(n % 2, &to(&labelled(&store, n))).unwrap();
                if n % 7 == 0 {
                    outer.insert(0, &outer.pop(-1).unwrap()).unwrap();
                }
            }
        });
        let mut reads = 0;
        while !writer.is_finished() || reads < 100 {
            if let Ok(value) = outer.get(reads % 2) {
                assert_eq!(list_of(&value).len().unwrap(), 1);
            }
            for value in outer.to_vec().unwrap() {
                assert_eq!(list_of(&value).len().unwrap(), 1);
            }
            reads += 1;
        }
    });
    outer.verify().unwrap();
    assert_eq!(figures(&store), (2, 3, 0));
}

#[test]
fn whoever_reads_a_large_value_waits_for_no_writer() {
    let store = small();
    let dict = store.dict().unwrap();
    // Another handle knows no chunk that comes after it.
    let other = Dict::attach(&dict.token().unwrap()).unwrap();
    let large = Value::Bytes(vec![7; 3 << 20]);
    dict.set(&Value::Int(1), &large).unwrap();
    let locked = dict.lock(None).unwrap();
    let found = std::thread::spawn(move || other.get(&Value::Int(1)));
    // It would wait for ten seconds, and then be refused.
    assert_eq!(found.join().unwrap().unwrap(), Some(large));
    drop(locked);
    dict.verify().unwrap();
}

#[test]
fn arrays_come_back_with_their_type() {
    use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
    let store = small();
    let (list, array) = (store.list().unwrap(), store.array::<AtomicI64>(10).unwrap());
    list.append(&Value::Reference(array.reference())).unwrap();
    array[3].store(5, Ordering::Relaxed);
    drop(array);
    let Value::Reference(found) = list.get(0).unwrap() else {
        panic!("no reference")
    };
    assert!(onecopy::Array::<AtomicU8>::of_reference(&found).is_err());
    let array = onecopy::Array::<AtomicI64>::of_reference(&found).unwrap();
    assert_eq!(array.unwrap()[3].load(Ordering::Relaxed), 5);
    assert!(
        onecopy::Array::<AtomicI64>::of_reference(&list.reference())
            .unwrap()
            .is_none()
    );
}
