//! `http_sendfile`: an ID in, a file out.

mod cache;
mod conf;
mod counters;
mod directives;
mod handler;
mod record;
mod report;
mod store;
mod vars;

use nginx_sys::ngx_module_t;

pub use directives::ngx_http_smart_sendfile_module;
#[allow(unused_imports)] // The status interface asks them.
pub use report::{forget, report};

use crate::nginx::request::Request;

/// The module, as nginx numbers it.
fn module() -> &'static ngx_module_t {
    <directives::Module as crate::nginx::module::Module>::module()
}

/// The configuration of a request's location.
fn location_conf(r: Request) -> &'static conf::LocationConf {
    r.location_conf::<directives::Module>()
}
