//! `smart_buffers_zone`: the records as a zone of nginx.

use std::ffi::c_void;
use std::ptr;

use crate::nginx::zone::{self, Shared};
use crate::shm::buffers::Records;
use crate::shm::Word;

/// The zone of the records.
pub type Zone = zone::Zone<Records<'static>>;

/// Its name, among all zones of nginx.
pub const NAME: &[u8] = b"ngx_smart_buffers";

impl Shared for Records<'static> {
    const DIRECTIVE: &'static str = "smart_buffers_zone";
    type Settings = ();

    fn tag() -> *mut c_void {
        static TAG: u8 = 0;
        ptr::from_ref(&TAG).cast_mut().cast()
    }

    fn create(words: &'static [Word]) -> Option<Self> {
        Records::create(words)
    }

    fn open(words: &'static [Word]) -> Option<Self> {
        Records::open(words)
    }
}
