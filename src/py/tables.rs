//! What shared dicts and lists have in common: the lock, and changes that are made under it, whole or not at all.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::arena::{raise, Address, Object};
use super::messages::pickling;
use super::sides::lock_word;
use super::values::{attach, decode_value};
use super::waits::Event;
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::Handle;
use crate::sync::event::EventBody;
use crate::sync::side::Held;
use crate::table::layout::TableBody;
use crate::table::Section;

/// A table, as the floor below has it.
pub type Face = crate::table::Table<'static>;

/// A value as it lies there, and this process's reference to its block.
pub struct Raw {
    pub kind: u8,
    pub bytes: Vec<u8>,
    pub block: Option<Handle>,
}

impl Raw {
    /// What was read of a value; with a reference to its block.
    ///
    /// # Errors
    /// `Freed`, when it was replaced meanwhile.
    pub fn new(face: &Face, kind: u8, bytes: Vec<u8>) -> crate::arena::Result<Self> {
        let block = attach(face.arena, kind, &bytes)?;
        Ok(Self { kind, bytes, block })
    }

    /// The object, which has the reference from now on.
    pub fn object<'py>(&mut self, py: Python<'py>, face: &Face) -> PyResult<Bound<'py, PyAny>> {
        Ok(decode_value(py, face.arena, self.kind, &self.bytes, self.block.take())?.0)
    }

    /// Give the reference back.
    pub fn drop_block(&mut self, face: &Face) {
        if let Some(block) = self.block.take() {
            let _ = face.arena.release(&block, &mut go_on);
        }
    }
}

/// What came of an attempt with the lock.
pub enum Attempt<T> {
    Done(T),
    /// Something has changed since it was looked at.
    Again,
}

/// The end of those who gave an object out.
struct End {
    event: &'static EventBody,
    /// What the object is, to whoever uses it after that: its class says so.
    typeid: Py<PyAny>,
}

impl End {
    #[cold]
    fn error(&self, py: Python<'_>) -> PyErr {
        let made = py
            .import("allcores._manager.ending")
            .and_then(|module| module.call_method1("ended", (&self.typeid,)));
        made.map_or_else(|error| error, PyErr::from_value)
    }
}

/// A table, and its end, if it has one.
pub struct Shared {
    pub object: Object<TableBody>,
    end: Option<End>,
}

impl Shared {
    /// Make one, with this event, or have the one that an address means. A class of those that end has a `_typeid`.
    pub fn new(
        class: &Bound<'_, PyType>,
        kind: Kind,
        name: Option<&str>,
        address: Option<Address>,
        event: Option<&Bound<'_, Event>>,
    ) -> PyResult<Self> {
        let py = class.py();
        pickling(py)?; // before anything is stored
        let (object, _) = Object::new(py, kind, size_of::<TableBody>() as u64, name, address)?;
        let mut made = Self { object, end: None };
        let face = made.face();
        let has_end = event.map_or(Ok(()), |event| face.have_end(event.get().0.handle()));
        if let Some(event) = has_end.and_then(|()| face.end()).map_err(|error| raise(py, error))? {
            let typeid = class.getattr(intern!(py, "_typeid"))?.unbind();
            made.end = Some(End { event, typeid });
        }
        Ok(made)
    }

    fn face(&self) -> Face {
        Face {
            arena: self.object.arena,
            body: self.object.body,
            offset: self.object.offset(),
        }
    }
}

/// Whatever has a table.
pub trait Tabled {
    fn shared(&self) -> &Shared;

    /// Look that it may be used still.
    ///
    /// # Errors
    /// ManagerEndedError.
    fn look(&self, py: Python<'_>) -> PyResult<()> {
        match &self.shared().end {
            Some(end) if end.event.is_set() => Err(end.error(py)),
            _ => Ok(()),
        }
    }

    fn face(&self) -> Face {
        self.shared().face()
    }

    fn lock(&self, py: Python<'_>) -> PyResult<Held> {
        self.look(py)?;
        let face = self.face();
        lock_word(py, face.arena, face.lock_word())
    }

    /// Read without the lock, which fails as long as somebody writes; then with it. What is read into is to be cleared first.
    fn read<T>(
        &self,
        py: Python<'_>,
        mut read: impl FnMut(&Face, Option<&Held>) -> crate::arena::Result<Option<T>>,
    ) -> PyResult<T> {
        self.look(py)?;
        let face = self.face();
        if let Some(seen) = read(&face, None).map_err(|error| raise(py, error))? {
            return Ok(seen);
        }
        loop {
            let held = self.lock(py)?;
            let seen = read(&face, Some(&held));
            drop(held); // to raise runs Python
            if let Some(seen) = seen.map_err(|error| raise(py, error))? {
                return Ok(seen);
            }
        }
    }

    /// Change something, whole or not at all. No Python runs meanwhile.
    fn change<T>(
        &self,
        py: Python<'_>,
        does: impl FnOnce(&mut Section<'static>) -> crate::arena::Result<T>,
    ) -> PyResult<T> {
        self.in_section(py, does, |_| true)
    }

    /// The same, or nothing, if something else is to be looked at again first.
    fn attempt<T>(
        &self,
        py: Python<'_>,
        does: impl FnOnce(&mut Section<'static>) -> crate::arena::Result<Attempt<T>>,
    ) -> PyResult<Attempt<T>> {
        self.in_section(py, does, |attempt| matches!(attempt, Attempt::Done(_)))
    }

    fn in_section<T>(
        &self,
        py: Python<'_>,
        does: impl FnOnce(&mut Section<'static>) -> crate::arena::Result<T>,
        is_done: fn(&T) -> bool,
    ) -> PyResult<T> {
        let held = self.lock(py)?;
        let done = move || {
            let mut section = Section::enter(self.face(), held)?;
            let done = does(&mut section)?;
            if is_done(&done) {
                section.commit()?;
            }
            Ok(done)
        };
        done().map_err(|error| raise(py, error))
    }
}
