//! A mutex between processes whose next owner learns that the last one died (`pthread_mutexattr_setrobust(3)`).
//!
//! The kernel itself unlocks what a dying thread held. glibc follows pointers that stand in the bytes of such a mutex, so
//! they lie on a page of their own, beside nothing that a program can write to (threat model: `arena/README.md`).

use std::cell::UnsafeCell;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::time::Duration;

use super::shared::Shared;

/// How many attempts are made before the kernel is asked to wait; the sections it guards take less than a microsecond.
const YIELDS: u32 = 32;
const SLICE: Duration = Duration::from_millis(50);

/// The mutex, as it lies in shared memory.
#[repr(C, align(64))]
pub struct RobustMutex(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: pthread_mutex_t is made for concurrent use, also between processes (PTHREAD_PROCESS_SHARED).
unsafe impl Sync for RobustMutex {}
// SAFETY: it is only used through pthread's functions after `initialize`; before, its bytes are zero and nobody has it.
unsafe impl Shared for RobustMutex {}

/// The right to what the mutex guards; dropping it gives it back.
pub struct Guard<'a> {
    mutex: &'a RobustMutex,
    inconsistent: bool,
    /// The thread that has locked it is the one to unlock it: not Send.
    _thread: PhantomData<*mut ()>,
}

impl RobustMutex {
    /// Make it, in memory that no other process knows yet.
    ///
    /// # Errors
    /// The C library's.
    pub fn initialize(&self) -> io::Result<()> {
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: `attributes` points to room for them; this call is what makes them valid for the next ones.
        check(unsafe { libc::pthread_mutexattr_init(attributes) })?;
        // SAFETY: initialised above.
        check(unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) })?;
        // SAFETY: as above.
        check(unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) })?;
        // SAFETY: the bytes are ours alone as the caller promises, and stay mapped as long as the process lives.
        check(unsafe { libc::pthread_mutex_init(self.0.get(), attributes) })
    }

    /// Take it. What waits longer than a moment asks `pause` now and then whether to go on.
    ///
    /// # Errors
    /// What `pause` breaks with; the C library's.
    pub fn lock(&self, mut pause: impl FnMut() -> ControlFlow<io::Error>) -> io::Result<Guard<'_>> {
        for _ in 0..YIELDS {
            // SAFETY: initialised when the arena was made, and never unmapped.
            match unsafe { libc::pthread_mutex_trylock(self.0.get()) } {
                libc::EBUSY => rustix::thread::sched_yield(),
                status => return self.guard(status),
            }
        }
        loop {
            let deadline = realtime_in(SLICE);
            // SAFETY: as above; `deadline` lives through the call.
            match unsafe { libc::pthread_mutex_timedlock(self.0.get(), &raw const deadline) } {
                libc::ETIMEDOUT => {
                    if let ControlFlow::Break(error) = pause() {
                        return Err(error);
                    }
                }
                status => return self.guard(status),
            }
        }
    }

    fn guard(&self, status: i32) -> io::Result<Guard<'_>> {
        if status != libc::EOWNERDEAD {
            check(status)?;
        }
        Ok(Guard {
            mutex: self,
            inconsistent: status == libc::EOWNERDEAD,
            _thread: PhantomData,
        })
    }
}

impl Guard<'_> {
    /// Whether the last owner died, so that what the mutex guards may be half done.
    #[must_use]
    pub fn is_inconsistent(&self) -> bool {
        self.inconsistent
    }

    /// Say that it has been put right, before giving it back: else it is unusable for ever, and glibc's trylock locks it
    /// (instead of saying so every time, only to the first), so that the others hang.
    pub fn put_right(&mut self) {
        // SAFETY: this thread owns the mutex. If its owner before has not died, glibc refuses, and changes nothing.
        unsafe { libc::pthread_mutex_consistent(self.mutex.0.get()) };
        self.inconsistent = false;
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // SAFETY: this thread owns the mutex: guards are made by `lock` only, and do not leave their thread.
        unsafe { libc::pthread_mutex_unlock(self.mutex.0.get()) };
    }
}

fn realtime_in(time: Duration) -> libc::timespec {
    let at = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        + time;
    libc::timespec {
        tv_sec: at.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: at.subsec_nanos().into(),
    }
}

fn check(status: i32) -> io::Result<()> {
    match status {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
