//! What a fork inherits and no process can take over from another one (`credentials(7)`).

use std::io;

use rustix::process::getgroups;

/// Users, groups, process group, session and root directory of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective and saved.
    users: [libc::uid_t; 3],
    /// As `users`.
    groups: [libc::gid_t; 3],
    supplementary: Vec<u32>,
    /// 0, like the session, where its leader is outside of the process's pid namespace (`docker exec`).
    process_group: libc::pid_t,
    session: libc::pid_t,
    root_directory: (u64, u64),
}

impl Credentials {
    /// Look at them.
    ///
    /// # Errors
    /// The kernel's, or a root directory that cannot be looked at.
    pub fn look() -> io::Result<Self> {
        let (mut users, mut groups) = ([0; 3], [0; 3]);
        let [real, effective, saved] = &mut users;
        // SAFETY: the kernel writes one number to each of the three references.
        if unsafe { libc::getresuid(real, effective, saved) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let [real, effective, saved] = &mut groups;
        // SAFETY: as above.
        if unsafe { libc::getresgid(real, effective, saved) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // rustix holds that neither can be 0, which the kernel does not promise.
        // SAFETY: no pointer is taken, and 0 means the caller.
        let process_group = unsafe { libc::getpgid(0) };
        // SAFETY: as above.
        let session = unsafe { libc::getsid(0) };
        let root = rustix::fs::stat("/")?;
        Ok(Self {
            users,
            groups,
            supplementary: getgroups()?.into_iter().map(|group| group.as_raw()).collect(),
            process_group,
            session,
            root_directory: (root.st_dev, root.st_ino),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_looks_see_the_same() {
        assert_eq!(
            Credentials::look().expect("a look"),
            Credentials::look().expect("a look")
        );
    }
}
