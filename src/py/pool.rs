//! Tasks and results of a pool: messages with labels, and claims (README of `channel`: claims).

use std::os::fd::RawFd;
use std::time::Duration;

use pyo3::exceptions::PyBlockingIOError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::arena::{raise, Address, Object};
use super::call::Outcome;
use super::channel::{Channel, Taken};
use super::messages::{buffer, keep, object_of, object_or_pickle, takes_blocks, Outgoing};
use super::pickler::Pickled;
use super::primitives::encode_pair;
use super::sides::Side;
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::atomics::AtomicU32;
use crate::atomics::Ordering::Relaxed;
use crate::channel::claims::{Claim as Says, ClaimBody};
use crate::channel::layout::{Label, LONGEST};
use crate::channel::{Got, Put, A_MOMENT};
use crate::sys::descriptor::borrow;
use crate::sys::signal::stop;

/// How many results are collected at once at most: whoever waits for one of them should not wait for all.
const COLLECTED: usize = 256;

/// How long others wait at most until a process has stopped.
const UNTIL_STOPPED: Duration = Duration::from_millis(20);

/// In a mark that `collect` returns: the object is a pickle still.
const IS_PICKLE: u8 = 0x80;

/// Which task a worker has.
#[pyclass(frozen, subclass, module = "allcores._core")]
pub struct Claim {
    object: Object<ClaimBody>,
}

#[pymethods]
impl Claim {
    #[new]
    #[pyo3(signature = (address=None))]
    fn new(py: Python<'_>, address: Option<Address>) -> PyResult<Self> {
        let size = size_of::<ClaimBody>() as u64;
        let (object, _) = Object::new(py, Kind::Claim, size, None, address)?;
        Ok(Self { object })
    }

    /// None before the worker has looked for a task; else the number of the one that it is about to take, or has taken,
    /// and that of its message. 0 and 0: it has none.
    fn _noted(&self) -> Option<(u32, u32)> {
        match self.object.body.read() {
            Says::New => None,
            Says::Idle => Some((0, 0)),
            Says::Noted(task, message) => Some((task, message)),
        }
    }

    /// Number of the task that the worker has taken, or is about to take, that of its message, and when that was, in
    /// nanoseconds since boot; None when it has no task.
    fn _noted_since(&self) -> Option<(u32, u32, u64)> {
        self.object.body.read_since()
    }

    /// Note that the last task is done with.
    fn _clear(&self) {
        self.object.body.clear();
    }

    /// Session, offset and generation, by which every process of the session finds it.
    fn _address(&self) -> Address {
        self.object.address()
    }

    /// None: it has no name.
    fn _name(&self) -> Option<String> {
        None
    }
}

/// Numbers of tasks, each given once until all were: a signal handler that sends a task, too, gets another one.
#[pyclass(frozen, module = "allcores._core")]
struct Numbers {
    next: AtomicU32,
}

#[pymethods]
impl Numbers {
    #[new]
    fn new() -> Self {
        Self {
            next: AtomicU32::new(1),
        }
    }

    /// The first of so many that follow one another; none is 0.
    #[pyo3(signature = (count, /))]
    fn take(&self, count: u32) -> u32 {
        let mut next = self.next.load(Relaxed);
        loop {
            let (first, behind) = match next.checked_add(count) {
                Some(behind) => (next, behind),
                None => (1, count.saturating_add(1)),
            };
            match self.next.compare_exchange_weak(next, behind, Relaxed, Relaxed) {
                Ok(_) => return first,
                Err(now) => next = now,
            }
        }
    }
}

/// Put an object into a channel without bounds, with a number, and a mark below 128; how many bytes it has in a block of
/// its own, 0 if it is short. With `by_name`, what can be pickled by value only is an error. With a mark above 127 the
/// object is a pickle, as `collect` has given it, and is put as it is, with that mark less 128.
#[pyfunction]
#[pyo3(signature = (channel, obj, number, mark, by_name, /))]
fn put_labelled(
    py: Python<'_>,
    channel: &Bound<'_, Channel>,
    obj: &Bound<'_, PyAny>,
    number: u32,
    mark: u8,
    by_name: bool,
) -> PyResult<u64> {
    let mut buffer = buffer();
    let outgoing = if mark & IS_PICKLE != 0 {
        Pickled::of(obj.clone())?.into()
    } else if by_name {
        Outgoing::by_name(obj, &mut buffer)?
    } else {
        Outgoing::of(obj, &mut buffer)?
    };
    let mark = mark & !IS_PICKLE;
    let size = put(py, channel.get(), &outgoing, &buffer, Label { number, mark })?;
    keep(buffer);
    Ok(size)
}

fn put(py: Python<'_>, channel: &Channel, outgoing: &Outgoing, buffer: &[u8], label: Label) -> PyResult<u64> {
    let face = channel.face(None);
    let message = outgoing.message(py, buffer);
    let producers = match face.try_producers() {
        Some(producers) => producers,
        None => channel.lock(py, Side::Producers)?,
    };
    let put = face.put_labelled(&producers, message, label);
    drop(producers);
    match put.map_err(|error| raise(py, error))? {
        Put::Done => face.announce_arrival(),
        Put::Full | Put::Shut => return Err(PyBlockingIOError::new_err("nothing can be put any more")),
    }
    Ok(match message {
        crate::channel::Message::Bytes(..) => 0,
        crate::channel::Message::Block(..) => u64::from(face.size_of(&message)) * 8,
    })
}

/// Put a task for each part of a sequence, `(head, part)`, with numbers that follow one another, as far as they have natural
/// encodings and are short; how many were put. Parts are from `start` on, of these lengths.
#[pyfunction]
#[pyo3(signature = (channel, head, items, start, lengths, number, mark, /))]
#[allow(clippy::too_many_arguments)] // they are the parts of the messages
fn put_parts(
    py: Python<'_>,
    channel: &Bound<'_, Channel>,
    head: &Bound<'_, PyBytes>,
    items: &Bound<'_, PyList>,
    start: usize,
    lengths: Vec<usize>,
    number: u32,
    mark: u8,
) -> PyResult<usize> {
    let (channel, mut at, mut buffer) = (channel.get(), start, buffer());
    let mut label = Label { number, mark };
    for (count, length) in lengths.into_iter().enumerate() {
        buffer.clear();
        let part = (at..at.saturating_add(length)).map(|index| items.get_item(index));
        if !encode_pair(head.as_bytes(), length, part, &mut buffer, LONGEST)? {
            keep(buffer);
            return Ok(count);
        }
        put(py, channel, &Outgoing::Encoded(0..buffer.len()), &buffer, label)?;
        at += length;
        label.number += 1;
    }
    keep(buffer);
    Ok(label.number.wrapping_sub(number) as usize)
}

/// Get the next task: its number, its mark, and itself; None when there will be none, or there is none within so many
/// seconds (without a limit: however long that takes). That the last one is done with is noted at once, and which one
/// this is before it is taken. What is raised then is this task's.
#[pyfunction]
#[pyo3(signature = (channel, claim, timeout=None, /))]
fn claim_task<'py>(
    py: Python<'py>,
    channel: &Bound<'py, Channel>,
    claim: &Bound<'py, Claim>,
    timeout: Option<f64>,
) -> PyResult<Option<(u32, u8, Bound<'py, PyAny>)>> {
    let (channel, claim) = (channel.get(), claim.get());
    claim.object.body.clear();
    let Taken { got, label, buffer } = channel.take_labelled(py, timeout, Some(claim.object.body))?;
    let task = match got {
        Some(Got::Bytes(kind)) => object_of(py, channel.arena(), kind, &buffer, None)?,
        Some(Got::Block(kind, block)) => object_of(py, channel.arena(), kind, &[], Some(block))?,
        Some(Got::Shut | Got::Empty | Got::BlockAhead) | None => return Ok(None),
    };
    keep(buffer);
    Ok(Some((label.number, label.mark, task)))
}

/// Get what there is, when there is something, and append number, mark and object of each to a list, or pickles of objects
/// (bytes or a Memory) where unpickling would run Python: then the mark has 128 more. False when nothing came in time.
#[pyfunction]
#[pyo3(signature = (channel, into, timeout, /))]
fn collect(
    py: Python<'_>,
    channel: &Bound<'_, Channel>,
    into: &Bound<'_, PyList>,
    timeout: Option<f64>,
) -> PyResult<bool> {
    let channel = channel.get();
    let append = |got: Got, label: Label, bytes: &[u8]| -> PyResult<bool> {
        let (object, is_pickle) = match got {
            Got::Bytes(kind) => object_or_pickle(py, channel.arena(), kind, bytes, None)?,
            Got::Block(kind, block) => object_or_pickle(py, channel.arena(), kind, &[], Some(block))?,
            Got::Empty | Got::Shut | Got::BlockAhead => return Ok(false),
        };
        let mark = if is_pickle { label.mark | IS_PICKLE } else { label.mark };
        into.append((label.number, mark, object))?;
        Ok(true)
    };
    let Taken { got, label, buffer } = channel.take_labelled(py, timeout, None)?;
    let Some(got) = got else { return Ok(false) };
    if !append(got, label, &buffer)? {
        return Ok(false);
    }
    keep(buffer);
    let face = channel.face(None);
    if face.is_empty() {
        return Ok(true);
    }
    let (mut bytes, mut taken) = (Vec::new(), Vec::new());
    let Some(consumers) = channel.lock_within(py, Side::Consumers, Some(A_MOMENT))? else {
        return Ok(true);
    };
    let mut outcome = Ok(());
    while taken.len() < COLLECTED {
        let start = bytes.len();
        match face.get_labelled(&consumers, &mut bytes, takes_blocks(), None) {
            Ok((Got::Empty | Got::Shut | Got::BlockAhead, _)) => break,
            Ok((got, label)) => taken.push((got, label, start..bytes.len())),
            Err(wrong) => {
                outcome = Err(wrong);
                break;
            }
        }
    }
    drop(consumers);
    channel.silence_arrivals();
    for (got, label, range) in taken {
        append(got, label, &bytes[range])?;
    }
    outcome.map(|()| true).map_err(|error| raise(py, error))
}

/// Stop a process (SIGSTOP), by pidfd and pid, at an instruction where it has neither the producers' lock of a channel nor the
/// heap's mutex: whoever looks what it has done would wait for those. False when it still runs after a moment: it goes on.
#[pyfunction]
#[pyo3(signature = (channel, pidfd, pid, /))]
fn stop_process(py: Python<'_>, channel: &Bound<'_, Channel>, pidfd: RawFd, pid: u32) -> Outcome<bool> {
    let (channel, process) = (channel.get(), borrow(pidfd)?);
    let producers = channel.lock(py, Side::Producers)?;
    // Second, as who puts takes it; and with the GIL, so no other thread of this process waits for it here.
    let heap = channel.arena().heap(&mut go_on);
    let stopped = heap.map(|heap| {
        let stopped = stop(process, pid, UNTIL_STOPPED);
        drop(heap);
        stopped
    });
    drop(producers); // to raise runs Python
    Ok(stopped.map_err(|error| raise(py, error))??)
}

/// Whether somebody has taken the message of this number, of those that were put into the channel.
#[pyfunction]
#[pyo3(signature = (channel, number, /))]
fn has_given(channel: &Bound<'_, Channel>, number: u32) -> bool {
    channel.get().face(None).has_given(number)
}

/// The number of the message that is put next: what was put before has lower ones, counted modulo 2^32.
#[pyfunction]
#[pyo3(signature = (channel, /))]
fn next_message(channel: &Bound<'_, Channel>) -> u32 {
    channel.get().face(None).next_message()
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Claim>()?;
    module.add_class::<Numbers>()?;
    module.add_function(wrap_pyfunction!(put_labelled, module)?)?;
    module.add_function(wrap_pyfunction!(put_parts, module)?)?;
    module.add_function(wrap_pyfunction!(claim_task, module)?)?;
    module.add_function(wrap_pyfunction!(collect, module)?)?;
    module.add_function(wrap_pyfunction!(stop_process, module)?)?;
    module.add_function(wrap_pyfunction!(has_given, module)?)?;
    module.add_function(wrap_pyfunction!(next_message, module)?)?;
    Ok(())
}
