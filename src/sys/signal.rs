//! Signals: blocked, sent to this process itself, and waited for like anything else (`signalfd(2)`).

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::bytes::Reader;

/// The exit code of a process that was killed by SIGKILL, as Python has it.
pub const CODE_OF_KILLED: i32 = -libc::SIGKILL;

const INFO_BYTES: usize = size_of::<libc::signalfd_siginfo>();

/// A signal that was pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub number: i32,
    /// The process that sent it; 0 for the kernel, which sends Ctrl-C.
    pub sender: u32,
}

/// Take off what is pending, from a descriptor as [`pending`] makes it.
///
/// # Errors
/// The kernel's.
pub fn take(pending: BorrowedFd<'_>) -> io::Result<Vec<Taken>> {
    // More than are waited for here; what does not fit stays pending.
    let mut buffer = [0; 16 * INFO_BYTES];
    let length = match rustix::io::read(pending, &mut buffer) {
        Err(Errno::AGAIN) => 0,
        result => result?,
    };
    Ok(buffer[..length]
        .chunks_exact(INFO_BYTES)
        .filter_map(|info| {
            // ssi_signo, ssi_errno, ssi_code, ssi_pid; what comes from the kernel has no pid.
            let mut reader = Reader(info);
            let number = u32::from_ne_bytes(reader.take().ok()?) as i32;
            let _errno: [u8; 4] = reader.take().ok()?;
            let code = i32::from_ne_bytes(reader.take().ok()?);
            let pid = u32::from_ne_bytes(reader.take().ok()?);
            let sender = if code <= 0 { pid } else { 0 };
            Some(Taken { number, sender })
        })
        .collect())
}

/// Send signals to this process.
///
/// # Errors
/// The kernel's: a number that is none of a signal.
pub fn raise_all(signals: &[i32]) -> io::Result<()> {
    for &signal in signals {
        // SAFETY: two integers.
        if unsafe { libc::kill(std::process::id() as libc::pid_t, signal) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Send a signal to the process behind a pidfd; one that has ended gets none.
///
/// # Errors
/// The kernel's: not permitted, or a number that is none of a signal.
pub fn send(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: two integers, no siginfo, no flags.
    let status = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) };
    match io::Error::last_os_error() {
        _ if status == 0 => Ok(()),
        error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        error => Err(error),
    }
}

/// Stop the process behind a pidfd, whose pid that is; false when it still runs after a moment: then it goes on.
///
/// # Errors
/// The kernel's, also when it cannot be seen whether it has stopped: no descriptor is left, for instance.
pub fn stop(pidfd: BorrowedFd<'_>, pid: u32, moment: Duration) -> io::Result<bool> {
    send(pidfd, libc::SIGSTOP)?;
    let stops = stops_within(pid, moment);
    if !matches!(stops, Ok(true)) {
        send(pidfd, libc::SIGCONT)?;
    }
    stops
}

/// Whether a process does nothing any more, since it was stopped or has ended, before a moment is over.
fn stops_within(pid: u32, moment: Duration) -> io::Result<bool> {
    let since = Instant::now();
    let mut had_stopped = false;
    loop {
        // Twice: a thread may be made between the look at the list and the stop. None is made after it.
        let has_stopped = all_threads_stand(pid)?;
        if has_stopped && had_stopped {
            return Ok(true);
        }
        had_stopped = has_stopped;
        if since.elapsed() > moment {
            return Ok(false);
        }
        if !has_stopped {
            rustix::thread::sched_yield();
        }
    }
}

/// Whether no thread of a process runs, or will before it is told to go on: the first one to stop tells the others.
fn all_threads_stand(pid: u32) -> io::Result<bool> {
    let Some(threads) = unless_gone(fs::read_dir(format!("/proc/{pid}/task")))? else {
        return Ok(true);
    };
    for thread in threads {
        let Some(thread) = unless_gone(thread)? else { continue };
        let Some(stat) = unless_gone(fs::read_to_string(thread.path().join("stat")))? else {
            continue;
        };
        let state = stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next());
        if matches!(state, Some('R' | 'S' | 'D' | 'I')) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What was read of a process or thread; `None` where there is none any more.
fn unless_gone<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None), // it ended meanwhile
        Err(error) => Err(error),
    }
}

/// Block these signals in the calling thread, one bit each (bit 0 is signal 1), and no others.
///
/// # Errors
/// The kernel's.
pub fn block(signals: u64) -> io::Result<()> {
    let mut set = empty_set();
    for bit in 0..u64::BITS {
        if signals >> bit & 1 == 1 {
            // SAFETY: `set` is an initialized set. The numbers that glibc keeps for itself it refuses: they stay free.
            unsafe { libc::sigaddset(&mut set, bit as i32 + 1) };
        }
    }
    // SAFETY: `set` is an initialized set that outlives the call; the old one is not asked for.
    let status = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &set, std::ptr::null_mut()) };
    if status != 0 {
        return Err(io::Error::from_raw_os_error(status));
    }
    Ok(())
}

/// Return a descriptor, closed on exec and never waiting, that is readable while one of `signals` is pending.
///
/// The caller blocks them: a signal that is not blocked is delivered instead.
///
/// # Errors
/// The kernel's; `InvalidInput` for a number that is none of a signal.
pub fn pending(signals: &[i32]) -> io::Result<OwnedFd> {
    let mut set = empty_set();
    for &signal in signals {
        // SAFETY: `set` is an initialized set; a number out of range is refused.
        if unsafe { libc::sigaddset(&mut set, signal) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: `set` is an initialized set that outlives the call; -1 asks for a new descriptor.
    let descriptor = unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::zeroed();
    // SAFETY: sigemptyset is handed a set, of which it writes only the part that the kernel looks at.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: zeros are a set of numbers, and sigemptyset has left one.
    unsafe { set.assume_init() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_blocked_signal_is_taken_off_and_can_be_put_back() {
        block(1 << (libc::SIGWINCH - 1)).expect("blocked");
        let pending = pending(&[libc::SIGWINCH]).expect("a signalfd");
        assert_eq!(take(pending.as_fd()).expect("a read"), []);
        // SAFETY: a signal for this very thread.
        unsafe { libc::raise(libc::SIGWINCH) };
        let ours = Taken {
            number: libc::SIGWINCH,
            sender: std::process::id(),
        };
        assert_eq!(take(pending.as_fd()).expect("a read"), [ours]);
        assert_eq!(take(pending.as_fd()).expect("a read"), []);
        raise_all(&[]).expect("none");
    }

    #[test]
    fn a_number_that_is_no_signal_is_refused() {
        assert_eq!(pending(&[4711]).expect_err("4711").kind(), io::ErrorKind::InvalidInput);
    }
}
