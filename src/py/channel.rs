//! Channels in Python.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyType;

use super::arena::{class_in, raise, thread, Address, Object};
use super::call::truth;
use super::fast::add_channel_methods;
use super::kept::Values;
use super::listening::Listening;
use super::locks::{timeout_of, until_done};
use super::messages::{buffer, keep, object_of, pickling, Outgoing};
use super::pace::Pace;
use super::sides::{
    get_at_once, is_at_once, lock, lock_within, put_at_once, try_get_labelled, AtOnce, Expected, Face, Side,
};
use crate::arena::layout::BLOCK_HEADER;
use crate::arena::tag::Kind;
use crate::arena::Arena;
use crate::atomics::AtomicU64;
use crate::atomics::Ordering::Relaxed;
use crate::channel::claims::ClaimBody;
use crate::channel::layout::{ChannelBody, Label};
use crate::channel::{GetWait, Got, Message, Put, PutWait, Until};
use crate::sync::side::Held;
use crate::sys::line::Line;

/// What was taken, and the buffer that it is in.
pub struct Taken {
    pub got: Option<Got>,
    pub label: Label,
    pub buffer: Vec<u8>,
}

/// A queue of messages.
#[pyclass(frozen, subclass, module = "allcores._core")]
pub struct Channel {
    /// Dropped first.
    listening: Listening,
    pace: Pace,
    expected: Expected,
    object: Object<ChannelBody>,
}

impl Channel {
    /// As the floor below has it; for a pipe with this process's end.
    pub fn face(&self, line: Option<Line>) -> Face {
        crate::channel::Channel {
            arena: self.object.arena,
            body: self.object.body,
            offset: self.object.offset(),
            line,
        }
    }

    pub fn arena(&self) -> &'static Arena {
        self.object.arena
    }

    pub fn lock(&self, py: Python<'_>, side: Side) -> PyResult<Held> {
        lock(py, &self.face(None), side)
    }

    pub fn lock_within(&self, py: Python<'_>, side: Side, timeout: Option<Duration>) -> PyResult<Option<Held>> {
        lock_within(py, &self.face(None), side, timeout)
    }

    /// Have the descriptor for messages, if there is one, not be readable if there are none.
    #[inline]
    pub fn silence_arrivals(&self) {
        self.listening.silence_arrivals(&self.face(None));
    }

    /// The same for room.
    #[inline]
    pub fn silence_departures(&self) {
        self.listening.silence_departures(&self.face(None));
    }

    /// Whether there is a message, when whoever has rung for one is waited for.
    fn waits_for_producers(&self, py: Python<'_>) -> PyResult<bool> {
        let face = self.face(None);
        self.listening.wait_for(py, &face, Side::Producers)?;
        Ok(!face.is_empty())
    }

    /// Whether there is room, when whoever has rung for some is waited for.
    fn waits_for_consumers(&self, py: Python<'_>) -> PyResult<bool> {
        let face = self.face(None);
        self.listening.wait_for(py, &face, Side::Consumers)?;
        Ok(!face.is_full())
    }

    /// Take a message, and the buffer that it is in.
    fn take(&self, py: Python<'_>, seconds: Option<f64>) -> PyResult<(Option<Got>, Vec<u8>)> {
        let taken = self.take_labelled(py, seconds, None)?;
        Ok((taken.got, taken.buffer))
    }

    /// The same, with its label, which a claim has noted before.
    pub fn take_labelled(
        &self,
        py: Python<'_>,
        seconds: Option<f64>,
        claim: Option<&'static ClaimBody>,
    ) -> PyResult<Taken> {
        let (mut buffer, face) = (buffer(), self.face(None));
        let until = timeout_of(seconds).and_then(|timeout| Instant::now().checked_add(timeout));
        if !is_at_once(seconds) {
            self.pace.before_get(&face);
        }
        loop {
            let mut got = try_get_labelled(py, &face, &mut buffer, claim)?;
            if matches!(got, Some((Got::Empty, _))) && is_at_once(seconds) && self.waits_for_producers(py)? {
                got = try_get_labelled(py, &face, &mut buffer, claim)?;
            }
            let (mut got, mut label) = got.unzip();
            if matches!(got, None | Some(Got::Empty)) && !(got.is_some() && is_at_once(seconds)) {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                let mut wait = GetWait::new(face, thread(), left, buffer).claiming(claim);
                got = until_done(py, || wait.step())?;
                (buffer, label) = (wait.take(), Some(wait.label()));
                if matches!(got, Some(Got::BlockAhead)) {
                    continue; // now, with the GIL
                }
            }
            self.silence_arrivals();
            let label = label.unwrap_or_default();
            return Ok(Taken { got, label, buffer });
        }
    }

    /// Put an object, if that can be done at once, and without pickling it; false says nothing.
    #[inline]
    pub fn put_at_once(&self, object: &Bound<'_, PyAny>) -> bool {
        let done = put_at_once(&self.face(None), object);
        if done {
            self.pace.put();
            self.silence_departures();
        }
        done
    }

    /// Get an object, if that can be done at once, and without unpickling it (`sides::get_at_once`).
    #[inline]
    pub fn get_at_once<'py>(&self, py: Python<'py>, seconds: Option<f64>) -> Option<AtOnce<'py>> {
        let face = self.face(None);
        if !is_at_once(seconds) {
            self.pace.before_get(&face);
        }
        let got = self.get_from(py, &face);
        if got.is_some() {
            self.silence_arrivals();
        }
        got
    }

    /// The same of its face, which may be a pipe's.
    #[inline]
    pub fn get_from<'py>(&self, py: Python<'py>, face: &Face) -> Option<AtOnce<'py>> {
        get_at_once(py, face, &self.expected)
    }

    /// Get an object; queue.Empty when there was none in time.
    pub fn get_one<'py>(&self, py: Python<'py>, seconds: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let (got, buffer) = self.take(py, seconds)?;
        let object = match got {
            Some(Got::Bytes(kind)) => object_of(py, self.object.arena, kind, &buffer, None),
            Some(Got::Block(kind, block)) => object_of(py, self.object.arena, kind, &[], Some(block)),
            Some(Got::Shut) => Err(of_queue(py, "ShutDown")),
            Some(Got::Empty | Got::BlockAhead) | None => Err(of_queue(py, "Empty")),
        };
        keep(buffer);
        object
    }

    #[cold]
    pub fn wait_and_put(&self, py: Python<'_>, message: Message<'_>, timeout: Option<Duration>) -> PyResult<Put> {
        let mut wait = PutWait::new(self.face(None), thread(), timeout);
        Ok(until_done(py, || wait.step(message))?.unwrap_or(Put::Full))
    }
}

#[pymethods]
impl Channel {
    #[new]
    #[pyo3(signature = (capacity, max_bytes=0, name=None, address=None))]
    fn new(
        py: Python<'_>,
        capacity: u32,
        max_bytes: u64,
        name: Option<&str>,
        address: Option<Address>,
    ) -> PyResult<Self> {
        pickling(py)?; // before anything is put
        let size = size_of::<ChannelBody>() as u64;
        let (object, is_new) = Object::<ChannelBody>::new(py, Kind::Channel, size, name, address)?;
        if is_new {
            object.body.capacity.store(capacity, Relaxed);
            object.body.most_units.store(max_bytes.div_ceil(8), Relaxed);
        }
        Ok(Self {
            object,
            listening: Listening::default(),
            pace: Pace::default(),
            expected: Expected::default(),
        })
    }

    /// Put an object; queue.Full when there was no room in `timeout` seconds, or at once unless `block`.
    #[pyo3(signature = (obj, block=true, timeout=None))]
    fn put(
        &self,
        py: Python<'_>,
        obj: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        let seconds = if block { timeout } else { Some(0.0) };
        let mut buffer = buffer();
        let outgoing = Outgoing::of(obj, &mut buffer)?;
        let message = outgoing.message(py, &buffer);
        let face = self.face(None);
        let at_once = match face.try_producers() {
            Some(producers) => {
                let put = face.put(&producers, message);
                drop(producers); // to raise runs Python
                Some(put.map_err(|error| raise(py, error))?)
            }
            None => None,
        };
        let put = match at_once {
            Some(Put::Done) => {
                face.announce_arrival();
                Put::Done
            }
            Some(Put::Shut) => Put::Shut,
            Some(Put::Full) if is_at_once(seconds) && !self.waits_for_consumers(py)? => Put::Full,
            _ => self.wait_and_put(py, message, timeout_of(seconds))?,
        };
        keep(buffer);
        self.pace.put();
        self.silence_departures();
        match put {
            Put::Done => Ok(()),
            Put::Full => Err(of_queue(py, "Full")),
            Put::Shut => Err(of_queue(py, "ShutDown")),
        }
    }

    /// Get an object; queue.Empty when there was none in `timeout` seconds, or at once unless `block`.
    #[pyo3(signature = (block=true, timeout=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.get_one(py, if block { timeout } else { Some(0.0) })
    }

    /// Put objects, in their order and with one lock as far as there is room; the number of those that were put, which
    /// is less than all when there was no room in `timeout` seconds, or at once unless `block`.
    #[pyo3(signature = (objects, block=true, timeout=None))]
    fn put_many(
        &self,
        py: Python<'_>,
        objects: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<usize> {
        self.put_batch(py, objects, if block { timeout } else { Some(0.0) })
    }

    /// Get what there is, `most` objects at most and with one lock, when there is something; queue.Empty as for `get`.
    ///
    /// What unpickling one of them raises is raised when all were tried; its attribute `got` has the others.
    #[pyo3(signature = (most=None, block=true, timeout=None))]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        most: Option<usize>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.get_batch(py, most.unwrap_or(usize::MAX), if block { timeout } else { Some(0.0) })
    }

    /// Wait until there is something to get, or never will be; False when that took longer than `timeout` seconds.
    #[pyo3(signature = (timeout, /))]
    fn _poll(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let mut wait = Until::there_is_a_message(self.face(None), thread(), timeout_of(timeout));
        Ok(until_done(py, || wait.step())?.is_some())
    }

    /// How many bytes its messages may have, a multiple of 8; 0: any number.
    fn _max_bytes(&self) -> u64 {
        self.object.body.most_units.load(Relaxed).saturating_mul(8)
    }

    /// How many messages there are.
    fn _length(&self) -> u32 {
        self.face(None).len()
    }

    /// Have nothing put from now on.
    fn _shut(&self, py: Python<'_>) -> PyResult<()> {
        loop {
            let producers = self.lock(py, Side::Producers)?;
            if let Some(consumers) = self.face(None).try_consumers() {
                let shut = self.face(None).shut(&producers, &consumers);
                drop((producers, consumers));
                shut.map_err(|error| raise(py, error))?;
                break;
            }
            drop(producers); // a signal handler that runs while the other one is waited for may put
            drop(self.lock(py, Side::Consumers)?);
        }
        self.face(None).announce_all();
        Ok(())
    }

    /// Drop a message, as a task that is done, and make nothing of it; False when there is none.
    fn _drop_message(&self, py: Python<'_>) -> PyResult<bool> {
        let (got, buffer) = self.take(py, Some(0.0))?;
        keep(buffer);
        match got {
            Some(Got::Bytes(_)) => {}
            Some(Got::Block(_, block)) => drop(Object::<AtomicU64>::of(py, self.object.arena, block)?),
            Some(Got::Empty | Got::Shut | Got::BlockAhead) | None => return Ok(false),
        }
        let _ = self.face(None).task_done(); // false when more were said to be done than were got
        Ok(true)
    }

    /// Return a descriptor that is readable when there may be a message (or room, if `for_room`), and is this object's.
    #[pyo3(signature = (for_room, /))]
    fn _listen(&self, py: Python<'_>, for_room: bool) -> PyResult<RawFd> {
        let side = if for_room { Side::Consumers } else { Side::Producers };
        self.listening.listen(py, &self.face(None), side)
    }

    /// Whether nothing can be put any more.
    fn _is_shut(&self) -> bool {
        self.face(None).is_shut()
    }

    /// Whether there is no room.
    fn _is_full(&self) -> bool {
        self.face(None).is_full()
    }

    /// Say that a task is done; False when all were.
    fn _task_done(&self) -> bool {
        self.face(None).task_done()
    }

    /// How many tasks are not done.
    fn _unfinished(&self) -> u32 {
        self.face(None).unfinished()
    }

    /// Wait until all tasks are done.
    fn _join(&self, py: Python<'_>) -> PyResult<()> {
        let mut wait = Until::tasks_are_done(self.face(None), thread());
        until_done(py, || wait.step())?;
        Ok(())
    }

    /// Session, offset and generation, by which every process of the session finds it.
    fn _address(&self) -> Address {
        self.object.address()
    }

    /// The name it was given.
    fn _name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.object.name(py)
    }

    /// How many threads wait for it.
    fn _waiters(&self) -> usize {
        self.object.arena.waiting(self.object.offset()).count()
    }
}

/// An exception of `allcores.queues`.
pub fn of_queue(py: Python<'_>, class: &str) -> PyErr {
    static CLASSES: Values<Py<PyType>> = Values::none();

    let look = || Ok(class_in(py, "allcores.queues", class)?.cast_into()?);
    let found = CLASSES.find_or_make(py, class.as_bytes(), look);
    found.map_or_else(|error| error, |class| PyErr::from_type(class, ()))
}

const _: () = assert!(size_of::<ChannelBody>() as u64 + BLOCK_HEADER <= 512);

/// Put the fast `put` and `get` into a class derived from Channel.
#[pyfunction]
#[pyo3(signature = (channel, /))]
fn add_fast_channel_methods(channel: &Bound<'_, PyType>) -> PyResult<()> {
    add_channel_methods(channel)
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(add_fast_channel_methods, module)?)?;
    module.add_class::<Channel>()
}
