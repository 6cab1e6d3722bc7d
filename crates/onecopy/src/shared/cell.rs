//! `Value`'s container: one value of any kind.
#![forbid(unsafe_code)]

use super::error::ContainerError;
use super::head::Inside;
use super::heap::Heap;
use super::layout::{Header, ROOT3};
use super::lock::{Locked, WriterLock};
use super::look::{Look, found};
use super::reference::Reference;
use super::value::{Incoming, Outside, Sink, Word, read_value};
use crate::store::{Container, Store, Token};

/// One value as containers keep it: it comes as [`Incoming`] and goes through a [`Sink`].
#[derive(Debug)]
pub struct Cell {
    pub(crate) heap: Heap,
}

/// The value's word.
const WORD: u64 = ROOT3;

/// What the store calls this kind of container.
pub(crate) const KIND: u8 = 3;

impl Cell {
    /// The writers' lock.
    #[must_use]
    pub fn writer_lock(&self) -> WriterLock {
        WriterLock::of(&self.heap)
    }

    /// A new container that holds `None`.
    ///
    /// # Errors
    /// No memory.
    pub fn create(store: &Store) -> Result<Self, ContainerError> {
        let heap = Heap::create(store, KIND, INSIDE)?;
        heap.words.store(heap.head + WORD, Word::NONE.0);
        Ok(Self { heap })
    }

    /// Turns a token into the value, in any process of the same user.
    ///
    /// # Errors
    /// It is gone, or what the token leads to is no single value.
    pub fn attach(token: &Token) -> Result<Self, ContainerError> {
        Self::open(Container::attach(token)?)
    }

    fn open(container: Container) -> Result<Self, ContainerError> {
        let heap = Heap::open(container, |kind| kind == KIND, INSIDE)?;
        Ok(Self { heap })
    }

    /// The value that a reference is to.
    ///
    /// # Errors
    /// What it refers to is no single value.
    pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        let container = reference
            .container()
            .filter(|container| container.kind() == KIND);
        container.cloned().map(Self::open).transpose()
    }

    /// A reference to it, to be put into another container.
    #[must_use]
    pub fn reference(&self) -> Reference {
        Reference::of_container(&self.heap.container)
    }

    /// Where the value begins in its store: two handles with the same are of the same value.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.heap.head
    }

    /// A token for another process. It counts as an interest in the value until it is attached once.
    ///
    /// # Errors
    /// The store's table of tokens is full.
    pub fn token(&self) -> Result<Token, ContainerError> {
        Ok(self.heap.container.token()?)
    }

    /// The value.
    #[inline(always)]
    pub fn get<S: Sink>(&self, sink: &S) -> Result<Result<S::Made, S::Error>, ContainerError> {
        self.heap
            .read(|look| read_value(look, look.root(WORD), sink))
    }

    /// Replaces the value.
    #[inline(always)]
    pub fn set(&self, value: &Incoming<'_>) -> Result<(), ContainerError> {
        let outside = Outside::of(&self.heap, value)?;
        let locked = self.heap.lock()?;
        locked.replace(self.heap.head + WORD, &outside.or(value))
    }

    /// Adds to an int; the sum. `None` if the value is no int of 48 bits, or would not stay one: nothing has happened.
    #[inline(always)]
    pub fn add(&self, amount: i64) -> Result<Option<i64>, ContainerError> {
        let locked = self.heap.lock()?;
        let sum = Word(locked.root(WORD))
            .as_int()
            .and_then(|old| old.checked_add(amount));
        let Some((sum, word)) = sum.and_then(|sum| Some((sum, Word::of_int(sum)?))) else {
            return Ok(None);
        };
        locked.set_root(WORD, word.0);
        Ok(Some(sum))
    }

    /// Replaces the value if it is `old`: of the same type and, for a pickle, made of the same bytes.
    ///
    /// # Errors
    /// As in [`Cell::set`].
    pub fn compare_exchange(
        &self,
        old: &Incoming<'_>,
        new: &Incoming<'_>,
    ) -> Result<bool, ContainerError> {
        let outside = Outside::of(&self.heap, new)?;
        let locked = self.heap.lock()?;
        if !locked.is_same(Word(locked.root(WORD)), old)? {
            return Ok(false);
        }
        locked.replace(self.heap.head + WORD, &outside.or(new))?;
        Ok(true)
    }

    /// Checks every invariant of the value's memory.
    ///
    /// # Errors
    /// [`ContainerError::Corrupt`] with the place and the broken invariant.
    pub fn verify(&self) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        locked.verify(|census| census.value(locked.root(WORD)))
    }
}

const INSIDE: Inside = Inside { each_word, renew };

#[allow(
    clippy::unnecessary_wraps,
    reason = "as of containers of many words, which may be damaged"
)]
fn each_word(heap: &Heap, take: &mut dyn FnMut(u64)) -> Result<(), ContainerError> {
    take(heap.words.relaxed(heap.head + WORD));
    Ok(())
}

/// Makes the value anew in as little memory as it needs.
fn renew(heap: &Heap) -> Result<(), ContainerError> {
    let locked = Locked::of_holder(heap);
    let word = locked.root(WORD);
    if Word(word).as_blob().is_none() {
        return locked.empty(|change| change.put_root(WORD, word));
    }
    let mut generation = locked.begin_generation(0)?;
    let moved = generation.move_over(word)?;
    generation.commit(|change| change.put_root(WORD, moved.0))
}

impl Locked<'_> {
    /// Whether a word of the container is this value: of the same type and, for a pickle, made of the same bytes.
    pub(crate) fn is_same(&self, word: Word, value: &Incoming<'_>) -> Result<bool, ContainerError> {
        Ok(match (value, word.as_blob()) {
            (Incoming::Word(other), None) => word == *other,
            (Incoming::Blob(kind, bytes), Some(at)) => {
                let header = Header(self.load(at)?);
                header.kind() == *kind as u8
                    && header.len() == bytes.len() as u64
                    && self.heap.words.same(at.wrapping_add(8), bytes) == Some(true)
            }
            (Incoming::Reference(reference), None) => self.is_reference_to(word, reference)?,
            (Incoming::Large(_) | Incoming::Blob(..), None) if word.is_large() => {
                let held = found(self.heap, Look::locked(self.heap).hold_large(word))??;
                match *value {
                    Incoming::Blob(kind, bytes) => (kind, bytes) == (held.kind(), held.bytes()),
                    _ => *value == Incoming::Large(&held),
                }
            }
            _ => false,
        })
    }

    /// Puts a value where another is; a blob that was there goes into limbo.
    ///
    /// # Errors
    /// No memory; nothing has happened then.
    #[inline(always)]
    pub(crate) fn replace(&self, at: u64, value: &Incoming<'_>) -> Result<(), ContainerError> {
        let old = Word(self.load(at)?);
        match value {
            Incoming::Word(word) if !old.leads() => self.set(at, word.0),
            _ => self.replace_slowly(at, old, value),
        }
    }

    #[inline(never)]
    fn replace_slowly(
        &self,
        at: u64,
        old: Word,
        value: &Incoming<'_>,
    ) -> Result<(), ContainerError> {
        self.make_room_in_limbo()?;
        let mut change = self.change();
        let word = value.place(&mut change)?;
        change.put_seen(at, word.0)?;
        if let Some(blob) = old.as_blob() {
            change.retire(blob)?;
        }
        change.drops(old)?;
        change.commit(false)?;
        self.after_retiring();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::layout::{ARMED, RECORD, class_of};
    use crate::shared::look::Retry;
    use crate::shared::rust_value::{Value, Values};
    use crate::shared::value::{Kind, LARGE_MAGIC};
    use crate::store::SPAN;

    fn cell() -> Cell {
        Cell::create(&Store::options().capacity_bytes(1 << 30).create().unwrap()).unwrap()
    }

    fn put(cell: &Cell, value: &Value) {
        value.with_incoming(|incoming| cell.set(&incoming)).unwrap();
    }

    fn get(cell: &Cell) -> Value {
        cell.get(&Values).unwrap().unwrap()
    }

    #[test]
    fn any_value_comes_back() {
        let cell = cell();
        assert_eq!(get(&cell), Value::None);
        let values = [
            Value::Bool(true),
            Value::Int(-7),
            Value::Int(i64::MIN),
            Value::BigInt(vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
            Value::Float(-0.5),
            Value::Float(f64::INFINITY),
            Value::Str(String::new()),
            Value::Str("short".into()),
            Value::Str("é".into()),
            Value::Str("longer than a word".into()),
            Value::Str("日本語".into()),
            Value::Str("🦀🦀".into()),
            Value::Surrogates(vec![0xd800, 65]),
            Value::Bytes(vec![]),
            Value::Bytes(vec![0; 1000]),
            Value::Bytes(vec![7; 1 << 20]),
            Value::Pickle(vec![1, 2, 3]),
            Value::None,
        ];
        for value in values.iter().chain(values.iter().rev()) {
            put(&cell, value);
            assert_eq!(&get(&cell), value);
            cell.verify().unwrap();
        }
    }

    #[test]
    fn a_block_that_is_lost_is_found() {
        let cell = cell();
        put(&cell, &Value::Str("a text that needs a block".into()));
        cell.heap.words.store(cell.heap.head + WORD, Word::NONE.0);
        let error = cell.verify().unwrap_err().to_string();
        assert!(
            error.contains("a block in use that nothing leads to"),
            "{error}"
        );
    }

    #[test]
    fn a_large_value_with_a_damaged_header_is_none() {
        let cell = cell();
        let value = Value::Bytes(vec![7; 3 << 20]);
        put(&cell, &value);
        let words = cell.heap.words;
        let mut spans = (0..words.len()).step_by(SPAN as usize);
        let magic = u64::from_le_bytes(LARGE_MAGIC);
        let object = spans.find(|at| words.load(*at) == Some(magic)).unwrap();
        for (index, bit) in [(0, 5), (1, 3), (1, 12), (2, 0), (2, 20), (2, 63)] {
            let at = object + 8 * index;
            let before = words.relaxed(at);
            words.store(at, before ^ 1 << bit);
            let read = cell.get(&Values);
            assert!(matches!(read, Err(ContainerError::Corrupt(_))), "{read:?}");
            let old = Incoming::Blob(Kind::Bytes, &[7]);
            assert!(matches!(
                cell.compare_exchange(&old, &old),
                Err(ContainerError::Corrupt(_))
            ));
            let error = cell.verify().unwrap_err();
            assert!(matches!(error, ContainerError::Corrupt(_)), "{error}");
            words.store(at, before);
            assert_eq!(get(&cell), value);
            cell.verify().unwrap();
        }
        // And what is no large value is not read as one, nor the other way round.
        let place = cell.heap.head + WORD;
        let large = Word(words.relaxed(place));
        words.store(place, Word::of_large(large.as_reference().unwrap() + 1).0);
        assert!(matches!(cell.get(&Values), Err(ContainerError::Corrupt(_))));
        words.store(place, large.0);
        let other = Cell::create(&cell.heap.container.store()).unwrap();
        cell.set(&Incoming::Reference(&other.reference())).unwrap();
        let word = Word(words.relaxed(place));
        words.store(place, Word::of_large(word.as_reference().unwrap()).0);
        assert!(matches!(cell.get(&Values), Err(ContainerError::Corrupt(_))));
        assert!(cell.verify().is_err());
    }

    #[test]
    fn replaced_blobs_are_used_again() {
        let cell = cell();
        for number in 0..100_000u32 {
            put(&cell, &Value::Str(format!("a blob that changes: {number}")));
        }
        assert_eq!(get(&cell), Value::Str("a blob that changes: 99999".into()));
        assert_eq!(cell.heap.container.chunks().unwrap().len(), 0);
    }

    #[test]
    fn long_blobs_do_not_pile_up_in_limbo() {
        let cell = cell();
        for letter in 0..40 {
            put(&cell, &Value::Bytes(vec![letter; 1 << 20]));
        }
        let chunks = cell.heap.container.chunks().unwrap();
        // The one that is there, those that wait, and the one that makes them too many.
        let bytes: u64 = chunks.iter().map(|chunk| chunk.len).sum();
        assert!(bytes < 8 << 20, "{bytes}");
        assert_eq!(get(&cell), Value::Bytes(vec![39; 1 << 20]));
        cell.verify().unwrap();
    }

    #[test]
    fn who_takes_the_lock_again_finishes_what_a_failed_commit_left() {
        let cell = cell();
        let (words, head) = (cell.heap.words, cell.heap.head);
        put(&cell, &Value::Int(1));
        cell.heap.user_lock(std::time::Duration::ZERO).unwrap();
        // A commit that failed in the middle has armed its record.
        words.store(head + RECORD, head + WORD);
        words.store(head + RECORD + 8, Word::of_int(40).unwrap().0);
        words.store(head + ARMED, 1);
        assert_eq!(cell.add(2).unwrap(), Some(42));
        cell.heap.user_unlock().unwrap();
        assert_eq!(get(&cell), Value::Int(42));
        cell.verify().unwrap();
        // One that cannot be finished is said.
        cell.heap.user_lock(std::time::Duration::ZERO).unwrap();
        words.store(head + ARMED, 1 << 20);
        assert!(matches!(cell.add(2), Err(ContainerError::Corrupt(_))));
        words.store(head + ARMED, 0);
        cell.heap.user_unlock().unwrap();
        cell.verify().unwrap();
    }

    #[test]
    fn what_is_between_two_chunks_is_not_the_containers() {
        let one = cell();
        let other = Cell::create(&one.heap.container.store()).unwrap();
        let add = |cell: &Cell| cell.heap.container.add_chunk(64 << 10, 9).unwrap();
        let first = add(&one);
        let between = [(); 40].map(|()| add(&other));
        let last = add(&one);
        assert!(
            between
                .iter()
                .all(|chunk| first.offset < chunk.offset && chunk.offset < last.offset)
        );
        let bytes = last.offset + last.len - first.offset;
        let heap = &one.heap;
        heap.own(first.offset).unwrap();
        heap.own(last.offset + last.len - 8).unwrap();
        heap.own_all(first.offset, first.len).unwrap();
        assert!(heap.own_all(first.offset, bytes).is_err());
        assert!(heap.own_all(first.offset, u64::MAX - 7).is_err());
        // What is filled is looked at in the same way.
        let locked = heap.lock().unwrap();
        let filled = locked.change().fill(first.offset, &vec![7; bytes as usize]);
        assert!(matches!(filled, Err(ContainerError::Corrupt(_))));
        assert_eq!(heap.words.relaxed(between[0].offset), 0);
        // And a blob so long is none.
        let (class, len) = (class_of(bytes - 8), bytes - 8);
        let header = Header::new(Kind::Bytes as u8, class, len);
        locked.prepare(first.offset, header.0).unwrap();
        let look = Look::locked(heap);
        assert_eq!(look.blob(first.offset), Err(Retry));
        let header = Header::new(Kind::Bytes as u8, class, 1 << 20);
        locked.prepare(first.offset, header.0).unwrap();
        assert_eq!(look.blob(first.offset), Ok((Kind::Bytes, 1 << 20)));
    }

    #[test]
    fn a_sum_is_exact_and_what_is_no_int_is_refused() {
        let cell = cell();
        assert_eq!(cell.add(1).unwrap(), None);
        put(&cell, &Value::Int(40));
        assert_eq!(cell.add(2).unwrap(), Some(42));
        assert_eq!(cell.add(1 << 47).unwrap(), None);
        assert_eq!(get(&cell), Value::Int(42));
    }

    #[test]
    fn a_reader_beside_a_writer_sees_whole_values() {
        let cell = cell();
        put(&cell, &Value::Str("x".repeat(40)));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for number in 0..50_000u32 {
                    let letter = char::from(b'a' + (number % 26) as u8);
                    put(
                        &cell,
                        &Value::Str(letter.to_string().repeat(20 + number as usize % 40)),
                    );
                }
            });
            let mut reads = 0u64;
            while !writer.is_finished() || reads < 1000 {
                let Value::Str(text) = get(&cell) else {
                    panic!("no str")
                };
                let first = text.chars().next().unwrap();
                assert!(text.chars().all(|letter| letter == first), "{text}");
                reads += 1;
            }
        });
    }
}
