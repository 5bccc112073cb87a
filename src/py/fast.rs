//! The hottest methods, as Python's own C code has them: a lock is acquired and released in less time than the general way
//! into a Rust method takes, which converts arguments, keeps accounts and looks twice whose method it is. So is what is put into
//! a queue and got, and attributes that are shared.
//!
//! With `fast/` the only place above `sys/` with `unsafe` in it. What is not the fast path (a lock that is not free, an object
//! that is pickled, a wrong argument) calls the ordinary method. Each of these functions is a method of a class that is
//! derived from `T`, and Python's method descriptors make sure that `self` is one.
//!
//! PyO3 keeps no account of these calls. So what they run drops no `Py`, which PyO3 would keep until the next call of which it
//! does: but for those of an error, after which either the ordinary method is called, or the program has it.

mod arguments;
mod channels;
mod objects;
mod with_gil;

use std::ffi::CStr;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi::{self, PyMethodDef, PyMethodDefPointer, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::{PyString, PyTuple, PyType};
use pyo3::{PyClass, PyTypeInfo};

use super::attributes;
use arguments::{given, seconds, waits};

pub use channels::add_channel_methods;
pub use objects::{
    call_with_three, fill, forget, imported, interned, interpreter, lookup, made_by_class, new_bytes, new_dict,
    new_float, new_int, new_list, new_tuple, own, place_in, set_own, BlankBytes,
};
pub use with_gil::WithGil;

/// A class whose objects are acquired and released.
pub trait Fast: PyClass<Frozen = True> + Sync {
    /// Acquire it, if that can be done at once; whether it was, `None` where the ordinary method has to be asked.
    fn acquire_at_once(&self) -> Option<bool>;

    /// Release it, if that can be done without an error.
    fn release_at_once(&self) -> bool;
}

/// Put the fast methods into a class that is derived from `T`.
pub fn add_to_class<T: Fast>(class: &Bound<'_, PyType>) -> PyResult<()> {
    check_derived::<T>(class)?;
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

/// Make sure that a class is derived from `T`, which its methods need.
fn check_derived<T: PyTypeInfo>(class: &Bound<'_, PyType>) -> PyResult<()> {
    if class.is_subclass_of::<T>()? {
        Ok(())
    } else {
        Err(PyRuntimeError::new_err("the class has not got what these methods need"))
    }
}

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
unsafe fn object<'call, T: PyClass<Frozen = True> + Sync>(
    py: Python<'call>,
    slf: *mut PyObject,
) -> Borrowed<'call, 'call, T> {
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
    // SAFETY: the arguments are what the calling convention says.
    let given = unsafe { given(py, ["block", "timeout"], arguments, number, keywords) };
    let right = given.filter(|[block, timeout]| seconds(*block, *timeout).is_some());
    if let Some([block, _]) = right {
        // SAFETY: a method descriptor of a class derived from T has looked at `self`.
        let acquired = unsafe { object::<T>(py, slf) }.get().acquire_at_once();
        match acquired {
            Some(true) => return truth(true),
            Some(false) if !waits(block) => return truth(false),
            _ => {}
        }
    }
    // SAFETY: as above.
    unsafe { ordinary::<T>(py, slf, "acquire", arguments, number, keywords) }
}

unsafe extern "C" fn enter<T: Fast>(slf: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: Python calls this with the GIL held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: a method descriptor of a class derived from T has looked at `self`.
    if unsafe { object::<T>(py, slf) }.get().acquire_at_once() == Some(true) {
        return truth(true);
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

unsafe extern "C" fn exit<T: Fast>(slf: *mut PyObject, _: *mut *mut PyObject, number: Py_ssize_t) -> *mut PyObject {
    if number > 3 {
        // SAFETY: Python calls this with the GIL held.
        let py = unsafe { Python::assume_attached() };
        return wrong(&py.get_type::<PyTypeError>(), c"__exit__ expected at most 3 arguments");
    }
    // SAFETY: what is handed on is what this was handed.
    unsafe { release::<T>(slf, ptr::null_mut()) }
}

/// The ordinary method of a name, of which PyO3 keeps account. Looked up each time: what PyO3 makes once it makes with a lock,
/// which a fork in another thread may leave locked.
fn ordinary_method<'py, T: PyClass>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.get_type::<T>().getattr(PyString::from_bytes(py, name.as_bytes())?)
}

/// Call the ordinary method of a name, in what a panic is an exception.
///
/// # Safety
/// `slf` as for `object`; the rest as for a function of METH_FASTCALL | METH_KEYWORDS.
#[cold]
unsafe fn ordinary<T: PyClass>(
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
        let named = new_dict(py)?;
        // SAFETY: null, or a tuple of names that lives through the call.
        if let Some(names) = unsafe { Bound::from_borrowed_ptr_or_opt(py, keywords) } {
            for (index, name) in names.cast::<PyTuple>()?.iter().enumerate() {
                named.set_item(name, argument(number + index))?;
            }
        }
        let method = ordinary_method::<T>(py, name)?;
        let positional = new_tuple(py, positional.into_iter().map(Ok))?;
        let result = method.call(positional.cast::<PyTuple>()?, Some(&named));
        result.map_err(|error| as_programs_know(py, error))
    };
    answer(py, call)
}

/// Let an error about a call's arguments name the class that programs know: a channel is what a queue of theirs is made of.
fn as_programs_know(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.get_type(py).is(py.get_type::<PyTypeError>()) {
        return error; // its text may be made by a program's own code
    }
    let text = error.value(py).str().and_then(|text| text.extract::<String>());
    match text.as_deref().map(|text| text.strip_prefix("Channel.")) {
        Ok(Some(rest)) => PyTypeError::new_err(format!("Queue.{rest}")),
        _ => error,
    }
}

/// What Python is told of a call: what it returned, or null with an exception set; a panic is one, too.
fn answer<'py>(py: Python<'py>, call: impl FnOnce() -> PyResult<Bound<'py, PyAny>>) -> *mut PyObject {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => value.into_ptr(),
        Ok(Err(error)) => raised(py, error),
        Err(_) => panicked(py),
    }
}

/// Have an exception be set. Where there is no memory to make it, MemoryError is, which Python has ready.
fn raised(py: Python<'_>, error: PyErr) -> *mut PyObject {
    if catch_unwind(AssertUnwindSafe(|| error.restore(py))).is_err() {
        // SAFETY: the GIL is held.
        unsafe { ffi::PyErr_NoMemory() };
    }
    ptr::null_mut()
}

#[cold]
fn panicked(py: Python<'_>) -> *mut PyObject {
    wrong(&py.get_type::<PyRuntimeError>(), c"a call into allcores panicked")
}

/// Have an exception of this class be set, by Python's own way, which needs no memory when there is none.
#[cold]
fn wrong(class: &Bound<'_, PyType>, text: &CStr) -> *mut PyObject {
    // SAFETY: a class, and a text that ends with NUL; the GIL is held.
    unsafe { ffi::PyErr_SetString(class.as_ptr(), text.as_ptr()) };
    ptr::null_mut()
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

fn truth(value: bool) -> *mut PyObject {
    // SAFETY: the GIL is held. A new reference.
    unsafe { ffi::PyBool_FromLong(value.into()) }
}

fn none() -> *mut PyObject {
    // SAFETY: the GIL is held.
    let object = unsafe { ffi::Py_None() };
    // SAFETY: as above.
    unsafe { ffi::Py_INCREF(object) };
    object
}
