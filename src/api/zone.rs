//! The zone of the interface's own, which is there where a location has the interface.

use std::ffi::c_void;
use std::ptr;

use ngx::ngx_string;

use super::conf::MainConf;
use crate::nginx::conf::{Conf, Refusal};
use crate::nginx::zone::{self, Shared};
use crate::shm::history::History;
use crate::shm::Word;

/// The zone.
pub type Zone = zone::Zone<History<'static>>;

/// Its size in bytes: about 80 series, whose memory is not used before they are there.
const SIZE: usize = 2 * 1024 * 1024;

/// Declares it, once.
///
/// # Errors
/// Another module has a zone of the name, or there is no memory.
pub fn declare(cf: Conf, main: &mut MainConf) -> Result<(), Refusal> {
    if main.zone.is_none() {
        main.zone = Some(Zone::declare_sized(cf, ngx_string!("ngx_smart_api"), SIZE, ())?);
    }
    Ok(())
}

impl Shared for History<'static> {
    const DIRECTIVE: &'static str = "smart_api";
    type Settings = ();

    fn tag() -> *mut c_void {
        static TAG: u8 = 0;
        ptr::from_ref(&TAG).cast_mut().cast()
    }

    fn create(words: &'static [Word]) -> Option<Self> {
        History::create(words)
    }

    fn open(words: &'static [Word]) -> Option<Self> {
        History::open(words)
    }
}
