//! The store as its users see it, in one process.

use onecopy::{AllocateError, AttachError, Huge, Object, Store, Token, View};

fn small() -> Store {
    Store::options().capacity_bytes(1 << 33).create().unwrap()
}

#[test]
fn a_published_object_reads_back_and_its_memory_returns() {
    let store = small();
    let mut building = store.allocate(3 << 20, Huge::Auto).unwrap();
    assert!(building.as_mut_slice().iter().all(|byte| *byte == 0));
    building.as_mut_slice().fill(7);
    assert_eq!(store.stats().unwrap().building_objects, 1);
    let object = building.publish().unwrap();
    assert!(object.bytes().iter().all(|byte| *byte == 7));
    store.verify().unwrap();
    let held = store.stats().unwrap();
    assert_eq!(
        (held.live_objects, held.holds, held.allocated_bytes),
        (1, 1, 3 << 20)
    );
    assert!(held.occupied_bytes >= 3 << 20);
    drop(object);
    store.verify().unwrap();
    let after = store.stats().unwrap();
    assert_eq!(
        (after.live_objects, after.holds, after.allocated_bytes),
        (0, 0, 0)
    );
    assert!(after.occupied_bytes < 1 << 20, "{after:?}");
}

#[test]
fn an_object_that_was_never_published_leaves_nothing() {
    let store = small();
    drop(store.allocate(100_000, Huge::Never).unwrap());
    assert_eq!(store.stats().unwrap().allocated_bytes, 0);
    store.verify().unwrap();
}

#[test]
fn a_token_attaches_once_for_its_unit_and_later_only_while_held() {
    let store = small();
    let view = store.share_slice(&[1u64, 2, 3]).unwrap();
    let token = view.token().unwrap();
    let token = Token::from_bytes(&token.to_bytes()).unwrap();
    assert_eq!(store.stats().unwrap().units, 1);
    drop(view);
    let stats = store.stats().unwrap();
    assert_eq!((stats.holds, stats.units, stats.live_objects), (0, 1, 1));
    let again = View::<[u64]>::attach(&token).unwrap();
    assert_eq!(&*again, [1, 2, 3]);
    let twice = View::<[u64]>::attach(&token).unwrap();
    let stats = store.stats().unwrap();
    assert_eq!(
        (stats.holds, stats.units),
        (1, 0),
        "one hold however many views"
    );
    store.verify().unwrap();
    drop((again, twice));
    assert!(matches!(Object::attach(&token), Err(AttachError::Gone)));
    store.verify().unwrap();
}

#[test]
fn an_object_without_bytes_attaches_past_the_end_of_the_file() {
    let store = small();
    let first = store.share_slice(&[1u64]).unwrap();
    let empty = store.allocate(0, Huge::Auto).unwrap().publish().unwrap();
    let token = empty.token().unwrap();
    assert_eq!(Object::attach(&token).unwrap().bytes(), []);
    drop((first, empty));
    store.verify().unwrap();
}

#[test]
fn tokens_that_nobody_unpickles_are_named_when_their_places_are_taken() {
    let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
    let view = store.share_slice(&[1u64]).unwrap();
    let error = std::iter::repeat_with(|| view.token())
        .find_map(Result::err)
        .unwrap();
    let taken = store.stats().unwrap().units;
    let expected = format!(
        "store {} is full: all {taken} places for tokens on their way and objects in containers are taken; \
         unpickle them or call onecopy.collect(max_age=…)",
        store.uuid()
    );
    assert_eq!(error.to_string(), expected);
    store.collect(Some(std::time::Duration::ZERO)).unwrap();
    view.token().unwrap();
    store.verify().unwrap();
}

#[test]
fn a_view_of_another_type_is_refused() {
    let store = small();
    let view = store.share_slice(&[1.0f64]).unwrap();
    let error = View::<[u64]>::attach(&view.token().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the shared object is not a slice of this type: a slice of f64"
    );
    assert_eq!(
        store.stats().unwrap().units,
        0,
        "the refused token was used up"
    );
}

#[test]
fn the_quota_is_kept_and_the_store_works_afterwards() {
    let store = Store::options()
        .capacity_bytes(1 << 33)
        .max_bytes(1 << 20)
        .create()
        .unwrap();
    let first = store.allocate(600_000, Huge::Auto).unwrap();
    let error = store.allocate(600_000, Huge::Auto).unwrap_err();
    assert!(
        matches!(
            error,
            AllocateError::QuotaExceeded {
                requested: 600_000,
                ..
            }
        ),
        "{error}"
    );
    drop(first);
    store.allocate(600_000, Huge::Auto).unwrap();
    store.verify().unwrap();
}

#[test]
fn more_than_the_machine_has_is_refused_before_the_kernel_is_asked() {
    let store = Store::new().unwrap();
    let error = store.allocate(1 << 38, Huge::Auto).unwrap_err();
    assert!(
        matches!(
            error,
            AllocateError::NoMemory { .. } | AllocateError::Full { .. }
        ),
        "{error}"
    );
    assert_eq!(store.stats().unwrap().allocated_bytes, 0);
    store.verify().unwrap();
    store.share_slice(&[1u8; 100]).unwrap();
}

#[test]
fn rooms_are_reused_and_large_objects_are_aligned() {
    let store = small();
    let keep: Vec<_> = (0..50u8)
        .map(|n| store.share_slice(&vec![n; 1000]).unwrap())
        .collect();
    let big = store.allocate(5 << 20, Huge::Auto).unwrap();
    assert_eq!(big.as_mut_ptr().addr() % (2 << 20), 0);
    drop(big);
    let before = store.stats().unwrap().occupied_bytes;
    for round in 0..2000u32 {
        let view = store.share_slice(&vec![round; 20_000]).unwrap();
        assert_eq!(view[19_999], round);
    }
    assert!(store.stats().unwrap().occupied_bytes <= before + (1 << 20));
    assert!(
        (0..50)
            .zip(&keep)
            .all(|(n, view)| view.iter().all(|byte| *byte == n))
    );
    store.verify().unwrap();
}

#[test]
fn memory_whose_address_is_kept_stays_writable_for_this_process_alone() {
    let store = small();
    let mut building = store.allocate(8192, Huge::Auto).unwrap();
    building.as_mut_slice().fill(1);
    let address = building.as_mut_ptr();
    let (object, old_address) = building.publish_keeping_address().unwrap();
    // SAFETY: `old_address` keeps the address valid and private.
    unsafe { address.write(99) };
    // SAFETY: `old_address` keeps the address valid and private.
    assert_eq!(unsafe { address.read() }, 99);
    assert!(object.bytes().iter().all(|byte| *byte == 1));
    drop(object);
    drop(old_address);
    let next = store.allocate(8192, Huge::Auto).unwrap();
    assert_eq!(next.as_mut_ptr(), address, "the room is reused");
    // SAFETY: `next` owns the bytes.
    unsafe { address.write(5) };
    let next = next.publish().unwrap();
    assert_eq!(next.bytes()[0], 5, "the range is shared again");
}

#[test]
fn a_private_mapping_copies_only_for_its_owner() {
    let store = small();
    let view = store.share_slice(&vec![3u8; 100_000]).unwrap();
    let mut private = view.object().private_mapping().unwrap();
    private.as_mut_slice()[64] = 4;
    assert_eq!(
        (private.as_mut_slice()[64], private.as_mut_slice()[65]),
        (4, 3)
    );
    assert_eq!(view[0], 3);
    drop(view);
    assert_eq!(
        store.stats().unwrap().live_objects,
        1,
        "the mapping holds the object"
    );
    assert_eq!(private.as_mut_slice()[90_000], 3);
}

#[test]
fn many_threads_share_and_drop_at_once() {
    let store = small();
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let store = store.clone();
            scope.spawn(move || {
                for round in 0..300 {
                    let view = store.share_slice(&vec![thread; 100 + round]).unwrap();
                    let other = View::<[u8]>::attach(&view.token().unwrap()).unwrap();
                    drop(view);
                    assert!(other.iter().all(|byte| *byte == thread));
                }
            });
        }
    });
    store.verify().unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.live_objects, stats.holds, stats.units), (0, 0, 0));
}

#[test]
fn a_store_that_nobody_uses_is_unmapped() {
    let uuid = {
        let store = small();
        let view = store.share_slice(&[1u8]).unwrap();
        drop(store);
        view.object().store().uuid()
    };
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains(&uuid.to_string()));
}

#[test]
fn collecting_while_others_drop_never_empties_a_new_object() {
    // What one thread is freeing, another must not free as well: its late punch would hit the next object there.
    let store = small();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (1..4u8)
            .map(|thread| {
                let store = store.clone();
                scope.spawn(move || {
                    for round in 0..3000u32 {
                        let view = store.share_slice(&vec![thread; 40_000]).unwrap();
                        let again = View::<[u8]>::attach(&view.token().unwrap()).unwrap();
                        assert!(again.iter().all(|byte| *byte == thread), "round {round}");
                    }
                })
            })
            .collect();
        let (store, done) = (store.clone(), &done);
        scope.spawn(move || {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                store.collect(None).unwrap();
            }
        });
        let results: Vec<_> = workers
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok));
    });
    store.verify().unwrap();
}
