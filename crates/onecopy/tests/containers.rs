//! Containers and their chunks as the layer above sees them, in one process and in several.
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "numbers of elements, far below any limit"
)]
#![allow(
    clippy::cast_ptr_alignment,
    reason = "offsets of chunks are multiples of 64 KiB"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onecopy::fork::Workers;
use onecopy::store::{Chunk, Container};
use onecopy::{AllocateError, AttachError, Object, Stats, Store, Token};

/// A forked worker of one test holds what the others have at that moment: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn small() -> Store {
    Store::options().capacity_bytes(1 << 33).create().unwrap()
}

/// The word at an offset of the data area.
fn word(container: &Container, offset: u64) -> &AtomicU64 {
    let (base, len) = container.data();
    assert!(offset + 8 <= len && offset.is_multiple_of(8));
    // SAFETY: within the data area (asserted).
    let place = unsafe { base.add(offset as usize) };
    // SAFETY: mapped for as long as the container lives, aligned (asserted), and accessed atomically by all of this file.
    unsafe { AtomicU64::from_ptr(place.as_ptr().cast()) }
}

fn words(container: &Container, chunk: Chunk) -> impl Iterator<Item = &AtomicU64> {
    let offsets = (chunk.offset..chunk.offset + chunk.len).step_by(8);
    offsets.map(|offset| word(container, offset))
}

fn fill(container: &Container, chunk: Chunk, value: u64) {
    words(container, chunk).for_each(|word| word.store(value, Ordering::Relaxed));
}

fn holds(container: &Container, chunk: Chunk, value: u64) -> bool {
    words(container, chunk).all(|word| word.load(Ordering::Relaxed) == value)
}

fn tags(container: &Container) -> Vec<u32> {
    let chunks = container.chunks().unwrap();
    chunks.iter().map(|chunk| chunk.tag).collect()
}

fn figures(stats: &Stats) -> (u64, u64, u64, u64) {
    (
        stats.containers,
        stats.chunks,
        stats.container_bytes,
        stats.allocated_bytes,
    )
}

fn workers(count: usize) -> Workers {
    Workers::new(count)
        .allow_threads(true)
        .timeout(Duration::from_mins(2))
}

#[test]
fn a_container_grows_and_shrinks_and_its_memory_returns() {
    let _alone = alone();
    let store = small();
    let container = Container::new(&store, 7, 5000).unwrap();
    assert_eq!((container.kind(), container.len()), (7, 5000));
    assert_eq!(container.first() % (64 << 10), 0);
    assert_eq!(container.store().uuid(), store.uuid());
    assert_eq!(figures(&store.stats().unwrap()), (1, 0, 8192, 8192));
    let chunks = [(1, 1), (2, 100_000), (1, 3 << 20)];
    for (tag, len) in chunks {
        let chunk = container.add_chunk(len, tag).unwrap();
        assert_eq!((chunk.tag, chunk.len), (tag, len.next_multiple_of(4096)));
        assert_eq!(chunk.offset % (64 << 10), 0);
        assert!(holds(&container, chunk, 0));
        fill(&container, chunk, u64::from(tag));
    }
    store.verify().unwrap();
    assert_eq!(tags(&container), [1, 2, 1], "the newest first");
    let bytes = 4096 + 102_400 + (3 << 20);
    assert_eq!(
        figures(&store.stats().unwrap()),
        (1, 3, 8192 + bytes, 8192 + bytes)
    );
    assert_eq!(
        container.free_chunks(|tag| tag == 1).unwrap(),
        bytes - 102_400
    );
    store.verify().unwrap();
    let left = container.chunks().unwrap();
    assert_eq!((left.len(), left[0].tag), (1, 2));
    assert!(holds(&container, left[0], 2));
    let stats = store.stats().unwrap();
    assert_eq!(figures(&stats), (1, 1, 8192 + 102_400, 8192 + 102_400));
    assert!(stats.occupied_bytes < 2 << 20, "{stats:?}");
    // What comes into the room of the others is zeros.
    let next = container.add_chunk(3 << 20, 3).unwrap();
    assert!(holds(&container, next, 0));
    assert_eq!(container.free_chunks(|_| false).unwrap(), 0);
    drop(container);
    store.verify().unwrap();
    let stats = store.stats().unwrap();
    assert_eq!(figures(&stats), (0, 0, 0, 0));
    assert_eq!((stats.dying_objects, stats.holds), (0, 0));
}

#[test]
fn any_chunk_of_a_chain_can_go() {
    let _alone = alone();
    let store = small();
    for gone in 0..1u32 << 5 {
        let container = Container::new(&store, 0, 1).unwrap();
        for tag in 0..5 {
            container.add_chunk(1, tag).unwrap();
        }
        container.free_chunks(|tag| gone >> tag & 1 == 1).unwrap();
        store.verify().unwrap();
        let left: Vec<u32> = (0..5).rev().filter(|tag| gone >> tag & 1 == 0).collect();
        assert_eq!(tags(&container), left);
    }
    assert_eq!(store.stats().unwrap().allocated_bytes, 0);
}

#[test]
fn a_token_attaches_the_same_memory_and_keeps_it() {
    let _alone = alone();
    let store = small();
    let container = Container::new(&store, 200, 64).unwrap();
    let chunk = container.add_chunk(64, 5).unwrap();
    word(&container, chunk.offset).store(11, Ordering::Relaxed);
    let token = Token::from_bytes(&container.token().unwrap().to_bytes()).unwrap();
    let id = container.id();
    drop(container);
    let stats = store.stats().unwrap();
    assert_eq!((stats.containers, stats.chunks, stats.units), (1, 1, 1));
    let again = Container::attach(&token).unwrap();
    assert_eq!((again.kind(), again.id(), again.len()), (200, id, 64));
    assert_eq!(again.chunks().unwrap(), [chunk]);
    assert_eq!(word(&again, chunk.offset).load(Ordering::Relaxed), 11);
    drop(again);
    assert!(matches!(Container::attach(&token), Err(AttachError::Gone)));
    // A token that nobody attaches is given up with all that it keeps.
    let container = Container::new(&store, 1, 64).unwrap();
    container.add_chunk(64, 5).unwrap();
    let _ = container.token().unwrap();
    drop(container);
    let collected = store.collect(Some(Duration::ZERO)).unwrap();
    assert_eq!(
        (collected.units, collected.objects, collected.bytes),
        (1, 2, 8192)
    );
    store.verify().unwrap();
    assert_eq!(store.stats().unwrap().allocated_bytes, 0);
}

#[test]
fn a_token_of_the_other_kind_says_what_it_is_and_stays_good() {
    let _alone = alone();
    let store = small();
    let container = Container::new(&store, 0, 64).unwrap();
    let view = store.share_slice(&[1u8]).unwrap();
    let (mutable, immutable) = (container.token().unwrap(), view.token().unwrap());
    let error = Object::attach(&mutable).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the shared object is not an object that never changes: a container"
    );
    let error = Container::attach(&immutable).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the shared object is not a container: an object that never changes"
    );
    assert_eq!(store.stats().unwrap().units, 2);
    drop((container, view));
    Container::attach(&mutable).unwrap();
    Object::attach(&immutable).unwrap();
    store.verify().unwrap();
    assert_eq!(store.stats().unwrap().allocated_bytes, 0);
}

#[test]
fn without_room_a_container_stays_as_it_was() {
    let _alone = alone();
    let store = Store::options()
        .capacity_bytes(1 << 40)
        .max_bytes(1 << 20)
        .create()
        .unwrap();
    let container = Container::new(&store, 0, 64).unwrap();
    let chunk = container.add_chunk(600_000, 1).unwrap();
    let before = store.stats().unwrap();
    let error = container.add_chunk(600_000, 1).unwrap_err();
    assert!(
        matches!(error, AllocateError::QuotaExceeded { .. }),
        "{error}"
    );
    let error = Container::new(&store, 0, 600_000).unwrap_err();
    assert!(
        matches!(error, AllocateError::QuotaExceeded { .. }),
        "{error}"
    );
    assert_eq!(store.stats().unwrap(), before);
    assert_eq!(container.chunks().unwrap(), [chunk]);
    store.verify().unwrap();
}

#[test]
fn without_memory_a_container_stays_as_it_was() {
    let _alone = alone();
    let store = Store::new().unwrap();
    let container = Container::new(&store, 0, 64).unwrap();
    let chunk = container.add_chunk(64, 1).unwrap();
    let before = store.stats().unwrap();
    for bytes in [1 << 38, u64::MAX] {
        for error in [
            container.add_chunk(bytes, 1).map(|_| ()).unwrap_err(),
            Container::new(&store, 0, bytes).map(|_| ()).unwrap_err(),
        ] {
            assert!(matches!(error, AllocateError::NoMemory { .. }), "{error}");
        }
    }
    let after = store.stats().unwrap();
    assert_eq!(
        (
            after.chunks,
            after.allocated_bytes,
            after.dying_objects,
            after.containers
        ),
        (1, before.allocated_bytes, 0, 1)
    );
    assert_eq!(container.chunks().unwrap(), [chunk]);
    store.verify().unwrap();
}

#[test]
fn lengths_that_no_sum_can_bear_are_refused() {
    let _alone = alone();
    let error = small()
        .allocate(usize::MAX, onecopy::Huge::Never)
        .unwrap_err();
    assert!(matches!(error, AllocateError::NoMemory { .. }), "{error}");
}

#[test]
fn a_fork_child_has_a_hold_of_its_own_and_the_same_memory() {
    let _alone = alone();
    let store = small();
    let container = Container::new(&store, 0, 4096).unwrap();
    let first = container.first();
    let running = workers(1).start(|worker| {
        word(&container, first).store(1, Ordering::Relaxed);
        let chunk = container.add_chunk(8192, 9).unwrap();
        fill(&container, chunk, 77);
        worker.pause();
        // The parent has dropped its own by now.
        assert!(holds(&container, chunk, 77));
        let added = container.add_chunk(8192, 10).unwrap();
        assert!(holds(&container, added, 0));
        container.store().stats().unwrap().containers
    });
    let mut running = running.unwrap();
    assert_eq!(running.wait_paused().unwrap(), 1);
    assert_eq!(word(&container, first).load(Ordering::Relaxed), 1);
    let chunk = container.chunks().unwrap()[0];
    assert_eq!(chunk.tag, 9);
    assert!(holds(&container, chunk, 77));
    drop(container);
    let stats = store.stats().unwrap();
    assert_eq!(
        (stats.containers, stats.chunks),
        (1, 1),
        "the child holds it"
    );
    running.resume().unwrap();
    let seen = running.join().unwrap().pop().unwrap().unwrap();
    assert_eq!(seen, 1);
    store.collect(None).unwrap();
    store.verify().unwrap();
    assert_eq!(store.stats().unwrap().allocated_bytes, 0);
}

#[test]
fn several_processes_add_and_free_chunks_of_one_container_at_once() {
    const EACH: u32 = 60;
    let _alone = alone();
    let store = small();
    let container = Container::new(&store, 0, 4096).unwrap();
    let counts = workers(3).map(|worker| {
        let me = worker as u32 + 1;
        let mut own = Vec::new();
        for round in 0..EACH {
            let tag = me << 16 | round;
            let chunk = container.add_chunk(70_000, tag).unwrap();
            assert!(holds(&container, chunk, 0));
            fill(&container, chunk, u64::from(tag));
            own.push(chunk);
            if round % 3 == 2 {
                own.retain(|chunk| chunk.tag != tag - 1);
                assert_eq!(
                    container.free_chunks(|other| other == tag - 1).unwrap(),
                    73_728
                );
            }
        }
        let listed = container.chunks().unwrap();
        for chunk in &own {
            assert!(listed.contains(chunk) && holds(&container, *chunk, u64::from(chunk.tag)));
        }
        own.len()
    });
    let added: usize = counts.unwrap().into_iter().map(Result::unwrap).sum();
    store.collect(None).unwrap();
    store.verify().unwrap();
    let chunks = container.chunks().unwrap();
    assert_eq!((chunks.len(), added), (120, 120));
    assert!(
        chunks
            .iter()
            .all(|chunk| holds(&container, *chunk, u64::from(chunk.tag)))
    );
    drop(container);
    assert_eq!(store.stats().unwrap().allocated_bytes, 0);
}

#[test]
fn any_place_of_the_data_area_can_be_read() {
    let _alone = alone();
    let store = small();
    let container = Container::new(&store, 0, 4096).unwrap();
    let (_, len) = container.data();
    for offset in [0, 1 << 20, len / 2, len - 8] {
        assert_eq!(
            word(&container, offset).load(Ordering::Relaxed),
            0,
            "{offset}"
        );
    }
}

#[test]
fn a_new_chunk_is_written_to_without_faults() {
    let _alone = alone();
    if !populates() {
        return skip::skipped("the kernel does not populate pages for writing (Linux 5.14)");
    }
    let container = Container::new(&small(), 0, 4096).unwrap();
    let chunk = container.add_chunk(1 << 20, 0).unwrap();
    let before = faults();
    for offset in (chunk.offset..chunk.offset + chunk.len).step_by(4096) {
        word(&container, offset).store(1, Ordering::Relaxed);
    }
    let taken = faults() - before;
    assert!(taken < 16, "{taken} faults for 256 pages");
}

/// Whether the kernel knows `MADV_POPULATE_WRITE`: of no bytes it is done, and what is unknown is refused.
fn populates() -> bool {
    let page = std::ptr::without_provenance_mut(4096);
    // SAFETY: a range of no bytes touches no memory.
    unsafe { libc::madvise(page, 0, libc::MADV_POPULATE_WRITE) == 0 }
}

/// Page faults of this thread.
fn faults() -> i64 {
    // SAFETY: zeros are a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid place for the result.
    let got = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    assert_eq!(got, 0);
    usage.ru_minflt
}
