//! Containers whose memory somebody has overwritten: whatever an operation makes of it, it comes to an end.

use super::heap::Heap;
use super::layout::{CHUNK_BYTES, FIRST_BLOCK, IDLE, IS_LONG, LOCK, REFERENCES, SLEEPERS};

/// The words of a container's own run.
pub(super) fn words(heap: &Heap) -> Vec<u64> {
    (0..heap.own_bytes())
        .step_by(8)
        .map(|at| heap.words.relaxed(heap.head + at))
        .collect()
}

/// Makes a container what it was, which had no chunks.
pub(super) fn restore(heap: &Heap, words: &[u64]) {
    for (at, word) in (heap.head..).step_by(8).zip(words) {
        if heap.words.relaxed(at) != *word {
            heap.words.store(at, *word);
        }
    }
    heap.container.free_chunks(|_| true).unwrap();
}

/// What the places hold instead: bits turned, nothing, everything, an offset of something else, and what only looks right.
fn instead(word: u64, nth: usize, others: &[u64]) -> u64 {
    match nth % 9 {
        0 => 0,
        1 => u64::MAX,
        2 | 3 => word ^ 1 << (nth / 9 % 64),
        4 => word.wrapping_add(8),
        5 => word.wrapping_sub(512),
        6 => word << 16,
        7 => others[nth.wrapping_mul(7919) % others.len()],
        _ => word ^ 0xff << (nth / 9 % 8 * 8),
    }
}

/// Damages every word of a container that has no chunks, and runs one of the operations, or all of them where the word is
/// the head's; `then` comes after each.
pub(super) fn each_word<C>(container: &C, heap: &Heap, operations: &[fn(&C)], then: impl Fn(&C)) {
    let before = words(heap);
    assert!(heap.container.chunks().unwrap().is_empty());
    let used: Vec<usize> = (0..before.len())
        .filter(|index| before[*index] != 0)
        .collect();
    let rounds = if cfg!(debug_assertions) { 1 } else { 8 };
    let mut nth = 0;
    for round in 0..rounds {
        for index in &used {
            let at = 8 * *index as u64;
            if at == LOCK || at == SLEEPERS & !7 {
                continue;
            }
            // The head's words are few, and each is in the way of everything.
            let every = if at < 256 { 1 } else { operations.len() };
            for operation in operations.iter().skip(nth % every).step_by(every) {
                nth += 1;
                let word = instead(before[*index], nth + round, &before);
                heap.words.store(heap.head + at, word);
                operation(container);
                then(container);
                restore(heap, &before);
            }
        }
    }
    assert!(nth > 1000, "{nth}");
}

/// Damages two and three words of the head at once, such as a length and what it is compared with.
pub(super) fn words_of_head<C>(
    container: &C,
    heap: &Heap,
    operations: &[fn(&C)],
    then: impl Fn(&C),
) {
    const TRIPLES_BETWEEN: usize = 41;
    let before = words(heap);
    assert!(heap.container.chunks().unwrap().is_empty());
    let places: Vec<u64> = (8..256)
        .step_by(8)
        .chain([REFERENCES, IDLE, CHUNK_BYTES])
        .filter(|at| *at != LOCK)
        .collect();
    let values = [
        u64::MAX,
        1 << 60,
        IS_LONG | 1 << 47,
        heap.head,
        IS_LONG | 1,
        heap.head + FIRST_BLOCK + 8,
        1 << 31,
    ];
    let mut nth = 0;
    let mut damage = |together: &[u64]| {
        for (which, at) in together.iter().enumerate() {
            let value = values[(nth / values.len().pow(which as u32)) % values.len()];
            heap.words.store(heap.head + at, value);
        }
        operations[nth % operations.len()](container);
        then(container);
        restore(heap, &before);
        nth += 1;
    };
    for (second, two) in places.iter().enumerate() {
        for one in &places[..second] {
            damage(&[*one, *two]);
        }
    }
    let mut triples = 0;
    for (third, three) in places.iter().enumerate() {
        for (second, two) in places[..third].iter().enumerate() {
            for one in &places[..second] {
                triples += 1;
                if triples % TRIPLES_BETWEEN == 0 {
                    damage(&[*one, *two, *three]);
                }
            }
        }
    }
    assert!(nth > 500, "{nth}");
}
