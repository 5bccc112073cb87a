//! How the unpickler makes an object of its class, and has it have its state.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::fast::{call_with_three, interned, made_by_class};
use super::recipe::Record;
use super::unpickler::{Halt, Machine};

// What calls the program is not inlined, as there.
impl<'py> Machine<'_, 'py> {
    #[inline(never)]
    pub(super) fn new_object(
        &self,
        code: &str,
        class: &Bound<'py, PyAny>,
        arguments: &Bound<'py, PyAny>,
        keywords: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>, Halt> {
        let wrong = |what: &str, wanted: &str, is: &Bound<'py, PyAny>| {
            let is = is.get_type().name()?;
            Err(self.refuse(&format!("{code} {what} argument must be a {wanted}, not {is}")))
        };
        let Ok(class) = class.cast::<PyType>() else {
            return wrong("class", "type", class);
        };
        let Ok(arguments) = arguments.cast::<PyTuple>() else {
            return wrong("args", "tuple", arguments);
        };
        let keywords = match keywords.map(|keywords| (keywords, keywords.cast::<PyDict>())) {
            Some((keywords, Err(_))) => return wrong("kwargs", "dict", keywords),
            Some((_, Ok(keywords))) => Some(keywords),
            None => None,
        };
        match made_by_class(class, arguments, keywords) {
            Some(made) => Ok(made?),
            None => {
                let kind = class.get_type().name()?; // sic
                Err(self.refuse(&format!("{code} class argument '{kind}' doesn't have __new__")))
            }
        }
    }

    /// The standard unpickler's error.
    #[cold]
    fn refuse(&self, message: &str) -> Halt {
        let made = self.pickling.unpickling_error.bind(self.py).call1((message,));
        Halt::Raised(made.map_or_else(|error| error, PyErr::from_value))
    }

    #[inline(never)]
    pub(super) fn record(&mut self, made: &Record) -> Result<Bound<'py, PyAny>, Halt> {
        let py = self.py;
        let Record {
            names,
            state,
            is_kept,
            keep,
        } = made;
        let class = self.global(names.bind(py))?;
        let object = self.new_object("NEWOBJ", &class, PyTuple::empty(py).as_any(), None)?;
        if let Some(number) = keep {
            self.kept[*number] = Some(object.clone());
        }
        if let Some(method) = self.set_state_of(&object)? {
            let attributes = PyDict::new(py);
            state
                .iter()
                .try_for_each(|(name, value)| attributes.set_item(name, value))?;
            if *is_kept {
                self.kept.push(Some(attributes.clone().into_any()));
            }
            method.call1((attributes,))?;
            return Ok(object);
        }
        let own = object.getattr(intern!(py, "__dict__"))?;
        state.iter().try_for_each(|(name, value)| own.set_item(name, value))?;
        Ok(object)
    }

    /// An object's own method for its state, if it has one: asked for once.
    fn set_state_of(&self, object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let absent = self.pickling.absent.bind(self.py);
        let name = intern!(self.py, "__setstate__").as_any();
        let found = call_with_three(self.pickling.getattr.bind(self.py), [object, name, absent])?;
        Ok((!found.is(absent)).then_some(found))
    }

    /// Have an object have a state.
    #[inline(never)]
    pub(super) fn build(&mut self, object: &Bound<'py, PyAny>, state: Bound<'py, PyAny>) -> Result<(), Halt> {
        if let Some(method) = self.set_state_of(object)? {
            method.call1((state,))?;
            return Ok(());
        }
        let (attributes, slots) = match state.cast::<PyTuple>() {
            Ok(both) if both.len() == 2 => (both.get_item(0)?, Some(both.get_item(1)?)),
            _ => (state, None),
        };
        if !attributes.is_none() {
            let Ok(attributes) = attributes.cast::<PyDict>() else {
                return Err(self.refuse("state is not a dictionary"));
            };
            let own = object.getattr(intern!(self.py, "__dict__"))?;
            for (name, value) in attributes.copy()? {
                match name.cast_exact::<PyString>() {
                    Ok(name) => own.set_item(interned(name.clone()), value)?,
                    Err(_) => own.set_item(name, value)?,
                }
            }
        }
        let Some(slots) = slots else { return Ok(()) };
        let Ok(slots) = slots.cast::<PyDict>() else {
            return Err(self.refuse("slot state is not a dictionary"));
        };
        for (name, value) in slots.copy()? {
            let Ok(name) = name.cast::<PyString>() else {
                let kind = name.get_type().name()?;
                return Err(PyTypeError::new_err(format!("attribute name must be string, not '{kind}'")).into());
            };
            object.setattr(name, value)?;
        }
        Ok(())
    }

    #[inline(never)]
    pub(super) fn build_of(&mut self, from: usize, is_kept: bool) -> Result<(), Halt> {
        let object = self.below(from.wrapping_sub(1))?;
        let Some(method) = self.set_state_of(&object)? else {
            let own = object.getattr(intern!(self.py, "__dict__"))?;
            self.set_items(from, &own)?;
            self.pop()?; // what lies in the place of the dict
            return Ok(());
        };
        let state = PyDict::new(self.py);
        self.set_items(from, state.as_any())?;
        self.pop()?;
        if is_kept {
            self.kept.push(Some(state.clone().into_any()));
        }
        method.call1((state,))?;
        Ok(())
    }
}
