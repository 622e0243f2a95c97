//! The module and its directives.
#![allow(non_upper_case_globals)]

use std::mem::offset_of;

use nginx_sys::{
    ngx_command_t, ngx_conf_check_num_bounds, ngx_conf_enum_t, ngx_conf_num_bounds_t,
    ngx_conf_set_enum_slot, ngx_conf_set_flag_slot, ngx_conf_set_num_slot, ngx_http_module_t,
    ngx_module_t, ngx_str_t, ngx_uint_t, NGX_CONF_1MORE, NGX_CONF_2MORE, NGX_CONF_FLAG,
    NGX_CONF_TAKE1, NGX_CONF_TAKE2, NGX_CONF_TAKE3, NGX_CONF_TAKE4, NGX_LOG_ERR, NGX_LOG_INFO,
    NGX_LOG_NOTICE, NGX_LOG_WARN,
};
use ngx::ngx_string;

use super::conf::{headers, LimitConf, LocationConf, MainConf};
use super::handler::ngx_http_smart_limit_handler;
use super::notes::Notes;
use super::room::conf::{Everyone, RoomConf};
use super::room::directives::{CookieDirective, PageDirective, RoomDirective};
use super::room::secret::SecretFile;
use super::room::zone::{self as room_zone, RoomZone};
use super::sweep;
use super::zone::{RateOf, Settings, Zone};
use crate::core::bucket::BURST_MAX;
use crate::core::rate::{Rate, REQUEST};
use crate::nginx::conf::{borrowed, only_variable, Conf, Refusal};
use crate::nginx::module::{self, main_conf, of_http, of_server, own, plain, plain_of, Directive};
use crate::nginx::preaccess;
use crate::shm::limiter::Limiter;

/// The module.
pub struct Module;

static callbacks: ngx_http_module_t = module::callbacks::<Module>();

/// nginx numbers the module when it loads it, and reads the tables below from it.
#[no_mangle]
pub static mut ngx_http_smart_limit_module: ngx_module_t =
    module::module::<Module>(&raw const callbacks, (&raw mut commands).cast());

static mut commands: [ngx_command_t; 13] = [
    of_http::<Module, ZoneDirective>(
        ngx_string!("smart_limit_zone"),
        NGX_CONF_TAKE2 | NGX_CONF_TAKE3 | NGX_CONF_TAKE4,
    ),
    own::<Module, LimitDirective>(ngx_string!("smart_limit"), NGX_CONF_1MORE),
    plain_of(
        ngx_string!("smart_limit_status"),
        NGX_CONF_TAKE1,
        ngx_conf_set_num_slot,
        offset_of!(LocationConf, status),
        (&raw mut statuses).cast(),
    ),
    plain_of(
        ngx_string!("smart_limit_log_level"),
        NGX_CONF_TAKE1,
        ngx_conf_set_enum_slot,
        offset_of!(LocationConf, log_level),
        (&raw mut log_levels).cast(),
    ),
    plain(
        ngx_string!("smart_limit_dry_run"),
        NGX_CONF_FLAG,
        ngx_conf_set_flag_slot,
        offset_of!(LocationConf, dry_run),
    ),
    plain_of(
        ngx_string!("smart_limit_headers"),
        NGX_CONF_TAKE1,
        ngx_conf_set_enum_slot,
        offset_of!(LocationConf, headers),
        (&raw mut kinds_of_headers).cast(),
    ),
    own::<Module, Bypass>(ngx_string!("smart_limit_bypass"), NGX_CONF_1MORE),
    of_http::<Module, RoomDirective>(ngx_string!("smart_limit_room"), NGX_CONF_2MORE),
    plain_of(
        ngx_string!("smart_limit_room_status"),
        NGX_CONF_TAKE1,
        ngx_conf_set_enum_slot,
        offset_of!(LocationConf, room_status),
        (&raw mut room_statuses).cast(),
    ),
    own::<Module, PageDirective>(ngx_string!("smart_limit_room_page"), NGX_CONF_TAKE1),
    of_server::<Module, CookieDirective>(ngx_string!("smart_limit_cookie"), NGX_CONF_1MORE),
    of_http::<Module, SecretFile>(ngx_string!("smart_limit_secret_file"), NGX_CONF_TAKE1),
    ngx_command_t::empty(),
];

static mut statuses: ngx_conf_num_bounds_t =
    ngx_conf_num_bounds_t { post_handler: Some(ngx_conf_check_num_bounds), low: 400, high: 599 };

static mut log_levels: [ngx_conf_enum_t; 5] = [
    one_of(ngx_string!("info"), NGX_LOG_INFO as ngx_uint_t),
    one_of(ngx_string!("notice"), NGX_LOG_NOTICE as ngx_uint_t),
    one_of(ngx_string!("warn"), NGX_LOG_WARN as ngx_uint_t),
    one_of(ngx_string!("error"), NGX_LOG_ERR as ngx_uint_t),
    one_of(ngx_str_t::empty(), 0),
];

static mut kinds_of_headers: [ngx_conf_enum_t; 4] = [
    one_of(ngx_string!("off"), headers::OFF),
    one_of(ngx_string!("retry_after"), headers::RETRY_AFTER),
    one_of(ngx_string!("draft"), headers::DRAFT),
    one_of(ngx_str_t::empty(), 0),
];

static mut room_statuses: [ngx_conf_enum_t; 5] = [
    one_of(ngx_string!("200"), 200),
    one_of(ngx_string!("202"), 202),
    one_of(ngx_string!("429"), 429),
    one_of(ngx_string!("503"), 503),
    one_of(ngx_str_t::empty(), 0),
];

const fn one_of(name: ngx_str_t, value: ngx_uint_t) -> ngx_conf_enum_t {
    ngx_conf_enum_t { name, value }
}

impl module::Module for Module {
    type Main = MainConf;
    type Location = LocationConf;

    fn module() -> &'static ngx_module_t {
        module::numbered(&raw const ngx_http_smart_limit_module)
    }

    fn declare(cf: Conf) -> Result<(), Refusal> {
        main_conf::<Self>(cf).notes = Some(Notes::declare(cf)?);
        Ok(())
    }

    fn register(cf: Conf) -> Result<(), Refusal> {
        preaccess::register(cf, Some(ngx_http_smart_limit_handler))
    }

    fn merge(
        cf: Conf,
        _: &mut MainConf,
        outer: &LocationConf,
        inner: &mut LocationConf,
    ) -> Result<(), Refusal> {
        inner.merge(cf, outer)
    }

    fn accepted(main: &MainConf) {
        main.rooms.iter().for_each(|room| room_zone::take_effect(room, main.keys.as_ref()));
    }

    fn start() {
        sweep::start();
    }

    fn exit() {
        sweep::stop();
    }
}

/// What [`Rate::DEFAULT`] is written as.
const DEFAULT_RATE: &[u8] = b"1r/s";

/// A refusal that shows the parameter.
pub fn invalid<T>(what: &str, parameter: &[u8]) -> Result<T, Refusal> {
    Err(format!("invalid {what} \"{}\"", String::from_utf8_lossy(parameter)).into())
}

fn without_zone<T>(cf: Conf) -> Result<T, Refusal> {
    Err(format!("\"{}\" must have \"zone\" parameter", cf.args()[0]).into())
}

struct ZoneDirective;
impl Directive for ZoneDirective {
    type Conf = MainConf;

    fn set(cf: Conf, conf: &mut MainConf) -> Result<(), Refusal> {
        let text = cf.args()[1];
        let (mut zone, mut ipv6_prefix) = (None, None);
        let (mut rate, mut rate_text) = (RateOf::All(Rate::DEFAULT), DEFAULT_RATE);
        for parameter in cf.values().skip(1) {
            if let Some(value) = parameter.strip_prefix(b"zone=") {
                zone = Some((parameter, value));
            } else if let Some(value) = parameter.strip_prefix(b"rate=") {
                rate = match rate_of(cf, value)? {
                    Some(rate) => rate,
                    None => return invalid("rate", parameter),
                };
                rate_text = value;
            } else if let Some(value) = parameter.strip_prefix(b"ipv6_prefix=") {
                ipv6_prefix = match number(value) {
                    Some(bits @ 1..=128) => Some(bits as u8),
                    _ => return invalid("parameter", parameter),
                };
            } else {
                return invalid("parameter", parameter);
            }
        }
        let Some((parameter, value)) = zone.filter(|(_, value)| !value.starts_with(b":")) else {
            return without_zone(cf);
        };
        let is_address = only_variable(text.as_bytes()) == Some(b"binary_remote_addr");
        if ipv6_prefix.is_some() && !is_address {
            return Err("\"ipv6_prefix\" needs the key \"$binary_remote_addr\"".into());
        }
        if !Limiter::is_supported() {
            return Err(
                "\"smart_limit_zone\" needs a processor that can exchange 16 bytes at once \
                        (cmpxchg16b on x86-64)"
                    .into(),
            );
        }
        let (key, rate_text) = (cf.complex_value(&text)?, borrowed(rate_text));
        let settings = Settings { text, key, is_address, ipv6_prefix, rate_text, rate };
        conf.zones.push(Zone::declare(cf, parameter, value, settings)?);
        Ok(())
    }
}

/// The rate in a parameter: one, or `$variable`, or `$variable:default`. `None`: it is none of these.
fn rate_of(cf: Conf, text: &[u8]) -> Result<Option<RateOf>, Refusal> {
    if !text.starts_with(b"$") {
        return Ok(Rate::parse(text).ok().map(RateOf::All));
    }
    let mut parts = text.splitn(2, |byte| *byte == b':');
    let variable = borrowed(parts.next().unwrap_or_default());
    let default = parts.next().unwrap_or(DEFAULT_RATE);
    let value = cf.variable(&variable)?;
    Ok(Rate::parse(default).ok().zip(value).map(|(rate, value)| RateOf::Each {
        text: variable,
        value,
        default: (rate, borrowed(default)),
    }))
}

/// A decimal number, as nginx's `ngx_atoi` reads it.
pub fn number(text: &[u8]) -> Option<u64> {
    let is_number = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

struct LimitDirective;
impl Directive for LimitDirective {
    type Conf = LocationConf;

    fn set(cf: Conf, conf: &mut LocationConf) -> Result<(), Refusal> {
        if cf.values().any(|word| word == b"off") {
            if cf.args().len() > 2 {
                return Err("\"smart_limit off\" takes no parameters".into());
            }
            if conf.limits.is_some() {
                return Err(Refusal::Directive(c"is duplicate"));
            }
            conf.limits = Some(Vec::new());
            return Ok(());
        }
        let (limit, room) = limit(cf)?;
        if conf.is_off() {
            return Err(Refusal::Directive(c"is duplicate"));
        }
        if let Some(room) = room {
            join(&mut conf.room, room)?;
        }
        let limits = conf.limits.get_or_insert_default();
        if let Some(limit) = limit {
            if limits.iter().any(|other| other.zone == limit.zone) {
                return Err(Refusal::Directive(c"is duplicate"));
            }
            limits.push(limit);
        }
        Ok(())
    }
}

/// A level has one room, which several of its limits may name.
fn join(level: &mut Option<RoomConf>, room: RoomConf) -> Result<(), Refusal> {
    let Some(earlier) = level else {
        *level = Some(room);
        return Ok(());
    };
    if earlier.zone != room.zone {
        let (earlier, name) = (earlier.zone.name(), room.zone.name());
        return Err(
            format!("room \"{name}\" conflicts with room \"{earlier}\" at one level").into()
        );
    }
    if earlier.everyone.is_some() && room.everyone.is_some() {
        return Err(Refusal::Directive(c"is duplicate"));
    }
    earlier.everyone = earlier.everyone.or(room.everyone);
    Ok(())
}

/// A limit, and the room that it names; or a room alone.
fn limit(cf: Conf) -> Result<(Option<LimitConf>, Option<RoomConf>), Refusal> {
    let (mut zone, mut room, mut is_dry) = (None, None, false);
    let (mut burst, mut delay) = (None, None);
    for parameter in cf.values() {
        if let Some(name) = parameter.strip_prefix(b"zone=") {
            zone = Some(Zone::named(cf, &borrowed(name))?);
        } else if let Some(name) = parameter.strip_prefix(b"room=") {
            room = Some(RoomZone::named(cf, &borrowed(name))?);
        } else if let Some(value) = parameter.strip_prefix(b"burst=") {
            burst = match number(value).and_then(|number| u32::try_from(number).ok()) {
                Some(requests @ 1..=BURST_MAX) => Some(requests * REQUEST),
                _ => return invalid("burst value", parameter),
            };
        } else if let Some(value) = parameter.strip_prefix(b"delay=") {
            delay = match number(value) {
                None | Some(0) => return invalid("delay value", parameter),
                Some(requests) => Some(u32::try_from(requests).map_or(u32::MAX, to_units)),
            };
        } else {
            match parameter {
                b"nodelay" => delay = Some(u32::MAX),
                b"dry_run" => is_dry = true,
                _ => return invalid("parameter", parameter),
            }
        }
    }
    let room = room.map(|zone| RoomConf { zone, everyone: None });
    let Some(zone) = zone else {
        // A room alone lets nobody pass but those who have a seat: there is nothing to burst or to delay.
        let Some(room) = room.filter(|_| burst.is_none() && delay.is_none()) else {
            return without_zone(cf);
        };
        return Ok((None, Some(RoomConf { everyone: Some(Everyone { is_dry }), ..room })));
    };
    let (burst, delay) = (burst.unwrap_or(0), delay.unwrap_or(0));
    Ok((Some(LimitConf { zone, burst, delay, is_dry, has_room: room.is_some() }), room))
}

/// Requests, in the unit in which they are counted; more than any bucket holds is as good as the most.
fn to_units(requests: u32) -> u32 {
    requests.saturating_mul(REQUEST)
}

struct Bypass;
impl Directive for Bypass {
    type Conf = LocationConf;

    fn set(cf: Conf, conf: &mut LocationConf) -> Result<(), Refusal> {
        if conf.bypass.is_some() {
            return Err(Refusal::Directive(c"is duplicate"));
        }
        let values = cf.args().iter().skip(1).map(|text| cf.complex_value(text));
        conf.bypass = Some(values.collect::<Result<_, _>>()?);
        Ok(())
    }
}
