//! None, bool, int, float, str, bytes, and tuples, lists and dicts of them as bytes, faster than a pickle: objects of exactly
//! these types. A list or dict that is there twice, or in itself, is not encoded: it would become two.
//!
//! ```text
//! N  T  F        None, True, False        s LLLL …   str, as UTF-8, of L bytes
//! i VVVVVVVV     int                      b LLLL …   bytes
//! f VVVVVVVV     float                    t LLLL …   a tuple of L of these
//! l LLLL …       a list of L of these     d LLLL …   a dict of L keys, each with its value
//! ```
//!
//! Numbers as this machine has them. What does not fit (long ints, lone surrogates, deep nesting, many lists) is not encoded.

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyNone, PyString, PyTuple};

use super::fast::{new_bytes, new_dict, new_float, new_int, new_list, new_tuple};
use super::unchanging::{known_key, new_key, text};

/// So deep is nested what is encoded.
pub const DEEPEST: usize = 16;
/// So many lists and dicts are compared with one another; more are not encoded.
const MOST_MUTABLE: usize = 64;

/// So many items are few.
const FEW: usize = 8;
/// The longest encoding that is short, in bytes.
pub const SHORT: usize = 128;

/// The lists and dicts that were encoded.
pub struct Seen<const MOST: usize> {
    objects: [*mut ffi::PyObject; MOST],
    count: usize,
}

impl<const MOST: usize> Seen<MOST> {
    pub const fn nothing() -> Self {
        Self {
            objects: [std::ptr::null_mut(); MOST],
            count: 0,
        }
    }

    /// Note one; false when it has been there, or there are too many.
    pub fn is_first(&mut self, object: &Bound<'_, PyAny>) -> bool {
        let is_first = self.count < MOST && !self.objects[..self.count].contains(&object.as_ptr());
        if is_first {
            self.objects[self.count] = object.as_ptr();
            self.count += 1;
        }
        is_first
    }
}

/// Append an object to a buffer; false, with anything appended, when it is none of these, or would be longer than
/// `longest`.
pub fn encode(object: &Bound<'_, PyAny>, into: &mut Vec<u8>, longest: usize) -> bool {
    let end = into.len() + longest;
    let mut seen = None;
    encode_within(object, into, end, DEEPEST, &mut seen) && into.len() <= end
}

/// Where objects are encoded to.
trait Sink {
    fn length(&self) -> usize;

    /// Append bytes; false when there is no room for them.
    fn append(&mut self, bytes: &[u8]) -> bool;
}

impl Sink for Vec<u8> {
    #[inline]
    fn length(&self) -> usize {
        self.len()
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) -> bool {
        self.extend_from_slice(bytes);
        true
    }
}

/// What is encoded, if that is short: no memory but this is needed for it, and no other is looked at.
pub struct Short {
    bytes: [u8; SHORT],
    length: usize,
}

impl Short {
    #[inline]
    pub fn nothing() -> Self {
        Self {
            bytes: [0; SHORT],
            length: 0,
        }
    }

    /// Encode an object; `None` as `encode`, and when it is longer than this.
    #[inline]
    pub fn encode(&mut self, object: &Bound<'_, PyAny>) -> Option<&[u8]> {
        encode_within(object, self, SHORT, DEEPEST, &mut None).then_some(&self.bytes[..self.length])
    }
}

impl Sink for Short {
    #[inline]
    fn length(&self) -> usize {
        self.length
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) -> bool {
        let end = self.length + bytes.len();
        match self.bytes.get_mut(self.length..end) {
            Some(room) => room.copy_from_slice(bytes),
            None => return false,
        }
        self.length = end;
        true
    }
}

/// Append a tuple of bytes and of a tuple of so many items; false as above.
///
/// # Errors
/// Those of the items.
pub fn encode_pair<'py>(
    head: &[u8],
    length: usize,
    items: impl Iterator<Item = PyResult<Bound<'py, PyAny>>>,
    into: &mut Vec<u8>,
    longest: usize,
) -> PyResult<bool> {
    let end = into.len() + longest;
    let Ok(length) = u32::try_from(length) else {
        return Ok(false);
    };
    into.extend_from_slice(&head_of(b't', 2));
    if !append(b'b', head, into, end) {
        return Ok(false);
    }
    into.extend_from_slice(&head_of(b't', length));
    let mut seen = None;
    for item in items {
        if !encode_within(&item?, into, end, DEEPEST - 1, &mut seen) {
            return Ok(false);
        }
    }
    Ok(into.len() <= end)
}

fn encode_within(
    object: &Bound<'_, PyAny>,
    into: &mut impl Sink,
    end: usize,
    deepest: usize,
    seen: &mut Option<Seen<MOST_MUTABLE>>,
) -> bool {
    // Here, and not at the end only: tuples that have one another many times are much longer than they are large.
    if into.length() > end {
        return false;
    }
    if let Ok(number) = object.cast_exact::<PyInt>() {
        let Ok(value) = number.extract::<i64>() else {
            return false;
        };
        return into.append(&number_of(b'i', value.to_ne_bytes()));
    } else if let Ok(text) = object.cast_exact::<PyString>() {
        let Ok(text) = text.to_str() else { return false };
        return append(b's', text.as_bytes(), into, end);
    } else if let Ok(bytes) = object.cast_exact::<PyBytes>() {
        return append(b'b', bytes.as_bytes(), into, end);
    } else if let Ok(number) = object.cast_exact::<PyFloat>() {
        return into.append(&number_of(b'f', number.value().to_ne_bytes()));
    } else if let Ok(items) = object.cast_exact::<PyTuple>() {
        return begin(b't', items.len(), into, deepest)
            && items
                .iter_borrowed()
                .all(|item| encode_within(&item, into, end, deepest - 1, seen));
    } else if let Ok(truth) = object.cast_exact::<PyBool>() {
        return into.append(if truth.is_true() { b"T" } else { b"F" });
    } else if object.is_none() {
        return into.append(b"N");
    } else if let Ok(items) = object.cast_exact::<PyList>() {
        return is_first(object, seen)
            && begin(b'l', items.len(), into, deepest)
            && items
                .iter()
                .all(|item| encode_within(&item, into, end, deepest - 1, seen));
    } else if let Ok(dict) = object.cast_exact::<PyDict>() {
        // Runs no Python, so it stays as it is.
        return is_first(object, seen)
            && begin(b'd', dict.len(), into, deepest)
            && dict.iter().all(|(key, value)| {
                encode_within(&key, into, end, deepest - 1, seen) && encode_within(&value, into, end, deepest - 1, seen)
            });
    }
    false
}

/// Note a list or dict; false when it has been there. What has none need no place for them, which takes longer to make than
/// a number to encode.
fn is_first(object: &Bound<'_, PyAny>, seen: &mut Option<Seen<MOST_MUTABLE>>) -> bool {
    seen.get_or_insert_with(Seen::nothing).is_first(object)
}

/// Append the head of a container; false when it is too long, or too deep.
fn begin(tag: u8, length: usize, into: &mut impl Sink, deepest: usize) -> bool {
    let Ok(length) = u32::try_from(length) else {
        return false;
    };
    into.append(&head_of(tag, length)) && deepest > 0
}

fn append(tag: u8, bytes: &[u8], into: &mut impl Sink, end: usize) -> bool {
    let length = match u32::try_from(bytes.len()) {
        Ok(length) if into.length() + bytes.len() <= end => length,
        _ => return false,
    };
    into.append(&head_of(tag, length)) && into.append(bytes)
}

fn head_of(tag: u8, length: u32) -> [u8; 5] {
    let [a, b, c, d] = length.to_ne_bytes();
    [tag, a, b, c, d]
}

fn number_of(tag: u8, value: [u8; 8]) -> [u8; 9] {
    let mut bytes = [tag; 9];
    bytes[1..].copy_from_slice(&value);
    bytes
}

/// Make the object that was encoded.
///
/// # Errors
/// ValueError for bytes that are no encoding; MemoryError.
pub fn decode<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    decode_one(py, &mut { bytes }, DEEPEST)
}

fn decode_next<'py>(py: Python<'py>, rest: &mut &[u8], deepest: usize) -> PyResult<Bound<'py, PyAny>> {
    Ok(match take::<1>(rest)?[0] {
        b'i' => new_int(py, i64::from_ne_bytes(*take(rest)?))?,
        b's' => {
            PyString::from_bytes(py, take_counted(rest)?)?.into_any() // what is no UTF-8 is a ValueError, too
        }
        b'b' => new_bytes(py, take_counted(rest)?)?,
        b'f' => new_float(py, f64::from_ne_bytes(*take(rest)?))?,
        b't' if deepest > 0 => {
            let length = take_length(rest)?;
            if let Some((ints, left)) = ints_next(rest, length) {
                *rest = left;
                return new_tuple(py, ints.map(|value| new_int(py, value)));
            }
            if length <= FEW {
                let mut few = decode_few(py, rest, deepest - 1, length)?;
                return new_tuple(py, few[..length].iter_mut().map(|item| item.take().ok_or_else(damaged)));
            }
            let items: PyResult<Vec<_>> = (0..length).map(|_| decode_next(py, rest, deepest - 1)).collect();
            new_tuple(py, items?.into_iter().map(Ok))?
        }
        b'l' if deepest > 0 => {
            let length = take_length(rest)?;
            if let Some((ints, left)) = ints_next(rest, length) {
                *rest = left;
                return new_list(py, ints.map(|value| new_int(py, value)));
            }
            if length <= FEW {
                let mut few = decode_few(py, rest, deepest - 1, length)?;
                return new_list(py, few[..length].iter_mut().map(|item| item.take().ok_or_else(damaged)));
            }
            let items: PyResult<Vec<_>> = (0..length).map(|_| decode_next(py, rest, deepest - 1)).collect();
            new_list(py, items?.into_iter().map(Ok))?
        }
        b'd' if deepest > 0 => {
            let dict = new_dict(py)?;
            let length = take_length(rest)?;
            for _ in 0..length {
                let key = decode_key(py, rest, deepest - 1)?;
                let value = if length <= FEW {
                    decode_one(py, rest, deepest - 1)?
                } else {
                    decode_next(py, rest, deepest - 1)?
                };
                dict.set_item(key, value)?;
            }
            dict.into_any()
        }
        b'T' => PyBool::new(py, true).to_owned().into_any(),
        b'F' => PyBool::new(py, false).to_owned().into_any(),
        b'N' => PyNone::get(py).to_owned().into_any(),
        _ => return Err(damaged()),
    })
}

/// The items of a short tuple or list, which need no memory of their own until they are in it; `None` behind the last one.
fn decode_few<'py>(
    py: Python<'py>,
    rest: &mut &[u8],
    deepest: usize,
    length: usize,
) -> PyResult<[Option<Bound<'py, PyAny>>; FEW]> {
    let mut few = [const { None }; FEW];
    for item in &mut few[..length] {
        *item = Some(decode_one(py, rest, deepest)?);
    }
    Ok(few)
}

/// What is one of few: a text among them may be one that has come before.
#[inline]
fn decode_one<'py>(py: Python<'py>, rest: &mut &[u8], deepest: usize) -> PyResult<Bound<'py, PyAny>> {
    match text_next(rest)? {
        Some(bytes) => text(py, bytes),
        None => decode_next(py, rest, deepest),
    }
}

fn decode_key<'py>(py: Python<'py>, rest: &mut &[u8], deepest: usize) -> PyResult<Bound<'py, PyAny>> {
    match text_next(rest)? {
        Some(bytes) => match known_key(py, bytes) {
            Some(key) => Ok(key),
            None => new_key(py, bytes),
        },
        None => decode_next(py, rest, deepest),
    }
}

/// The bytes of a text, if that comes next.
#[inline]
fn text_next<'b>(rest: &mut &'b [u8]) -> PyResult<Option<&'b [u8]>> {
    if rest.first() != Some(&b's') {
        return Ok(None);
    }
    take::<1>(rest)?;
    take_counted(rest).map(Some)
}

/// If so many ints come next: their values, and what follows them. Most long tuples are such.
fn ints_next(rest: &[u8], length: usize) -> Option<(impl ExactSizeIterator<Item = i64> + '_, &[u8])> {
    const LENGTH: usize = 1 + size_of::<i64>();
    let (ints, left) = rest.split_at_checked(length.checked_mul(LENGTH)?)?;
    let each = ints.chunks_exact(LENGTH);
    let value = |int: &[u8]| i64::from_ne_bytes(int[1..].try_into().unwrap_or_default());
    each.clone().all(|int| int[0] == b'i').then(|| (each.map(value), left))
}

fn take<'b, const N: usize>(rest: &mut &'b [u8]) -> PyResult<&'b [u8; N]> {
    let (taken, left) = rest.split_first_chunk().ok_or_else(damaged)?;
    *rest = left;
    Ok(taken)
}

/// How many items come next.
fn take_length(rest: &mut &[u8]) -> PyResult<usize> {
    let length = u32::from_ne_bytes(*take(rest)?) as usize;
    if length > rest.len() {
        return Err(damaged()); // each item has a byte at least
    }
    Ok(length)
}

fn take_counted<'b>(rest: &mut &'b [u8]) -> PyResult<&'b [u8]> {
    let length = u32::from_ne_bytes(*take(rest)?) as usize;
    let (taken, left) = rest.split_at_checked(length).ok_or_else(damaged)?;
    *rest = left;
    Ok(taken)
}

#[cold]
fn damaged() -> PyErr {
    PyValueError::new_err("a message of a channel is damaged")
}
