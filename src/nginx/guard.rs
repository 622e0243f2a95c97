//! One wall between Rust and nginx: a panic stops here.
//!
//! A panic that left an `extern "C"` function would abort the worker with all its requests.
//! Behind the guard it is logged at `alert`, counted, and becomes an error of the one callback.

use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Once;

use super::log;

/// Panics of this process since its start, those of the master before it forked included.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Runs a callback; if it panics, answers `fallback`.
///
/// What the callback had borrowed may be half changed then. What is shared bears a death at any instruction,
/// and the rest that outlives a callback is reached through generational handles, so a half-done
/// change is a lost lookup, not a dangling one.
pub fn guard<T>(fallback: T, callback: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(callback)).unwrap_or(fallback)
}

/// Makes panics of this process go to nginx's error log, with their place and their number.
pub fn report_panics() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        set_hook(Box::new(|panic| {
            let number = PANICS.fetch_add(1, Relaxed) + 1;
            log::alert(format_args!("{panic} (panic number {number} of this process)"));
        }));
    });
}
