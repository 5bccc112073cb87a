//! Pickles of objects, by a pickler that each thread uses again.
//!
//! What is rare is Python: pickles by value, long ones (`allcores._pickle.messages`).

use std::cell::Cell;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyBufferError, PyException, PyKeyError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFrozenSet, PyList};

use super::memory::Memory;
use super::messages::pickling;
use super::simple::{pickle_simple, Rules};
use super::unpickler;

/// A buffer of this length goes beside the pickle.
const LARGE_BYTES: usize = 1 << 14;

/// A pickle: short, or in a block, with its large buffers; and with what it has handles to, where that is kept.
pub enum Pickled<'py> {
    Bytes(Bound<'py, PyBytes>),
    Block(Bound<'py, Memory>),
}

impl<'py> Pickled<'py> {
    /// What Python code has made: bytes, or a Memory.
    ///
    /// # Errors
    /// TypeError for anything else.
    pub fn of(made: Bound<'py, PyAny>) -> PyResult<Self> {
        match made.cast_into::<PyBytes>() {
            Ok(bytes) => Ok(Self::Bytes(bytes)),
            Err(other) => Ok(Self::Block(other.into_inner().cast_into::<Memory>()?)),
        }
    }

    /// As Python has it.
    pub fn into_any(self) -> Bound<'py, PyAny> {
        match self {
            Self::Bytes(bytes) => bytes.into_any(),
            Self::Block(memory) => memory.into_any(),
        }
    }
}

/// What `ForkingPickler` looks reducers up in, as one mapping; they may be registered at any time.
#[pyclass(frozen, mapping, module = "allcores._core")]
pub struct Reducers {
    registered: Py<PyDict>,
    others: Py<PyDict>,
    repeatable: Option<Py<PyFrozenSet>>,
    is_for_one: AtomicBool,
}

#[pymethods]
impl Reducers {
    /// Those that were registered for travel between processes, and those of `copyreg`. `repeatable`: types of the first
    /// ones whose reducers make nothing for a single receiver.
    #[new]
    #[pyo3(signature = (registered, others, repeatable=None, /))]
    fn new(registered: Py<PyDict>, others: Py<PyDict>, repeatable: Option<Py<PyFrozenSet>>) -> Self {
        Self {
            registered,
            others,
            repeatable,
            is_for_one: AtomicBool::new(false),
        }
    }

    /// Whether one was looked up that may make something for a single receiver.
    #[getter]
    fn is_for_one(&self) -> bool {
        self.is_for_one.load(Ordering::Relaxed)
    }

    fn __getitem__<'py>(&self, kind: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = kind.py();
        if let Some(found) = self.registered.bind(py).get_item(kind)? {
            if let Some(repeatable) = &self.repeatable {
                if !repeatable.bind(py).contains(kind)? {
                    self.is_for_one.store(true, Ordering::Relaxed);
                }
            }
            return Ok(found);
        }
        let found = self.others.bind(py).get_item(kind)?;
        found.ok_or_else(|| PyKeyError::new_err(()))
    }
}

/// What a pickler takes for a file, and large buffers.
#[pyclass(frozen, module = "allcores._core")]
struct Output(Mutex<Written>);

#[derive(Default)]
struct Written {
    /// What was written first: short pickles are one piece.
    first: Option<Py<PyBytes>>,
    others: Vec<Py<PyBytes>>,
    buffers: Vec<Py<PyAny>>,
}

impl Output {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Output {
    fn write(&self, piece: &Bound<'_, PyAny>) -> PyResult<()> {
        let piece = match piece.cast_exact::<PyBytes>() {
            Ok(bytes) => bytes.clone(),
            // A large bytearray is handed over itself, and a reducer may change it before the pickle is complete.
            Err(_) => piece.py().get_type::<PyBytes>().call1((piece,))?.cast_into()?,
        };
        let mut written = self.written();
        if written.first.is_none() {
            written.first = Some(piece.unbind());
        } else {
            written.others.push(piece.unbind());
        }
        Ok(())
    }

    /// Take a large buffer beside the pickle; true leaves it in there.
    fn take(&self, buffer: &Bound<'_, PyAny>) -> PyResult<bool> {
        let view = match buffer.call_method0("raw") {
            Ok(view) => view,
            Err(error) if error.is_instance_of::<PyBufferError>(buffer.py()) => return Ok(true), // not in one piece
            Err(error) => return Err(error),
        };
        if view.getattr("nbytes")?.extract::<usize>()? < LARGE_BYTES {
            return Ok(true);
        }
        self.written().buffers.push(view.unbind());
        Ok(false)
    }
}

/// A pickler, and what it writes.
struct Pickler {
    dump: Py<PyAny>,
    clear_memo: Py<PyAny>,
    output: Py<Output>,
}

thread_local! {
    /// This thread's; it is not there while it is at work, and reducers may put something, too.
    static OWN: Cell<Option<Pickler>> = const { Cell::new(None) };
}

impl Pickler {
    fn new(py: Python<'_>, reducers: &Bound<'_, PyAny>) -> PyResult<Self> {
        let output = Bound::new(py, Output(Mutex::default()))?;
        let arguments = PyDict::new(py);
        arguments.set_item("buffer_callback", output.getattr("take")?)?;
        let pickling = pickling(py)?;
        let pickler = pickling.pickler.bind(py);
        let made = pickler.call((&output, pickling.protocol), Some(&arguments))?;
        made.setattr("dispatch_table", reducers)?;
        Ok(Self {
            dump: made.getattr("dump")?.unbind(),
            clear_memo: made.getattr("clear_memo")?.unbind(),
            output: output.unbind(),
        })
    }

    fn dump<'py>(&self, object: &Bound<'py, PyAny>, longest: usize) -> PyResult<Pickled<'py>> {
        let py = object.py();
        let dumped = self.dump.call1(py, (object,));
        let cleared = self.clear_memo.call0(py);
        let written = mem::take(&mut *self.output.get().written());
        dumped.and(cleared)?;
        let Written { first, others, buffers } = written;
        let pieces = match first {
            Some(piece) if others.is_empty() && buffers.is_empty() && piece.as_bytes(py).len() <= longest => {
                return Ok(Pickled::Bytes(piece.into_bound(py)));
            }
            first => PyList::new(py, first.into_iter().chain(others))?,
        };
        let whole = pickling(py)?.whole.call1(py, (pieces, buffers, longest))?;
        Pickled::of(whole.into_bound(py))
    }
}

/// Append the pickle of a simple object to a buffer; false, with nothing appended, when it is no such, or longer than
/// `longest`. It has neither handles nor names of the main module that a receiver may not find.
///
/// # Errors
/// KeyboardInterrupt and the like.
pub fn append_simple(object: &Bound<'_, PyAny>, into: &mut Vec<u8>, longest: usize) -> PyResult<bool> {
    let (py, pickling) = (object.py(), pickling(object.py())?);
    let reducers = pickling.reducers.get();
    let rules = Rules {
        reducers: [reducers.registered.bind(py), reducers.others.bind(py)],
        modules: pickling.modules.bind(py),
        finds_main: FINDS_MAIN.load(Ordering::Relaxed),
    };
    let start = into.len();
    let is_simple = match pickle_simple(object, &rules, into, longest) {
        Err(error) if error.is_instance_of::<PyException>(py) => false, // a pickler says what is wrong, if anything
        simple => simple?,
    };
    if !is_simple {
        into.truncate(start);
    }
    Ok(is_simple)
}

/// The pickle of a simple object, if it is one and that is short.
fn dumps_simple<'py>(object: &Bound<'py, PyAny>, longest: usize) -> PyResult<Option<Pickled<'py>>> {
    let mut bytes = Vec::with_capacity(256);
    let is_simple = append_simple(object, &mut bytes, longest)?;
    Ok(is_simple.then(|| Pickled::Bytes(PyBytes::new(object.py(), &bytes))))
}

/// Pickle an object by name. What has no name in its receiver raises what pickling raises.
///
/// # Errors
/// Those of pickling.
fn dumps_by_name<'py>(object: &Bound<'py, PyAny>, longest: usize) -> PyResult<Pickled<'py>> {
    match dumps_simple(object, longest)? {
        Some(pickled) => Ok(pickled),
        None => dumps_any_by_name(object, longest),
    }
}

/// The same of an object that is not simple.
///
/// # Errors
/// Those of pickling.
pub fn dumps_any_by_name<'py>(object: &Bound<'py, PyAny>, longest: usize) -> PyResult<Pickled<'py>> {
    let py = object.py();
    let own = match OWN.take() {
        Some(own) => own,
        None => Pickler::new(py, pickling(py)?.reducers.bind(py))?,
    };
    let pickled = own.dump(object, longest);
    OWN.set(Some(own));
    pickled
}

/// Whether children find what the main module defines under its name: then pickles need not be looked at.
static FINDS_MAIN: AtomicBool = AtomicBool::new(false);

/// Pickle an object: by name, or by value what cannot be by name.
///
/// # Errors
/// What pickling it by name raises.
pub fn dumps<'py>(object: &Bound<'py, PyAny>, longest: usize) -> PyResult<Pickled<'py>> {
    match dumps_simple(object, longest)? {
        Some(pickled) => Ok(pickled),
        None => dumps_any(object, longest),
    }
}

/// The same of an object that is not simple.
///
/// # Errors
/// What pickling it by name raises.
pub fn dumps_any<'py>(object: &Bound<'py, PyAny>, longest: usize) -> PyResult<Pickled<'py>> {
    let (py, pickling) = (object.py(), pickling(object.py())?);
    let made = match dumps_any_by_name(object, longest) {
        Ok(pickled) if FINDS_MAIN.load(Ordering::Relaxed) => return Ok(pickled),
        Ok(pickled) => pickling
            .found_in_main
            .call1(py, (object, longest, pickled.into_any()))?,
        Err(error) if error.matches(py, &pickling.errors)? => match pickling.by_value.call1(py, (object, longest)) {
            Ok(made) => made,
            Err(second) if second.matches(py, &pickling.errors)? => {
                error.set_cause(py, None);
                return Err(error);
            }
            Err(second) => return Err(second),
        },
        Err(error) => return Err(error),
    };
    Pickled::of(made.into_bound(py))
}

/// Pickle an object by name: bytes, or a Memory when that is longer than `longest` or has large buffers; with other reducers
/// than usual, if any are given. What has no name in its receiver raises what pickling raises.
#[pyfunction]
#[pyo3(name = "dumps_by_name", signature = (obj, longest, reducers=None, /))]
fn dumps_by_name_with<'py>(
    obj: &Bound<'py, PyAny>,
    longest: usize,
    reducers: Option<&Bound<'py, Reducers>>,
) -> PyResult<Bound<'py, PyAny>> {
    let pickled = match reducers {
        None => dumps_by_name(obj, longest)?,
        Some(reducers) => Pickler::new(obj.py(), reducers.as_any())?.dump(obj, longest)?,
    };
    Ok(pickled.into_any())
}

/// Pickle an object: by name, or by value what cannot be by name. Raises what pickling it by name raises.
#[pyfunction]
#[pyo3(name = "dumps", signature = (obj, longest, /))]
fn dumps_either_way<'py>(obj: &Bound<'py, PyAny>, longest: usize) -> PyResult<Bound<'py, PyAny>> {
    Ok(dumps(obj, longest)?.into_any())
}

/// The object that a pickle is of, as one that comes `again` and again, if so.
#[pyfunction]
#[pyo3(signature = (pickle, again=false, /))]
fn loads<'py>(pickle: &Bound<'py, PyBytes>, again: bool) -> PyResult<Bound<'py, PyAny>> {
    let (py, pickling) = (pickle.py(), pickling(pickle.py())?);
    let loads = if again {
        unpickler::loads_again
    } else {
        unpickler::loads
    };
    match loads(py, pickling, pickle.as_bytes())? {
        Some(object) => Ok(object),
        None => pickling.loads_as_ever(pickle),
    }
}

/// Note whether children find what the main module defines under its name.
#[pyfunction]
#[pyo3(signature = (found, /))]
fn note_main(found: bool) {
    FINDS_MAIN.store(found, Ordering::Relaxed);
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Reducers>()?;
    module.add_function(wrap_pyfunction!(dumps_by_name_with, module)?)?;
    module.add_function(wrap_pyfunction!(dumps_either_way, module)?)?;
    module.add_function(wrap_pyfunction!(loads, module)?)?;
    module.add_function(wrap_pyfunction!(note_main, module)?)?;
    Ok(())
}
