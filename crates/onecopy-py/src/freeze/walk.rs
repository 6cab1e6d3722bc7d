//! The walk over a graph of objects, without recursion: what is met is queued and visited in turn.
//!
//! `tp_traverse` alone is not enough (CPython 3.12 to 3.15): it leaves out the str keys of dicts, what ranges, aware
//! datetimes, timezones and numpy's arrays of objects hold, and on 3.13 and later a `__dict__` that shares its values with the object. Those are
//! visited by hand.
//!
//! **Invariants.** `W1`: the walk runs no Python code and keeps the GIL, so the graph does not change and nothing dies
//! meanwhile. `W2`: the queue lies in memory from malloc, outside the pools of the objects. `W3`: an object is marked
//! before the walk goes on; running out of memory leaves immortal objects that hold mortal ones, which is sound: they
//! never let go of them.
#![allow(unsafe_code)] // Visits objects through their raw slots.

use std::any::Any;
use std::collections::{HashMap, HashSet};

use pyo3::ffi::{self, PyObject, PyTypeObject};

use super::classes::{Class, Native, Types};
use super::prepare::{self, Prepare};
use super::seal::ByBlock;
use super::size;
use crate::cpython::header;
use crate::cpython::immortal::Version;

/// No memory for the queue.
#[derive(Debug)]
pub(super) struct NoMemory;

/// How the walk remembers where it has been.
pub(super) enum Marks {
    /// By the immortal mark itself.
    Freeze(Prepare),
    /// By a set; the objects stay as they are.
    Look(HashSet<usize>),
}

/// An object that holds others, and the one through which it was found first.
struct Node {
    object: *mut PyObject,
    parent: usize,
}

/// Instances of a class that are left alone.
#[derive(Default)]
pub(super) struct Skipped {
    pub(super) objects: u64,
    /// The first of them, and the position of its holder in the queue.
    first: Option<(*mut PyObject, usize)>,
}

const CACHE_LEN: usize = 256;

/// A walk, and what it found.
pub(super) struct Walk<'a> {
    pub(super) version: &'a Version,
    types: &'a Types,
    pub(super) marks: Marks,
    queue: Vec<Node>,
    /// The node whose references are being visited, and its class.
    at: usize,
    pub(super) at_class: *mut PyTypeObject,
    pub(super) classes: Vec<Class>,
    by_class: HashMap<*mut PyTypeObject, usize>,
    cache: [(*mut PyTypeObject, usize); CACHE_LEN],
    seen_skipped: HashSet<*mut PyObject>,
    /// By position in `classes`.
    pub(super) skipped: HashMap<usize, Skipped>,
    /// Tuples that hold tuples: hashed at the end, the inner ones first.
    tuples: Vec<*mut PyObject>,
    /// What panicked under a C function.
    pub(super) panic: Option<Box<dyn Any + Send>>,
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// What was frozen, by the sizes of its blocks.
    pub(super) frozen: ByBlock,
}

impl<'a> Walk<'a> {
    pub(super) fn new(version: &'a Version, types: &'a Types, marks: Marks) -> Self {
        Self {
            version,
            types,
            marks,
            queue: Vec::new(),
            at: 0,
            at_class: std::ptr::null_mut(),
            classes: Vec::new(),
            by_class: HashMap::new(),
            cache: [(std::ptr::null_mut(), 0); CACHE_LEN],
            seen_skipped: HashSet::new(),
            skipped: HashMap::new(),
            tuples: Vec::new(),
            panic: None,
            objects: 0,
            bytes: 0,
            frozen: ByBlock::default(),
        }
    }

    /// Visits the root and everything below. The root is descended even if it is immortal already.
    ///
    /// # Safety
    /// - `root` is a live object, and the thread stays attached;
    /// - the interpreter was calibrated.
    pub(super) unsafe fn run(&mut self, root: *mut PyObject) -> Result<(), NoMemory> {
        // SAFETY: `root` is a live object, and the thread attached, as this function asks.
        let before = unsafe { header::word(root) };
        // SAFETY: `root` is a live object, and the thread attached; calibrated, as this function asks.
        unsafe { self.visit(root) }?;
        if header::is_immortal(before) {
            // SAFETY: `root` is a live object, and the thread attached, as this function asks.
            let class = unsafe { self.class_of(root) }?;
            if self.class(class).is_some_and(|class| class.descend) {
                self.push(root)?;
            }
        }
        while let Some(node) = self.queue.get(self.at) {
            let object = node.object;
            // SAFETY: what is queued is reachable from the root, which lives, as this function asks, and so it lives
            // (W1); attached.
            unsafe { self.descend(object) }?;
            self.at += 1;
        }
        // Inner tuples were found later than most of those that hold them.
        while let Some(tuple) = self.tuples.pop() {
            // SAFETY: `visit` has put it there: a tuple that is reachable from the root, so it lives (W1); attached.
            unsafe { prepare::hash_tuple(tuple) };
        }
        Ok(())
    }

    fn push(&mut self, object: *mut PyObject) -> Result<(), NoMemory> {
        self.queue.try_reserve(1).map_err(|_| NoMemory)?;
        self.queue.push(Node {
            object,
            parent: self.at,
        });
        Ok(())
    }

    fn class(&self, index: usize) -> Option<&Class> {
        self.classes.get(index)
    }

    /// Position in `classes` of the object's class.
    ///
    /// # Safety
    /// - `object` is a live object, and the thread is attached.
    #[inline]
    pub(super) unsafe fn class_of(&mut self, object: *mut PyObject) -> Result<usize, NoMemory> {
        // SAFETY: a live object of an attached thread, as this function asks.
        let class = unsafe { ffi::Py_TYPE(object) };
        let slot = (class.addr() >> 4 ^ class.addr() >> 12) % CACHE_LEN;
        match self.cache.get(slot) {
            Some(&(cached, index)) if cached == class => Ok(index),
            // SAFETY: a live object of an attached thread, as this function asks too.
            _ => unsafe { self.look_class_up(object, slot) },
        }
    }

    /// # Safety
    /// - `object` is a live object, and the thread is attached.
    #[cold]
    unsafe fn look_class_up(
        &mut self,
        object: *mut PyObject,
        slot: usize,
    ) -> Result<usize, NoMemory> {
        // SAFETY: a live object of an attached thread, as this function asks.
        let class = unsafe { ffi::Py_TYPE(object) };
        let index = if let Some(&index) = self.by_class.get(&class) {
            index
        } else {
            self.by_class.try_reserve(1).map_err(|_| NoMemory)?;
            self.classes.try_reserve(1).map_err(|_| NoMemory)?;
            let index = self.classes.len();
            // SAFETY: a live object of an attached thread, as this function asks.
            self.classes.push(unsafe { self.types.describe(object) });
            self.by_class.insert(class, index);
            index
        };
        if let Some(entry) = self.cache.get_mut(slot) {
            *entry = (class, index);
        }
        Ok(index)
    }

    /// Marks an object that is met for the first time, and queues it if it holds others.
    ///
    /// # Safety
    /// - `object` is a live object, and the thread is attached.
    #[inline]
    pub(super) unsafe fn visit(&mut self, object: *mut PyObject) -> Result<(), NoMemory> {
        // SAFETY: a live object of an attached thread, as this function asks.
        if header::is_immortal(unsafe { header::word(object) }) {
            return Ok(());
        }
        // SAFETY: a live object of an attached thread, as this function asks.
        let index = unsafe { self.class_of(object) }?;
        let Some(class) = self.classes.get_mut(index) else {
            return Ok(());
        };
        if class.native == Native::Skip {
            return self.skip(object, index);
        }
        if let Marks::Look(seen) = &mut self.marks {
            seen.try_reserve(1).map_err(|_| NoMemory)?;
            if !seen.insert(object.addr()) {
                return Ok(());
            }
        }
        // SAFETY: a live object of an attached thread, as this function asks, of the class that `class_of` has found.
        let holds = class.descend && unsafe { prepare::holds_others(object, class) };
        // SAFETY: a live object of an attached thread, as this function asks, of the class that `class_of` has found.
        let size = unsafe { size::of(object, class) };
        if let Marks::Freeze(wanted) = self.marks {
            if holds {
                self.queue.try_reserve(1).map_err(|_| NoMemory)?;
            }
            if wanted.hash && self.version.tuples_keep_hash && class.native == Native::Tuple {
                self.tuples.try_reserve(1).map_err(|_| NoMemory)?;
            }
            // SAFETY: a live object of an attached thread, as this function asks, of the class that `class_of` has
            // found; it is not frozen yet, as its header said above.
            let later = unsafe { prepare::leaf(object, class, wanted, self.version) };
            if later {
                self.tuples.push(object);
            }
            // SAFETY: a live object of an attached thread, as this function asks; the interpreter was calibrated, as
            // `run` asks.
            unsafe { header::immortalise(object, self.version) };
            let dict_stays = class.native == Native::Dict
                && (self.version.dicts_stay_tracked || self.types.debug_build);
            if class.collected && !dict_stays {
                // SAFETY: a live object of an attached thread, as this function asks, with the collector's header, as
                // `describe` found in the flags of its class. One that is not tracked is left as it is (C API).
                unsafe { ffi::PyObject_GC_UnTrack(object.cast()) };
            }
            self.frozen.add(size.own);
            self.frozen.add(size.beside);
        }
        class.objects += 1;
        self.objects += 1;
        self.bytes += size.own + size.beside;
        if holds { self.push(object) } else { Ok(()) }
    }

    #[cold]
    fn skip(&mut self, object: *mut PyObject, index: usize) -> Result<(), NoMemory> {
        // Instances of Python classes, and of some in C, report their class.
        if object.cast() == self.at_class {
            return Ok(());
        }
        self.seen_skipped.try_reserve(1).map_err(|_| NoMemory)?;
        self.skipped.try_reserve(1).map_err(|_| NoMemory)?;
        if self.seen_skipped.insert(object) {
            let skipped = self.skipped.entry(index).or_default();
            skipped.objects += 1;
            skipped.first.get_or_insert((object, self.at));
        }
        Ok(())
    }

    /// The way from the root to the first instance that was left alone: itself last.
    pub(super) fn way(&self, skipped: &Skipped) -> Vec<*mut PyObject> {
        let mut way = Vec::new();
        if let Some((object, holder)) = skipped.first {
            way.push(object);
            let mut at = holder;
            while let Some(node) = self.queue.get(at) {
                way.push(node.object);
                if at == 0 {
                    break;
                }
                at = node.parent;
            }
            way.reverse();
        }
        way
    }
}
