//! The attributes of an object that stands for a shared dict, which it has as `_object`: that dict's items, but for those
//! that begin with an underscore. These are its own.

use pyo3::exceptions::PyKeyError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use super::fast::{add_attribute_methods, forget, own, set_own};

/// Whether an attribute is the object's own; `None` for a name that the ordinary method is to look at.
fn is_own(name: &Bound<'_, PyAny>) -> Option<bool> {
    match name.cast_exact::<PyString>().ok()?.to_str() {
        Ok(text) => Some(text.starts_with('_')),
        Err(error) => {
            forget(name.py(), error); // a lone surrogate
            None
        }
    }
}

fn shared<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    own(object, intern!(object.py(), "_object"))
}

/// An attribute. What has no such name is for the class's `_get_attribute`, and its `_lacks_attribute` says what is not there.
///
/// # Errors
/// Its, and those of the shared dict.
pub fn get<'py>(object: &Bound<'py, PyAny>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let ordinary = match is_own(name) {
        Some(true) => return own(object, name),
        Some(false) => match shared(object)?.get_item(name) {
            Err(error) if error.is_instance_of::<PyKeyError>(py) => {
                forget(py, error);
                intern!(py, "_lacks_attribute")
            }
            found => return found,
        },
        None => intern!(py, "_get_attribute"),
    };
    own(object, ordinary)?.call1((name,))
}

/// Have an attribute. What has no such name is for the class's `_set_attribute`.
///
/// # Errors
/// Its, and those of the shared dict, of pickling.
pub fn set<'py>(object: &Bound<'py, PyAny>, name: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<()> {
    match is_own(name) {
        Some(true) => set_own(object, name, value),
        Some(false) => shared(object)?.set_item(name, value),
        None => {
            let ordinary = own(object, intern!(object.py(), "_set_attribute"))?;
            ordinary.call1((name, value)).map(|_| ())
        }
    }
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
