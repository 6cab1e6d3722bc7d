//! Where an array lies, and how it is made and found.
#![forbid(unsafe_code)]

use std::ptr::NonNull;

use super::super::error::ContainerError;
use super::super::head::Inside;
use super::super::heap::Heap;
use super::super::layout::{ROOT3, ROOT4};
use super::super::reference::Reference;
use super::super::stored::no_word;
use crate::error::AttachError;
use crate::store::{Container, Store};
use crate::sys::mapping::PAGE;

/// What the store calls this kind of container.
pub(crate) const KIND: u8 = 4;
/// Where the elements begin, from the head on: a page, which suits every alignment.
pub(super) const ELEMENTS: u64 = PAGE;
/// Bytes of an element.
pub(crate) const ITEM_BYTES: u64 = ROOT3;
const TYPE: u64 = ROOT4;

pub(super) fn create(
    store: &Store,
    byte_len: u64,
    item_bytes: u64,
    kind: u64,
) -> Result<Heap, ContainerError> {
    let heap = Heap::create_empty(
        store,
        KIND,
        byte_len.saturating_add(ELEMENTS),
        Inside::without_blocks(no_word),
    )?;
    heap.top.store(ITEM_BYTES, item_bytes);
    heap.top.store(TYPE, kind);
    Ok(heap)
}

pub(super) fn open(container: Container, kind: u64) -> Result<Heap, ContainerError> {
    let heap = Heap::open(
        container,
        |found| found == KIND,
        Inside::without_blocks(no_word),
    )?;
    let len = heap.container.len();
    if len < ELEMENTS || heap.words.place(heap.head, len).is_none() {
        return Err(heap.corrupt(heap.head, "an array that is cut off").into());
    }
    let found = heap.top.relaxed(TYPE);
    if found == kind {
        return Ok(heap);
    }
    let what = match found {
        0 => "an array that is no Rust array".to_owned(),
        _ => format!(
            "an array of {}",
            String::from_utf8_lossy(&found.to_le_bytes()).trim_end()
        ),
    };
    let expected = "an array of this type";
    Err(AttachError::WrongType { expected, what }.into())
}

pub(super) fn of_reference(
    reference: &Reference,
    kind: u64,
) -> Result<Option<Heap>, ContainerError> {
    let container = reference.container();
    let container = container.filter(|container| container.kind() == KIND);
    container
        .map(|container| open(container.clone(), kind))
        .transpose()
}

/// Where the elements lie, and their bytes: none, at the area's beginning, in a process where nothing keeps them.
pub(super) fn elements(heap: &Heap) -> (NonNull<u8>, usize) {
    let byte_len = if heap.container.is_void() {
        0
    } else {
        byte_len(heap)
    };
    let place = heap.words.place(heap.head + ELEMENTS, byte_len);
    // An array's run is within the area, as was found out when it was made or attached.
    place.map_or((heap.words.start(), 0), |place| (place, byte_len as usize))
}

/// Elements of an array whose container is `len` bytes long and says that each has `item_bytes`.
pub(crate) fn count(len: u64, item_bytes: u64) -> u64 {
    let bytes = len.saturating_sub(ELEMENTS);
    bytes.checked_div(item_bytes).unwrap_or(0)
}

/// Bytes of all elements.
pub(super) fn byte_len(heap: &Heap) -> u64 {
    heap.container.len().saturating_sub(ELEMENTS)
}
