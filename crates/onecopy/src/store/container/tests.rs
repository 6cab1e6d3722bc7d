//! What containers need that no other object does: names of threads, and which spans are their own.

use std::sync::mpsc;

use super::*;
use crate::store::Store;

fn container() -> Container {
    let store = Store::options().capacity_bytes(1 << 30).create().unwrap();
    Container::new(&store, 3, 10_000).unwrap()
}

#[test]
fn a_living_thread_is_absent_nowhere_and_an_ended_one_everywhere() {
    let first = container();
    let second = container();
    let own = first.thread().unwrap();
    // Each store has its names, and the answer of one is not taken for that of the other.
    let names = [&first, &second, &first].map(|container| container.thread().unwrap());
    assert_eq!(names[0], names[2]);
    assert_eq!(first.thread().unwrap(), own);
    assert!(!first.is_absent(own) && !first.is_absent(own | 1));
    assert_eq!(first.pid_of(own), std::process::id());
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let other = first.clone();
    let thread = std::thread::spawn(move || {
        let word = other.thread().unwrap();
        assert_eq!(other.thread().unwrap(), word);
        tell.send(word).unwrap();
        ended.recv().unwrap_err();
    });
    let other = told.recv().unwrap();
    assert_ne!(other, own);
    // It is one of this process, which says nothing about a container's lock.
    assert!(!first.is_absent(other));
    assert_eq!(first.pid_of(other), std::process::id());
    drop(end);
    thread.join().unwrap();
    assert!(first.is_absent(other));
    // The slot goes to another thread, and the name of the first stays absent.
    let next = std::thread::scope(|scope| {
        let next = scope.spawn(|| {
            let word = first.thread().unwrap();
            assert!(first.is_absent(other) && !first.is_absent(word));
            word
        });
        next.join().unwrap()
    });
    assert_eq!(next >> 17, other >> 17, "the slot is the same");
    assert!(first.is_absent(other) && first.is_absent(next));
}

#[test]
fn a_word_that_names_nobody_is_absent() {
    let container = container();
    for word in [0, 1, 30_000 << 17, u32::MAX] {
        assert!(container.is_absent(word), "{word:#x}");
        assert_eq!(container.pid_of(word), 0, "{word:#x}");
    }
}

#[test]
fn a_container_owns_its_run_and_its_chunks_as_they_come_and_go() {
    let container = container();
    let first = container.first();
    assert!(container.owns(first) && container.owns(first + container.len() - 1));
    let old = container.add_chunk(100_000, 1).unwrap();
    let new = container.add_chunk(100_000, 2).unwrap();
    let ends = |chunk: Chunk| [chunk.offset, chunk.offset + chunk.len - 1];
    assert!(
        ends(old)
            .into_iter()
            .chain(ends(new))
            .all(|at| container.owns(at))
    );
    assert!(!container.owns(new.offset + (4 << 20)));
    // Another handle of the same container does not know yet.
    let other = Container::attach(&container.token().unwrap()).unwrap();
    assert!(other.owns(first) && !other.owns(old.offset));
    assert!(other.owns_after_look(old.offset) && other.owns(new.offset));
    container.free_chunks(|tag| tag == 1).unwrap();
    assert!(!container.owns(old.offset) && container.owns(new.offset));
    assert!(!other.owns_after_look(old.offset));
    assert!(other.owns(new.offset) && other.owns(first));
    // What is another's is nobody's here.
    let object = container.store().share_slice(&vec![1u8; 100_000]).unwrap();
    let reused = (0..1 << 30)
        .step_by(1 << 16)
        .filter(|at| other.owns_after_look(*at));
    assert_eq!(reused.count(), 3, "its own run and two spans");
    drop(object);
}

#[test]
fn a_place_in_the_data_area_is_named_by_its_place_in_the_file() {
    let container = container();
    let at = container.first() + 8;
    let corrupt = container.corrupt(at, "wrong");
    let geometry = &container.attached().file.geometry;
    assert_eq!(corrupt.offset, geometry.data_start + at);
    let (_, len) = container.data();
    assert_eq!(len, geometry.span_count * SPAN);
}
