//! Plain data with containers in it: a pickle, and the objects of the store that it leaves out.
//!
//! ```text
//! root 0: how many objects     root 1: bytes of the pickle
//! 512: a reference to each object, in the order of their numbers in the pickle | the pickle
//! ```
//! A blob cannot refer to anything: the store has to know who keeps what. So such a value is a container of its own, which a word
//! of another container refers to. It is filled before anybody else can find it, and never changes afterwards: no lock, no record.
//!
//! **Crash points.** Until a word refers to it, it is the hold of the process that made it, and goes with it and its references.
#![forbid(unsafe_code)]

use super::error::ContainerError;
use super::heap::Heap;
use super::layout::{ROOT0, ROOT1};
use super::reference::Reference;
use super::value::Word;
use crate::store::Store;

/// What the container's head says it is.
pub(crate) const KIND: u8 = 8;
/// How many objects it refers to.
pub(crate) const COUNT: u64 = ROOT0;
const PICKLE_LEN: u64 = ROOT1;
/// Where the references begin.
const PARTS: u64 = 512;

/// Plain data with containers in it, as one value for containers. What the pickle says is not looked at here.
#[derive(Debug, Clone)]
pub struct Mixed {
    heap: Heap,
}

impl Mixed {
    /// Makes a value of a pickle and of what it leaves out.
    ///
    /// # Errors
    /// No memory. A reference is to an object of another store.
    pub fn create(
        store: &Store,
        pickle: &[u8],
        parts: &[Reference],
    ) -> Result<Self, ContainerError> {
        let count = parts.len() as u64;
        let byte_len = PARTS + 8 * count + (pickle.len() as u64).next_multiple_of(8);
        let heap = Heap::create_empty(store, KIND, byte_len, each_word)?;
        for (index, part) in (0..count).zip(parts) {
            let name = heap.refer(part)?;
            let at = heap.head + PARTS + 8 * index;
            heap.words.store(at, Word::of_reference(name).0);
            heap.top.store(COUNT, index + 1);
        }
        heap.settle_references()?;
        if !pickle.is_empty() {
            heap.words.fill(heap.head + PARTS + 8 * count, pickle);
        }
        heap.top.store(PICKLE_LEN, pickle.len() as u64);
        Ok(Self { heap })
    }

    /// The value that a reference is to; `None` if it is to something else.
    ///
    /// # Errors
    /// It is damaged.
    pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        let container = reference.container();
        let Some(container) = container.filter(|container| container.kind() == KIND) else {
            return Ok(None);
        };
        let heap = Heap::open(container.clone(), |kind| kind == KIND, each_word)?;
        Ok(Some(Self { heap }))
    }

    /// A reference to it, to be put into a container.
    #[must_use]
    pub fn reference(&self) -> Reference {
        Reference::of_container(&self.heap.container)
    }

    /// The pickle.
    ///
    /// # Errors
    /// It is damaged.
    pub fn pickle(&self) -> Result<Vec<u8>, ContainerError> {
        let start = PARTS + 8 * self.count()?;
        let room = self.heap.container.len().saturating_sub(start);
        let len = self.heap.top.acquire(PICKLE_LEN);
        let len = if len <= room {
            len
        } else {
            return Err(self.damaged());
        };
        let mut words = Vec::new();
        self.heap
            .words
            .append(self.heap.head + start, len.div_ceil(8), &mut words)
            .ok_or_else(|| self.damaged())?;
        let mut bytes = Vec::with_capacity(8 * words.len());
        for word in words {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.truncate(len as usize);
        Ok(bytes)
    }

    /// What the pickle leaves out.
    ///
    /// # Errors
    /// It is damaged.
    pub fn parts(&self) -> Result<Vec<Reference>, ContainerError> {
        (0..self.count()?)
            .map(|index| {
                let word = Word(self.heap.load(self.heap.head + PARTS + 8 * index)?);
                let name = word.as_reference().ok_or_else(|| self.damaged())?;
                let held = self.heap.container.hold_reference(name)?;
                held.map(Reference).ok_or_else(|| self.damaged())
            })
            .collect()
    }

    fn count(&self) -> Result<u64, ContainerError> {
        count(&self.heap)
    }

    #[cold]
    fn damaged(&self) -> ContainerError {
        damaged(&self.heap)
    }
}

#[cold]
fn damaged(heap: &Heap) -> ContainerError {
    heap.corrupt(heap.head + PARTS, "a broken value").into()
}

/// How many objects it refers to: no more than there is room for.
fn count(heap: &Heap) -> Result<u64, ContainerError> {
    let count = heap.top.acquire(COUNT);
    let room = heap.container.len().saturating_sub(PARTS) / 8;
    if count <= room {
        Ok(count)
    } else {
        Err(damaged(heap))
    }
}

/// Calls a function with every reference.
fn each_word(heap: &Heap, take: &mut dyn FnMut(u64)) -> Result<(), ContainerError> {
    for index in 0..count(heap)? {
        take(heap.load(heap.head + PARTS + 8 * index)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Value;

    #[test]
    fn it_keeps_what_it_refers_to_and_goes_with_what_refers_to_it() {
        let store = Store::new().unwrap();
        let outer = store.list().unwrap();
        let inner = store.list().unwrap();
        inner.append(&Value::from(7)).unwrap();
        let mixed = Mixed::create(&store, b"a pickle", &[inner.reference()]).unwrap();
        outer.append(&Value::Reference(mixed.reference())).unwrap();
        drop((mixed, inner));
        assert_eq!(store.containers().unwrap().len(), 3);
        let Value::Reference(reference) = outer.get(0).unwrap() else {
            panic!("the value is a reference");
        };
        let mixed = Mixed::of_reference(&reference).unwrap().unwrap();
        assert_eq!(mixed.pickle().unwrap(), b"a pickle");
        let parts = mixed.parts().unwrap();
        assert_eq!(parts.len(), 1);
        let inner = crate::List::of_reference(&parts[0]).unwrap().unwrap();
        assert_eq!(inner.get(0).unwrap(), Value::from(7));
        assert!(crate::List::of_reference(&reference).unwrap().is_none());
        drop((inner, parts, reference, mixed));
        outer.clear().unwrap();
        assert_eq!(store.containers().unwrap().len(), 1);
    }

    #[test]
    fn what_is_of_another_store_is_refused_and_nothing_is_left() {
        let store = Store::new().unwrap();
        let other = Store::new().unwrap().list().unwrap();
        let refused = Mixed::create(&store, b"", &[other.reference()]);
        assert!(matches!(refused, Err(ContainerError::OtherStore)));
        assert_eq!(store.containers().unwrap().len(), 0);
    }

    #[test]
    fn pickles_of_all_lengths_come_back_and_damage_is_an_error() {
        let store = Store::new().unwrap();
        let part = store.list().unwrap().reference();
        for len in [0, 1, 7, 8, 9, 4096, 3 << 20] {
            let pickle: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let mixed = Mixed::create(&store, &pickle, &[part.clone(), part.clone()]).unwrap();
            assert_eq!(mixed.pickle().unwrap(), pickle);
            assert_eq!(mixed.parts().unwrap(), [part.clone(), part.clone()]);
            let heap = &mixed.heap;
            for (at, what) in [
                (COUNT, u64::MAX),
                (PICKLE_LEN, u64::MAX),
                (PICKLE_LEN, 1 << 40),
            ] {
                let before = heap.top.acquire(at);
                heap.top.store(at, what);
                assert!(mixed.pickle().is_err());
                heap.top.store(at, before);
            }
            for word in [0, 7, Word::of_reference(1 << 40).0] {
                let at = heap.head + PARTS;
                let before = heap.load(at).unwrap();
                heap.words.store(at, word);
                assert!(mixed.parts().is_err());
                heap.words.store(at, before);
            }
            assert_eq!(mixed.parts().unwrap().len(), 2);
        }
    }

    #[test]
    fn a_small_one_takes_a_page() {
        let store = Store::new().unwrap();
        let part = store.list().unwrap();
        let _mixed = Mixed::create(&store, &[7; 3000], &[part.reference()]).unwrap();
        let found = store.containers().unwrap();
        assert_eq!(
            (found[1].kind, found[1].len),
            (crate::ContainerKind::Mixed, 1)
        );
        assert_eq!(found[1].bytes, 4096);
    }
}
