//! Bytes of the user's in the arena.

use std::sync::OnceLock;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::arena::{arena, exception, raise, waiting, Address, Object};
use super::fast::fill;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Handle};
use crate::atomics::AtomicU64;
use crate::sys::shared::Mapping;

/// Memory that every process of the session may have; anything may be in it unless it is `zeroed`.
#[pyclass(frozen, module = "allcores._core")]
pub struct Memory {
    object: Object<AtomicU64>,
    address: usize,
    size: u64,
    position: u64,
    writable: bool,
    /// Of a large one, in this process.
    mapping: Option<Mapping>,
    /// Whether the arena has the mapping instead: of a large message that was received.
    is_received: bool,
    /// Whether what is written there stays in this process.
    is_private: bool,
    /// Of a pickle with handles: this block, and what they are to.
    bundle: OnceLock<Object<AtomicU64>>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.is_received {
            self.object.arena.end_received(self.address);
        }
        if let Some(mapping) = self.mapping.take().filter(|_| !self.is_private) {
            let arena = self.object.arena;
            arena.keep_mapping(self.position, self.size as usize, self.writable, mapping);
        }
    }
}

impl Memory {
    /// What a handle is to that this process has, to be written; it is given back with this.
    pub fn of(py: Python<'_>, arena: &'static Arena, handle: Handle) -> PyResult<Self> {
        Self::open(py, Object::of(py, arena, handle)?, true)
    }

    /// A message that this process has received, and may write to: unlike other memory it is not shared with forks.
    pub fn received(py: Python<'_>, arena: &'static Arena, handle: Handle) -> PyResult<Self> {
        let mut memory = Self::of(py, arena, handle)?;
        if let Some(mapping) = memory.mapping.take() {
            match arena.begin_received(memory.position, memory.size as usize, mapping) {
                Ok(()) => memory.is_received = true,
                Err(mapping) => memory.mapping = Some(mapping),
            }
        }
        Ok(memory)
    }

    /// A value of a table, which others read, too: what is written to it stays in this process. (But for what shares its
    /// pages with other things, which nobody is to write to.)
    pub fn private(py: Python<'_>, arena: &'static Arena, handle: Handle) -> PyResult<Self> {
        let mut memory = Self::of(py, arena, handle)?;
        if let Some(mapping) = &memory.mapping {
            let file = arena.descriptor().map_err(super::call::Raised::from)?;
            memory.is_private = true;
            mapping
                .make_private(file, memory.position)
                .map_err(super::call::Raised::from)?;
        }
        Ok(memory)
    }

    fn open(py: Python<'_>, object: Object<AtomicU64>, writable: bool) -> PyResult<Self> {
        let found = object.arena.bytes_of(object.handle(), writable);
        let bytes = found.map_err(|error| raise(py, error))?;
        Ok(Self {
            object,
            address: bytes.start as usize,
            size: bytes.size,
            position: bytes.position,
            writable,
            mapping: bytes.mapping,
            is_received: false,
            is_private: false,
            bundle: OnceLock::new(),
        })
    }

    /// The pickle of a bundle that this process has, opened by a function; what its handles are to lives as long.
    pub fn of_bundle(
        py: Python<'_>,
        arena: &'static Arena,
        bundle: Handle,
        open: impl FnOnce(Python<'_>, &'static Arena, Handle) -> PyResult<Self>,
    ) -> PyResult<Self> {
        let bundle = Object::of(py, arena, bundle)?;
        let pickle = waiting(py, |pause| {
            let (offset, generation) = arena.first_of_bundle(bundle.handle())?;
            arena.attach(offset, generation, Kind::Memory, pause)
        })?;
        let memory = open(py, arena, pickle)?;
        let _ = memory.bundle.set(bundle); // which it had not
        Ok(memory)
    }

    /// Have this live together with what the handles in it are to, by their addresses.
    ///
    /// # Errors
    /// HandleError for one of another session.
    pub fn keep(&self, py: Python<'_>, handles: &Bound<'_, PyDict>) -> PyResult<()> {
        let arena = self.object.arena;
        let mut blocks = vec![(self.handle().offset, self.handle().generation)];
        for address in handles.keys() {
            let (session, offset, generation): Address = address.extract()?;
            if session != arena.session() {
                let text = "a handle of another session cannot be sent, nor be kept in a shared object";
                return Err(exception(py, "HandleError", (text,)));
            }
            blocks.push((offset, generation));
        }
        let made = waiting(py, |pause| arena.make_bundle(&blocks, pause))?;
        let _ = self.bundle.set(Object::of(py, arena, made)?); // which it had not
        Ok(())
    }

    /// The bundle in which it lives, if it does.
    pub fn bundle(&self) -> Option<&Handle> {
        self.bundle.get().map(Object::handle)
    }

    /// Where it begins in this process and how long it is, if it may be written; as long as this lives.
    pub fn to_write(&self) -> Option<(usize, u64)> {
        self.writable.then_some((self.address, self.size))
    }

    /// This process's handle.
    pub fn handle(&self) -> &Handle {
        self.object.handle()
    }
}

#[pymethods]
impl Memory {
    #[new]
    #[pyo3(signature = (size, address=None, writable=true, zeroed=true))]
    fn new(py: Python<'_>, size: u64, address: Option<Address>, writable: bool, zeroed: bool) -> PyResult<Self> {
        if address.is_none() && !zeroed {
            let arena = arena(py)?;
            let handle = waiting(py, |pause| arena.make_to_write(Kind::Memory, size.max(1), pause))?;
            return Self::of(py, arena, handle);
        }
        let (object, _) = Object::<AtomicU64>::new(py, Kind::Memory, size.max(1), None, address)?;
        Self::open(py, object, writable)
    }

    /// Where it begins in this process, as long as this object lives; to be read only, unless it is writable.
    #[getter]
    fn address(&self) -> usize {
        self.address
    }

    /// How long it is, in bytes.
    #[getter]
    fn size(&self) -> u64 {
        self.size
    }

    /// Where it begins in the arena's file.
    #[getter]
    fn position(&self) -> u64 {
        self.position
    }

    /// Whether it has pages of its own, which nothing else lies in.
    #[getter]
    fn is_apart(&self) -> bool {
        self.is_received || self.mapping.is_some()
    }

    /// Copy a buffer that lies in one piece to where this is writable, from `at` bytes on. ValueError where it does not fit.
    #[pyo3(signature = (at, buffer, /))]
    fn fill(&self, at: u64, buffer: PyBuffer<u8>) -> PyResult<()> {
        if !fill(self, at, &buffer) {
            return Err(PyValueError::new_err("the buffer does not fit in here"));
        }
        Ok(())
    }

    /// Session, offset and generation, by which every process of the session finds it.
    fn _address(&self) -> Address {
        self.object.address()
    }
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Memory>()
}
