//! Bytes of the user's in the arena.

use pyo3::prelude::*;

use super::arena::{raise, Address, Object};
use crate::arena::tag::Kind;
use crate::arena::{Arena, Handle};
use crate::atomics::AtomicU64;
use crate::sys::shared::Mapping;

/// Zeroed memory that every process of the session may have.
#[pyclass(frozen, module = "allcores._core")]
pub struct Memory {
    object: Object<AtomicU64>,
    address: usize,
    size: u64,
    /// Of a large one, in this process.
    _mapping: Option<Mapping>,
}

impl Memory {
    /// What a handle is to that this process has; it is given back with this.
    pub fn of(py: Python<'_>, arena: &'static Arena, handle: Handle) -> PyResult<Self> {
        Self::open(py, Object::of(py, arena, handle)?)
    }

    fn open(py: Python<'_>, object: Object<AtomicU64>) -> PyResult<Self> {
        let found = object.arena.bytes_of(object.handle());
        let (start, size, mapping) = found.map_err(|error| raise(py, error))?;
        Ok(Self {
            object,
            address: start as usize,
            size,
            _mapping: mapping,
        })
    }

    /// This process's handle.
    pub fn handle(&self) -> &Handle {
        self.object.handle()
    }
}

#[pymethods]
impl Memory {
    #[new]
    #[pyo3(signature = (size, address=None))]
    fn new(py: Python<'_>, size: u64, address: Option<Address>) -> PyResult<Self> {
        let (object, _) = Object::<AtomicU64>::new(py, Kind::Memory, size.max(1), None, address)?;
        Self::open(py, object)
    }

    /// Where it begins in this process; valid as long as this object lives.
    #[getter]
    fn address(&self) -> usize {
        self.address
    }

    /// How long it is, in bytes.
    #[getter]
    fn size(&self) -> u64 {
        self.size
    }

    /// Session, offset and generation, by which every process of the session finds it.
    fn _address(&self) -> Address {
        self.object.address()
    }
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Memory>()
}
