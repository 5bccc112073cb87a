//! For tests: killing a process before each of its instructions in turn (`ptrace(2)`).
//!
//! A step takes 17 us in a virtual machine, so going through n instructions anew for each of them would take minutes. A
//! scout is stepped through once; each victim then runs to a breakpoint at the instruction at which it is to be killed.
//!
//! At most instructions a kill leaves what a kill at the next one does. It leaves something else only where what lasts is
//! changed (`lasting.rs`), or a system call is made: these instructions tell, and there is a kill at all of them.

use std::collections::HashMap;
use std::io;

use super::lasting::Lasting;

/// A process that a test forked. Dropped, it is killed and reaped.
pub struct Child {
    pid: libc::pid_t,
    reaped: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal.
    Killed,
    /// Not in time.
    StillRuns,
}

impl Child {
    /// Fork a process that does something and exits with what that returns.
    pub fn fork(does: impl FnOnce() -> i32) -> Self {
        // SAFETY: the child only does what the test asks for, none of which depends on threads that it has not got, and
        // ends by _exit.
        match unsafe { libc::fork() } {
            0 => {
                let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(does)).unwrap_or(101);
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(code) }
            }
            pid => {
                assert!(pid > 0, "{}", io::Error::last_os_error());
                Self { pid, reaped: false }
            }
        }
    }

    /// Fork a process that stops before its last part, to be stepped through.
    fn fork_stopped<T>(prepares: impl FnOnce() -> T, does: impl FnOnce(T)) -> Self {
        let child = Self::fork(|| {
            let prepared = prepares();
            // SAFETY: asks the kernel for being traced by the parent; no memory is touched.
            unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
            // SAFETY: stops this process.
            unsafe { libc::raise(libc::SIGSTOP) };
            does(prepared);
            0
        });
        assert_eq!(child.wait_for_stop(), Some(libc::SIGSTOP));
        child
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid as u32
    }

    /// Run one instruction; false when the process has ended instead.
    fn step(&mut self) -> bool {
        self.go_on(libc::PTRACE_SINGLESTEP)
    }

    /// Resume it, until it has done a step or comes to a breakpoint. Signals reach it as ever: a child's of its own, say.
    fn go_on(&mut self, request: libc::c_uint) -> bool {
        let mut signal: libc::c_long = 0;
        loop {
            // SAFETY: the child is stopped and traced by this thread.
            unsafe { libc::ptrace(request, self.pid, 0, signal) };
            match self.wait_for_stop() {
                Some(libc::SIGTRAP) => return true,
                Some(other) => signal = other.into(),
                None => {
                    self.reaped = true;
                    return false;
                }
            }
        }
    }

    /// Where it is.
    fn address(&self) -> u64 {
        self.registers().rip
    }

    fn registers(&self) -> libc::user_regs_struct {
        let mut registers = std::mem::MaybeUninit::uninit();
        // SAFETY: the child is stopped and traced by this thread; the kernel fills the structure.
        let status = unsafe { libc::ptrace(libc::PTRACE_GETREGS, self.pid, 0, registers.as_mut_ptr()) };
        assert_eq!(status, 0, "{}", io::Error::last_os_error());
        // SAFETY: filled, since the call succeeded.
        unsafe { registers.assume_init() }
    }

    fn word(&self, address: u64) -> libc::c_long {
        // SAFETY: reads the child's memory, not this process's.
        unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.pid, address, 0) }
    }

    /// False for the kernel's own code (vDSO), which cannot be changed.
    fn set_word(&self, address: u64, word: libc::c_long) -> bool {
        // SAFETY: writes the child's memory, not this process's.
        unsafe { libc::ptrace(libc::PTRACE_POKETEXT, self.pid, address, word) == 0 }
    }

    /// Run until it is about to execute the instruction at an address for the `times`-th time from now; false when it
    /// has ended instead, or cannot be stopped there.
    fn run_to(&mut self, address: u64, times: usize) -> bool {
        const BREAKPOINT: libc::c_long = 0xcc;
        let instruction = self.word(address);
        let with_breakpoint = instruction & !0xff | BREAKPOINT;
        let mut left = times - usize::from(self.address() == address);
        while left > 0 {
            if self.address() == address && !self.step() {
                return false;
            }
            if !self.set_word(address, with_breakpoint) || !self.go_on(libc::PTRACE_CONT) {
                return false;
            }
            self.set_word(address, instruction);
            let mut registers = self.registers();
            assert_eq!(
                registers.rip,
                address + 1,
                "stopped by something else than the breakpoint"
            );
            registers.rip = address;
            // SAFETY: sets the child's registers from the structure.
            unsafe { libc::ptrace(libc::PTRACE_SETREGS, self.pid, 0, &raw mut registers) };
            left -= 1;
        }
        true
    }

    /// The signal that stopped it; none: it has ended.
    fn wait_for_stop(&self) -> Option<i32> {
        let mut status = 0;
        // SAFETY: the kernel writes one number to the reference.
        let pid = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        assert_eq!(pid, self.pid, "{}", io::Error::last_os_error());
        libc::WIFSTOPPED(status).then(|| libc::WSTOPSIG(status))
    }

    /// Kill and reap it.
    pub fn kill(&mut self) {
        if !self.reaped {
            // SAFETY: a child of ours that was not reaped.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            while self.wait_for_stop().is_some() {}
            self.reaped = true;
        }
    }

    /// Wait until it has ended, at most `seconds`.
    pub fn join(mut self, seconds: u64) -> End {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
        loop {
            let mut status = 0;
            // SAFETY: the kernel writes one number to the reference.
            let pid = unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG) };
            if pid == self.pid {
                self.reaped = true;
                return if libc::WIFEXITED(status) {
                    End::Exited(libc::WEXITSTATUS(status))
                } else {
                    End::Killed
                };
            }
            if std::time::Instant::now() > deadline {
                return End::StillRuns;
            }
            rustix::thread::sched_yield();
        }
    }
}

/// The instruction's bytes, as the lower half of a word.
const SYSTEM_CALL: libc::c_long = 0x050f;

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Let this process have at most so much address space.
pub fn limit_address_space(bytes: u64) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: the kernel reads the structure, which lives through the call.
    let status = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert_eq!(status, 0, "{}", io::Error::last_os_error());
}

/// Kill at each instruction, however many there are, and not only at those that tell and at some others.
const EVERY_INSTRUCTION: &str = "EVERY_INSTRUCTION";

/// At how many instructions that do not tell there is a kill as well, evenly spread and beginning elsewhere each time.
const OTHERS: usize = 50;

/// Let a process do something, and kill it before each of its instructions in turn that tells, and before some others; before
/// all of them where the environment has `EVERY_INSTRUCTION`.
///
/// Each time: `sets_up` in this process, `prepares` in the victim, `does` in it, and `checks` in this one, which is told
/// the victim's pid. Returns how many instructions there were.
pub fn kill_at_instructions<S, T>(
    mut sets_up: impl FnMut() -> S,
    prepares: impl Fn(&S) -> T,
    does: impl Fn(T),
    mut checks: impl FnMut(S, u32),
) -> usize {
    let mut attempt = |until: &mut dyn FnMut(&mut Child)| {
        let scene = sets_up();
        let mut victim = Child::fork_stopped(|| prepares(&scene), &does);
        until(&mut victim);
        victim.kill();
        checks(scene, victim.pid());
    };
    let mut path = Vec::new();
    attempt(&mut |scout| {
        let mut lasting = Lasting::default();
        loop {
            let address = scout.address();
            let is_call = scout.word(address) & 0xffff == SYSTEM_CALL;
            let has_ended = !scout.step();
            let tells = has_ended || lasting.has_changed(scout.pid, |address| scout.word(address)) || is_call;
            path.push((address, tells));
            if has_ended {
                break;
            }
        }
    });
    let stride = match std::env::var_os(EVERY_INSTRUCTION) {
        Some(_) => 1,
        None => path.len().div_ceil(OTHERS),
    };
    let start = std::process::id() as usize % stride;
    let mut times = HashMap::new();
    for (index, (address, tells)) in path.iter().enumerate() {
        let times = times.entry(address).or_insert(0);
        *times += 1;
        if !tells && index % stride != start {
            continue;
        }
        // Another path than the scout's ends, or leads past: then it is killed at its end.
        attempt(&mut |victim| {
            victim.run_to(*address, *times);
        });
    }
    path.len()
}
