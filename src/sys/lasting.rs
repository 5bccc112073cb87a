//! For tests: what is left when a process is killed, as far as others may find it: the session's shared memory, and the list
//! of robust mutexes by which the kernel knows what a dead thread held.

#![allow(clippy::expect_used, reason = "tests")]

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{seek, SeekFrom};
use rustix::io::Errno;

thread_local! {
    /// The file of the session that this thread's test has made last.
    static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Have a session's file looked at by this thread, and no other one.
///
/// # Errors
/// Those of opening it.
pub fn watch(file: BorrowedFd<'_>) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let own = File::open(path)?; // with a position of its own
    FILE.set(Some(own));
    Ok(())
}

/// What a process would leave, and what it would have left when it was looked at last.
#[derive(Default)]
pub struct Lasting {
    robust: [i64; 3],
    blocks: u64,
    /// The file's data, by where it is.
    parts: Vec<(u64, Vec<u8>)>,
    read: Vec<u8>,
}

impl Lasting {
    /// Whether it is another one than last time. `word` reads a word of the process of this pid.
    pub fn has_changed(&mut self, pid: libc::pid_t, word: impl Fn(u64) -> i64) -> bool {
        let head = robust_list(pid);
        let robust = [0, 1, 2].map(|index| if head == 0 { 0 } else { word(head + 8 * index) });
        let mut is_other = robust != self.robust;
        self.robust = robust;
        FILE.with_borrow(|file| {
            let file = file.as_ref().expect("nothing to look at: `watch` tells of sessions");
            is_other |= self.look_again(file).expect("a file that can be read");
        });
        is_other
    }

    fn look_again(&mut self, file: &File) -> io::Result<bool> {
        let blocks = file.metadata()?.blocks();
        if blocks != self.blocks {
            self.blocks = blocks; // it has got pages, or has lost some
            self.parts = parts(file)?;
            return Ok(true);
        }
        let mut is_other = false;
        for (start, bytes) in &mut self.parts {
            self.read.resize(bytes.len(), 0);
            file.read_exact_at(&mut self.read, *start)?;
            if self.read != *bytes {
                mem::swap(&mut self.read, bytes);
                is_other = true;
            }
        }
        Ok(is_other)
    }
}

fn parts(file: &File) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let (mut parts, mut end) = (Vec::new(), 0);
    loop {
        let start = match seek(file, SeekFrom::Data(end)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(parts), // no data behind it
            Err(error) => return Err(error.into()),
        };
        end = seek(file, SeekFrom::Hole(start))?;
        let mut bytes = vec![0; (end - start) as usize];
        file.read_exact_at(&mut bytes, start)?;
        parts.push((start, bytes));
    }
}

/// Where a thread has its `struct robust_list_head`, of three words; 0: it has none.
fn robust_list(pid: libc::pid_t) -> u64 {
    let (mut head, mut size) = (0_u64, 0_usize);
    // SAFETY: the kernel writes one word to each of the references.
    let status = unsafe { libc::syscall(libc::SYS_get_robust_list, pid, &raw mut head, &raw mut size) };
    assert_eq!(status, 0, "{}", io::Error::last_os_error());
    head
}
