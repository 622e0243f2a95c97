//! The choice of a server by an `upstream` block, with its account of failures.
//!
//! Only the choice: nginx's upstream machinery wants a connection per request, so the address is
//! taken from it and the conversation is our own. A balancer works on a `ngx_http_upstream_t` of the
//! request; it sees ours for the time of a call, and `$upstream_…` never.

use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::ptr::{self, NonNull};

use nginx_sys::{
    ngx_close_connection, ngx_destroy_pool, ngx_event_t, ngx_http_upstream_add,
    ngx_http_upstream_srv_conf_t, ngx_http_upstream_state_t, ngx_http_upstream_t, ngx_int_t,
    ngx_msec_t, ngx_peer_connection_t, ngx_str_t, ngx_uint_t, ngx_url_t, NGX_DONE, NGX_OK,
    NGX_PEER_FAILED, NGX_PEER_NEXT,
};

use super::conf::{Conf, Refusal};
use super::request::Request;

/// An `upstream` block, or the address that stands for one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Upstream(NonNull<ngx_http_upstream_srv_conf_t>);

impl Upstream {
    /// The block of a name, which may stand later in the configuration, or one made for an address.
    pub fn add(cf: Conf, address: &ngx_str_t) -> Result<Self, Refusal> {
        // SAFETY: an all-zero `ngx_url_t` asks for nothing; `cf` is valid; nginx keeps the block with
        // the configuration.
        let upstream = unsafe {
            let mut url: ngx_url_t = std::mem::zeroed();
            url.url = *address;
            url.set_no_resolve(1);
            ngx_http_upstream_add(cf.raw(), &raw mut url, 0)
        };
        NonNull::new(upstream).map(Self).ok_or(Refusal::Logged)
    }

    /// Whether the block has `sticky`, of nginx 1.29.6 and later: it would set a cookie on the client's response.
    /// Known when all blocks have been read.
    pub fn is_sticky(&self, cf: Conf) -> bool {
        let Some(sticky) = cf.module(c"ngx_http_upstream_sticky_module") else { return false };
        // SAFETY: a block that is written out has a configuration of each module. That of `sticky` is
        // zeroed when it is made and begins with the function that the directive has taken the
        // place of (`ngx_http_upstream_sticky_srv_conf_t`).
        unsafe {
            let Some(confs) = NonNull::new(self.0.as_ref().srv_conf) else { return false };
            let conf = (*confs.as_ptr().add(sticky.ctx_index)).cast::<usize>();
            conf.as_ref().is_some_and(|original_init_upstream| *original_init_upstream != 0)
        }
    }

    /// The block's name, or the host of the address, or the path of the socket.
    pub fn host(&self) -> &ngx_str_t {
        // SAFETY: the block lives as long as the configuration that this handle is part of.
        unsafe { &self.0.as_ref().host }
    }

    /// The port of the address; 0 for a block and for a socket.
    pub fn port(&self) -> u16 {
        // SAFETY: as in `host`.
        unsafe { self.0.as_ref().port }
    }
}

/// How a conversation with a server went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It answered, or was not given the time to.
    Fine,
    /// It answered that it does not have what another may have.
    Next,
    /// It failed, which the balancer counts.
    Failed,
}

/// A server that a balancer has chosen. The address is the balancer's, to be copied.
pub struct Chosen {
    /// The address, as the kernel takes it.
    pub address: *const nginx_sys::sockaddr,
    /// Its length.
    pub address_length: u32,
    /// The address as a text, as in `$upstream_addr`.
    pub name: *mut ngx_str_t,
}

/// The choices of one request, one after the other, until one server answers.
///
/// The balancer keeps its notes in that request's memory: [`Self::end`] comes before its end.
pub struct Peer {
    upstream: Zeroed<ngx_http_upstream_t>,
    state: Zeroed<ngx_http_upstream_state_t>,
    held: bool,
    cached: bool,
}

/// A structure of nginx in memory of its own, which nginx may keep pointers to.
struct Zeroed<T>(NonNull<T>);

impl<T> Zeroed<T> {
    /// `None`: there is no memory.
    ///
    /// # Safety
    /// All-zero is a valid `T`, as for all that nginx makes with `ngx_pcalloc`.
    unsafe fn new() -> Option<Self> {
        // SAFETY: no structure of nginx is empty.
        NonNull::new(unsafe { alloc_zeroed(Layout::new::<T>()) }).map(|memory| Self(memory.cast()))
    }

    fn raw(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Zeroed<T> {
    fn drop(&mut self) {
        // SAFETY: `new` has allocated it with this layout.
        unsafe { dealloc(self.0.as_ptr().cast(), Layout::new::<T>()) }
    }
}

impl Peer {
    /// One that has chosen nothing yet. `None`: there is no memory.
    pub fn new() -> Option<Self> {
        // SAFETY: nginx makes both with `ngx_pcalloc`.
        let (upstream, state) = unsafe { (Zeroed::new()?, Zeroed::new()?) };
        Some(Self { upstream, state, held: false, cached: false })
    }

    /// Begins to choose servers of `block` for `r`. `false`: the balancer failed.
    pub fn begin(&mut self, r: Request, block: Upstream) -> bool {
        self.end(Verdict::Fine);
        let (upstream, state) = (self.upstream.raw(), self.state.raw());
        // SAFETY: both are zeroed as nginx zeroes them. The balancer's `init` works on `r->upstream`,
        // which is ours for the time of the call. `header_time` is read by `least_time`; -1 is
        // "none yet".
        unsafe {
            upstream.write_bytes(0, 1);
            state.write_bytes(0, 1);
            (*state).header_time = ngx_msec_t::MAX;
            (*state).connect_time = ngx_msec_t::MAX;
            (*state).response_time = ngx_msec_t::MAX;
            (*upstream).state = state;
            (*upstream).peer.log = (*r.connection()).log;
            let Some(init) = (*block.0.as_ptr()).peer.init else { return false };
            let saved = (*r.raw()).upstream;
            (*r.raw()).upstream = upstream;
            let rc = init(r.raw(), block.0.as_ptr());
            (*r.raw()).upstream = saved;
            rc == NGX_OK as ngx_int_t
        }
    }

    fn connection(&self) -> *mut ngx_peer_connection_t {
        // SAFETY: the memory is ours.
        unsafe { &raw mut (*self.upstream.raw()).peer }
    }

    /// Chooses a server. `None`: there is none left to try.
    pub fn choose(&mut self) -> Option<Chosen> {
        self.end(Verdict::Fine);
        let peer = self.connection();
        // SAFETY: `begin` has had the balancer fill in `get` and its data.
        unsafe {
            let rc = (*peer).get?(peer, (*peer).data);
            // Done: the balancer has a connection to this server at hand, which we do not use.
            self.cached = rc == NGX_DONE as ngx_int_t;
            self.held = self.cached || rc == NGX_OK as ngx_int_t;
            if let Some(connection) = (*peer).connection.as_mut().filter(|_| self.cached) {
                // `keepalive` has taken it out of its list and expects new handlers: its own
                // would not find the list any more if the server closed it now.
                (*connection.read).handler = Some(ignore);
                (*connection.write).handler = Some(ignore);
            }
            self.held.then(|| Chosen {
                address: (*peer).sockaddr,
                address_length: (*peer).socklen,
                name: (*peer).name,
            })
        }
    }

    /// Whether another server may be tried after the one chosen last has been given back.
    pub fn has_more(&self) -> bool {
        // SAFETY: the memory is ours.
        unsafe { (*self.connection()).tries > 0 }
    }

    /// Gives back the server chosen last: exactly once for each choice, or counts would leak.
    pub fn end(&mut self, verdict: Verdict) {
        if !std::mem::take(&mut self.held) {
            return;
        }
        let (upstream, peer) = (self.upstream.raw(), self.connection());
        let state = match verdict {
            Verdict::Fine => 0,
            Verdict::Next => NGX_PEER_NEXT,
            Verdict::Failed => NGX_PEER_FAILED,
        };
        // SAFETY: `get` succeeded and nothing was given back since; a connection that the balancer
        // does not take back is ours to close, with its pool, as `ngx_http_upstream_next` does.
        unsafe {
            if self.cached {
                // What `keepalive` wants to see of a connection that goes back to it unused.
                (*upstream).set_keepalive(1);
                (*upstream).set_request_body_sent(1);
            }
            if let Some(free) = (*peer).free {
                free(peer, (*peer).data, state as ngx_uint_t);
            }
            if let Some(connection) = (*peer).connection.as_mut() {
                if !connection.pool.is_null() {
                    ngx_destroy_pool(connection.pool);
                }
                ngx_close_connection(connection);
                (*peer).connection = ptr::null_mut();
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end(Verdict::Fine);
    }
}

/// What happens on a connection that waits to go back to `keepalive`, which looks at it then.
unsafe extern "C" fn ignore(_: *mut ngx_event_t) {}
