//! Handlers of the PREACCESS phase, which may hold a request back.

use nginx_sys::{
    ngx_add_timer, ngx_handle_read_event, ngx_handle_write_event, ngx_http_block_reading,
    ngx_http_core_run_phases, ngx_http_finalize_request, ngx_http_handler_pt,
    ngx_http_phases_NGX_HTTP_PREACCESS_PHASE as PREACCESS_PHASE, ngx_http_request_t,
    ngx_http_test_reading, ngx_int_t, ngx_msec_t, ngx_post_event, ngx_posted_events, NGX_AGAIN,
    NGX_DECLINED, NGX_DONE, NGX_OK,
};

use super::answer::{self, Answer};
use super::conf::{ComplexValue, Conf, Refusal};
use super::guard::guard;
use super::phase::{self, INTERNAL_SERVER_ERROR};
use super::request::Request;

/// What a handler has decided.
pub enum Passage {
    /// The request goes on.
    Declined,
    /// It ends with this status.
    Status(u16),
    /// It goes on after so many milliseconds, unless its client leaves. Then the handler is called again,
    /// and must decline. A request in the background is not held back.
    Delayed(u64),
    /// It ends with this answer.
    Answer(Answer),
    /// It goes on to an operator's page, a URI or a named location, which is answered with this status.
    Page { status: u16, page: ComplexValue },
}

/// Registers a handler.
pub fn register(cf: Conf, handler: ngx_http_handler_pt) -> Result<(), Refusal> {
    phase::push(cf, PREACCESS_PHASE, handler)
}

/// Runs a handler and tells nginx how to go on.
#[inline]
pub fn run(r: Option<Request>, handler: impl Fn(Request) -> Passage) -> ngx_int_t {
    let Some(r) = r else {
        return NGX_DECLINED as ngx_int_t;
    };
    match guard(Passage::Status(INTERNAL_SERVER_ERROR), || handler(r)) {
        Passage::Declined => NGX_DECLINED as ngx_int_t,
        Passage::Status(status) => ngx_int_t::from(status as i16),
        Passage::Delayed(time) => delay(r, time),
        Passage::Answer(answer) => {
            answer::send(r, answer);
            NGX_DONE as ngx_int_t
        }
        Passage::Page { status, page } => {
            answer::show(r, status, page);
            NGX_DONE as ngx_int_t
        }
    }
}

/// As `ngx_http_limit_req_handler` does it: the timer is that of the connection's write event, and what
/// the client sends, or that it leaves, is noticed.
fn delay(r: Request, time: u64) -> ngx_int_t {
    let connection = r.connection();
    // SAFETY: the request and its connection are valid; events and handlers are those that nginx
    // itself sets for a delayed request.
    unsafe {
        if (*r.raw()).background() != 0 {
            // A mirror's request, say. The timer would wake the client's request and never this one; and
            // nobody waits for its answer.
            return NGX_DECLINED as ngx_int_t;
        }
        let read = (*connection).read;
        if (*read).ready() != 0 {
            ngx_post_event(read, &raw mut ngx_posted_events);
        } else if ngx_handle_read_event(read, 0) != NGX_OK as ngx_int_t {
            return INTERNAL_SERVER_ERROR as ngx_int_t;
        }
        // The body of an earlier error may still be being read and thrown away.
        if (*r.raw()).discard_body() == 0 {
            (*r.raw()).read_event_handler = Some(ngx_http_test_reading);
        }
        (*r.raw()).write_event_handler = Some(delayed);
        (*(*connection).write).set_delayed(1);
        ngx_add_timer((*connection).write, time as ngx_msec_t);
    }
    NGX_AGAIN as ngx_int_t
}

/// Runs for each write event of a delayed request; nginx clears `delayed` when the time is over.
unsafe extern "C" fn delayed(r: *mut ngx_http_request_t) {
    guard((), || {
        // SAFETY: nginx passes the request that it runs. Nothing touches it after it was finalised or
        // has run on.
        unsafe {
            let connection = (*r).connection;
            let write = (*connection).write;
            if (*write).delayed() != 0 {
                if ngx_handle_write_event(write, 0) != NGX_OK as ngx_int_t {
                    ngx_http_finalize_request(r, INTERNAL_SERVER_ERROR as ngx_int_t);
                }
                return;
            }
            if ngx_handle_read_event((*connection).read, 0) != NGX_OK as ngx_int_t {
                ngx_http_finalize_request(r, INTERNAL_SERVER_ERROR as ngx_int_t);
                return;
            }
            if (*r).discard_body() == 0 {
                (*r).read_event_handler = Some(ngx_http_block_reading);
            }
            (*r).write_event_handler = Some(ngx_http_core_run_phases);
            ngx_http_core_run_phases(r);
        }
    });
}
