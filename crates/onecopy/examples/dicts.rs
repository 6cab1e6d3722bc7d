//! What operations on a dict cost, in nanoseconds of the thread, beside `std`'s `HashMap`.
//!
//! `cargo run --release -p onecopy --example dicts`
#![allow(clippy::pedantic, reason = "figures for the eye")]

use std::collections::HashMap;
use std::hint::black_box;

use onecopy::Store;
use onecopy::shared::{Incoming, Key, Kind, RawDict, Sink, Word};

/// Nanoseconds that this thread has run.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

struct Raw;
impl Sink for Raw {
    type Made = u64;
    type Room = Vec<u8>;
    type Error = ();
    #[inline(always)]
    fn word(&self, word: Word) -> Result<u64, ()> {
        Ok(word.as_int().unwrap_or(0) as u64)
    }
    fn room(&self, _: Kind, len: usize) -> Result<(Vec<u8>, *mut u8), ()> {
        let mut room = vec![0; len];
        let place = room.as_mut_ptr();
        Ok((room, place))
    }
    fn filled(&self, room: Vec<u8>, _: Kind, _: usize) -> Result<u64, ()> {
        Ok(room.len() as u64)
    }
}

fn time(name: &str, operations: usize, mut run: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = now();
        run();
        best = best.min((now() - start) as f64 / operations as f64);
    }
    println!("  {name:<44} {best:>8.1} ns");
    best
}

fn once(name: &str, operations: usize, run: impl FnOnce()) {
    let start = now();
    run();
    println!(
        "  {name:<44} {:>8.1} ns",
        (now() - start) as f64 / operations as f64
    );
}

fn key<'a>(dict: &RawDict, text: &'a str) -> Key<'a> {
    dict.key(Incoming::of_latin1(text.as_bytes(), true))
}

fn int(value: i64) -> Incoming<'static> {
    Incoming::Word(Word::of_int(value).unwrap())
}

fn main() {
    for n in [1000usize, 1_000_000] {
        println!("n = {n}");
        let store = Store::options().capacity_bytes(1 << 36).create().unwrap();
        let keys: Vec<String> = (0..n).map(|i| format!("key-{:012}", i * 7)).collect();
        let misses: Vec<String> = (0..n).map(|i| format!("mis-{:012}", i * 7)).collect();
        let mut order: Vec<usize> = (0..n).collect();
        let mut seed = 1u64;
        for i in (1..n).rev() {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            order.swap(i, (seed >> 33) as usize % (i + 1));
        }
        let keys_in_order = keys.clone();
        let keys: Vec<String> = order.iter().map(|i| keys[*i].clone()).collect();
        let misses: Vec<String> = order.iter().map(|i| misses[*i].clone()).collect();
        let rounds = (1_000_000 / n).max(1);
        let total = rounds * n;
        let mut std = HashMap::new();
        once("std: fill", n, || {
            keys_in_order
                .iter()
                .enumerate()
                .for_each(|(i, k)| drop(std.insert(k.clone(), i)))
        });
        time("std: get, random", total, || {
            for _ in 0..rounds {
                for i in 0..n {
                    black_box(std.get(&keys[i]));
                }
            }
        });
        let before = store.stats().unwrap().allocated_bytes;
        let dict = RawDict::create(&store).unwrap();
        once("fill", n, || {
            for (i, k) in keys_in_order.iter().enumerate() {
                dict.set(&key(&dict, k), &int(i as i64)).unwrap();
            }
        });
        println!(
            "  bytes per key {}",
            (store.stats().unwrap().allocated_bytes - before) as usize / n
        );
        time("get int, random", total, || {
            for _ in 0..rounds {
                for i in 0..n {
                    black_box(dict.get(&key(&dict, &keys[i]), &Raw).unwrap());
                }
            }
        });
        time("miss, random", total, || {
            for _ in 0..rounds {
                for i in 0..n {
                    black_box(dict.contains(&key(&dict, &misses[i])).unwrap());
                }
            }
        });
        time("set int, random", total, || {
            for _ in 0..rounds {
                for i in 0..n {
                    dict.set(&key(&dict, &keys[i]), &int(order[i] as i64))
                        .unwrap();
                }
            }
        });
        time("add, random", total, || {
            for _ in 0..rounds {
                for i in 0..n {
                    black_box(dict.add(&key(&dict, &keys[i]), &int(1)).unwrap());
                }
            }
        });
        time("set 64-byte bytes, random", total, || {
            for _ in 0..rounds {
                for i in 0..n {
                    dict.set(&key(&dict, &keys[i]), &Incoming::of_bytes(&[7; 64]))
                        .unwrap();
                }
            }
        });
        time("snapshot of items", n, || {
            drop(black_box(
                dict.exact_picture(onecopy::shared::Part::Items).unwrap(),
            ))
        });
        for _ in 0..2 {
            once("delete, random", n, || {
                for i in 0..n {
                    dict.delete(&key(&dict, &keys[i])).unwrap();
                }
            });
            println!(
                "  bytes after all were deleted {}",
                store.stats().unwrap().allocated_bytes - before
            );
            once("insert again", n, || {
                for i in 0..n {
                    dict.set(&key(&dict, &keys[i]), &int(order[i] as i64))
                        .unwrap();
                }
            });
        }
        let ints = RawDict::create(&store).unwrap();
        once("fill, int keys", n, || {
            (0..n).for_each(|i| ints.set(&ints.key(int(i as i64)), &int(1)).unwrap())
        });
        time("get int, int key, random", total, || {
            for _ in 0..rounds {
                for i in 0..n {
                    black_box(ints.get(&ints.key(int(order[i] as i64)), &Raw).unwrap());
                }
            }
        });
        let words: Vec<Incoming<'static>> = order.iter().map(|i| int(*i as i64)).collect();
        time("set int, int key, random", total, || {
            for _ in 0..rounds {
                for i in 0..n {
                    ints.set(&ints.key(words[i]), &words[i]).unwrap();
                }
            }
        });
        time("add, int key, random", total, || {
            for _ in 0..rounds {
                for i in 0..n {
                    black_box(ints.add(&ints.key(words[i]), &int(1)).unwrap());
                }
            }
        });
        time("miss, int key, random", total, || {
            for _ in 0..rounds {
                for i in 0..n {
                    black_box(ints.contains(&ints.key(int(-1 - order[i] as i64))).unwrap());
                }
            }
        });
        time("delete and insert again", total, || {
            for _ in 0..rounds {
                for i in 0..n {
                    ints.delete(&ints.key(words[i])).unwrap();
                    ints.set(&ints.key(words[i]), &int(1)).unwrap();
                }
            }
        });
        ints.verify().unwrap();
        dict.verify().unwrap();
    }
    many();
}

fn many() {
    let store = Store::options().capacity_bytes(1 << 36).create().unwrap();
    let dict = RawDict::create(&store).unwrap();
    let mut longest = 0;
    let begin = now();
    for i in 0..10_000_000 {
        let start = now();
        dict.set(&dict.key(int(i)), &int(i)).unwrap();
        longest = longest.max(now() - start);
    }
    println!(
        "10,000,000 keys: {:.1} s, the longest insertion {:.2} ms, {} bytes a key",
        (now() - begin) as f64 / 1e9,
        longest as f64 / 1e6,
        store.stats().unwrap().allocated_bytes / 10_000_000
    );
}
