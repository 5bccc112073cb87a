//! What was last read of shared dicts: a key's value is made again without looking at the dict, as long as nothing in that has
//! changed. Who only looks whether something is still as it was, looks at one word.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString};

use super::kept::mix;
use super::messages::pickling;
use super::plain::{ENCODED, PICKLED};
use super::recipe::Recipe;
use super::{unchanging, unpickler};

/// So many are kept, each where the hash of its dict and key says.
const PLACES: usize = 256;
/// No value of longer bytes.
const LONGEST: usize = 1024;

/// What an object is made of again.
pub enum Made {
    /// Itself, since nobody can change it.
    Object(Py<PyAny>),
    Recipe(Arc<Recipe>),
}

impl Made {
    /// What a value of these bytes is made of, which is this object; `None` if that is not known.
    pub fn of(kind: u8, bytes: &[u8], object: &Bound<'_, PyAny>) -> Option<Self> {
        match kind {
            _ if bytes.len() > LONGEST => None,
            PICKLED => unchanging::kept(object.py(), bytes)
                .map(|object| Self::Object(object.unbind()))
                .or_else(|| unpickler::kept(object.py(), bytes).map(Self::Recipe)),
            kind if kind < ENCODED => Some(Self::Object(object.clone().unbind())),
            _ => None,
        }
    }
}

struct Reading {
    of: Moment,
    key: Py<PyAny>,
    made: Made,
}

/// A dict, by its number in this process, and what its version was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub table: u64,
    pub version: u64,
}

struct Place {
    /// Which key was asked for last, and when, most likely: what is asked for once is not kept.
    asked: AtomicU64,
    /// Of which dict something is kept, if anything is.
    table: AtomicU64,
    /// Never waited for: a garbage collection or a signal handler may come upon it in the midst of being used.
    reading: Mutex<Option<Reading>>,
}

static ALL: [Place; PLACES] = [const {
    Place {
        asked: AtomicU64::new(0),
        table: AtomicU64::new(u64::MAX),
        reading: Mutex::new(None),
    }
}; PLACES];

/// The place of a key, which is asked for again in a moment in which nothing has changed.
pub struct Again(&'static Place, Moment);

impl Again {
    /// Ask for a key; `None`, if it was not the last one here, or something has changed since, or it is none that nobody
    /// can change.
    #[inline]
    pub fn is(key: &Bound<'_, PyAny>, of: Moment) -> Option<Self> {
        let is_unchanging = key.is_exact_instance_of::<PyString>()
            || key.is_exact_instance_of::<PyInt>()
            || key.is_exact_instance_of::<PyBytes>();
        if !is_unchanging {
            return None;
        }
        let hash = mix(mix(0, of.table), key.as_ptr() as u64);
        let place = &ALL[(hash >> 32) as usize % PLACES];
        let asked = mix(hash, of.version);
        if place.asked.load(Ordering::Relaxed) == asked {
            return Some(Self(place, of));
        }
        place.asked.store(asked, Ordering::Relaxed);
        None
    }

    /// The value, if it is kept.
    ///
    /// # Errors
    /// Those of making it.
    #[inline]
    pub fn object<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = key.py();
        let recipe = {
            let Ok(reading) = self.0.reading.try_lock() else {
                return Ok(None);
            };
            match reading.as_ref() {
                Some(reading) if reading.of == self.1 && reading.key.is(key) => match &reading.made {
                    Made::Object(object) => return Ok(Some(object.bind(py).clone())),
                    Made::Recipe(recipe) => Arc::clone(recipe),
                },
                _ => return Ok(None),
            }
        };
        unpickler::follow(py, pickling(py)?, &recipe)
    }

    /// Keep a value.
    pub fn keep(&self, key: &Bound<'_, PyAny>, made: Made) {
        let reading = Reading {
            of: self.1,
            key: key.clone().unbind(),
            made,
        };
        let before = match self.0.reading.try_lock() {
            Ok(mut place) => {
                self.0.table.store(self.1.table, Ordering::Relaxed);
                place.replace(reading)
            }
            Err(_) => None,
        };
        drop(before); // when the lock is given back: that may run Python
    }
}

/// Keep nothing of a dict any more.
pub fn forget(table: u64) {
    for place in ALL.iter().filter(|place| place.table.load(Ordering::Relaxed) == table) {
        let before = match place.reading.try_lock() {
            Ok(mut place) if place.as_ref().is_some_and(|reading| reading.of.table == table) => place.take(),
            _ => None,
        };
        drop(before);
    }
}
