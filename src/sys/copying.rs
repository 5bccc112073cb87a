//! Copying large pieces of memory to where another process will read them.

use std::ptr;

/// From this length on a copy goes past the caches. Shorter ones are still there when the receiver looks, and copying in
/// there is faster; several of a longer one do not find room, and each line of the target is then read from memory
/// before it is overwritten.
pub const LARGE_BYTES: usize = 4 << 20;

/// Copy bytes; a large piece without a trace in this processor's caches.
///
/// # Safety
/// As [`ptr::copy_nonoverlapping`]. Who changes either side meanwhile garbles bytes and nothing else.
pub unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    let streamed = if length < LARGE_BYTES {
        0
    } else {
        // SAFETY: the caller's promise.
        unsafe { stream(from, to, length) }
    };
    // SAFETY: the rest of what the caller promises.
    unsafe {
        ptr::copy_nonoverlapping(
            from.wrapping_add(streamed),
            to.wrapping_add(streamed),
            length - streamed,
        )
    };
}

/// Copy most of it by stores that go to memory; return how much, from the beginning on.
///
/// # Safety
/// As [`copy`].
#[cfg(target_arch = "x86_64")]
unsafe fn stream(from: *const u8, to: *mut u8, length: usize) -> usize {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};

    /// What goes to memory at once: a line of the cache.
    const LINE: usize = 64;
    const PART: usize = size_of::<__m128i>();

    // These stores need an aligned target.
    let head = to.align_offset(LINE).min(length);
    // SAFETY: the caller's promise, for its first bytes.
    unsafe { ptr::copy_nonoverlapping(from, to, head) };
    let end = head + (length - head) / LINE * LINE;
    for line in (head..end).step_by(LINE) {
        let parts = [0, 1, 2, 3].map(|part| {
            // SAFETY: within the caller's bytes; this load needs no alignment.
            unsafe { _mm_loadu_si128(from.wrapping_add(line + part * PART).cast()) }
        });
        for (index, part) in parts.into_iter().enumerate() {
            // SAFETY: within the caller's bytes, on a multiple of PART. The fence below comes before anybody is told.
            unsafe { _mm_stream_si128(to.wrapping_add(line + index * PART).cast(), part) };
        }
    }
    // SAFETY: every x86-64 has it.
    unsafe { _mm_sfence() };
    end
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn stream(_: *const u8, _: *mut u8, _: usize) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_equal_whatever_their_length_and_alignment_and_touch_nothing_else() {
        for length in [0, 1, 63, 1000, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 77] {
            let bytes: Vec<u8> = (0..length + 64).map(|index| (index * 7 % 251) as u8).collect();
            for (from, to) in [(0, 0), (1, 0), (0, 1), (3, 17)] {
                let mut there = vec![255; length + 64];
                // SAFETY: both have 64 bytes more than are copied, and are two.
                unsafe { copy(bytes[from..].as_ptr(), there[to..].as_mut_ptr(), length) };
                assert_eq!(there[to..to + length], bytes[from..from + length]);
                assert!(there[..to].iter().chain(&there[to + length..]).all(|byte| *byte == 255));
            }
        }
    }
}
