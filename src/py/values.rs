//! Values of a shared dict: plain ones in the slot, pickles there or in a block.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::arena::{exception, waiting, Address, Object};
use super::keys::PAIR;
use super::memory::Memory;
use super::messages::pickling;
use super::plain::{decode_plain, encode_plain, PICKLED};
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Error, Handle};
use crate::atomics::AtomicU64;
use crate::table::layout::{IN_BLOCK, LONGEST_VALUE};
use crate::table::{block_of, Value};

/// It has handles, and lies in a bundle: the block with the pickle, and what the handles are to. A bit of the kind.
const WITH_HANDLES: u8 = 0x20;

/// A value that is about to be stored.
pub enum ValueBytes {
    /// Bytes of a kind.
    Plain(u8, Vec<u8>),
    Pickled(u8, Py<PyBytes>),
    Block(u8, Py<Memory>),
    Bundle(u8, Object<AtomicU64>),
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
        let mut bytes = Vec::with_capacity(64);
        match encode_plain(object, &mut bytes, LONGEST_VALUE) {
            Some(kind) => Ok(Self::Plain(kind, bytes)),
            None => Self::pickled(object, PICKLED),
        }
    }

    fn pickled(object: &Bound<'_, PyAny>, kind: u8) -> PyResult<Self> {
        let py = object.py();
        let pickle = match pickling(py)?
            .dumps_to_keep(py, object, LONGEST_VALUE)?
            .cast_into::<PyBytes>()
        {
            Ok(bytes) => return Ok(Self::Pickled(kind, bytes.unbind())),
            Err(other) => other.into_inner(),
        };
        match pickle.cast_into::<Memory>() {
            Ok(memory) => Ok(Self::Block(kind, memory.unbind())),
            Err(other) => {
                let (memory, handles) = other.into_inner().extract::<(Py<Memory>, Bound<'_, PyDict>)>()?;
                Ok(Self::Bundle(kind | WITH_HANDLES, bundle(py, &memory, &handles)?))
            }
        }
    }

    /// As the floor below has it.
    pub fn value<'a>(&'a self, py: Python<'a>) -> Value<'a> {
        match self {
            Self::Plain(kind, bytes) => Value::Bytes(*kind, bytes),
            Self::Pickled(kind, bytes) => Value::Bytes(*kind, bytes.as_bytes(py)),
            Self::Block(kind, memory) => Value::Block(*kind, memory.get().handle()),
            Self::Bundle(kind, bundle) => Value::Block(*kind, bundle.handle()),
        }
    }
}

/// The bundle of a pickle's block and what the handles in it are to, by their addresses.
fn bundle(py: Python<'_>, memory: &Py<Memory>, handles: &Bound<'_, PyDict>) -> PyResult<Object<AtomicU64>> {
    let (arena, pickle) = (super::arena::arena(py)?, memory.get().handle());
    let mut blocks = vec![(pickle.offset, pickle.generation)];
    for address in handles.keys() {
        let (session, offset, generation): Address = address.extract()?;
        if session != arena.session() {
            let text = "a handle of another session cannot be kept in a shared dict";
            return Err(exception(py, "HandleError", (text,)));
        }
        blocks.push((offset, generation));
    }
    Object::of(py, arena, waiting(py, |pause| arena.make_bundle(&blocks, pause))?)
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
            let bundle = Object::<AtomicU64>::of(py, arena, bundle)?; // until the object has handles of its own
            let attach = |pause: crate::arena::Pause<'_>| {
                let (offset, generation) = arena.first_of_bundle(bundle.handle())?;
                arena.attach(offset, generation, Kind::Memory, pause)
            };
            let block = waiting(py, attach)?;
            pickling(py)?.loads_block(py, Memory::private(py, arena, block)?)?
        }
        Some(block) => pickling(py)?.loads_block(py, Memory::private(py, arena, block)?)?,
        None if kind & !PAIR == PICKLED => pickling(py)?.loads(py, bytes)?,
        None => decode_plain(py, kind, bytes)?,
    };
    if kind & PAIR == 0 {
        return Ok((object, None));
    }
    let (key, value) = object.extract()?;
    Ok((value, Some(key)))
}
