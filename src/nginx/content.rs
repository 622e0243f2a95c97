//! The handler that makes the content of a location, as `proxy_pass` sets one.

use nginx_sys::{
    ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_http_request_t,
    ngx_int_t, NGX_ERROR,
};

use super::answer::{self, Answer};
use super::conf::{Conf, Refusal};
use super::guard::guard;
use super::level::is_regular_expression;
use super::phase::INTERNAL_SERVER_ERROR;
use super::request::Request;
use super::reserve;
use crate::core::NoMemory;

/// A handler.
pub trait ContentHandler: 'static {
    /// The answer to a request, whose body is not read. It may be made in whatever way: a [`reserve`] of memory stands
    /// behind it.
    ///
    /// # Errors
    /// A status that nginx answers with in its own way.
    fn answer(r: Request) -> Result<Answer, u16>;
}

/// Makes a handler that of the location whose directive is being set. Of a prefix that ends with a slash, the URI
/// without the slash is redirected to it.
///
/// # Errors
/// The location is not given by a prefix, so that nothing can be asked for under it.
pub fn serve<H: ContentHandler>(cf: Conf) -> Result<(), Refusal> {
    let location = location(cf);
    if location.exact_match() != 0 || location.named() != 0 || is_regular_expression(location) {
        let name = &cf.args()[0];
        return Err(format!(
            "\"{name}\" needs a location of a prefix, it cannot be in one with \"=\" or \"@\" \
             or of a regular expression"
        )
        .into());
    }
    location.handler = Some(run::<H>);
    if location.name.as_bytes().ends_with(b"/") {
        location.set_auto_redirect(1);
    }
    Ok(())
}

/// Has a `limit_except`, which inherits no handler, go on with that of its location.
pub fn inherit<H: ContentHandler>(cf: Conf) {
    let location = location(cf);
    if location.lmt_excpt() != 0 && location.handler.is_none() {
        location.handler = Some(run::<H>);
    }
}

fn location(cf: Conf) -> &'static mut ngx_http_core_loc_conf_t {
    // SAFETY: inside `http`, `cf->ctx` has the configurations of the level, in which nginx's core has its own. Nobody
    // holds another reference: callbacks run one at a time and keep none.
    unsafe {
        let context = (*cf.raw()).ctx.cast::<ngx_http_conf_ctx_t>();
        &mut *(*(*context).loc_conf.add(ngx_http_core_module.ctx_index)).cast()
    }
}

impl Request {
    /// The name of its location: the prefix, if it is given by one.
    pub fn location_name(self) -> &'static [u8] {
        // SAFETY: the request is valid, and in a location, whose configuration outlives it.
        unsafe {
            let location = *(*self.raw()).loc_conf.add(ngx_http_core_module.ctx_index);
            (*location.cast::<ngx_http_core_loc_conf_t>()).name.as_bytes()
        }
    }
}

unsafe extern "C" fn run<H: ContentHandler>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes the request that it runs.
    let Some(r) = (unsafe { Request::from_raw(r) }) else {
        return NGX_ERROR as ngx_int_t;
    };
    answer::discard_body(r);
    match guard(Ok(Err(INTERNAL_SERVER_ERROR)), || reserve::with(|| H::answer(r))) {
        Ok(Ok(answer)) => answer::respond(r, answer),
        Ok(Err(status)) => status as ngx_int_t,
        Err(NoMemory) => INTERNAL_SERVER_ERROR as ngx_int_t,
    }
}
