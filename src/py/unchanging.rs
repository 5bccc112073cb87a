//! Objects that nobody can change are made of their pickle once, and are the same object the next time it is read.
//!
//! A shared dict's values are unpickled at each get, since the program may change what it gets. With dates, decimals and the
//! like it cannot: so these are kept, the last ones, by their pickle.

use std::sync::{Mutex, TryLockError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::messages::Pickling;
use super::simple::Called;

/// Longer pickles are not looked for.
const LONGEST: usize = 128;
/// So many objects are kept, each where the hash of its pickle says.
const PLACES: usize = 128;

struct Kept {
    pickle: Box<[u8]>,
    object: Py<PyAny>,
}

/// Never waited for: a garbage collection or a signal handler may come upon it in the midst of being used.
static KEPT: Mutex<[Option<Kept>; PLACES]> = Mutex::new([const { None }; PLACES]);

/// The object that a pickle says, which may be the one that it said last time.
///
/// # Errors
/// Those of unpickling.
pub fn loads<'py>(py: Python<'py>, pickling: &Pickling, pickle: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if pickle.len() > LONGEST {
        return pickling.loads(py, pickle);
    }
    let place = hash(pickle) % PLACES;
    if let Some(object) = found(py, place, pickle) {
        return Ok(object);
    }
    let object = pickling.loads(py, pickle)?;
    if is_unchanging(&object, pickling.modules.bind(py))? {
        let kept = Kept {
            pickle: pickle.into(),
            object: object.clone().unbind(),
        };
        drop(put(place, kept)); // what was there before, when the lock is given back
    }
    Ok(object)
}

fn found<'py>(py: Python<'py>, place: usize, pickle: &[u8]) -> Option<Bound<'py, PyAny>> {
    let kept = KEPT.try_lock().ok()?;
    let kept = kept[place].as_ref().filter(|kept| *kept.pickle == *pickle)?;
    Some(kept.object.bind(py).clone())
}

/// Keep one; what it has taken the place of, or itself.
fn put(place: usize, kept: Kept) -> Option<Kept> {
    match KEPT.try_lock() {
        Ok(mut all) => all[place].replace(kept),
        Err(TryLockError::Poisoned(_) | TryLockError::WouldBlock) => Some(kept),
    }
}

fn hash(bytes: &[u8]) -> usize {
    let mixed = bytes.chunks(8).fold(bytes.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (hash.rotate_left(5) ^ u64::from_ne_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95)
    });
    (mixed >> 32) as usize
}

/// Whether nobody can change an object, nor anything in it.
fn is_unchanging(object: &Bound<'_, PyAny>, modules: &Bound<'_, PyDict>) -> PyResult<bool> {
    let (py, class) = (object.py(), object.get_type());
    if Called::find(&class, modules)?.is_some() {
        // A time may have a time zone of a class of the program's.
        return Ok(match object.getattr_opt(intern!(py, "tzinfo"))? {
            Some(zone) => zone.is_none() || Called::find(&zone.get_type(), modules)?.is_some(),
            None => true,
        });
    }
    let is_of = |module: &Bound<'_, PyString>, name: &Bound<'_, PyString>| {
        let Some(module) = modules.get_item(module)? else {
            return Ok(false);
        };
        PyResult::Ok(module.getattr_opt(name)?.is_some_and(|found| found.is(&class)))
    };
    Ok(is_of(intern!(py, "decimal"), intern!(py, "Decimal"))? || is_of(intern!(py, "uuid"), intern!(py, "UUID"))?)
}
