//! What lies where in the arena. Structures of atomics and nothing else; the picture is in the README.

#![allow(missing_docs, reason = "the picture in the README shows what the offsets are")]

use crate::atomics::{AtomicU32, AtomicU64};
#[cfg(not(loom))]
use crate::sys::robust_mutex::RobustMutex;
use crate::sys::shared::{shared_struct, WINDOWS_END};

/// "allcores", as a number that tells byte order too.
pub const MAGIC: u64 = u64::from_be_bytes(*b"allcores");
/// Of this layout; processes of one session have the same allcores, unless it was updated while they ran.
pub const VERSION: u32 = 6;

/// The unit of memory that a class of blocks, or a large block, gets.
pub const SLAB: u64 = 64 << 10;
/// Sizes of blocks, their headers included. The last one is for segments of channels and pages of tables only.
pub const CLASSES: [u64; 10] = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, SLAB];

const _: () = {
    // A block of a class lies where the low bits of its offset are 0.
    let mut class = 0;
    while class < CLASSES.len() {
        assert!(CLASSES[class].is_power_of_two());
        class += 1;
    }
};

pub const MUTEXES_AT: u64 = 4 << 10;
pub const MUTEXES: usize = 64;
pub const SLAB_TABLE_AT: u64 = 64 << 10;
pub const SLABS: usize = (WINDOWS_END / SLAB) as usize;
pub const PROCESSES_AT: u64 = 256 << 10;
pub const PROCESSES: u32 = 4096;
pub const WAITERS_AT: u64 = PROCESSES_AT + (1 << 20);
pub const WAITERS: u32 = 16384;
pub const SPANS_AT: u64 = WAITERS_AT + (1 << 20);
/// One bit for each span of the large area.
pub const SPANS: u64 = 4 << 20;
/// How many free runs of spans can have their memory kept.
pub const KEPT_RUNS: usize = 16;
pub const SITES_AT: u64 = SPANS_AT + (1 << 20);
pub const SITES: u32 = 2048;
pub const FIRST_SLAB: u64 = (SITES_AT + (512 << 10)) / SLAB;
/// How long the text of a site can be, in words.
pub const SITE_WORDS: usize = 30;
pub const LARGE_AT: u64 = WINDOWS_END;
/// The length of the file.
pub const LENGTH: u64 = LARGE_AT + SPANS * SLAB;
pub const PAGE: u64 = 4096;

shared_struct! {
    /// At the beginning of the arena.
    pub struct Header {
        pub magic: AtomicU64,
        pub version: AtomicU32,
        /// How many slabs there are; those before FIRST_SLAB are counted, too.
        pub slabs: AtomicU32,
        pub session: [AtomicU64; 2],
        /// How much memory the arena may have, in bytes.
        pub limit: AtomicU64,
        /// Live blocks, references and names included.
        pub live_blocks: AtomicU64,
        /// Spans in use.
        pub spans: AtomicU64,
        /// One more than the largest span that was ever used: the bits beyond have no memory.
        pub span_high: AtomicU64,
        /// Where to look for free spans first.
        pub span_hint: AtomicU64,
        /// One more than the largest index of a process that was ever there; likewise waiters.
        pub processes_high: AtomicU32,
        pub waiters_high: AtomicU32,
        /// Where the last process record was found.
        pub process_hint: AtomicU32,
        /// One more than the largest index of a site that was ever there.
        pub sites_high: AtomicU32,
        /// 1: the heap's last owner died, and what follows from what is true was not made anew yet.
        pub is_unsound: AtomicU32,
        /// How many slabs the list of `kept_slabs` has.
        pub kept_slabs_number: AtomicU32,
        /// How many free slabs have no memory, but for their first page.
        pub bare_slabs: AtomicU32,
        pub _unused: AtomicU32,
        /// Per class: the first free block; the first one that was never used. 0: none.
        pub free: [AtomicU64; CLASSES.len()],
        pub fresh: [AtomicU64; CLASSES.len()],
        /// The first free slab whose memory is kept: `arena::kept`.
        pub kept_slabs: AtomicU64,
        /// Free runs of spans whose memory is kept: the first one, and how many (the low half); 0: none.
        pub kept_runs: [AtomicU64; KEPT_RUNS],
        /// How often kept memory was used.
        pub kept_uses: AtomicU64,
    }
}

shared_struct! {
    /// In front of each block's body.
    pub struct BlockHeader {
        /// Generation, kind and whether it is live: `arena::tag`.
        pub tag: AtomicU64,
        /// How many handles there are to it, in all processes.
        pub references: AtomicU32,
        /// The process that made it.
        pub creator: AtomicU32,
        /// Of the body, as asked for, in bytes.
        pub size: AtomicU64,
        /// Free: the next free block. Live: its spans, or the block that has its name. In a name: the block it is of.
        pub link: AtomicU64,
    }
}

/// The bytes in front of a body.
pub const BLOCK_HEADER: u64 = size_of::<BlockHeader>() as u64;

/// How many handles a block of references has room for.
pub const ENTRIES: usize = (1024 - BLOCK_HEADER as usize) / 8 - 1;

shared_struct! {
    /// The body of a block of references.
    pub struct References {
        /// The next block of the chain; 0: none.
        pub next: AtomicU64,
        /// Generation and offset: `arena::entry`; 0: none.
        pub entries: [AtomicU64; ENTRIES],
    }
}

shared_struct! {
    /// A process of the session.
    pub struct ProcessRecord {
        /// Grows with each process that the record was for.
        pub generation: AtomicU32,
        /// `registry::processes::State`.
        pub state: AtomicU32,
        pub pid: AtomicU32,
        /// 1: it said that it is about to end, so what it holds it leaves on purpose.
        pub ends_cleanly: AtomicU32,
        /// When it registered, in nanoseconds since boot.
        pub since: AtomicU64,
        /// The first block of its references; 0: none.
        pub references: AtomicU64,
        /// An embryo's parent.
        pub parent: AtomicU32,
        /// How it ended: bit 31 and the wait status; 0: not known.
        pub ended: AtomicU32,
        /// Its name, closed by zeroes.
        pub name: [AtomicU64; 8],
        /// What the kernel knows it by for ever, where it does: `sys::liveness`.
        pub identity: AtomicU64,
        /// The number by which it has the arena's file.
        pub descriptor: AtomicU32,
        pub _unused: AtomicU32,
        /// In which namespace its pid is one: `sys::liveness`.
        pub pid_namespace: AtomicU64,
        pub _rest: [AtomicU32; 32],
    }
}

shared_struct! {
    /// A thread that waits.
    pub struct WaiterRecord {
        /// Its process; 0: the record is free.
        pub process: AtomicU32,
        /// How often it waited, and `registry::waiters::Grant`; it sleeps on this word.
        pub grant: AtomicU32,
        /// The block it waits for; 0: it does not wait yet, or any more.
        pub object: AtomicU64,
        /// Its place among those who wait for the same.
        pub ticket: AtomicU64,
        pub thread: AtomicU64,
        /// Since when, in nanoseconds since boot.
        pub since: AtomicU64,
        /// The kernel's number of the thread.
        pub thread_id: AtomicU32,
        /// `registry::sites::Site`: where in the program it waits.
        pub site: AtomicU32,
        /// 1: it waits for a limited time.
        pub has_timeout: AtomicU32,
        pub _unused: [AtomicU32; 3],
    }
}

shared_struct! {
    /// A place in a program: `registry::sites`.
    pub struct SiteRecord {
        /// Of the text; 0: the record is free.
        pub hash: AtomicU64,
        /// Of the text, in bytes; 0: it is not complete.
        pub length: AtomicU64,
        pub text: [AtomicU64; SITE_WORDS],
    }
}

// Loom's atomics are larger, and lie nowhere.
#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<ProcessRecord>() == 256);
    assert!(size_of::<WaiterRecord>() == 64);
    assert!(size_of::<SiteRecord>() == 256);
    assert!(SITES_AT + SITES as u64 * 256 <= FIRST_SLAB * SLAB);
    assert!(size_of::<References>() as u64 + BLOCK_HEADER == 1024);
    assert!(size_of::<Header>() as u64 <= MUTEXES_AT);
    assert!(size_of::<RobustMutex>() * MUTEXES <= PAGE as usize);
    assert!(SLAB_TABLE_AT + SLABS as u64 * 4 <= PROCESSES_AT);
};
