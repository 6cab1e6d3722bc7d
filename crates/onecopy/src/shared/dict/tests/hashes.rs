//! What hashes do to probes, and what is done about keys that are chosen for their hashes.

use super::super::hash::Secret;
use super::super::index::Root;
use super::super::*;
use super::{dict, fixed, int};
use crate::shared::{Incoming, Value};
use crate::store::Store;

/// A 64-bit number from the one before it.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb)
}

fn hash(secret: Secret, key: &Value, is_slow: bool) -> u64 {
    key.with_incoming(|key| secret.hash_of(&key, is_slow))
}

/// Slots that are looked at on average to find keys in a table of 8,192 that is two thirds full.
fn probes(hashes: impl Iterator<Item = u64>) -> f64 {
    const SLOTS: usize = 8192;
    let mut slots = vec![false; SLOTS];
    let (mut probes, mut keys) = (0u64, 0);
    for hash in hashes.take(SLOTS * 2 / 3) {
        let mut index = hash as usize % SLOTS;
        probes += 1;
        while slots[index] {
            index = (index + 1) % SLOTS;
            probes += 1;
        }
        slots[index] = true;
        keys += 1;
    }
    probes as f64 / f64::from(keys)
}

type Keys = Box<dyn Fn(i64) -> Value>;

fn families() -> Vec<(String, Keys)> {
    let mut families: Vec<(String, Keys)> = vec![
        ("decimals".into(), Box::new(|n| Value::Str(n.to_string()))),
        (
            "long decimals".into(),
            Box::new(|n| Value::Str(format!("{n:016}"))),
        ),
        (
            "decimals from the left".into(),
            Box::new(|n| Value::Bytes(n.to_string().into_bytes())),
        ),
        ("negative ints".into(), Box::new(|n| Value::Int(-n))),
        ("floats".into(), Box::new(|n| Value::Float(n as f64 + 0.5))),
        ("wide ints".into(), Box::new(|n| Value::Int(n << 50))),
    ];
    for shift in [0, 1, 8, 13, 20, 32, 34] {
        families.push((
            format!("multiples of 2^{shift}"),
            Box::new(move |n| Value::Int(n << shift)),
        ));
    }
    families
}

/// Chance makes two probes of it.
#[test]
fn no_family_of_keys_makes_long_probes() {
    let mut state = 1;
    let rounds = if cfg!(debug_assertions) { 8 } else { 200 };
    for _ in 0..rounds {
        let secret = Secret(next(&mut state), next(&mut state));
        for (name, key) in families() {
            for is_slow in [false, true] {
                let low = probes((0..).map(|n| hash(secret, &key(n), is_slow)));
                assert!(low < 2.6, "{name}, {secret:?}: {low} probes");
                let high = probes((0..).map(|n| hash(secret, &key(n), is_slow) >> 13));
                assert!(
                    high < 2.6,
                    "{name}, {secret:?}: {high} probes by the bits for segments"
                );
                let tag = probes((0..).map(|n| hash(secret, &key(n), is_slow) >> 48));
                assert!(
                    tag < 2.6,
                    "{name}, {secret:?}: {tag} probes by the bits for tags"
                );
            }
        }
    }
}

/// What `std` makes with a secret of zeros is SipHash-1-3.
#[test]
fn the_slow_hash_is_sip_hash_1_3() {
    use std::hash::Hasher as _;
    for len in 0..40u8 {
        let bytes: Vec<u8> = (0..len).collect();
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        hasher.write(&bytes);
        let kind = crate::shared::Kind::Bytes;
        let secret = Secret((kind as u64) << 56, 0);
        assert_eq!(
            secret.slow_hash(&Incoming::Blob(kind, &bytes)),
            hasher.finish()
        );
    }
}

/// Ints whose hashes choose one segment and one slot.
fn chosen(secret: Secret, count: usize) -> Vec<Value> {
    let wanted = |key: &Value| hash(secret, key, false).trailing_zeros() >= 16;
    (0..).map(int).filter(wanted).take(count).collect()
}

#[test]
fn chosen_keys_do_not_stop_a_dict() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let dict = fixed(&store);
    let root = || Root(dict.raw().heap.words.relaxed(dict.raw().heap.head + INDEX));
    for n in 0..200 {
        dict.set(&int(-n), &int(n)).unwrap();
    }
    assert!(!root().is_slow());
    let keys = chosen(dict.raw().secret, 100);
    for (key, n) in keys.iter().zip(0..) {
        dict.set(key, &int(n)).unwrap();
    }
    assert!(root().is_slow());
    assert!(root().slots() < 8 * dict.len().unwrap(), "{:?}", root());
    dict.verify().unwrap();
    for (key, n) in keys.iter().zip(0..) {
        assert_eq!(dict.get(key).unwrap(), Some(int(n)));
        assert_eq!(dict.add(key, &int(1)).unwrap(), int(n + 1));
    }
    let items: Vec<_> = keys.iter().map(|key| (key.clone(), int(0))).collect();
    dict.update(&items).unwrap();
    assert!(dict.delete(&keys[0]).unwrap());
    dict.verify().unwrap();
    dict.clear().unwrap();
    assert!(!root().is_slow());
    // Many of them at once.
    dict.update(&items).unwrap();
    assert!(root().is_slow());
    assert_eq!(dict.items().unwrap(), items);
    dict.verify().unwrap();
}

/// The first container of a store has offsets that are as small as marks, and a tag may be zero.
#[test]
fn a_tag_of_zeros_is_as_good_as_any() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let dict = fixed(&store);
    assert_eq!(dict.raw().heap.head, 0);
    let wanted = |key: &Value| hash(dict.raw().secret, key, false) >> 48 == 0;
    let keys: Vec<Value> = (0..).map(int).filter(wanted).take(12).collect();
    for key in &keys {
        dict.set(key, key).unwrap();
        dict.verify().unwrap();
    }
    for key in &keys {
        assert_eq!(dict.get(key).unwrap().as_ref(), Some(key));
        assert_eq!(
            dict.pop_item(End::First)
                .unwrap()
                .as_ref()
                .map(|item| &item.0),
            Some(key)
        );
        dict.verify().unwrap();
    }
}

#[test]
fn equal_numbers_are_one_key_and_the_first_form_stays() {
    let dict = dict();
    let big = |power: i32| {
        let mut bytes = vec![0; power as usize / 8];
        bytes.push(1 << (power % 8));
        bytes.push(0);
        Value::BigInt(bytes)
    };
    let groups = [
        vec![int(1), Value::Float(1.0), Value::Bool(true)],
        vec![
            Value::Bool(false),
            Value::Float(-0.0),
            int(0),
            Value::Float(0.0),
        ],
        vec![Value::Float(2f64.powi(47)), int(1 << 47)],
        vec![Value::Float(-(2f64.powi(47))), int(-(1 << 47))],
        vec![Value::Float(2f64.powi(63)), big(63)],
        vec![big(1023), Value::Float(2f64.powi(1023))],
        vec![int(i64::MIN), Value::Float(i64::MIN as f64)],
        vec![
            Value::Float(1e22),
            Value::BigInt(10i128.pow(22).to_le_bytes().to_vec()),
        ],
        vec![Value::Float(0.5)],
        vec![Value::Float(f64::NAN)],
        vec![Value::Float(f64::INFINITY)],
        vec![Value::Str("1".into())],
        vec![Value::Bytes(b"1".to_vec())],
        vec![Value::Encoded(b"1".to_vec())],
        vec![Value::None],
    ];
    for (n, group) in (0..).zip(&groups) {
        for key in group {
            dict.set(key, &int(n)).unwrap();
        }
    }
    assert_eq!(dict.len().unwrap(), groups.len() as u64);
    for (n, group) in (0..).zip(&groups) {
        for key in group {
            assert_eq!(dict.get(key).unwrap(), Some(int(n)), "{key:?}");
        }
    }
    let firsts: Vec<String> = groups
        .iter()
        .map(|group| format!("{:?}", group[0]))
        .collect();
    let keys: Vec<String> = dict
        .keys()
        .unwrap()
        .iter()
        .map(|key| format!("{key:?}"))
        .collect();
    assert_eq!(keys, firsts);
    dict.verify().unwrap();
    for group in &groups {
        assert!(dict.delete(group.last().unwrap()).unwrap());
    }
    assert!(dict.is_empty().unwrap());
}

#[test]
fn what_cannot_be_a_key_is_refused_with_a_reason() {
    let dict = dict();
    let error = dict.set(&Value::Pickle(vec![1]), &int(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a pickled object cannot be a key: equal objects may have different pickles"
    );
    assert!(matches!(
        dict.update(&[(Value::Pickle(vec![]), int(1))]),
        Err(DictError::NoKey { .. })
    ));
    dict.set(&int(1), &Value::from("text")).unwrap();
    assert!(matches!(dict.add(&int(1), &int(1)), Err(DictError::NoInt)));
    assert!(matches!(
        dict.add(&int(2), &Value::from("text")),
        Err(DictError::NoInt)
    ));
    assert_eq!(dict.len().unwrap(), 1);
}
