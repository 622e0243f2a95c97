//! From raw memory to atomic words, and from words to sets of pairs.

use std::ptr::NonNull;

use super::pair::Set;
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

/// The same words as sets of pairs, from the first that stands at the start of a cache line on.
pub fn sets(words: &[Word]) -> &[Set] {
    let line = align_of::<Set>();
    let skipped = words.as_ptr().cast::<u8>().align_offset(line) / size_of::<Word>();
    let words = words.get(skipped..).unwrap_or_default();
    // SAFETY: the words are valid and stand where a set may; a set is made of as many.
    unsafe {
        let count = size_of_val(words) / size_of::<Set>();
        std::slice::from_raw_parts(words.as_ptr().cast::<Set>(), count)
    }
}
