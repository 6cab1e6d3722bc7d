//! Whom a lease wakes, and chains that are damaged.

use super::super::chain::each_word;
use super::*;
use crate::shared::rust_value::TakenValues;
use crate::shared::value::Incoming;
use crate::shared::{ContainerError, QueueOptions};
use crate::store::Store;

const NOW: Option<Duration> = Some(Duration::ZERO);
const ITEM: Incoming<'static> = Incoming::Word(Word::of_bool(true));

fn queue(most: u64) -> RawQueue {
    let store = Store::options().capacity_bytes(1 << 30).create().unwrap();
    let options = QueueOptions {
        most,
        ..QueueOptions::default()
    };
    RawQueue::create(&store, options).unwrap()
}

fn put(queue: &RawQueue) -> bool {
    queue.put(&ITEM, NOW).unwrap()
}

fn lease(queue: &RawQueue) -> Lease {
    queue.lease(&TakenValues, NOW).unwrap().unwrap().unwrap().1
}

#[test]
fn whoever_makes_room_in_a_queue_rings_for_those_who_put() {
    let queue = queue(1);
    let rings = || queue.bell(ROOM).rings();
    for is_again in [false, true] {
        if !is_again {
            assert!(put(&queue));
        }
        assert!(!put(&queue), "full");
        let before = rings();
        let leased = lease(&queue);
        assert_eq!(leased.is_again, is_again);
        assert!(rings() != before, "again: {is_again}");
        assert!(queue.give_back(&leased).unwrap());
    }
    assert!(!put(&queue), "full");
    let before = rings();
    queue.get(&TakenValues, NOW).unwrap().unwrap().unwrap();
    assert!(rings() != before);
    assert!(put(&queue));
}

fn is_corrupt<T>(result: Result<T, ContainerError>) {
    let error = result.map(drop).unwrap_err();
    assert!(matches!(error, ContainerError::Corrupt(_)), "{error}");
}

#[test]
fn leases_that_lead_in_a_circle_are_damage_whatever_else_was_written() {
    for length in 1..=4_u64 {
        let queue = queue(0);
        let mut leased = Vec::new();
        for _ in 0..5 {
            assert!(put(&queue));
            leased.push(lease(&queue).at);
        }
        // The last one of the chain was leased first.
        let (last, to) = (leased[0], leased[length as usize - 1]);
        queue.heap().words.store(last + NEXT, to);
        queue.heap().top.store(NUMBER, u64::MAX);
        is_corrupt(queue.get(&TakenValues, Some(Duration::from_millis(10))));
        is_corrupt(each_word(queue.heap(), &mut |_| ()));
        is_corrupt(queue.verify());
        // Neither does one that is said to have come back.
        queue.heap().top.store(RETURNED, 1);
        is_corrupt(queue.lease(&TakenValues, NOW));
        is_corrupt(queue.get(&TakenValues, NOW));
    }
}

#[test]
fn words_of_leases_that_are_any_number_are_errors_and_no_panics() {
    for wild in [1, 7, 48, u64::MAX, u64::MAX - 7, u64::MAX - 47] {
        for at in [LEASES, NEXT, BEFORE, OWNER, NUMBER] {
            let queue = queue(1);
            assert!(put(&queue));
            let leased = lease(&queue);
            let at = match at {
                LEASES | NUMBER => queue.heap().head + at,
                _ => leased.at + at,
            };
            queue.heap().words.store(at, wild);
            // Each is refused, or does not look there.
            let _ = queue.put(&ITEM, NOW);
            let _ = queue.lease(&TakenValues, NOW);
            let _ = queue.give_back(&leased);
            let _ = queue.get(&TakenValues, NOW);
            let _ = queue.done(&leased);
            let _ = queue.verify();
        }
    }
}
