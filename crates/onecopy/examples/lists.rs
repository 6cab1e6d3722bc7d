//! What a list takes: nanoseconds an operation, beside a `Vec<u64>`.
//!
//! `cargo run --release -p onecopy --example lists`

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use onecopy::shared::{Incoming, Kind, RawList, Sink, Slice, Word};
use onecopy::{List, Store};

/// Takes ints out.
struct Ints;

impl Sink for Ints {
    type Made = i64;
    type Room = Vec<u8>;
    type Error = ();

    #[inline(always)]
    fn word(&self, word: Word) -> Result<i64, ()> {
        word.as_int().ok_or(())
    }

    fn room(&self, _: Kind, len: usize) -> Result<(Vec<u8>, *mut u8), ()> {
        let mut room = vec![0; len];
        let place = room.as_mut_ptr();
        Ok((room, place))
    }

    fn filled(&self, room: Vec<u8>, _: Kind, _: usize) -> Result<i64, ()> {
        Ok(room.len() as i64)
    }
}

fn int(n: u64) -> Incoming<'static> {
    Incoming::Word(Word::of_int(n as i64).unwrap())
}

/// The best of five rounds, in nanoseconds a step.
fn time(steps: u64, mut round: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        round();
        best = best.min(start.elapsed().as_nanos() as f64 / steps as f64);
    }
    best
}

fn row(name: &str, list: f64, vec: f64) {
    println!(
        "{name:<44} {list:>12.1} ns   Vec {vec:>12.1} ns   {:>7.2}x",
        list / vec
    );
}

fn filled(store: &Store, len: u64) -> (List, Vec<u64>) {
    let list = store.list().unwrap();
    for n in 0..len {
        list.raw().append(&int(n)).unwrap();
    }
    (list, (0..len).collect())
}

/// Numbers below `len` in no order.
fn shuffled(len: u64) -> Vec<u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let step = |state: &mut u64| {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % len
    };
    (0..len.min(1_000_000)).map(|_| step(&mut state)).collect()
}

fn points(raw: &RawList, vec: &mut Vec<u64>, len: u64) {
    let order = shuffled(len);
    let get = |raw: &RawList, n: u64| {
        raw.get(black_box(n as i64), &Ints)
            .unwrap()
            .unwrap()
            .unwrap()
    };
    let list = time(len, || (0..len).for_each(|n| drop(black_box(get(raw, n)))));
    row(
        "get, in order",
        list,
        time(len, || {
            (0..len).for_each(|n| drop(black_box(vec[n as usize])))
        }),
    );
    let count = order.len() as u64;
    let list = time(count, || {
        order.iter().for_each(|n| drop(black_box(get(raw, *n))))
    });
    row(
        "get, at random",
        list,
        time(count, || {
            order.iter().for_each(|n| drop(black_box(vec[*n as usize])))
        }),
    );
    let list = time(count, || {
        order
            .iter()
            .for_each(|n| drop(raw.set(*n as i64, &int(*n))))
    });
    row(
        "set, at random",
        list,
        time(count, || {
            order.iter().for_each(|n| vec[*n as usize] = black_box(*n))
        }),
    );
    let list = time(len, || {
        (0..len).for_each(|n| raw.append(&int(n)).unwrap());
        (0..len).for_each(|_| drop(black_box(raw.pop(-1, &Ints).unwrap())));
    });
    let of_vec = time(len, || {
        (0..len).for_each(|n| vec.push(black_box(n)));
        (0..len).for_each(|_| drop(black_box(vec.pop())));
    });
    row("append and pop", list, of_vec);
    let list = time(len, || {
        let mut at = 0;
        while at < len {
            let chunk = raw.chunk(at, 512).unwrap();
            chunk.iter().for_each(|element| drop(black_box(element)));
            at += chunk.len() as u64;
        }
    });
    row(
        "iterate, 512 ahead",
        list,
        time(len, || vec.iter().for_each(|n| drop(black_box(*n)))),
    );
    let list = time(len, || drop(black_box(raw.snapshot().unwrap())));
    row("snapshot", list, time(len, || drop(black_box(vec.clone()))));
}

/// A reader beside a thread that sets, and one that appends and pops, all the time.
fn beside(raw: &RawList, len: u64) {
    type Work = fn(&RawList, u64);
    let writers: [(&str, Work); 2] = [
        ("get, beside a thread that sets", |raw, n| {
            drop(raw.set(n as i64, &int(n)))
        }),
        ("get, beside a thread that appends and pops", |raw, n| {
            raw.append(&int(n)).unwrap();
            drop(raw.pop(-1, &Ints));
        }),
    ];
    let get = |n: u64| {
        raw.get(black_box(n as i64), &Ints)
            .unwrap()
            .unwrap()
            .unwrap()
    };
    let alone = time(len, || (0..len).for_each(|n| drop(black_box(get(n)))));
    for (name, write) in writers {
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    (0..1000).for_each(|n| write(raw, len - 1 - n % len));
                }
            });
            let list = time(len, || (0..len).for_each(|n| drop(black_box(get(n)))));
            is_done.store(true, Ordering::Relaxed);
            println!(
                "{name:<44} {list:>12.1} ns   alone {alone:>10.1} ns   {:>7.2}x",
                list / alone
            );
        });
    }
}

fn middles(raw: &RawList, vec: &mut Vec<u64>, len: u64) {
    let rounds = (20_000_000 / len).clamp(20, 2000);
    let order: Vec<u64> = shuffled(len).into_iter().take(rounds as usize).collect();
    let list = time(rounds, || {
        for n in &order {
            raw.insert(*n as i64, &int(7)).unwrap();
            raw.pop(*n as i64, &Ints).unwrap();
        }
    });
    let of_vec = time(rounds, || {
        for n in &order {
            vec.insert(*n as usize, 7);
            vec.remove(*n as usize);
        }
    });
    row("insert + delete, at random", list, of_vec);
    let half = (len / 2) as i64;
    let list = time(rounds, || {
        for _ in 0..rounds {
            raw.insert(half, &int(7)).unwrap();
            raw.pop(half, &Ints).unwrap();
        }
    });
    let of_vec = time(rounds, || {
        for _ in 0..rounds {
            vec.insert(half as usize, 7);
            vec.remove(half as usize);
        }
    });
    row("insert + delete, in the middle", list, of_vec);
    let list = time(rounds, || {
        for n in 0..rounds {
            raw.append(&int(n)).unwrap();
            raw.pop(0, &Ints).unwrap();
        }
    });
    let of_vec = time(rounds, || {
        for n in 0..rounds {
            vec.push(n);
            vec.remove(0);
        }
    });
    row("append + pop(0)", list, of_vec);
    let many: Vec<_> = (0..100).map(int).collect();
    let slice = Slice::range(Some(half), Some(half + 100));
    let list = time(rounds, || {
        for _ in 0..rounds {
            raw.delete_slice(slice).unwrap();
            raw.set_slice(Slice::range(Some(half), Some(half)), &many)
                .unwrap();
        }
    });
    let of_vec = time(rounds, || {
        for _ in 0..rounds {
            vec.drain(half as usize..half as usize + 100);
            vec.splice(half as usize..half as usize, 0..100);
        }
    });
    row("delete + insert 100 in the middle", list, of_vec);
}

fn main() {
    for len in [1000, 1_000_000, 10_000_000] {
        println!("\n{len} elements");
        let store = Store::new().unwrap();
        let start = Instant::now();
        let (list, mut vec) = filled(&store, len);
        println!(
            "{:<44} {:>12.1} ns",
            "grow from empty",
            start.elapsed().as_nanos() as f64 / len as f64
        );
        points(list.raw(), &mut vec, len);
        beside(list.raw(), len);
        middles(list.raw(), &mut vec, len);
        let allocated = || store.stats().unwrap().allocated_bytes;
        let before = allocated();
        let start = Instant::now();
        list.clear().unwrap();
        let took = start.elapsed();
        println!("clear: {before} bytes, {} after it, {took:?}", allocated());
    }
}
