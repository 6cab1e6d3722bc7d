//! Lists against a `Vec`, alone and beside others.
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "numbers of elements, far below any limit"
)]

use onecopy::shared::Slice;
use onecopy::{List, ListError, Store, Value};
use proptest::collection::vec;
use proptest::prelude::*;

fn store() -> Store {
    Store::options().capacity_bytes(1 << 33).create().unwrap()
}

fn ints(range: std::ops::Range<i64>) -> Vec<Value> {
    range.map(Value::Int).collect()
}

/// A value of any kind, of every length that a container treats in its own way.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        (-3i64..3).prop_map(Value::Int),
        any::<i64>().prop_map(Value::Int),
        (-1e9..1e9).prop_map(Value::Float),
        "[a-z]{0,9}".prop_map(Value::Str),
        "[a-zé]{0,9}".prop_map(Value::Str),
        "\\PC{0,12}".prop_map(Value::Str),
        vec(any::<u8>(), 0..90).prop_map(Value::Bytes),
        (1000usize..9000).prop_map(|len| Value::Bytes(vec![7; len])),
        vec(any::<u8>(), 1..30).prop_map(Value::Pickle),
        Just(Value::Surrogates(vec![0xd800, 65])),
        Just(Value::BigInt(vec![1; 12])),
    ]
}

/// Many values, most of them short.
fn values() -> impl Strategy<Value = Vec<Value>> {
    prop_oneof![
        6 => vec(value(), 0..12),
        1 => (0usize..1400, value()).prop_map(|(count, value)| vec![value; count]),
        1 => (0i64..1400).prop_map(|count| ints(0..count)),
    ]
}

fn slice() -> impl Strategy<Value = Slice> {
    let bound = || proptest::option::of(prop_oneof![3 => -20i64..20, 1 => -2000i64..2000]);
    let step = prop_oneof![4 => Just(1i64), 1 => 2i64..5, 1 => -4i64..0];
    (bound(), bound(), step).prop_map(|(start, stop, step)| Slice { start, stop, step })
}

#[derive(Debug, Clone)]
enum Operation {
    Get(i64),
    Set(i64, Value),
    Append(Value),
    Extend(Vec<Value>),
    Insert(i64, Value),
    Pop(i64),
    Remove(Value),
    Position(Value),
    Slice(Slice),
    SetSlice(Slice, Vec<Value>),
    DeleteSlice(Slice),
    Add(i64, i64),
    Exchange(i64, Value, Value),
    Replace(Vec<Value>),
    Reverse,
    Clear,
    TakeAll,
}

fn index() -> impl Strategy<Value = i64> {
    prop_oneof![3 => -8i64..8, 1 => -1600i64..1600, 1 => any::<i64>()]
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation as O;
    prop_oneof![
        4 => index().prop_map(O::Get),
        4 => (index(), value()).prop_map(|(index, value)| O::Set(index, value)),
        6 => value().prop_map(O::Append),
        4 => values().prop_map(O::Extend),
        6 => (index(), value()).prop_map(|(index, value)| O::Insert(index, value)),
        6 => index().prop_map(O::Pop),
        1 => value().prop_map(O::Remove),
        1 => value().prop_map(O::Position),
        3 => slice().prop_map(O::Slice),
        6 => (slice(), values()).prop_map(|(slice, values)| O::SetSlice(slice, values)),
        4 => slice().prop_map(O::DeleteSlice),
        2 => (index(), any::<i64>()).prop_map(|(index, amount)| O::Add(index, amount)),
        2 => (index(), value(), value()).prop_map(|(index, old, new)| O::Exchange(index, old, new)),
        1 => values().prop_map(O::Replace),
        1 => Just(O::Reverse),
        1 => Just(O::Clear),
        1 => Just(O::TakeAll),
    ]
}

/// What Python's `range(*slice.indices(len))` gives, one by one.
fn indices(slice: Slice, len: usize) -> Vec<usize> {
    let len = len as i64;
    let bound = |index: Option<i64>, open: i64| {
        let Some(index) = index else { return open };
        let index = if index < 0 { index + len } else { index };
        if slice.step > 0 {
            index.clamp(0, len)
        } else {
            index.clamp(-1, len - 1)
        }
    };
    let (first, last) = if slice.step > 0 {
        (0, len)
    } else {
        (len - 1, -1)
    };
    let (mut at, stop) = (bound(slice.start, first), bound(slice.stop, last));
    let mut all = Vec::new();
    while (slice.step > 0 && at < stop) || (slice.step < 0 && at > stop) {
        all.push(usize::try_from(at).unwrap());
        at += slice.step;
    }
    all
}

fn place(model: &[Value], index: i64) -> Option<usize> {
    let place = if index < 0 {
        i128::from(index) + model.len() as i128
    } else {
        i128::from(index)
    };
    usize::try_from(place)
        .ok()
        .filter(|place| *place < model.len())
}

/// Where a slice with step 1 begins, and how long it is.
fn cut(slice: Slice, len: usize) -> std::ops::Range<usize> {
    let open = indices(
        Slice {
            stop: None,
            ..slice
        },
        len,
    );
    let start = open.first().copied().unwrap_or(len);
    start..start + indices(slice, len).len()
}

#[allow(clippy::too_many_lines, reason = "one arm an operation")]
fn apply(list: &List, model: &mut Vec<Value>, operation: Operation) {
    use Operation as O;
    match operation {
        O::Get(index) => match place(model, index) {
            Some(place) => assert_eq!(list.get(index).unwrap(), model[place]),
            None => assert!(matches!(list.get(index), Err(ListError::NoElement { .. }))),
        },
        O::Set(index, value) => match place(model, index) {
            Some(place) => {
                list.set(index, &value).unwrap();
                model[place] = value;
            }
            None => assert!(list.set(index, &value).is_err()),
        },
        O::Append(value) => {
            list.append(&value).unwrap();
            model.push(value);
        }
        O::Extend(values) => {
            list.extend(&values).unwrap();
            model.extend(values);
        }
        O::Insert(index, value) => {
            list.insert(index, &value).unwrap();
            let len = model.len() as i64;
            let index = if index < 0 {
                index.saturating_add(len)
            } else {
                index
            };
            model.insert(index.clamp(0, len) as usize, value);
        }
        O::Pop(index) => match place(model, index) {
            Some(place) => assert_eq!(list.pop(index).unwrap(), model.remove(place)),
            None => assert!(list.pop(index).is_err()),
        },
        O::Remove(value) => {
            let place = model.iter().position(|element| *element == value);
            assert_eq!(list.remove(&value).unwrap(), place.is_some());
            place.map(|place| model.remove(place));
        }
        O::Position(value) => {
            let place = model.iter().position(|element| *element == value);
            assert_eq!(
                list.position(&value).unwrap(),
                place.map(|place| place as u64)
            );
        }
        O::Slice(slice) => {
            let expected: Vec<_> = indices(slice, model.len())
                .iter()
                .map(|place| model[*place].clone())
                .collect();
            assert_eq!(list.slice(slice).unwrap(), expected);
        }
        O::SetSlice(slice, values) if slice.step == 1 => {
            list.set_slice(slice, &values).unwrap();
            model.splice(cut(slice, model.len()), values);
        }
        O::SetSlice(slice, mut values) => {
            let places = indices(slice, model.len());
            if places.len() != values.len() {
                assert!(matches!(
                    list.set_slice(slice, &values),
                    Err(ListError::SliceLength { .. })
                ));
            }
            values.resize(places.len(), Value::from("filled up"));
            list.set_slice(slice, &values).unwrap();
            for (place, value) in places.into_iter().zip(values) {
                model[place] = value;
            }
        }
        O::DeleteSlice(slice) => {
            list.delete_slice(slice).unwrap();
            let mut places = indices(slice, model.len());
            places.sort_unstable();
            for place in places.into_iter().rev() {
                model.remove(place);
            }
        }
        O::Add(index, amount) => {
            let Some(place) = place(model, index) else {
                assert!(matches!(
                    list.add(index, amount),
                    Err(ListError::NoElement { .. })
                ));
                return;
            };
            let small = |int: &i64| (-(1 << 47)..1 << 47).contains(int);
            let old = if let Value::Int(old) = model[place] {
                Some(old).filter(small)
            } else {
                None
            };
            match old.and_then(|old| old.checked_add(amount)).filter(small) {
                Some(sum) => {
                    assert_eq!(list.add(index, amount).unwrap(), sum);
                    model[place] = Value::Int(sum);
                }
                None => assert!(matches!(
                    list.add(index, amount),
                    Err(ListError::NoInt { .. })
                )),
            }
        }
        O::Exchange(index, old, new) => {
            let Some(place) = place(model, index) else {
                assert!(list.compare_exchange(index, &old, &new).is_err());
                return;
            };
            let is_old = model[place] == old;
            assert_eq!(list.compare_exchange(index, &old, &new).unwrap(), is_old);
            let old = list.get(index).unwrap();
            assert!(list.compare_exchange(index, &old, &new).unwrap());
            model[place] = new;
        }
        O::Replace(values) => {
            list.replace(&values).unwrap();
            *model = values;
        }
        O::Reverse => {
            list.reverse().unwrap();
            model.reverse();
        }
        O::Clear => {
            list.clear().unwrap();
            model.clear();
        }
        O::TakeAll => assert_eq!(list.take_all().unwrap(), std::mem::take(model)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_list_does_what_a_vec_does(operations in vec(operation(), 1..60)) {
        let list = store().list().unwrap();
        let mut model = Vec::new();
        for operation in operations {
            apply(&list, &mut model, operation);
            prop_assert_eq!(list.len().unwrap(), model.len() as u64);
            list.verify().unwrap();
        }
        prop_assert_eq!(&list.to_vec().unwrap(), &model);
        let each: Result<Vec<Value>, _> = list.iter().collect();
        prop_assert_eq!(each.unwrap(), model);
    }
}

/// Cuts and pastes at all places where pages meet, by all amounts that turn them one way or the other.
#[test]
fn every_splice_around_the_edges_of_pages() {
    let list = store().list().unwrap();
    let places = [
        0, 1, 255, 256, 257, 511, 512, 513, 1000, 1023, 1024, 1025, 1535, 1536, 2047, 2048,
    ];
    let amounts = [
        0, 1, 2, 255, 256, 257, 300, 511, 512, 513, 767, 768, 769, 1024, 1300,
    ];
    let stride = if cfg!(debug_assertions) { 7 } else { 1 };
    let mut nth = 0;
    for start in places {
        for removed in amounts {
            for added in amounts {
                nth += 1;
                if start + removed > 2048 || nth % stride != 0 {
                    continue;
                }
                let mut model = ints(0..2048);
                list.replace(&model).unwrap();
                // Pages that begin somewhere, and elements that begin somewhere.
                for round in 0..nth % 5 {
                    apply(
                        &list,
                        &mut model,
                        Operation::Insert(round * 300, Value::Int(-round)),
                    );
                    apply(&list, &mut model, Operation::Pop(round * 500));
                }
                let new = ints(10_000..10_000 + added);
                let slice = Slice::range(Some(start), Some(start + removed));
                apply(&list, &mut model, Operation::SetSlice(slice, new));
                assert_eq!(list.to_vec().unwrap(), model, "{start} {removed} {added}");
                list.verify().unwrap();
            }
        }
    }
}

#[test]
fn a_queue_takes_no_more_memory_than_it_holds() {
    let store = store();
    let list = store.list().unwrap();
    for n in 0..40_000 {
        list.append(&Value::Int(n)).unwrap();
        if n >= 100 {
            assert_eq!(list.pop(0).unwrap(), Value::Int(n - 100));
        }
    }
    for n in (39_900 - 40_000..39_900).rev() {
        list.insert(0, &Value::Int(n)).unwrap();
        list.pop(-1).unwrap();
    }
    list.verify().unwrap();
    assert_eq!(list.to_vec().unwrap(), ints(-100..0));
    assert!(store.stats().unwrap().allocated_bytes < 256 << 10);
}

/// Ten million elements, appended one by one; then the memory comes back, by popping and at once.
#[test]
fn memory_grows_with_the_list_and_comes_back() {
    const MANY: u64 = if cfg!(debug_assertions) {
        1_000_000
    } else {
        10_000_000
    };
    let store = store();
    let list = store.list().unwrap();
    let allocated = || store.stats().unwrap().allocated_bytes;
    let fill_up = || (0..MANY as i64).for_each(|n| list.append(&Value::Int(n)).unwrap());
    fill_up();
    assert_eq!(list.len().unwrap(), MANY);
    assert_eq!(list.get(-1).unwrap(), Value::Int(MANY as i64 - 1));
    let full = allocated();
    assert!(full < MANY * 8 * 5 / 4, "{full} bytes for {MANY} words");
    for left in (0..MANY).rev() {
        assert_eq!(list.pop(-1).unwrap(), Value::Int(left as i64));
        if left == MANY / 5 {
            assert!(
                allocated() < full / 3,
                "{} of {full} bytes for a fifth",
                allocated()
            );
        }
    }
    let popped = allocated();
    assert!(popped < full / 20, "{popped} of {full} bytes for none");
    list.verify().unwrap();
    fill_up();
    list.clear().unwrap();
    assert!(
        allocated() < full / 20,
        "{} of {full} bytes after clear",
        allocated()
    );
    list.verify().unwrap();
    // Blobs as well, and what replaces them.
    let text = Value::Bytes(vec![1; 1000]);
    list.extend(&vec![text.clone(); 20_000]).unwrap();
    let full = allocated();
    assert!(full > 20_000_000 && full < 25_000_000, "{full}");
    list.replace(&ints(0..9)).unwrap();
    assert!(allocated() < full / 20, "{}", allocated());
    list.extend(&vec![text; 20_000]).unwrap();
    list.delete_slice(Slice::range(Some(5), None)).unwrap();
    assert!(allocated() < full / 20, "{}", allocated());
    assert_eq!(list.to_vec().unwrap(), ints(0..5));
    list.verify().unwrap();
    drop(list);
    assert_eq!(store.stats().unwrap().allocated_bytes, 0);
}

/// A list is what all who have its token see.
#[test]
fn a_token_leads_to_the_same_list() {
    let store = store();
    let list = store.list().unwrap();
    list.append(&Value::from("one")).unwrap();
    let same = List::attach(&list.token().unwrap()).unwrap();
    same.append(&Value::from("a text that needs a block"))
        .unwrap();
    assert_eq!(list.to_vec().unwrap(), same.to_vec().unwrap());
    // What one of them adds, the other finds, and writes to.
    list.extend(&ints(0..100_000)).unwrap();
    same.set(-1, &Value::from("a text that needs a block, too"))
        .unwrap();
    same.insert(50_000, &Value::None).unwrap();
    assert_eq!(
        list.get(-1).unwrap(),
        Value::from("a text that needs a block, too")
    );
    list.clear().unwrap();
    same.extend(&ints(0..100_000)).unwrap();
    assert_eq!(list.len().unwrap(), 100_000);
    same.verify().unwrap();
    let token = list.token().unwrap();
    drop((list, same));
    assert_eq!(List::attach(&token).unwrap().get(5).unwrap(), Value::Int(5));
    assert!(
        List::attach(&token).is_err(),
        "the token was the last interest in it"
    );
}

/// What a sort does: it takes a copy, and puts it back in order if nothing has happened since.
#[test]
fn all_is_replaced_only_if_nothing_has_changed_since_the_copy() {
    type Change = fn(&List, &Value);
    let list = store().list().unwrap();
    let long = Value::from("a text that needs a block");
    let changes: [Change; 6] = [
        |list, long| list.set(0, long).unwrap(),
        |list, _| list.set(-1, &Value::None).unwrap(),
        |list, long| list.append(long).unwrap(),
        |list, _| list.insert(1, &Value::None).unwrap(),
        |list, _| drop(list.pop(-1).unwrap()),
        |list, _| list.clear().unwrap(),
    ];
    for count in [3, 2000] {
        for change in changes {
            list.replace(&vec![long.clone(); count]).unwrap();
            let copy = list.raw().snapshot().unwrap();
            assert_eq!((copy.len(), copy.list_len()), (count, count as u64));
            let mut words: Vec<_> = copy.iter().collect();
            words.pop();
            let moment = copy.moment().unwrap();
            assert!(list.raw().is_now(moment));
            assert!(list.raw().snapshot().unwrap().is_identical(&copy));
            change(&list, &long);
            assert!(!list.raw().is_now(moment));
            let now = list.to_vec().unwrap();
            assert!(!list.raw().replace_if(moment, &words).unwrap());
            assert_eq!(list.to_vec().unwrap(), now);
            let moment = list.raw().chunk(0, 1).unwrap().moment().unwrap();
            assert!(list.raw().replace_if(moment, &words).unwrap());
            assert_eq!(list.to_vec().unwrap(), vec![long.clone(); count - 1]);
            list.verify().unwrap();
        }
    }
}

/// An iterator that reads ahead sees what a loop over the indices sees.
#[test]
fn an_iterator_sees_each_change_in_front_of_it() {
    let list = store().list().unwrap();
    list.extend(&ints(0..1000)).unwrap();
    let mut seen = Vec::new();
    for (nth, element) in (0..).zip(&list) {
        seen.push(element.unwrap());
        match nth % 400 {
            100 => list.set(nth + 1, &Value::from("changed")).unwrap(),
            200 => list.insert(nth + 2, &Value::from("inserted")).unwrap(),
            300 => drop(list.pop(0).unwrap()),
            301 => list.append(&Value::from("appended")).unwrap(),
            _ => {}
        }
        if nth == 950 {
            list.delete_slice(Slice::range(Some(960), None)).unwrap();
        }
    }
    let mut expected = ints(0..1000);
    let mut by_index = Vec::new();
    let mut nth = 0;
    while nth < expected.len() {
        by_index.push(expected[nth].clone());
        match nth % 400 {
            100 => expected[nth + 1] = Value::from("changed"),
            200 => expected.insert(nth + 2, Value::from("inserted")),
            300 => drop(expected.remove(0)),
            301 => expected.push(Value::from("appended")),
            _ => {}
        }
        if nth == 950 {
            expected.truncate(960);
        }
        nth += 1;
    }
    assert_eq!(seen, by_index);
}
