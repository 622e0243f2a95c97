//! `smart_limit_zone`: the limiter's memory as a zone of nginx, and what its directive says of it.

use std::ffi::c_void;
use std::ptr;

use nginx_sys::{ngx_str_t, NGX_LOG_ERR};

use crate::core::address::{self, Address};
use crate::core::rate::Rate;
use crate::core::NoMemory;
use crate::nginx::conf::ComplexValue;
use crate::nginx::log::Shown;
use crate::nginx::random_words;
use crate::nginx::request::Request;
use crate::nginx::zone::{self, Shared};
use crate::shm::limiter::Limiter;
use crate::shm::Word;

/// A zone of a limiter.
pub type Zone = zone::Zone<Limiter<'static>>;

/// What the directive says.
pub struct Settings {
    /// The key, as it is written.
    pub text: ngx_str_t,
    /// The key.
    pub key: ComplexValue,
    /// Whether the key is a client's address, in bytes.
    pub is_address: bool,
    /// How many bits of an IPv6 address make a key.
    pub ipv6_prefix: Option<u8>,
    /// The rate, as it is written.
    pub rate_text: ngx_str_t,
    /// The rate of every key, or where it is from.
    pub rate: RateOf,
}

/// [`Address::new`] or [`Address::parse`].
type ReadAddress = fn(&[u8], Option<u8>) -> Option<Address>;

/// The rate.
#[derive(Clone, Copy)]
pub enum RateOf {
    /// The same for all.
    All(Rate),
    /// Each request's own.
    Each {
        /// The variable, as it is written.
        text: ngx_str_t,
        /// The variable.
        value: ComplexValue,
        /// The rate where it is empty or none, and how that is written.
        default: (Rate, ngx_str_t),
    },
}

impl RateOf {
    /// The rate of all requests, if they have one.
    pub fn of_all(&self) -> Option<Rate> {
        match self {
            Self::All(rate) => Some(*rate),
            Self::Each { .. } => None,
        }
    }

    /// The rate of a request.
    #[inline(always)]
    pub fn of(&self, r: Request) -> Result<Rate, NoMemory> {
        match self {
            Self::All(rate) => Ok(*rate),
            Self::Each { text, value, default } => {
                let value = r.evaluate(*value).ok_or(NoMemory)?;
                Ok(read(r, text, value, default))
            }
        }
    }
}

/// A rate that a variable names.
fn read(r: Request, text: &ngx_str_t, value: &[u8], default: &(Rate, ngx_str_t)) -> Rate {
    let (rate, default) = default;
    if value.is_empty() {
        return *rate;
    }
    Rate::parse(value).unwrap_or_else(|_| {
        let value = Shown(value);
        let reason = format_args!("invalid rate \"{value}\" in \"{text}\", using {default}");
        r.log().write(NGX_LOG_ERR, reason);
        *rate
    })
}

impl Settings {
    /// The key of a request; empty if it has none.
    #[inline(always)]
    pub fn key_of(&self, r: Request) -> Result<&'static [u8], NoMemory> {
        let key = r.evaluate(self.key).ok_or(NoMemory)?;
        match self.ipv6_prefix.and_then(|prefix| address::network(key, prefix)) {
            None => Ok(key),
            Some(network) => r.copy(&network).ok_or(NoMemory),
        }
    }

    /// The address that a key is, in text or in bytes. `None`: keys are none here, or this one is not.
    pub fn address(&self, key: &[u8], read: ReadAddress) -> Option<Address> {
        read(key, self.ipv6_prefix).filter(|_| self.is_address)
    }
}

impl Shared for Limiter<'static> {
    const DIRECTIVE: &'static str = "smart_limit_zone";
    type Settings = Settings;

    fn tag() -> *mut c_void {
        static TAG: u8 = 0;
        ptr::from_ref(&TAG).cast_mut().cast()
    }

    fn create(words: &'static [Word]) -> Option<Self> {
        Limiter::create(words, random_words()?)
    }

    fn open(words: &'static [Word]) -> Option<Self> {
        Limiter::open(words)
    }

    fn is_declared_twice(name: &ngx_str_t, earlier: &Settings) -> String {
        format!("smart_limit_zone \"{name}\" is already bound to key \"{}\"", earlier.text)
    }

    fn may_change(name: &ngx_str_t, old: &Settings, new: &Settings) -> Result<(), String> {
        if old.text.as_bytes() == new.text.as_bytes() {
            return Ok(());
        }
        Err(format!(
            "smart_limit \"{name}\" uses the \"{}\" key while previously it used the \"{}\" key",
            new.text, old.text
        ))
    }
}
