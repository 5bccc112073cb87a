//! What a class says of how its objects are pickled, as far as `simple` and `unchanging` want to know it.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};

/// `Py_TPFLAGS_HEAPTYPE`: not of a static class of C code, which nobody can change.
const MADE_AT_RUN_TIME: u64 = 1 << 9;

/// A class of C code that nobody can change, whose objects are made again by a call. It makes its names anew each time.
pub struct Called {
    class: Py<PyType>,
    pub name: Py<PyString>,
}

static CALLED: PyOnceLock<[Called; 5]> = PyOnceLock::new();

impl Called {
    /// The module of them all.
    pub const MODULE: &str = "datetime";

    /// The one that a class is, if it is one.
    ///
    /// # Errors
    /// Those of looking them up.
    pub fn find<'py>(class: &Bound<'py, PyType>, modules: &Bound<'py, PyDict>) -> PyResult<Option<&'py Self>> {
        let py = class.py();
        let called = match CALLED.get(py) {
            Some(found) => found,
            None => {
                let Some(module) = modules.get_item(intern!(py, "_datetime"))? else {
                    return Ok(None); // then there are no objects of these
                };
                let of = |name: &str| {
                    let class = module.getattr(name)?.extract::<Bound<'_, PyType>>()?;
                    let (flags, module) = (class.getattr("__flags__")?, class.getattr("__module__")?);
                    let is_as_ever = flags.extract::<u64>()? & MADE_AT_RUN_TIME == 0 && module.eq(Self::MODULE)?;
                    let name = PyString::intern(py, name).unbind();
                    let class = class.unbind();
                    PyResult::Ok(is_as_ever.then_some(Self { class, name }))
                };
                let [Some(date), Some(datetime), Some(time), Some(timedelta), Some(timezone)] = [
                    of("date")?,
                    of("datetime")?,
                    of("time")?,
                    of("timedelta")?,
                    of("timezone")?,
                ] else {
                    return Ok(None);
                };
                let found = [date, datetime, time, timedelta, timezone];
                CALLED.get_or_init(py, || found)
            }
        };
        Ok(called.iter().find(|called| called.class.is(class)))
    }
}

/// What a class that says nothing has not got, and the layout of a `class Plain: pass`, which it has.
pub struct Ordinary {
    absent: [Py<PyString>; 8],
    layout: [(Py<PyString>, isize); 4],
    /// Of `__dict__`, unless it is another one.
    descriptor: Py<PyAny>,
}

static ORDINARY: PyOnceLock<Ordinary> = PyOnceLock::new();

impl Ordinary {
    /// It.
    ///
    /// # Errors
    /// Those of looking it up.
    pub fn get(py: Python<'_>) -> PyResult<&'static Self> {
        if let Some(found) = ORDINARY.get(py) {
            return Ok(found);
        }
        let interned = |name: &str| PyString::intern(py, name).unbind();
        let plain = py.get_type::<PyType>().call1(("Plain", (), PyDict::new(py)))?;
        let of_plain = |name: &str| PyResult::Ok((interned(name), plain.getattr(name)?.extract()?));
        let attributes = plain.getattr("__dict__")?;
        let found = Self {
            absent: [
                "__reduce_ex__",
                "__reduce__",
                "__getstate__",
                "__getnewargs_ex__",
                "__getnewargs__",
                "__getattribute__",
                "__getattr__",
                "__class__",
            ]
            .map(interned),
            layout: [
                of_plain("__basicsize__")?,
                of_plain("__dictoffset__")?,
                of_plain("__weakrefoffset__")?,
                of_plain("__itemsize__")?,
            ],
            descriptor: attributes.get_item("__dict__")?.get_type().into_any().unbind(),
        };
        Ok(ORDINARY.get_or_init(py, || found))
    }

    /// Whether an object of a class is what is in its `__dict__`, as far as a pickler would find.
    ///
    /// # Errors
    /// Those of looking things up.
    pub fn is_such(&self, class: &Bound<'_, PyType>) -> PyResult<bool> {
        let py = class.py();
        if !class.get_type().is(py.get_type::<PyType>()) {
            return Ok(false); // it may be anything
        }
        for (name, number) in &self.layout {
            if class.getattr(name.bind(py))?.extract::<isize>()? != *number {
                return Ok(false);
            }
        }
        let mro = class.mro();
        for base in mro.iter().take(mro.len() - 1) {
            let attributes = base.getattr(intern!(py, "__dict__"))?;
            for name in &self.absent {
                if attributes.contains(name)? {
                    return Ok(false);
                }
            }
            let own = intern!(py, "__dict__");
            if attributes.contains(own)? && !attributes.get_item(own)?.get_type().is(&self.descriptor) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
