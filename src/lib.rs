//! ngx-smart: an nginx module that does for a web application what its web server could do.
//!
//! [`core`] decides, [`shm`] keeps what all workers share, and the modules behind the feature
//! `nginx` join both to nginx. See `CONTRIBUTING.md` for who may know whom.

pub mod core;
pub mod shm;

#[cfg(feature = "nginx")]
mod api;
#[cfg(feature = "nginx")]
mod buffers;
#[cfg(feature = "nginx")]
mod limit;
#[cfg(feature = "nginx")]
mod nginx;
#[cfg(feature = "nginx")]
mod sendfile;

/// What nginx looks for in a shared object. Its own build generates the same, by `config`.
#[cfg(feature = "export-modules")]
mod export {
    #![allow(non_upper_case_globals)]

    use std::ffi::{c_char, CStr};
    use std::ptr;

    use nginx_sys::ngx_module_t;

    use crate::api::ngx_http_smart_api_module;
    use crate::buffers::ngx_http_smart_buffers_module;
    use crate::limit::{ngx_http_smart_limit_filter_module, ngx_http_smart_limit_module};
    use crate::sendfile::ngx_http_smart_sendfile_module;

    const fn text(name: &'static CStr) -> *const c_char {
        name.as_ptr()
    }

    /// The modules.
    #[no_mangle]
    pub static mut ngx_modules: [*const ngx_module_t; 6] = [
        &raw const ngx_http_smart_sendfile_module,
        &raw const ngx_http_smart_limit_module,
        &raw const ngx_http_smart_buffers_module,
        &raw const ngx_http_smart_api_module,
        &raw const ngx_http_smart_limit_filter_module,
        ptr::null(),
    ];

    /// Their names.
    #[no_mangle]
    pub static mut ngx_module_names: [*const c_char; 6] = [
        text(c"ngx_http_smart_sendfile_module"),
        text(c"ngx_http_smart_limit_module"),
        text(c"ngx_http_smart_buffers_module"),
        text(c"ngx_http_smart_api_module"),
        text(c"ngx_http_smart_limit_filter_module"),
        ptr::null(),
    ];

    /// Where they stand in nginx's list: each before all that follow it here. Handlers of a phase run in
    /// reverse order, so a file is looked up after `mirror` and `try_files` had their say, and a request is
    /// limited after `realip` has said whose it is. (`limit_req` stands before `realip`, and so comes later.)
    /// Filters run in reverse order too: ours has the last word after `expires` and `add_header`. The others could
    /// stand anywhere; here they do so in every build.
    #[no_mangle]
    pub static mut ngx_module_order: [*const c_char; 10] = [
        text(c"ngx_http_smart_sendfile_module"),
        text(c"ngx_http_mirror_module"),
        text(c"ngx_http_try_files_module"),
        text(c"ngx_http_smart_limit_module"),
        text(c"ngx_http_smart_buffers_module"),
        text(c"ngx_http_smart_api_module"),
        text(c"ngx_http_realip_module"),
        text(c"ngx_http_smart_limit_filter_module"),
        text(c"ngx_http_headers_filter_module"),
        ptr::null(),
    ];
}
