//! The configuration: what a location has been told, and how it inherits.

use nginx_sys::{ngx_flag_t, ngx_str_t, ngx_uint_t, NGX_LOG_ERR, NGX_LOG_INFO};

use super::notes::Notes;
use super::room::conf::{CookieConf, Page, RoomConf};
use super::room::zone::RoomZone;
use super::zone::Zone;
use crate::core::token::Keys;
use crate::nginx::conf::{merge_flag, merge_uint, ComplexValue, Conf, Refusal, UNSET, UNSET_UINT};

const DEFAULT_STATUS: ngx_uint_t = 503;

/// `smart_limit_headers`.
pub mod headers {
    /// None.
    pub const OFF: usize = 0;
    /// `Retry-After` with a refusal.
    pub const RETRY_AFTER: usize = 1;
    /// Also the fields of the draft, with every answer.
    pub const DRAFT: usize = 2;
}

/// What the `http` block keeps.
#[derive(Default)]
pub struct MainConf {
    /// The zones that it has declared.
    pub zones: Vec<Zone>,
    /// The notes on requests; declared before anything else.
    pub notes: Option<Notes>,
    /// The rooms that it has declared.
    pub rooms: Vec<RoomZone>,
    /// What tokens are signed with, if that is in files.
    pub keys: Option<Keys>,
    /// `$https`, where there are rooms.
    pub https: Option<ComplexValue>,
}

/// `smart_limit`.
#[derive(Clone, Copy)]
pub struct LimitConf {
    pub zone: Zone,
    /// The burst and what of it passes at once, in thousandths of a request.
    pub burst: u32,
    pub delay: u32,
    pub is_dry: bool,
    /// Whether those who are over it wait in the room of their location.
    pub has_room: bool,
}

impl LimitConf {
    /// Whether it only says what it would do, in this location.
    #[inline]
    pub fn runs_dry(&self, location: &LocationConf) -> bool {
        self.is_dry || location.dry_run == 1
    }
}

/// A location's configuration. nginx's own setters write the plain fields, by offset.
#[repr(C)]
pub struct LocationConf {
    pub status: ngx_uint_t,
    pub log_level: ngx_uint_t,
    pub dry_run: ngx_flag_t,
    pub headers: ngx_uint_t,
    pub room_status: ngx_uint_t,
    /// No limits where it is `off`, or where there is a room alone.
    pub limits: Option<Vec<LimitConf>>,
    /// The room that they name, or that everyone needs a seat in; inherited with them.
    pub room: Option<RoomConf>,
    pub bypass: Option<Vec<ComplexValue>>,
    pub room_page: Option<Page>,
    pub cookie: Option<CookieConf>,
    /// The name of the room's cookie; empty where there is no room.
    pub cookie_name: ngx_str_t,
}

impl Default for LocationConf {
    fn default() -> Self {
        Self {
            status: UNSET_UINT,
            log_level: UNSET_UINT,
            dry_run: UNSET,
            headers: UNSET_UINT,
            room_status: UNSET_UINT,
            limits: None,
            room: None,
            bypass: None,
            room_page: None,
            cookie: None,
            cookie_name: ngx_str_t::empty(),
        }
    }
}

impl LocationConf {
    /// Takes from the outer level what this one leaves open.
    pub fn merge(&mut self, cf: Conf, outer: &Self) -> Result<(), Refusal> {
        merge_uint(&mut self.status, outer.status, DEFAULT_STATUS);
        merge_uint(&mut self.log_level, outer.log_level, NGX_LOG_ERR as ngx_uint_t);
        merge_flag(&mut self.dry_run, outer.dry_run, 0);
        merge_uint(&mut self.headers, outer.headers, headers::RETRY_AFTER);
        merge_uint(&mut self.room_status, outer.room_status, DEFAULT_STATUS);
        if self.limits.is_none() {
            self.limits.clone_from(&outer.limits);
            self.room = outer.room;
        }
        if self.bypass.is_none() {
            self.bypass.clone_from(&outer.bypass);
        }
        self.room_page = self.room_page.or(outer.room_page);
        self.cookie = self.cookie.or(outer.cookie);
        if let Some(room) = self.room {
            self.cookie_name = self.cookie().name_for(cf, room.zone)?;
        }
        Ok(())
    }

    /// Whether `smart_limit off` stands here.
    pub fn is_off(&self) -> bool {
        self.limits.as_ref().is_some_and(Vec::is_empty) && self.room.is_none()
    }

    /// How the cookies of rooms are made.
    pub fn cookie(&self) -> CookieConf {
        self.cookie.unwrap_or(CookieConf::DEFAULT)
    }

    /// What those who wait are shown.
    pub fn room_page(&self) -> Page {
        self.room_page.unwrap_or(Page::Builtin)
    }

    /// Whether every answer tells what its limits allow.
    #[inline]
    pub fn tells_all(&self) -> bool {
        self.headers == headers::DRAFT
    }

    /// The level at which a refusal is logged.
    pub fn refusal_log_level(&self) -> u32 {
        self.log_level as u32
    }

    /// The level at which a delay is logged: one lower.
    pub fn delay_log_level(&self) -> u32 {
        (self.log_level as u32 + 1).min(NGX_LOG_INFO)
    }
}
