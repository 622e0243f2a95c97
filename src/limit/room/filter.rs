//! What an answer says beside what it is, whoever gives it: the room's cookie, and that nobody may store it.
//!
//! It stands directly before nginx's headers filter in the list of modules, and so runs after it: neither `expires` nor
//! `add_header`, nor what an application has said, makes anybody else's cache hand out a visitor's cookie.
#![allow(non_upper_case_globals)]

use std::cell::Cell;
use std::thread::LocalKey;

use nginx_sys::{ngx_http_module_t, ngx_module_t};

use crate::core::NoMemory;
use crate::limit::directives::Module;
use crate::nginx::conf::{Conf, Refusal};
use crate::nginx::filter::{self, HeaderFilter, Next};
use crate::nginx::module::main_conf;
use crate::nginx::note::Text;
use crate::nginx::request::Request;

/// What has been decided about the answer.
pub struct FilterNotes {
    set_cookie: Text,
    cache_control: Text,
}

impl FilterNotes {
    /// Declares the notes, and so the variables.
    pub fn declare(cf: Conf) -> Result<Self, Refusal> {
        Ok(Self {
            set_cookie: Text::declare(cf, "smart_limit_set_cookie")?,
            cache_control: Text::declare(cf, "smart_limit_cache_control")?,
        })
    }

    /// Notes that the answer sets the room's cookie: the value of `Set-Cookie`, memory of the request. An answer of the
    /// application becomes the visitor's own by that.
    pub fn set_cookie(&self, r: Request, cookie: &'static [u8]) {
        self.set_cookie.set(r, cookie);
        if !self.cache_control.is_set(r) {
            self.cache_control.set(r, b"private, no-store");
        }
    }

    /// Notes that the room answers, itself or by an operator's page: that holds for this moment alone.
    pub fn answer_by_room(&self, r: Request) {
        self.cache_control.set(r, b"no-store");
    }
}

struct Filter;

static callbacks: ngx_http_module_t = filter::callbacks::<Filter>();

/// nginx numbers the module when it loads it.
#[no_mangle]
pub static mut ngx_http_smart_limit_filter_module: ngx_module_t =
    filter::module(&raw const callbacks);

thread_local! {
    static NEXT: Next = const { Cell::new(None) };
}

impl HeaderFilter for Filter {
    fn next() -> &'static LocalKey<Next> {
        &NEXT
    }

    fn is_needed(cf: Conf) -> bool {
        !main_conf::<Module>(cf).rooms.is_empty()
    }

    fn filter(r: Request) -> Result<(), NoMemory> {
        let Some(notes) = &r.main_conf::<Module>().notes else {
            return Ok(());
        };
        let cookie = notes.filter.set_cookie.get(r);
        let is_added = cookie.is_none_or(|cookie| r.add_header("Set-Cookie", cookie));
        let cache_control = notes.filter.cache_control.get(r);
        let is_set = cache_control.is_none_or(|value| {
            // What old caches go by.
            r.remove_header("Expires");
            r.set_cache_control(value)
        });
        match is_added && is_set {
            true => Ok(()),
            false => Err(NoMemory),
        }
    }
}
