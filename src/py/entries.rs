//! The entries of a shared dict: how a key is looked for and changed. Keys and values are encoded before the lock is taken,
//! and decoded after it was given back.

use std::sync::atomic::Ordering;

use pyo3::prelude::*;

use super::arena::raise;
use super::keys::{decode_key, encode_key, KeyBytes, LONGEST_KEY_ITSELF, PAIR};
use super::plain::{Single, BYTES, INT, NONE, STR};
use super::readings::{Again, Made, Moment};
use super::table::Table;
use super::tables::{Attempt, Raw, Tabled};
use super::values::{attach, decode_value, with_value, ValueBytes};
use crate::arena::{Arena, Error};
use crate::table::{Key, Original, Put, Section};

/// What a value is known by: the same is the same value, as a block has a generation.
pub fn mark(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind], bytes].concat()
}

/// A key, and for one without a canonical form how often such came and went when it was looked for.
pub struct Sought {
    pub key: KeyBytes,
    pub others: Option<u64>,
    /// Such a key is not there.
    pub is_absent: bool,
    /// What there is in its place has been looked at: whether that is a pair of key and value; `None` before.
    replaces_pair: Option<bool>,
}

impl Sought {
    fn new(key: KeyBytes, others: Option<u64>, is_absent: bool) -> Self {
        Self {
            key,
            others,
            is_absent,
            replaces_pair: None,
        }
    }

    /// As the floor below has it.
    pub fn key(&self, arena: &Arena) -> Key<'_> {
        self.key.key(arena.session())
    }

    /// Whether keys without a canonical form came or went since it was looked for.
    fn is_stale(&self, section: &Section<'static>) -> bool {
        self.others.is_some_and(|seen| seen != section.others())
    }

    /// Whether a value of this kind can be replaced by the one that was made for this key.
    fn replaces(&self, kind: u8) -> bool {
        match self.replaces_pair {
            Some(is_pair) => is_pair == (kind & PAIR != 0),
            None => !self.key.is_long && kind & PAIR == 0,
        }
    }
}

/// What is to be done to a key.
pub enum Change {
    Set(Sought, ValueBytes),
    Delete(Sought),
}

/// A key that is its own canonical form, and lies in its slot: a float or a bool may be equal to an int.
fn plain_key<'a>(object: &'a Bound<'_, PyAny>) -> Option<Single<'a>> {
    let single = Single::of(object)?;
    let is_plain = matches!(single.kind, STR | INT | BYTES | NONE) && single.bytes().len() <= LONGEST_KEY_ITSELF;
    is_plain.then_some(single)
}

/// As the floor below has it.
fn key_of<'a>(single: &'a Single<'_>, arena: &Arena) -> Key<'a> {
    Key::of(arena.session(), single.kind, single.bytes())
}

impl Table {
    /// Do something to a key that is there; `None` when it is not.
    pub fn change_key<T>(
        &self,
        object: &Bound<'_, PyAny>,
        does: impl Fn(&mut Section<'static>, Key<'_>) -> crate::arena::Result<Option<T>>,
    ) -> PyResult<Option<T>> {
        loop {
            let sought = self.seek(object, false)?;
            if sought.is_absent {
                return Ok(None);
            }
            let attempt = self.attempt(object.py(), |section| {
                if sought.is_stale(section) {
                    return Ok(Attempt::Again);
                }
                let key = sought.key(section.table.arena);
                does(section, key).map(Attempt::Done)
            })?;
            if let Attempt::Done(done) = attempt {
                return Ok(done);
            }
        }
    }

    /// Encode a key; look for it, if it has no canonical form.
    pub fn seek(&self, object: &Bound<'_, PyAny>, stores: bool) -> PyResult<Sought> {
        self.look(object.py())?;
        let key = encode_key(object, stores)?;
        if key.is_other() {
            return self.seek_other(object, key);
        }
        Ok(Sought::new(key, None, false))
    }

    #[cold]
    fn seek_other(&self, object: &Bound<'_, PyAny>, mut key: KeyBytes) -> PyResult<Sought> {
        let (py, face) = (object.py(), self.face());
        let (mut bytes, mut items) = (Vec::new(), Vec::new());
        let others = self.read(py, |face, held| {
            bytes.clear();
            items.clear();
            match held {
                None => face.try_others((&mut bytes, &mut items)),
                Some(held) => face.others(held, (&mut bytes, &mut items)).map(Some),
            }
        })?;
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
                return Ok(Sought::new(key, Some(others), false));
            }
        }
        Ok(Sought::new(key, Some(others), true))
    }

    /// The value of a key.
    pub fn object_of<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let face = self.face();
        let version = face.version();
        let moment = version.map(|version| Moment {
            table: self.number,
            version,
        });
        let Some(again) = moment.and_then(|moment| Again::is(key, moment)) else {
            return self.find(py, key)?.map(|mut raw| raw.object(py, &face)).transpose();
        };
        self.look(py)?;
        if let Some(object) = again.object(key)? {
            return Ok(Some(object));
        }
        let Some(mut raw) = self.find(py, key)? else {
            return Ok(None);
        };
        let is_as_it_was = face.version() == version;
        let object = raw.object(py, &face)?;
        if is_as_it_was {
            if let Some(made) = Made::of(raw.kind, &raw.bytes, &object) {
                self.has_readings.store(true, Ordering::Relaxed);
                again.keep(key, made);
            }
        }
        Ok(Some(object))
    }

    /// The value of a key, with a reference to its block.
    pub fn find(&self, py: Python<'_>, object: &Bound<'_, PyAny>) -> PyResult<Option<Raw>> {
        if let Some(key) = plain_key(object) {
            return self.find_key(py, key_of(&key, self.face().arena));
        }
        let sought = self.seek(object, false)?;
        if sought.is_absent {
            return Ok(None);
        }
        self.find_key(py, sought.key(self.face().arena))
    }

    fn find_key(&self, py: Python<'_>, key: Key<'_>) -> PyResult<Option<Raw>> {
        let face = self.face();
        loop {
            let mut bytes = Vec::new();
            let found = self.read(py, |face, held| {
                bytes.clear();
                match held {
                    None => face.try_get(key, &mut bytes),
                    Some(held) => face.get(held, key, &mut bytes).map(Some),
                }
            })?;
            let Some(found) = found else { return Ok(None) };
            match Raw::new(&face, found.kind, bytes) {
                Ok(raw) => return Ok(Some(raw)),
                Err(Error::Freed) => {} // replaced since
                Err(error) => return Err(raise(py, error)),
            }
        }
    }

    /// Have a key with a value.
    pub fn set(&self, object: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = object.py();
        let mut is_first = true;
        if let Some(key) = plain_key(object) {
            if self.set_plain_key(&key, value)? != Put::OfOtherKind {
                return Ok(());
            }
            is_first = false;
        }
        loop {
            let mut change = self.change_to_set(object, value, &mut is_first)?;
            if let Attempt::Done(()) =
                self.attempt(py, |section| apply(py, section, std::slice::from_mut(&mut change)))?
            {
                return Ok(());
            }
        }
    }

    fn set_plain_key(&self, key: &Single<'_>, value: &Bound<'_, PyAny>) -> PyResult<Put> {
        let py = value.py();
        self.look(py)?;
        with_value(value, |value| {
            self.change(py, |section| {
                let key = key_of(key, section.table.arena);
                section.set_if(key, Original::default(), value, |kind| kind & PAIR == 0)
            })
        })
    }

    /// What is to be done to have a key with a value, at the first attempt.
    pub fn change_to_set(
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
            self.find_key(py, sought.key(face.arena))?
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
}

/// Do what is to be done, or nothing if something has changed since a key was looked for.
pub fn apply(
    py: Python<'_>,
    section: &mut Section<'static>,
    changes: &mut [Change],
) -> crate::arena::Result<Attempt<()>> {
    let is_stale = |change: &Change| {
        let (Change::Set(sought, _) | Change::Delete(sought)) = change;
        sought.is_stale(section)
    };
    if changes.iter().any(is_stale) {
        return Ok(Attempt::Again);
    }
    let arena = section.table.arena;
    for change in changes {
        match change {
            Change::Set(sought, value) => {
                if sought.is_absent {
                    sought.key.set_number(&section.next_other().to_ne_bytes());
                }
                let (key, original) = (sought.key(arena), sought.key.original());
                let put = section.set_if(key, original, value.value(py), |kind| sought.replaces(kind))?;
                if put == Put::OfOtherKind {
                    return Ok(Attempt::Again);
                }
            }
            Change::Delete(sought) => {
                section.remove(sought.key(arena))?;
            }
        }
    }
    Ok(Attempt::Done(()))
}

/// Whether a key has a value that is known by this; `None`: whether it has none.
pub fn has_mark(
    section: &Section<'static>,
    sought: &Sought,
    expected: Option<&[u8]>,
) -> crate::arena::Result<Attempt<bool>> {
    if sought.is_stale(section) {
        return Ok(Attempt::Again);
    }
    let mut bytes = Vec::new();
    let found = match sought.is_absent {
        true => None,
        false => section.get(sought.key(section.table.arena), &mut bytes)?,
    };
    let now = found.map(|found| mark(found.kind, &bytes));
    Ok(Attempt::Done(now.as_deref() == expected))
}

/// A key's value, with a reference to its block.
pub fn read(section: &Section<'static>, key: Key<'_>) -> crate::arena::Result<Option<Raw>> {
    let mut bytes = Vec::new();
    let Some(found) = section.get(key, &mut bytes)? else {
        return Ok(None);
    };
    Raw::new(&section.table, found.kind, bytes).map(Some)
}

/// The same, and delete the key.
pub fn take(section: &mut Section<'static>, key: Key<'_>) -> crate::arena::Result<Option<Raw>> {
    let Some(mut raw) = read(section, key)? else {
        return Ok(None);
    };
    if let Err(error) = section.remove(key) {
        raw.drop_block(&section.table);
        return Err(error);
    }
    Ok(Some(raw))
}
