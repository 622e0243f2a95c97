//! Phase handlers that may have to wait: how a request is put to sleep and woken.

use std::ffi::c_void;

use nginx_sys::{
    ngx_handle_read_event, ngx_http_block_reading, ngx_http_cleanup_add, ngx_http_core_run_phases,
    ngx_http_log_ctx_t, ngx_http_phases_NGX_HTTP_CONTENT_PHASE as CONTENT_PHASE,
    ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE as PRECONTENT_PHASE, ngx_http_request_empty_handler,
    ngx_http_request_t, ngx_http_run_posted_requests, ngx_http_test_reading, ngx_int_t,
    ngx_post_event, ngx_posted_events, NGX_AGAIN, NGX_DECLINED, NGX_DONE, NGX_OK,
};

use super::conf::{Conf, Refusal};
use super::guard::guard;
use super::phase::{self, INTERNAL_SERVER_ERROR};
use super::request::Request;

/// Where a handler stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before the content, for locations with a content handler of their own.
    Precontent,
    /// The list of content handlers, for all other locations.
    Content,
}

/// What a handler has decided.
pub enum Step {
    /// It is not for this handler.
    Declined,
    /// Somebody will call [`resume`]; until then the handler may be called again at any time.
    Wait,
    /// The request ends with this status.
    Status(u16),
    /// The request goes on as if it had asked for this URI, which is memory of the request.
    Redirect(&'static [u8]),
}

/// A handler of both phases. One that has waited is called again and finds its answer.
pub trait PhaseHandler {
    /// Decides.
    fn handle(r: Request, phase: Phase) -> Step;
}

/// Registers a handler in both phases. Handlers of a phase run in reverse order of registration.
pub fn register<H: PhaseHandler>(cf: Conf) -> Result<(), Refusal> {
    phase::push(cf, PRECONTENT_PHASE, Some(precontent::<H>))?;
    phase::push(cf, CONTENT_PHASE, Some(content::<H>))
}

unsafe extern "C" fn precontent<H: PhaseHandler>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes the request that it runs.
    let r = unsafe { Request::from_raw(r) };
    run::<H>(r, Phase::Precontent)
}

unsafe extern "C" fn content<H: PhaseHandler>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes the request that it runs.
    let r = unsafe { Request::from_raw(r) };
    run::<H>(r, Phase::Content)
}

fn run<H: PhaseHandler>(r: Option<Request>, phase: Phase) -> ngx_int_t {
    let Some(r) = r else {
        return NGX_DECLINED as ngx_int_t;
    };
    let step = guard(Step::Status(INTERNAL_SERVER_ERROR), || H::handle(r, phase));
    let code = match (step, phase) {
        (Step::Declined, _) => NGX_DECLINED,
        (Step::Status(status), _) => i32::from(status),
        (Step::Wait, Phase::Precontent) => NGX_AGAIN,
        (Step::Wait, Phase::Content) => {
            // The phase finalises what is not declined; this keeps the request alive then.
            // SAFETY: the request is valid, and so is the main request of its tree.
            unsafe { (*(*r.raw()).main).set_count((*(*r.raw()).main).count() + 1) };
            NGX_DONE
        }
        (Step::Redirect(uri), Phase::Precontent) => {
            r.redirect(uri);
            r.release();
            NGX_DONE
        }
        (Step::Redirect(uri), Phase::Content) => {
            r.redirect(uri);
            NGX_DONE
        }
    };
    code as ngx_int_t
}

/// Who is told that a sleeping request has ended.
pub trait Sleeper {
    /// Forgets the sleeper of this number, which may have been woken before.
    fn ended(number: u64);
}

/// Puts a request to sleep: until [`resume`] nothing happens to it but that its client may leave,
/// which ends it (499) and so calls `S::ended` with `number`. `false`: no memory or no event.
pub fn sleep<S: Sleeper>(r: Request, number: u64) -> bool {
    // SAFETY: the request is valid; the cleanup's data is set to a number, not to memory. Events and
    // handlers are those that `ngx_http_limit_req_handler` sets for a delayed request.
    unsafe {
        let cleanup = ngx_http_cleanup_add(r.raw(), 0);
        if cleanup.is_null() {
            return false;
        }
        (*cleanup).handler = Some(ended::<S>);
        (*cleanup).data = std::ptr::without_provenance_mut(number as usize);
        (*r.raw()).write_event_handler = Some(ngx_http_request_empty_handler);
        if !r.is_main() {
            return true;
        }
        if (*r.raw()).discard_body() != 0 {
            // The body of an earlier error is still being read and thrown away.
            return true;
        }
        (*r.raw()).read_event_handler = Some(ngx_http_test_reading);
        let read = (*r.connection()).read;
        if (*read).ready() != 0 {
            ngx_post_event(read, &raw mut ngx_posted_events);
            return true;
        }
        ngx_handle_read_event(read, 0) == NGX_OK as ngx_int_t
    }
}

unsafe extern "C" fn ended<S: Sleeper>(number: *mut c_void) {
    guard((), || S::ended(number.addr() as u64));
}

/// Wakes a request: its phase handler is called again. The request may have ended when this returns.
pub fn resume(r: Request) {
    let connection = r.connection();
    // SAFETY: the request is valid; nothing touches it after `ngx_http_core_run_phases`, and its
    // connection outlives the turn, as in nginx's own timers (`ngx_http_limit_req_delay`).
    unsafe {
        let context = (*(*connection).log).data.cast::<ngx_http_log_ctx_t>();
        if let Some(context) = context.as_mut() {
            context.current_request = r.raw();
        }
        if r.is_main() && (*r.raw()).discard_body() == 0 {
            (*r.raw()).read_event_handler = Some(ngx_http_block_reading);
        }
        (*r.raw()).write_event_handler = Some(ngx_http_core_run_phases);
        ngx_http_core_run_phases(r.raw());
        ngx_http_run_posted_requests(connection);
    }
}
