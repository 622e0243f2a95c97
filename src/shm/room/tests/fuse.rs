//! Ends a thread's work before a write of its choice, as a signal ends a process.

use std::cell::Cell;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};

/// No fuse: what the countdown is when nobody is to be stopped.
const NONE: u64 = u64::MAX;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(NONE) };
}

/// What a write does first.
pub fn burn() {
    match LEFT.get() {
        NONE => {}
        0 => {
            LEFT.set(NONE);
            // Unlike a panic, it says nothing; but who unwinds has panicked.
            resume_unwind(Box::new("cut off"));
        }
        left => LEFT.set(left - 1),
    }
}

/// Does something, but only its first `writes` writes. Tells what came of it, if it came to its end.
pub fn after<T>(writes: u64, work: impl FnOnce() -> T) -> Option<T> {
    LEFT.set(writes);
    let result = catch_unwind(AssertUnwindSafe(work)).ok();
    LEFT.set(NONE);
    result
}
