//! A request that is over, as handlers of the LOG phase see it: what it has needed of nginx's buffers.

use std::ffi::{c_int, c_uint};
use std::ptr::NonNull;

use nginx_sys::{
    ngx_event_pipe_t, ngx_flag_t, ngx_http_core_module, ngx_http_core_srv_conf_t,
    ngx_http_handler_pt, ngx_http_phases_NGX_HTTP_LOG_PHASE as LOG_PHASE,
    ngx_http_upstream_state_t, ngx_http_upstream_t, ngx_int_t, ngx_module_t, ngx_msec_t,
    NGX_HTTP_VERSION_20, NGX_OK,
};

use super::conf::{Conf, Refusal};
use super::guard::guard;
use super::module::Module;
use super::phase;
use super::request::Request;

/// The status of an upstream whose header cannot be read.
const BAD_GATEWAY: usize = 502;

/// A body of no more bytes fits any buffer.
const PAGE: u64 = 4096;

/// The status of an upstream that goes on with another protocol.
const SWITCHING_PROTOCOLS: usize = 101;

/// What nginx refuses a request with whose header is too large (400 in place of 494, but to an `error_page`), or whose
/// line is.
const TOO_LARGE: [usize; 3] = [400, 414, 494];

/// Registers a handler.
pub fn register(cf: Conf, handler: ngx_http_handler_pt) -> Result<(), Refusal> {
    phase::push(cf, LOG_PHASE, handler)
}

/// Runs a handler.
#[inline]
pub fn run(r: Option<Request>, handler: impl Fn(Request)) -> ngx_int_t {
    guard((), || r.into_iter().for_each(handler));
    NGX_OK as ngx_int_t
}

/// What `ngx_http_gzip_filter_module` keeps of a request (`ngx_http_gzip_ctx_t`, in nginx 1.22 to 1.31), as far as the
/// numbers of bytes before and after. Of whatever version, it has more than these; whether they are where they are
/// thought to be, somebody has to compare.
#[repr(C)]
struct GzipContext {
    buffers: [usize; 13],
    parameters: [c_int; 2],
    flags: c_uint,
    read: usize,
    written: usize,
}

/// An answer that nginx has compressed.
#[derive(Clone, Copy)]
pub struct Compressed(NonNull<GzipContext>);

/// The body of a request.
#[derive(Clone, Copy)]
pub struct RequestBody {
    /// Its bytes.
    pub size: u64,
    /// Whether it was written to a file, though nobody had asked for one.
    pub is_spilled: bool,
}

/// The last server that was asked for an answer.
#[derive(Clone, Copy)]
pub struct Upstream {
    upstream: *mut ngx_http_upstream_t,
    state: *mut ngx_http_upstream_state_t,
}

/// What an upstream has answered.
#[derive(Clone, Copy)]
pub struct UpstreamAnswer {
    /// What its header took of the buffer: its bytes, with the framing of a protocol that has some, and where the
    /// answer is for a cache, with what nginx writes before it there.
    pub header: u64,
    /// The bytes of its body. `None`: it was not read to its end, because another location answers, or the client has
    /// left, or the upstream has.
    pub response: Option<u64>,
    /// Whether it was buffered, or not, as its location is set to: its `X-Accel-Buffering` may have had it otherwise.
    pub is_as_set: bool,
    /// Whether some of it was written to a file, though neither a cache nor a store is one.
    pub is_spilled: bool,
}

impl Request {
    /// Whether it has come by a version of HTTP before 2, whose header nginx reads into the buffers of a server.
    #[inline]
    pub fn is_http1(self) -> bool {
        // SAFETY: the request is valid.
        unsafe { (*self.raw()).http_version < NGX_HTTP_VERSION_20 as usize }
    }

    /// The length of its header, the request line included. `None`: it is not known, because nginx has refused the
    /// request or the client has left before the header was whole, or because the body was in chunks, or was not read
    /// to its end.
    #[inline]
    pub fn header_length(self) -> Option<u64> {
        // SAFETY: the request is valid, and so is its body, if it has been read.
        unsafe {
            let raw = &*self.raw();
            // `ngx_http_handler` sets the one; a rewrite takes it back, which is a phase.
            if raw.phase_handler == 0 && raw.valid_location() == 0 {
                return None;
            }
            let read = match raw.request_body.as_ref() {
                None => 0,
                Some(_) if raw.headers_in.content_length_n <= 0 => 0,
                // Where the client has not told a length, nginx counts what the chunks hold.
                Some(_) if raw.headers_in.content_length.is_null() => return None,
                Some(body) if body.rest == 0 => raw.headers_in.content_length_n,
                Some(_) => return None,
            };
            u64::try_from(raw.request_length - read).ok().filter(|length| *length > 0)
        }
    }

    /// Its body, if it had one and it was read to its end, but not passed on as it came.
    #[inline]
    pub fn body(self) -> Option<RequestBody> {
        // SAFETY: as above.
        unsafe {
            let raw = &*self.raw();
            let body = raw.request_body.as_ref()?;
            let size =
                u64::try_from(raw.headers_in.content_length_n).ok().filter(|size| *size > 0)?;
            let is_in_file = !body.temp_file.is_null();
            let is_spilled = is_in_file && raw.request_body_in_file_only() == 0;
            // Whoever passes a body on as it comes needs no buffer for all of it.
            let is_passed_on = !is_in_file && size > PAGE && raw.request_body_no_buffering() != 0;
            (body.rest == 0 && !is_passed_on).then_some(RequestBody { size, is_spilled })
        }
    }

    /// If its header seems to have been too big for the buffers of the server that reads it, the bytes of one of them:
    /// nginx itself has refused it, the buffer that it was read to is full, and there was nothing after it. (Of a
    /// request that somebody else refuses, the beginning of the body may have filled the buffer.)
    #[inline]
    pub fn header_was_too_big_for(self) -> Option<u64> {
        // SAFETY: the request is valid, and has had a connection of HTTP and a buffer to read from.
        unsafe {
            let raw = &*self.raw();
            let has_end = raw.headers_in.content_length_n >= 0;
            if !TOO_LARGE.contains(&raw.err_status) || raw.header_in.is_null() || has_end {
                return None;
            }
            let context = (*raw.http_connection).conf_ctx;
            let server = *(*context).srv_conf.add(ngx_http_core_module.ctx_index);
            let server = &*server.cast::<ngx_http_core_srv_conf_t>();
            let is_full = (*raw.header_in).pos == (*raw.header_in).end;
            is_full.then_some(server.large_client_header_buffers.size as u64)
        }
    }

    /// Whether the client was sent all of the answer, as `$request_completion` tells. A subrequest that is not is not
    /// logged either.
    #[inline]
    fn is_complete(self) -> bool {
        // SAFETY: the request is valid.
        unsafe { (*self.raw()).request_complete() != 0 || !self.is_main() }
    }

    /// How much was sent of a body, as `$body_bytes_sent`. `None`: not all.
    #[inline]
    pub fn whole_body_sent(self) -> Option<u64> {
        self.is_complete().then(|| self.body_sent())
    }

    /// How much was sent of a body, as `$body_bytes_sent`.
    #[inline]
    fn body_sent(self) -> u64 {
        // SAFETY: the request is valid, and so is its connection.
        let sent = unsafe { (*self.connection()).sent - (*self.raw()).header_size as i64 };
        u64::try_from(sent).unwrap_or(0)
    }

    /// What the module that compresses has made of the answer. `None`: it has left it as it was.
    #[inline]
    pub fn gzip(self, module: &ngx_module_t) -> Option<Compressed> {
        NonNull::new(self.context(module).cast()).map(Compressed)
    }

    /// What the server that reads the headers of this connection keeps of a module: the default server of the
    /// address, or the one that the client has named when it began TLS.
    #[inline]
    pub fn listening_conf<M: Module>(self) -> &'static M::Location {
        // SAFETY: a request has a connection of HTTP, whose context is that of a server; there nginx has what the
        // module has created, in a configuration that outlives the request.
        unsafe {
            let context = (*(*self.raw()).http_connection).conf_ctx;
            &*(*(*context).loc_conf.add(M::module().ctx_index)).cast::<M::Location>()
        }
    }

    /// The last upstream that it was passed to. `None`: it was passed to none, or a cache has answered.
    #[inline]
    pub fn upstream(self) -> Option<Upstream> {
        // SAFETY: the request is valid; an upstream and its state are memory of it.
        unsafe {
            let upstream = (*self.raw()).upstream;
            let state = upstream.as_ref()?.state;
            (!state.is_null()).then_some(Upstream { upstream, state })
        }
    }

    /// Whether the client was given the answer of an upstream, rather than what a location has made of it.
    #[inline]
    pub fn is_of_upstream(self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.raw()).upstream.as_ref() }.is_some_and(|it| it.header_sent() != 0)
    }

    /// The bytes that a cache has nginx leave before a header, in the same buffer.
    #[inline]
    fn before_header(self) -> u64 {
        #[cfg(ngx_feature = "http_cache")]
        {
            // SAFETY: the request is valid; its part of a cache is memory of it.
            unsafe { (*self.raw()).cache.as_ref() }.map_or(0, |cache| cache.header_start as u64)
        }
        #[cfg(not(ngx_feature = "http_cache"))]
        {
            0
        }
    }
}

impl Compressed {
    /// How many times smaller it has become, in hundredths, rounded as `$gzip_ratio` is. `None`: it has not come to an
    /// end.
    #[inline]
    pub fn ratio(self) -> Option<u64> {
        // SAFETY: the context of a module is memory of the request, and there are but numbers to be read.
        let GzipContext { read, written, .. } = unsafe { self.0.as_ref() };
        let (read, written) = (*read as u64, *written as u64);
        // No answer has so many bytes that this wraps.
        read.wrapping_mul(100).wrapping_add(written / 2).checked_div(written)
    }
}

impl Upstream {
    /// The address of the configuration of the location that has passed the request on: that of its module.
    #[inline]
    pub fn conf(self) -> usize {
        // SAFETY: the upstream is valid as long as its request.
        unsafe { (*self.upstream).conf }.addr()
    }

    /// What it has answered to this request, which is its own. `None`: no header, or the connection has become another
    /// protocol's.
    #[inline]
    pub fn answer(self, r: Request) -> Option<UpstreamAnswer> {
        // SAFETY: as above.
        unsafe {
            let state = &*self.state;
            if state.header_time == ngx_msec_t::MAX || state.status == SWITCHING_PROTOCOLS {
                return None;
            }
            let received = u64::try_from(state.bytes_received).ok()?;
            let response = u64::try_from(state.response_length).ok()?;
            let header = match response {
                0 => self.header_without_body(received, r.before_header()),
                _ => received.checked_sub(response)? + r.before_header(),
            };
            let upstream = &*self.upstream;
            let is_as_set = upstream.buffering() as ngx_flag_t == (*upstream.conf).buffering;
            let is_spilled = upstream.pipe.as_ref().is_some_and(is_spilled);
            let response = self.is_whole(r).then_some(response);
            Some(UpstreamAnswer { header, response, is_as_set, is_spilled })
        }
    }

    /// What a header takes after which nothing was read, or nothing but what came with it. Where the buffer has been
    /// used again, there was no body.
    #[inline]
    fn header_without_body(self, received: u64, before: u64) -> u64 {
        // SAFETY: as above.
        let buffer = unsafe { &(*self.upstream).buffer };
        let whole = received + before;
        match (buffer.pos as usize).saturating_sub(buffer.start as usize) as u64 {
            header if header > before && header < whole => header,
            _ => whole,
        }
    }

    /// Whether the body was read to its end, as nginx judges it (`ngx_http_upstream_process_request` and
    /// `…_process_non_buffered_request`). One that is not buffered and has no length ends with its connection, which is
    /// closed by now, whatever for: whether the client was given an end tells it.
    #[inline]
    fn is_whole(self, r: Request) -> bool {
        // SAFETY: as above; a pipe is memory of the request too.
        unsafe {
            let upstream = &*self.upstream;
            if upstream.buffering() != 0 {
                return upstream.pipe.as_ref().is_some_and(|pipe| {
                    pipe.upstream_done() != 0 || (pipe.upstream_eof() != 0 && pipe.length == -1)
                });
            }
            match upstream.length {
                -1 => r.is_complete(),
                missing => missing == 0,
            }
        }
    }

    /// If its header seems to have been too big, the bytes of the buffer: there is no header, and the buffer is full.
    #[inline]
    pub fn header_was_too_big_for(self) -> Option<u64> {
        // SAFETY: as above.
        unsafe {
            let Upstream { upstream, state, .. } = self;
            let (state, buffer) = (&*state, &(*upstream).buffer);
            let size = (buffer.end as usize).saturating_sub(buffer.start as usize);
            // A cache that answers in place of an upstream that has failed leaves a buffer of its own there.
            let is_full = size == (*(*upstream).conf).buffer_size && buffer.last == buffer.end;
            let has_none = state.header_time == ngx_msec_t::MAX && state.status == BAD_GATEWAY;
            (has_none && is_full).then_some(size as u64)
        }
    }
}

fn is_spilled(pipe: &ngx_event_pipe_t) -> bool {
    // SAFETY: the file of a pipe is memory of its request.
    let file = unsafe { pipe.temp_file.as_ref() };
    file.is_some_and(|file| file.offset > 0) && pipe.cacheable() == 0
}
