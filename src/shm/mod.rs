//! What all workers share: structures over a plain slice of atomic words.
//!
//! A worker may be killed at any instruction, so nothing here takes a lock: what is half written is
//! found out by its checksum and is as good as absent. There are no pointers, only indexes, for
//! a reload maps nothing anew but another program may read the same memory.

pub mod cache;
mod map;

pub use map::words;

/// The unit of shared memory.
pub type Word = std::sync::atomic::AtomicU64;
