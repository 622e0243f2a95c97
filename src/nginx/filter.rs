//! Filters of a response's header. Each is a module of its own, because the order of the modules is the order of
//! the filters, from the last to the first.

use std::cell::Cell;
use std::ptr;
use std::thread::LocalKey;

use nginx_sys::{
    ngx_conf_t, ngx_http_module_t, ngx_http_output_header_filter_pt, ngx_http_request_t,
    ngx_http_top_header_filter, ngx_int_t, ngx_module_t, ngx_uint_t, NGX_ERROR, NGX_HTTP_MODULE,
};

use super::conf::Conf;
use super::guard::guard;
use super::module;
use super::request::Request;
use crate::core::NoMemory;

/// The filter that runs after another. A process of nginx has one thread that serves requests.
pub type Next = Cell<ngx_http_output_header_filter_pt>;

/// A filter.
pub trait HeaderFilter: 'static {
    /// Where it keeps the filter that runs after it.
    fn next() -> &'static LocalKey<Next>;

    /// Whether the configuration that has been read needs it; it costs nothing where it does not.
    fn is_needed(cf: Conf) -> bool;

    /// Changes the header of the response to what the client has asked for; not that of a subrequest.
    fn filter(r: Request) -> Result<(), NoMemory>;
}

/// The callbacks of a filter's configuration.
pub const fn callbacks<F: HeaderFilter>() -> ngx_http_module_t {
    ngx_http_module_t {
        preconfiguration: None,
        postconfiguration: Some(postconfiguration::<F>),
        create_main_conf: None,
        init_main_conf: None,
        create_srv_conf: None,
        merge_srv_conf: None,
        create_loc_conf: None,
        merge_loc_conf: None,
    }
}

/// The module of a filter; it has no directives.
pub const fn module(callbacks: *const ngx_http_module_t) -> ngx_module_t {
    ngx_module_t {
        ctx: callbacks.cast_mut().cast(),
        commands: ptr::null_mut(),
        type_: NGX_HTTP_MODULE as ngx_uint_t,
        ..ngx_module_t::default()
    }
}

unsafe extern "C" fn postconfiguration<F: HeaderFilter>(cf: *mut ngx_conf_t) -> ngx_int_t {
    module::outcome(cf, |cf| {
        if F::is_needed(cf) {
            // SAFETY: nginx has begun the chain anew for this configuration, and each module puts its filter at the
            // top, in the process's only thread.
            unsafe {
                F::next().set(ngx_http_top_header_filter);
                ngx_http_top_header_filter = Some(run::<F>);
            }
        }
        Ok(())
    })
}

unsafe extern "C" fn run<F: HeaderFilter>(r: *mut ngx_http_request_t) -> ngx_int_t {
    let changed = guard(Err(NoMemory), || {
        // SAFETY: nginx passes the request whose header it sends.
        let main = unsafe { Request::from_raw(r) }.filter(Request::is_main);
        main.map_or(Ok(()), F::filter)
    });
    match (changed, F::next().get()) {
        // SAFETY: it is the filter that nginx would have called if this one were not there.
        (Ok(()), Some(next)) => unsafe { next(r) },
        _ => NGX_ERROR as ngx_int_t,
    }
}
