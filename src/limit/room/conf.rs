//! What a location has been told of its room.

use nginx_sys::ngx_str_t;
use ngx::ngx_string;

use super::visitor::asks_room;
use super::zone::RoomZone;
use crate::core::cookie::SameSite;
use crate::limit::conf::LocationConf;
use crate::nginx::conf::{ComplexValue, Conf, Refusal};
use crate::nginx::request::Request;

/// `room=`.
#[derive(Clone, Copy)]
pub struct RoomConf {
    pub zone: RoomZone,
    /// Whether everyone needs a seat, under the limits or not: `room=` without `zone=`.
    pub everyone: Option<Everyone>,
}

impl RoomConf {
    /// Whether the room has nothing to do with a request, unless a limit refuses it: nobody waits, nobody has a
    /// seat or needs one, and it is not the room that is asked.
    #[inline]
    pub fn is_idle(&self, r: Request) -> bool {
        self.everyone.is_none()
            && self.zone.get().is_some_and(|room| room.is_idle())
            && !asks_room(r)
    }
}

/// That everyone needs a seat.
#[derive(Clone, Copy)]
pub struct Everyone {
    pub is_dry: bool,
}

impl Everyone {
    /// Whether it is only said what it would do, in this location.
    pub fn runs_dry(&self, location: &LocationConf) -> bool {
        self.is_dry || location.dry_run == 1
    }
}

/// `smart_limit_room_page`.
#[derive(Clone, Copy)]
pub enum Page {
    /// The one that is built in.
    Builtin,
    /// A URI or a named location.
    Own(ComplexValue),
}

/// `smart_limit_cookie`.
#[derive(Clone, Copy)]
pub struct CookieConf {
    /// What the names of all rooms' cookies begin with.
    pub name: ngx_str_t,
    pub path: ngx_str_t,
    /// Empty: the host alone that sets it.
    pub domain: ngx_str_t,
    pub same_site: SameSite,
    pub secure: Secure,
}

/// Whether the cookie is for TLS only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Secure {
    /// If the request has come by TLS.
    Auto,
    On,
    Off,
}

impl CookieConf {
    /// Where no directive says otherwise.
    pub const DEFAULT: Self = Self {
        name: ngx_string!("smart_limit"),
        path: ngx_string!("/"),
        domain: ngx_str_t::empty(),
        same_site: SameSite::Lax,
        secure: Secure::Auto,
    };

    /// The name of a room's cookie.
    pub fn name_for(&self, cf: Conf, room: RoomZone) -> Result<ngx_str_t, Refusal> {
        let parts = [self.name.as_bytes(), b"_", room.name().as_bytes()];
        cf.copy(&parts.concat())
    }
}
