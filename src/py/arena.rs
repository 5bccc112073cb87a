//! The session's arena in Python: being in it, forking with it, and leaving it.

use std::cell::Cell;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::OnceLock;

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::call::Outcome;
use super::fast::imported;
use crate::arena::heap::go_on;
use crate::arena::objects::Handle;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Error, Pause, Shortage};
use crate::registry::forks::Embryo;
use crate::registry::processes::ProcessId;
use crate::sys::descriptor::take_over;
use crate::sys::fork::watch;
use crate::sys::shared::Shared;

static ARENA: OnceLock<Arena> = OnceLock::new();
thread_local! {
    /// The child that this thread is about to fork.
    static EMBRYO: Cell<Option<Embryo>> = const { Cell::new(None) };
    /// The last child that it has forked.
    static FORKED: Cell<Option<ProcessId>> = const { Cell::new(None) };
}

/// The arena that this process is in; the first use makes one.
pub fn arena(py: Python<'_>) -> PyResult<&'static Arena> {
    match ARENA.get() {
        Some(arena) => Ok(arena),
        None => open(py),
    }
}

/// The arena that this process is in, if it is in one.
pub fn arena_if_any() -> Option<&'static Arena> {
    ARENA.get()
}

#[cold]
fn open(py: Python<'_>) -> PyResult<&'static Arena> {
    py.import("allcores._arena")?.call_method0("create")?;
    ARENA
        .get()
        .ok_or_else(|| PyRuntimeError::new_err("the session's shared memory was not opened"))
}

/// What tells this thread from others of its process.
#[inline]
pub fn thread() -> u64 {
    crate::sys::process::thread()
}

/// Raise what a signal handler raises while the heap is waited for; the GIL is held.
pub fn waiting<T>(py: Python<'_>, call: impl FnOnce(Pause<'_>) -> crate::arena::Result<T>) -> PyResult<T> {
    let mut raised = None;
    let result = call(&mut || match py.check_signals() {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            raised = Some(error);
            ControlFlow::Break(io::ErrorKind::Interrupted.into())
        }
    });
    match raised {
        Some(error) => Err(error),
        None => result.map_err(|error| raise(py, error)),
    }
}

/// The exception of ours for an error of the arena's.
pub fn raise(py: Python<'_>, error: Error) -> PyErr {
    let class = match &error {
        Error::Full(_) => "ArenaFullError",
        Error::Corrupt(_) => "ArenaCorruptError",
        Error::Freed | Error::OtherKind => "HandleError",
        Error::Unheard(why) => return PyOSError::new_err((why.number(), why.to_string())),
        Error::Kernel(_) => {
            let Error::Kernel(error) = error else { unreachable!() };
            return super::call::Raised::from(error).into();
        }
    };
    let mut text = error.to_string();
    if let Error::Full(Shortage::Limit { .. } | Shortage::Memory { .. }) = error {
        text += &holders(py);
    }
    exception(py, class, (text,))
}

/// Say who has most of the memory, as the end of a sentence.
fn holders(py: Python<'_>) -> String {
    const NAMED: usize = 3;
    let holdings = ARENA.get().map(|arena| waiting(py, |pause| arena.holdings(pause)));
    let Some(Ok(holdings)) = holdings else {
        return String::new();
    };
    if holdings.is_empty() {
        return String::new();
    }
    let named: Vec<String> = holdings.iter().take(NAMED).map(ToString::to_string).collect();
    format!(". Objects in it: {}", named.join("; "))
}

/// An exception of `allcores.errors`.
pub fn exception<'py>(py: Python<'py>, class: &str, arguments: impl pyo3::call::PyCallArgs<'py>) -> PyErr {
    let made = class_in(py, "allcores.errors", class).and_then(|class| class.call1(arguments));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// A class of a module, which is imported unless it has been.
///
/// # Errors
/// Those of the import.
pub fn class_in<'py>(py: Python<'py>, module: &str, class: &str) -> PyResult<Bound<'py, PyAny>> {
    let module = PyString::from_bytes(py, module.as_bytes())?;
    let class = PyString::from_bytes(py, class.as_bytes())?;
    // Without the search that an import is; another thread may be importing it just now.
    match imported(&module).and_then(|module| module.getattr(&class).ok()) {
        Some(class) => Ok(class),
        None => py.import(module)?.getattr(class),
    }
}

/// An object in the arena, as one Python object has it; dropped, its reference is given back.
pub struct Object<B: 'static> {
    pub arena: &'static Arena,
    pub body: &'static B,
    handle: Handle,
}

/// What a pickle says of an object: session, offset and generation.
pub type Address = (u128, u64, u32);

impl<B: Shared> Object<B> {
    /// Make one, or have the one that an address means.
    pub fn new(
        py: Python<'_>,
        kind: Kind,
        size: u64,
        name: Option<&str>,
        address: Option<Address>,
    ) -> PyResult<(Self, bool)> {
        let arena = arena(py)?;
        let handle = match address {
            None => waiting(py, |pause| arena.make(kind, size, name, pause))?,
            Some((session, offset, generation)) => {
                if session != arena.session() {
                    return Err(exception(
                        py,
                        "HandleError",
                        ("this handle was made in another session: only the processes of one program share its objects",),
                    ));
                }
                waiting(py, |pause| arena.attach(offset, generation, kind, pause))?
            }
        };
        Ok((Self::of(py, arena, handle)?, address.is_none()))
    }

    /// That which a handle is to; it is given back with this.
    pub fn of(py: Python<'_>, arena: &'static Arena, handle: Handle) -> PyResult<Self> {
        let body = arena.body_of(&handle).map_err(|error| raise(py, error))?;
        Ok(Self { arena, body, handle })
    }

    pub fn address(&self) -> Address {
        (self.arena.session(), self.handle.offset, self.handle.generation)
    }

    pub fn offset(&self) -> u64 {
        self.handle.offset
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    pub fn name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.arena.name_of(self.handle.offset).map_err(|error| raise(py, error))
    }
}

impl<B> Drop for Object<B> {
    fn drop(&mut self) {
        // Python drops it with the GIL held. Nobody can be told of an error, and the sweep after this process's end will
        // give back what is left.
        let _ = self.arena.release(&self.handle, &mut go_on);
    }
}

/// Make the arena of a new session, whose memory may grow to `limit` bytes; this process, by name, is its first.
#[pyfunction]
#[pyo3(signature = (name, limit, /))]
fn create_arena(py: Python<'_>, name: &str, limit: Option<u64>) -> PyResult<()> {
    enter(py, Arena::create(limit), name)
}

/// Join the session whose arena a descriptor is; it is this process's from now on.
#[pyfunction]
#[pyo3(signature = (name, descriptor, /))]
fn join_arena(py: Python<'_>, name: &str, descriptor: RawFd) -> PyResult<()> {
    let Some(file) = take_over(descriptor) else {
        return Err(PyRuntimeError::new_err("there is no arena to join"));
    };
    enter(py, Arena::join(file), name)
}

fn enter(py: Python<'_>, arena: crate::arena::Result<Arena>, name: &str) -> PyResult<()> {
    if ARENA.get().is_some() {
        return Err(PyRuntimeError::new_err("this process is in a session already"));
    }
    let arena = arena.map_err(|error| raise(py, error))?;
    waiting(py, |pause| arena.register(name, pause))?;
    watch(right_before_fork, first_in_child).map_err(super::call::Raised::from)?;
    let _ = ARENA.set(arena); // nobody was first: the GIL is held
    Ok(())
}

/// Return the arena's descriptor, which stays the arena's; None when this process is in no session.
///
/// OSError when the program has closed it.
#[pyfunction]
fn arena_descriptor() -> Outcome<Option<RawFd>> {
    Ok(match ARENA.get() {
        Some(arena) => Some(arena.descriptor()?.as_raw_fd()),
        None => None,
    })
}

/// Say whether another process is in the session, and none but this one has the arena's descriptor.
#[pyfunction]
fn arena_is_kept_here_only() -> bool {
    ARENA.get().is_some_and(Arena::is_kept_here_only)
}

/// Before a fork: enter the child. Python only prints an exception, and forks: so no signal handler runs here.
#[pyfunction]
fn before_fork(py: Python<'_>) -> PyResult<()> {
    if let Some(arena) = ARENA.get() {
        let embryo = arena.prepare_fork(&mut go_on).map_err(|error| raise(py, error))?;
        EMBRYO.set(Some(embryo));
    }
    Ok(())
}

/// Right before a fork, whoever makes it; nothing of Python's happens between this and the fork.
extern "C" fn right_before_fork() {
    let Some(arena) = ARENA.get() else { return };
    arena.part_received();
    // A thread that ends, and whose own is gone, has none.
    let _ = EMBRYO.try_with(|embryo| {
        let complete = |mut embryo: Embryo| arena.complete(&mut embryo).is_ok().then_some(embryo);
        embryo.set(embryo.take().and_then(complete)); // or else an orphan
    });
}

/// In the child, before threads of its parent's are cleaned up after: what it has inherited is its own from then on.
extern "C" fn first_in_child() {
    let Some(arena) = ARENA.get() else { return };
    let embryo = EMBRYO.try_with(Cell::take).unwrap_or_default();
    let is_born = embryo.is_some_and(|mut embryo| arena.be_born(&mut embryo).is_ok());
    if !is_born {
        arena.be_orphan();
    }
}

/// After a fork, in the parent.
#[pyfunction]
fn after_fork_in_parent() {
    FORKED.set(EMBRYO.take().map(|embryo| embryo.id));
}

/// Say which pid the last child has that this thread has forked.
#[pyfunction]
#[pyo3(signature = (pid, /))]
fn name_embryo(py: Python<'_>, pid: u32) -> PyResult<()> {
    match FORKED.take() {
        Some(id) => told(py, |arena| arena.name_embryo(id, pid)),
        None => Ok(()),
    }
}

/// Say that a process of the session has ended, with this wait status if that is known: what it held is given back.
#[pyfunction]
#[pyo3(signature = (pid, wait_status, /))]
pub(super) fn process_ended(py: Python<'_>, pid: u32, wait_status: Option<u32>) -> PyResult<()> {
    match ARENA.get() {
        Some(arena) => waiting(py, |pause| arena.process_ended(pid, wait_status, pause)),
        None => Ok(()),
    }
}

/// Say that this process is about to end: what it holds it leaves on purpose.
#[pyfunction]
fn end_cleanly(py: Python<'_>) -> PyResult<()> {
    told(py, Arena::end_cleanly)
}

/// Say by which name others know this process.
#[pyfunction]
#[pyo3(signature = (name, /))]
fn name_process_in_arena(py: Python<'_>, name: &str) -> PyResult<()> {
    told(py, |arena| arena.name_process(name))
}

fn told(py: Python<'_>, call: impl FnOnce(&Arena) -> crate::arena::Result<()>) -> PyResult<()> {
    ARENA
        .get()
        .map_or(Ok(()), |arena| call(arena).map_err(|error| raise(py, error)))
}

/// Give back what processes held that have ended.
#[pyfunction]
fn sweep_arena(py: Python<'_>) -> PyResult<()> {
    ARENA
        .get()
        .map_or(Ok(()), |arena| waiting(py, |pause| arena.sweep(pause)))
}

/// Walk the heap; return live blocks, objects, their bytes, spans of 64 KB and references.
///
/// ArenaCorruptError when the walk does not find what the arena's own numbers say.
#[pyfunction]
fn arena_account(py: Python<'_>) -> PyResult<(u64, u64, u64, u64, u64)> {
    let arena = arena(py)?;
    let found = waiting(py, |pause| arena.account(pause))?;
    Ok((
        found.live_blocks,
        found.objects,
        found.object_bytes,
        found.spans,
        found.references,
    ))
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(create_arena, module)?)?;
    module.add_function(wrap_pyfunction!(join_arena, module)?)?;
    module.add_function(wrap_pyfunction!(arena_descriptor, module)?)?;
    module.add_function(wrap_pyfunction!(arena_is_kept_here_only, module)?)?;
    module.add_function(wrap_pyfunction!(before_fork, module)?)?;
    module.add_function(wrap_pyfunction!(after_fork_in_parent, module)?)?;
    module.add_function(wrap_pyfunction!(process_ended, module)?)?;
    module.add_function(wrap_pyfunction!(end_cleanly, module)?)?;
    module.add_function(wrap_pyfunction!(name_embryo, module)?)?;
    module.add_function(wrap_pyfunction!(name_process_in_arena, module)?)?;
    module.add_function(wrap_pyfunction!(sweep_arena, module)?)?;
    module.add_function(wrap_pyfunction!(arena_account, module)?)?;
    Ok(())
}
