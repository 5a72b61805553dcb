//! Unaligned loads from packet memory, and atomic additions to shared memory, one instruction each.
//!
//! The compiler would split a load of unknown alignment into bytes, which costs several times as much for every packet.
//! The kernel runs these programs only on machines where unaligned loads work.

use core::arch::asm;

/// One function for each width.
macro_rules! load {
    ($name:ident, $type:ty, $instruction:literal) => {
        /// The number `OFFSET` bytes after `at`, in native byte order.
        ///
        /// # Safety
        /// It is memory that the running program may read: the verifier checks that.
        #[inline(always)]
        unsafe fn $name<const OFFSET: usize>(at: usize) -> $type {
            let value: u32;
            // SAFETY: the caller's promise; nothing is written.
            unsafe {
                asm!(
                    $instruction,
                    out(wreg) value,
                    in(reg) at,
                    const OFFSET,
                    options(pure, readonly, nostack, preserves_flags)
                );
            }
            value as $type
        }
    };
}

load!(one, u8, "{0} = *(u8 *)({1} + {2})");
load!(two, u16, "{0} = *(u16 *)({1} + {2})");
load!(four, u32, "{0} = *(u32 *)({1} + {2})");

/// The most bytes of [`bytes`].
const MAX: usize = 60;

/// The `N` bytes at `at`, at most 60. Bytes that are not used are not loaded.
///
/// # Safety
/// It is memory that the running program may read: the verifier checks that.
#[inline(always)]
pub(crate) unsafe fn bytes<const N: usize>(at: usize) -> [u8; N] {
    const { assert!(N <= MAX) };
    let mut bytes = [0; N];
    let (words, rest) = bytes.as_chunks_mut::<4>();
    // Offsets are part of the instruction, and so must be literals.
    macro_rules! words {
        ($($index:literal)*) => {
            $(
                if let Some(word) = words.get_mut($index) {
                    // SAFETY: the caller's promise.
                    *word = unsafe { four::<{ 4 * $index }>(at) }.to_ne_bytes();
                }
            )*
        };
    }
    words!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    let at = at + N / 4 * 4;
    // SAFETY: the caller's promise.
    unsafe {
        match rest {
            [a] => *a = one::<0>(at),
            [a, b] => [*a, *b] = two::<0>(at).to_ne_bytes(),
            [a, b, c] => {
                [*a, *b] = two::<0>(at).to_ne_bytes();
                *c = one::<2>(at);
            }
            _ => {}
        }
    }
    bytes
}

/// Adds to a number atomically. The compiler offers this only for targets with compare-and-exchange, which this is not.
#[inline(always)]
pub(crate) fn add(number: &mut u64, more: u64) {
    // SAFETY: the reference is to a valid number; nothing else is written.
    unsafe {
        asm!(
            "lock *(u64 *)({0} + 0) += {1}",
            in(reg) core::ptr::from_mut(number),
            in(reg) more,
            options(nostack, preserves_flags)
        );
    }
}
