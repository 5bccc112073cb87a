//! The two sides of a channel, as Python's threads come to them: with the GIL, which nobody keeps while he waits.

use pyo3::prelude::*;

use super::locks::until_done;
use crate::channel::claims::ClaimBody;
use crate::channel::layout::Label;
use crate::channel::Got;
use crate::sync::patience::{Patience, Step};
use crate::sync::side::Held;

/// Whose lock, and who is listened to.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    Producers = 0,
    Consumers = 1,
}

/// A channel, as the floor below has it.
pub type Face = crate::channel::Channel<'static>;

/// The lock of a side, however long that takes; acquired with the GIL, so that nobody waits for that, too.
pub fn lock(py: Python<'_>, face: &Face, side: Side) -> PyResult<Held> {
    let word = match side {
        Side::Producers => &face.body.put_lock,
        Side::Consumers => &face.body.get_lock,
    };
    loop {
        if let Some(held) = Held::try_lock(face.arena, word) {
            return Ok(held);
        }
        let mut patience = Patience::with_owner(None);
        until_done(py, || {
            // Given up at once, without the GIL: it is free, or was taken over from a dead owner.
            Ok(match Held::lock(face.arena, word, &mut patience)? {
                Step::Done(held) => {
                    drop(held);
                    Step::Done(())
                }
                Step::TimedOut => Step::TimedOut,
                Step::GoOn => Step::GoOn,
            })
        })?;
    }
}

/// Get what there is; `None` when somebody else is getting just now.
///
/// # Errors
/// What the floor below says.
pub fn try_get(face: &Face, buffer: &mut Vec<u8>) -> crate::arena::Result<Option<Got>> {
    Ok(try_get_labelled(face, buffer, None)?.map(|(got, _)| got))
}

/// The same, with its label, which a claim has noted before.
///
/// # Errors
/// What the floor below says.
pub fn try_get_labelled(
    face: &Face,
    buffer: &mut Vec<u8>,
    claim: Option<&ClaimBody>,
) -> crate::arena::Result<Option<(Got, Label)>> {
    let Some(consumers) = face.try_consumers() else {
        return Ok(None);
    };
    let (got, label) = face.get_labelled(&consumers, buffer, true, claim)?;
    drop(consumers);
    if matches!(got, Got::Bytes(_) | Got::Block(..)) {
        face.announce_departure();
    }
    Ok(Some((got, label)))
}

pub fn is_at_once(seconds: Option<f64>) -> bool {
    seconds.is_some_and(|seconds| seconds <= 0.0)
}
