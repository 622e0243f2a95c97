//! A client's request.

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};

use nginx_sys::{
    ngx_connection_t, ngx_http_complex_value, ngx_http_complex_value_t, ngx_http_finalize_request,
    ngx_http_get_flushed_variable, ngx_http_internal_redirect, ngx_http_request_t, ngx_int_t,
    ngx_module_t, ngx_pnalloc, ngx_pool_cleanup_add, ngx_str_t, ngx_uint_t, NGX_DONE,
    NGX_HTTP_DELETE, NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_OK,
};

use super::conf::ComplexValue;
use super::log::Log;
use super::module::Module;
use super::value::Value;
use crate::core::address::Network;

/// A handle to a request; valid until something finalises it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Request(NonNull<ngx_http_request_t>);

impl Request {
    /// # Safety
    /// `r` is a request that nginx has passed to a callback, or one that has not ended since.
    pub unsafe fn from_raw(r: *mut ngx_http_request_t) -> Option<Self> {
        NonNull::new(r).map(Self)
    }

    /// The pointer, for calls of nginx.
    pub fn raw(self) -> *mut ngx_http_request_t {
        self.0.as_ptr()
    }

    fn get(&self) -> &ngx_http_request_t {
        // SAFETY: the handle is valid, see above; the reference does not outlive the borrow.
        unsafe { self.0.as_ref() }
    }

    /// Whether this is what the client asked for, rather than a subrequest.
    pub fn is_main(&self) -> bool {
        ptr::eq(self.get().main, self.raw())
    }

    /// Whether nginx has redirected it to another location.
    pub fn is_internal(&self) -> bool {
        self.get().internal() != 0
    }

    /// Whether its method is GET or HEAD.
    pub fn is_get_or_head(&self) -> bool {
        self.get().method & (NGX_HTTP_GET | NGX_HTTP_HEAD) as usize != 0
    }

    /// Whether its method is HEAD.
    pub fn is_head(&self) -> bool {
        self.get().method & NGX_HTTP_HEAD as usize != 0
    }

    /// Whether its method is DELETE.
    pub fn is_delete(&self) -> bool {
        self.get().method & NGX_HTTP_DELETE as usize != 0
    }

    /// Whether its location has a content handler of its own, such as `proxy_pass`.
    pub fn has_content_handler(&self) -> bool {
        self.get().content_handler.is_some()
    }

    /// The normalised URI path: memory of the request, also when a redirect has given it another.
    pub fn uri(&self) -> &'static [u8] {
        let uri = self.get().uri;
        match uri.len {
            0 => &[],
            // SAFETY: nginx keeps the path in the request's pool or header buffer, as long as it.
            length => unsafe { std::slice::from_raw_parts(uri.data, length) },
        }
    }

    /// The path and query as the client has written them.
    pub fn unparsed_uri(&self) -> &'static [u8] {
        let uri = self.get().unparsed_uri;
        match uri.len {
            0 => &[],
            // SAFETY: nginx keeps it in the request's header buffer, as long as the request.
            length => unsafe { std::slice::from_raw_parts(uri.data, length) },
        }
    }

    /// What follows the question mark in the URI, as the client has written it: memory of the request.
    pub fn arguments(&self) -> &'static [u8] {
        let arguments = self.get().args;
        match arguments.len {
            0 => &[],
            // SAFETY: nginx keeps them in the request's pool or header buffer, as long as it.
            length => unsafe { std::slice::from_raw_parts(arguments.data, length) },
        }
    }

    /// Its connection to the client, valid as long as it.
    pub fn connection(&self) -> *mut ngx_connection_t {
        self.get().connection
    }

    /// The network of the client's address, which is the one that `realip` has found, if it was asked to.
    /// `None`: it has no address, because it has come through a unix socket.
    pub fn network(&self) -> Option<Network> {
        // SAFETY: the connection is valid, and has an address, whose family says which structure it is. It may
        // lie at any place, so it is copied.
        unsafe {
            let address = (*self.connection()).sockaddr;
            match i32::from((*address).sa_family) {
                libc::AF_INET => {
                    let address = address.cast::<libc::sockaddr_in>().read_unaligned();
                    Some(Network::V4(address.sin_addr.s_addr.to_ne_bytes()))
                }
                libc::AF_INET6 => {
                    let address = address.cast::<libc::sockaddr_in6>().read_unaligned();
                    Some(Network::of_ipv6(address.sin6_addr.s6_addr))
                }
                _ => None,
            }
        }
    }

    /// The log that names client and request.
    pub fn log(&self) -> Log {
        // SAFETY: a request's connection outlives it and always has a log.
        Log(unsafe { (*self.get().connection).log })
    }

    /// The configuration of a module in its location.
    pub fn location_conf<M: Module>(&self) -> &'static M::Location {
        // SAFETY: nginx has there what the module has created, in a configuration that outlives
        // the request.
        unsafe { &*(*self.get().loc_conf.add(M::module().ctx_index)).cast::<M::Location>() }
    }

    /// What the `http` block keeps of a module.
    #[inline]
    pub fn main_conf<M: Module>(&self) -> &'static M::Main {
        // SAFETY: as in `location_conf`.
        unsafe { &*(*self.get().main_conf.add(M::module().ctx_index)).cast::<M::Main>() }
    }

    /// The pointer that belongs to `module` until an internal redirect, null at first.
    pub fn context(&self, module: &ngx_module_t) -> *mut c_void {
        // SAFETY: nginx has a slot for every HTTP module.
        unsafe { *self.get().ctx.add(module.ctx_index) }
    }

    /// Sets that pointer.
    pub fn set_context(&self, module: &ngx_module_t, context: *mut c_void) {
        // SAFETY: as in `context`; nobody holds a reference to the slot.
        unsafe { *self.get().ctx.add(module.ctx_index) = context }
    }

    /// Memory that lives as long as the request. `None`: there is no more.
    pub fn allocate(&self, length: usize) -> Option<&'static mut [u8]> {
        // SAFETY: the pool is valid; the bytes are initialised before they are lent. Nobody keeps the
        // slice beyond the request, whose own structures it goes into.
        unsafe {
            let bytes = NonNull::new(ngx_pnalloc(self.get().pool, length).cast::<u8>())?;
            bytes.write_bytes(0, length);
            Some(std::slice::from_raw_parts_mut(bytes.as_ptr(), length))
        }
    }

    /// A copy in memory of the request. `None`: there is no more.
    pub fn copy(&self, bytes: &[u8]) -> Option<&'static [u8]> {
        // SAFETY: the pool is valid, and the memory fresh, as long as the bytes, and initialised when it
        // is lent.
        unsafe {
            let copy = NonNull::new(ngx_pnalloc(self.get().pool, bytes.len()).cast::<u8>())?;
            copy.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            Some(std::slice::from_raw_parts(copy.as_ptr(), bytes.len()))
        }
    }

    /// Keeps bytes as long as the request. `None`: there is no more memory to note that.
    pub fn keep(&self, bytes: Vec<u8>) -> Option<&'static [u8]> {
        // SAFETY: the pool is valid; the cleanup's data is memory for a vector, which is written before anybody can run
        // the cleanup, and whose bytes do not move until then.
        unsafe {
            let cleanup = ngx_pool_cleanup_add(self.get().pool, size_of::<Vec<u8>>()).as_mut()?;
            let place = cleanup.data.cast::<Vec<u8>>();
            place.write(bytes);
            cleanup.handler = Some(drop_kept);
            Some(&*ptr::from_ref((*place).as_slice()))
        }
    }

    /// A number in decimals: memory of the request. `None`: there is no more memory.
    pub fn print_number(&self, number: u64) -> Option<&'static [u8]> {
        self.copy(itoa::Buffer::new().format(number).as_bytes())
    }

    /// What `write` writes, of no more than `length` bytes: memory of the request. `None`: there is no
    /// more memory, or more bytes.
    pub fn print(
        &self,
        length: usize,
        write: impl FnOnce(&mut &mut [u8]) -> io::Result<()>,
    ) -> Option<&'static [u8]> {
        let text = self.allocate(length)?;
        let mut rest = &mut text[..];
        write(&mut rest).ok()?;
        let unused = rest.len();
        Some(&text[..length - unused])
    }

    /// The value of a text with variables: memory of the request or of the configuration. `None`:
    /// there is no more memory.
    #[inline]
    pub fn evaluate(&self, value: ComplexValue) -> Option<&'static [u8]> {
        match value {
            ComplexValue::Variable(index) => Some(self.variable(index)),
            ComplexValue::Script(script) => self.run(script),
        }
    }

    /// A variable's value; empty if it has none.
    #[inline]
    fn variable(&self, index: ngx_uint_t) -> &'static [u8] {
        // SAFETY: the request is valid, and the index one that nginx has given to `Conf::complex_value`.
        // A value lives as long as the request.
        unsafe {
            let value = ngx_http_get_flushed_variable(self.raw(), index).as_ref();
            value.map_or(&[], |value| Value::read(value).to_text())
        }
    }

    fn run(&self, script: *mut ngx_http_complex_value_t) -> Option<&'static [u8]> {
        let mut text = ngx_str_t::empty();
        // SAFETY: the request is valid; `Conf::complex_value` has compiled the value in the
        // configuration by which the request runs.
        unsafe {
            let rc = ngx_http_complex_value(self.raw(), script, &raw mut text);
            (rc == NGX_OK as ngx_int_t).then(|| match text.len {
                0 => &[] as &'static [u8],
                length => std::slice::from_raw_parts(text.data, length),
            })
        }
    }

    /// Goes on with the request as if it had asked for `uri`, its arguments kept. The request may
    /// have ended when this returns. `uri` is memory of the request or the configuration.
    pub fn redirect(self, uri: &'static [u8]) {
        let mut uri = ngx_str_t { len: uri.len(), data: uri.as_ptr().cast_mut() };
        // SAFETY: the request is valid; nginx copies the two strings before it runs the request.
        unsafe {
            ngx_http_internal_redirect(self.raw(), &raw mut uri, &raw mut (*self.raw()).args);
        }
    }

    /// Gives up the reference to the request that a phase holds beside the one that a redirect has taken.
    pub fn release(self) {
        // The redirect has counted the request up, so it is still valid.
        self.finalize(NGX_DONE as ngx_int_t);
    }

    /// Ends the request with what nginx's functions return, or a status. It may be gone when this returns.
    pub fn finalize(self, rc: ngx_int_t) {
        // SAFETY: the request is valid.
        unsafe { ngx_http_finalize_request(self.raw(), rc) }
    }
}

unsafe extern "C" fn drop_kept(bytes: *mut c_void) {
    // SAFETY: `Request::keep` has written a vector there; nginx runs a cleanup once.
    unsafe { bytes.cast::<Vec<u8>>().drop_in_place() }
}
