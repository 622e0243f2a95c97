//! What has been decided about a client's request: kept with the main request, so that it is decided
//! once, and read by the variables.

use std::cell::Cell;

use nginx_sys::ngx_module_t;

use super::directives::Module;
use super::zone::Zone;
use crate::core::verdict::Status;
use crate::nginx::{module, record};

/// The record.
#[derive(Default)]
pub struct Record {
    pub status: Cell<Option<Status>>,
    /// The limit that has decided.
    pub zone: Cell<Option<Zone>>,
    /// What its bucket held, in thousandths of a request.
    pub excess: Cell<u32>,
    /// The seconds after which the request would pass, if it was refused or would have been.
    pub retry_after: Cell<Option<u64>>,
}

impl record::Record for Record {
    fn module() -> &'static ngx_module_t {
        <Module as module::Module>::module()
    }
}
