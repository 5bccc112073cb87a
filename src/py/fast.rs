//! The hottest methods, as Python's own C code has them: a lock is acquired and released in less time than the general way
//! into a Rust method takes, which converts arguments, keeps accounts and looks twice whose method it is. Attributes that
//! are shared are got and set by C functions for the same reason. And the bytes of a block, as numbers and as the target of a
//! copy.
//!
//! The only file above `sys/` with `unsafe` in it. What is not the fast path (a lock that is not free, arguments by keyword)
//! calls the ordinary method. Each of a lock's functions is a method of a class that is derived from `T`, and Python's method
//! descriptors make sure that `self` is one.

use std::ffi::{c_void, CStr};
use std::mem;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi::{self, PyMethodDef, PyMethodDefPointer, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
use pyo3::PyClass;

use super::attributes;
use super::memory::Memory;
use crate::sys::copying;
use crate::sys::number::Place;

/// A class whose objects are acquired and released.
pub trait Fast: PyClass<Frozen = True> + Sync {
    /// Acquire it, if that can be done at once.
    fn acquire_at_once(&self) -> bool;

    /// Release it, if that can be done without an error.
    fn release_at_once(&self) -> bool;
}

/// Put the fast methods into a class that is derived from `T`.
pub fn add_to_class<T: Fast>(class: &Bound<'_, PyType>) -> PyResult<()> {
    if !class.is_subclass_of::<T>()? {
        return Err(PyRuntimeError::new_err("the class has not got what these methods need"));
    }
    let noargs = ffi::METH_NOARGS;
    let fast = ffi::METH_FASTCALL;
    let with_keywords = PyMethodDefPointer {
        PyCFunctionFastWithKeywords: acquire::<T>,
    };
    let release_method = PyMethodDefPointer {
        PyCFunction: release::<T>,
    };
    let enter_method = PyMethodDefPointer {
        PyCFunction: enter::<T>,
    };
    let exit_method = PyMethodDefPointer {
        PyCFunctionFast: exit::<T>,
    };
    add(class, c"acquire", with_keywords, fast | ffi::METH_KEYWORDS, ACQUIRE)?;
    add(class, c"release", release_method, noargs, RELEASE)?;
    add(class, c"__enter__", enter_method, noargs, ENTER)?;
    add(class, c"__exit__", exit_method, fast, EXIT)
}

const ACQUIRE: &CStr =
    c"acquire($self, block=True, timeout=None)\n--\n\nAcquire it; False when it was not free in time.";
const RELEASE: &CStr = c"release($self)\n--\n\nRelease it.";
const ENTER: &CStr = c"__enter__($self)\n--\n\nAcquire it.";
const EXIT: &CStr = c"__exit__($self, kind=None, value=None, traceback=None, /)\n--\n\nRelease it.";

fn add(
    class: &Bound<'_, PyType>,
    name: &'static CStr,
    method: PyMethodDefPointer,
    flags: i32,
    doc: &'static CStr,
) -> PyResult<()> {
    // Python refers to it as long as the class lives, which is for ever.
    let definition = Box::leak(Box::new(PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: method,
        ml_flags: flags,
        ml_doc: doc.as_ptr(),
    }));
    // SAFETY: a class, and a definition that is never freed, whose flags are those of the function's type.
    let descriptor = unsafe { ffi::PyDescr_NewMethod(class.as_type_ptr(), definition) };
    // SAFETY: a new reference, or null with an exception set.
    let descriptor = unsafe { Bound::from_owned_ptr_or_err(class.py(), descriptor) }?;
    class.setattr(name.to_str().unwrap_or_default(), descriptor)
}

/// The object behind `self`.
///
/// # Safety
/// `slf` is an object of a class derived from `T`, and lives as long as the call.
#[inline]
unsafe fn object<'call, T: Fast>(py: Python<'call>, slf: *mut PyObject) -> Borrowed<'call, 'call, T> {
    // SAFETY: not null, by the caller's promise.
    let any = unsafe { Borrowed::from_ptr(py, slf) };
    // SAFETY: of that class, by the caller's promise.
    unsafe { any.cast_unchecked() }
}

unsafe extern "C" fn acquire<T: Fast>(
    slf: *mut PyObject,
    arguments: *const *mut PyObject,
    number: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: Python calls this with the GIL held.
    let py = unsafe { Python::assume_attached() };
    if number == 0 && keywords.is_null() {
        // SAFETY: a method descriptor of a class derived from T has looked at `self`.
        if unsafe { object::<T>(py, slf) }.get().acquire_at_once() {
            return truth();
        }
    }
    // SAFETY: the arguments are what the calling convention says.
    unsafe { ordinary::<T>(py, slf, "acquire", arguments, number, keywords) }
}

unsafe extern "C" fn enter<T: Fast>(slf: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: Python calls this with the GIL held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: a method descriptor of a class derived from T has looked at `self`.
    if unsafe { object::<T>(py, slf) }.get().acquire_at_once() {
        return truth();
    }
    // SAFETY: no arguments.
    unsafe { ordinary::<T>(py, slf, "acquire", ptr::null(), 0, ptr::null_mut()) }
}

unsafe extern "C" fn release<T: Fast>(slf: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: Python calls this with the GIL held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: a method descriptor of a class derived from T has looked at `self`.
    if unsafe { object::<T>(py, slf) }.get().release_at_once() {
        return none();
    }
    // SAFETY: no arguments.
    unsafe { ordinary::<T>(py, slf, "release", ptr::null(), 0, ptr::null_mut()) }
}

unsafe extern "C" fn exit<T: Fast>(slf: *mut PyObject, _: *mut *mut PyObject, _: Py_ssize_t) -> *mut PyObject {
    // SAFETY: what is handed on is what this was handed.
    unsafe { release::<T>(slf, ptr::null_mut()) }
}

/// Call the ordinary method of a name, in what a panic is an exception.
///
/// # Safety
/// `slf` as for `object`; the rest as for a function of METH_FASTCALL | METH_KEYWORDS.
#[cold]
unsafe fn ordinary<T: Fast>(
    py: Python<'_>,
    slf: *mut PyObject,
    name: &str,
    arguments: *const *mut PyObject,
    number: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    let call = || -> PyResult<Bound<'_, PyAny>> {
        let argument = |index: usize| {
            // SAFETY: there are `number` arguments, and behind them those of the keywords.
            let place = unsafe { arguments.add(index) };
            // SAFETY: as above.
            let argument = unsafe { *place };
            // SAFETY: an object that lives through the call.
            unsafe { Bound::from_borrowed_ptr(py, argument) }
        };
        let number = usize::try_from(number).unwrap_or(0);
        // SAFETY: an object that lives through the call.
        let mut positional = vec![unsafe { Bound::from_borrowed_ptr(py, slf) }];
        positional.extend((0..number).map(argument));
        let named = PyDict::new(py);
        // SAFETY: null, or a tuple of names that lives through the call.
        if let Some(names) = unsafe { Bound::from_borrowed_ptr_or_opt(py, keywords) } {
            for (index, name) in names.cast::<PyTuple>()?.iter().enumerate() {
                named.set_item(name, argument(number + index))?;
            }
        }
        let method = py.get_type::<T>().getattr(name)?;
        method.call(PyTuple::new(py, positional)?, Some(&named))
    };
    answer(py, call)
}

/// What Python is told of a call: what it returned, or null with an exception set; a panic is one, too.
fn answer<'py>(py: Python<'py>, call: impl FnOnce() -> PyResult<Bound<'py, PyAny>>) -> *mut PyObject {
    let result = catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(PyRuntimeError::new_err("a call into allcores panicked")));
    match result {
        Ok(value) => value.into_ptr(),
        Err(error) => {
            error.restore(py);
            ptr::null_mut()
        }
    }
}

/// Put the methods by which attributes are got and set into a class of any objects (`attributes`).
pub fn add_attribute_methods(class: &Bound<'_, PyType>) -> PyResult<()> {
    let get = PyMethodDefPointer {
        PyCFunction: get_attribute,
    };
    let set = PyMethodDefPointer {
        PyCFunctionFast: set_attribute,
    };
    add(class, c"__getattribute__", get, ffi::METH_O, GET_ATTRIBUTE)?;
    add(class, c"__setattr__", set, ffi::METH_FASTCALL, SET_ATTRIBUTE)
}

const GET_ATTRIBUTE: &CStr = c"__getattribute__($self, name, /)\n--\n\nReturn an attribute.";
const SET_ATTRIBUTE: &CStr = c"__setattr__($self, name, value, /)\n--\n\nHave an attribute.";

unsafe extern "C" fn get_attribute(slf: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: Python calls this with the GIL held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: an object that lives through the call.
    let object = unsafe { Borrowed::from_ptr(py, slf) };
    // SAFETY: as above.
    let name = unsafe { Borrowed::from_ptr(py, name) };
    answer(py, || attributes::get(&object, &name))
}

unsafe extern "C" fn set_attribute(
    slf: *mut PyObject,
    arguments: *mut *mut PyObject,
    number: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: Python calls this with the GIL held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: an object that lives through the call.
    let object = unsafe { Borrowed::from_ptr(py, slf) };
    let argument = |index: usize| {
        // SAFETY: there are two, as was looked at.
        let place = unsafe { arguments.add(index) };
        // SAFETY: as above.
        let argument = unsafe { *place };
        // SAFETY: an object that lives through the call.
        unsafe { Borrowed::from_ptr(py, argument) }
    };
    answer(py, || {
        if number != 2 {
            return Err(PyTypeError::new_err("expected 2 arguments")); // as object's
        }
        attributes::set(&object, &argument(0), &argument(1))?;
        Ok(py.None().into_bound(py))
    })
}

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

fn truth() -> *mut PyObject {
    // SAFETY: the GIL is held.
    let object = unsafe { ffi::Py_True() };
    // SAFETY: as above.
    unsafe { ffi::Py_INCREF(object) };
    object
}

fn none() -> *mut PyObject {
    // SAFETY: the GIL is held.
    let object = unsafe { ffi::Py_None() };
    // SAFETY: as above.
    unsafe { ffi::Py_INCREF(object) };
    object
}
