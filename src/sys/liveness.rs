//! Whether a process still lives (`pidfd_open(2)`): `kill(pid, 0)` would call a zombie alive, and a pid can be reused.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{fstat, fstatfs, stat};
use rustix::process::{pidfd_open, Pid, PidfdFlags};
use rustix::time::{clock_gettime, ClockId};

use super::poll::readable;

/// A moment since the machine was started, in nanoseconds; it goes on while the machine is suspended.
#[must_use]
pub fn now_since_boot() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    (now.tv_sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec as u64)
}

/// What a process is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// It may be another's by now.
    pub pid: u32,
    /// A moment at which it ran (`now_since_boot`).
    pub since: u64,
    /// `own_identity` of it; 0: the kernel has none.
    pub identity: u64,
    /// `pid_namespace` of it; 0: not known.
    pub pid_namespace: u64,
}

/// Among which processes this one's pid is its own: the inode of its namespace (`pid_namespaces(7)`); 0 without /proc.
#[must_use]
pub fn pid_namespace() -> u64 {
    stat("/proc/self/ns/pid").map_or(0, |status| status.st_ino)
}

/// What tells this process from all others that the kernel ever had: the inode of its pidfd, from Linux 6.9 on; else 0.
#[must_use]
pub fn own_identity() -> u64 {
    pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).map_or(0, |process| identity_of(&process))
}

fn identity_of(process: &OwnedFd) -> u64 {
    const PID_FS_MAGIC: u64 = 0x5049_4446;
    if fstatfs(process).is_ok_and(|system| system.f_type as u64 == PID_FS_MAGIC) {
        fstat(process).map_or(0, |status| status.st_ino)
    } else {
        0 // all pidfds have the same inode
    }
}

/// Whether a process still runs. In doubt it does.
#[must_use]
pub fn is_alive(known: Known) -> bool {
    let Some(pid) = i32::try_from(known.pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => is_elsewhere(known),
        Err(_) => true,
        // A pidfd is readable from the moment on that its process has ended, reaped or not.
        Ok(process) => {
            let is_it = !readable(process.as_fd(), Some(Duration::ZERO)).unwrap_or(false) && is_known(&process, known);
            is_it || is_elsewhere(known)
        }
    }
}

/// Whether its pid means nothing here.
#[cold]
fn is_elsewhere(known: Known) -> bool {
    let here = pid_namespace();
    known.pid_namespace != 0 && here != 0 && known.pid_namespace != here
}

fn is_known(process: &OwnedFd, known: Known) -> bool {
    match known.identity {
        0 => !is_younger(known.pid, known.since),
        identity => fstat(process).is_ok_and(|status| status.st_ino == identity),
    }
}

/// Whether a process was started after a moment, so that it only has the pid of the one that is meant.
fn is_younger(pid: u32, at: u64) -> bool {
    const NANOSECONDS_OF_TICK: u64 = 10_000_000; // USER_HZ is 100 on every architecture of ours
    const START_TIME: usize = 19; // field 22 of stat, counted from the one behind the name
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false; // no /proc
    };
    stat.rsplit_once(") ")
        .and_then(|(_, fields)| fields.split(' ').nth(START_TIME))
        .and_then(|ticks| ticks.parse::<u64>().ok())
        .is_some_and(|ticks| ticks.saturating_mul(NANOSECONDS_OF_TICK) > at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_did_not_before_it_was_started() {
        let (pid, since, identity) = (std::process::id(), now_since_boot(), own_identity());
        let known = |since, identity| {
            is_alive(Known {
                pid,
                since,
                identity,
                pid_namespace: pid_namespace(),
            })
        };
        assert!(known(since, identity));
        assert!(
            is_alive(Known {
                pid: u32::MAX >> 1,
                since,
                identity,
                pid_namespace: 1,
            }),
            "it may live where its pid is one"
        );
        assert!(known(since, 0));
        assert!(!known(0, 0), "another process must have had its pid then");
        assert!(
            !known(since, identity + 1) || identity == 0,
            "another process had its pid"
        );
    }

    #[test]
    fn a_process_that_ended_does_not_live_reaped_or_not() {
        let mut child = std::process::Command::new("true").spawn().expect("a process");
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("a pidfd");
        let known = Known {
            pid: child.id(),
            since: now_since_boot(),
            identity: identity_of(&process),
            pid_namespace: pid_namespace(),
        };
        assert!(readable(process.as_fd(), Some(Duration::from_secs(30))).expect("its end"));
        assert!(!is_alive(known), "a zombie");
        child.wait().expect("reaped");
        assert!(!is_alive(known));
    }
}
