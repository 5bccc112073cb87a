//! The state of this process that the kernel keeps and a forked child inherits: looked at, and taken over, as a whole.
//!
//! A look is a fixed block of numbers followed by the working directory. Whoever holds one only compares it, or hands
//! it to [`take_over`] in another process of the same machine; `python/allcores/_zygote/README.md` says who does when.

use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::bytes::Reader;

/// How many resource limits there are (`RLIM_NLIMITS`).
const LIMITS: usize = 16;
/// Bytes of a CPU mask: 1,024 CPUs, as in glibc's `cpu_set_t`.
const CPUS_BYTES: usize = 128;
const FIRST_SIGNAL: i32 = 1;
const LAST_SIGNAL: i32 = 64;

/// What a forked child inherits from the kernel, the open files apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// File mode bits that are taken off files this process makes.
    pub umask: u32,
    /// -20 (first) to 19 (last).
    pub niceness: i32,
    /// Soft and hard limit, by the kernel's number of the resource.
    pub limits: [(u64, u64); LIMITS],
    /// One bit per CPU that the calling thread may use.
    pub cpus: [u8; CPUS_BYTES],
    /// One bit per signal that the calling thread blocks, and per signal that the process ignores; bit 0 is signal 1.
    pub blocked: u64,
    /// As `blocked`.
    pub ignored: u64,
    /// The working directory; empty when it was deleted.
    pub directory: OsString,
}

/// How the umask is looked at, which the kernel only tells whoever sets it, or in a file that takes long to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UmaskLook {
    /// Set it, to a stricter one for a moment. Only where no other thread makes files.
    Set,
    /// Read `/proc/thread-self/status`.
    Read,
}

impl State {
    /// Look at this process and thread.
    ///
    /// # Errors
    /// The kernel's, or a `/proc` that is not mounted.
    pub fn look(umask: UmaskLook) -> io::Result<Self> {
        let mut limits = [(0, 0); LIMITS];
        for (resource, limit) in (0..).zip(&mut limits) {
            *limit = get_limit(resource)?;
        }
        Ok(Self {
            umask: match umask {
                UmaskLook::Set => swap_umask(),
                UmaskLook::Read => read_umask()?,
            },
            niceness: get_niceness()?,
            limits,
            cpus: get_cpus()?,
            blocked: get_blocked()?,
            ignored: (FIRST_SIGNAL..=LAST_SIGNAL)
                .filter(|&signal| is_ignored(signal))
                .fold(0, |mask, signal| mask | 1 << (signal - 1)),
            directory: match std::env::current_dir() {
                Ok(directory) => directory.into_os_string(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => OsString::new(),
                Err(error) => return Err(error),
            },
        })
    }

    /// Have this umask, niceness, limits, CPUs and directory here, as far as the kernel lets this process; signals apart.
    pub fn take_over(&self) {
        // Errors are those of a privilege that the caller had and this process has not, or of a directory that is gone:
        // a child then keeps what it has, as a spawned one would have been refused.
        // SAFETY: umask cannot fail and touches no memory.
        unsafe { libc::umask(self.umask as libc::mode_t) };
        // SAFETY: three integers.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, self.niceness) };
        for (resource, &(soft, hard)) in (0..).zip(&self.limits) {
            let limit = libc::rlimit {
                rlim_cur: soft,
                rlim_max: hard,
            };
            // SAFETY: the kernel reads `limit`, which outlives the call; it refuses a resource it does not know.
            unsafe { libc::setrlimit(resource, &limit) };
        }
        // SAFETY: the kernel reads CPUS_BYTES bytes of `cpus`, which is that long.
        unsafe { libc::sched_setaffinity(0, CPUS_BYTES, self.cpus.as_ptr().cast()) };
        if !self.directory.is_empty() {
            let _ = std::env::set_current_dir(Path::new(&self.directory));
        }
    }

    /// Whether a process without privileges that goes from the one to the other could come back.
    #[must_use]
    pub fn leads_back_to(&self, other: &Self) -> bool {
        self.niceness == other.niceness && self.limits == other.limits
    }

    /// Return it as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.directory.len());
        bytes.extend(self.umask.to_ne_bytes());
        bytes.extend(self.niceness.to_ne_bytes());
        for (soft, hard) in self.limits {
            bytes.extend(soft.to_ne_bytes());
            bytes.extend(hard.to_ne_bytes());
        }
        bytes.extend(self.cpus);
        bytes.extend(self.blocked.to_ne_bytes());
        bytes.extend(self.ignored.to_ne_bytes());
        bytes.extend(self.directory.as_bytes());
        bytes
    }

    /// Read what [`State::to_bytes`] wrote.
    ///
    /// # Errors
    /// `InvalidData` when it is too short.
    pub fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        let mut reader = Reader(bytes);
        let (umask, niceness) = (u32::from_ne_bytes(reader.take()?), i32::from_ne_bytes(reader.take()?));
        let mut limits = [(0, 0); LIMITS];
        for limit in &mut limits {
            *limit = (u64::from_ne_bytes(reader.take()?), u64::from_ne_bytes(reader.take()?));
        }
        Ok(Self {
            umask,
            niceness,
            limits,
            cpus: reader.take()?,
            blocked: u64::from_ne_bytes(reader.take()?),
            ignored: u64::from_ne_bytes(reader.take()?),
            directory: OsString::from_vec(reader.0.to_vec()),
        })
    }
}

const FIXED_BYTES: usize = 4 + 4 + LIMITS * 16 + CPUS_BYTES + 8 + 8;

fn swap_umask() -> u32 {
    const STRICT: libc::mode_t = 0o077;
    // SAFETY: umask cannot fail and touches no memory.
    let umask = unsafe { libc::umask(STRICT) };
    // SAFETY: as above.
    unsafe { libc::umask(umask) };
    umask
}

fn read_umask() -> io::Result<u32> {
    let status = std::fs::read_to_string("/proc/thread-self/status")?;
    status
        .lines()
        .find_map(|line| u32::from_str_radix(line.strip_prefix("Umask:")?.trim(), 8).ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no Umask in /proc/thread-self/status"))
}

fn get_niceness() -> io::Result<i32> {
    // The system call returns 20 - niceness, so that -1 is an error only.
    // SAFETY: two integers.
    let raised = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, 0) };
    if raised < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(20 - raised as i32)
}

fn get_limit(resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the kernel writes one rlimit to `limit`.
    if unsafe { libc::getrlimit(resource, limit.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: getrlimit succeeded, so it was written.
    let limit = unsafe { limit.assume_init() };
    Ok((limit.rlim_cur, limit.rlim_max))
}

fn get_cpus() -> io::Result<[u8; CPUS_BYTES]> {
    let mut cpus = [0; CPUS_BYTES];
    // SAFETY: the kernel writes at most CPUS_BYTES bytes to `cpus`, which is that long.
    if unsafe { libc::sched_getaffinity(0, CPUS_BYTES, cpus.as_mut_ptr().cast()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(cpus)
}

fn get_blocked() -> io::Result<u64> {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: with a null new set nothing is changed; the old set is written to `set`, which has its size.
    let status = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), set.as_mut_ptr()) };
    if status != 0 {
        return Err(io::Error::from_raw_os_error(status));
    }
    // SAFETY: it was zeroed, which is a valid set, and then written.
    let set = unsafe { set.assume_init() };
    Ok((FIRST_SIGNAL..=LAST_SIGNAL)
        // SAFETY: `set` is initialized, and the number is one of a signal.
        .filter(|&signal| unsafe { libc::sigismember(&set, signal) } == 1)
        .fold(0, |mask, signal| mask | 1 << (signal - 1)))
}

fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with a null new action nothing is changed; the old one is written to `action`, which has its size. glibc
    // refuses the numbers that it keeps for itself.
    let status = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeroed is a valid sigaction.
    status == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_looks_at_the_umask_agree() {
        assert_eq!(
            State::look(UmaskLook::Set).expect("a look").umask,
            State::look(UmaskLook::Read).expect("a look").umask
        );
    }

    #[test]
    fn a_look_survives_its_bytes() {
        let state = State::look(UmaskLook::Read).expect("a look");
        assert_eq!(State::from_bytes(&state.to_bytes()).expect("whole"), state);
        assert!(state.directory.as_bytes().starts_with(b"/"));
        assert!(state.cpus.iter().any(|&cpus| cpus != 0));
    }

    #[test]
    fn bytes_that_are_cut_short_are_an_error() {
        let bytes = State::look(UmaskLook::Read).expect("a look").to_bytes();
        let error = State::from_bytes(&bytes[..FIXED_BYTES - 1]).expect_err("too short");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn lowering_a_limit_does_not_lead_back() {
        let state = State::look(UmaskLook::Read).expect("a look");
        let mut lower = state.clone();
        lower.limits[0].1 = 1;
        assert!(state.leads_back_to(&state.clone()));
        assert!(!lower.leads_back_to(&state));
    }
}
