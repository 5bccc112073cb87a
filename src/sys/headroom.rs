//! How much memory is left: reserving more would wake the kernel's out-of-memory killer instead of failing.

use std::fs;
use std::path::{Path, PathBuf};

/// The bytes that the machine, and every cgroup of this process, have left; u64::MAX when that cannot be told.
#[must_use]
pub fn left_bytes() -> u64 {
    machine().unwrap_or(u64::MAX).min(cgroups().unwrap_or(u64::MAX))
}

/// Whether an error of the kernel's means that memory is short.
#[must_use]
pub fn is_shortage(error_number: i32) -> bool {
    [libc::ENOMEM, libc::ENOSPC, libc::EDQUOT].contains(&error_number)
}

fn machine() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The least of what the process's cgroup (version 2) and those above it have left.
fn cgroups() -> Option<u64> {
    const ROOT: &str = "/sys/fs/cgroup";
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mut group = PathBuf::from(ROOT).join(own.trim_start_matches('/'));
    let mut least = None;
    while group.starts_with(ROOT) {
        least = [least, left_in(&group)].into_iter().flatten().min();
        if !group.pop() {
            break;
        }
    }
    least
}

fn left_in(group: &Path) -> Option<u64> {
    let number = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    let limit = number("memory.max")?; // "max": none
    let used = number("memory.current")?;
    // The kernel drops these before it calls memory short.
    let cache = fs::read_to_string(group.join("memory.stat")).ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("inactive_file "))?;
        line.parse::<u64>().ok()
    });
    Some(limit.saturating_sub(used.saturating_sub(cache.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_machine_has_something_left() {
        assert!(left_bytes() > 0);
    }
}
