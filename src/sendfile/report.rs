//! What the status interface tells of lookups, and what it may make a cache forget.

use crate::core::report;

/// The state of lookups. `None`: no location of the running configuration makes any.
pub fn report() -> Option<report::Sendfile> {
    None
}

/// Makes the cache of a name forget a key of every store, or all it holds. Tells whether it held anything of that.
/// `None`: there is no such cache.
pub fn forget(_cache: &[u8], _key: Option<&[u8]>) -> Option<bool> {
    None
}
