//! What a process may tell the kernel about itself (`prctl(2)`).

use std::cell::Cell;
use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

// No shared memory, hence not by that door: a static of loom's there cannot be.
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{
    kill_process, pidfd_open, setrlimit, waitpid, Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, WaitStatus,
};

/// The longest name the kernel keeps for a process, in bytes, its closing NUL not counted.
pub const NAME_MAX_BYTES: usize = 15;

/// What became of a request to die together with the parent process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an orphan is not bound to anybody and has to end by itself"]
pub enum Bond {
    /// The kernel will send SIGKILL to this process when its parent ends.
    Bound,
    /// The parent had ended before the bond was made; the signal will never come.
    Orphan,
}

/// Ask the kernel to SIGKILL this process when `parent_pid`, its parent, ends.
///
/// The signal fires when the *thread* that forked this process ends, not the whole parent, so this is sound only below
/// a single-threaded parent (the zygote). The parent may die between `fork` and this call; then nobody is left to
/// send the signal, which is why the parent is looked at after, not before, the bond is made.
///
/// # Errors
/// The kernel's own, which cannot happen with the constant arguments used here.
pub fn die_with_parent(parent_pid: u32) -> io::Result<Bond> {
    // SAFETY: PR_SET_PDEATHSIG takes one integer, a valid signal number, and touches no memory of ours.
    let status = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    if std::os::unix::process::parent_id() == parent_pid {
        Ok(Bond::Bound)
    } else {
        Ok(Bond::Orphan)
    }
}

/// Return a pidfd of a process, closed on exec.
///
/// # Errors
/// The kernel's: there is no such process, or it is short of descriptors.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    Ok(pidfd_open(known(pid)?, PidfdFlags::empty())?)
}

/// How a child ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended(WaitStatus);

impl Ended {
    /// As `wait(2)` has it.
    #[must_use]
    pub fn raw(self) -> u32 {
        self.0.as_raw() as u32
    }

    /// Its exit code, or the negative number of the signal that killed it.
    #[must_use]
    pub fn exit_code(self) -> i32 {
        self.0
            .exit_status()
            .or_else(|| self.0.terminating_signal().map(|signal| -signal))
            .unwrap_or_default()
    }

    /// Whether SIGKILL has ended it.
    #[must_use]
    pub fn is_killed(self) -> bool {
        self.0.terminating_signal() == Some(libc::SIGKILL)
    }
}

/// Reap a child, when it has ended.
///
/// # Errors
/// The kernel's: it is none.
pub fn reap(pid: u32) -> io::Result<Ended> {
    loop {
        match waitpid(Some(known(pid)?), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(Ended(status)),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Kill a child that has not been reaped, and reap it; of another process nothing becomes.
pub fn kill_and_reap(pid: u32) {
    if let Ok(pid) = known(pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
    let _ = reap(pid);
}

fn known(pid: u32) -> io::Result<Pid> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Set the limits of this process's open files, the soft one and the hard one; below 0: there is none.
///
/// # Errors
/// The kernel's: the hard one is above that in force.
pub fn limit_open_files(soft: i64, hard: i64) -> io::Result<()> {
    let limits = Rlimit {
        current: u64::try_from(soft).ok(),
        maximum: u64::try_from(hard).ok(),
    };
    Ok(setrlimit(Resource::Nofile, limits)?)
}

/// What tells this thread from all others that its process ever had, which `pthread_self` does not; above 0.
///
/// Of the thread that forks it is the same in the child.
#[inline]
#[must_use]
pub fn thread() -> u64 {
    match NUMBER.get() {
        0 => number(),
        number => number,
    }
}

thread_local! {
    /// Of this thread; 0: it has none yet.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}
static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

#[cold]
fn number() -> u64 {
    let number = LAST_NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
    NUMBER.set(number);
    number
}

/// The kernel's number of this thread, by which tools know it; of a process's first thread it is the pid.
#[must_use]
pub fn thread_id() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get() as u32
}

/// Set the name that `ps`, `top` and `/proc/PID/comm` show for this process.
///
/// # Errors
/// `InvalidInput` when the name is longer than [`NAME_MAX_BYTES`], which the kernel would cut silently.
pub fn set_name(name: &CStr) -> io::Result<()> {
    let length = name.to_bytes().len();
    if length > NAME_MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a process name has at most {NAME_MAX_BYTES} bytes, not {length}"),
        ));
    }
    // SAFETY: PR_SET_NAME reads at most 16 bytes up to a NUL; `name` is NUL-terminated and outlives the call.
    let status = unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_name_that_fits_is_shown_by_the_kernel() {
        // The name belongs to the calling thread, so it is read back from this thread's own entry.
        set_name(c"fifteen-bytes-n").expect("a name of 15 bytes");
        let shown = fs::read_to_string("/proc/thread-self/comm").expect("comm");
        assert_eq!(shown.trim_end(), "fifteen-bytes-n");
    }

    #[test]
    fn a_name_that_the_kernel_would_cut_is_refused() {
        let error = set_name(c"sixteen-bytes-na").expect_err("16 bytes");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_thread_keeps_its_number_and_no_other_one_ever_has_it() {
        let mine = thread();
        let others: Vec<u64> = (0..3)
            .map(|_| std::thread::spawn(thread).join().expect("a number"))
            .collect();
        assert_eq!(thread(), mine);
        assert!(others.iter().all(|other| *other != mine));
        assert!(others[0] != others[1] && others[1] != others[2] && others[0] != others[2]);
    }

    #[test]
    fn a_process_whose_parent_is_another_is_told_that_it_is_an_orphan() {
        // No process has pid 0, so it can never be the parent of this one.
        assert_eq!(die_with_parent(0).expect("prctl"), Bond::Orphan);
    }

    #[test]
    fn a_process_can_bind_itself_to_its_living_parent() {
        let parent = std::os::unix::process::parent_id();
        assert_eq!(die_with_parent(parent).expect("prctl"), Bond::Bound);
    }
}
