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

#[cfg(not(shuttle))]
pub use map::words;

/// The unit of shared memory.
#[cfg(not(shuttle))]
pub type Word = std::sync::atomic::AtomicU64;
/// The unit of shared memory, whose every access is a choice of the model checker.
#[cfg(shuttle)]
pub type Word = shuttle::sync::atomic::AtomicU64;
