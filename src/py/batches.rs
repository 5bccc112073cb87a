//! Many objects put into a channel, or got, with one lock.

use std::time::Instant;

use pyo3::prelude::*;

use super::arena::raise;
use super::channel::{of_queue, Channel};
use super::locks::timeout_of;
use super::messages::{object_of, prepare_for_blocks, takes_blocks, Outgoing};
use super::sides::Side;
use crate::channel::{Got, Message, Put, A_MOMENT};

impl Channel {
    /// Put objects as far as there is room in time; how many that were.
    pub fn put_batch(&self, py: Python<'_>, objects: &Bound<'_, PyAny>, seconds: Option<f64>) -> PyResult<usize> {
        let until = timeout_of(seconds).and_then(|timeout| Instant::now().checked_add(timeout));
        // All of them first: what cannot be pickled is an error before anything is put.
        let mut bytes = Vec::new();
        let mut parts = Vec::new();
        for object in objects.try_iter()? {
            parts.push(Outgoing::of(&object?, &mut bytes)?);
        }
        let messages: Vec<Message<'_>> = parts.iter().map(|part| part.message(py, &bytes)).collect();
        let (face, mut put) = (self.face(None), 0);
        while put < messages.len() {
            let before = put;
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let Some(producers) = self.lock_within(py, Side::Producers, left)? else {
                break;
            };
            let mut outcome = Put::Done;
            while put < messages.len() && outcome == Put::Done {
                outcome = match face.put(&producers, messages[put]) {
                    Ok(outcome) => outcome,
                    Err(error) => {
                        drop(producers);
                        face.announce_arrival();
                        return Err(raise(py, error));
                    }
                };
                put += usize::from(outcome == Put::Done);
            }
            drop(producers);
            if put > before {
                face.announce_arrival();
            }
            if outcome == Put::Full {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                if left.is_some_and(|left| left.is_zero()) {
                    break;
                }
                outcome = self.wait_and_put(py, messages[put], left)?;
                put += usize::from(outcome == Put::Done);
                if outcome == Put::Full {
                    break;
                }
            }
            if outcome == Put::Shut {
                return Err(of_queue(py, "ShutDown"));
            }
        }
        self.silence_departures();
        Ok(put)
    }

    /// Get what there is, `most` objects at most, when there is something in time.
    pub fn get_batch<'py>(
        &self,
        py: Python<'py>,
        most: usize,
        seconds: Option<f64>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let mut objects = vec![self.get_one(py, seconds)?];
        let face = self.face(None);
        if objects.len() == most || face.is_empty() {
            return Ok(objects);
        }
        let (mut bytes, mut got, mut error) = (Vec::new(), Vec::new(), None);
        loop {
            let consumers = match self.lock_within(py, Side::Consumers, Some(A_MOMENT)) {
                Ok(Some(consumers)) => consumers,
                Ok(None) => break, // some are better than none
                Err(wrong) => {
                    error = Some(wrong);
                    break;
                }
            };
            let is_block_ahead = loop {
                if objects.len() + got.len() == most {
                    break Ok(false);
                }
                let start = bytes.len();
                match face.get_labelled(&consumers, &mut bytes, takes_blocks(), None) {
                    Ok((Got::Bytes(kind), _)) => got.push((kind, start..bytes.len(), None)),
                    Ok((Got::Block(kind, block), _)) => got.push((kind, 0..0, Some(block))),
                    Ok((Got::BlockAhead, _)) => break Ok(true),
                    Ok((Got::Empty | Got::Shut, _)) => break Ok(false),
                    Err(wrong) => break Err(wrong),
                }
            };
            drop(consumers); // what follows runs Python
            match is_block_ahead {
                // When it cannot be loaded, who gets this message next is told.
                Ok(true) if prepare_for_blocks(py).is_ok() => {}
                Ok(_) => break,
                Err(wrong) => {
                    error = Some(raise(py, wrong));
                    break;
                }
            }
        }
        face.announce_departure();
        self.silence_arrivals();
        for (kind, range, block) in got {
            match object_of(py, self.arena(), kind, &bytes[range], block) {
                Ok(object) => objects.push(object),
                Err(wrong) => error = error.or(Some(wrong)),
            }
        }
        match error {
            None => Ok(objects),
            Some(error) => {
                error.value(py).setattr("got", objects)?;
                Err(error)
            }
        }
    }
}
