//! Objects that nobody can change are made of their pickle once, and are the same object the next time it is read.
//!
//! A shared dict's values are unpickled at each get, since the program may change what it gets. With dates, decimals and the
//! like it cannot: so these are kept, the last ones, by their pickle. And so are the texts that are keys of dicts.

use std::sync::Mutex;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::classes::Called;
use super::messages::Pickling;

/// What has longer bytes is not looked for.
const LONGEST: usize = 128;
/// So many objects are kept, each where the hash of its bytes says.
const PLACES: usize = 128;

struct Kept {
    bytes: Box<[u8]>,
    object: Py<PyAny>,
}

/// Objects by the bytes that they are made of. Never waited for: a garbage collection or a signal handler may come upon it in
/// the midst of being used.
struct Objects(Mutex<[Option<Kept>; PLACES]>);

static BY_PICKLE: Objects = Objects::none();
static KEYS: Objects = Objects::none();

impl Objects {
    const fn none() -> Self {
        Self(Mutex::new([const { None }; PLACES]))
    }

    fn find<'py>(&self, py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
        let kept = self.0.try_lock().ok()?;
        let kept = kept[hash(bytes) % PLACES].as_ref()?;
        (*kept.bytes == *bytes).then(|| kept.object.bind(py).clone())
    }

    fn keep(&self, bytes: &[u8], object: &Bound<'_, PyAny>) {
        let kept = Kept {
            bytes: bytes.into(),
            object: object.clone().unbind(),
        };
        let before = match self.0.try_lock() {
            Ok(mut all) => all[hash(bytes) % PLACES].replace(kept),
            Err(_) => None,
        };
        drop(before); // when the lock is given back
    }
}

/// The object that a pickle says, which may be the one that it said last time.
///
/// # Errors
/// Those of unpickling.
pub fn loads<'py>(py: Python<'py>, pickling: &Pickling, pickle: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if pickle.len() > LONGEST {
        return pickling.loads(py, pickle);
    }
    if let Some(object) = BY_PICKLE.find(py, pickle) {
        return Ok(object);
    }
    let object = pickling.loads(py, pickle)?;
    if is_unchanging(&object, pickling.modules.bind(py)).unwrap_or(false) {
        BY_PICKLE.keep(pickle, &object);
    }
    Ok(object)
}

/// A text that is the key of a dict, `None` for what is no UTF-8. There are few of them, in many dicts.
pub fn key<'py>(py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
    if bytes.len() > LONGEST {
        return Some(PyString::new(py, std::str::from_utf8(bytes).ok()?).into_any());
    }
    if let Some(key) = KEYS.find(py, bytes) {
        return Some(key);
    }
    let key = PyString::new(py, std::str::from_utf8(bytes).ok()?).into_any();
    KEYS.keep(bytes, &key);
    Some(key)
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
