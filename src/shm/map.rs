//! From raw memory to atomic words: the one place of this folder that needs `unsafe`.

use std::ptr::NonNull;

use super::Word;

/// The `bytes` of memory at `address`, as words; what does not fill a word is left out.
///
/// # Safety
/// The memory is aligned to 8 bytes, stays mapped for `'a`, and everybody who touches it in that
/// time, in whatever process, does so through atomic words.
pub unsafe fn words<'a>(address: NonNull<u8>, bytes: usize) -> &'a [Word] {
    let count = bytes / size_of::<Word>();
    // SAFETY: the caller vouches for alignment, lifetime and atomic access; any bits make a valid
    // `AtomicU64`.
    unsafe { std::slice::from_raw_parts(address.cast::<Word>().as_ptr(), count) }
}
