//! The arguments of a call of the kind METH_FASTCALL | METH_KEYWORDS. What is wrong with them is for the ordinary method to say.

use pyo3::ffi::{PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyTuple};

/// An argument, if it is given.
pub type Given<'call> = Option<Borrowed<'call, 'call, PyAny>>;

/// What is given for parameters of these names, in their order; `None` for a call that is wrong.
///
/// # Safety
/// `arguments` and `keywords` are what Python calls such a function with, and live as long as the call.
#[inline]
pub unsafe fn given<'call, const N: usize>(
    py: Python<'call>,
    names: [&str; N],
    arguments: *const *mut PyObject,
    number: Py_ssize_t,
    keywords: *mut PyObject,
) -> Option<[Given<'call>; N]> {
    let mut given = [None; N];
    let argument = |index: usize| {
        // SAFETY: below the number of arguments, behind which are those of the keywords.
        let place = unsafe { arguments.add(index) };
        // SAFETY: as above.
        let argument = unsafe { *place };
        // SAFETY: an object that lives as long as the call.
        unsafe { Borrowed::from_ptr(py, argument) }
    };
    let number = usize::try_from(number).ok()?;
    for index in 0..number {
        *given.get_mut(index)? = Some(argument(index));
    }
    if keywords.is_null() {
        return Some(given);
    }
    // SAFETY: not null: a tuple of names that lives as long as the call.
    let keywords = unsafe { Borrowed::from_ptr(py, keywords) };
    let keywords = keywords.cast::<PyTuple>().ok()?;
    for (index, name) in keywords.iter_borrowed().enumerate() {
        let name = name.cast::<PyString>().ok()?;
        let name = name.to_str().ok()?;
        let place = names.iter().position(|known| *known == name)?;
        let before = given[place].replace(argument(number + index));
        if before.is_some() {
            return None;
        }
    }
    Some(given)
}

/// Whether to wait at all, by an argument of a usual class.
#[inline]
pub fn waits(block: Given<'_>) -> bool {
    block.is_none_or(|block| block.is_truthy().unwrap_or(true))
}

/// How long to wait, in seconds, by the usual two parameters; `None` where they are not of the usual classes.
#[inline]
pub fn seconds(block: Given<'_>, timeout: Given<'_>) -> Option<Option<f64>> {
    if let Some(block) = block {
        if !(block.is_exact_instance_of::<PyBool>() || block.is_exact_instance_of::<PyInt>()) {
            return None; // its truth may run Python
        }
        if !waits(Some(block)) {
            return timeout.is_none_or(|timeout| timeout.is_none()).then_some(Some(0.0));
        }
    }
    let Some(timeout) = timeout.filter(|timeout| !timeout.is_none()) else {
        return Some(None);
    };
    if let Ok(seconds) = timeout.cast_exact::<PyFloat>() {
        return Some(Some(seconds.value()));
    }
    timeout.cast_exact::<PyInt>().ok()?.extract().ok().map(Some)
}
