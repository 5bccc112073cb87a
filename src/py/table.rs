//! The shared dict in Python: its methods (`entries` has what they do).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple, PyType};

use super::arena::{raise, waiting, Address, Object};
use super::entries::{apply, has_mark, mark, read, take, Change};
use super::keys::decode_key;
use super::listing::{TableScan, What};
use super::locks::RLock;
use super::messages::prepare_for_blocks;
use super::plain::INT;
use super::readings;
use super::tables::{Attempt, Shared, Tabled};
use super::values::decode_value;
use super::waits::Event;
use crate::arena::tag::Kind;
use crate::arena::Error;
use crate::table::{Added, Key, Section};

/// A dict in the session's shared memory; see allcores.managers.
#[pyclass(frozen, subclass, module = "allcores._core")]
pub struct Table {
    shared: Shared,
    /// Its number in this process, by which what was read of it is kept.
    pub number: u64,
    pub has_readings: AtomicBool,
}

static MADE: AtomicU64 = AtomicU64::new(0);

impl Drop for Table {
    fn drop(&mut self) {
        if self.has_readings.load(Ordering::Relaxed) {
            readings::forget(self.number);
        }
    }
}

impl Tabled for Table {
    fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// A key, and what its value was known by; `None`: it had none.
type Seen<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyBytes>>);

fn missing(key: &Bound<'_, PyAny>) -> PyErr {
    PyKeyError::new_err((key.clone().unbind(),))
}

#[pymethods]
impl Table {
    #[new]
    #[classmethod]
    #[pyo3(signature = (name=None, address=None, end=None))]
    fn new(
        class: &Bound<'_, PyType>,
        name: Option<&str>,
        address: Option<Address>,
        end: Option<&Bound<'_, Event>>,
    ) -> PyResult<Self> {
        Ok(Self {
            shared: Shared::new(class, Kind::Table, name, address, end)?,
            number: MADE.fetch_add(1, Ordering::Relaxed),
            has_readings: AtomicBool::new(false),
        })
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.look(py)?;
        Ok(self.face().len() as usize)
    }

    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let mut found = self.find(py, key)?;
        if let Some(raw) = &mut found {
            raw.drop_block(&self.face());
        }
        Ok(found.is_some())
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.object_of(py, key)?.ok_or_else(|| missing(key))
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set(key, value)
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let removed = self.change_key(key, |section, key| Ok(section.remove(key)?.then_some(())))?;
        removed.ok_or_else(|| missing(key))
    }

    /// Return a key's value, or `default`.
    #[pyo3(signature = (key, default=None, /))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.object_of(py, key)?.or(default))
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
            return Err(PyTypeError::new_err(text));
        }
        prepare_for_blocks(py)?; // or nothing is taken
        match self.change_key(key, take)? {
            Some(mut raw) => raw.object(py, &self.face()),
            None => default.iter().next().ok_or_else(|| missing(key)),
        }
    }

    /// Delete the key that was inserted last; return it and its value. KeyError when there is none.
    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        prepare_for_blocks(py)?;
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
        let (value, paired) = decode_value(py, self.shared.object.arena, raw.kind, &raw.bytes, raw.block)?;
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
        if let Some(mut raw) = self.find(py, key)? {
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
                    if let Some(raw) = read(section, sought.key(section.table.arena))? {
                        return Ok(Attempt::Done(Some(raw)));
                    }
                }
                Ok(match apply(py, section, std::slice::from_mut(&mut change))? {
                    Attempt::Done(()) => Attempt::Done(None),
                    Attempt::Again => Attempt::Again,
                })
            })?;
            match done {
                Attempt::Done(Some(mut raw)) => return raw.object(py, &self.face()),
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
            let Some(mut seen) = self.find(py, key)? else {
                return Ok(false);
            };
            if !seen.object(py, &self.face())?.eq(old)? {
                return Ok(false);
            }
            let mut change = self.change_to_set(key, new, &mut is_first)?;
            let done = self.attempt(py, |section| {
                let Change::Set(sought, _) = &change else {
                    return Ok(Attempt::Again);
                };
                let mut now = Vec::new();
                let found = section.get(sought.key(section.table.arena), &mut now)?;
                // The same bytes are the same value; a block has a generation.
                if found.is_none_or(|found| found.kind != seen.kind) || now != seen.bytes {
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
            section.add(sought.key(section.table.arena), sought.key.original(), INT, number)
        })?;
        Ok(match added {
            Added::Done(sum) => Some(sum),
            Added::Unfit => None,
        })
    }

    /// Set keys (tuples of key and value) and delete others (tuples of a key), all or, whoever is killed, none.
    ///
    /// None, and False, unless the version is this one, and keys have what was `_seen` (None: they are not there).
    #[pyo3(signature = (changes, seen=None, version=None, /))]
    fn _apply(
        &self,
        py: Python<'_>,
        changes: Vec<Bound<'_, PyTuple>>,
        seen: Option<Vec<Seen<'_>>>,
        version: Option<u64>,
    ) -> PyResult<bool> {
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
            let mut expected = Vec::new();
            for (key, mark) in seen.iter().flatten() {
                expected.push((self.seek(key, false)?, mark.as_ref().map(|mark| mark.as_bytes())));
            }
            is_first = false;
            let attempt = self.attempt(py, |section| {
                if version.is_some_and(|version| version != section.version()) {
                    return Ok(Attempt::Done(false));
                }
                for (sought, mark) in &expected {
                    match has_mark(section, sought, *mark)? {
                        Attempt::Done(true) => {}
                        other => return Ok(other),
                    }
                }
                Ok(match apply(py, section, &mut prepared)? {
                    Attempt::Done(()) => Attempt::Done(true),
                    Attempt::Again => Attempt::Again,
                })
            })?;
            if let Attempt::Done(is_done) = attempt {
                return Ok(is_done);
            }
        }
    }

    /// Return what a key's value is known by, for `_apply`, and the value; None without one.
    #[pyo3(signature = (key, /))]
    fn _seen<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Option<(Bound<'py, PyBytes>, Bound<'py, PyAny>)>> {
        let Some(mut raw) = self.find(py, key)? else {
            return Ok(None);
        };
        let mark = PyBytes::new(py, &mark(raw.kind, &raw.bytes));
        Ok(Some((mark, raw.object(py, &self.face())?)))
    }

    /// Return a number that changes with whatever is changed.
    fn _version(&self, py: Python<'_>) -> PyResult<u64> {
        self.attempt(py, |section| Ok(Attempt::<u64>::Done(section.version())))
            .map(|attempt| match attempt {
                Attempt::Done(version) => version,
                Attempt::Again => 0,
            })
    }

    /// Return the lock that transactions have one after another.
    fn _turn(&self, py: Python<'_>) -> PyResult<RLock> {
        self.look(py)?;
        let face = self.face();
        let handle = waiting(py, |pause| face.turn(pause))?;
        Ok(RLock(Object::of(py, face.arena, handle)?))
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
        TableScan::new(slf)
    }

    /// Session, offset and generation, by which every process of the session finds it.
    fn _address(&self) -> Address {
        self.shared.object.address()
    }

    /// The name it was given.
    fn _name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.shared.object.name(py)
    }
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Table>()?;
    module.add_class::<TableScan>()
}
