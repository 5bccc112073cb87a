//! Keys of a shared dict: the bytes by which they are compared, the same for all objects that are equal, whatever
//! PYTHONHASHSEED; and the original beside it, where these bytes say another one.
//!
//! Numbers are what they are equal to: `1`, `1.0` and `True` are the int. What is not of exactly a plain type has its turn in
//! Python (`allcores._manager.keys`): it is equal to something plain, or has no canonical form (`OTHER`).

use std::hash::{DefaultHasher, Hasher};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString, PyTuple};

use super::messages::pickling;
use super::pickler::{dumps, Pickled};
use super::plain::{self, decode_plain, ENCODED, FALSE, FLOAT, INT, PICKLED, TRUE};
use super::primitives::encode;
use crate::table::layout::{LONGEST_KEY, OTHER};
use crate::table::{Item, Key, Original};

/// A key that is too long for a slot: two hashes of it stand for it, and the value is a pair of key and value.
const LONG: u8 = 11;
/// What a pair is: a bit of a value's kind.
pub const PAIR: u8 = 0x40;
/// A longer key has two hashes that stand for it.
pub const LONGEST_KEY_ITSELF: usize = LONGEST_KEY / 2;
const DEEPEST: usize = 16;

/// A key, encoded.
#[derive(Default)]
pub struct KeyBytes {
    kind: u8,
    original_kind: u8,
    /// The key, and behind it the original.
    bytes: Vec<u8>,
    length: usize,
    /// The value is a pair.
    pub is_long: bool,
}

impl KeyBytes {
    /// As the floor below has it.
    pub fn key(&self, session: u128) -> Key<'_> {
        Key::of(session, self.kind, &self.bytes[..self.length])
    }

    pub fn original(&self) -> Original<'_> {
        Original {
            kind: self.original_kind,
            bytes: &self.bytes[self.length..],
        }
    }

    /// Whether it has no canonical form; then it needs a number.
    pub fn is_other(&self) -> bool {
        self.kind == OTHER
    }

    /// Have a number for bytes.
    pub fn set_number(&mut self, number: &[u8]) {
        self.bytes.splice(..self.length, number.iter().copied());
        self.length = number.len();
    }
}

/// Encode a key, together with its original if it may have to be stored.
///
/// # Errors
/// TypeError for what is not hashable; those of pickling.
pub fn encode_key(object: &Bound<'_, PyAny>, stores: bool) -> PyResult<KeyBytes> {
    let mut bytes = Vec::with_capacity(64);
    if let Some((kind, original_kind)) = canonical(object, &mut bytes) {
        let mut key = KeyBytes {
            kind,
            original_kind,
            length: bytes.len(),
            bytes,
            is_long: false,
        };
        if original_kind != 0 && stores {
            key.add_plain_original(object);
        }
        key.shorten();
        return Ok(key);
    }
    encode_by_python(object, stores)
}

impl KeyBytes {
    fn add_plain_original(&mut self, object: &Bound<'_, PyAny>) {
        let fits = match self.original_kind {
            FLOAT => {
                if let Ok(number) = object.cast_exact::<PyFloat>() {
                    self.bytes.extend_from_slice(&number.value().to_ne_bytes());
                }
                true
            }
            ENCODED => encode(object, &mut self.bytes, LONGEST_KEY),
            _ => true, // its kind says all
        };
        if !fits {
            self.bytes.resize(self.length + 2 * LONGEST_KEY, 0); // too long for a slot, and not stored in one
        }
    }

    /// Have two hashes stand for a key that is too long.
    fn shorten(&mut self) {
        let padded = self.length.next_multiple_of(8) + (self.bytes.len() - self.length).next_multiple_of(8);
        // Of what is only looked up the original is not there: so what it has does not count for the key itself.
        self.is_long = padded > LONGEST_KEY || self.length > LONGEST_KEY_ITSELF;
        if self.length > LONGEST_KEY_ITSELF {
            let mut digest = [0; 16];
            for (index, half) in digest.chunks_mut(8).enumerate() {
                let mut hasher = DefaultHasher::new();
                hasher.write_usize(index);
                hasher.write_u8(self.kind);
                hasher.write(&self.bytes[..self.length]);
                half.copy_from_slice(&hasher.finish().to_ne_bytes());
            }
            self.bytes.splice(..self.length, digest);
            (self.kind, self.length) = (LONG, digest.len());
        }
        if self.is_long {
            self.bytes.truncate(self.length);
            self.original_kind = 0;
        }
    }
}

/// Append what a key is equal to; return its kind, and that of its original, 0 when it is itself. `None`, with anything
/// appended, when it has to be looked at in Python.
fn canonical(object: &Bound<'_, PyAny>, into: &mut Vec<u8>) -> Option<(u8, u8)> {
    if let Ok(number) = object.cast_exact::<PyFloat>() {
        let value = number.value();
        return match as_int(value) {
            Some(int) => {
                into.extend_from_slice(&int.to_ne_bytes());
                Some((INT, FLOAT))
            }
            None if value.is_nan() => None,
            None => {
                into.extend_from_slice(&value.to_ne_bytes());
                Some((FLOAT, 0))
            }
        };
    }
    if let Ok(truth) = object.cast_exact::<PyBool>() {
        into.extend_from_slice(&i64::from(truth.is_true()).to_ne_bytes());
        return Some((INT, if truth.is_true() { TRUE } else { FALSE }));
    }
    if let Ok(items) = object.cast_exact::<PyTuple>() {
        let mut is_itself = true;
        return canonical_tuple(items, into, &mut is_itself, DEEPEST)
            .then_some((ENCODED, if is_itself { 0 } else { ENCODED }));
    }
    let is_scalar = object.is_exact_instance_of::<PyInt>()
        || object.is_exact_instance_of::<PyString>()
        || object.is_exact_instance_of::<PyBytes>()
        || object.is_none();
    if !is_scalar {
        return None;
    }
    plain::encode_plain(object, into, usize::MAX).map(|kind| (kind, 0))
}

/// A tuple as `primitives` encodes it, of what its items are equal to.
fn canonical_tuple(items: &Bound<'_, PyTuple>, into: &mut Vec<u8>, is_itself: &mut bool, deepest: usize) -> bool {
    let Ok(length) = u32::try_from(items.len()) else {
        return false;
    };
    into.push(b't');
    into.extend_from_slice(&length.to_ne_bytes());
    items.iter_borrowed().all(|item| {
        if let Ok(inner) = item.cast_exact::<PyTuple>() {
            return deepest > 0 && canonical_tuple(&inner, into, is_itself, deepest - 1);
        }
        if item.is_none() {
            into.push(b'N');
            return true;
        }
        let tag = into.len();
        into.push(0);
        let Some((kind, original_kind)) = canonical(&item, into) else {
            return false;
        };
        *is_itself &= original_kind == 0;
        into[tag] = match kind {
            INT => b'i',
            FLOAT => b'f',
            plain::STR => b's',
            plain::BYTES => b'b',
            _ => return false,
        };
        if matches!(kind, plain::STR | plain::BYTES) {
            let Ok(length) = u32::try_from(into.len() - tag - 1) else {
                return false;
            };
            into.splice(tag + 1..tag + 1, length.to_ne_bytes());
        }
        true
    })
}

/// The int that a float is equal to, if one of 64 bits is.
fn as_int(value: f64) -> Option<i64> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    (value.trunc() == value && (-END..END).contains(&value)).then_some(value as i64)
}

#[cold]
fn encode_by_python(object: &Bound<'_, PyAny>, stores: bool) -> PyResult<KeyBytes> {
    static CANONICAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = object.py();
    object.hash()?;
    let function = match CANONICAL.get(py) {
        Some(function) => function,
        None => {
            let found = py.import("allcores._manager.keys")?.getattr("canonical")?.unbind();
            CANONICAL.get_or_init(py, || found)
        }
    };
    // None; a kind and bytes; or something plain.
    let found = function.bind(py).call1((object,))?;
    let mut bytes = Vec::with_capacity(64);
    let (kind, is_equal) = if found.is_none() {
        (OTHER, false)
    } else if let Ok((kind, its_bytes)) = found.extract::<(u8, Vec<u8>)>() {
        bytes = its_bytes;
        (kind & 15, true)
    } else {
        let (wrapped,): (Bound<'_, PyAny>,) = found.extract()?;
        match canonical(&wrapped, &mut bytes) {
            Some((kind, _)) => (kind, true),
            None => (OTHER, false),
        }
    };
    if !is_equal {
        bytes.clear();
    }
    let mut key = KeyBytes {
        kind,
        original_kind: PICKLED,
        length: bytes.len(),
        bytes,
        is_long: false,
    };
    if kind == OTHER {
        key.bytes.resize(8, 0); // its number, later
        key.length = 8;
    }
    if stores {
        match dumps(object, LONGEST_KEY)? {
            Pickled::Bytes(pickle) => key.bytes.extend_from_slice(pickle.as_bytes()),
            Pickled::Block(_) => key.bytes.resize(key.length + 2 * LONGEST_KEY, 0), // as above
        }
    }
    key.shorten();
    Ok(key)
}

/// The key of an item; `None` when it is in a pair with the value.
///
/// # Errors
/// Those of unpickling; MemoryError.
pub fn decode_key<'py>(py: Python<'py>, item: &Item, bytes: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
    if item.value_kind & PAIR != 0 {
        return Ok(None);
    }
    let (kind, range) = match item.original_kind {
        0 => (item.key_kind, &item.key),
        kind => (kind, &item.original),
    };
    let bytes = &bytes[range.clone()];
    if kind == PICKLED {
        return pickling(py)?.loads(py, bytes).map(Some);
    }
    decode_plain(py, kind, bytes).map(Some)
}
