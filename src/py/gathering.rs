//! The handles in what a thread pickles: kept beside the pickle, or by who sends them.

use std::cell::{Cell, RefCell};
use std::mem;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::memory::Memory;
use super::messages::pickling;
use super::pickler::Pickled;

/// Of what a thread pickles, which handles are kept beside the pickle.
#[derive(Default)]
enum Gathering {
    /// None: who sends them keeps them.
    #[default]
    Nothing,
    /// All; there was none yet.
    Begun,
    /// By the addresses of what they are to.
    Handles(Py<PyDict>),
}

thread_local! {
    static GATHERING: RefCell<Gathering> = const { RefCell::new(Gathering::Nothing) };
    /// Whether the pickle is kept where any number of processes may read it.
    static IS_FOR_ALL: Cell<bool> = const { Cell::new(false) };
}

/// What this thread gathered before, for when it goes on with that.
struct Before(Gathering, bool);

impl Before {
    fn replaced(gathering: Gathering, is_for_all: bool) -> Self {
        Self(GATHERING.replace(gathering), IS_FOR_ALL.replace(is_for_all))
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        // Dropped is what was there when nobody borrows it: that may run Python.
        drop(GATHERING.replace(mem::take(&mut self.0)));
        IS_FOR_ALL.set(self.1);
    }
}

/// Call something that pickles, for one reader or for all; what it returns, and the handles in it, by their addresses.
fn gathered<'py, T>(
    py: Python<'py>,
    is_for_all: bool,
    call: impl FnOnce() -> PyResult<T>,
) -> PyResult<(T, Option<Bound<'py, PyDict>>)> {
    let before = Before::replaced(Gathering::Begun, is_for_all);
    let made = call();
    let found = GATHERING.take();
    drop(before);
    Ok((
        made?,
        match found {
            Gathering::Handles(handles) => Some(handles.into_bound(py)),
            Gathering::Nothing | Gathering::Begun => None,
        },
    ))
}

/// Have a pickle that a function makes live together with what the handles in it are to, which this process would keep
/// otherwise: for one reader; or for all, who may read it any number of times.
///
/// # Errors
/// Those of pickling; HandleError for a handle of another session.
pub fn with_handles<'py>(
    py: Python<'py>,
    is_for_all: bool,
    dumps: impl FnOnce() -> PyResult<Pickled<'py>>,
) -> PyResult<Pickled<'py>> {
    let (pickled, handles) = gathered(py, is_for_all, dumps)?;
    let Some(handles) = handles else { return Ok(pickled) };
    let memory = match pickled {
        Pickled::Block(memory) => memory,
        Pickled::Bytes(bytes) => {
            let whole = pickling(py)?.whole.call1(py, (PyList::new(py, [bytes])?, (), 0))?;
            whole.into_bound(py).cast_into::<Memory>()?
        }
    };
    memory.get().keep(py, &handles)?;
    Ok(Pickled::Block(memory))
}

/// The handles that are kept beside what this thread pickles just now, by the addresses of what they are to; None where
/// who sends a handle keeps what it is to.
#[pyfunction]
fn gathering(py: Python<'_>) -> Option<Bound<'_, PyDict>> {
    if GATHERING.with_borrow(|gathering| matches!(gathering, Gathering::Begun)) {
        let handles = PyDict::new(py).unbind(); // while nobody borrows it: the garbage collector may run Python
        GATHERING.replace(Gathering::Handles(handles));
    }
    GATHERING.with_borrow(|gathering| match gathering {
        Gathering::Handles(handles) => Some(handles.bind(py).clone()),
        Gathering::Nothing | Gathering::Begun => None,
    })
}

/// Whether what this thread pickles just now is kept where any number of processes may read it.
#[pyfunction]
fn is_pickled_for_all() -> bool {
    IS_FOR_ALL.get()
}

/// Have a pickle that a function makes, bytes or a Memory, live together with what the handles in it are to: then it is a
/// Memory.
#[pyfunction]
#[pyo3(name = "with_handles", signature = (dumps, /))]
fn pickled_with_handles<'py>(dumps: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let pickled = with_handles(dumps.py(), false, || Pickled::of(dumps.call0()?))?;
    Ok(pickled.into_any())
}

/// Call something that pickles, and return what it returns; the handles in it are nobody's.
#[pyfunction]
#[pyo3(signature = (call, /))]
fn without_handles<'py>(call: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    Ok(gathered(call.py(), true, || call.call0())?.0)
}

/// Call something that pickles for somebody else than this thread does just now, if it does.
#[pyfunction]
#[pyo3(signature = (call, /))]
fn without_gathering<'py>(call: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let _before = Before::replaced(Gathering::Nothing, false);
    call.call0()
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(gathering, module)?)?;
    module.add_function(wrap_pyfunction!(is_pickled_for_all, module)?)?;
    module.add_function(wrap_pyfunction!(pickled_with_handles, module)?)?;
    module.add_function(wrap_pyfunction!(without_handles, module)?)?;
    module.add_function(wrap_pyfunction!(without_gathering, module)?)?;
    Ok(())
}
