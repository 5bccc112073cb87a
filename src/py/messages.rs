//! Objects as messages of channels, and back: encoded (`primitives`) or pickled (`allcores._pickle.messages`).

use std::cell::RefCell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict};

use super::gathering::with_handles;
use super::memory::Memory;
use super::opcodes::{CLASS, LONG_STR, PROTOCOL, STOP};
use super::pickler::{append_simple, dumps_any, dumps_any_by_name, Pickled, Reducers};
use super::primitives::{decode, encode};
use super::unpickler;
use crate::arena::{Arena, Handle};
use crate::channel::layout::LONGEST;
use crate::channel::Message;

/// Of a message that is encoded, and of one that is a pickle.
pub const ENCODED: u8 = 0;
const PICKLED: u8 = 1;
/// And of bytes that were sent as they are, through a pipe.
pub const RAW: u8 = 2;
/// And of one that is a bytes object, and nothing else.
pub const BYTES: u8 = 3;
/// And of one that is a pickle in a bundle with what it has handles to.
const BUNDLED: u8 = 4;
/// A buffer that became longer than that is not kept.
const KEPT_BYTES: usize = 64 << 10;

thread_local! {
    /// What a message is put together in, so that this needs no memory each time.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// This thread's buffer, empty; `keep` gives it back.
pub fn buffer() -> Vec<u8> {
    let mut buffer = BUFFER.with(RefCell::take);
    buffer.clear();
    buffer
}

/// Have a buffer for the thread's next message.
pub fn keep(buffer: Vec<u8>) {
    if buffer.capacity() <= KEPT_BYTES {
        BUFFER.set(buffer);
    }
}

/// An object that is about to be put.
pub enum Outgoing {
    /// These bytes of a buffer.
    Encoded(Range<usize>),
    /// A pickle: these.
    Simple(Range<usize>),
    Pickled(Py<PyBytes>),
    /// A pickle that is long, or has handles.
    Block(Py<Memory>),
    /// This object, which need not be copied first.
    Bytes(Py<PyBytes>),
    /// As they are: these bytes of a buffer, or if they are many a block.
    Raw(Range<usize>),
    RawBlock(Py<Memory>),
}

impl Outgoing {
    /// Make one; what is encoded or simple is appended to the buffer.
    ///
    /// # Errors
    /// Those of pickling.
    pub fn of(object: &Bound<'_, PyAny>, buffer: &mut Vec<u8>) -> PyResult<Self> {
        Self::made(object, buffer, dumps_any)
    }

    /// Make one, by name only: what has no name elsewhere is an error.
    ///
    /// # Errors
    /// Those of pickling.
    pub fn by_name(object: &Bound<'_, PyAny>, buffer: &mut Vec<u8>) -> PyResult<Self> {
        Self::made(object, buffer, dumps_any_by_name)
    }

    fn made<'py>(
        object: &Bound<'py, PyAny>,
        buffer: &mut Vec<u8>,
        dumps: fn(&Bound<'py, PyAny>, usize) -> PyResult<Pickled<'py>>,
    ) -> PyResult<Self> {
        if let Ok(bytes) = object.cast_exact::<PyBytes>() {
            if bytes.as_bytes().len() <= LONGEST {
                return Ok(Self::Bytes(bytes.clone().unbind()));
            }
        }
        let start = buffer.len();
        if encode(object, buffer, LONGEST) {
            return Ok(Self::Encoded(start..buffer.len()));
        }
        buffer.truncate(start);
        if append_simple(object, buffer, LONGEST)? {
            return Ok(Self::Simple(start..buffer.len()));
        }
        Ok(with_handles(object.py(), false, || dumps(object, LONGEST))?.into())
    }

    /// The message that it is.
    pub fn message<'a>(&'a self, py: Python<'a>, buffer: &'a [u8]) -> Message<'a> {
        match self {
            Self::Encoded(range) => Message::Bytes(ENCODED, &buffer[range.clone()]),
            Self::Simple(range) => Message::Bytes(PICKLED, &buffer[range.clone()]),
            Self::Pickled(bytes) => Message::Bytes(PICKLED, bytes.as_bytes(py)),
            Self::Block(memory) => match memory.get().bundle() {
                Some(bundle) => Message::Block(BUNDLED, bundle),
                None => Message::Block(PICKLED, memory.get().handle()),
            },
            Self::Bytes(bytes) => Message::Bytes(BYTES, bytes.as_bytes(py)),
            Self::Raw(range) => Message::Bytes(RAW, &buffer[range.clone()]),
            Self::RawBlock(memory) => Message::Block(RAW, memory.get().handle()),
        }
    }
}

impl From<Pickled<'_>> for Outgoing {
    fn from(pickled: Pickled<'_>) -> Self {
        match pickled {
            Pickled::Bytes(bytes) => Self::Pickled(bytes.unbind()),
            Pickled::Block(memory) => Self::Block(memory.unbind()),
        }
    }
}

/// The memory that a message lies in, which this process has received.
fn received(py: Python<'_>, arena: &'static Arena, kind: u8, block: Handle) -> PyResult<Memory> {
    if kind == BUNDLED {
        Memory::of_bundle(py, arena, block, Memory::received)
    } else {
        Memory::received(py, arena, block)
    }
}

/// The object that a message says.
///
/// # Errors
/// Those of unpickling; MemoryError.
pub fn object_of<'py>(
    py: Python<'py>,
    arena: &'static Arena,
    kind: u8,
    bytes: &[u8],
    block: Option<Handle>,
) -> PyResult<Bound<'py, PyAny>> {
    match block {
        Some(block) => {
            let (memory, pickling) = (received(py, arena, kind, block)?, pickling(py)?);
            if kind != RAW {
                return pickling.loads_block(py, memory);
            }
            let bytes = pickling.given.call1(py, (memory,))?;
            Ok(pickling.loads.call1(py, (bytes,))?.into_bound(py))
        }
        None if kind == ENCODED => decode(py, bytes),
        None if kind == BYTES => Ok(PyBytes::new(py, bytes).into_any()),
        None => pickling(py)?.loads(py, bytes),
    }
}

/// The object that a message says, or its pickle if decoding it would run Python: then true, and it is what a pickle lies
/// in, bytes or a Memory.
///
/// # Errors
/// MemoryError.
pub fn object_or_pickle<'py>(
    py: Python<'py>,
    arena: &'static Arena,
    kind: u8,
    bytes: &[u8],
    block: Option<Handle>,
) -> PyResult<(Bound<'py, PyAny>, bool)> {
    match block {
        None if kind == PICKLED => Ok((PyBytes::new(py, bytes).into_any(), true)),
        None => Ok((object_of(py, arena, kind, bytes, None)?, false)),
        Some(block) => Ok((Bound::new(py, received(py, arena, kind, block)?)?.into_any(), true)),
    }
}

/// The bytes of a message: those that were sent, or the pickle of the object that it says.
///
/// # Errors
/// Those of pickling and unpickling; MemoryError.
pub fn bytes_of<'py>(
    py: Python<'py>,
    arena: &'static Arena,
    kind: u8,
    bytes: &[u8],
    block: Option<Handle>,
) -> PyResult<Bound<'py, PyBytes>> {
    let made = match block {
        None if kind == PICKLED || kind == RAW => return Ok(PyBytes::new(py, bytes)),
        Some(block) if kind == RAW => {
            let memory = Memory::of(py, arena, block)?;
            pickling(py)?.given.call1(py, (Bound::new(py, memory)?,))?
        }
        block => {
            let object = object_of(py, arena, kind, bytes, block)?;
            pickling(py)?.repickle.call1(py, (object,))?
        }
    };
    Ok(made.into_bound(py).cast_into::<PyBytes>()?)
}

/// What makes pickles, and objects of them.
pub struct Pickling {
    /// The class, what it is told of versions, and where it looks reducers up.
    pub pickler: Py<PyAny>,
    pub protocol: u8,
    pub reducers: Py<Reducers>,
    /// `sys.modules`.
    pub modules: Py<PyDict>,
    /// `sys.audit`.
    pub audit: Py<PyAny>,
    /// `getattr`, and what it returns of an attribute that is not there.
    pub getattr: Py<PyAny>,
    pub absent: Py<PyAny>,
    /// Locks of modules that are being imported, if it is known where they are.
    pub importing: Option<Py<PyDict>>,
    /// `pickle.UnpicklingError`.
    pub unpickling_error: Py<PyAny>,
    /// What it raises for an object that cannot be pickled.
    pub errors: Py<PyAny>,
    /// Of an object: its pickle by value, and if need be, of one that was pickled by name.
    pub by_value: Py<PyAny>,
    pub found_in_main: Py<PyAny>,
    /// Of what a pickler has written.
    pub whole: Py<PyAny>,
    /// Of what was received as an object, for who wants its bytes.
    repickle: Py<PyAny>,
    /// Bytes into a block, as they are, and back.
    pub keep: Py<PyAny>,
    given: Py<PyAny>,
    /// Of bytes.
    loads: Py<PyAny>,
    /// Of a block, and what loads all that this needs.
    loads_block: Py<PyAny>,
    prepare: Py<PyAny>,
}

impl Pickling {
    /// The object that bytes are a pickle of.
    ///
    /// # Errors
    /// Those of unpickling.
    pub fn loads<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        match unpickler::loads(py, self, bytes)? {
            Some(object) => Ok(object),
            None => self.loads_as_ever(&PyBytes::new(py, bytes)),
        }
    }

    /// The object that bytes are a pickle of, which may come again and again.
    ///
    /// # Errors
    /// Those of unpickling.
    pub fn loads_again<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        match unpickler::loads_again(py, self, bytes)? {
            Some(object) => Ok(object),
            None => self.loads_as_ever(&PyBytes::new(py, bytes)),
        }
    }

    /// The same by the standard unpickler.
    ///
    /// # Errors
    /// Those of unpickling.
    pub fn loads_as_ever<'py>(&self, bytes: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
        self.loads.bind(bytes.py()).call1((bytes,))
    }

    /// What the standard unpickler finds by a module's name and a name in it.
    ///
    /// # Errors
    /// Those of the import; AttributeError.
    pub fn find<'py>(&self, module: &Bound<'py, PyAny>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = module.py();
        let mut pickle = vec![PROTOCOL, 4];
        for text in [module, name] {
            let bytes = text.call_method1("encode", ("utf-8", "surrogatepass"))?;
            let bytes = bytes.cast::<PyBytes>()?.as_bytes();
            pickle.push(LONG_STR);
            pickle.extend_from_slice(&u32::try_from(bytes.len())?.to_le_bytes());
            pickle.extend_from_slice(bytes);
        }
        pickle.extend_from_slice(&[CLASS, STOP]);
        self.loads_as_ever(&PyBytes::new(py, &pickle))
    }

    /// The object that a block has the pickle of.
    ///
    /// # Errors
    /// Those of unpickling.
    pub fn loads_block<'py>(&self, py: Python<'py>, memory: Memory) -> PyResult<Bound<'py, PyAny>> {
        let memory = Bound::new(py, memory)?;
        Ok(self.loads_block.call1(py, (memory,))?.into_bound(py))
    }
}

static PICKLING: PyOnceLock<Pickling> = PyOnceLock::new();
/// Whether all is loaded that makes objects of blocks. Set with the GIL.
static TAKES_BLOCKS: AtomicBool = AtomicBool::new(false);

/// Whether a block can be taken: what makes an object of it is loaded, so that this cannot fail when it was taken.
pub fn takes_blocks() -> bool {
    TAKES_BLOCKS.load(Ordering::Relaxed)
}

/// Load what makes objects of blocks, unless it is loaded.
///
/// # Errors
/// Those of the import.
pub fn prepare_for_blocks(py: Python<'_>) -> PyResult<()> {
    if !takes_blocks() {
        pickling(py)?.prepare.call0(py)?;
        TAKES_BLOCKS.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// Load it, or have it. A signal handler that puts should not find the module half imported: so load it before.
///
/// # Errors
/// Those of the import.
pub fn pickling(py: Python<'_>) -> PyResult<&Pickling> {
    if let Some(found) = PICKLING.get(py) {
        return Ok(found);
    }
    // Nothing of Python's runs while the cell is being filled: a signal handler that puts, too, would wait for itself.
    let (module, pickle) = (py.import("allcores._pickle.messages")?, py.import("pickle")?);
    let found = Pickling {
        pickler: pickle.getattr("Pickler")?.unbind(),
        protocol: pickle.getattr("HIGHEST_PROTOCOL")?.extract()?,
        reducers: module.getattr("REDUCERS")?.extract()?,
        modules: py.import("sys")?.getattr("modules")?.extract()?,
        audit: py.import("sys")?.getattr("audit")?.unbind(),
        getattr: py.import("builtins")?.getattr("getattr")?.unbind(),
        absent: py.import("builtins")?.getattr("object")?.call0()?.unbind(),
        importing: match py.import("_frozen_importlib")?.getattr_opt("_module_locks")? {
            Some(locks) => locks.extract().ok(),
            None => None,
        },
        unpickling_error: pickle.getattr("UnpicklingError")?.unbind(),
        errors: module.getattr("PICKLING_ERRORS")?.unbind(),
        by_value: module.getattr("by_value")?.unbind(),
        found_in_main: module.getattr("found_in_main")?.unbind(),
        whole: module.getattr("whole")?.unbind(),
        repickle: module.getattr("repickle")?.unbind(),
        keep: module.getattr("keep")?.unbind(),
        given: module.getattr("given")?.unbind(),
        loads: pickle.getattr("loads")?.unbind(),
        loads_block: module.getattr("loads")?.unbind(),
        prepare: module.getattr("prepare")?.unbind(),
    };
    Ok(PICKLING.get_or_init(py, || found))
}
