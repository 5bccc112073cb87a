//! What a class says of how its objects are pickled, as far as `simple` and `unchanging` want to know it.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};

use super::fast;
use super::kept::Classes;

/// `Py_TPFLAGS_HEAPTYPE`: not of a static class of C code, which nobody can change.
const MADE_AT_RUN_TIME: u64 = 1 << 9;

/// A class of C code that nobody can change, whose objects are made again by a call. It makes its names anew each time.
pub struct Called {
    class: Py<PyType>,
    pub name: Py<PyString>,
    /// What makes a call of an object, as a pickler would find it; and whether it asks for the protocol's version.
    reduce: Py<PyAny>,
    has_version: bool,
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
                    let (of_all, reduce) = (intern!(py, "__reduce_ex__"), intern!(py, "__reduce__"));
                    let has_version = !class.getattr(of_all)?.is(&py.get_type::<PyAny>().getattr(of_all)?);
                    let reduce = class.getattr(if has_version { of_all } else { reduce })?;
                    PyResult::Ok(is_as_ever.then(|| Self {
                        name: PyString::intern(py, name).unbind(),
                        class: class.unbind(),
                        reduce: reduce.unbind(),
                        has_version,
                    }))
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

    /// What an object is pickled as by a protocol of this version: its class, what to call that with.
    ///
    /// # Errors
    /// Those of its class.
    pub fn reduce<'py>(&self, object: &Bound<'py, PyAny>, version: u8) -> PyResult<Bound<'py, PyAny>> {
        let reduce = self.reduce.bind(object.py());
        if self.has_version {
            reduce.call1((object, version))
        } else {
            reduce.call1((object,))
        }
    }
}

/// What a class that says nothing has not got, and the layout of a `class Plain: pass`, which it has.
pub struct Ordinary {
    absent: [Py<PyString>; 6],
    layout: [(Py<PyString>, isize); 4],
    /// How attributes are looked up: others have `__getattr__` or `__getattribute__`.
    lookup: usize,
    /// Classes that have the layout, which stays as it is.
    laid_out: Classes,
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
                "__class__",
            ]
            .map(interned),
            layout: [
                of_plain("__basicsize__")?,
                of_plain("__dictoffset__")?,
                of_plain("__weakrefoffset__")?,
                of_plain("__itemsize__")?,
            ],
            lookup: fast::lookup(plain.cast()?),
            laid_out: Classes::none(),
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
        if !class.get_type().is(py.get_type::<PyType>()) || fast::lookup(class) != self.lookup {
            return Ok(false); // it may be anything
        }
        if !self.laid_out.has(class) {
            for (name, number) in &self.layout {
                if class.getattr(name.bind(py))?.extract::<isize>()? != *number {
                    return Ok(false);
                }
            }
            self.laid_out.keep(class)?;
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
