//! `smart_buffers`: what requests need of nginx's buffers, location by location.

mod conf;
mod directives;
mod handler;
mod host;
mod passers;
mod report;
mod zone;

pub use directives::ngx_http_smart_buffers_module;
pub use report::report;
