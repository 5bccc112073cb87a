//! All entries of a shared dict, a part at a time: each part as it was at one moment.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::arena::raise;
use super::keys::{decode_key, PAIR};
use super::table::Table;
use super::tables::Tabled;
use super::values::{attach, decode_value};
use crate::arena::heap::go_on;
use crate::arena::Handle;
use crate::table::layout::IN_BLOCK;
use crate::table::{Cursor, Item};

/// How many entries are read at one moment.
const PART: usize = 4096;

/// What is asked for.
#[derive(Clone, Copy)]
pub enum What {
    Keys,
    Values,
    Items,
}

#[derive(Default)]
pub struct Part {
    bytes: Vec<u8>,
    items: Vec<Item>,
    blocks: Vec<Option<Handle>>,
}

impl Table {
    /// A part of the table, as it was at one moment, and references to the blocks of its values.
    fn part(&self, py: Python<'_>, cursor: &Cursor, with_values: bool) -> PyResult<(Part, Cursor)> {
        self.look(py)?;
        let face = self.face();
        let mut part = Part::default();
        let found = face
            .try_scan(cursor, PART, with_values, (&mut part.bytes, &mut part.items))
            .map_err(|error| raise(py, error))?;
        // What lies in blocks may be replaced before there is a reference to it; a key may lie in one, too.
        let needs_lock = |item: &Item| with_values && item.value_kind & IN_BLOCK != 0;
        if let Some(after) = found {
            let has_pairs = part.items.iter().any(|item| item.value_kind & PAIR != 0);
            if !part.items.iter().any(needs_lock) && (with_values || !has_pairs) {
                part.blocks.resize_with(part.items.len(), || None);
                return Ok((part, after));
            }
        }
        part.bytes.clear();
        part.items.clear();
        let held = self.lock(py)?;
        let mut read = || {
            let after = face.scan(&held, cursor, PART, true, (&mut part.bytes, &mut part.items))?;
            for item in &part.items {
                let block = attach(face.arena, item.value_kind, &part.bytes[item.value.clone()])?;
                part.blocks.push(block);
            }
            Ok(after)
        };
        let after = read();
        drop(held);
        match after {
            Ok(after) => Ok((part, after)),
            Err(error) => Err(raise(py, error)),
        }
    }

    fn objects<'py>(&self, py: Python<'py>, part: Part, what: What, into: &Bound<'py, PyList>) -> PyResult<()> {
        let face = self.face();
        let Part { bytes, items, blocks } = part;
        for (item, block) in items.into_iter().zip(blocks) {
            let key = decode_key(py, &item, &bytes)?;
            let is_value_needed = !matches!(what, What::Keys) || key.is_none();
            let value = if is_value_needed {
                let value = &bytes[item.value.clone()];
                Some(decode_value(py, face.arena, item.value_kind, value, block)?)
            } else {
                drop(block.map(|block| face.arena.release(&block, &mut go_on)));
                None
            };
            let (value, paired) = value.unzip();
            let key = key.or(paired.flatten());
            match (what, key, value) {
                (What::Keys, Some(key), _) => into.append(key)?,
                (What::Values, _, Some(value)) => into.append(value)?,
                (What::Items, Some(key), Some(value)) => into.append((key, value))?,
                _ => {}
            }
        }
        Ok(())
    }

    pub fn list<'py>(&self, py: Python<'py>, what: What) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        let mut cursor = Cursor::default();
        while !cursor.is_at_end {
            let (part, after) = self.part(py, &cursor, !matches!(what, What::Keys))?;
            self.objects(py, part, what, &list)?;
            cursor = after;
        }
        Ok(list)
    }
}

/// Reads the keys of a table a part at a time.
#[pyclass(frozen, module = "allcores._core")]
pub struct TableScan {
    table: Py<Table>,
    cursor: Mutex<Cursor>,
}

impl TableScan {
    pub fn new(table: Py<Table>) -> Self {
        Self {
            table,
            cursor: Mutex::default(),
        }
    }
}

#[pymethods]
impl TableScan {
    /// Return a list of what comes next; None when that is nothing.
    fn next_part<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if cursor.is_at_end {
            return Ok(None);
        }
        let table = self.table.get();
        let (part, after) = table.part(py, &cursor, false)?;
        let list = PyList::empty(py);
        table.objects(py, part, What::Keys, &list)?;
        *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) = after;
        Ok(Some(list))
    }
}
