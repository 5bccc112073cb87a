//! The shared dict in Python: keys and values are encoded before the lock is taken and decoded after it was given back.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::arena::{raise, Address, Object};
use super::keys::{decode_key, encode_key, KeyBytes, PAIR};
use super::messages::{pickling, prepare_for_blocks, takes_blocks};
use super::plain::INT;
use super::sides::lock_word;
use super::values::{attach, decode_value, ValueBytes};
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::{Error, Handle};
use crate::sync::side::Held;
use crate::table::layout::TableBody;
use crate::table::{Added, Cursor, Item, Key, Put, Section};

type Face = crate::table::Table<'static>;

/// How many entries are read at one moment.
const PART: usize = 4096;

/// A dict in the session's shared memory; see allcores.managers.
#[pyclass(frozen, subclass, module = "allcores._core")]
pub struct Table {
    object: Object<TableBody>,
}

/// A value as it lies there, and this process's reference to its block.
struct Raw {
    kind: u8,
    bytes: Vec<u8>,
    block: Option<Handle>,
}

impl Raw {
    fn object<'py>(self, py: Python<'py>, face: &Face) -> PyResult<Bound<'py, PyAny>> {
        Ok(decode_value(py, face.arena, self.kind, &self.bytes, self.block)?.0)
    }

    /// Give the reference back.
    fn drop_block(&mut self, face: &Face) {
        if let Some(block) = self.block.take() {
            let _ = face.arena.release(&block, &mut go_on);
        }
    }
}

/// A key, and for one without a canonical form how often such came and went when it was looked for.
struct Sought {
    key: KeyBytes,
    others: Option<u64>,
    /// Such a key is not there.
    is_absent: bool,
    /// What there is in its place has been looked at: whether that is a pair of key and value; `None` before.
    replaces_pair: Option<bool>,
}

impl Sought {
    /// Whether a value of this kind can be replaced by the one that was made for this key.
    fn replaces(&self, kind: u8) -> bool {
        match self.replaces_pair {
            Some(is_pair) => is_pair == (kind & PAIR != 0),
            None => !self.key.is_long && kind & PAIR == 0,
        }
    }
}

/// What is to be done to a key.
enum Change {
    Set(Sought, ValueBytes),
    Delete(Sought),
}

/// What came of an attempt with the lock.
enum Attempt<T> {
    Done(T),
    /// Something has changed since the key was looked for.
    Again,
}

impl Table {
    fn face(&self) -> Face {
        crate::table::Table {
            arena: self.object.arena,
            body: self.object.body,
            offset: self.object.offset(),
        }
    }

    fn lock(&self, py: Python<'_>) -> PyResult<Held> {
        let face = self.face();
        lock_word(py, face.arena, face.lock_word())
    }

    /// Change something, whole or not at all. No Python runs meanwhile.
    fn change<T>(
        &self,
        py: Python<'_>,
        does: impl FnOnce(&mut Section<'static>) -> crate::arena::Result<T>,
    ) -> PyResult<T> {
        let attempt = self.attempt(py, |section| does(section).map(Attempt::Done))?;
        match attempt {
            Attempt::Done(done) => Ok(done),
            Attempt::Again => Err(raise(py, Error::Corrupt("a table was not changed"))), // which it says to nobody
        }
    }

    /// The same, or nothing, if something else is to be looked at again first.
    fn attempt<T>(
        &self,
        py: Python<'_>,
        does: impl FnOnce(&mut Section<'static>) -> crate::arena::Result<Attempt<T>>,
    ) -> PyResult<Attempt<T>> {
        let held = self.lock(py)?;
        let attempt = move || {
            let mut section = Section::enter(self.face(), held)?;
            let done = does(&mut section)?;
            if let Attempt::Done(_) = done {
                section.commit()?;
            }
            Ok(done)
        };
        attempt().map_err(|error| raise(py, error))
    }

    /// Encode a key; look for it, if it has no canonical form.
    fn seek(&self, object: &Bound<'_, PyAny>, stores: bool) -> PyResult<Sought> {
        let key = encode_key(object, stores)?;
        if key.is_other() {
            return self.seek_other(object, key);
        }
        Ok(Sought {
            key,
            others: None,
            is_absent: false,
            replaces_pair: None,
        })
    }

    #[cold]
    fn seek_other(&self, object: &Bound<'_, PyAny>, mut key: KeyBytes) -> PyResult<Sought> {
        let (py, face) = (object.py(), self.face());
        let (mut bytes, mut items) = (Vec::new(), Vec::new());
        let found = face
            .try_others((&mut bytes, &mut items))
            .map_err(|error| raise(py, error))?;
        let others = match found {
            Some(others) => others,
            None => {
                bytes.clear();
                items.clear();
                let held = self.lock(py)?;
                let found = face.others(&held, (&mut bytes, &mut items));
                drop(held);
                found.map_err(|error| raise(py, error))?
            }
        };
        for item in items {
            let candidate = match decode_key(py, &item, &bytes)? {
                Some(candidate) => candidate,
                None => {
                    let value = &bytes[item.value.clone()];
                    let block = match attach(face.arena, item.value_kind, value) {
                        Ok(block) => block,
                        Err(Error::Freed) => continue, // it is no more, or has another value: looked for again if need be
                        Err(error) => return Err(raise(py, error)),
                    };
                    let (_, candidate) = decode_value(py, face.arena, item.value_kind, value, block)?;
                    match candidate {
                        Some(candidate) => candidate,
                        None => continue,
                    }
                }
            };
            if candidate.hash()? == object.hash()? && candidate.eq(object)? {
                key.set_number(&bytes[item.key.clone()]);
                key.is_long = item.value_kind & PAIR != 0;
                return Ok(Sought {
                    key,
                    others: Some(others),
                    is_absent: false,
                    replaces_pair: None,
                });
            }
        }
        Ok(Sought {
            key,
            others: Some(others),
            is_absent: true,
            replaces_pair: None,
        })
    }

    /// The value of a key, with a reference to its block.
    fn find(&self, py: Python<'_>, object: &Bound<'_, PyAny>) -> PyResult<Option<Raw>> {
        let sought = self.seek(object, false)?;
        if sought.is_absent {
            return Ok(None);
        }
        self.find_sought(py, &sought)
    }

    fn find_sought(&self, py: Python<'_>, sought: &Sought) -> PyResult<Option<Raw>> {
        let face = self.face();
        let key = sought.key.key(face.arena.session());
        let mut bytes = Vec::new();
        loop {
            let found = face.try_get(key, &mut bytes).map_err(|error| raise(py, error))?;
            let found = match found {
                Some(found) => found,
                None => {
                    bytes.clear();
                    let held = self.lock(py)?;
                    let found = face.get(&held, key, &mut bytes);
                    drop(held);
                    found.map_err(|error| raise(py, error))?
                }
            };
            let Some(found) = found else { return Ok(None) };
            match attach(face.arena, found.kind, &bytes) {
                Ok(block) => {
                    return Ok(Some(Raw {
                        kind: found.kind,
                        bytes,
                        block,
                    }))
                }
                Err(Error::Freed) => bytes.clear(), // replaced since
                Err(error) => return Err(raise(py, error)),
            }
        }
    }

    /// Have a key with a value.
    fn set(&self, object: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = object.py();
        let mut is_first = true;
        loop {
            let mut change = self.change_to_set(object, value, &mut is_first)?;
            if let Attempt::Done(()) =
                self.attempt(py, |section| apply(py, section, std::slice::from_mut(&mut change)))?
            {
                return Ok(());
            }
        }
    }

    /// What is to be done to have a key with a value, at the first attempt.
    fn change_to_set(
        &self,
        object: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        is_first: &mut bool,
    ) -> PyResult<Change> {
        if !std::mem::take(is_first) {
            return self.change_to_replace(object, value);
        }
        let sought = self.seek(object, true)?;
        let value = ValueBytes::of(value, sought.key.is_long.then_some(object))?;
        Ok(Change::Set(sought, value))
    }

    /// The same when a key that is too long for a slot is there already, or this one is and the other is not: the key that
    /// is there stays.
    #[cold]
    fn change_to_replace(&self, object: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<Change> {
        let (py, face) = (object.py(), self.face());
        let mut sought = self.seek(object, true)?;
        let there = if sought.is_absent {
            None
        } else {
            self.find_sought(py, &sought)?
        };
        let key = match there {
            None => sought.key.is_long.then(|| object.clone()),
            Some(raw) => {
                let (_, key) = decode_value(py, face.arena, raw.kind, &raw.bytes, raw.block)?;
                sought.replaces_pair = Some(key.is_some());
                key
            }
        };
        let value = ValueBytes::of(value, key.as_ref())?;
        Ok(Change::Set(sought, value))
    }

    /// A part of the table, as it was at one moment, and references to the blocks of its values.
    fn part(&self, py: Python<'_>, cursor: &Cursor, with_values: bool) -> PyResult<(Part, Cursor)> {
        let face = self.face();
        let mut part = Part::default();
        let found = face
            .try_scan(cursor, PART, with_values, (&mut part.bytes, &mut part.items))
            .map_err(|error| raise(py, error))?;
        // What lies in blocks may be replaced before there is a reference to it; a key may lie in one, too.
        let needs_lock = |item: &Item| with_values && item.value_kind & crate::table::layout::IN_BLOCK != 0;
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

    fn list<'py>(&self, py: Python<'py>, what: What) -> PyResult<Bound<'py, PyList>> {
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

/// What is asked for.
#[derive(Clone, Copy)]
enum What {
    Keys,
    Values,
    Items,
}

#[derive(Default)]
struct Part {
    bytes: Vec<u8>,
    items: Vec<Item>,
    blocks: Vec<Option<Handle>>,
}

/// Do what is to be done, or nothing if something has changed since a key was looked for.
fn apply(py: Python<'_>, section: &mut Section<'static>, changes: &mut [Change]) -> crate::arena::Result<Attempt<()>> {
    let others = section.others();
    for change in changes.iter() {
        let (Change::Set(sought, _) | Change::Delete(sought)) = change;
        if sought.others.is_some_and(|seen| seen != others) {
            return Ok(Attempt::Again);
        }
    }
    let session = section.table.arena.session();
    for change in changes {
        match change {
            Change::Set(sought, value) => {
                if sought.is_absent {
                    sought.key.set_number(&section.next_other().to_ne_bytes());
                }
                let (key, original) = (sought.key.key(session), sought.key.original());
                let put = section.set_if(key, original, value.value(py), |kind| sought.replaces(kind))?;
                if put == Put::OfOtherKind {
                    return Ok(Attempt::Again);
                }
            }
            Change::Delete(sought) => {
                section.remove(sought.key.key(session))?;
            }
        }
    }
    Ok(Attempt::Done(()))
}

fn missing(key: &Bound<'_, PyAny>) -> PyErr {
    PyKeyError::new_err((key.clone().unbind(),))
}

#[pymethods]
impl Table {
    #[new]
    #[pyo3(signature = (name=None, address=None))]
    fn new(py: Python<'_>, name: Option<&str>, address: Option<Address>) -> PyResult<Self> {
        pickling(py)?; // before anything is stored
        let size = size_of::<TableBody>() as u64;
        let (object, _) = Object::<TableBody>::new(py, Kind::Table, size, name, address)?;
        Ok(Self { object })
    }

    fn __len__(&self) -> usize {
        self.face().len() as usize
    }

    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let mut found = self.find(py, key)?;
        if let Some(raw) = &mut found {
            raw.drop_block(&self.face());
        }
        Ok(found.is_some())
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match self.find(py, key)? {
            Some(raw) => raw.object(py, &self.face()),
            None => Err(missing(key)),
        }
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set(key, value)
    }

    fn __delitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        loop {
            let sought = self.seek(key, false)?;
            if sought.is_absent {
                return Err(missing(key));
            }
            let done = self.attempt(py, |section| {
                if sought.others.is_some_and(|seen| seen != section.others()) {
                    return Ok(Attempt::Again);
                }
                let session = section.table.arena.session();
                section.remove(sought.key.key(session)).map(Attempt::Done)
            })?;
            match done {
                Attempt::Done(true) => return Ok(()),
                Attempt::Done(false) => return Err(missing(key)),
                Attempt::Again => {}
            }
        }
    }

    /// Return a key's value, or `default`.
    #[pyo3(signature = (key, default=None, /))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.find(py, key)? {
            Some(raw) => raw.object(py, &self.face()).map(Some),
            None => Ok(default),
        }
    }

    /// Delete a key and return its value; without one `default`, or KeyError.
    #[pyo3(signature = (key, /, *default))]
    fn pop<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if default.len() > 1 {
            let text = format!("pop expected at most 2 arguments, got {}", default.len() + 1);
            return Err(pyo3::exceptions::PyTypeError::new_err(text));
        }
        let absent = || default.iter().next().ok_or_else(|| missing(key));
        ready_to_take(py)?;
        loop {
            let sought = self.seek(key, false)?;
            if sought.is_absent {
                return absent();
            }
            let done = self.attempt(py, |section| {
                if sought.others.is_some_and(|seen| seen != section.others()) {
                    return Ok(Attempt::Again);
                }
                let session = section.table.arena.session();
                take(section, sought.key.key(session)).map(Attempt::Done)
            })?;
            match done {
                Attempt::Done(Some(raw)) => return raw.object(py, &self.face()),
                Attempt::Done(None) => return absent(),
                Attempt::Again => {}
            }
        }
    }

    /// Delete the key that was inserted last; return it and its value. KeyError when there is none.
    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        ready_to_take(py)?;
        let mut bytes = Vec::new();
        let taken = self.change(py, |section| {
            let Some(item) = section.last(&mut bytes)? else {
                return Ok(None);
            };
            let key = Key::of(section.table.arena.session(), item.key_kind, &bytes[item.key.clone()]);
            Ok(take(section, key)?.map(|raw| (item, raw)))
        })?;
        let Some((item, raw)) = taken else {
            return Err(PyKeyError::new_err("popitem(): dictionary is empty"));
        };
        let key = decode_key(py, &item, &bytes)?;
        let (value, paired) = decode_value(py, self.object.arena, raw.kind, &raw.bytes, raw.block)?;
        match key.or(paired) {
            Some(key) => Ok((key, value)),
            None => Err(raise(
                py,
                Error::Corrupt("a key is neither in its slot nor with its value"),
            )),
        }
    }

    /// Return a key's value; without one insert `default`, and return that.
    #[pyo3(signature = (key, default=None, /))]
    fn setdefault<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        if let Some(raw) = self.find(py, key)? {
            return raw.object(py, &self.face());
        }
        let default = default.unwrap_or_else(|| py.None().into_bound(py));
        let mut is_first = true;
        loop {
            let mut change = self.change_to_set(key, &default, &mut is_first)?;
            let done = self.attempt(py, |section| {
                let Change::Set(sought, _) = &change else {
                    return Ok(Attempt::Again);
                };
                if !sought.is_absent {
                    let session = section.table.arena.session();
                    if let Some(raw) = read(section, sought.key.key(session))? {
                        return Ok(Attempt::Done(Some(raw)));
                    }
                }
                Ok(match apply(py, section, std::slice::from_mut(&mut change))? {
                    Attempt::Done(()) => Attempt::Done(None),
                    Attempt::Again => Attempt::Again,
                })
            })?;
            match done {
                Attempt::Done(Some(raw)) => return raw.object(py, &self.face()),
                Attempt::Done(None) => return Ok(default),
                Attempt::Again => {}
            }
        }
    }

    /// Set a key to `new` if its value equals `old`; whether it did.
    #[pyo3(signature = (key, old, new, /))]
    fn compare_and_set(
        &self,
        key: &Bound<'_, PyAny>,
        old: &Bound<'_, PyAny>,
        new: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let py = key.py();
        let mut is_first = true;
        loop {
            let Some(seen) = self.find(py, key)? else {
                return Ok(false);
            };
            let (kind, bytes) = (seen.kind, seen.bytes.clone());
            if !seen.object(py, &self.face())?.eq(old)? {
                return Ok(false);
            }
            let mut change = self.change_to_set(key, new, &mut is_first)?;
            let done = self.attempt(py, |section| {
                let Change::Set(sought, _) = &change else {
                    return Ok(Attempt::Again);
                };
                let (session, mut now) = (section.table.arena.session(), Vec::new());
                let found = section.get(sought.key.key(session), &mut now)?;
                // The same bytes are the same value; a block has a generation.
                if found.is_none_or(|found| found.kind != kind) || now != bytes {
                    return Ok(Attempt::Again);
                }
                apply(py, section, std::slice::from_mut(&mut change))
            })?;
            if let Attempt::Done(()) = done {
                return Ok(true);
            }
        }
    }

    /// Add to the int that a key has, 0 without one, and return the sum; None when it is no int of 64 bits, or the sum.
    #[pyo3(signature = (key, number, /))]
    fn _add(&self, py: Python<'_>, key: &Bound<'_, PyAny>, number: i64) -> PyResult<Option<i64>> {
        let sought = self.seek(key, true)?;
        if sought.others.is_some() || sought.key.is_long {
            return Ok(None);
        }
        let added = self.change(py, |section| {
            let session = section.table.arena.session();
            section.add(sought.key.key(session), sought.key.original(), INT, number)
        })?;
        Ok(match added {
            Added::Done(sum) => Some(sum),
            Added::Unfit => None,
        })
    }

    /// Set keys (tuples of key and value) and delete others (tuples of a key), all or, whoever is killed, none.
    #[pyo3(signature = (changes, /))]
    fn _apply(&self, py: Python<'_>, changes: Vec<Bound<'_, PyTuple>>) -> PyResult<()> {
        let mut is_first = true;
        loop {
            let (mut prepared, was_first) = (Vec::with_capacity(changes.len()), is_first);
            for change in &changes {
                let key = change.get_item(0)?;
                prepared.push(match change.len() {
                    1 => Change::Delete(self.seek(&key, false)?),
                    _ => self.change_to_set(&key, &change.get_item(1)?, &mut { was_first })?,
                });
            }
            is_first = false;
            if let Attempt::Done(()) = self.attempt(py, |section| apply(py, section, &mut prepared))? {
                return Ok(());
            }
        }
    }

    /// Delete all keys.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, Section::clear)
    }

    /// Return a list of the keys.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.list(py, What::Keys)
    }

    /// Return a list of the values.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.list(py, What::Values)
    }

    /// Return a list of the keys with their values.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.list(py, What::Items)
    }

    /// Return an object that reads the keys a part at a time.
    fn _scan(slf: Py<Self>) -> TableScan {
        TableScan {
            table: slf,
            cursor: Mutex::default(),
        }
    }

    /// Session, offset and generation, by which every process of the session finds it.
    fn _address(&self) -> Address {
        self.object.address()
    }

    /// The name it was given.
    fn _name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.object.name(py)
    }
}

/// Before something is taken that may lie in a block: what makes an object of that is loaded, or nothing is taken.
fn ready_to_take(py: Python<'_>) -> PyResult<()> {
    if takes_blocks() {
        Ok(())
    } else {
        prepare_for_blocks(py)
    }
}

/// A key's value, with a reference to its block.
fn read(section: &Section<'static>, key: Key<'_>) -> crate::arena::Result<Option<Raw>> {
    let mut bytes = Vec::new();
    let Some(found) = section.get(key, &mut bytes)? else {
        return Ok(None);
    };
    let block = attach(section.table.arena, found.kind, &bytes)?;
    Ok(Some(Raw {
        kind: found.kind,
        bytes,
        block,
    }))
}

/// The same, and delete the key.
fn take(section: &mut Section<'static>, key: Key<'_>) -> crate::arena::Result<Option<Raw>> {
    let Some(mut raw) = read(section, key)? else {
        return Ok(None);
    };
    if let Err(error) = section.remove(key) {
        raw.drop_block(&section.table);
        return Err(error);
    }
    Ok(Some(raw))
}

/// Reads the keys of a table a part at a time.
#[pyclass(frozen, module = "allcores._core")]
struct TableScan {
    table: Py<Table>,
    cursor: Mutex<Cursor>,
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

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Table>()?;
    module.add_class::<TableScan>()
}
