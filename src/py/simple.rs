//! Pickles of simple objects, written here: in a third to half of a pickler's time, and as it would write them but
//! for its memo.
//!
//! Simple are objects of classes that say nothing about pickling, so that they are what is in their `__dict__`; those of
//! `datetime`; and None, bool, int, float, str, bytes, tuples, lists, dicts, sets of such; a few of them, since a pickler
//! writes what comes again and again only once. Nothing of the program's own is run for them, so whoever comes upon
//! something else can begin again with a pickler. An object that is there twice is not simple: it would become two.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple, PyType};

use super::classes::{Called, Ordinary};
use super::opcodes::*;
use super::primitives::{Seen, DEEPEST};

/// Of the protocol.
const VERSION: u8 = 5;
/// So many objects with parts may be in a simple one, itself included.
const MOST: usize = 12;

/// What decides whether a class is simple.
pub struct Rules<'a, 'py> {
    /// Reducers by class, of which a simple one has none.
    pub reducers: [&'a Bound<'py, PyDict>; 2],
    /// `sys.modules`.
    pub modules: &'a Bound<'py, PyDict>,
    /// Whether receivers find what the main module defines under its name.
    pub finds_main: bool,
}

/// Append a pickle of an object to a buffer; false, with anything appended, when it is not simple, or longer than `longest`.
///
/// # Errors
/// None of its own: those of looking things up. A pickler may know better.
pub fn pickle_simple(
    object: &Bound<'_, PyAny>,
    rules: &Rules<'_, '_>,
    into: &mut Vec<u8>,
    longest: usize,
) -> PyResult<bool> {
    let mut writer = Writer {
        end: into.len() + longest,
        into,
        rules,
        seen: Seen::nothing(),
        count: 0,
        classes: [0; MOST],
        kept: 0,
    };
    writer.into.extend_from_slice(&[PROTOCOL, VERSION]);
    let is_simple = writer.write(object, DEEPEST)?;
    writer.into.push(STOP);
    Ok(is_simple && writer.into.len() <= writer.end)
}

struct Writer<'a, 'r, 'py> {
    into: &'a mut Vec<u8>,
    end: usize,
    rules: &'r Rules<'r, 'py>,
    /// Objects with parts, and how many they are; and their attributes.
    seen: Seen<{ 2 * MOST }>,
    count: usize,
    /// Addresses of the classes that were written, and how many they are; loading the second object of one takes a quarter
    /// of the time so.
    classes: [usize; MOST],
    kept: usize,
}

impl Writer<'_, '_, '_> {
    fn write(&mut self, object: &Bound<'_, PyAny>, deepest: usize) -> PyResult<bool> {
        if deepest == 0 || self.into.len() > self.end {
            return Ok(false);
        }
        if let Ok(text) = object.cast_exact::<PyString>() {
            return Ok(text
                .to_str()
                .is_ok_and(|text| self.put_counted([STR, LONG_STR], text.as_bytes())));
        }
        if let Ok(number) = object.cast_exact::<PyInt>() {
            return Ok(number.extract::<i64>().is_ok_and(|number| self.put_int(number)));
        }
        if let Ok(number) = object.cast_exact::<PyFloat>() {
            self.into.push(FLOAT);
            self.into.extend_from_slice(&number.value().to_be_bytes());
            return Ok(true);
        }
        if object.is_none() {
            self.into.push(NONE);
            return Ok(true);
        }
        if let Ok(truth) = object.cast_exact::<PyBool>() {
            self.into.push(if truth.is_true() { TRUE } else { FALSE });
            return Ok(true);
        }
        if let Ok(bytes) = object.cast_exact::<PyBytes>() {
            return Ok(self.put_counted([BYTES, LONG_BYTES], bytes.as_bytes()));
        }
        if object.cast_exact::<PyTuple>().is_ok_and(|items| items.is_empty()) {
            self.into.push(NO_TUPLE); // there is only one
            return Ok(true);
        }
        self.count += 1;
        if self.count > MOST || !self.seen.is_first(object) {
            return Ok(false);
        }
        self.write_container(object, deepest - 1)
    }

    fn write_container(&mut self, object: &Bound<'_, PyAny>, deepest: usize) -> PyResult<bool> {
        if let Ok(items) = object.cast_exact::<PyTuple>() {
            return self.write_tuple(items, deepest);
        }
        if let Ok(dict) = object.cast_exact::<PyDict>() {
            return self.write_dict(dict, false, deepest);
        }
        if let Ok(items) = object.cast_exact::<PyList>() {
            return self.write_items(&[NO_LIST, MARK], items.iter().map(Ok), APPENDS, deepest);
        }
        if let Ok(items) = object.cast_exact::<PySet>() {
            return self.write_items(&[NO_SET, MARK], items.try_iter()?, ADD_ITEMS, deepest);
        }
        if let Ok(items) = object.cast_exact::<PyFrozenSet>() {
            return self.write_items(&[MARK], items.try_iter()?, FROZEN_SET, deepest);
        }
        self.write_object(object, deepest)
    }

    fn write_items<'o>(
        &mut self,
        begin: &[u8],
        items: impl Iterator<Item = PyResult<Bound<'o, PyAny>>>,
        end: u8,
        deepest: usize,
    ) -> PyResult<bool> {
        self.into.extend_from_slice(begin);
        for item in items {
            if !self.write(&item?, deepest)? {
                return Ok(false);
            }
        }
        self.into.push(end);
        Ok(true)
    }

    fn write_tuple(&mut self, items: &Bound<'_, PyTuple>, deepest: usize) -> PyResult<bool> {
        let (begin, end): (&[u8], u8) = match items.len() {
            0 => (&[], NO_TUPLE),
            count @ 1..=3 => (&[], TUPLE_OF_ONE + (count - 1) as u8),
            _ => (&[MARK], TUPLE),
        };
        self.write_items(begin, items.iter().map(Ok), end, deepest)
    }

    /// A dict, or as a state the attributes of an object.
    fn write_dict(&mut self, dict: &Bound<'_, PyDict>, is_state: bool, deepest: usize) -> PyResult<bool> {
        if 2 * dict.len() > self.end.saturating_sub(self.into.len()) {
            return Ok(false); // without looking at it first
        }
        self.into.extend_from_slice(&[NO_DICT, MARK]);
        // All of them first: the garbage collector may run now and then, and the program's finalizers.
        for (key, value) in dict.iter().collect::<Vec<_>>() {
            if (is_state && is_special(&key)) || !self.write(&key, deepest)? || !self.write(&value, deepest)? {
                return Ok(false);
            }
        }
        self.into.push(SET_ITEMS);
        Ok(true)
    }

    fn write_object(&mut self, object: &Bound<'_, PyAny>, deepest: usize) -> PyResult<bool> {
        let class = object.get_type();
        for reducers in self.rules.reducers {
            if reducers.contains(&class)? {
                return Ok(false);
            }
        }
        if let Some(called) = Called::find(&class, self.rules.modules)? {
            return self.write_reduced(object, called, deepest);
        }
        let py = object.py();
        if !Ordinary::get(py)?.is_such(&class)? || !self.write_class(&class)? {
            return Ok(false);
        }
        self.into.extend_from_slice(&[NO_TUPLE, NEW_OBJECT]);
        let attributes = object.getattr(intern!(py, "__dict__"))?;
        let Ok(attributes) = attributes.cast_exact::<PyDict>() else {
            return Ok(false);
        };
        if attributes.is_empty() {
            return Ok(true);
        }
        if !self.seen.is_first(attributes) {
            return Ok(false); // objects may share it, and what they do with their states keep that so
        }
        if !self.write_dict(attributes, true, deepest)? {
            return Ok(false);
        }
        self.into.push(BUILD);
        Ok(true)
    }

    /// As a call of its class, with what a pickler would call it with.
    fn write_reduced(&mut self, object: &Bound<'_, PyAny>, called: &Called, deepest: usize) -> PyResult<bool> {
        let py = object.py();
        let reduced = called.reduce(object, VERSION)?;
        let reduced = reduced.cast::<PyTuple>()?;
        let (class, parts) = match reduced.len() {
            2 => reduced.extract::<(Bound<'_, PyType>, Bound<'_, PyTuple>)>()?,
            3 if reduced.get_item(2)?.is_none() => reduced.get_slice(0, 2).extract()?,
            _ => return Ok(false),
        };
        if !self.write_name(&class, intern!(py, Called::MODULE), called.name.bind(py))?
            || !self.write_tuple(&parts, deepest)?
        {
            return Ok(false);
        }
        self.into.push(REDUCE);
        Ok(true)
    }

    fn write_class(&mut self, class: &Bound<'_, PyType>) -> PyResult<bool> {
        let py = class.py();
        let module = class.getattr(intern!(py, "__module__"))?;
        let name = class.getattr(intern!(py, "__qualname__"))?;
        let (Ok(module), Ok(name)) = (module.cast_exact(), name.cast_exact()) else {
            return Ok(false);
        };
        self.write_name(class, module, name)
    }

    /// A class by a name, if that leads to it.
    fn write_name(
        &mut self,
        class: &Bound<'_, PyType>,
        module: &Bound<'_, PyString>,
        name: &Bound<'_, PyString>,
    ) -> PyResult<bool> {
        let (Ok(module_text), Ok(name_text)) = (module.to_str(), name.to_str()) else {
            return Ok(false);
        };
        let address = class.as_ptr() as usize;
        if let Some(number) = self.classes[..self.kept].iter().position(|known| *known == address) {
            self.into.extend_from_slice(&[KEPT, number as u8]);
            return Ok(true);
        }
        if name_text.contains('.') || (module_text == "__main__" && !self.rules.finds_main) {
            return Ok(false);
        }
        let Some(module) = self.rules.modules.get_item(module)? else {
            return Ok(false);
        };
        if !module.getattr_opt(name)?.is_some_and(|found| found.is(class)) {
            return Ok(false);
        }
        let is_put = self.put_counted([STR, LONG_STR], module_text.as_bytes())
            && self.put_counted([STR, LONG_STR], name_text.as_bytes());
        self.into.extend_from_slice(&[CLASS, KEEP]);
        self.classes[self.kept] = address; // no more than objects with parts
        self.kept += 1;
        Ok(is_put)
    }

    fn put_int(&mut self, number: i64) -> bool {
        if let Ok(number) = u8::try_from(number) {
            self.into.extend_from_slice(&[INT_OF_ONE, number]);
        } else if let Ok(number) = i32::try_from(number) {
            self.into.push(INT_OF_FOUR);
            self.into.extend_from_slice(&number.to_le_bytes());
        } else {
            self.into.extend_from_slice(&[INT_COUNTED, size_of::<i64>() as u8]);
            self.into.extend_from_slice(&number.to_le_bytes());
        }
        true
    }

    /// Bytes behind their number, which is one byte, or four.
    fn put_counted(&mut self, tags: [u8; 2], bytes: &[u8]) -> bool {
        if self.into.len() + bytes.len() > self.end {
            return false;
        }
        if let Ok(length) = u8::try_from(bytes.len()) {
            self.into.extend_from_slice(&[tags[0], length]);
        } else if let Ok(length) = u32::try_from(bytes.len()) {
            self.into.push(tags[1]);
            self.into.extend_from_slice(&length.to_le_bytes());
        } else {
            return false;
        }
        self.into.extend_from_slice(bytes);
        true
    }
}

/// Whether an attribute of an object has such a name as a pickler asks for: it would take that for the class's.
fn is_special(name: &Bound<'_, PyAny>) -> bool {
    let name = name.cast::<PyString>();
    name.is_ok_and(|name| name.to_str().is_ok_and(|name| name.starts_with("__")))
}
