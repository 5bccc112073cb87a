//! Objects of short pickles, made here in a fraction of the time that the standard unpickler takes to begin, and to look
//! a class up. What it would do is done: the same calls of the same things of the program's, in the same order.

use std::sync::Arc;
use std::vec::Drain;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeCheck;
use pyo3::types::{PyByteArray, PyDict, PyFrozenSet, PyList, PyModule, PySet, PyString, PyTuple, PyType};

use super::fast::{has_not, made_by_class};
use super::kept::{Once, Values};
use super::messages::Pickling;
use super::recipe::{Recipe, Step};

const SET_STATE: &str = "__setstate__";
/// Longer pickles are the standard unpickler's, which is as fast with these.
const LONGEST: usize = 256;
/// But those that come again.
const LONGEST_KEPT: usize = 1024;

static RECIPES: Values<Arc<Recipe>> = Values::none();
static COME_ONCE: Once = Once::none();

/// The object that a pickle is of, `None` when that is for the standard unpickler to say.
///
/// # Errors
/// Those of what the pickle calls.
pub fn loads<'py>(py: Python<'py>, pickling: &Pickling, pickle: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
    if pickle.len() > LONGEST {
        return Ok(None);
    }
    let Some(recipe) = Recipe::of(py, pickle) else {
        return Ok(None);
    };
    let machine = Machine::new(py, pickling, &recipe);
    machine.object(|machine| {
        for step in recipe.steps {
            match step {
                Step::Push(object) => machine.stack.push(object.into_bound(py)),
                step => machine.follow(&step)?,
            }
        }
        Ok(())
    })
}

/// The same for a pickle that may come again and again: from the second time on, its recipe is kept.
///
/// # Errors
/// Those of what the pickle calls.
pub fn loads_again<'py>(py: Python<'py>, pickling: &Pickling, pickle: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
    if pickle.len() > LONGEST_KEPT {
        return Ok(None);
    }
    let recipe = match RECIPES.find(pickle, Arc::clone) {
        Some(recipe) => recipe,
        None if COME_ONCE.has(pickle) => {
            let Some(recipe) = Recipe::of(py, pickle).map(Arc::new) else {
                return Ok(None);
            };
            RECIPES.keep(pickle, Arc::clone(&recipe));
            recipe
        }
        None => return loads(py, pickling, pickle),
    };
    let machine = Machine::new(py, pickling, &recipe);
    machine.object(|machine| recipe.steps.iter().try_for_each(|step| machine.follow(step)))
}

/// Why it does not go on: something was raised, or is not of the type that it has to be.
enum Halt {
    Raised(PyErr),
    Unknown,
}

impl From<PyErr> for Halt {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

struct Machine<'a, 'py> {
    py: Python<'py>,
    pickling: &'a Pickling,
    stack: Vec<Bound<'py, PyAny>>,
    kept: Vec<Option<Bound<'py, PyAny>>>,
}

impl<'a, 'py> Machine<'a, 'py> {
    fn new(py: Python<'py>, pickling: &'a Pickling, recipe: &Recipe) -> Self {
        Self {
            py,
            pickling,
            stack: Vec::with_capacity(recipe.depth),
            kept: vec![None; recipe.kept],
        }
    }

    /// The object that there is in the end, `None` if that is not to be had here.
    fn object(mut self, follow: impl FnOnce(&mut Self) -> Result<(), Halt>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match follow(&mut self) {
            Ok(()) => Ok(self.stack.pop()),
            Err(Halt::Raised(error)) => Err(error),
            Err(Halt::Unknown) => Ok(None),
        }
    }

    fn follow(&mut self, step: &Step) -> Result<(), Halt> {
        let py = self.py;
        let made = match step {
            Step::Push(object) => object.bind(py).clone(),
            Step::Global(names) => self.global(names.bind(py))?,
            Step::ByteArray(bytes) => PyByteArray::new(py, bytes.as_bytes(py)).into_any(),
            Step::List => PyList::empty(py).into_any(),
            Step::Dict => PyDict::new(py).into_any(),
            Step::Set => PySet::empty(py)?.into_any(),
            Step::Tuple(from) => PyTuple::new(py, self.above(*from)?)?.into_any(),
            Step::FrozenSet(from) => PyFrozenSet::new(py, self.above(*from)?)?.into_any(),
            Step::New => self.new_object(None)?,
            Step::NewNamed => {
                let keywords = self.pop_as::<PyDict>()?;
                self.new_object(Some(&keywords))?
            }
            Step::Reduce => {
                let arguments = self.pop_as::<PyTuple>()?;
                self.pop()?.call1(arguments)?
            }
            Step::Kept(number) => self.kept[*number].clone().ok_or(Halt::Unknown)?,
            Step::Nothing => return Ok(()),
            Step::Keep(number) => {
                self.kept[*number] = self.stack.last().cloned();
                return Ok(());
            }
            Step::Append(from) => return self.append(*from),
            Step::SetItems(from) => {
                let mapping = self.below(*from)?;
                return self.set_items(*from, &mapping);
            }
            Step::AddItems(from) => return self.add_items(*from),
            Step::Build => return self.build(),
            Step::BuildOf(from) => return self.build_of(*from),
        };
        self.stack.push(made);
        Ok(())
    }

    /// What a module has by a name; the audit event is raised.
    fn global(&self, names: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let (module, name) = (names.get_borrowed_item(1)?, names.get_borrowed_item(2)?);
        if let Some(found) = self.pickling.modules.bind(self.py).get_item(module)? {
            if let Ok(found) = found.cast_exact::<PyModule>() {
                if let Some(found) = found.dict().get_item(name)? {
                    self.pickling.audit.bind(self.py).call1(names)?;
                    return Ok(found);
                }
            }
        }
        self.pickling.find(&module, &name) // which is to be imported, or has dots
    }

    fn new_object(&mut self, keywords: Option<&Bound<'py, PyDict>>) -> Result<Bound<'py, PyAny>, Halt> {
        let arguments = self.pop_as::<PyTuple>()?;
        let class = self.pop_as::<PyType>()?;
        Ok(made_by_class(&class, &arguments, keywords).ok_or(Halt::Unknown)??)
    }

    fn build(&mut self) -> Result<(), Halt> {
        let (state, object) = (self.pop()?, self.top()?);
        if self.is_given_to_the_object(&object, &state)? {
            return Ok(());
        }
        let (attributes, slots) = match state.cast::<PyTuple>() {
            Ok(both) if both.len() == 2 => (both.get_item(0)?, both.get_item(1)?),
            _ => (state, self.py.None().into_bound(self.py)),
        };
        if !attributes.is_none() {
            let attributes = attributes.cast::<PyDict>().map_err(|_| Halt::Unknown)?;
            let own = object.getattr(intern!(self.py, "__dict__"))?;
            for (name, value) in attributes.copy()? {
                own.set_item(name, value)?;
            }
        }
        if !slots.is_none() {
            for (name, value) in slots.cast::<PyDict>().map_err(|_| Halt::Unknown)?.copy()? {
                object.setattr(name.cast::<PyString>().map_err(|_| Halt::Unknown)?, value)?;
            }
        }
        Ok(())
    }

    fn build_of(&mut self, from: usize) -> Result<(), Halt> {
        let object = self.below(from.wrapping_sub(1))?;
        if has_not(&object, intern!(self.py, SET_STATE)) {
            let own = object.getattr(intern!(self.py, "__dict__"))?;
            self.set_items(from, &own)?;
            self.pop()?; // what lies in the place of the dict
            return Ok(());
        }
        let state = PyDict::new(self.py);
        self.set_items(from, state.as_any())?;
        self.pop()?;
        self.stack.push(state.into_any());
        self.build()
    }

    /// Call an object's own method for its state, if it has one; whether it has.
    fn is_given_to_the_object(&self, object: &Bound<'py, PyAny>, state: &Bound<'py, PyAny>) -> PyResult<bool> {
        let name = intern!(self.py, SET_STATE);
        if has_not(object, name) {
            return Ok(false);
        }
        let Some(method) = object.getattr_opt(name)? else {
            return Ok(false);
        };
        method.call1((state,)).map(|_| true)
    }

    fn append(&mut self, from: usize) -> Result<(), Halt> {
        let to = self.below(from)?;
        if let Ok(list) = to.cast_exact::<PyList>() {
            return Ok(self.above(from)?.try_for_each(|item| list.append(item))?);
        }
        let items = PyList::new(self.py, self.above(from)?.collect::<Vec<_>>())?;
        if let Some(extend) = to.getattr_opt(intern!(self.py, "extend"))? {
            extend.call1((items,))?;
            return Ok(());
        }
        let append = to.getattr(intern!(self.py, "append"))?;
        Ok(items.iter().try_for_each(|item| append.call1((item,)).map(|_| ()))?)
    }

    /// Have the keys and values from here on in a mapping.
    fn set_items(&mut self, from: usize, mapping: &Bound<'py, PyAny>) -> Result<(), Halt> {
        let mut items = self.above(from)?;
        if let Ok(dict) = mapping.cast_exact::<PyDict>() {
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                dict.set_item(key, value)?;
            }
            return Ok(());
        }
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            mapping.set_item(key, value)?;
        }
        Ok(())
    }

    fn add_items(&mut self, from: usize) -> Result<(), Halt> {
        let to = self.below(from)?;
        let set = to.cast_exact::<PySet>().map_err(|_| Halt::Unknown)?;
        Ok(self.above(from)?.try_for_each(|item| set.add(item))?)
    }

    fn pop(&mut self) -> Result<Bound<'py, PyAny>, Halt> {
        self.stack.pop().ok_or(Halt::Unknown)
    }

    fn pop_as<T: PyTypeCheck>(&mut self) -> Result<Bound<'py, T>, Halt> {
        self.pop()?.cast_into::<T>().map_err(|_| Halt::Unknown)
    }

    fn top(&self) -> Result<Bound<'py, PyAny>, Halt> {
        self.stack.last().cloned().ok_or(Halt::Unknown)
    }

    /// What lies just below a place.
    fn below(&self, place: usize) -> Result<Bound<'py, PyAny>, Halt> {
        self.stack.get(place.wrapping_sub(1)).cloned().ok_or(Halt::Unknown)
    }

    /// What lies from a place on, which is taken from there.
    fn above(&mut self, place: usize) -> Result<Drain<'_, Bound<'py, PyAny>>, Halt> {
        if place > self.stack.len() {
            return Err(Halt::Unknown);
        }
        Ok(self.stack.drain(place..))
    }
}
