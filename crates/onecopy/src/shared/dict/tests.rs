//! A dict against an ordered model. Segments and pages are small here, so that few keys split and fill them.

#![allow(
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "small numbers"
)]
#![allow(clippy::float_cmp, reason = "equal floats are one key")]

#[cfg(feature = "testing")]
mod crash;
mod damage;
mod hashes;
mod threads;

use proptest::prelude::*;

use super::hash::Secret;
use super::*;
use crate::shared::Value;
use crate::shared::layout::HASH_KEYS;
use crate::shared::stored::Stored as _;
use crate::store::Store;

/// A dict whose hashes are always the same.
pub(super) fn fixed(store: &Store) -> Dict {
    let raw = RawDict::create(store, super::DictKind::Dict).unwrap();
    let secret = Secret(0x0123_4567_89ab_cdef, 0xfeed_beef_1234_5677);
    raw.heap.words.store(raw.heap.head + HASH_KEYS, secret.0);
    raw.heap
        .words
        .store(raw.heap.head + HASH_KEYS + 8, secret.1);
    Dict::of(RawDict::of(raw.heap))
}

pub(super) fn int(n: i64) -> Value {
    Value::Int(n)
}

pub(super) fn long(n: i64) -> Value {
    Value::Str(format!("a text that needs a block, {n}"))
}

pub(super) fn dict() -> Dict {
    let store = Store::options().capacity_bytes(1 << 30).create().unwrap();
    store.dict().unwrap()
}

/// The model: pairs in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Model(pub(super) Vec<(Value, Value)>);

/// Whether two keys are one.
fn is_one(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    };
    match (number(one), number(other)) {
        #[allow(clippy::float_cmp, reason = "keys are one if they are equal")]
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

impl Model {
    fn place(&self, key: &Value) -> Option<usize> {
        self.0.iter().position(|item| is_one(&item.0, key))
    }

    fn get(&self, key: &Value) -> Option<Value> {
        self.place(key).map(|place| self.0[place].1.clone())
    }

    fn set(&mut self, key: &Value, value: &Value) {
        match self.place(key) {
            Some(place) => self.0[place].1 = value.clone(),
            None => self.0.push((key.clone(), value.clone())),
        }
    }

    fn pop(&mut self, key: &Value) -> Option<Value> {
        self.place(key).map(|place| self.0.remove(place).1)
    }
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Set(Value, Value),
    SetDefault(Value, Value),
    Delete(Value),
    Pop(Value),
    PopItem(End),
    Add(Value, i64),
    Exchange(Value, Value, Value),
    Update(Vec<(Value, Value)>),
    MoveToEnd(Value),
    Clear,
    Slow,
    Shrink,
    CloseGaps,
}

impl Step {
    /// Does it to both, and compares what they say.
    pub(super) fn run(&self, dict: &Dict, model: &mut Model) {
        match self {
            Self::Set(key, value) => {
                dict.set(key, value).unwrap();
                model.set(key, value);
            }
            Self::SetDefault(key, value) => {
                let expected = model.get(key);
                assert_eq!(dict.set_default(key, value).unwrap(), expected);
                if expected.is_none() {
                    model.set(key, value);
                }
            }
            Self::Delete(key) => assert_eq!(dict.delete(key).unwrap(), model.pop(key).is_some()),
            Self::Pop(key) => assert_eq!(dict.pop(key).unwrap(), model.pop(key)),
            Self::PopItem(end) => {
                let expected = match end {
                    _ if model.0.is_empty() => None,
                    End::First => Some(model.0.remove(0)),
                    End::Last => model.0.pop(),
                };
                assert_eq!(dict.pop_item(*end).unwrap(), expected);
            }
            Self::Add(key, amount) => match model.get(key) {
                None => {
                    assert_eq!(
                        dict.add(key, &Value::Int(*amount)).unwrap(),
                        Value::Int(*amount)
                    );
                    model.set(key, &Value::Int(*amount));
                }
                Some(Value::Int(old)) if old.checked_add(*amount).is_some() => {
                    let sum = Value::Int(old + amount);
                    assert_eq!(dict.add(key, &Value::Int(*amount)).unwrap(), sum);
                    model.set(key, &sum);
                }
                Some(Value::Bool(old)) => {
                    let sum = Value::Int(i64::from(old).saturating_add(*amount));
                    assert_eq!(dict.add(key, &Value::Int(*amount)).unwrap(), sum);
                    model.set(key, &sum);
                }
                // Of more than 64 bits: add.rs tests that.
                Some(Value::Int(_)) => {}
                Some(_) => assert!(matches!(
                    dict.add(key, &Value::Int(*amount)),
                    Err(DictError::NoInt)
                )),
            },
            Self::Exchange(key, old, new) => {
                let expected = model.get(key).as_ref() == Some(old);
                assert_eq!(dict.compare_exchange(key, old, new).unwrap(), expected);
                if expected {
                    model.set(key, new);
                }
            }
            Self::Update(items) => {
                dict.update(items).unwrap();
                for (key, value) in items {
                    model.set(key, value);
                }
            }
            Self::MoveToEnd(key) => {
                let place = model.place(key);
                assert_eq!(dict.move_to_end(key).unwrap(), place.is_some());
                if let Some(place) = place {
                    let item = model.0.remove(place);
                    model.0.push(item);
                }
            }
            Self::Clear => {
                dict.clear().unwrap();
                model.0.clear();
            }
            Self::Slow => {
                let locked = dict.raw().heap.lock().unwrap();
                dict.raw().rebuild(&locked, true).unwrap();
            }
            Self::Shrink => {
                let locked = dict.raw().heap.lock().unwrap();
                dict.raw().shrink(&locked).unwrap();
            }
            Self::CloseGaps => {
                let locked = dict.raw().heap.lock().unwrap();
                dict.raw().close_gaps(&locked).unwrap();
            }
        }
    }
}

pub(super) fn check(dict: &Dict, model: &Model) {
    dict.verify().unwrap();
    assert_eq!(dict.items().unwrap(), model.0);
    assert_eq!(dict.len().unwrap(), model.0.len() as u64);
    for (key, value) in &model.0 {
        assert_eq!(dict.get(key).unwrap().as_ref(), Some(value));
    }
}

fn key() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => (0i64..80).prop_map(Value::Int),
        1 => any::<bool>().prop_map(Value::Bool),
        2 => (0u8..20).prop_map(|number| Value::Float(f64::from(number) / 2.0)),
        1 => (40u32..70).prop_map(|power| Value::Int(1i64.checked_shl(power).unwrap_or(i64::MIN))),
        1 => (40i32..66).prop_map(|power| Value::Float(2f64.powi(power))),
        1 => Just(Value::None),
        1 => Just(Value::Float(-0.0)),
        3 => "[a-c]{0,8}".prop_map(Value::Str),
        1 => "[a-c]{6,9}".prop_map(|text| Value::Bytes(text.into_bytes())),
        1 => "[a-c]{0,2}".prop_map(|text| Value::Encoded(text.into_bytes())),
        1 => "[äλ🦀]{1,3}".prop_map(Value::Str),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => any::<i64>().prop_map(Value::Int),
        4 => (0i64..3).prop_map(Value::Int),
        1 => any::<bool>().prop_map(Value::Bool),
        3 => "[a-c]{0,40}".prop_map(Value::Str),
        1 => Just(Value::Pickle(vec![1, 2, 3])),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![Just(End::First), Just(End::Last)];
    prop_oneof![
        20 => (key(), value()).prop_map(|(key, value)| Step::Set(key, value)),
        4 => (key(), value()).prop_map(|(key, value)| Step::SetDefault(key, value)),
        12 => key().prop_map(Step::Delete),
        4 => key().prop_map(Step::Pop),
        4 => end.prop_map(Step::PopItem),
        6 => (key(), any::<i64>()).prop_map(|(key, amount)| Step::Add(key, amount)),
        2 => (key(), value(), value()).prop_map(|(key, old, new)| Step::Exchange(key, old, new)),
        3 => prop::collection::vec((key(), value()), 0..20).prop_map(Step::Update),
        3 => key().prop_map(Step::MoveToEnd),
        1 => Just(Step::Clear),
        1 => Just(Step::Slow),
        1 => Just(Step::Shrink),
        1 => Just(Step::CloseGaps),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_dict_does_what_its_model_does(steps in prop::collection::vec(step(), 0..300)) {
        let dict = dict();
        let mut model = Model::default();
        for (number, step) in steps.iter().enumerate() {
            step.run(&dict, &mut model);
            if number % 16 == 0 {
                check(&dict, &model);
            }
        }
        check(&dict, &model);
    }
}
