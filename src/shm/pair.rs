//! Two words that change as one.

#[cfg(shuttle)]
pub use model::Pair;
#[cfg(not(shuttle))]
pub use real::Pair;

/// Pairs of a set.
pub const SET: usize = 4;

/// A cache line of pairs.
#[repr(C, align(64))]
pub struct Set([Pair; SET]);

impl Set {
    /// The pairs.
    #[inline]
    pub fn slots(&self) -> &[Pair; SET] {
        &self.0
    }

    /// A set for the model checker.
    #[cfg(shuttle)]
    pub fn new() -> Self {
        Self([(); SET].map(|()| Pair::new([0, 0])))
    }
}

#[cfg(not(shuttle))]
mod real {
    use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::SeqCst};

    use portable_atomic::AtomicU128;

    /// Two words in 16 bytes, each of which can be read alone, and which are exchanged together.
    #[repr(C, align(16))]
    pub struct Pair([AtomicU64; 2]);

    impl Pair {
        /// Whether this processor exchanges two words in one instruction. Without it they would be
        /// exchanged under a lock, which is one of the process, not of the shared memory.
        pub fn is_supported() -> bool {
            AtomicU128::is_lock_free()
        }

        /// The first word.
        #[inline]
        pub fn first(&self) -> u64 {
            self.0[0].load(Acquire)
        }

        /// The second word, of a time after any earlier read.
        #[inline]
        pub fn second(&self) -> u64 {
            self.0[1].load(Acquire)
        }

        /// Changes both words if they are `old`. Tells whether they were.
        ///
        /// Others may read halves of the pair meanwhile. They are other processes, as a process accesses
        /// it from one thread at a time, and there the processor's rules count: it writes aligned halves
        /// whole.
        #[inline]
        pub fn exchange(&self, old: [u64; 2], new: [u64; 2]) -> bool {
            let both = std::ptr::from_ref(self).cast::<u128>().cast_mut();
            // SAFETY: the pair is valid, aligned to 16 bytes, and made of atomics, which may be written
            // through a shared reference.
            let both = unsafe { AtomicU128::from_ptr(both) };
            both.compare_exchange(joined(old), joined(new), SeqCst, Acquire).is_ok()
        }
    }

    /// Two words as they lie in memory.
    #[inline]
    fn joined([first, second]: [u64; 2]) -> u128 {
        let [low, high] =
            if cfg!(target_endian = "little") { [first, second] } else { [second, first] };
        u128::from(high) << 64 | u128::from(low)
    }
}

#[cfg(shuttle)]
#[allow(missing_docs)]
mod model {
    use shuttle::sync::Mutex;

    /// The same for the model checker: each access is one of its choices.
    pub struct Pair(Mutex<[u64; 2]>);

    impl Pair {
        pub fn new(words: [u64; 2]) -> Self {
            Self(Mutex::new(words))
        }

        pub fn first(&self) -> u64 {
            self.0.lock().unwrap()[0]
        }

        pub fn second(&self) -> u64 {
            self.0.lock().unwrap()[1]
        }

        pub fn exchange(&self, old: [u64; 2], new: [u64; 2]) -> bool {
            let mut words = self.0.lock().unwrap();
            let found = *words == old;
            if found {
                *words = new;
            }
            found
        }
    }
}
