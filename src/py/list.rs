//! The shared list in Python: its methods (`items` has how they read it). Values are encoded before the lock is taken, and
//! decoded after it was given back.

use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PySlice, PyType};

use super::arena::Address;
use super::items::{number_of, slice_of};
use super::messages::prepare_for_blocks;
use super::tables::{Attempt, Raw, Shared, Tabled};
use super::values::{with_value, ValueBytes};
use super::waits::Event;
use crate::arena::tag::Kind;
use crate::table::list::{index_of, insertion_of, Slice, Which};
use crate::table::{Section, Value};

/// How many items are read at one moment by who goes through all of them.
const PART: u64 = 4096;

/// A list in the session's shared memory; see allcores.managers.
#[pyclass(frozen, subclass, module = "allcores._core")]
pub struct List {
    shared: Shared,
}

impl Tabled for List {
    fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// Which item or which items.
enum Place {
    Index(i64),
    Slice(Slice),
}

fn place_of(index: &Bound<'_, PyAny>) -> PyResult<Place> {
    match index.cast::<PySlice>() {
        Ok(slice) => slice_of(slice).map(Place::Slice),
        Err(_) => number_of(index).map(Place::Index),
    }
}

fn out_of_range(what: &str) -> PyErr {
    PyIndexError::new_err(format!("{what} out of range"))
}

/// Items that are about to be stored: those of an iterable, encoded.
fn encode_all(iterable: &Bound<'_, PyAny>) -> PyResult<Vec<ValueBytes>> {
    let encode = |item: PyResult<Bound<'_, PyAny>>| ValueBytes::of(&item?, None);
    iterable.try_iter()?.map(encode).collect()
}

/// What came of assigning to items.
enum Assigned {
    Done,
    NoItem,
    /// There are so many items to be replaced.
    OtherNumber(u64),
}

impl List {
    /// A part of the items, from one on; no more than there are, nor than `stop`.
    fn part_from(start: u64, stop: u64) -> impl Fn(u64) -> Which {
        move |count| Which {
            start,
            step: 1,
            number: count.min(stop).saturating_sub(start).min(PART),
        }
    }

    fn assign(&self, index: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<Assigned> {
        let py = value.py();
        let slice = match place_of(index)? {
            Place::Slice(slice) => slice,
            Place::Index(number) => {
                return with_value(value, |value| {
                    self.change(py, |section| {
                        let Some(index) = index_of(number, section.table.len()) else {
                            return Ok(Assigned::NoItem);
                        };
                        section.set_item(index, value).map(|()| Assigned::Done)
                    })
                });
            }
        };
        if value.try_iter().is_err() {
            return Err(PyTypeError::new_err("can only assign an iterable"));
        }
        let encoded = encode_all(value)?;
        let values: Vec<Value<'_>> = encoded.iter().map(|value| value.value(py)).collect();
        self.change(py, |section| {
            let which = slice.which(section.table.len());
            if slice.step == 1 {
                section.splice_items(which.start, which.start + which.number, &values)?;
            } else if which.number != values.len() as u64 {
                return Ok(Assigned::OtherNumber(which.number));
            } else {
                let mut index = which.start;
                for value in &values {
                    section.set_item(index, *value)?;
                    index = index.wrapping_add_signed(which.step);
                }
            }
            Ok(Assigned::Done)
        })
    }
}

/// An item, with a reference to its block, which is then no more.
fn take(section: &mut Section<'static>, index: u64) -> crate::arena::Result<Option<Raw>> {
    let mut bytes = Vec::new();
    let Some(kind) = section.item(index, &mut bytes)? else {
        return Ok(None);
    };
    let mut raw = Raw::new(&section.table, kind, bytes)?;
    if let Err(error) = section.remove_item(index) {
        raw.drop_block(&section.table);
        return Err(error);
    }
    Ok(Some(raw))
}

#[pymethods]
impl List {
    #[new]
    #[classmethod]
    #[pyo3(signature = (name=None, address=None, end=None))]
    fn new(
        class: &Bound<'_, PyType>,
        name: Option<&str>,
        address: Option<Address>,
        end: Option<&Bound<'_, Event>>,
    ) -> PyResult<Self> {
        Ok(Self {
            shared: Shared::new(class, Kind::List, name, address, end)?,
        })
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.look(py)?;
        Ok(self.face().len() as usize)
    }

    fn __contains__(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self._find(value, 0, i64::MAX)?.is_some())
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match place_of(index)? {
            Place::Index(number) => match self.item(py, number)? {
                Some(mut raw) => raw.object(py, &self.face()),
                None => Err(out_of_range("list index")),
            },
            Place::Slice(slice) => {
                let items = self.items(py, |count| slice.which(count))?;
                Ok(items.objects(py)?.into_any())
            }
        }
    }

    fn __setitem__(&self, index: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        match self.assign(index, value)? {
            Assigned::Done => Ok(()),
            Assigned::NoItem => Err(out_of_range("list assignment index")),
            Assigned::OtherNumber(number) => Err(PyValueError::new_err(format!(
                "attempt to assign a sequence to an extended slice of size {number}, which is not its size"
            ))),
        }
    }

    fn __delitem__(&self, py: Python<'_>, index: &Bound<'_, PyAny>) -> PyResult<()> {
        let place = place_of(index)?;
        let is_done = self.change(py, |section| {
            let count = section.table.len();
            let (start, step, number) = match place {
                Place::Index(number) => match index_of(number, count) {
                    Some(index) => (index, 1, 1),
                    None => return Ok(false),
                },
                Place::Slice(slice) => {
                    let which = slice.which(count);
                    let (start, step) = which.ascending();
                    (start, step, which.number)
                }
            };
            section.remove_items(start, step, number).map(|()| true)
        })?;
        if is_done {
            Ok(())
        } else {
            Err(out_of_range("list assignment index"))
        }
    }

    /// Have one item more, behind the last one.
    #[pyo3(signature = (value, /))]
    fn append(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        with_value(value, |value| self.change(py, |section| section.append_item(value)))
    }

    /// Have all items of an iterable behind the last one, at once.
    #[pyo3(signature = (iterable, /))]
    fn extend(&self, iterable: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = iterable.py();
        let values = encode_all(iterable)?;
        self.change(py, |section| {
            values.iter().try_for_each(|value| section.append_item(value.value(py)))
        })
    }

    /// Have one item more, before the one of an index.
    #[pyo3(signature = (index, value, /))]
    fn insert(&self, index: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, number) = (value.py(), number_of(index)?);
        with_value(value, |value| {
            self.change(py, |section| {
                let index = insertion_of(number, section.table.len());
                section.insert_item(index, value)
            })
        })
    }

    /// Delete an item, the last one by default, and return it. IndexError when there is none.
    #[pyo3(signature = (index=None, /))]
    fn pop<'py>(&self, py: Python<'py>, index: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let number = index.map_or(Ok(-1), |index| number_of(&index))?;
        prepare_for_blocks(py)?; // or nothing is taken
        let taken = self.change(py, |section| {
            let count = section.table.len();
            Ok(match index_of(number, count) {
                Some(index) => take(section, index)?.ok_or(count),
                None => Err(count),
            })
        })?;
        match taken {
            Ok(mut raw) => raw.object(py, &self.face()),
            Err(0) => Err(PyIndexError::new_err("pop from empty list")),
            Err(_) => Err(out_of_range("pop index")),
        }
    }

    /// Delete the first item that equals a value. ValueError when there is none.
    #[pyo3(signature = (value, /))]
    fn remove(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        loop {
            let Some((index, kind, bytes)) = self.search(value, 0, i64::MAX)? else {
                return Err(PyValueError::new_err("list.remove(x): x not in list"));
            };
            let attempt = self.attempt(py, |section| {
                let mut now = Vec::new();
                // The same bytes are the same value; a block has a generation.
                if section.item(index, &mut now)? != Some(kind) || now != bytes {
                    return Ok(Attempt::Again);
                }
                section.remove_item(index).map(Attempt::Done)
            })?;
            if let Attempt::Done(()) = attempt {
                return Ok(());
            }
        }
    }

    /// Have the items in the opposite order.
    fn reverse(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, Section::reverse_items)
    }

    /// Delete all items.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, Section::clear_items)
    }

    /// Have the items so many times, one after another.
    #[pyo3(signature = (times, /))]
    fn _repeat(&self, py: Python<'_>, times: i64) -> PyResult<()> {
        self.change(py, |section| section.repeat_items(times.max(0) as u64))
    }

    /// Return the index of the first item that equals a value, of those between two indices; None when there is none.
    #[pyo3(signature = (value, start, stop, /))]
    fn _find(&self, value: &Bound<'_, PyAny>, start: i64, stop: i64) -> PyResult<Option<u64>> {
        Ok(self.search(value, start, stop)?.map(|(index, ..)| index))
    }

    /// Return a number that is another one when the list has changed, and a list of the items, of one moment.
    fn _snapshot<'py>(&self, py: Python<'py>) -> PyResult<(u64, Bound<'py, PyList>)> {
        let items = self.items(py, Self::all)?;
        Ok((items.moment.version, items.objects(py)?))
    }

    /// Have the items in another order, if nothing has changed since a snapshot; whether it was done. The order is that of
    /// their indices until now; ValueError when it is none.
    #[pyo3(signature = (version, order, /))]
    fn _arrange(&self, py: Python<'_>, version: u64, order: Vec<u64>) -> PyResult<bool> {
        let arranged = self.attempt(py, |section| {
            if !section.is_at(version) {
                return Ok(Attempt::Again);
            }
            section.arrange_items(&order).map(Attempt::Done)
        })?;
        match arranged {
            Attempt::Done(true) => Ok(true),
            Attempt::Done(false) => Err(PyValueError::new_err("this is no order of the items")),
            Attempt::Again => Ok(false),
        }
    }

    /// Return a list of some thousand items, from an index on; an empty one at the end.
    #[pyo3(signature = (start, /))]
    fn _part<'py>(&self, py: Python<'py>, start: u64) -> PyResult<Bound<'py, PyList>> {
        self.items(py, Self::part_from(start, u64::MAX))?.objects(py)
    }

    /// Session, offset and generation, by which every process of the session finds it.
    fn _address(&self) -> Address {
        self.shared.object.address()
    }

    /// The name it was given.
    fn _name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.shared.object.name(py)
    }
}

impl List {
    fn all(count: u64) -> Which {
        Which {
            start: 0,
            step: 1,
            number: count,
        }
    }

    /// The first item that equals a value, of those between two indices, at one moment: its index, kind and bytes.
    fn search(&self, value: &Bound<'_, PyAny>, start: i64, stop: i64) -> PyResult<Option<(u64, u8, Vec<u8>)>> {
        let py = value.py();
        let bounds = |count: u64| match stop {
            ..0 => (insertion_of(start, count), insertion_of(stop, count)),
            _ => (insertion_of(start, count), stop as u64),
        };
        // Some thousand at a time, as long as nothing changes; else all of them.
        let (mut version, mut read) = (None, 0);
        loop {
            let part = self.items(py, |count| {
                let (from, to) = bounds(count);
                Self::part_from(from + read, to)(count)
            })?;
            let (moment, number) = (part.moment, part.len() as u64);
            if *version.get_or_insert(moment.version) != moment.version {
                break;
            }
            if let Some((position, kind, bytes)) = part.first_equal(value)? {
                let (from, _) = bounds(moment.count);
                return Ok(Some((from + read + position as u64, kind, bytes)));
            }
            if number < PART {
                return Ok(None);
            }
            read += number;
        }
        let all = self.items(py, |count| {
            let (start, to) = bounds(count);
            let number = count.min(to).saturating_sub(start);
            Which { start, step: 1, number }
        })?;
        let (from, _) = bounds(all.moment.count);
        let found = all.first_equal(value)?;
        Ok(found.map(|(position, kind, bytes)| (from + position as u64, kind, bytes)))
    }
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<List>()
}
