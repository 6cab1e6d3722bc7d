//! `onecopy inspect PID`: the containers in the stores of a process.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use comfy_table::CellAlignment;
use onecopy::{ContainerStats, Store, Uuid};
use serde::Serialize;

use crate::output::units::{Bytes, grouped};
use crate::output::{json, table};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Inspection {
    schema: &'static str,
    pid: u32,
    stores: Vec<Found>,
}

/// A store that the process uses.
#[derive(Debug, Serialize)]
struct Found {
    id: String,
    live_objects: u64,
    allocated_bytes: u64,
    container_bytes: u64,
    containers: Vec<Row>,
}

/// A container, by the names of `onecopy.store.ContainerStats`.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    kind: String,
    length: u64,
    holds: u64,
    units: u64,
    chunks: u64,
    total_bytes: u64,
    live_bytes: u64,
    free_bytes: u64,
    limbo_bytes: u64,
    large_values: u64,
    large_bytes: u64,
}

impl Row {
    fn of(stats: &ContainerStats) -> Self {
        Self {
            id: stats.id.to_string(),
            kind: stats.kind.to_string(),
            length: stats.len,
            holds: stats.holds,
            units: stats.units,
            chunks: stats.chunks,
            total_bytes: stats.bytes,
            live_bytes: stats.live_bytes,
            free_bytes: stats.free_bytes,
            limbo_bytes: stats.limbo_bytes,
            large_values: stats.large_values,
            large_bytes: stats.large_bytes,
        }
    }
}

/// Prints what is in the stores of a process.
pub(super) fn run(pid: u32, is_json: bool, out: &mut dyn Write) -> Result<()> {
    let mut stores = Vec::new();
    for (path, uuid) in descriptors(pid)? {
        stores.push(look(&path, uuid).with_context(|| format!("store {uuid} of process {pid}"))?);
    }
    if stores.is_empty() {
        bail!("process {pid} uses no onecopy store");
    }
    if is_json {
        let schema = "onecopy.inspect-process/1";
        return json::write(
            out,
            &Inspection {
                schema,
                pid,
                stores,
            },
        );
    }
    for store in &stores {
        print(out, pid, store)?;
    }
    Ok(())
}

/// The stores that a process has open: a way to each, and its name.
fn descriptors(pid: u32) -> Result<Vec<(PathBuf, Uuid)>> {
    let folder = PathBuf::from(format!("/proc/{pid}/fd"));
    let entries = fs::read_dir(&folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow!("process {pid} does not exist"),
        io::ErrorKind::PermissionDenied => {
            anyhow!("process {pid} belongs to another user: run as that user")
        }
        _ => anyhow!("{}: {error}", folder.display()),
    })?;
    let (mut known, mut found) = (BTreeSet::new(), Vec::new());
    for entry in entries {
        // What is closed meanwhile is no store of the process any more.
        let Ok(path) = entry.map(|entry| entry.path()) else {
            continue;
        };
        let Some(uuid) = fs::read_link(&path).ok().and_then(|to| name_of(&to)) else {
            continue;
        };
        if known.insert(uuid.to_string()) {
            found.push((path, uuid));
        }
    }
    found.sort_by_key(|(_, uuid)| uuid.to_string());
    Ok(found)
}

/// The store that a descriptor leads to: `/memfd:onecopy-NAME (deleted)`.
fn name_of(target: &Path) -> Option<Uuid> {
    let rest = target.to_str()?.strip_prefix("/memfd:onecopy-")?;
    Uuid::parse(rest.split(' ').next()?)
}

fn look(path: &Path, uuid: Uuid) -> Result<Found> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let store = Store::from_fd(file.into(), uuid)?;
    let containers = store.containers()?;
    let stats = store.stats()?;
    Ok(Found {
        id: uuid.to_string(),
        live_objects: stats.live_objects,
        allocated_bytes: stats.allocated_bytes,
        container_bytes: containers.iter().map(|row| row.bytes).sum(),
        containers: containers.iter().map(Row::of).collect(),
    })
}

fn print(out: &mut dyn Write, pid: u32, store: &Found) -> Result<()> {
    writeln!(
        out,
        "process {pid}, store {}: {} shared objects, {} containers of {}",
        store.id,
        grouped(store.live_objects),
        grouped(store.containers.len() as u64),
        Bytes(store.container_bytes),
    )?;
    if store.containers.is_empty() {
        return Ok(());
    }
    let mut rows = table::ruled();
    rows.set_header([
        "kind",
        "id",
        "length",
        "total",
        "live",
        "free",
        "limbo",
        "large",
        "chunks",
        "processes",
        "tokens",
    ]);
    for row in &store.containers {
        rows.add_row([
            row.kind.clone(),
            row.id.clone(),
            grouped(row.length),
            Bytes(row.total_bytes).to_string(),
            Bytes(row.live_bytes).to_string(),
            Bytes(row.free_bytes).to_string(),
            Bytes(row.limbo_bytes).to_string(),
            Bytes(row.large_bytes).to_string(),
            grouped(row.chunks),
            grouped(row.holds),
            grouped(row.units),
        ]);
    }
    for column in rows.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
        column.set_padding((2, 0));
    }
    Ok(writeln!(out, "{rows}")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_store_s_descriptor_is_one() {
        let name = "0123456789abcdef0123456789abcdef";
        let is_store =
            |text: &str| name_of(Path::new(text)).is_some_and(|uuid| uuid.to_string() == name);
        assert!(is_store(&format!("/memfd:onecopy-{name} (deleted)")));
        assert!(!is_store(&format!("/memfd:onecopy-{name}0 (deleted)")));
        assert!(!is_store(&format!("/tmp/memfd:onecopy-{name} (deleted)")));
        assert!(!is_store("/memfd:onecopy- (deleted)"));
        assert!(!is_store("socket:[1]"));
    }
}
