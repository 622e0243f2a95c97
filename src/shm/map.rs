//! From raw memory to atomic words, and from words to pairs of them.

use std::ptr::NonNull;

use super::pair::Pair;
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

/// The same words as pairs, from the first that stands at the start of a cache line on.
pub fn pairs(words: &[Word]) -> &[Pair] {
    let skipped = words.as_ptr().cast::<u8>().align_offset(64) / size_of::<Word>();
    let words = words.get(skipped..).unwrap_or_default();
    // SAFETY: the words are valid, aligned as pairs are, and a pair is two words.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<Pair>(), words.len() / 2) }
}
