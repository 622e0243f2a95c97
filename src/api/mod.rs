//! `smart_api`: what all the others know, told and changed by HTTP.

mod body;
mod conf;
mod directives;
mod handler;
mod history;
mod removal;
mod status;
mod zone;

pub use directives::ngx_http_smart_api_module;
