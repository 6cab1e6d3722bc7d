//! scikit-learn's decision trees, walked where they lie in the image.
//!
//! A tree is an array of nodes, the root first:
//!
//! | bytes | a node has |
//! |---|---|
//! | 0..8 | index of the left child as `i64`; -1 makes the node a leaf |
//! | 8..16 | index of the right child |
//! | 16..24 | the feature that decides, as `i64` |
//! | 24..32 | the threshold, as `f64`: a value goes left if it is not larger |
//! | 32..56 | what training knew: impurity, number and weight of samples |
//! | 56 | whether a missing value goes left |
//! | 57..64 | padding |
//!
//! `_models.py` compares this with the layout that scikit-learn has. Nodes come from an image, so they are input: every
//! index is checked where it is used, and a walk takes no more steps than there are nodes.
#![allow(
    unsafe_code,
    reason = "reads arrays of NumPy and writes one, without the interpreter's lock"
)]

use std::sync::atomic::{Ordering, compiler_fence};

use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::corrupt;
use crate::image::copy::Address;

/// Adds the functions to the extension module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(tree_apply, module)?)?;
    module.add_function(wrap_pyfunction!(tree_apply_csr, module)?)
}

const NODE_BYTES: usize = 64;
const MISSING_GO_TO_LEFT: usize = 56;
const LEAF: i64 = -1;
/// Rows that are walked in turn.
const LANES: usize = 8;

/// What decides which way a row goes: the first half of a node.
#[derive(Clone, Copy)]
#[repr(C)]
struct Split {
    left: i64,
    right: i64,
    feature: i64,
    threshold: f64,
}

const _: () = assert!(size_of::<Split>() == NODE_BYTES / 2);

/// The elements of a contiguous buffer, by address.
///
/// Not a slice: whoever has the array may write to it while another thread is here.
struct Elements<T> {
    start: Address,
    len: usize,
    kind: std::marker::PhantomData<T>,
}

impl<T> Clone for Elements<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Elements<T> {}

impl<T: Element> Elements<T> {
    /// The caller keeps the buffer for as long as it uses what it got: that is what the safety of all reads rests on.
    fn of(buffer: &PyBuffer<T>, name: &str) -> PyResult<Self> {
        if !buffer.is_c_contiguous() {
            return Err(PyValueError::new_err(format!("{name} is not contiguous")));
        }
        Ok(Self {
            start: Address(buffer.buf_ptr().cast()),
            len: buffer.item_count(),
            kind: std::marker::PhantomData,
        })
    }

    fn place(self, index: usize) -> Option<*mut T> {
        if index >= self.len {
            return None;
        }
        // SAFETY: `index < len`, so the element lies inside the buffer, which its owner has exported (see `of`).
        Some(unsafe { self.start.0.cast::<T>().add(index) })
    }

    fn get(self, index: usize) -> Option<T> {
        let place = self.place(index)?;
        // SAFETY: the element at `place` is readable, and every pattern of bits is a number.
        Some(unsafe { place.read_unaligned() })
    }
}

/// The nodes of one tree.
#[derive(Clone, Copy)]
struct Nodes {
    bytes: Elements<u8>,
    count: usize,
}

impl Nodes {
    fn of(buffer: &PyBuffer<u8>) -> PyResult<Self> {
        let bytes = Elements::of(buffer, "nodes")?;
        if bytes.len % NODE_BYTES != 0 {
            return Err(PyValueError::new_err("nodes have 64 bytes each"));
        }
        let count = bytes.len / NODE_BYTES;
        Ok(Self { bytes, count })
    }

    fn split(self, node: usize) -> Option<Split> {
        if node >= self.count {
            return None;
        }
        // SAFETY: `node < count`, so all of the node lies inside the buffer, which its owner has exported.
        let place = unsafe { self.bytes.start.0.add(node * NODE_BYTES) };
        // SAFETY: 32 bytes are readable at `place`, and every pattern of bits is a `Split`.
        let split = unsafe { place.cast::<Split>().read_unaligned() };
        // So that a field that is used later is not loaded again: another process may have changed it.
        compiler_fence(Ordering::SeqCst);
        Some(split)
    }

    /// The child that a value leads to.
    ///
    /// As in scikit-learn a value is compared as `f64`. Rows of a sparse matrix know no missing values: there a NaN is
    /// a number that is not small enough.
    fn child<const MISSING: bool>(self, node: usize, split: &Split, value: f32) -> usize {
        let left = if MISSING && value.is_nan() {
            self.bytes.get(node * NODE_BYTES + MISSING_GO_TO_LEFT) != Some(0)
        } else {
            f64::from(value) <= split.threshold
        };
        let child = if left { split.left } else { split.right };
        // A negative index becomes one that no tree has.
        child.cast_unsigned() as usize
    }

    /// Whether the walk ended at `node`, which then stays; None if the nodes are no tree.
    fn step<const MISSING: bool>(
        self,
        node: &mut usize,
        value: impl FnOnce(usize) -> Option<f32>,
    ) -> Option<bool> {
        let split = self.split(*node)?;
        if split.left == LEAF {
            return Some(true);
        }
        let value = value(split.feature.cast_unsigned() as usize)?;
        *node = self.child::<MISSING>(*node, &split, value);
        Some(false)
    }

    /// The leaves in which some rows end; None if the nodes are no tree.
    ///
    /// The rows take their steps in turn: while one waits for memory, the others go on.
    fn leaves<const LANES: usize, const MISSING: bool>(
        self,
        value: impl Fn(usize, usize) -> Option<f32>,
    ) -> Option<[usize; LANES]> {
        let mut nodes = [0; LANES];
        for _ in 0..self.count {
            let mut ended = true;
            for (lane, node) in nodes.iter_mut().enumerate() {
                ended &= self.step::<MISSING>(node, |feature| value(lane, feature))?;
            }
            if ended {
                return Some(nodes);
            }
        }
        None
    }
}

/// Where the leaves go, one per row.
#[derive(Clone, Copy)]
struct Leaves(Elements<i64>);

impl Leaves {
    fn of(buffer: &PyBuffer<i64>) -> PyResult<Self> {
        if buffer.readonly() {
            return Err(PyValueError::new_err("leaves is read-only"));
        }
        Ok(Self(Elements::of(buffer, "leaves")?))
    }

    fn set(self, row: usize, leaf: usize) {
        let place = self.0.place(row).expect("as many rows as leaves");
        // SAFETY: the element at `place` is writable (see `of`). A leaf's index came out of an `i64`.
        unsafe { place.write_unaligned((leaf as u64).cast_signed()) };
    }
}

/// Why a walk ended early.
enum Fault {
    Tree,
    Rows,
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Tree => corrupt(0, "the nodes of a decision tree are no tree"),
            Fault::Rows => PyValueError::new_err("the sparse matrix has indices outside of it"),
        }
    }
}

/// An array of two dimensions, which may lie in memory in any order.
#[derive(Clone, Copy)]
struct Rows {
    start: Address,
    count: usize,
    columns: usize,
    row_step: isize,
    column_step: isize,
}

impl Rows {
    /// The caller keeps the buffer, as with `Elements::of`.
    fn of(buffer: &PyBuffer<f32>) -> PyResult<Self> {
        let (&[count, columns], &[row_step, column_step], None) =
            (buffer.shape(), buffer.strides(), buffer.suboffsets())
        else {
            return Err(PyValueError::new_err("rows has not two dimensions"));
        };
        Ok(Self {
            start: Address(buffer.buf_ptr().cast()),
            count,
            columns,
            row_step,
            column_step,
        })
    }

    fn get(self, row: usize, column: usize) -> Option<f32> {
        if row >= self.count || column >= self.columns {
            return None;
        }
        let steps = row.cast_signed() * self.row_step + column.cast_signed() * self.column_step;
        // SAFETY: the element exists, and its owner has exported the buffer with these strides, so it lies inside.
        let place = unsafe { self.start.0.offset(steps) };
        // SAFETY: four bytes are readable at `place`, and every pattern of bits is a number.
        Some(unsafe { place.cast::<f32>().read_unaligned() })
    }
}

/// Finds the leaf of every row, and puts it into `leaves`.
#[pyfunction]
fn tree_apply(
    py: Python<'_>,
    nodes: PyBuffer<u8>,
    rows: PyBuffer<f32>,
    leaves: PyBuffer<i64>,
) -> PyResult<()> {
    let (tree, table) = (Nodes::of(&nodes)?, Rows::of(&rows)?);
    let out = Leaves::of(&leaves)?;
    if out.0.len != table.count {
        return Err(PyValueError::new_err("rows and leaves do not fit"));
    }
    let walked = py.detach(move || {
        let together = table.count - table.count % LANES;
        for first in (0..together).step_by(LANES) {
            let value = |lane, feature| table.get(first + lane, feature);
            let leaves = tree.leaves::<LANES, true>(value).ok_or(Fault::Tree)?;
            for (row, leaf) in (first..).zip(leaves) {
                out.set(row, leaf);
            }
        }
        for row in together..table.count {
            let [leaf] = tree
                .leaves::<1, true>(|_, feature| table.get(row, feature))
                .ok_or(Fault::Tree)?;
            out.set(row, leaf);
        }
        Ok::<(), Fault>(())
    });
    // They hold the memory up to here.
    drop((nodes, rows, leaves));
    Ok(walked?)
}

/// Finds the leaf of every row of a matrix in compressed sparse rows; what is not in it is zero.
#[pyfunction]
fn tree_apply_csr(
    py: Python<'_>,
    nodes: PyBuffer<u8>,
    data: PyBuffer<f32>,
    indices: PyBuffer<i32>,
    indptr: PyBuffer<i32>,
    columns: usize,
    leaves: PyBuffer<i64>,
) -> PyResult<()> {
    let tree = Nodes::of(&nodes)?;
    let matrix = Matrix {
        data: Elements::of(&data, "data")?,
        indices: Elements::of(&indices, "indices")?,
        indptr: Elements::of(&indptr, "indptr")?,
    };
    let out = Leaves::of(&leaves)?;
    let walked = py.detach(move || {
        // The value of each column, and the row that it belongs to, counted from 1.
        let mut sample = vec![(0_usize, 0.0_f32); columns];
        for row in 0..out.0.len {
            matrix.unpack(row, &mut sample).ok_or(Fault::Rows)?;
            let value = |_, feature: usize| {
                let &(owner, value) = sample.get(feature)?;
                Some(if owner == row + 1 { value } else { 0.0 })
            };
            let [leaf] = tree.leaves::<1, false>(value).ok_or(Fault::Tree)?;
            out.set(row, leaf);
        }
        Ok::<(), Fault>(())
    });
    drop((nodes, data, indices, indptr, leaves));
    Ok(walked?)
}

/// A matrix in compressed sparse rows.
#[derive(Clone, Copy)]
struct Matrix {
    data: Elements<f32>,
    indices: Elements<i32>,
    indptr: Elements<i32>,
}

impl Matrix {
    /// Puts the values of a row where its columns are; the last one counts if there are two. None if it has none such.
    fn unpack(self, row: usize, sample: &mut [(usize, f32)]) -> Option<()> {
        let end = usize::try_from(self.indptr.get(row + 1)?).ok()?;
        for index in usize::try_from(self.indptr.get(row)?).ok()?..end {
            let column = usize::try_from(self.indices.get(index)?).ok()?;
            *sample.get_mut(column)? = (row + 1, self.data.get(index)?);
        }
        Some(())
    }
}
