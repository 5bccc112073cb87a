//! Single objects as bytes of a kind, for tables: None, bool, int, float, str, bytes, tuples, lists and dicts of them.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyNone, PyString, PyTuple};

use super::primitives::{decode, encode};

pub const NONE: u8 = 1;
pub const FALSE: u8 = 2;
pub const TRUE: u8 = 3;
pub const INT: u8 = 4;
pub const FLOAT: u8 = 5;
pub const STR: u8 = 6;
pub const BYTES: u8 = 7;
/// What `primitives` encodes.
pub const ENCODED: u8 = 8;
/// What is pickled.
pub const PICKLED: u8 = 9;

/// Append an object to a buffer and return its kind; `None`, with anything appended, when it is none of these, or longer
/// than `longest`.
pub fn encode_plain(object: &Bound<'_, PyAny>, into: &mut Vec<u8>, longest: usize) -> Option<u8> {
    let append = |into: &mut Vec<u8>, bytes: &[u8], kind| {
        if bytes.len() > longest {
            return None;
        }
        into.extend_from_slice(bytes);
        Some(kind)
    };
    if let Ok(number) = object.cast_exact::<PyInt>() {
        return append(into, &number.extract::<i64>().ok()?.to_ne_bytes(), INT);
    }
    if let Ok(text) = object.cast_exact::<PyString>() {
        return append(into, text.to_str().ok()?.as_bytes(), STR);
    }
    if let Ok(bytes) = object.cast_exact::<PyBytes>() {
        return append(into, bytes.as_bytes(), BYTES);
    }
    if let Ok(number) = object.cast_exact::<PyFloat>() {
        return append(into, &number.value().to_ne_bytes(), FLOAT);
    }
    if object.is_none() {
        return Some(NONE);
    }
    if let Ok(truth) = object.cast_exact::<PyBool>() {
        return Some(if truth.is_true() { TRUE } else { FALSE });
    }
    let is_container = object.is_exact_instance_of::<PyTuple>()
        || object.is_exact_instance_of::<PyList>()
        || object.is_exact_instance_of::<PyDict>();
    if !is_container {
        return None;
    }
    into.reserve(64);
    encode(object, into, longest).then_some(ENCODED)
}

/// A short object of these, as `encode_plain` has it, without memory of its own.
pub struct Short {
    pub kind: u8,
    length: u8,
    bytes: [u8; Self::LONGEST],
}

impl Short {
    const LONGEST: usize = 30;

    /// `None` for what is none, or longer.
    #[inline]
    pub fn of(object: &Bound<'_, PyAny>) -> Option<Self> {
        let made = |kind, from: &[u8]| {
            let mut bytes = [0; Self::LONGEST];
            bytes.get_mut(..from.len())?.copy_from_slice(from);
            Some(Self {
                kind,
                length: from.len() as u8,
                bytes,
            })
        };
        if let Ok(text) = object.cast_exact::<PyString>() {
            return made(STR, text.to_str().ok()?.as_bytes());
        }
        if let Ok(number) = object.cast_exact::<PyInt>() {
            return made(INT, &number.extract::<i64>().ok()?.to_ne_bytes());
        }
        if let Ok(bytes) = object.cast_exact::<PyBytes>() {
            return made(BYTES, bytes.as_bytes());
        }
        if let Ok(number) = object.cast_exact::<PyFloat>() {
            return made(FLOAT, &number.value().to_ne_bytes());
        }
        None
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// The object that bytes of a kind are, but for PICKLED.
///
/// # Errors
/// ValueError for what none is; MemoryError.
pub fn decode_plain<'py>(py: Python<'py>, kind: u8, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let number = || <[u8; 8]>::try_from(bytes).map_err(|_| damaged());
    Ok(match kind {
        INT => PyInt::new(py, i64::from_ne_bytes(number()?)).into_any(),
        STR => PyString::new(py, std::str::from_utf8(bytes).map_err(|_| damaged())?).into_any(),
        BYTES => PyBytes::new(py, bytes).into_any(),
        FLOAT => PyFloat::new(py, f64::from_ne_bytes(number()?)).into_any(),
        NONE => PyNone::get(py).to_owned().into_any(),
        TRUE | FALSE => PyBool::new(py, kind == TRUE).to_owned().into_any(),
        ENCODED => decode(py, bytes)?,
        _ => return Err(damaged()),
    })
}

fn damaged() -> PyErr {
    PyValueError::new_err("a key or value of a shared dict is damaged")
}
