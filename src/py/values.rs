//! Values of a shared dict: plain ones in the slot, pickles there or in a block.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::gathering::with_handles;
use super::keys::PAIR;
use super::memory::Memory;
use super::messages::pickling;
use super::pickler::{append_simple, dumps_any, Pickled};
use super::plain::{decode_plain, encode_plain, Single, PICKLED};
use super::unchanging;
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Error, Handle};
use crate::table::layout::{IN_BLOCK, LONGEST_VALUE};
use crate::table::{block_of, Value};

/// It has handles, and lies in a bundle: the block with the pickle, and what the handles are to. A bit of the kind.
const WITH_HANDLES: u8 = 0x20;

/// A value that is about to be stored.
pub enum ValueBytes {
    /// Bytes of a kind: of a plain object, or the pickle of a simple one.
    Bytes(u8, Vec<u8>),
    Pickled(u8, Py<PyBytes>),
    Block(u8, Py<Memory>),
}

impl ValueBytes {
    /// Make one; as a pair with its key, if one is given.
    ///
    /// # Errors
    /// Those of pickling.
    pub fn of(object: &Bound<'_, PyAny>, key: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let py = object.py();
        if let Some(key) = key {
            let pair = PyTuple::new(py, [key, object])?;
            return Self::pickled(pair.as_any(), PICKLED | PAIR);
        }
        let mut bytes = Vec::new();
        match encode_plain(object, &mut bytes, LONGEST_VALUE) {
            Some(kind) => Ok(Self::Bytes(kind, bytes)),
            None => Self::pickled(object, PICKLED),
        }
    }

    fn pickled(object: &Bound<'_, PyAny>, kind: u8) -> PyResult<Self> {
        let mut bytes = Vec::with_capacity(128);
        if append_simple(object, &mut bytes, LONGEST_VALUE)? {
            if bytes.capacity() > 2 * bytes.len() + 64 {
                bytes.shrink_to_fit(); // many of them may be stored at once
            }
            return Ok(Self::Bytes(kind, bytes));
        }
        let dumps = || dumps_any(object, LONGEST_VALUE);
        Ok(match with_handles(object.py(), true, dumps)? {
            Pickled::Bytes(bytes) => Self::Pickled(kind, bytes.unbind()),
            Pickled::Block(memory) => Self::Block(kind, memory.unbind()),
        })
    }

    /// As the floor below has it.
    pub fn value<'a>(&'a self, py: Python<'a>) -> Value<'a> {
        match self {
            Self::Bytes(kind, bytes) => Value::Bytes(*kind, bytes),
            Self::Pickled(kind, bytes) => Value::Bytes(*kind, bytes.as_bytes(py)),
            Self::Block(kind, memory) => match memory.get().bundle() {
                Some(bundle) => Value::Block(*kind | WITH_HANDLES, bundle),
                None => Value::Block(*kind, memory.get().handle()),
            },
        }
    }
}

/// Do something with an object as a value, without memory of its own for a single one.
///
/// # Errors
/// Those of pickling, and of what is done.
#[inline]
pub fn with_value<T>(object: &Bound<'_, PyAny>, does: impl FnOnce(Value<'_>) -> PyResult<T>) -> PyResult<T> {
    if let Some(single) = Single::of(object).filter(|single| single.bytes().len() <= LONGEST_VALUE) {
        return does(Value::Bytes(single.kind, single.bytes()));
    }
    does(ValueBytes::of(object, None)?.value(object.py()))
}

/// Have a reference to the block that a value lies in, if it does. With the GIL.
///
/// # Errors
/// `Freed`, when it was replaced meanwhile.
pub fn attach(arena: &Arena, kind: u8, bytes: &[u8]) -> crate::arena::Result<Option<Handle>> {
    if kind & IN_BLOCK == 0 {
        return Ok(None);
    }
    let (offset, generation) =
        block_of(bytes).ok_or(Error::Corrupt("a value lies in a block, and does not say where"))?;
    let is_of = if kind & WITH_HANDLES == 0 {
        Kind::Memory
    } else {
        Kind::Bundle
    };
    arena.attach(offset, generation, is_of, &mut go_on).map(Some)
}

/// The object that was stored, and its key if they were a pair.
///
/// # Errors
/// Those of unpickling; MemoryError.
pub fn decode_value<'py>(
    py: Python<'py>,
    arena: &'static Arena,
    kind: u8,
    bytes: &[u8],
    block: Option<Handle>,
) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>)> {
    let object = match block {
        Some(bundle) if kind & WITH_HANDLES != 0 => {
            pickling(py)?.loads_block(py, Memory::of_bundle(py, arena, bundle, Memory::private)?)?
        }
        Some(block) => pickling(py)?.loads_block(py, Memory::private(py, arena, block)?)?,
        None if kind == PICKLED => unchanging::loads(py, pickling(py)?, bytes)?,
        None if kind == PICKLED | PAIR => pickling(py)?.loads(py, bytes)?,
        None => decode_plain(py, kind, bytes)?,
    };
    if kind & PAIR == 0 {
        return Ok((object, None));
    }
    let (key, value) = object.extract()?;
    Ok((value, Some(key)))
}
