//! The attributes of an object that stands for a shared dict, which it has as `_object`: that dict's items, but for those
//! that begin with an underscore. These are its own.

use pyo3::exceptions::{PyAttributeError, PyKeyError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use super::fast::{add_attribute_methods, own, set_own};

fn named<'a, 'py>(name: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyString>> {
    name.cast::<PyString>().map_err(|_| {
        let kind = name.get_type().name();
        let kind = kind.as_ref().map_or_else(|_| "?".into(), |kind| kind.to_string_lossy());
        PyTypeError::new_err(format!("attribute name must be string, not '{kind}'"))
    })
}

/// Whether an attribute is the object's own.
fn is_own(name: &Bound<'_, PyString>) -> PyResult<bool> {
    match name.to_str() {
        Ok(text) => Ok(text.starts_with('_')),
        Err(_) => name.call_method1(intern!(name.py(), "startswith"), ("_",))?.extract(), // lone surrogates
    }
}

fn shared<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    own(object, intern!(object.py(), "_object"))
}

/// An attribute.
///
/// # Errors
/// AttributeError; those of the shared dict.
pub fn get<'py>(object: &Bound<'py, PyAny>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let name = named(name)?;
    if is_own(name)? {
        return own(object, name);
    }
    shared(object)?.get_item(name).map_err(|error| {
        if error.is_instance_of::<PyKeyError>(object.py()) {
            return PyAttributeError::new_err((name.clone().unbind(),)); // `__getattr__` says more
        }
        error
    })
}

/// Have an attribute.
///
/// # Errors
/// Those of the shared dict, of pickling.
pub fn set<'py>(object: &Bound<'py, PyAny>, name: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<()> {
    let name = named(name)?;
    if is_own(name)? {
        return set_own(object, name, value);
    }
    shared(object)?.set_item(name, value)
}

/// Put `__getattribute__` and `__setattr__` into a class whose objects stand for a shared dict.
#[pyfunction]
#[pyo3(signature = (class, /))]
fn add_shared_attributes(class: &Bound<'_, PyType>) -> PyResult<()> {
    add_attribute_methods(class)
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(add_shared_attributes, module)?)
}
