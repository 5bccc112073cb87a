//! Ending a process ahead of its memory: it is gone, for whoever waits for it, before the kernel has unmapped everything.
//!
//! The kernel unmaps a process's memory before it says that the process has ended: half a millisecond for a small Python,
//! most of a short process's end. But memory lasts as long as any task has it. So the process closes all descriptors, makes
//! a task that shares its memory (`CLONE_VM`), and ends; that task, its *remains*, sees that it has ended and ends, too,
//! which is when the kernel unmaps.
//!
//! What others can notice of an end must not come late. So a process ends in the usual way that has mapped anything but
//! memory of its own and the arena (a file, a device, a segment), that has other threads, memory that somebody could miss,
//! or a process group, a namespace or a cgroup of its own, or that has forbidden itself system calls.

use std::arch::asm;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering}; // of this process alone, hence not by the door for loom
use std::sync::{Mutex, PoisonError};

use rustix::fs::{open, readlinkat_raw, stat, Mode, OFlags};
use rustix::io::read;
use rustix::param::page_size;
use rustix::process::{getpgid, getsid, Pid};
use rustix::thread::{capabilities, CapabilitySet};

use super::mapping::mapped_pages;
use super::signal;

/// A process that has this much more memory than its parent had at the fork ends in the usual way.
const MOST_BYTES: u64 = 8 << 20;

/// What `remember` saw.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

/// Which process may end ahead of its memory: of a fork of it the parent is another.
static OF_PROCESS: AtomicU32 = AtomicU32::new(0);

/// 1 until the kernel has taken the memory from the thread that ends (`set_tid_address(2)`).
static HAS_MEMORY: AtomicU32 = AtomicU32::new(0);

/// Before a fork: take what this process has by now, which the fork will have, too, for nothing that anybody could wait for.
pub fn remember() {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    *before = Pages::now().and_then(|pages| match before.take() {
        Some(last) if last.pages.mapped == pages.mapped && last.pages.data == pages.data => {
            Some(Before { pages, ..last })
        }
        Some(last) => Some(Before {
            pages,
            files: mapped_files()?,
            ..last
        }),
        None => Some(Before {
            pages,
            files: mapped_files()?,
            standing: Standing::look()?,
        }),
    });
}

/// In a child: its parent reaps all its children, remains too.
pub fn may_end_ahead() {
    OF_PROCESS.store(std::process::id(), Ordering::Relaxed);
}

/// End this process, at once, as `_exit(2)` does; where nobody can tell the difference, ahead of its memory.
///
/// The remains are a child of this process's parent, who has to reap it besides; see `may_end_ahead`.
pub fn end(code: i32) -> ! {
    if OF_PROCESS.load(Ordering::Relaxed) == std::process::id() && may_leave_remains() == Some(true) {
        leave_remains(code);
    }
    // SAFETY: it takes a number, runs nothing and does not return.
    unsafe { libc::_exit(code) }
}

/// Whether nothing but memory of this process alone would stay a moment longer, and little of that; `None`: who knows.
fn may_leave_remains() -> Option<bool> {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let (before, pages) = (before.as_ref()?, Pages::now()?);
    Some(
        pages.mapped == before.pages.mapped
            && pages.resident <= before.pages.resident + MOST_BYTES / page_size() as u64
            // A file that is mapped for this process alone to write to counts as data.
            && (pages.data <= before.pages.data || mapped_files()? == before.files)
            && has_one_thread()
            && Standing::look()? == before.standing,
    )
}

fn has_one_thread() -> bool {
    // A folder has a link of its own, its name, and one of each folder in it.
    stat("/proc/self/task").is_ok_and(|tasks| tasks.st_nlink == 3)
}

struct Before {
    pages: Pages,
    files: usize,
    standing: Standing,
}

/// What a process has in its address space, in pages (`/proc/PID/statm`).
struct Pages {
    /// Of files and devices, or shared with other processes, but for what is only ever used through `mapping`.
    mapped: u64,
    /// Of this process alone, and writable.
    data: u64,
    /// In memory.
    resident: u64,
}

impl Pages {
    fn now() -> Option<Self> {
        let text = Text::<128>::of_file("/proc/self/statm")?;
        let text = std::str::from_utf8(text.get()).ok()?;
        let mut numbers = text.split_ascii_whitespace().map(|number| number.parse::<u64>().ok());
        let (size, resident) = (numbers.next()??, numbers.next()??);
        let data = numbers.nth(3)??;
        Some(Self {
            mapped: size.checked_sub(data + mapped_pages())?,
            data,
            resident,
        })
    }
}

/// What the kernel says, without memory for it: an end is no time to touch more.
struct Text<const BYTES: usize> {
    bytes: [u8; BYTES],
    length: usize,
}

impl<const BYTES: usize> Text<BYTES> {
    const fn new() -> Self {
        Self {
            bytes: [0; BYTES],
            length: 0,
        }
    }

    /// `None`: it cannot be read, or is longer.
    fn of_file(path: &str) -> Option<Self> {
        let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut text = Self::new();
        text.length = read(&file, &mut text.bytes[..]).ok()?;
        (text.length < BYTES).then_some(text)
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<const BYTES: usize> PartialEq for Text<BYTES> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<const BYTES: usize> Eq for Text<BYTES> {}

/// How many mappings of files there are, but for the arena's.
fn mapped_files() -> Option<usize> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let of_file = |line: &&str| line.split_ascii_whitespace().nth(4).is_some_and(|inode| inode != "0");
    Some(
        maps.lines()
            .filter(of_file)
            .filter(|line| !line.ends_with("/memfd:allcores-arena (deleted)"))
            .count(),
    )
}

/// Of what a process is a part, and what it may do: what lasts until all its tasks have ended.
#[derive(PartialEq, Eq)]
struct Standing {
    group: Option<Pid>,
    session: Option<Pid>,
    cgroups: Text<4096>,
    /// Their names; empty where it cannot have changed them.
    namespaces: [Text<64>; NAMESPACES.len()],
    /// What forbids it system calls; perhaps one of those by which it would leave remains.
    filters: Option<String>,
}

const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid_for_children", "user", "uts"];

impl Standing {
    fn look() -> Option<Self> {
        let mut namespaces = [const { Text::new() }; NAMESPACES.len()];
        if capabilities(None).ok()?.effective.contains(CapabilitySet::SYS_ADMIN) {
            let folder = open("/proc/self/ns", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
            for (namespace, name) in namespaces.iter_mut().zip(NAMESPACES) {
                // Not by its inode, which the kernel would have to make.
                namespace.length = readlinkat_raw(&folder, name, &mut namespace.bytes[..]).ok()?;
            }
        }
        Some(Self {
            group: getpgid(None).ok(),
            session: getsid(None).ok(),
            cgroups: Text::of_file("/proc/self/cgroup")?,
            namespaces,
            filters: filters()?,
        })
    }
}

/// How many filters of system calls (`seccomp(2)`) this process has, as the kernel writes it; none where it has none.
fn filters() -> Option<Option<String>> {
    // SAFETY: it takes no memory. Strict mode, which kills at this call, would have killed at those before.
    if unsafe { libc::prctl(libc::PR_GET_SECCOMP) } == 0 {
        return Some(None);
    }
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("Seccomp_filters:"))?;
    Some(Some(line.to_owned()))
}

/// End with `code`; return, with nothing lost, if the kernel does not close everything.
fn leave_remains(code: i32) {
    // A handler would run on the stack that two tasks have; and a signal that comes now comes to one that has ended.
    if signal::block(u64::MAX).is_err() || std::env::set_current_dir("/").is_err() {
        return;
    }
    // SAFETY: closes every descriptor of this process. Nothing uses one any more: it has one thread, which only ends.
    if unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) } != 0 {
        return; // a kernel before 5.9
    }
    HAS_MEMORY.store(1, Ordering::Relaxed);
    // SAFETY: the kernel will write a zero there, into a static. What the C library had it write to at the end of this
    // thread, nobody waits for.
    unsafe { libc::syscall(libc::SYS_set_tid_address, HAS_MEMORY.as_ptr()) };
    // SAFETY: both tasks go on with the same stack and registers, so until each has ended there are only these instructions,
    // which use neither the stack nor memory but HAS_MEMORY. No signal interrupts them, as all are blocked but those by which
    // the C library talks to threads, and there is one. Where there is no second task, since the kernel makes none, the
    // first ends all the same.
    unsafe { part(code, HAS_MEMORY.as_ptr()) }
}

/// What the remains share with the process; they are a child of its parent, to whom the kernel signals their end.
const REMAINS: i32 =
    libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_PARENT | libc::SIGCHLD;

/// These instructions, with the numbers that they have in common.
macro_rules! instructions {
    ($($instruction:literal),+; $($register:tt)+) => {
        asm!(
            $($instruction),+,
            prctl = const libc::SYS_prctl,
            pdeathsig = const libc::PR_SET_PDEATHSIG,
            sigkill = const libc::SIGKILL,
            futex = const libc::SYS_futex,
            wait = const libc::FUTEX_WAIT,
            exit_group = const libc::SYS_exit_group,
            $($register)+
            options(noreturn),
        )
    };
}

/// Make the remains, and end with `code`. They wait for the kernel to set `has_memory` to 0; should their parent end
/// before that, the kernel kills them: they must not stay where somebody has stopped them.
unsafe fn part(code: i32, has_memory: *mut u32) -> ! {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise.
    unsafe {
        instructions!(
            "syscall", // clone
            "test rax, rax",
            "jnz 4f",
            "mov eax, {prctl}",
            "mov edi, {pdeathsig}",
            "mov esi, {sigkill}",
            "syscall",
            "2:",
            "cmp dword ptr [r12], 0",
            "je 3f",
            "mov eax, {futex}",
            "mov rdi, r12",
            "mov esi, {wait}",
            "mov edx, 1",
            "xor r10d, r10d", // for ever
            "syscall",
            "jmp 2b",
            "3:",
            "xor r13d, r13d",
            "4:",
            "mov eax, {exit_group}",
            "mov edi, r13d",
            "syscall",
            "ud2";
            in("rax") libc::SYS_clone,
            in("rdi") i64::from(REMAINS),
            in("rsi") 0_i64, // on this stack
            in("rdx") 0_i64,
            in("r10") 0_i64,
            in("r8") 0_i64,
            in("r12") has_memory,
            in("r13") code,
        )
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller's promise.
    unsafe {
        instructions!(
            "svc 0", // clone
            "cbnz x0, 4f",
            "mov x8, {prctl}",
            "mov x0, {pdeathsig}",
            "mov x1, {sigkill}",
            "svc 0",
            "2:",
            "ldr w9, [x20]",
            "cbz w9, 3f",
            "mov x8, {futex}",
            "mov x0, x20",
            "mov x1, {wait}",
            "mov x2, 1",
            "mov x3, 0", // for ever
            "svc 0",
            "b 2b",
            "3:",
            "mov w21, 0",
            "4:",
            "mov x8, {exit_group}",
            "mov w0, w21",
            "svc 0",
            "brk 1";
            in("x8") libc::SYS_clone,
            in("x0") i64::from(REMAINS),
            in("x1") 0_i64, // on this stack
            in("x2") 0_i64,
            in("x3") 0_i64,
            in("x4") 0_i64,
            in("x20") has_memory,
            in("w21") code,
        )
    }
}
