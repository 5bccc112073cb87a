//! What is put into a queue and got.

use std::ffi::CStr;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{self, PyMethodDefPointer, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyType};

use super::arguments::{given, seconds, Given};
use super::{add, answer, check_derived, none, object, ordinary, ordinary_method, panicked, wrong};
use crate::py::channel::Channel;
use crate::py::kept::Values;
use crate::py::sides::IsSet;

/// Put the fast methods into a class that is derived from Channel.
pub fn add_channel_methods(class: &Bound<'_, PyType>) -> PyResult<()> {
    check_derived::<Channel>(class)?;
    let flags = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    let put_method = PyMethodDefPointer {
        PyCFunctionFastWithKeywords: put,
    };
    let get_method = PyMethodDefPointer {
        PyCFunctionFastWithKeywords: get,
    };
    let put_object_method = PyMethodDefPointer {
        PyCFunctionFastWithKeywords: put_object,
    };
    let get_object_method = PyMethodDefPointer {
        PyCFunctionFastWithKeywords: get_object,
    };
    add(class, c"put", put_method, flags, PUT)?;
    add(class, c"get", get_method, flags, GET)?;
    add(class, c"_put_object", put_object_method, flags, PUT_OBJECT)?;
    add(class, c"_get_object", get_object_method, flags, GET_OBJECT)
}

const PUT: &CStr =
    c"put($self, obj, block=True, timeout=None)\n--\n\nPut an object; queue.Full when there was no room in time.";
const GET: &CStr =
    c"get($self, block=True, timeout=None)\n--\n\nGet an object; queue.Empty when there was none in time.";
const PUT_OBJECT: &CStr = c"_put_object($self, obj)\n--\n\nPut an object.";
const GET_OBJECT: &CStr = c"_get_object($self)\n--\n\nGet an object; wait until there is one.";

unsafe extern "C" fn put(
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    number: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: Python calls this with the GIL held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the arguments are what the calling convention says.
    let given = unsafe { given(py, ["obj", "block", "timeout"], arguments, number, keywords) };
    if let Some([Some(obj), block, timeout]) = given {
        if seconds(block, timeout).is_some() {
            // SAFETY: a method descriptor of a class derived from Channel has looked at `self`.
            let channel = unsafe { object::<Channel>(py, slf) };
            return put_into(channel, obj, block, timeout);
        }
    }
    // SAFETY: as above.
    unsafe { ordinary::<Channel>(py, slf, "put", arguments, number, keywords) }
}

unsafe extern "C" fn put_object(
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    number: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: Python calls this with the GIL held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the arguments are what the calling convention says.
    let given = unsafe { given(py, ["obj"], arguments, number, keywords) };
    let Some([Some(obj)]) = given else {
        return wrong(&py.get_type::<PyTypeError>(), c"put() takes one argument, the object");
    };
    // SAFETY: a method descriptor of a class derived from Channel has looked at `self`.
    let channel = unsafe { object::<Channel>(py, slf) };
    put_into(channel, obj, None, None)
}

/// Put an object, with arguments that are known to be right.
#[inline(always)]
fn put_into<'call>(
    channel: Borrowed<'call, 'call, Channel>,
    obj: Borrowed<'call, 'call, PyAny>,
    block: Given<'call>,
    timeout: Given<'call>,
) -> *mut PyObject {
    let py = channel.py();
    match catch_unwind(AssertUnwindSafe(|| channel.get().put_at_once(&obj))) {
        Ok(true) => none(),
        Ok(false) => answer(py, || {
            let method = of_channel(py, "put")?;
            let (block, timeout) = in_full(py, block, timeout);
            method.call1((channel, obj, block, timeout))
        }),
        Err(_) => panicked(py),
    }
}

unsafe extern "C" fn get(
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    number: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: Python calls this with the GIL held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the arguments are what the calling convention says.
    let given = unsafe { given(py, ["block", "timeout"], arguments, number, keywords) };
    let waits = given.and_then(|[block, timeout]| Some((block, timeout, seconds(block, timeout)?)));
    if let Some((block, timeout, seconds)) = waits {
        // SAFETY: a method descriptor of a class derived from Channel has looked at `self`.
        let channel = unsafe { object::<Channel>(py, slf) };
        return get_from(channel, block, timeout, seconds);
    }
    // SAFETY: as above.
    unsafe { ordinary::<Channel>(py, slf, "get", arguments, number, keywords) }
}

unsafe extern "C" fn get_object(
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    number: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: Python calls this with the GIL held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the arguments are what the calling convention says.
    if unsafe { given(py, [], arguments, number, keywords) }.is_none() {
        return wrong(&py.get_type::<PyTypeError>(), c"get() takes no arguments");
    }
    // SAFETY: a method descriptor of a class derived from Channel has looked at `self`.
    let channel = unsafe { object::<Channel>(py, slf) };
    get_from(channel, None, None, None)
}

/// Get an object, with arguments that are known to be right and mean so many seconds.
#[inline(always)]
fn get_from<'call>(
    channel: Borrowed<'call, 'call, Channel>,
    block: Given<'call>,
    timeout: Given<'call>,
    seconds: Option<f64>,
) -> *mut PyObject {
    let py = channel.py();
    match catch_unwind(AssertUnwindSafe(|| channel.get().get_at_once(py, seconds))) {
        Ok(None) => answer(py, || {
            let method = of_channel(py, "get")?;
            let (block, timeout) = in_full(py, block, timeout);
            method.call1((channel, block, timeout))
        }),
        Ok(Some(Ok(object))) => object.into_ptr(),
        Ok(Some(Err(IsSet))) => ptr::null_mut(),
        Err(_) => panicked(py),
    }
}

/// `ordinary_method` of Channel, kept: who looks again and again whether there is something comes here each time.
fn of_channel<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static METHODS: Values<Py<PyAny>> = Values::none();

    METHODS.find_or_make(py, name.as_bytes(), || ordinary_method::<Channel>(py, name))
}

/// Both arguments, with what each is when it is not given.
fn in_full<'py>(py: Python<'py>, block: Given<'py>, timeout: Given<'py>) -> (Bound<'py, PyAny>, Bound<'py, PyAny>) {
    let yes = || PyBool::new(py, true).to_owned().into_any();
    let none = || py.None().into_bound(py);
    (
        block.map_or_else(yes, |block| block.to_owned()),
        timeout.map_or_else(none, |timeout| timeout.to_owned()),
    )
}
