//! `http_sendfile_cache_zone`: the lookup cache as a zone of nginx.

use std::ffi::c_void;
use std::ptr;

use crate::nginx::random_words;
use crate::nginx::zone::Shared;
use crate::shm::cache::Cache;
use crate::shm::Word;

impl Shared for Cache<'static> {
    const DIRECTIVE: &'static str = "http_sendfile_cache_zone";
    type Settings = ();

    fn tag() -> *mut c_void {
        static TAG: u8 = 0;
        ptr::from_ref(&TAG).cast_mut().cast()
    }

    fn create(words: &'static [Word]) -> Option<Self> {
        let [one, other] = random_words()?;
        Cache::create(words, (one, other))
    }

    fn open(words: &'static [Word]) -> Option<Self> {
        Cache::open(words)
    }
}
