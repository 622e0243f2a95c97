//! Answers of a handler's own.

use nginx_sys::{
    ngx_buf_t, ngx_chain_t, ngx_http_core_get_method, ngx_http_discard_request_body,
    ngx_http_internal_redirect, ngx_http_named_location, ngx_http_output_filter,
    ngx_http_send_header, ngx_http_split_args, ngx_int_t, ngx_pcalloc, ngx_str_t, NGX_ERROR,
    NGX_HTTP_GET, NGX_OK,
};

use super::conf::{borrowed, ComplexValue};
use super::phase::INTERNAL_SERVER_ERROR;
use super::request::Request;

/// A whole answer but for the header fields, which are added to the request before.
#[derive(Clone, Copy)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The media type. The body is in UTF-8, which a `text` without parameters says.
    pub content_type: &'static str,
    /// The body: memory of the request, or static.
    pub body: &'static [u8],
}

/// Sends an answer, and ends the request.
pub fn send(r: Request, answer: Answer) {
    discard_body(r);
    r.finalize(respond(r, answer));
}

/// Has the request's body, if it has one, thrown away as it comes; who waits to be asked for it is not asked.
pub fn discard_body(r: Request) {
    let raw = r.raw();
    // SAFETY: the request is valid, and runs on whether or not its body can be read.
    unsafe {
        (*raw).set_expect_tested(1);
        if ngx_http_discard_request_body(raw) != NGX_OK as ngx_int_t {
            (*raw).set_keepalive(0);
        }
    }
}

/// Sends an answer, as `ngx_http_send_response`; what it returns ends the request.
pub fn respond(r: Request, answer: Answer) -> ngx_int_t {
    let raw = r.raw();
    let (body, is_last) = (answer.body, r.is_main());
    // SAFETY: the request is valid. What it is given to send is memory of its own, or static; nginx takes over the
    // link of the chain, which is on the stack, before the call returns.
    unsafe {
        set_status(r, answer.status);
        let out = &raw mut (*raw).headers_out;
        let media_type = answer.content_type;
        (*out).content_type = borrowed(media_type.as_bytes());
        (*out).content_type_len = media_type.find(';').unwrap_or(media_type.len());
        (*out).content_type_lowcase = std::ptr::null_mut();
        if media_type.starts_with("text/") {
            // nginx writes it behind a media type that has no parameters.
            (*out).charset = borrowed(b"utf-8");
        }
        (*out).content_length_n = body.len() as _;
        (*raw).set_allow_ranges(0);

        let buffer = ngx_pcalloc((*raw).pool, size_of::<ngx_buf_t>()).cast::<ngx_buf_t>();
        let Some(buffer) = buffer.as_mut() else {
            return INTERNAL_SERVER_ERROR as ngx_int_t;
        };
        buffer.pos = body.as_ptr().cast_mut();
        buffer.last = buffer.pos.add(body.len());
        buffer.set_memory(u32::from(!body.is_empty()));
        buffer.set_last_buf(u32::from(is_last));
        buffer.set_last_in_chain(1);
        buffer.set_sync(u32::from(body.is_empty() && !is_last));

        let rc = ngx_http_send_header(raw);
        if rc == NGX_ERROR as ngx_int_t || rc > NGX_OK as ngx_int_t || (*raw).header_only() != 0 {
            return rc;
        }
        let mut chain = ngx_chain_t { buf: buffer, next: std::ptr::null_mut() };
        ngx_http_output_filter(raw, &raw mut chain)
    }
}

/// Goes on with the request as if it had asked for an operator's page, and gives what that answers the status; as
/// `ngx_http_send_error_page`. The page is a URI, for which the request becomes a GET unless it is a HEAD, or a
/// named location, which gets it as it is. The request may have ended when this returns.
pub fn show(r: Request, status: u16, page: ComplexValue) {
    let Some(page) = r.evaluate(page) else {
        return r.finalize(INTERNAL_SERVER_ERROR as ngx_int_t);
    };
    let mut page = borrowed(page);
    let raw = r.raw();
    // SAFETY: the request is valid; nginx copies what names the page before it runs the request. Either call
    // counts the request up, so it still is when the phase's own hold on it is given up.
    unsafe {
        set_status(r, status);
        (*raw).set_expect_tested(1);
        (*raw).set_error_page(1);
        (*raw).headers_in.range = std::ptr::null_mut();
        if page.as_bytes().starts_with(b"@") {
            ngx_http_named_location(raw, &raw mut page);
        } else {
            let mut arguments = ngx_str_t::empty();
            ngx_http_split_args(raw, &raw mut page, &raw mut arguments);
            if !r.is_head() {
                (*raw).method = NGX_HTTP_GET as usize;
                (*raw).method_name = ngx_http_core_get_method;
            }
            ngx_http_internal_redirect(raw, &raw mut page, &raw mut arguments);
        }
    }
    r.release();
}

/// Gives the answer a status, whatever makes it: what a client has is neither asked for nor part of it.
fn set_status(r: Request, status: u16) {
    // SAFETY: the request is valid.
    unsafe {
        (*r.raw()).err_status = status.into();
        (*r.raw()).set_disable_not_modified(1);
    }
}
