//! Objects of short pickles, made here in a fraction of the time that the standard unpickler takes to begin, and to look
//! a class up. What it would do is done: the same calls of the same things of the program's, in the same order.

use std::sync::Arc;
use std::vec::Drain;

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyDict, PyFrozenSet, PyList, PyModule, PySet, PyTuple};

use super::kept::{Once, Values};
use super::messages::Pickling;
use super::opcodes::CLASS;
use super::reader::recipe_of;
use super::recipe::{Recipe, Step};

/// Longer pickles are the standard unpickler's, which takes less for each object that is nothing but plain, and so are
/// those of plain ones only.
const LONGEST: usize = 160;
const LONGEST_PLAIN: usize = 24;
/// But those that come again.
const LONGEST_KEPT: usize = 1024;

static RECIPES: Values<Arc<Recipe>> = Values::none();
static COME_ONCE: Once = Once::none();

/// The object that a pickle is of, `None` when that is for the standard unpickler to say.
///
/// # Errors
/// Those of what the pickle calls.
pub fn loads<'py>(py: Python<'py>, pickling: &Pickling, pickle: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
    if pickle.len() > LONGEST || (pickle.len() > LONGEST_PLAIN && !pickle.contains(&CLASS)) {
        return Ok(None);
    }
    let Some(recipe) = recipe_of(py, pickle) else {
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
        machine.pop()
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
    let recipe = match kept(py, pickle) {
        Some(recipe) => recipe,
        None if COME_ONCE.has(pickle) => {
            let Some(recipe) = recipe_of(py, pickle) else {
                return Ok(None);
            };
            let recipe = Arc::new(recipe.shortened(py));
            RECIPES.keep(py, pickle, Arc::clone(&recipe));
            recipe
        }
        None => return loads(py, pickling, pickle),
    };
    follow(py, pickling, &recipe)
}

/// The recipe that is kept of a pickle.
pub fn kept(py: Python<'_>, pickle: &[u8]) -> Option<Arc<Recipe>> {
    RECIPES.find(py, pickle, Arc::clone)
}

/// The object that a recipe says, `None` when that is for the standard unpickler to say.
///
/// # Errors
/// Those of what it calls.
pub fn follow<'py>(py: Python<'py>, pickling: &Pickling, recipe: &Recipe) -> PyResult<Option<Bound<'py, PyAny>>> {
    let machine = Machine::new(py, pickling, recipe);
    machine.object(|machine| {
        if let [Step::Record(record)] = recipe.steps.as_slice() {
            return machine.record(record);
        }
        recipe.steps.iter().try_for_each(|step| machine.follow(step))?;
        machine.pop()
    })
}

/// Why it does not go on: something was raised, or is not there, which nobody expects of a recipe.
pub(super) enum Halt {
    Raised(PyErr),
    Unknown,
}

impl From<PyErr> for Halt {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

pub(super) struct Machine<'a, 'py> {
    pub(super) py: Python<'py>,
    pub(super) pickling: &'a Pickling,
    stack: Vec<Bound<'py, PyAny>>,
    pub(super) kept: Vec<Option<Bound<'py, PyAny>>>,
}

/// As the standard one: what came last goes first.
impl Drop for Machine<'_, '_> {
    fn drop(&mut self) {
        while self.stack.pop().is_some() {}
        while self.kept.pop().is_some() {}
    }
}

// What calls the program is not inlined: each of its calls may come here again, on a stack that is not endless.
impl<'a, 'py> Machine<'a, 'py> {
    fn new(py: Python<'py>, pickling: &'a Pickling, recipe: &Recipe) -> Self {
        Self {
            py,
            pickling,
            stack: Vec::with_capacity(recipe.depth),
            kept: vec![None; recipe.kept],
        }
    }

    /// What a function makes of it, `None` if that is not to be had here.
    #[inline(always)]
    fn object(
        mut self,
        make: impl FnOnce(&mut Self) -> Result<Bound<'py, PyAny>, Halt>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match make(&mut self) {
            Ok(object) => Ok(Some(object)),
            Err(Halt::Raised(error)) => Err(error),
            Err(Halt::Unknown) => Ok(None),
        }
    }

    fn follow(&mut self, step: &Step) -> Result<(), Halt> {
        match step {
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
            Step::Build => {
                let (state, object) = (self.pop()?, self.top()?);
                return self.build(&object, state);
            }
            Step::BuildOf { from, is_kept, .. } => return self.build_of(*from, *is_kept),
            Step::New => {
                let (arguments, class) = (self.pop()?, self.pop()?);
                let made = self.new_object("NEWOBJ", &class, &arguments, None)?;
                self.stack.push(made);
                return Ok(());
            }
            Step::NewNamed => {
                let (keywords, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                let made = self.new_object("NEWOBJ_EX", &class, &arguments, Some(&keywords))?;
                self.stack.push(made);
                return Ok(());
            }
            Step::Reduce => return self.reduce(),
            _ => {}
        }
        let made = self.made_by_itself(step)?;
        self.stack.push(made);
        Ok(())
    }

    /// What a step makes that takes nothing but what is plain.
    #[inline(never)]
    fn made_by_itself(&mut self, step: &Step) -> Result<Bound<'py, PyAny>, Halt> {
        let py = self.py;
        Ok(match step {
            Step::Push(object) => object.bind(py).clone(),
            Step::Global(names) => self.global(names.bind(py))?,
            Step::Find(names) => self.find(names.bind(py))?,
            Step::ByteArray(bytes) => PyByteArray::new(py, bytes.as_bytes(py)).into_any(),
            Step::List => PyList::empty(py).into_any(),
            Step::Dict => PyDict::new(py).into_any(),
            Step::Set => PySet::empty(py)?.into_any(),
            Step::Tuple(from) => PyTuple::new(py, self.above(*from)?)?.into_any(),
            Step::FrozenSet(from) => PyFrozenSet::new(py, self.above(*from)?)?.into_any(),
            Step::Record(record) => self.record(record)?,
            Step::Kept(number) => self.kept[*number].clone().ok_or(Halt::Unknown)?,
            _ => return Err(Halt::Unknown),
        })
    }

    /// What a module has by a name, as the standard unpickler finds it; which is asked itself while modules are being imported.
    pub(super) fn global(&self, names: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        let (module, name) = (names.get_borrowed_item(1)?, names.get_borrowed_item(2)?);
        let importing = self.pickling.importing.as_ref();
        if importing.is_some_and(|locks| locks.bind(py).is_empty()) {
            if let Some(module) = self.pickling.modules.bind(py).get_item(module)? {
                if let Ok(module) = module.cast_exact::<PyModule>() {
                    let content = module.dict();
                    if content.contains(name)? {
                        self.pickling.audit.bind(py).call1(names)?;
                        if let Some(found) = content.get_item(name)? {
                            return Ok(found);
                        }
                    }
                }
            }
        }
        self.find(names)
    }

    #[inline(never)]
    fn find(&self, names: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.pickling.find(&names.get_item(1)?, &names.get_item(2)?)
    }

    #[inline(never)]
    fn reduce(&mut self) -> Result<(), Halt> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Ok(arguments) = arguments.cast::<PyTuple>() else {
            return Err(PyTypeError::new_err("argument list must be a tuple").into());
        };
        self.stack.push(function.call1(arguments)?);
        Ok(())
    }

    #[inline(never)]
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
    #[inline(never)]
    pub(super) fn set_items(&mut self, from: usize, mapping: &Bound<'py, PyAny>) -> Result<(), Halt> {
        let mut items = self.above(from)?;
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            mapping.set_item(key, value)?;
        }
        Ok(())
    }

    #[inline(never)]
    fn add_items(&mut self, from: usize) -> Result<(), Halt> {
        let (py, to) = (self.py, self.below(from)?);
        let mut items = self.above(from)?;
        if let Ok(set) = to.cast_exact::<PySet>() {
            return Ok(items.try_for_each(|item| set.add(item))?);
        }
        if to.is_instance_of::<PySet>() {
            let items = PyTuple::new(py, items)?;
            py.get_type::<PySet>().call_method1("update", (to, items))?;
            return Ok(());
        }
        let add = to.getattr(intern!(py, "add"))?;
        Ok(items.try_for_each(|item| add.call1((item,)).map(|_| ()))?)
    }

    pub(super) fn pop(&mut self) -> Result<Bound<'py, PyAny>, Halt> {
        self.stack.pop().ok_or(Halt::Unknown)
    }

    fn top(&self) -> Result<Bound<'py, PyAny>, Halt> {
        self.stack.last().cloned().ok_or(Halt::Unknown)
    }

    /// What lies just below a place.
    pub(super) fn below(&self, place: usize) -> Result<Bound<'py, PyAny>, Halt> {
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
