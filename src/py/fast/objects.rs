//! What Python's C interface does with objects and PyO3 has no safe function for; and the bytes of the arena as objects, as
//! numbers, and as the target of a copy.

use std::ffi::c_void;
use std::{mem, ptr};

use pyo3::buffer::PyBuffer;
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use crate::py::memory::Memory;
use crate::sys::copying;
use crate::sys::number::Place;
use crate::sys::shared::SharedFile;

/// An attribute as `object` has it.
///
/// # Errors
/// AttributeError; those of a descriptor.
pub fn own<'py>(object: &Bound<'py, PyAny>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: two objects; what is no string is an error.
    let found = unsafe { ffi::PyObject_GenericGetAttr(object.as_ptr(), name.as_ptr()) };
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(object.py(), found) }
}

/// Have an attribute as `object` has it.
///
/// # Errors
/// As above.
pub fn set_own(object: &Bound<'_, PyAny>, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: three objects; a name that is no string is an error.
    let failed = unsafe { ffi::PyObject_GenericSetAttr(object.as_ptr(), name.as_ptr(), value.as_ptr()) };
    if failed != 0 {
        return Err(PyErr::fetch(object.py()));
    }
    Ok(())
}

/// Have an error be no more at once. In a function that Python calls itself, PyO3 would keep it, and all that its traceback
/// leads to, for a time when it knows that the GIL is held.
pub fn forget(py: Python<'_>, error: PyErr) {
    error.restore(py);
    // SAFETY: the GIL is held.
    unsafe { ffi::PyErr_Clear() };
}

/// Copy a buffer to a block, from `at` bytes on; false, and nothing is copied, where it does not fit.
pub fn fill(memory: &Memory, at: u64, buffer: &PyBuffer<u8>) -> bool {
    let Some((start, size)) = memory.to_write() else {
        return false;
    };
    let length = buffer.len_bytes();
    let there = start.wrapping_add(at as usize);
    let fits = at.checked_add(length as u64).is_some_and(|end| end <= size);
    let is_apart = (buffer.buf_ptr() as usize).abs_diff(there) >= length;
    if !fits || !is_apart || !buffer.is_c_contiguous() {
        return false;
    }
    // SAFETY: `buffer` has its bytes as long as it lives, in one piece. `memory` has as many from `at` on, mapped to be
    // written for as long as it lives; to the program they are bytes and nothing else. The two do not overlap in this
    // process; two mappings of one range, as a program may have, only garble bytes.
    unsafe { copying::copy(buffer.buf_ptr().cast(), there as *mut u8, length) };
    true
}

/// A module that has been imported.
pub fn imported<'py>(name: &Bound<'py, PyString>) -> Option<Bound<'py, PyAny>> {
    let py = name.py();
    // SAFETY: a string.
    let module = unsafe { ffi::PyImport_GetModule(name.as_ptr()) };
    // SAFETY: a new reference, or null, with an exception set or not.
    let module = unsafe { Bound::from_owned_ptr_or_opt(py, module) };
    if module.is_none() {
        // SAFETY: the GIL is held.
        unsafe { ffi::PyErr_Clear() };
    }
    module
}

/// The number of the interpreter that calls.
pub fn interpreter(_: Python<'_>) -> i64 {
    // SAFETY: a thread of an interpreter calls, as the token says.
    let state = unsafe { ffi::PyInterpreterState_Get() };
    // SAFETY: that interpreter's, not null.
    unsafe { ffi::PyInterpreterState_GetID(state) }
}

/// An int. PyO3's own way panics for want of memory, as those of the following do.
///
/// # Errors
/// MemoryError.
#[inline(always)]
pub fn new_int(py: Python<'_>, value: i64) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: the GIL is held.
    let object = unsafe { ffi::PyLong_FromLongLong(value) };
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, object) }
}

/// A float.
///
/// # Errors
/// MemoryError.
#[inline(always)]
pub fn new_float(py: Python<'_>, value: f64) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: the GIL is held.
    let object = unsafe { ffi::PyFloat_FromDouble(value) };
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, object) }
}

/// A bytes object.
///
/// # Errors
/// MemoryError.
#[inline(always)]
pub fn new_bytes<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: so many bytes are copied from there.
    let object = unsafe { ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as Py_ssize_t) };
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, object) }
}

/// An empty dict.
///
/// # Errors
/// MemoryError.
#[inline(always)]
pub fn new_dict(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    // SAFETY: the GIL is held.
    let object = unsafe { ffi::PyDict_New() };
    // SAFETY: a new reference, or null with an exception set.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
    // SAFETY: a dict.
    Ok(unsafe { object.cast_into_unchecked() })
}

/// A tuple.
///
/// # Errors
/// MemoryError; those of the items.
#[inline(always)]
pub fn new_tuple<'py>(
    py: Python<'py>,
    items: impl ExactSizeIterator<Item = PyResult<Bound<'py, PyAny>>>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the GIL is held.
    let made = unsafe { ffi::PyTuple_New(items.len() as Py_ssize_t) };
    // SAFETY: a new reference, or null with an exception set.
    let made = unsafe { Bound::from_owned_ptr_or_err(py, made) }?;
    for (place, item) in items.enumerate() {
        // SAFETY: a tuple that nobody else has; the reference becomes its; a place that it has not is an error.
        let failed = unsafe { ffi::PyTuple_SetItem(made.as_ptr(), place as Py_ssize_t, item?.into_ptr()) };
        if failed != 0 {
            return Err(PyErr::fetch(py));
        }
    }
    Ok(made)
}

/// A list.
///
/// # Errors
/// As above.
#[inline(always)]
pub fn new_list<'py>(
    py: Python<'py>,
    items: impl ExactSizeIterator<Item = PyResult<Bound<'py, PyAny>>>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the GIL is held.
    let made = unsafe { ffi::PyList_New(items.len() as Py_ssize_t) };
    // SAFETY: a new reference, or null with an exception set.
    let made = unsafe { Bound::from_owned_ptr_or_err(py, made) }?;
    for (place, item) in items.enumerate() {
        // SAFETY: a list; the reference becomes its; a place that it has not is an error.
        let failed = unsafe { ffi::PyList_SetItem(made.as_ptr(), place as Py_ssize_t, item?.into_ptr()) };
        if failed != 0 {
            return Err(PyErr::fetch(py));
        }
    }
    Ok(made)
}

/// A bytes object that is not filled yet: nobody sees it before.
pub struct BlankBytes<'py> {
    object: Bound<'py, PyAny>,
    length: usize,
}

impl<'py> BlankBytes<'py> {
    /// One of so many bytes; `None` when there is no memory for it.
    pub fn new(py: Python<'py>, length: usize) -> Option<Self> {
        // SAFETY: null has bytes made that are not filled; a length that is none is an error.
        let object = unsafe { ffi::PyBytes_FromStringAndSize(ptr::null(), length as Py_ssize_t) };
        if object.is_null() {
            forget(py, PyErr::fetch(py)); // MemoryError
            return None;
        }
        // SAFETY: a new reference, not null.
        let object = unsafe { Bound::from_owned_ptr(py, object) };
        Some(Self { object, length })
    }

    pub fn length(&self) -> usize {
        self.length
    }

    /// The object, with the bytes that lie at an offset; `None` when they do not lie in one window. Neither allocates nor runs
    /// Python.
    pub fn filled(self, file: &SharedFile, offset: u64) -> Option<Bound<'py, PyAny>> {
        let from = file.bytes(offset, self.length as u64, true).ok()?;
        // SAFETY: a bytes object.
        let to = unsafe { ffi::PyBytes_AsString(self.object.as_ptr()) };
        // SAFETY: as many bytes lie at `from`, in a window that is never unmapped, and at `to`, in an object that nobody else has
        // seen. Who writes the former at the same time, which a lock keeps all from who know what they do, garbles bytes and
        // nothing else: nobody has a reference to them.
        unsafe { ptr::copy_nonoverlapping(from.cast_const(), to.cast(), self.length) };
        Some(self.object)
    }
}

/// The place of a number of so many bytes, `at` bytes from a block's beginning; `None` where there is none.
pub fn place_in(memory: &Memory, at: u64, bytes: usize) -> Option<Place<'_>> {
    let (start, size) = memory.to_write()?;
    if at.checked_add(bytes as u64)? > size {
        return None;
    }
    // SAFETY: `memory` has these bytes, mapped to be written for as long as it lives; to the program they are bytes and
    // nothing else.
    unsafe { Place::at(start + at as usize, bytes) }
}

/// An object as a class makes it before it is initialized, `None` when it makes none.
///
/// # Errors
/// Those of the class.
pub fn made_by_class<'py>(
    class: &Bound<'py, PyType>,
    arguments: &Bound<'py, PyTuple>,
    keywords: Option<&Bound<'py, PyDict>>,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    // SAFETY: a class, and a slot that there is.
    let new = unsafe { ffi::PyType_GetSlot(class.as_type_ptr(), ffi::Py_tp_new) };
    if new.is_null() {
        return None;
    }
    // SAFETY: what is in this slot, unless it is null, is such a function.
    let new = unsafe { mem::transmute::<*mut c_void, ffi::newfunc>(new) };
    let keywords = keywords.map_or(ptr::null_mut(), |keywords| keywords.as_ptr());
    // SAFETY: a class that has this slot; a tuple; a dict, or null. They live through the call.
    let made = unsafe { new(class.as_type_ptr(), arguments.as_ptr(), keywords) };
    // SAFETY: a new reference, or null with an exception set.
    Some(unsafe { Bound::from_owned_ptr_or_err(class.py(), made) })
}

/// The function that looks attributes of a class's objects up, as a number to compare.
pub fn lookup(class: &Bound<'_, PyType>) -> usize {
    // SAFETY: a class, and a slot that there is.
    unsafe { ffi::PyType_GetSlot(class.as_type_ptr(), ffi::Py_tp_getattro) as usize }
}

/// What a function returns that is called with three arguments: without a tuple of them.
///
/// # Errors
/// Those of the function.
pub fn call_with_three<'py>(
    function: &Bound<'py, PyAny>,
    [one, two, three]: [&Bound<'py, PyAny>; 3],
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: objects, and null behind the last one.
    let returned = unsafe {
        ffi::PyObject_CallFunctionObjArgs(
            function.as_ptr(),
            one.as_ptr(),
            two.as_ptr(),
            three.as_ptr(),
            ptr::null_mut::<PyObject>(),
        )
    };
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(function.py(), returned) }
}

/// The one string of this text that names of attributes are.
pub fn interned(name: Bound<'_, PyString>) -> Bound<'_, PyString> {
    let py = name.py();
    let mut object = name.into_ptr();
    // SAFETY: a reference to a string, which is replaced by one to a string.
    unsafe { ffi::PyUnicode_InternInPlace(&raw mut object) };
    // SAFETY: a new reference, not null.
    let object = unsafe { Bound::from_owned_ptr(py, object) };
    // SAFETY: a string, as before.
    unsafe { object.cast_into_unchecked() }
}
