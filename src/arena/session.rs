//! The arena as this process has it.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use super::error::{Error, Result, Shortage};
use super::layout::{
    BlockHeader, Header, ProcessRecord, SiteRecord, WaiterRecord, BLOCK_HEADER, FIRST_SLAB, LENGTH, MAGIC, MUTEXES,
    MUTEXES_AT, PAGE, PROCESSES, PROCESSES_AT, SITES, SITES_AT, SLAB_TABLE_AT, VERSION, WAITERS, WAITERS_AT,
};
use super::mappings::Mappings;
use super::references::Own;
use crate::atomics::{AtomicBool, AtomicU32, Mutex, Ordering};
use crate::sys::robust_mutex::RobustMutex;
use crate::sys::shared::{Shared, SharedFile};

/// Asked now and then by whoever waits for the heap: go on?
pub type Pause<'a> = &'a mut dyn FnMut() -> ControlFlow<io::Error>;

/// A session's shared memory.
pub struct Arena {
    pub(crate) file: SharedFile,
    pub(super) header: &'static Header,
    session: u128,
    /// This process: index and generation of its record (`registry::processes::ProcessId`).
    pub(crate) me: AtomicU32,
    /// It was forked, and is not in the session yet: `registry::forks`.
    pub(crate) is_orphan: AtomicBool,
    /// How many processes it has entered.
    pub(crate) entered: AtomicU32,
    /// This process's references. Only with the GIL held, so that no fork finds it locked.
    pub(crate) own: Mutex<Own>,
    pub(super) mappings: Mappings,
}

impl Arena {
    /// Make the arena of a new session.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create(limit: Option<u64>) -> Result<Self> {
        let file = SharedFile::create(LENGTH, holders)?;
        file.reserve(0, MUTEXES_AT + PAGE)?;
        file.reserve(SLAB_TABLE_AT, PAGE)?;
        let header: &Header = file.at(0)?;
        for index in 0..MUTEXES {
            mutex_at(&file, index)?.initialize()?;
        }
        for half in &header.session {
            half.store(random()?, Ordering::Relaxed);
        }
        header.limit.store(limit.unwrap_or(LENGTH), Ordering::Relaxed);
        header.slabs.store(FIRST_SLAB as u32, Ordering::Relaxed);
        header.version.store(VERSION, Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        Self::of(file)
    }

    /// Join a session by its file.
    ///
    /// # Errors
    /// `Corrupt` for a file that is no arena of this version; the kernel's.
    pub fn join(file: OwnedFd) -> Result<Self> {
        Self::of(SharedFile::join(file, LENGTH, holders)?)
    }

    fn of(file: SharedFile) -> Result<Self> {
        let header: &Header = file.at(0)?;
        if header.magic.load(Ordering::Acquire) != MAGIC || header.version.load(Ordering::Relaxed) != VERSION {
            return Err(Error::Corrupt("it belongs to another version of allcores"));
        }
        let [high, low] = &header.session;
        let session = u128::from(high.load(Ordering::Relaxed)) << 64 | u128::from(low.load(Ordering::Relaxed));
        Ok(Self {
            file,
            header,
            session,
            me: AtomicU32::new(0),
            is_orphan: AtomicBool::new(false),
            entered: AtomicU32::new(0),
            own: Mutex::new(Own::default()),
            mappings: Mappings::default(),
        })
    }

    /// The same session as a second process has it.
    #[cfg(loom)]
    pub fn of_another_process(&self) -> Result<Self> {
        Self::of(self.file.clone())
    }

    /// Which session it is of.
    #[must_use]
    pub fn session(&self) -> u128 {
        self.session
    }

    /// The file's descriptor, for a process that is started.
    ///
    /// # Errors
    /// `NotConnected` when the program has closed it.
    pub fn descriptor(&self) -> io::Result<BorrowedFd<'static>> {
        self.file.descriptor()
    }

    /// Whether another process is in the session, and none but this one could pass it on.
    #[must_use]
    pub fn is_kept_here_only(&self) -> bool {
        self.file.is_kept_here_only()
    }

    /// This process; 0 before it registered.
    #[inline]
    #[must_use]
    pub fn me(&self) -> u32 {
        match self.me.load(Ordering::Relaxed) {
            0 => self.enter_late(),
            me => me,
        }
    }

    /// How many bytes are reserved, those of the fixed tables apart.
    #[must_use]
    pub fn used(&self) -> u64 {
        let bare = u64::from(self.header.bare_slabs.load(Ordering::Relaxed));
        let slabs = u64::from(self.header.slabs.load(Ordering::Relaxed)).saturating_sub(FIRST_SLAB + bare);
        slabs
            .saturating_add(self.header.spans.load(Ordering::Relaxed))
            .saturating_mul(super::layout::SLAB)
    }

    /// How many slabs there are.
    pub(crate) fn slabs(&self) -> u64 {
        self.header.slabs.load(Ordering::Acquire).into()
    }

    /// The mutex of a number; 0 is the heap's.
    pub(crate) fn mutex(&self, index: usize) -> Result<&'static RobustMutex> {
        Ok(mutex_at(&self.file, index)?)
    }

    /// The block at an offset that may be anything.
    pub(crate) fn block(&self, offset: u64) -> Result<&'static BlockHeader> {
        if offset < FIRST_SLAB * super::layout::SLAB {
            return Err(Error::Corrupt("an offset leads to no block"));
        }
        Ok(self.file.at(offset)?)
    }

    /// The body of a block.
    pub(crate) fn body<T: Shared>(&self, offset: u64) -> Result<&'static T> {
        Ok(self.file.at(offset.saturating_add(BLOCK_HEADER))?)
    }

    /// The record of a process, by its index.
    pub(crate) fn process(&self, index: u32) -> Result<&'static ProcessRecord> {
        if index >= PROCESSES {
            return Err(Error::Corrupt("there is no such process record"));
        }
        Ok(process_at(&self.file, index)?)
    }

    /// The record of a waiter, by its index.
    pub(crate) fn waiter_record(&self, index: u32) -> Result<&'static WaiterRecord> {
        if index >= WAITERS {
            return Err(Error::Corrupt("there is no such waiter record"));
        }
        Ok(self
            .file
            .at(WAITERS_AT + u64::from(index) * size_of::<WaiterRecord>() as u64)?)
    }

    /// How many process records were ever used.
    pub(crate) fn processes_high(&self) -> u32 {
        self.header.processes_high.load(Ordering::Acquire).min(PROCESSES)
    }

    /// Have process records up to an index.
    pub(crate) fn raise_processes(&self, high: u32) {
        self.header.processes_high.store(high.min(PROCESSES), Ordering::Release);
    }

    /// Where the last process record was found.
    pub(crate) fn process_hint(&self) -> &'static AtomicU32 {
        &self.header.process_hint
    }

    /// How many waiter records were ever used.
    pub(crate) fn waiters_high(&self) -> u32 {
        self.header.waiters_high.load(Ordering::Acquire).min(WAITERS)
    }

    /// Have waiter records up to an index.
    pub(crate) fn reserve_waiters(&self, index: u32) -> Result<()> {
        if index >= WAITERS {
            return Err(Error::Full(Shortage::Records {
                kind: "waiting threads",
                number: WAITERS,
            }));
        }
        let page = (WAITERS_AT + u64::from(index) * size_of::<WaiterRecord>() as u64) / PAGE * PAGE;
        self.file.reserve(page, PAGE)?;
        self.header.waiters_high.fetch_max(index + 1, Ordering::AcqRel);
        Ok(())
    }

    /// The record of a site, by its index.
    pub(crate) fn site_record(&self, index: u32) -> Result<&'static SiteRecord> {
        if index >= SITES {
            return Err(Error::Corrupt("there is no such site record"));
        }
        Ok(self
            .file
            .at(SITES_AT + u64::from(index) * size_of::<SiteRecord>() as u64)?)
    }

    /// How many site records were ever used.
    pub(crate) fn sites_high(&self) -> u32 {
        self.header.sites_high.load(Ordering::Acquire).min(SITES)
    }

    /// Have site records up to an index, which is below SITES.
    pub(crate) fn reserve_sites(&self, index: u32) -> Result<()> {
        let page = (SITES_AT + u64::from(index) * size_of::<SiteRecord>() as u64) / PAGE * PAGE;
        self.file.reserve(page, PAGE)?;
        self.header.sites_high.fetch_max(index + 1, Ordering::AcqRel);
        Ok(())
    }
}

/// The processes that say they have the file, and as which descriptors.
fn holders(file: &SharedFile) -> Vec<(u32, RawFd)> {
    let Ok(header) = file.at::<Header>(0) else {
        return Vec::new();
    };
    let high = header.processes_high.load(Ordering::Acquire).min(PROCESSES);
    (0..high)
        .filter_map(|index| process_at(file, index).ok())
        .filter(|record| record.state.load(Ordering::Acquire) != 0)
        .map(|record| {
            let number = record.descriptor.load(Ordering::Relaxed);
            (record.pid.load(Ordering::Relaxed), number as RawFd)
        })
        .collect()
}

fn process_at(file: &SharedFile, index: u32) -> io::Result<&'static ProcessRecord> {
    file.at(PROCESSES_AT + u64::from(index) * size_of::<ProcessRecord>() as u64)
}

fn mutex_at(file: &SharedFile, index: usize) -> io::Result<&'static RobustMutex> {
    file.at(MUTEXES_AT + (index % MUTEXES * size_of::<RobustMutex>()) as u64)
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}
