//! Numbers of ctypes in shared memory, changed without a lock.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use super::fast::place_in;
use super::memory::Memory;

/// What the bits of a number mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Signed,
    Unsigned,
    Float,
}

/// A number's kind, and how many bytes it has.
#[derive(Debug, Clone, Copy)]
struct Format {
    kind: Kind,
    bytes: usize,
}

impl Format {
    /// That of a type code of ctypes.
    fn of(code: char) -> PyResult<Self> {
        use std::ffi::{c_int, c_long, c_longlong, c_short};
        let (kind, bytes) = match code {
            'b' => (Kind::Signed, 1),
            'B' => (Kind::Unsigned, 1),
            'h' => (Kind::Signed, size_of::<c_short>()),
            'H' => (Kind::Unsigned, size_of::<c_short>()),
            'i' => (Kind::Signed, size_of::<c_int>()),
            'I' => (Kind::Unsigned, size_of::<c_int>()),
            'l' => (Kind::Signed, size_of::<c_long>()),
            'L' => (Kind::Unsigned, size_of::<c_long>()),
            'q' => (Kind::Signed, size_of::<c_longlong>()),
            'Q' => (Kind::Unsigned, size_of::<c_longlong>()),
            'f' => (Kind::Float, 4),
            'd' => (Kind::Float, 8),
            _ => {
                return Err(PyValueError::new_err(format!(
                    "{code:?} is not the type code of a number"
                )))
            }
        };
        Ok(Self { kind, bytes })
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes)
    }

    /// The bits of a number, as ctypes makes them: too large an integer loses its upper ones.
    fn bits_of(self, number: &Bound<'_, PyAny>) -> PyResult<u64> {
        match self.kind {
            Kind::Float => Ok(self.bits_of_float(number.extract()?)),
            Kind::Signed | Kind::Unsigned if !number.is_instance_of::<PyInt>() => Err(PyTypeError::new_err(format!(
                "an int is needed, not {}",
                number.get_type().name()?
            ))),
            Kind::Signed | Kind::Unsigned => number.call_method1("__and__", (self.mask(),))?.extract(),
        }
    }

    fn bits_of_float(self, number: f64) -> u64 {
        if self.bytes == 4 {
            u64::from((number as f32).to_bits())
        } else {
            number.to_bits()
        }
    }

    fn float(self, bits: u64) -> f64 {
        if self.bytes == 4 {
            f64::from(f32::from_bits(bits as u32))
        } else {
            f64::from_bits(bits)
        }
    }

    fn signed(self, bits: u64) -> i64 {
        let unused = 64 - 8 * self.bytes as u32;
        (bits << unused) as i64 >> unused
    }

    fn number(self, py: Python<'_>, bits: u64) -> PyResult<Bound<'_, PyAny>> {
        Ok(match self.kind {
            Kind::Signed => PyInt::new(py, self.signed(bits)).into_any(),
            Kind::Unsigned => PyInt::new(py, bits).into_any(),
            Kind::Float => PyFloat::new(py, self.float(bits)).into_any(),
        })
    }

    fn sum(self, bits: u64, other: u64) -> u64 {
        match self.kind {
            Kind::Float => self.bits_of_float(self.float(bits) + self.float(other)),
            Kind::Signed | Kind::Unsigned => bits.wrapping_add(other) & self.mask(),
        }
    }
}

/// Add to a number of this type code, `at` bytes from the beginning, in one instruction; what it is then.
#[pyfunction]
#[pyo3(signature = (memory, at, code, number, /))]
fn add_number<'py>(
    py: Python<'py>,
    memory: &Memory,
    at: u64,
    code: char,
    number: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let format = Format::of(code)?;
    let other = format.bits_of(number)?;
    let place = place_in(memory, at, format.bytes).ok_or_else(misplaced)?;
    let (before, _) = place.update(|bits| Some(format.sum(bits, other)));
    format.number(py, format.sum(before, other))
}

/// Replace a number of this type code by another one if it equals `expected`, in one instruction; whether it did.
#[pyfunction]
#[pyo3(signature = (memory, at, code, expected, replacement, /))]
fn exchange_number(
    py: Python<'_>,
    memory: &Memory,
    at: u64,
    code: char,
    expected: &Bound<'_, PyAny>,
    replacement: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let format = Format::of(code)?;
    let new = format.bits_of(replacement)?;
    let old = format.bits_of(expected)?;
    let place = place_in(memory, at, format.bytes).ok_or_else(misplaced)?;
    if format.kind == Kind::Float {
        let old = format.float(old);
        return Ok(place.update(|bits| (format.float(bits) == old).then_some(new)).1);
    }
    if !format.number(py, old)?.eq(expected)? {
        return Ok(false); // no number of this type equals it
    }
    Ok(place.update(|bits| (bits == old).then_some(new)).1)
}

fn misplaced() -> PyErr {
    PyValueError::new_err("there is no such number in this memory that can be changed at once")
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(add_number, module)?)?;
    module.add_function(wrap_pyfunction!(exchange_number, module)?)
}
