//! The configuration: what a location has been told, and how it inherits.

use std::hash::Hasher;

use nginx_sys::{ngx_flag_t, ngx_msec_t, ngx_str_t, ngx_uint_t};
use siphasher::sip::SipHasher13;

use crate::core::policy::{fallback, Validity};
use crate::core::value::Encoding;
use crate::nginx::conf::{merge_flag, merge_uint, ComplexValue, Conf, Refusal, UNSET, UNSET_UINT};
use crate::nginx::peer::Upstream;
use crate::nginx::zone::Zone;
use crate::shm::cache::Cache;
use crate::shm::lookups::Lookups;

const DEFAULT_TIMEOUT: ngx_msec_t = 500;
const DEFAULT_CONNECT_TIMEOUT: ngx_msec_t = 200;
const DEFAULT_ROOT: &[u8] = b"/files/";

/// How lookups of a location are made. Locations that agree in all of it share single flights.
#[derive(Clone, PartialEq)]
pub struct Settings {
    /// The number of this in the list of all.
    pub class: usize,
    /// Who chooses the server.
    pub upstream: Upstream,
    /// Names the store and the encoding to the cache.
    pub store: u64,
    /// How a value is read.
    pub encoding: Encoding,
    /// The most milliseconds of a lookup.
    pub timeout: u64,
    /// The most milliseconds of a connection's making.
    pub connect_timeout: u64,
    /// The failures, as bits of [`fallback`], after which another server is tried.
    pub next_upstream: usize,
    /// The cache in front of the store, and how long it answers.
    pub cache: Option<(Zone<Cache<'static>>, Validity)>,
}

/// What the `http` block keeps.
#[derive(Default)]
pub struct MainConf {
    settings: Vec<&'static Settings>,
    /// The caches that directives have declared.
    pub caches: Vec<Zone<Cache<'static>>>,
    /// The counters, if any location makes lookups.
    pub lookups: Option<Zone<Lookups<'static>>>,
    /// The store of whoever names none.
    pub default_upstream: Option<Upstream>,
}

/// What is looked up.
#[derive(Clone, Copy)]
pub enum Key {
    /// The ID itself: the digits at the URI's end.
    Id,
    /// A text with variables.
    Text {
        /// The compiled text.
        value: ComplexValue,
        /// Whether the ID is one of its variables, so that a URI without one is not for us.
        needs_id: bool,
    },
}

/// `http_sendfile_cache`.
#[derive(Clone, Copy)]
pub enum CacheConf {
    /// Not set at this level.
    Unset,
    /// `off`.
    Off,
    /// A zone, and how long it answers.
    On(Zone<Cache<'static>>, Validity),
}

/// A location's configuration. nginx's own setters write the plain fields, by offset.
#[repr(C)]
pub struct LocationConf {
    pub enabled: ngx_flag_t,
    pub encoding: ngx_uint_t,
    pub timeout: ngx_msec_t,
    pub connect_timeout: ngx_msec_t,
    pub root: ngx_str_t,
    /// The outcomes left to the location's own handler, and the failures after which another
    /// server is tried, as bits of [`fallback`].
    pub fallback: Option<usize>,
    pub next_upstream: Option<usize>,
    pub key: Option<Key>,
    pub upstream: Option<Upstream>,
    pub cache: CacheConf,
    /// Made of the above where the module is on.
    pub settings: Option<&'static Settings>,
}

impl Default for LocationConf {
    fn default() -> Self {
        Self {
            enabled: UNSET,
            encoding: UNSET_UINT,
            fallback: None,
            next_upstream: None,
            timeout: UNSET_UINT,
            connect_timeout: UNSET_UINT,
            root: ngx_str_t::empty(),
            key: None,
            upstream: None,
            cache: CacheConf::Unset,
            settings: None,
        }
    }
}

impl Settings {
    /// The cache itself. `None`: there is none in front of this store.
    pub fn cache(&self) -> Option<&'static Cache<'static>> {
        self.cache.and_then(|(zone, _)| zone.get())
    }
}

impl LocationConf {
    /// Takes from the outer level what this one leaves open, and checks the whole.
    pub fn merge(&mut self, cf: Conf, main: &mut MainConf, outer: &Self) -> Result<(), Refusal> {
        merge_flag(&mut self.enabled, outer.enabled, 0);
        merge_uint(&mut self.encoding, outer.encoding, Encoding::Auto as ngx_uint_t);
        merge_uint(&mut self.timeout, outer.timeout, DEFAULT_TIMEOUT);
        merge_uint(&mut self.connect_timeout, outer.connect_timeout, DEFAULT_CONNECT_TIMEOUT);
        self.fallback = self.fallback.or(outer.fallback);
        self.next_upstream = self.next_upstream.or(outer.next_upstream);
        if self.root.is_empty() {
            self.root = match outer.root.is_empty() {
                true => crate::nginx::conf::borrowed(DEFAULT_ROOT),
                false => outer.root,
            };
        }
        self.key = self.key.or(outer.key);
        self.upstream = self.upstream.or(outer.upstream);
        if matches!(self.cache, CacheConf::Unset) {
            self.cache = outer.cache;
        }
        if self.enabled == 1 {
            self.settings = Some(main.intern(cf, self.settings(cf, main)?)?);
        }
        Ok(())
    }

    fn settings(&self, cf: Conf, main: &MainConf) -> Result<Settings, Refusal> {
        let upstream = self.upstream.or(main.default_upstream);
        let upstream = upstream.ok_or("\"http_sendfile\" has no server to ask")?;
        if upstream.is_sticky(cf) {
            return Err(format!(
                "\"http_sendfile_pass\": \"sticky\" in upstream \"{}\" would set a cookie for each \
                 lookup; use \"hash\" instead",
                upstream.host()
            )
            .into());
        }
        let cache = match self.cache {
            CacheConf::On(zone, _) if !zone.is_declared() => {
                return Err(
                    format!("\"http_sendfile_cache\" zone \"{}\" is unknown", zone.name()).into()
                );
            }
            CacheConf::On(zone, validity) => Some((zone, validity)),
            CacheConf::Unset | CacheConf::Off => None,
        };
        let encoding = match self.encoding {
            value if value == Encoding::Raw as ngx_uint_t => Encoding::Raw,
            value if value == Encoding::Marshal as ngx_uint_t => Encoding::Marshal,
            _ => Encoding::Auto,
        };
        Ok(Settings {
            class: 0,
            upstream,
            store: store_number(upstream, encoding),
            encoding,
            timeout: self.timeout as u64,
            connect_timeout: self.connect_timeout as u64,
            next_upstream: self.next_upstream.unwrap_or(fallback::ERROR | fallback::TIMEOUT),
            cache,
        })
    }

    /// Whether an outcome, as a bit of [`fallback`], is left to the location's own handler.
    pub fn falls_back(&self, outcome: usize) -> bool {
        self.fallback.unwrap_or(fallback::MISS) & outcome != 0
    }
}

/// Names a store and an encoding in the cache: the same in every worker and after every reload.
fn store_number(upstream: Upstream, encoding: Encoding) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(upstream.host().as_bytes());
    hasher.write_u16(upstream.port());
    hasher.write_u8(encoding as u8);
    hasher.finish()
}

impl MainConf {
    /// How lookups are made, each way once.
    pub fn settings(&self) -> &[&'static Settings] {
        &self.settings
    }

    /// The one copy of equal settings.
    fn intern(&mut self, cf: Conf, mut wanted: Settings) -> Result<&'static Settings, Refusal> {
        for known in &self.settings {
            wanted.class = known.class;
            if **known == wanted {
                return Ok(known);
            }
        }
        wanted.class = self.settings.len();
        let kept: &'static Settings = cf.keep(wanted)?;
        self.settings.push(kept);
        Ok(kept)
    }
}
