//! What all workers share: structures over a plain slice of atomic words.
//!
//! A worker may be killed at any instruction. What every request comes by takes no lock: what changes in one
//! exchange is never half written, and what takes more is found out by its checksum and is as good as absent. A
//! [`room`] is behind a lock, which nginx opens after a death, and mends then what was half done. There are no pointers, only indexes: each process may have the memory elsewhere.

#[cfg(not(shuttle))]
pub mod buffers;
pub mod cache;
pub mod histogram;
#[cfg(not(shuttle))]
pub mod history;
pub mod limiter;
#[cfg(not(shuttle))]
pub mod lookups;
#[cfg(not(shuttle))]
mod map;
pub mod pair;
pub mod room;

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

#[cfg(not(shuttle))]
pub use map::words;

/// The unit of shared memory.
#[cfg(not(shuttle))]
pub type Word = std::sync::atomic::AtomicU64;
/// The unit of shared memory, whose every access is a choice of the model checker.
#[cfg(shuttle)]
pub type Word = shuttle::sync::atomic::AtomicU64;

/// Clears what a structure is to be made in, which begins with a header of so many words. Fresh memory is all zero,
/// and stays untouched: a large zone costs nothing before it is used.
fn clear(words: &[Word], header: usize) {
    if words[..header].iter().any(|word| word.load(Relaxed) != 0) {
        words.iter().for_each(|word| word.store(0, Relaxed));
    }
}

/// Says of a structure what it is, by its first two words: it has been made.
fn seal(words: &[Word], magic: u64) {
    words[1].store(words.len() as u64, Relaxed);
    words[0].store(magic, Release);
}

/// Whether a structure of this magic, and of this size, has been made of words.
fn is_sealed(words: &[Word], magic: u64) -> bool {
    matches!(words, [first, length, ..]
        if first.load(Acquire) == magic && length.load(Relaxed) == words.len() as u64)
}

/// Bytes as words, the last of which is filled up with zeros.
fn packed(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks(8).map(|bytes| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    })
}

/// The bytes of words, with what the last is filled up with.
#[cfg(not(shuttle))]
fn unpacked(words: &[Word]) -> impl Iterator<Item = u8> + '_ {
    words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes())
}
