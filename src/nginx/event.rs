//! A timer and a posted event of the worker's own, tied to no connection.

use std::ptr;

use nginx_sys::{
    ngx_add_timer, ngx_del_timer, ngx_event_t, ngx_msec_t, ngx_post_event, ngx_posted_events,
};

use super::guard::guard;
use super::log::Log;
use super::now;

/// An event whose handler is a plain function. It is made when a worker starts and lives as long as it.
pub struct Event(Box<ngx_event_t>);

impl Event {
    /// An event that runs `H`.
    pub fn new<H: Handler>(log: Log) -> Self {
        // SAFETY: an all-zero event is one that is not in use, as nginx's own are made.
        let mut event: Box<ngx_event_t> = Box::new(unsafe { std::mem::zeroed() });
        event.handler = Some(run::<H>);
        event.log = log.0;
        event.data = ptr::null_mut();
        Self(event)
    }

    /// Runs the handler at the end of this turn of the event loop.
    pub fn post(&mut self) {
        // SAFETY: the event is valid and stays where it is; the queue is nginx's own.
        unsafe { ngx_post_event(&raw mut *self.0, &raw mut ngx_posted_events) }
    }

    /// Runs the handler at `deadline` or, if it is set to run earlier, then.
    pub fn at(&mut self, deadline: u64) {
        if self.0.timer_set() != 0 && self.0.timer.key as u64 <= deadline {
            return;
        }
        let delay = deadline.saturating_sub(now()) as ngx_msec_t;
        // SAFETY: the event is valid and stays where it is. A set timer is deleted first: adding
        // would keep it, though late by up to 300 ms (`NGX_TIMER_LAZY_DELAY`).
        unsafe {
            if self.0.timer_set() != 0 {
                ngx_del_timer(&raw mut *self.0);
            }
            ngx_add_timer(&raw mut *self.0, delay);
        }
    }

    /// Whether the timer keeps a worker alive that has been told to go.
    pub fn keep_worker(&mut self, keep: bool) {
        self.0.set_cancelable(u32::from(!keep));
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
