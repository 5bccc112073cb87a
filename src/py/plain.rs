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

/// A single object as bytes of a kind, where they lie: no container.
pub struct Single<'a> {
    pub kind: u8,
    number: [u8; 8],
    text: &'a [u8],
}

impl<'a> Single<'a> {
    /// `None` for a container, and what cannot be such bytes.
    #[inline]
    pub fn of(object: &'a Bound<'_, PyAny>) -> Option<Self> {
        let of_text = |kind, text| Self {
            kind,
            number: [0; 8],
            text,
        };
        let of_number = |kind, number| Self {
            kind,
            number,
            text: &[],
        };
        Some(if let Ok(text) = object.cast_exact::<PyString>() {
            of_text(STR, text.to_str().ok()?.as_bytes())
        } else if let Ok(number) = object.cast_exact::<PyInt>() {
            of_number(INT, number.extract::<i64>().ok()?.to_ne_bytes())
        } else if let Ok(bytes) = object.cast_exact::<PyBytes>() {
            of_text(BYTES, bytes.as_bytes())
        } else if let Ok(number) = object.cast_exact::<PyFloat>() {
            of_number(FLOAT, number.value().to_ne_bytes())
        } else if object.is_none() {
            of_text(NONE, &[])
        } else if let Ok(truth) = object.cast_exact::<PyBool>() {
            of_text(if truth.is_true() { TRUE } else { FALSE }, &[])
        } else {
            return None;
        })
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match self.kind {
            INT | FLOAT => &self.number,
            _ => self.text,
        }
    }
}

/// Append an object to a buffer and return its kind; `None`, with anything appended, when it is none of these, or longer
/// than `longest`.
pub fn encode_plain(object: &Bound<'_, PyAny>, into: &mut Vec<u8>, longest: usize) -> Option<u8> {
    let is_container = object.is_exact_instance_of::<PyTuple>()
        || object.is_exact_instance_of::<PyList>()
        || object.is_exact_instance_of::<PyDict>();
    if is_container {
        into.reserve(64);
        return encode(object, into, longest).then_some(ENCODED);
    }
    let single = Single::of(object)?;
    if single.bytes().len() > longest {
        return None;
    }
    into.extend_from_slice(single.bytes());
    Some(single.kind)
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
