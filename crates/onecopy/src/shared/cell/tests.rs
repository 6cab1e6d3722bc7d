//! Values of all kinds, replaced and damaged.

use super::*;
use crate::shared::layout::{ARMED, RECORD, class_of};
use crate::shared::look::Retry;
use crate::shared::rust_value::{Value, Values};
use crate::shared::value::{Kind, LARGE_MAGIC};
use crate::store::SPAN;

fn cell() -> Cell {
    Cell::create(&Store::options().capacity_bytes(1 << 30).create().unwrap()).unwrap()
}

fn put(cell: &Cell, value: &Value) {
    value.with_incoming(|incoming| cell.set(&incoming)).unwrap();
}

fn get(cell: &Cell) -> Value {
    cell.get(&Values).unwrap().unwrap()
}

#[test]
fn any_value_comes_back() {
    let cell = cell();
    assert_eq!(get(&cell), Value::None);
    let values = [
        Value::Bool(true),
        Value::Int(-7),
        Value::Int(i64::MIN),
        Value::BigInt(vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
        Value::Float(-0.5),
        Value::Float(f64::INFINITY),
        Value::Str(String::new()),
        Value::Str("short".into()),
        Value::Str("é".into()),
        Value::Str("longer than a word".into()),
        Value::Str("日本語".into()),
        Value::Str("🦀🦀".into()),
        Value::Surrogates(vec![0xd800, 65]),
        Value::Bytes(vec![]),
        Value::Bytes(vec![0; 1000]),
        Value::Bytes(vec![7; 1 << 20]),
        Value::Pickle(vec![1, 2, 3]),
        Value::None,
    ];
    for value in values.iter().chain(values.iter().rev()) {
        put(&cell, value);
        assert_eq!(&get(&cell), value);
        cell.verify().unwrap();
    }
}

#[test]
fn a_block_that_is_lost_is_found() {
    let cell = cell();
    put(&cell, &Value::Str("a text that needs a block".into()));
    cell.heap.words.store(cell.heap.head + WORD, Word::NONE.0);
    let error = cell.verify().unwrap_err().to_string();
    assert!(
        error.contains("a block in use that nothing leads to"),
        "{error}"
    );
}

#[test]
fn a_large_value_with_a_damaged_header_is_none() {
    let cell = cell();
    let value = Value::Bytes(vec![7; 3 << 20]);
    put(&cell, &value);
    let words = cell.heap.words;
    let mut spans = (0..words.len()).step_by(SPAN as usize);
    let magic = u64::from_le_bytes(LARGE_MAGIC);
    let object = spans.find(|at| words.load(*at) == Some(magic)).unwrap();
    for (index, bit) in [(0, 5), (1, 3), (1, 12), (2, 0), (2, 20), (2, 63)] {
        let at = object + 8 * index;
        let before = words.relaxed(at);
        words.store(at, before ^ 1 << bit);
        let read = cell.get(&Values);
        assert!(matches!(read, Err(ContainerError::Corrupt(_))), "{read:?}");
        let old = Incoming::Blob(Kind::Bytes, &[7]);
        assert!(matches!(
            cell.compare_exchange(&old, &old),
            Err(ContainerError::Corrupt(_))
        ));
        let error = cell.verify().unwrap_err();
        assert!(matches!(error, ContainerError::Corrupt(_)), "{error}");
        words.store(at, before);
        assert_eq!(get(&cell), value);
        cell.verify().unwrap();
    }
    // And what is no large value is not read as one, nor the other way round.
    let place = cell.heap.head + WORD;
    let large = Word(words.relaxed(place));
    words.store(place, Word::of_large(large.as_reference().unwrap() + 1).0);
    assert!(matches!(cell.get(&Values), Err(ContainerError::Corrupt(_))));
    words.store(place, large.0);
    let other = Cell::create(&cell.heap.container.store()).unwrap();
    cell.set(&Incoming::Reference(&other.reference())).unwrap();
    let word = Word(words.relaxed(place));
    words.store(place, Word::of_large(word.as_reference().unwrap()).0);
    assert!(matches!(cell.get(&Values), Err(ContainerError::Corrupt(_))));
    assert!(cell.verify().is_err());
}

#[test]
fn replaced_blobs_are_used_again() {
    let cell = cell();
    for number in 0..100_000u32 {
        put(&cell, &Value::Str(format!("a blob that changes: {number}")));
    }
    assert_eq!(get(&cell), Value::Str("a blob that changes: 99999".into()));
    assert_eq!(cell.heap.container.chunks().unwrap().len(), 0);
}

#[test]
fn long_blobs_do_not_pile_up_in_limbo() {
    let cell = cell();
    for letter in 0..40 {
        put(&cell, &Value::Bytes(vec![letter; 1 << 20]));
    }
    let chunks = cell.heap.container.chunks().unwrap();
    // The one that is there, those that wait, and the one that makes them too many.
    let bytes: u64 = chunks.iter().map(|chunk| chunk.len).sum();
    assert!(bytes < 8 << 20, "{bytes}");
    assert_eq!(get(&cell), Value::Bytes(vec![39; 1 << 20]));
    cell.verify().unwrap();
}

#[test]
fn who_takes_the_lock_again_finishes_what_a_failed_commit_left() {
    let cell = cell();
    let (words, head) = (cell.heap.words, cell.heap.head);
    put(&cell, &Value::Int(1));
    cell.heap.user_lock(std::time::Duration::ZERO).unwrap();
    // A commit that failed in the middle has armed its record.
    words.store(head + RECORD, head + WORD);
    words.store(head + RECORD + 8, Word::of_int(40).unwrap().0);
    words.store(head + ARMED, 1);
    assert_eq!(cell.add(2).unwrap(), Some(42));
    cell.heap.user_unlock().unwrap();
    assert_eq!(get(&cell), Value::Int(42));
    cell.verify().unwrap();
    // One that cannot be finished is said.
    cell.heap.user_lock(std::time::Duration::ZERO).unwrap();
    words.store(head + ARMED, 1 << 20);
    assert!(matches!(cell.add(2), Err(ContainerError::Corrupt(_))));
    words.store(head + ARMED, 0);
    cell.heap.user_unlock().unwrap();
    cell.verify().unwrap();
}

#[test]
fn what_is_between_two_chunks_is_not_the_containers() {
    let one = cell();
    let other = Cell::create(&one.heap.container.store()).unwrap();
    let add = |cell: &Cell| cell.heap.container.add_chunk(64 << 10, 9).unwrap();
    let first = add(&one);
    let between = [(); 40].map(|()| add(&other));
    let last = add(&one);
    assert!(
        between
            .iter()
            .all(|chunk| first.offset < chunk.offset && chunk.offset < last.offset)
    );
    let bytes = last.offset + last.len - first.offset;
    let heap = &one.heap;
    heap.own(first.offset).unwrap();
    heap.own(last.offset + last.len - 8).unwrap();
    heap.own_all(first.offset, first.len).unwrap();
    assert!(heap.own_all(first.offset, bytes).is_err());
    assert!(heap.own_all(first.offset, u64::MAX - 7).is_err());
    // What is filled is looked at in the same way.
    let locked = heap.lock().unwrap();
    let filled = locked.change().fill(first.offset, &vec![7; bytes as usize]);
    assert!(matches!(filled, Err(ContainerError::Corrupt(_))));
    assert_eq!(heap.words.relaxed(between[0].offset), 0);
    // And a blob so long is none.
    let (class, len) = (class_of(bytes - 8), bytes - 8);
    let header = Header::new(Kind::Bytes as u8, class, len);
    locked.prepare(first.offset, header.0).unwrap();
    let look = Look::locked(heap);
    assert_eq!(look.blob(first.offset), Err(Retry));
    let header = Header::new(Kind::Bytes as u8, class, 1 << 20);
    locked.prepare(first.offset, header.0).unwrap();
    assert_eq!(look.blob(first.offset), Ok((Kind::Bytes, 1 << 20)));
}

#[test]
fn a_sum_is_exact_and_what_is_no_int_is_refused() {
    let cell = cell();
    assert_eq!(cell.add(1).unwrap(), None);
    put(&cell, &Value::Int(40));
    assert_eq!(cell.add(2).unwrap(), Some(42));
    assert_eq!(cell.add(1 << 47).unwrap(), None);
    assert_eq!(get(&cell), Value::Int(42));
}

#[test]
fn a_reader_beside_a_writer_sees_whole_values() {
    let cell = cell();
    put(&cell, &Value::Str("x".repeat(40)));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..50_000u32 {
                let letter = char::from(b'a' + (number % 26) as u8);
                put(
                    &cell,
                    &Value::Str(letter.to_string().repeat(20 + number as usize % 40)),
                );
            }
        });
        let mut reads = 0u64;
        while !writer.is_finished() || reads < 1000 {
            let Value::Str(text) = get(&cell) else {
                panic!("no str")
            };
            let first = text.chars().next().unwrap();
            assert!(text.chars().all(|letter| letter == first), "{text}");
            reads += 1;
        }
    });
}
