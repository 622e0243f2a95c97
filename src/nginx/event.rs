//! A timer and a posted event of the worker's own, tied to no connection.

use nginx_sys::{
    ngx_add_timer, ngx_connection_t, ngx_del_timer, ngx_delete_posted_event, ngx_event_t,
    ngx_msec_t, ngx_post_event, ngx_posted_events,
};

use super::guard::guard;
use super::log::Log;
use super::now;

/// An event whose handler is a plain function. It is made when a worker starts and lives as long as it.
pub struct Event(Box<Placed>);

/// An event and the connection that nginx's debug log takes its `data` for, to write its descriptor.
struct Placed {
    event: ngx_event_t,
    connection: ngx_connection_t,
}

impl Event {
    /// An event that runs `H`.
    pub fn new<H: Handler>(log: Log) -> Self {
        // SAFETY: all-zero are an event and a connection that are not in use, as nginx's own are made.
        let mut placed: Box<Placed> = Box::new(unsafe { std::mem::zeroed() });
        placed.connection.fd = -1;
        placed.event.data = (&raw mut placed.connection).cast();
        placed.event.handler = Some(run::<H>);
        placed.event.log = log.0;
        Self(placed)
    }

    /// Runs the handler at the end of this turn of the event loop.
    pub fn post(&mut self) {
        // SAFETY: the event is valid and stays where it is; the queue is nginx's own.
        unsafe { ngx_post_event(&raw mut self.0.event, &raw mut ngx_posted_events) }
    }

    /// Runs the handler at `deadline` or, if it is set to run earlier, then.
    pub fn at(&mut self, deadline: u64) {
        let event = &mut self.0.event;
        if event.timer_set() != 0 && event.timer.key as u64 <= deadline {
            return;
        }
        let delay = deadline.saturating_sub(now()) as ngx_msec_t;
        // SAFETY: the event is valid and stays where it is. A set timer is deleted first: adding
        // would keep it, though late by up to 300 ms (`NGX_TIMER_LAZY_DELAY`).
        unsafe {
            if event.timer_set() != 0 {
                ngx_del_timer(event);
            }
            ngx_add_timer(event, delay);
        }
    }

    /// Whether the timer keeps a worker alive that has been told to go.
    pub fn keep_worker(&mut self, keep: bool) {
        self.0.event.set_cancelable(u32::from(!keep));
    }
}

impl Drop for Event {
    /// Takes the event out of nginx's timers and queues, which would reach for it.
    fn drop(&mut self) {
        let event = &raw mut self.0.event;
        // SAFETY: the event is valid; only what has been set or posted is taken back.
        unsafe {
            if (*event).timer_set() != 0 {
                ngx_del_timer(event);
            }
            if (*event).posted() != 0 {
                ngx_delete_posted_event(event);
            }
        }
    }
}

/// What an [`Event`] runs.
pub trait Handler {
    /// Runs it.
    fn run();
}

unsafe extern "C" fn run<H: Handler>(_: *mut ngx_event_t) {
    guard((), H::run);
}
