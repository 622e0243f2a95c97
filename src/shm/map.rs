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

/// A file's first `bytes`, as words that all processes share which do the same: for tests, in whose processes it
/// stays mapped.
#[cfg(test)]
pub fn shared(file: &std::fs::File, bytes: usize) -> &'static [Word] {
    use rustix::mm::{mmap, MapFlags, ProtFlags};

    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: the mapping is fresh, page-aligned, of a file of that length, and never unmapped; all
    // access is by atomic words.
    unsafe {
        let address = mmap(std::ptr::null_mut(), bytes, protection, flags, file, 0);
        words(NonNull::new(address.expect("a mapping").cast()).expect("an address"), bytes)
    }
}
