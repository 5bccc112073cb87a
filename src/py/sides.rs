//! The two sides of a channel, as Python's threads come to them: with the GIL, which nobody keeps while he waits.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arena::raise;
use super::fast::new_bytes;
use super::fast::BlankBytes;
use super::locks::until_done;
use super::messages::{prepare_for_blocks, takes_blocks, BYTES, ENCODED};
use super::primitives::{decode, Short, SHORT};
use crate::arena::Arena;
use crate::atomics::AtomicU32;
use crate::channel::claims::ClaimBody;
use crate::channel::layout::{Label, LONGEST};
use crate::channel::{Got, Message, Put, A_MOMENT};
use crate::sync::patience::{back_off, Patience, Step};
use crate::sync::side::Held;

/// Whose lock, and who is listened to.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    Producers = 0,
    Consumers = 1,
}

/// A channel, as the floor below has it.
pub type Face = crate::channel::Channel<'static>;

/// The lock of a side, however long that takes.
pub fn lock(py: Python<'_>, face: &Face, side: Side) -> PyResult<Held> {
    loop {
        if let Some(held) = lock_within(py, face, side, None)? {
            return Ok(held);
        }
    }
}

/// The lock of a side, unless that takes longer; acquired with the GIL, so that nobody waits for that, too. Whoever has it has
/// it for a moment, unless he is stopped: so a moment is waited at least.
pub fn lock_within(py: Python<'_>, face: &Face, side: Side, timeout: Option<Duration>) -> PyResult<Option<Held>> {
    let word = match side {
        Side::Producers => &face.body.put_lock,
        Side::Consumers => &face.body.get_lock,
    };
    lock_word_within(py, face.arena, word, timeout.map(|timeout| timeout.max(A_MOMENT)))
}

/// A lock of the same kind, however long that takes.
pub fn lock_word(py: Python<'_>, arena: &'static Arena, word: &'static AtomicU32) -> PyResult<Held> {
    loop {
        if let Some(held) = lock_word_within(py, arena, word, None)? {
            return Ok(held);
        }
    }
}

fn lock_word_within(
    py: Python<'_>,
    arena: &'static Arena,
    word: &'static AtomicU32,
    timeout: Option<Duration>,
) -> PyResult<Option<Held>> {
    let mut patience = Patience::with_owner(timeout);
    loop {
        let attempt = || Held::try_lock(arena, word);
        if let Some(held) = attempt().or_else(|| back_off(attempt)) {
            return Ok(Some(held));
        }
        let freed = until_done(py, || {
            // Given up at once, without the GIL: it is free, or was taken over from a dead owner.
            Ok(match Held::lock(arena, word, &mut patience)? {
                Step::Done(held) => {
                    drop(held);
                    Step::Done(())
                }
                Step::TimedOut => Step::TimedOut,
                Step::GoOn => Step::GoOn,
            })
        })?;
        if freed.is_none() {
            return Ok(None);
        }
    }
}

/// How long the bytes are that come next, most likely: as long as the last ones, if those were long; or 0.
#[derive(Default)]
pub struct Expected(AtomicUsize);

/// An object, or none where it could not be decoded, and Python's exception is set: it fits into registers.
pub type AtOnce<'py> = Result<Bound<'py, PyAny>, IsSet>;

/// An exception is set.
pub struct IsSet;

#[cold]
fn set(py: Python<'_>, error: PyErr) -> IsSet {
    error.restore(py);
    IsSet
}

/// Get the object at the head, if that can be done at once, and by copying it; `None` says nothing: then `try_get` and all that
/// belongs to waiting know more. An error is one of decoding it, when it was taken; or MemoryError.
///
/// What is got most often comes this way. With the lock nothing is allocated: a garbage collection would run Python, which may
/// want the same lock. So long bytes are copied into an object that was made before; where they are longer or shorter than
/// expected, the way through a buffer is next.
#[inline]
pub fn get_at_once<'py>(py: Python<'py>, face: &Face, expected: &Expected) -> Option<AtOnce<'py>> {
    let blank = match expected.0.load(Relaxed) {
        0 => None,
        length => BlankBytes::new(py, length),
    };
    let consumers = face.try_consumers()?;
    let ahead = face.short_ahead(&consumers)?;
    let is_long = ahead.kind == BYTES && ahead.length > SHORT;
    expected.0.store(if is_long { ahead.length } else { 0 }, Relaxed);
    if is_long {
        let blank = blank.filter(|blank| blank.length() == ahead.length)?;
        let object = blank.filled(&face.arena.file, ahead.place)?;
        face.take_short(&consumers, ahead).ok()?;
        drop(consumers);
        face.announce_departure();
        return Some(Ok(object));
    }
    let mut bytes = [0; SHORT];
    let bytes = bytes.get_mut(..ahead.length)?;
    if !matches!(ahead.kind, ENCODED | BYTES) {
        return None;
    }
    face.arena.file.read_to(ahead.place, bytes).ok()?;
    face.take_short(&consumers, ahead).ok()?;
    drop(consumers);
    face.announce_departure();
    let object = match ahead.kind {
        BYTES => new_bytes(py, bytes),
        _ => decode(py, bytes),
    };
    Some(object.map_err(|error| set(py, error)))
}

/// Put an object, if that can be done at once, and without pickling it; false says nothing.
#[inline]
pub fn put_at_once(face: &Face, object: &Bound<'_, PyAny>) -> bool {
    let mut short = Short::nothing();
    let message = match object.cast_exact::<PyBytes>() {
        Ok(bytes) if bytes.as_bytes().len() <= LONGEST => Message::Bytes(BYTES, bytes.as_bytes()),
        Ok(_) => return false,
        Err(_) => match short.encode(object) {
            Some(bytes) => Message::Bytes(ENCODED, bytes),
            None => return false,
        },
    };
    let Some(producers) = face.try_producers() else {
        return false;
    };
    let put = face.put(&producers, message);
    drop(producers);
    let put = matches!(put, Ok(Put::Done));
    if put {
        face.announce_arrival();
    }
    put
}

/// Get what there is; `None` when somebody else is getting just now.
///
/// # Errors
/// What the floor below says; what long messages need could not be loaded. It was not taken, then.
pub fn try_get(py: Python<'_>, face: &Face, buffer: &mut Vec<u8>) -> PyResult<Option<Got>> {
    Ok(try_get_labelled(py, face, buffer, None)?.map(|(got, _)| got))
}

/// The same, with its label, which a claim has noted before.
///
/// # Errors
/// As above.
pub fn try_get_labelled(
    py: Python<'_>,
    face: &Face,
    buffer: &mut Vec<u8>,
    claim: Option<&ClaimBody>,
) -> PyResult<Option<(Got, Label)>> {
    let Some(consumers) = face.try_consumers() else {
        return Ok(None);
    };
    let got = face.get_labelled(&consumers, buffer, takes_blocks(), claim);
    drop(consumers); // to raise runs Python
    let (got, label) = got.map_err(|error| raise(py, error))?;
    if matches!(got, Got::BlockAhead) {
        prepare_for_blocks(py)?;
        return try_get_labelled(py, face, buffer, claim);
    }
    if matches!(got, Got::Bytes(_) | Got::Block(..)) {
        face.announce_departure();
    }
    Ok(Some((got, label)))
}

pub fn is_at_once(seconds: Option<f64>) -> bool {
    seconds.is_some_and(|seconds| seconds <= 0.0)
}
