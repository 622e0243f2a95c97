//! `http_sendfile_cache_zone`: the lookup cache as a zone of nginx.

use std::ffi::c_void;
use std::hash::{BuildHasher, RandomState};
use std::ptr;

use crate::nginx::zone::Shared;
use crate::shm::cache::Cache;
use crate::shm::Word;

impl Shared for Cache<'static> {
    const DIRECTIVE: &'static str = "http_sendfile_cache_zone";

    fn tag() -> *mut c_void {
        static TAG: u8 = 0;
        ptr::from_ref(&TAG).cast_mut().cast()
    }

    fn create(words: &'static [Word]) -> Option<Self> {
        // The standard library's own random keys are the portable way to the kernel's randomness.
        let random = || RandomState::new().hash_one(0);
        Cache::create(words, (random(), random()))
    }

    fn open(words: &'static [Word]) -> Option<Self> {
        Cache::open(words)
    }
}
