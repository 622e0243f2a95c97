//! A stream connection of our own to a server, on nginx's events.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use nginx_sys::{
    ngx_add_timer, ngx_close_connection, ngx_connection_t, ngx_cycle, ngx_del_timer,
    ngx_event_connect_peer, ngx_event_get_peer, ngx_event_t, ngx_handle_read_event,
    ngx_handle_write_event, ngx_int_t, ngx_log_t, ngx_msec_t, ngx_peer_connection_t,
    ngx_tcp_nodelay, NGX_AGAIN, NGX_OK,
};

use super::guard::guard;
use super::log::Log;

/// A server's address: what the kernel takes, and the text for logs and variables.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    sockaddr: &'static [u8],
    name: &'static [u8],
}

impl Address {
    /// Copies an address that a balancer has chosen, for the rest of the worker's life: there are as
    /// many as its `upstream` blocks ever name. `None`: there is no memory.
    pub fn copy(chosen: &super::peer::Chosen) -> Option<Self> {
        // SAFETY: the balancer's address and name are valid until the server is given back.
        let (sockaddr, name) = unsafe { (sockaddr_of(chosen), (*chosen.name).as_bytes()) };
        Some(Self { sockaddr: kept(sockaddr)?, name: kept(name)? })
    }

    /// Whether it is the address that a balancer has chosen.
    pub fn is(&self, chosen: &super::peer::Chosen) -> bool {
        // SAFETY: as in `copy`.
        unsafe { self.sockaddr == sockaddr_of(chosen) }
    }

    /// The address as a text.
    pub fn name(&self) -> &'static [u8] {
        self.name
    }
}

fn kept(bytes: &[u8]) -> Option<&'static [u8]> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy.leak())
}

/// # Safety
/// The chosen server has not been given back.
unsafe fn sockaddr_of(chosen: &super::peer::Chosen) -> &[u8] {
    // SAFETY: the caller vouches for it.
    unsafe { std::slice::from_raw_parts(chosen.address.cast(), chosen.address_length as usize) }
}

/// The log of connections that belong to no request.
pub struct ConnectionLog(Box<ngx_log_t>);

impl ConnectionLog {
    /// A copy of the cycle's log, which is not the client's of whatever request comes first.
    pub fn new() -> Self {
        // SAFETY: nginx has set its cycle and the log in it before it starts a worker.
        Self(Box::new(unsafe { *(*ngx_cycle).log }))
    }

    /// The log.
    pub fn log(&self) -> Log {
        Log(ptr::from_ref(&*self.0).cast_mut())
    }
}

// A token, a slot's number and generation, travels in a pointer.
const _: () = assert!(size_of::<usize>() >= size_of::<u64>(), "nginx must be of 64 bits");

/// Who is told what happens on a socket.
pub trait Events {
    /// Bytes or the end can be read, or the worker wants the connection closed.
    fn readable(token: u64);
    /// The connection has been made or has failed, or bytes can be written, or the time is up.
    fn writable(token: u64);
}

/// A connection, open or on its way. It has to be closed; dropping it leaves it open.
pub struct Socket(NonNull<ngx_connection_t>);

impl Socket {
    /// Begins to connect; `E` is told with `token`. Also says whether the connection is there already.
    /// `None`: it failed, and nginx has logged why.
    pub fn connect<E: Events>(
        address: &Address,
        log: &ConnectionLog,
        token: u64,
    ) -> Option<(Self, bool)> {
        let mut name = super::conf::borrowed(address.name);
        // SAFETY: an all-zero request to connect has no options; address, name and log outlive the
        // call, and the log outlives the connection. The handlers are set before any event can come.
        unsafe {
            let mut peer: ngx_peer_connection_t = std::mem::zeroed();
            peer.sockaddr = address.sockaddr.as_ptr().cast_mut().cast();
            peer.socklen = address.sockaddr.len() as u32;
            peer.name = &raw mut name;
            peer.get = Some(ngx_event_get_peer);
            peer.log = log.log().0;
            peer.set_log_error(nginx_sys::ngx_connection_log_error_e_NGX_ERROR_ERR);
            let rc = ngx_event_connect_peer(&raw mut peer);
            let connection = NonNull::new(peer.connection)?;
            let c = connection.as_ptr();
            (*c).log = log.log().0;
            (*c).data = ptr::without_provenance_mut::<c_void>(token as usize);
            (*(*c).read).handler = Some(readable::<E>);
            (*(*c).write).handler = Some(writable::<E>);
            Some((Self(connection), rc == NGX_OK as ngx_int_t))
        }
    }

    fn raw(&self) -> *mut ngx_connection_t {
        self.0.as_ptr()
    }

    fn read(&self) -> *mut ngx_event_t {
        // SAFETY: an open connection has both events.
        unsafe { (*self.raw()).read }
    }

    fn write(&self) -> *mut ngx_event_t {
        // SAFETY: an open connection has both events.
        unsafe { (*self.raw()).write }
    }

    /// Why a connection on its way has failed. Either event may come first, so both ask.
    ///
    /// # Errors
    /// The kernel's reason, as an `errno`.
    pub fn connected(&self) -> Result<(), i32> {
        let mut error: libc::c_int = 0;
        let mut length = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the descriptor is open; the kernel writes an int.
        let rc = unsafe {
            let error = (&raw mut error).cast();
            libc::getsockopt(
                (*self.raw()).fd,
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                error,
                &raw mut length,
            )
        };
        match (rc, error) {
            (0, 0) => Ok(()),
            (0, error) => Err(error),
            _ => Err(nginx_sys::ngx_errno()),
        }
    }

    /// Prepares a connection that has just been made: small writes leave at once.
    pub fn established(&self) {
        // SAFETY: the connection is open. A failure is logged and costs only time.
        unsafe {
            if (*self.raw()).tcp_nodelay()
                == nginx_sys::ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_UNSET
            {
                ngx_tcp_nodelay(self.raw());
            }
        }
    }

    /// Writes what the kernel takes now; `Ok(0)`: nothing.
    ///
    /// # Errors
    /// The connection is broken; nginx has logged why.
    pub fn send(&self, bytes: &[u8]) -> Result<usize, ()> {
        // SAFETY: the connection is open and has its `send`; the bytes are only read.
        let sent = unsafe {
            let Some(send) = (*self.raw()).send else {
                return Err(());
            };
            send(self.raw(), bytes.as_ptr().cast_mut(), bytes.len())
        };
        match sent {
            again if again == NGX_AGAIN as isize => Ok(0),
            sent => usize::try_from(sent).map_err(drop),
        }
    }

    /// Reads what has come; `Ok(None)`: nothing now, `Ok(Some(0))`: the end.
    ///
    /// # Errors
    /// The connection is broken; nginx has logged why.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>, ()> {
        // SAFETY: the connection is open and has its `recv`; it writes into the buffer.
        let received = unsafe {
            let Some(recv) = (*self.raw()).recv else {
                return Err(());
            };
            recv(self.raw(), buffer.as_mut_ptr(), buffer.len())
        };
        match received {
            again if again == NGX_AGAIN as isize => Ok(None),
            received => usize::try_from(received).map(Some).map_err(drop),
        }
    }

    /// Whether a read may find something.
    pub fn is_readable(&self) -> bool {
        // SAFETY: an open connection has its events.
        unsafe { (*self.read()).ready() != 0 }
    }

    /// Whether a write may find room.
    pub fn is_writable(&self) -> bool {
        // SAFETY: an open connection has its events.
        unsafe { (*self.write()).ready() != 0 }
    }

    /// Asks to be told of what can be read and written.
    ///
    /// # Errors
    /// The kernel does not watch the descriptor.
    pub fn watch(&self) -> Result<(), ()> {
        // SAFETY: the connection is open.
        let both = unsafe {
            [ngx_handle_read_event(self.read(), 0), ngx_handle_write_event(self.write(), 0)]
        };
        if both.iter().all(|rc| *rc == NGX_OK as ngx_int_t) {
            Ok(())
        } else {
            Err(())
        }
    }

    /// Sets how long the connection may take to be made.
    pub fn limit_connecting(&self, timeout: u64) {
        // SAFETY: the connection is open.
        unsafe { ngx_add_timer(self.write(), timeout as ngx_msec_t) }
    }

    /// Takes that limit away.
    pub fn connecting_is_over(&self) {
        // SAFETY: the connection is open; only a set timer is deleted.
        unsafe {
            if (*self.write()).timer_set() != 0 {
                ngx_del_timer(self.write());
            }
        }
    }

    /// Whether the limit has passed.
    pub fn timed_out(&self) -> bool {
        // SAFETY: an open connection has its events.
        unsafe { (*self.write()).timedout() != 0 }
    }

    /// Says whether the worker may close the connection when it goes.
    pub fn set_idle(&self, idle: bool) {
        // SAFETY: the connection is open.
        unsafe { (*self.raw()).set_idle(u32::from(idle)) }
    }

    /// Whether the worker wants the connection closed.
    pub fn close_wanted(&self) -> bool {
        // SAFETY: the connection is open.
        unsafe { (*self.raw()).close() != 0 }
    }

    /// Closes the connection; no event comes from it any more.
    pub fn close(self) {
        // SAFETY: the connection is open, and this was the last handle to it.
        unsafe { ngx_close_connection(self.raw()) }
    }
}

/// The token of the connection that an event belongs to.
///
/// # Safety
/// `event` is an event of a [`Socket`].
unsafe fn token(event: *mut ngx_event_t) -> u64 {
    // SAFETY: nginx keeps the connection in its events' data; `connect` has set the connection's.
    unsafe { (*(*event).data.cast::<ngx_connection_t>()).data.addr() as u64 }
}

unsafe extern "C" fn readable<E: Events>(event: *mut ngx_event_t) {
    // SAFETY: only `connect` sets this handler.
    guard((), || E::readable(unsafe { token(event) }));
}

unsafe extern "C" fn writable<E: Events>(event: *mut ngx_event_t) {
    // SAFETY: only `connect` sets this handler.
    guard((), || E::writable(unsafe { token(event) }));
}
