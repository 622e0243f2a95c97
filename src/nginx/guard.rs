//! One wall between Rust and nginx: a panic stops here.
//!
//! A panic that left an `extern "C"` function would abort the worker with all its requests.
//! Behind the guard it is logged at `alert`, counted, and becomes an error of the one callback.

use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use std::sync::Once;

use super::log;
use crate::shm::Word;

/// Panics of this process since its start, those of the master before it forked included: while there is no word that
/// all processes share.
static OWN: Word = Word::new(0);

/// The word that counts the panics: in shared memory, or [`OWN`].
static PANICS: AtomicPtr<Word> = AtomicPtr::new((&raw const OWN).cast_mut());

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
            let number = counter().fetch_add(1, Relaxed) + 1;
            log::alert(format_args!("{panic} (panic number {number})"));
        }));
    });
}

/// How many panics were caught.
pub fn panics() -> u64 {
    counter().load(Relaxed)
}

/// Has panics counted in a word that all processes share, and that is mapped until another one is named; with those
/// that this process has counted on its own. `None`: on its own again.
pub fn count_panics_in(word: Option<&'static Word>) {
    if let Some(word) = word {
        word.fetch_add(OWN.swap(0, Relaxed), Relaxed);
    }
    PANICS.store(std::ptr::from_ref(word.unwrap_or(&OWN)).cast_mut(), Relaxed);
}

fn counter() -> &'static Word {
    // SAFETY: it is a static, or the word that `count_panics_in` was given, of which its caller says that it is mapped
    // until another one is named.
    unsafe { &*PANICS.load(Relaxed) }
}
