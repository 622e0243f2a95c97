//! `smart_limit`: how many requests a key may make.

mod conf;
mod directives;
mod handler;
mod headers;
mod notes;
pub mod report;
mod room;
mod sweep;
mod zone;

pub use directives::ngx_http_smart_limit_module;
pub use room::filter::ngx_http_smart_limit_filter_module;
