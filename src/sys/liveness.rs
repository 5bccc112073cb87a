//! Whether a process still lives (`pidfd_open(2)`): `kill(pid, 0)` would call a zombie alive, and a pid can be reused.

use std::fs;
use std::time::Duration;

use rustix::process::{pidfd_open, Pid, PidfdFlags};
use rustix::time::{clock_gettime, ClockId};

use super::poll::readable;
use std::os::fd::AsFd;

/// A moment since the machine was started, in nanoseconds; it goes on while the machine is suspended.
#[must_use]
pub fn now_since_boot() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    (now.tv_sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec as u64)
}

/// Whether the process that had this pid at a moment (`now_since_boot`) still runs. In doubt it does.
#[must_use]
pub fn is_alive(pid: u32, at: u64) -> bool {
    let Some(known) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    match pidfd_open(known, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => false,
        Err(_) => true,
        // A pidfd is readable from the moment on that its process has ended, reaped or not.
        Ok(process) => !readable(process.as_fd(), Some(Duration::ZERO)).unwrap_or(false) && !is_younger(pid, at),
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
        let own = std::process::id();
        assert!(is_alive(own, now_since_boot()));
        assert!(!is_alive(own, 0), "another process must have had its pid then");
    }

    #[test]
    fn a_process_that_ended_does_not_live_reaped_or_not() {
        let mut child = std::process::Command::new("true").spawn().expect("a process");
        let (pid, started) = (child.id(), now_since_boot());
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("a pidfd");
        assert!(readable(process.as_fd(), Some(Duration::from_secs(30))).expect("its end"));
        assert!(!is_alive(pid, started), "a zombie");
        child.wait().expect("reaped");
        assert!(!is_alive(pid, started));
    }
}
