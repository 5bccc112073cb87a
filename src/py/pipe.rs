//! One end of a pipe in Python.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyEOFError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PySlice};

use super::arena::{raise, thread};
use super::call::Raised;
use super::channel::Channel;
use super::locks::{timeout_of, until_done};
use super::messages::{buffer, bytes_of, keep, object_of, pickling, Outgoing};
use super::sides::{is_at_once, lock, lock_within, try_get, Face, IsSet, Side};
use crate::channel::layout::LONGEST;
use crate::channel::{Arrival, Got, LineWait, Message, Put, PutWait, A_MOMENT};
use crate::sync::patience::Step;
use crate::sys::descriptor::{nobody_reads, take_over};
use crate::sys::line::Line;
use crate::sys::liveness::now_since_boot;

const CLOSED: RawFd = -1;
/// Who has looked so lately does not look again.
const LOOK_NANOSECONDS: u64 = 20_000;

/// One end of a pipe: the channels from and to the other one, and a descriptor, which is this object's to close.
#[pyclass(frozen, subclass, module = "allcores._core")]
struct Connection {
    handle: AtomicI32,
    incoming: Option<Py<Channel>>,
    outgoing: Option<Py<Channel>>,
    may_read: AtomicBool,
    /// When it was looked last whether anybody has the other end, and how often that had been closed then.
    looked: AtomicU64,
    closes_seen: AtomicU64,
}

impl Connection {
    fn line(&self) -> PyResult<Line> {
        match self.handle.load(Ordering::Relaxed) {
            CLOSED => Err(closed()),
            number => Ok(Line {
                number,
                is_socket: self.incoming.is_some() && self.outgoing.is_some(),
            }),
        }
    }

    fn to_receive(&self) -> PyResult<(Face, Line)> {
        let line = self.line()?;
        match self.incoming.as_ref().filter(|_| self.may_read.load(Ordering::Relaxed)) {
            Some(channel) => Ok((channel.get().face(Some(line)), line)),
            None => Err(PyOSError::new_err("connection is write-only")),
        }
    }

    fn to_send(&self) -> PyResult<(Face, Line)> {
        let line = self.line()?;
        match &self.outgoing {
            Some(channel) => Ok((channel.get().face(Some(line)), line)),
            None => Err(PyOSError::new_err("connection is read-only")),
        }
    }

    fn put(&self, py: Python<'_>, (face, line): (Face, Line), message: Message<'_>) -> PyResult<()> {
        self.look_for_the_end(&face, line)?;
        if let Some(producers) = face.try_producers() {
            let put = face.put(&producers, message);
            drop(producers); // to raise runs Python
            if put.map_err(|error| raise(py, error))? == Put::Done {
                return Ok(());
            }
        }
        let mut wait = PutWait::new(face, thread(), None);
        let put = until_done(py, || {
            if !self.has(line) {
                return Ok(Step::TimedOut);
            }
            if line.has_ended()? {
                return Ok(Step::Done(Put::Shut));
            }
            wait.step(message)
        })?;
        match put {
            Some(Put::Done) => Ok(()),
            Some(_) => Err(Raised::from(nobody_reads()).into()),
            None => Err(closed()),
        }
    }

    /// Whether the descriptor still is this end's: another thread may have closed it, and its number be another file's.
    fn has(&self, line: Line) -> bool {
        self.handle.load(Ordering::Relaxed) == line.number
    }

    /// See whether anybody has the other end, unless the last look, a system call, was a moment ago and nobody has closed
    /// one since. Nobody can know of a death sooner, and expect an error.
    fn look_for_the_end(&self, face: &Face, line: Line) -> Result<(), Raised> {
        let (now, closes) = (now_since_boot(), face.body.closes.load(Ordering::Acquire));
        let is_fresh = now.wrapping_sub(self.looked.load(Ordering::Relaxed)) <= LOOK_NANOSECONDS
            && closes == self.closes_seen.load(Ordering::Relaxed);
        if is_fresh {
            return Ok(());
        }
        if line.has_ended()? {
            return Err(nobody_reads().into());
        }
        self.looked.store(now, Ordering::Relaxed);
        self.closes_seen.store(closes, Ordering::Relaxed);
        Ok(())
    }

    /// Wait a while, as long as this end is open.
    fn step(&self, line: Line, wait: &mut LineWait<'_>) -> crate::arena::Result<Step<Arrival>> {
        if self.has(line) {
            wait.step()
        } else {
            Ok(Step::TimedOut)
        }
    }

    /// Take a message, and the buffer that it is in.
    fn take(&self, py: Python<'_>) -> PyResult<(Got, Vec<u8>)> {
        let (face, line) = self.to_receive()?;
        let (mut buffer, mut wait) = (buffer(), None);
        loop {
            match try_get(py, &face, &mut buffer)? {
                Some(got @ (Got::Bytes(_) | Got::Block(..))) => {
                    if self.has(line) {
                        silence(&face, line);
                    }
                    return Ok((got, buffer));
                }
                Some(Got::Empty | Got::Shut | Got::BlockAhead) => {}
                None => drop(lock(py, &face, Side::Consumers)?),
            }
            let wait = wait.get_or_insert_with(|| LineWait::new(face, line, thread(), None));
            match until_done(py, || self.step(line, wait))? {
                Some(Arrival::End) => return Err(PyEOFError::new_err(())),
                Some(Arrival::Message) => {}
                None => return Err(closed()),
            }
        }
    }
}

fn closed() -> PyErr {
    PyOSError::new_err("handle is closed")
}

/// Have the descriptor not be readable if there is no message and somebody may care, unless somebody puts just now.
fn silence(face: &Face, line: Line) {
    if face.line_is_loud() {
        if let Some(producers) = face.try_producers() {
            face.silence_line(&producers, line);
        }
    }
}

#[pymethods]
impl Connection {
    #[new]
    #[pyo3(signature = (handle, incoming, outgoing, /))]
    fn new(
        py: Python<'_>,
        handle: RawFd,
        incoming: Option<Py<Channel>>,
        outgoing: Option<Py<Channel>>,
    ) -> PyResult<Self> {
        pickling(py)?; // before anything is sent
        if handle < 0 {
            return Err(PyValueError::new_err(format!("invalid handle: {handle}")));
        }
        Ok(Self {
            handle: AtomicI32::new(handle),
            may_read: AtomicBool::new(true),
            looked: AtomicU64::new(0),
            closes_seen: AtomicU64::new(0),
            incoming,
            outgoing,
        })
    }

    /// Send an object.
    #[pyo3(signature = (obj))]
    fn send(&self, py: Python<'_>, obj: &Bound<'_, PyAny>) -> PyResult<()> {
        let way = self.to_send()?;
        let mut buffer = buffer();
        let outgoing = Outgoing::of(obj, &mut buffer)?;
        self.put(py, way, outgoing.message(py, &buffer))?;
        keep(buffer);
        Ok(())
    }

    /// Send `size` bytes (default: all the rest) of an object that has bytes, from the `offset`th on.
    #[pyo3(signature = (buf, offset=0, size=None))]
    fn send_bytes(&self, py: Python<'_>, buf: &Bound<'_, PyAny>, offset: isize, size: Option<isize>) -> PyResult<()> {
        let way = self.to_send()?;
        let view = PyMemoryView::from(buf)?;
        let view = if view.getattr("format")?.eq("B")? && view.getattr("ndim")?.eq(1)? {
            view.into_any()
        } else {
            view.call_method1("cast", ("B",))?
        };
        let length = view.len()?;
        let offset = usize::try_from(offset).map_err(|_| PyValueError::new_err("offset is negative"))?;
        let Some(rest) = length.checked_sub(offset) else {
            return Err(PyValueError::new_err("buffer length < offset"));
        };
        let size = match size.map(usize::try_from) {
            None => rest,
            Some(Err(_)) => return Err(PyValueError::new_err("size is negative")),
            Some(Ok(size)) if size > rest => return Err(PyValueError::new_err("buffer length < offset + size")),
            Some(Ok(size)) => size,
        };
        let part = if size == length {
            view
        } else {
            view.get_item(PySlice::new(py, offset as isize, (offset + size) as isize, 1))?
        };
        let mut buffer = buffer();
        let outgoing = if size > LONGEST {
            Outgoing::RawBlock(pickling(py)?.keep.call1(py, (part,))?.extract(py)?)
        } else {
            buffer.resize(size, 0);
            PyBuffer::<u8>::get(&part)?.copy_to_slice(py, &mut buffer)?;
            Outgoing::Raw(0..size)
        };
        self.put(py, way, outgoing.message(py, &buffer))?;
        keep(buffer);
        Ok(())
    }

    /// Receive an object; EOFError when there is none, and nobody has the other end.
    fn recv<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (face, line) = self.to_receive()?;
        let channel = self.incoming.as_ref();
        if let Some(object) = channel.and_then(|channel| channel.get().get_from(py, &face)) {
            if self.has(line) {
                silence(&face, line);
            }
            return object.map_err(|IsSet| PyErr::fetch(py));
        }
        let arena = face.arena;
        let (got, buffer) = self.take(py)?;
        let object = match got {
            Got::Block(kind, block) => object_of(py, arena, kind, &[], Some(block)),
            Got::Bytes(kind) => object_of(py, arena, kind, &buffer, None),
            Got::Empty | Got::Shut | Got::BlockAhead => unreachable!("it was taken"),
        };
        keep(buffer);
        object
    }

    /// Receive a message as bytes; EOFError as for `recv`.
    fn _receive_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let arena = self.to_receive()?.0.arena;
        let (got, buffer) = self.take(py)?;
        let bytes = match got {
            Got::Block(kind, block) => bytes_of(py, arena, kind, &[], Some(block)),
            Got::Bytes(kind) => bytes_of(py, arena, kind, &buffer, None),
            Got::Empty | Got::Shut | Got::BlockAhead => unreachable!("it was taken"),
        };
        keep(buffer);
        bytes
    }

    /// Wait `timeout` seconds at most until there is something to receive, or the end; True when there is.
    #[pyo3(signature = (timeout=Some(0.0)), text_signature = "($self, timeout=0.0)")]
    fn poll(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let (face, line) = self.to_receive()?;
        if !face.is_empty() {
            return Ok(true);
        }
        if !is_at_once(timeout) {
            let mut wait = LineWait::new(face, line, thread(), timeout_of(timeout));
            let arrival = until_done(py, || self.step(line, &mut wait))?;
            return if self.has(line) {
                Ok(arrival.is_some())
            } else {
                Err(closed())
            };
        }
        if face.line_is_loud() {
            // Who found it readable is not told that there is nothing while somebody is about to put.
            if let Some(producers) = lock_within(py, &face, Side::Producers, Some(A_MOMENT))? {
                face.silence_line(&producers, line);
            }
        }
        let has_ended = line.has_ended().map_err(Raised::from)?;
        Ok(has_ended || !face.is_empty())
    }

    /// The descriptor, readable when there may be a message, or the end.
    fn fileno(&self) -> PyResult<RawFd> {
        let line = self.line()?;
        if let Ok((face, line)) = self.to_receive() {
            face.listen_to_line();
            silence(&face, line);
        }
        Ok(line.number)
    }

    /// Close this end, in this process.
    fn close(&self) {
        let Some(descriptor) = take_over(self.handle.swap(CLOSED, Ordering::Relaxed)) else {
            return;
        };
        drop(descriptor);
        if let Some(channel) = &self.incoming {
            let face = channel.get().face(None);
            face.body.closes.fetch_add(1, Ordering::AcqRel);
            face.announce_all(); // who waits for room looks whether there are readers left
        }
    }

    fn _close(&self) {
        self.close();
    }

    /// The descriptor, or None.
    #[getter]
    fn _handle(&self) -> Option<RawFd> {
        Some(self.handle.load(Ordering::Relaxed)).filter(|number| *number != CLOSED)
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self._handle().is_none()
    }

    /// Whether messages can be received.
    #[getter]
    fn readable(&self) -> bool {
        self.incoming.is_some() && self.may_read.load(Ordering::Relaxed)
    }

    /// Whether messages can be sent.
    #[getter]
    fn writable(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Receive nothing any more.
    fn _stop_reading(&self) {
        self.may_read.store(false, Ordering::Relaxed);
    }

    /// The channels from the other end and to it.
    fn _channels(&self, py: Python<'_>) -> (Option<Py<Channel>>, Option<Py<Channel>>) {
        let the = |channel: &Option<Py<Channel>>| channel.as_ref().map(|channel| channel.clone_ref(py));
        (the(&self.incoming), the(&self.outgoing))
    }
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Connection>()
}
