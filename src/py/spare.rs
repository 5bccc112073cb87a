//! The spare's side: from the wait for work to the surroundings that the kernel keeps.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, RawFd};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::birth::close_all;
use super::call::{borrow_all, Outcome};
use super::caller::Way;
use crate::sys::descriptor::{borrow, take_over};
use crate::sys::poll::{any_readable, Until};
use crate::sys::signal::Taken;
use crate::sys::{bell, ending, process, signal, streams};
use crate::wire::work;

/// What a spare is to become. Whoever reads the numbers owns the descriptors.
#[pyclass(frozen, module = "allcores._core")]
struct Work {
    way: [RawFd; 3],
    /// A pidfd of the caller.
    #[pyo3(get)]
    parent: RawFd,
    /// The write end of the resource tracker's pipe.
    #[pyo3(get)]
    tracker: RawFd,
    streams: [RawFd; 3],
    /// Those to which the arguments refer, by index.
    #[pyo3(get)]
    descriptors: Vec<RawFd>,
    /// The caller's.
    #[pyo3(get)]
    surroundings: Py<PyBytes>,
    /// The pickled process object.
    #[pyo3(get)]
    process: Py<PyBytes>,
}

impl Work {
    fn new(py: Python<'_>, work: work::Work) -> Self {
        Self {
            way: work.way.map(IntoRawFd::into_raw_fd),
            parent: work.parent.into_raw_fd(),
            tracker: work.tracker.into_raw_fd(),
            streams: work.streams.map(|stream| stream.map_or(-1, IntoRawFd::into_raw_fd)),
            descriptors: work.descriptors.into_iter().map(IntoRawFd::into_raw_fd).collect(),
            surroundings: PyBytes::new(py, &work.surroundings).unbind(),
            process: PyBytes::new(py, &work.process).unbind(),
        }
    }
}

#[pymethods]
impl Work {
    /// The way to the zygote.
    #[getter]
    fn way(&self) -> Outcome<Way> {
        let [requests, offers, bell] = self.way;
        Way::new(requests, offers, bell)
    }

    /// Once: close what only a spare has, keep a limit of open files, and make the caller's standard streams this process's.
    ///
    /// Returns which of them are open, and whether standard output is a terminal.
    #[pyo3(signature = (spares, open_files, /))]
    fn take_place(&self, spares: Vec<RawFd>, open_files: (i64, i64)) -> Outcome<([bool; 3], bool)> {
        close_all(spares);
        process::limit_open_files(open_files.0, open_files.1)?;
        streams::replace(self.streams.map(take_over))?;
        let is_terminal = borrow(1)?.is_terminal();
        Ok((self.streams.map(|stream| stream >= 0), is_terminal))
    }
}

/// The bell rings first when work is being made ready: falling asleep and waking up again would take longer.
const SPIN: Duration = Duration::from_micros(500);

/// Wait for work: for the bell, and for the end of the line.
///
/// Not for a message on the line, see "Bells" in `python/allcores/_zygote/README.md`. When the bell has rung, each part of
/// `rehearsal` is called, once, as long as no work is there. `signals` are blocked: one that comes while there is no work
/// is not for the process that this one will become, and is taken off. EOFError when no work will come.
#[pyfunction]
#[pyo3(signature = (line, bell, signals, rehearsal, /))]
fn wait_for_work(
    py: Python<'_>,
    line: RawFd,
    bell: RawFd,
    signals: Vec<i32>,
    rehearsal: Vec<Bound<'_, PyAny>>,
) -> Outcome<Work> {
    let [line, bell] = borrow_all([line, bell])?;
    let pending = signal::pending(&signals)?;
    let mut rehearsal = rehearsal.into_iter();
    loop {
        let watched = [
            (bell, Until::Readable),
            (line, Until::Ended),
            (pending.as_fd(), Until::Readable),
        ];
        // Other threads, which could run meanwhile, there are none.
        let [rung, _, _] = match any_readable(watched, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                py.check_signals()?;
                continue;
            }
            result => result?,
        };
        if rung {
            bell::hear(bell)?; // before the look at the line: it may be rung again right after that
        }
        let mut spin_until = None; // from when there is nothing else to do
        loop {
            // Before the look at the line: those that were there before the work are for nobody.
            let signals = signal::take(pending.as_fd())?;
            match work::Work::receive(line) {
                Ok(work) => return begin(py, work, signals, pending.as_fd()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if rung {
                if let Some(part) = rehearsal.next() {
                    part.call0()?;
                    continue;
                }
            }
            if !rung || Instant::now() >= *spin_until.get_or_insert_with(|| Instant::now() + SPIN) {
                break;
            }
        }
    }
}

/// Have work. Of the signals that are pending, the process that begins with it gets those that its caller has sent.
///
/// Others reached a spare that had not yet seen that it was taken, such as Ctrl-C in a program that starts a process for
/// that. Its caller's, of whom nothing tells whether they were sent a moment before or after the work, may be a
/// `terminate()`, which must not be lost.
fn begin(py: Python<'_>, work: work::Work, mut signals: Vec<Taken>, pending: BorrowedFd<'_>) -> Outcome<Work> {
    signals.extend(signal::take(pending)?);
    let of_caller: Vec<i32> = signals
        .iter()
        .filter(|signal| signal.sender == work.caller)
        .map(|signal| signal.number)
        .collect();
    signal::raise_all(&of_caller)?;
    Ok(Work::new(py, work))
}

/// Block these signals, one bit each, and no others. Those that came meanwhile are delivered at the end of this.
#[pyfunction]
#[pyo3(signature = (signals, /))]
fn block_signals(py: Python<'_>, signals: u64) -> Outcome<()> {
    signal::block(signals)?;
    Ok(py.check_signals()?)
}

/// End a child of the zygote as `os._exit` does; where nobody can tell the difference, ahead of its memory.
#[pyfunction]
#[pyo3(signature = (code, /))]
fn end_child(code: i32) {
    ending::end(code)
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Work>()?;
    module.add_function(wrap_pyfunction!(wait_for_work, module)?)?;
    module.add_function(wrap_pyfunction!(block_signals, module)?)?;
    module.add_function(wrap_pyfunction!(end_child, module)?)?;
    Ok(())
}
