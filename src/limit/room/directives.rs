//! The directives of rooms.

use std::cell::OnceCell;

use nginx_sys::ngx_str_t;
use ngx::ngx_string;

use super::conf::{CookieConf, Page, Secure};
use super::zone::{RoomZone, Settings};
use crate::core::cookie::{is_domain, is_name, is_path, SameSite};
use crate::core::rate::Rate;
use crate::core::room::rules::{Order, Rules};
use crate::limit::conf::{LocationConf, MainConf};
use crate::limit::directives::{invalid, number};
use crate::nginx::conf::{borrowed, parse_time, Conf, Refusal};
use crate::nginx::module::Directive;

/// The longest time that a parameter may be, in milliseconds: a year.
const TIME_MAX: u64 = 365 * 86_400 * 1000;

/// A second, in milliseconds.
const SECOND: u64 = 1000;

/// Unless a parameter says otherwise.
const DEFAULT: Rules = Rules {
    max_active: 0,
    admit: None,
    session: 600 * SECOND,
    renew: false,
    idle: None,
    absent: 20 * SECOND,
    max_waiting: None,
    per_net: Some(1000),
    entry_delay: 0,
    order: Order::Fifo,
    refresh: (5 * SECOND, 60 * SECOND),
};

/// Unless a parameter says otherwise, how long a token lives, in seconds.
const TOKEN: u64 = 86_400;

pub struct RoomDirective;
impl Directive for RoomDirective {
    type Conf = MainConf;

    fn set(cf: Conf, conf: &mut MainConf) -> Result<(), Refusal> {
        let name = cf.args()[1];
        if !is_name(name.as_bytes()) {
            return invalid("room name", name.as_bytes());
        }
        let mut settings = Settings { rules: DEFAULT, token: TOKEN, keys: OnceCell::new() };
        for parameter in cf.values().skip(2) {
            set_parameter(&mut settings, parameter).or_else(|what| invalid(&what, parameter))?;
        }
        check(cf, &name, &settings)?;
        let size = cf.args()[2];
        let argument = size.as_bytes();
        let room = RoomZone::declare_named(cf, argument, name, argument, settings)?;
        conf.rooms.push(room);
        if conf.https.is_none() {
            conf.https = cf.variable(&ngx_string!("$https"))?;
        }
        Ok(())
    }
}

/// Sets what a parameter says. `Err`: what of it is invalid.
fn set_parameter(settings: &mut Settings, parameter: &[u8]) -> Result<(), String> {
    let rules = &mut settings.rules;
    let equals = parameter.iter().position(|byte| *byte == b'=');
    let (name, value) = equals
        .map_or((parameter, &b""[..]), |equals| (&parameter[..equals], &parameter[equals + 1..]));
    let is_valid = match name {
        b"max_active" => count(value).map(|seats| rules.max_active = seats),
        b"admit" => Rate::parse(value).ok().map(|rate| rules.admit = Some(rate)),
        b"session" => time(value).map(|time| rules.session = time),
        b"renew" => switch(value).map(|renew| rules.renew = renew),
        b"idle" => unless_off(value, time).map(|time| rules.idle = time),
        b"absent" => time(value).map(|time| rules.absent = time),
        b"max_waiting" => count(value).map(|places| rules.max_waiting = Some(places)),
        b"per_net" => unless_off(value, count).map(|places| rules.per_net = places),
        b"entry_delay" => time_or_none(value).map(|time| rules.entry_delay = time),
        b"order" => order(value).map(|order| rules.order = order),
        b"refresh" => refresh(value).map(|times| rules.refresh = times),
        b"token" => seconds(value).map(|seconds| settings.token = seconds),
        _ => return Err("parameter".to_owned()),
    };
    is_valid.ok_or_else(|| format!("{} value", String::from_utf8_lossy(name)))
}

/// A number of seats or places, not 0.
fn count(text: &[u8]) -> Option<u32> {
    number(text).and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0)
}

/// A time in milliseconds, not 0.
fn time(text: &[u8]) -> Option<u64> {
    time_or_none(text).filter(|time| *time > 0)
}

fn time_or_none(text: &[u8]) -> Option<u64> {
    parse_time(text).filter(|time| *time <= TIME_MAX)
}

/// A time in whole seconds, not 0.
fn seconds(text: &[u8]) -> Option<u64> {
    time(text).filter(|time| time % SECOND == 0).map(|time| time / SECOND)
}

fn unless_off<T>(text: &[u8], parse: fn(&[u8]) -> Option<T>) -> Option<Option<T>> {
    match text {
        b"off" => Some(None),
        _ => parse(text).map(Some),
    }
}

fn switch(text: &[u8]) -> Option<bool> {
    match text {
        b"on" => Some(true),
        b"off" => Some(false),
        _ => None,
    }
}

fn order(text: &[u8]) -> Option<Order> {
    match text {
        b"fifo" => Some(Order::Fifo),
        b"random" => Some(Order::Random),
        _ => None,
    }
}

/// The shortest time, and the longest, or else the default of it if that is not shorter.
fn refresh(text: &[u8]) -> Option<(u64, u64)> {
    let mut parts = text.splitn(2, |byte| *byte == b':');
    let least = parts.next().and_then(time).filter(|time| *time >= SECOND)?;
    let most = match parts.next() {
        Some(most) => time(most).filter(|most| *most >= least)?,
        None => least.max(DEFAULT.refresh.1),
    };
    Some((least, most))
}

/// Checks what the parameters say together.
fn check(
    cf: Conf,
    name: &ngx_str_t,
    Settings { rules, token, .. }: &Settings,
) -> Result<(), Refusal> {
    if rules.max_active == 0 {
        return Err("\"smart_limit_room\" must have \"max_active\" parameter".into());
    }
    let token = token * SECOND;
    if token < rules.session {
        return Err(format!("\"token\" is shorter than \"session\" in room \"{name}\"").into());
    }
    // It is signed anew when half of it is over, if its owner comes by after that.
    if token < 2 * rules.refresh.1 {
        cf.warn(format_args!(
            "\"token\" is shorter than twice the longest \"refresh\" in room \"{name}\": \
             a visitor's place may be lost before he comes back"
        ));
    }
    Ok(())
}

pub struct PageDirective;
impl Directive for PageDirective {
    type Conf = LocationConf;

    fn set(cf: Conf, conf: &mut LocationConf) -> Result<(), Refusal> {
        if conf.room_page.is_some() {
            return Err(Refusal::Directive(c"is duplicate"));
        }
        let text = cf.args()[1];
        conf.room_page = Some(match text.as_bytes() {
            b"builtin" => Page::Builtin,
            [b'/', ..] | [b'@', _, ..] => Page::Own(cf.complex_value(&text)?),
            other => return invalid("page", other),
        });
        Ok(())
    }
}

pub struct CookieDirective;
impl Directive for CookieDirective {
    type Conf = LocationConf;

    fn set(cf: Conf, conf: &mut LocationConf) -> Result<(), Refusal> {
        if conf.cookie.is_some() {
            return Err(Refusal::Directive(c"is duplicate"));
        }
        let name = cf.args()[1];
        if !is_name(name.as_bytes()) {
            return invalid("cookie name", name.as_bytes());
        }
        let mut cookie = CookieConf { name, ..CookieConf::DEFAULT };
        for parameter in cf.values().skip(1) {
            if set_attribute(&mut cookie, parameter).is_none() {
                return invalid("parameter", parameter);
            }
        }
        if cookie.same_site == SameSite::None && cookie.secure == Secure::Off {
            return Err("\"samesite=none\" contradicts \"secure=off\": no browser would take the \
                        cookie"
                .into());
        }
        conf.cookie = Some(cookie);
        Ok(())
    }
}

/// Sets what a parameter says. `None`: it is invalid.
fn set_attribute(cookie: &mut CookieConf, parameter: &[u8]) -> Option<()> {
    if let Some(path) = parameter.strip_prefix(b"path=") {
        cookie.path = borrowed(Some(path).filter(|path| is_path(path))?);
    } else if let Some(domain) = parameter.strip_prefix(b"domain=") {
        cookie.domain = borrowed(Some(domain).filter(|domain| is_domain(domain))?);
    } else if let Some(same_site) = parameter.strip_prefix(b"samesite=") {
        cookie.same_site = match same_site {
            b"lax" => SameSite::Lax,
            b"strict" => SameSite::Strict,
            b"none" => SameSite::None,
            _ => return None,
        };
    } else {
        cookie.secure = match parameter.strip_prefix(b"secure=")? {
            b"auto" => Secure::Auto,
            b"on" => Secure::On,
            b"off" => Secure::Off,
            _ => return None,
        };
    }
    Some(())
}
