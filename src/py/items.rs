//! Items of a shared list: how they are read, all that are asked for at one moment.

use pyo3::exceptions::{PyIndexError, PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PySlice};

use super::arena::raise;
use super::list::List;
use super::tables::{Face, Raw, Tabled};
use super::values::{attach, decode_value};
use crate::arena::heap::go_on;
use crate::arena::{Error, Handle};
use crate::table::layout::IN_BLOCK;
use crate::table::list::{Moment, Piece, Slice, Which};

/// Items as they lie there, and this process's references to their blocks, which are given back with them.
pub struct Items {
    face: Face,
    pub moment: Moment,
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    /// One for each item, or none at all, if none is in a block.
    blocks: Vec<Option<Handle>>,
}

impl Drop for Items {
    fn drop(&mut self) {
        self.drop_blocks();
    }
}

impl Items {
    fn drop_blocks(&mut self) {
        for block in self.blocks.drain(..).flatten() {
            let _ = self.face.arena.release(&block, &mut go_on);
        }
    }

    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Call for each item, until that returns something.
    fn each<'py, T>(
        mut self,
        py: Python<'py>,
        mut call: impl FnMut(usize, (u8, &[u8]), Bound<'py, PyAny>) -> PyResult<Option<T>>,
    ) -> PyResult<Option<T>> {
        let mut start = 0;
        for index in 0..self.pieces.len() {
            let Piece { kind, end } = self.pieces[index];
            let block = self.blocks.get_mut(index).and_then(Option::take);
            let bytes = &self.bytes[start..end];
            let (object, _) = decode_value(py, self.face.arena, kind, bytes, block)?;
            if let Some(done) = call(index, (kind, bytes), object)? {
                return Ok(Some(done));
            }
            start = end;
        }
        Ok(None)
    }

    pub fn objects(self, py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
        let list = PyList::empty(py);
        self.each(py, |_, _, object| list.append(object).map(|()| None::<()>))?;
        Ok(list)
    }

    /// The first one that equals a value: its position, kind and bytes.
    pub fn first_equal(self, value: &Bound<'_, PyAny>) -> PyResult<Option<(usize, u8, Vec<u8>)>> {
        self.each(value.py(), |position, (kind, bytes), object| {
            Ok(object.eq(value)?.then(|| (position, kind, bytes.to_vec())))
        })
    }
}

impl List {
    /// The items that `which` says, of how many there are.
    pub fn items(&self, py: Python<'_>, which: impl Fn(u64) -> Which) -> PyResult<Items> {
        let mut items = Items {
            face: self.face(),
            moment: Moment { version: 0, count: 0 },
            bytes: Vec::new(),
            pieces: Vec::new(),
            blocks: Vec::new(),
        };
        self.read(py, |face, held| {
            items.bytes.clear();
            items.pieces.clear();
            let into = (&mut items.bytes, &mut items.pieces);
            let seen = match held {
                None => face.try_items(&which, into)?,
                Some(held) => Some(face.items_with(held, &which, into)?),
            };
            let Some(moment) = seen else { return Ok(None) };
            items.moment = moment;
            if items.pieces.iter().all(|piece| piece.kind & IN_BLOCK == 0) {
                return Ok(Some(()));
            }
            if held.is_none() {
                return Ok(None); // a block may be replaced before there is a reference to it
            }
            let mut start = 0;
            for Piece { kind, end } in &items.pieces {
                let block = attach(face.arena, *kind, &items.bytes[start..*end])?;
                items.blocks.push(block);
                start = *end;
            }
            Ok(Some(()))
        })?;
        Ok(items)
    }

    /// The item that a number means, with a reference to its block.
    pub fn item(&self, py: Python<'_>, number: i64) -> PyResult<Option<Raw>> {
        let face = self.face();
        loop {
            let mut bytes = Vec::new();
            let kind = self.read(py, |face, held| {
                bytes.clear();
                match held {
                    None => face.try_item(number, &mut bytes),
                    Some(held) => face.item_with(held, number, &mut bytes).map(Some),
                }
            })?;
            let Some(kind) = kind else { return Ok(None) };
            match Raw::new(&face, kind, bytes) {
                Ok(raw) => return Ok(Some(raw)),
                Err(Error::Freed) => {} // replaced since
                Err(error) => return Err(raise(py, error)),
            }
        }
    }
}

/// The number that an index is.
///
/// # Errors
/// TypeError for what is no int; IndexError for one that no index can be.
pub fn number_of(index: &Bound<'_, PyAny>) -> PyResult<i64> {
    let py = index.py();
    index.extract::<i64>().map_err(|error| {
        if error.is_instance_of::<PyOverflowError>(py) {
            return PyIndexError::new_err("cannot fit 'int' into an index-sized integer");
        }
        if error.is_instance_of::<PyTypeError>(py) {
            let name = index.get_type().name().map(|name| name.to_string()).unwrap_or_default();
            return PyTypeError::new_err(format!("list indices must be integers or slices, not {name}"));
        }
        error
    })
}

/// A slice, whose numbers may be larger than any index.
///
/// # Errors
/// TypeError for what is no int; ValueError for a step of 0.
pub fn slice_of(slice: &Bound<'_, PySlice>) -> PyResult<Slice> {
    let part = |name| -> PyResult<Option<i64>> {
        let part = slice.getattr(name)?;
        if part.is_none() {
            return Ok(None);
        }
        match part.extract::<i64>() {
            Ok(number) => Ok(Some(number)),
            Err(error) if error.is_instance_of::<PyOverflowError>(slice.py()) => {
                let is_negative = part.lt(PyInt::new(slice.py(), 0))?;
                Ok(Some(if is_negative { i64::MIN } else { i64::MAX }))
            }
            Err(error) => Err(error),
        }
    };
    let (start, stop, step) = (part("start")?, part("stop")?, part("step")?.unwrap_or(1));
    if step == 0 {
        return Err(PyValueError::new_err("slice step cannot be zero"));
    }
    Ok(Slice { start, stop, step })
}
