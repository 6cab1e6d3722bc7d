//! `to_python()`: the real thing behind a view, with the types, the shared references and the cycles of the original.
//!
//! Lists, rows, dicts and sets are made empty and filled from queues, so neither depth nor a cycle is a problem; tuples and
//! frozensets, which cannot be made before their elements, are made in place. Dicts and sets are filled last, as they
//! hash what they are filled with.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use onecopy::image::{Container, Decoded, Items, Node, Scalar, Sequence, Word, read_blob};
use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyList, PySet, PyTuple};

use super::table::TableView;
use super::table_core::TableCore;
use super::text::StrView;
use super::typed::Family;
use super::{kinds, row, run, sequence};
use crate::column::{Elements, Steps};
use crate::error::{Error, corrupt};
use crate::image::{Image, array, objects, rebuilt};

/// Tuples in tuples deeper than this have no real thing: making one would overflow the stack of a small thread.
const TUPLE_DEPTH: usize = 100;

/// What is still to be filled, and hashes nothing.
pub(super) enum Job<'py> {
    List(u64, Bound<'py, PyList>),
    Row(Arc<TableCore>, usize, Bound<'py, PyAny>),
    Typed(u64, Family, Bound<'py, PyAny>),
}

/// What is still to be filled, and hashes what it is filled with: rows among it have to be complete.
pub(super) enum Hashed<'py> {
    Dict(u64, Bound<'py, PyDict>),
    Set(u64, Bound<'py, PySet>),
}

pub(super) struct Real<'py> {
    pub(super) image: Bound<'py, Image>,
    pub(super) made: HashMap<u64, Bound<'py, PyAny>>,
    pub(super) rows: HashMap<(u64, usize), Bound<'py, PyAny>>,
    pub(super) queue: Vec<Job<'py>>,
    pub(super) hashed: Vec<Hashed<'py>>,
    pub(super) depth: usize,
}

/// The real thing behind a node.
fn of_node<'py>(image: &Bound<'py, Image>, node: u64) -> PyResult<Bound<'py, PyAny>> {
    let mut real = Real::new(image);
    let made = real.node(node)?;
    real.run()?;
    Ok(made)
}

/// The real row of a table.
fn of_row<'py>(
    image: &Bound<'py, Image>,
    core: &Arc<TableCore>,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let mut real = Real::new(image);
    let made = real.row(core, row)?;
    real.run()?;
    Ok(made)
}

/// A real list or tuple of some rows.
fn of_rows<'py>(
    image: &Bound<'py, Image>,
    core: &Arc<TableCore>,
    steps: &Steps,
) -> PyResult<Bound<'py, PyAny>> {
    if steps.start == 0 && steps.step == 1 && steps.len == core.table.rows {
        return of_node(image, core.node);
    }
    let mut real = Real::new(image);
    let list = PyList::empty(image.py());
    for index in 0..steps.len {
        list.append(real.row(core, steps.at(index))?)?;
    }
    real.run()?;
    match core.table.container {
        Container::List => Ok(list.into_any()),
        Container::Tuple => Ok(list.to_tuple().into_any()),
    }
}

/// The real thing behind any view; other objects are returned as they are.
pub(super) fn to_python<'py>(view: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = view.py();
    if let Some(elements) = sequence::of(view) {
        return of_elements(py, elements);
    }
    if let Some((image, core, row)) = row::of(view) {
        return of_row(image.bind(py), core, row);
    }
    if let Some(run) = run::of(view) {
        return run.real(py);
    }
    if let Ok(text) = view.cast_exact::<StrView>() {
        return text.get().real(py);
    }
    if let Ok(table) = view.cast_exact::<TableView>() {
        let TableView {
            image, core, steps, ..
        } = table.get();
        return of_rows(image.bind(py), core, steps);
    }
    match kinds::place_of(view) {
        Some((image, node)) => of_node(image.bind(py), node),
        None => Ok(view.clone()),
    }
}

fn of_elements<'py>(py: Python<'py>, elements: &Elements) -> PyResult<Bound<'py, PyAny>> {
    if !elements.lead_on() {
        return elements.to_builtin(py, elements.container);
    }
    let mut real = Real::new(elements.image.bind(py));
    let made = real.part(elements)?;
    real.run()?;
    Ok(made)
}

/// Returns the real thing behind a view; for the package's own use.
#[pyfunction(name = "_real")]
pub(crate) fn real<'py>(view: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    to_python(view)
}

impl<'py> Real<'py> {
    fn new(image: &Bound<'py, Image>) -> Self {
        Self {
            image: image.clone(),
            made: HashMap::new(),
            rows: HashMap::new(),
            queue: Vec::new(),
            hashed: Vec::new(),
            depth: 0,
        }
    }

    pub(super) fn py(&self) -> Python<'py> {
        self.image.py()
    }

    fn run(&mut self) -> PyResult<()> {
        loop {
            self.complete()?;
            match self.hashed.pop() {
                Some(hashed) => self.fill_hashed(hashed)?,
                None => return Ok(()),
            }
        }
    }

    pub(super) fn fill_hashed(&mut self, hashed: Hashed<'py>) -> PyResult<()> {
        match hashed {
            Hashed::Dict(node, dict) => self.fill_dict(node, &dict),
            Hashed::Set(node, set) => self.fill_set(node, &set),
        }
    }

    /// Fills all lists and rows that wait: they may be hashed next.
    pub(super) fn complete(&mut self) -> PyResult<()> {
        if self.queue.is_empty() {
            return Ok(());
        }
        self.enter()?;
        let mut steps: u32 = 0;
        while let Some(job) = self.queue.pop() {
            steps = steps.wrapping_add(1);
            if steps.is_multiple_of(1 << 14) {
                self.py().check_signals()?;
            }
            match job {
                Job::List(node, list) => self.fill_list(node, &list)?,
                Job::Row(core, row, object) => self.fill_row(&core, row, &object)?,
                Job::Typed(node, family, object) => self.fill_typed(node, family, &object)?,
            }
        }
        self.depth -= 1;
        Ok(())
    }

    pub(super) fn node(&mut self, offset: u64) -> PyResult<Bound<'py, PyAny>> {
        if let Some(made) = self.made.get(&offset) {
            return Ok(made.clone());
        }
        let py = self.py();
        let image = self.image.clone();
        let opened = image.get().open()?;
        let made = match opened.node(offset).map_err(Error::from)? {
            Node::Sequence(sequence) => return self.sequence(offset, &sequence),
            Node::Dict(_) => {
                let dict = PyDict::new(py);
                self.hashed.push(Hashed::Dict(offset, dict.clone()));
                dict.into_any()
            }
            Node::Set(set) if set.frozen => {
                let members = self.elements(&set.keys.items)?;
                self.complete()?;
                PyFrozenSet::new(py, members)?.into_any()
            }
            Node::Set(_) => {
                let set = PySet::empty(py)?;
                self.hashed.push(Hashed::Set(offset, set.clone()));
                set.into_any()
            }
            Node::Table(_) => return self.table(offset),
            Node::Row(row) => {
                let core = TableCore::of(&image, row.table)?;
                return self.row(&core, row.row);
            }
            Node::Typed(_) => return self.typed(offset),
            Node::Array(array) => {
                if let Some(run) = run::of_array(&image, offset, &array)? {
                    let made = run.real(py)?;
                    self.made.insert(offset, made.clone());
                    return Ok(made);
                }
                let arrays = crate::cpython::module(py, "onecopy._array")?;
                arrays.call_method1("real", array::shown_as(&image, array, offset)?)?
            }
            Node::Object(_) => rebuilt::build(&image, offset, false)?,
            _ => objects::node(&image, offset)?,
        };
        self.made.insert(offset, made.clone());
        Ok(made)
    }

    fn sequence(&mut self, offset: u64, sequence: &Sequence<'_>) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py();
        let plain = !matches!(sequence.items(), Items::Words(_));
        let made = match sequence.container() {
            container if plain => {
                let view = Elements::of_sequence(&self.image, sequence);
                view.to_builtin(py, container)?
            }
            Container::List => {
                let list = PyList::empty(py);
                self.queue.push(Job::List(offset, list.clone()));
                list.into_any()
            }
            Container::Tuple => {
                let elements = self.elements(sequence)?;
                // A cycle through the tuple has come back to it meanwhile.
                if let Some(made) = self.made.get(&offset) {
                    return Ok(made.clone());
                }
                PyTuple::new(py, elements)?.into_any()
            }
        };
        self.made.insert(offset, made.clone());
        Ok(made)
    }

    /// Goes one tuple deeper.
    pub(super) fn enter(&mut self) -> PyResult<()> {
        self.depth += 1;
        if self.depth > TUPLE_DEPTH {
            return Err(PyRecursionError::new_err(
                "tuples are nested too deep to make real ones of them",
            ));
        }
        Ok(())
    }

    /// The real elements of a sequence.
    pub(super) fn elements(&mut self, sequence: &Sequence<'_>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.enter()?;
        let view = Elements::of_sequence(&self.image, sequence);
        // A plain loop: each level of nested tuples needs little of the stack.
        let mut elements = Vec::with_capacity(sequence.len());
        for index in 0..sequence.len() {
            elements.push(self.element(&view, sequence, index)?);
        }
        self.depth -= 1;
        Ok(elements)
    }

    pub(super) fn element(
        &mut self,
        view: &Elements,
        sequence: &Sequence<'_>,
        index: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Items::Words(words) = sequence.items()
            && let Some(&word) = words.words.get(index)
            && let Some(special) = self.word(Word(word))?
        {
            return Ok(special);
        }
        view.at(self.py(), index)
    }

    /// The real thing that a word leads to, if it leads to a node or pickle.
    pub(super) fn word(&mut self, word: Word) -> PyResult<Option<Bound<'py, PyAny>>> {
        match word.decode() {
            Some(Decoded::Node(offset)) => self.node(offset).map(Some),
            Some(Decoded::Blob(offset)) => {
                let image = self.image.clone();
                let opened = image.get().open()?;
                if !matches!(
                    read_blob(opened.bytes(), offset).map_err(Error::from)?,
                    Scalar::Pickle(_)
                ) {
                    return Ok(None);
                }
                if let Some(made) = self.made.get(&offset) {
                    return Ok(Some(made.clone()));
                }
                let made = rebuilt::fresh(&image, offset)?;
                self.made.insert(offset, made.clone());
                Ok(Some(made))
            }
            _ => Ok(None),
        }
    }

    /// The real elements of a view that may show a part of a list.
    fn part(&mut self, view: &Elements) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py();
        if view.is_whole() {
            return self.node(view.node);
        }
        let image = self.image.clone();
        let opened = image.get().open()?;
        let sequence = opened.sequence_at(view.node).map_err(Error::from)?;
        let list = PyList::empty(py);
        for index in 0..view.steps.len {
            list.append(self.element(view, &sequence, view.steps.at(index))?)?;
        }
        match view.container {
            Container::List => Ok(list.into_any()),
            Container::Tuple => Ok(list.to_tuple().into_any()),
        }
    }

    fn fill_list(&mut self, offset: u64, list: &Bound<'py, PyList>) -> PyResult<()> {
        let image = self.image.clone();
        let opened = image.get().open()?;
        let sequence = opened.sequence_at(offset).map_err(Error::from)?;
        let view = Elements::of_sequence(&image, &sequence);
        for index in 0..sequence.len() {
            list.append(self.element(&view, &sequence, index)?)?;
        }
        Ok(())
    }

    fn fill_dict(&mut self, offset: u64, dict: &Bound<'py, PyDict>) -> PyResult<()> {
        let image = self.image.clone();
        let opened = image.get().open()?;
        let Node::Dict(found) = opened.node(offset).map_err(Error::from)? else {
            return Err(corrupt(offset, "a dict was expected"));
        };
        let keys = Elements::of_sequence(&image, &found.keys.items);
        let values = Elements::of_sequence(&image, &found.values);
        // An OrderedDict has an order of its own beside the entries.
        let put = if dict.is_exact_instance_of::<PyDict>() {
            None
        } else {
            let helper = crate::cpython::module(self.py(), "onecopy._typed")?;
            Some(helper.call_method1("setter", (dict,))?)
        };
        for index in 0..found.keys.len() {
            let key = self.element(&keys, &found.keys.items, index)?;
            self.complete()?;
            let value = self.element(&values, &found.values, index)?;
            match &put {
                None => dict.set_item(key, value)?,
                Some(put) => drop(put.call1((dict, key, value))?),
            }
        }
        Ok(())
    }

    fn fill_set(&mut self, offset: u64, set: &Bound<'py, PySet>) -> PyResult<()> {
        let image = self.image.clone();
        let opened = image.get().open()?;
        let Node::Set(found) = opened.node(offset).map_err(Error::from)? else {
            return Err(corrupt(offset, "a set was expected"));
        };
        let members = self.elements(&found.keys.items)?;
        self.complete()?;
        for member in members {
            set.add(member)?;
        }
        Ok(())
    }
}
