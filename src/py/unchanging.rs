//! Objects that nobody can change are made of their pickle once, and are the same object the next time it is read.
//!
//! A shared dict's values are unpickled at each get, since the program may change what it gets. With dates, decimals and the
//! like it cannot: so these are kept, the last ones, by their pickle. And so are texts: keys of dicts, names of attributes, of
//! modules and what is in them.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::classes::Called;
use super::fast;
use super::kept::{Once, Values};
use super::messages::Pickling;
use super::opcodes::{FRAME, STR};

/// What has longer bytes is not looked for.
const LONGEST: usize = 128;
/// Nor for a text that is no key.
const LONGEST_TEXT: usize = 24;
/// Nor for the name of an attribute.
const LONGEST_NAME: usize = 40;

static BY_PICKLE: Values<Py<PyAny>> = Values::none();
static KEYS: Values<Py<PyAny>> = Values::none();
static TEXTS: Values<Py<PyString>> = Values::none();
static COME_ONCE: Once = Once::none();
static NAMES: Values<Py<PyString>> = Values::none();
static GLOBALS: Values<Py<PyTuple>> = Values::none();

/// The object that a pickle says, which may be the one that it said last time.
///
/// # Errors
/// Those of unpickling.
pub fn loads<'py>(py: Python<'py>, pickling: &Pickling, pickle: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if !may_be_unchanging(pickle) {
        return pickling.loads_again(py, pickle);
    }
    if let Some(object) = BY_PICKLE.find(py, pickle, |object| object.bind(py).clone()) {
        return Ok(object);
    }
    let object = pickling.loads(py, pickle)?;
    if is_unchanging(&object, pickling.modules.bind(py)).unwrap_or(false) {
        BY_PICKLE.keep(py, pickle, object.clone().unbind());
    }
    Ok(object)
}

/// The object that is kept of a pickle.
pub fn kept<'py>(py: Python<'py>, pickle: &[u8]) -> Option<Bound<'py, PyAny>> {
    may_be_unchanging(pickle).then(|| BY_PICKLE.find(py, pickle, |object| object.bind(py).clone()))?
}

/// A text that has been the key of a dict. There are few of them, in many dicts.
#[inline]
pub fn known_key<'py>(py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
    (bytes.len() <= LONGEST).then(|| KEYS.find(py, bytes, |key| key.bind(py).clone()))?
}

/// A text that is the key of a dict for the first time.
///
/// # Errors
/// ValueError for what is no UTF-8; MemoryError.
#[cold]
pub fn new_key<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let key = PyString::from_bytes(py, bytes)?.into_any();
    if bytes.len() > LONGEST {
        return Ok(key);
    }
    let before = KEYS.keep(py, bytes, key.clone().unbind());
    drop(before.map(|before| before.into_bound(py))); // so it is dropped at once also where a method of `fast` has called
    Ok(key)
}

/// A text among few things; from the second time on that it comes, it is kept. Most messages have one that others have, too: what
/// they are about.
///
/// # Errors
/// ValueError for what is no UTF-8; MemoryError.
pub fn text<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if bytes.len() > LONGEST_TEXT {
        return Ok(PyString::from_bytes(py, bytes)?.into_any());
    }
    if let Some(text) = TEXTS.find(py, bytes, |text| text.bind(py).clone()) {
        return Ok(text.into_any());
    }
    let text = PyString::from_bytes(py, bytes)?;
    if COME_ONCE.has(bytes) {
        let before = TEXTS.keep(py, bytes, text.clone().unbind());
        drop(before.map(|before| before.into_bound(py))); // as in `key`
    }
    Ok(text.into_any())
}

/// A text, which may be the name of an attribute: then that, as `interned` has it.
pub fn known_name<'py>(py: Python<'py>, text: &str) -> Bound<'py, PyAny> {
    let known = if text.len() <= LONGEST_NAME {
        NAMES.find(py, text.as_bytes(), |name| name.bind(py).clone().into_any())
    } else {
        None
    };
    known.unwrap_or_else(|| PyString::new(py, text).into_any())
}

/// The name of an attribute, which is one object in a process.
pub fn interned<'py>(name: &Bound<'py, PyString>) -> Bound<'py, PyAny> {
    let found = fast::interned(name.clone());
    if let (false, Ok(text)) = (found.is(name), name.to_str()) {
        if text.len() <= LONGEST_NAME {
            let before = NAMES.keep(name.py(), text.as_bytes(), found.clone().unbind());
            drop(before.map(|before| before.into_bound(name.py()))); // as in `key`
        }
    }
    found.into_any()
}

/// The names that bytes say with these texts, of a module and of something in it, as `told_with` has them; `None` for what
/// is no UTF-8.
pub fn names<'py>(py: Python<'py>, bytes: &[u8], texts: [&[u8]; 2]) -> Option<Bound<'py, PyTuple>> {
    if let Some(names) = GLOBALS.find(py, bytes, |names| names.bind(py).clone()) {
        return Some(names);
    }
    let [module, name] = texts.map(std::str::from_utf8);
    let names = told_with(
        py,
        &PyString::intern(py, module.ok()?),
        &PyString::intern(py, name.ok()?),
    )
    .ok()?;
    if bytes.len() <= LONGEST {
        GLOBALS.keep(py, bytes, names.clone().unbind());
    }
    Some(names)
}

/// What is told of names that are looked up in a pickle: the name of the audit event, the module's, that in it.
///
/// # Errors
/// MemoryError.
pub fn told_with<'py>(
    py: Python<'py>,
    module: &Bound<'py, PyString>,
    name: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyTuple>> {
    (intern!(py, "pickle.find_class"), module, name).into_pyobject(py)
}

/// Whether a pickle is short, and begins with the name of a module of which objects are kept.
fn may_be_unchanging(pickle: &[u8]) -> bool {
    if pickle.len() > LONGEST {
        return false;
    }
    let behind = pickle.get(2..).unwrap_or_default();
    let behind = match behind.first() {
        Some(&FRAME) => behind.get(9..).unwrap_or_default(),
        _ => behind,
    };
    ["datetime", "decimal", "uuid"].iter().any(|module| {
        let text = behind.strip_prefix(&[STR, module.len() as u8]);
        text.is_some_and(|text| text.starts_with(module.as_bytes()))
    })
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
