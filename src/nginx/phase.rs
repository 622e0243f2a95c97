//! Registering handlers in the phases of a request.

use nginx_sys::{
    ngx_array_push, ngx_http_conf_ctx_t, ngx_http_core_main_conf_t, ngx_http_core_module,
    ngx_http_handler_pt,
};

use super::conf::{Conf, Refusal};

/// The answer to a request that cannot go on for want of memory, or after a panic.
pub const INTERNAL_SERVER_ERROR: u16 = 500;

/// Makes `$handler`, which `$run` runs for a request, a handler of nginx by the name `$name`, which debuggers and
/// profilers see.
macro_rules! phase_handler {
    ($name:ident, $run:path, $handler:path) => {
        /// nginx's entry to the handler.
        #[no_mangle]
        pub unsafe extern "C" fn $name(
            r: *mut nginx_sys::ngx_http_request_t,
        ) -> nginx_sys::ngx_int_t {
            // SAFETY: nginx passes the request that it runs, or ends.
            let r = unsafe { $crate::nginx::request::Request::from_raw(r) };
            $run(r, $handler)
        }
    };
}
pub(crate) use phase_handler;

/// Registers a handler. Those of a phase run in reverse order of registration.
pub fn push(cf: Conf, phase: u32, handler: ngx_http_handler_pt) -> Result<(), Refusal> {
    // SAFETY: inside `http`, `cf->ctx` is the context of the block, whose main configurations nginx
    // has all created before it runs `postconfiguration`; the array's elements are handlers.
    unsafe {
        let context = (*cf.raw()).ctx.cast::<ngx_http_conf_ctx_t>();
        let main = *(*context).main_conf.add(ngx_http_core_module.ctx_index);
        let main = main.cast::<ngx_http_core_main_conf_t>();
        let place = ngx_array_push(&raw mut (*main).phases[phase as usize].handlers);
        if place.is_null() {
            return Err(Refusal::Logged);
        }
        place.cast::<ngx_http_handler_pt>().write(handler);
    }
    Ok(())
}
