//! Registering handlers in the phases of a request.

use nginx_sys::{
    ngx_array_push, ngx_http_conf_ctx_t, ngx_http_core_main_conf_t, ngx_http_core_module,
    ngx_http_handler_pt,
};

use super::conf::{Conf, Refusal};

/// The answer to a request that cannot go on for want of memory, or after a panic.
pub const INTERNAL_SERVER_ERROR: u16 = 500;

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
