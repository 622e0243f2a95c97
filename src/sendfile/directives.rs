//! The module and its directives.
#![allow(non_upper_case_globals)]

use std::mem::offset_of;

use nginx_sys::{
    ngx_command_t, ngx_conf_enum_t, ngx_conf_set_enum_slot, ngx_conf_set_msec_slot,
    ngx_http_module_t, ngx_module_t, ngx_str_t, ngx_uint_t, NGX_CONF_1MORE, NGX_CONF_FLAG,
    NGX_CONF_TAKE1,
};
use ngx::ngx_string;

use super::conf::{CacheConf, Key, LocationConf, MainConf};
use super::handler::Handler;
use super::{counters, store, vars};
use crate::core::policy::{fallback, Validity};
use crate::core::value::Encoding;
use crate::nginx::conf::{borrowed, parse_time, Conf, Refusal, UNSET};
use crate::nginx::module::{self, main_conf, of_http, own, plain, plain_of, Directive};
use crate::nginx::peer::Upstream;
use crate::nginx::suspend;
use crate::nginx::zone::Zone;

/// Where `http_sendfile_pass` is not set.
const DEFAULT_ADDRESS: &[u8] = b"127.0.0.1:11211";

/// The module.
pub struct Module;

static callbacks: ngx_http_module_t = module::callbacks::<Module>();

/// nginx numbers the module when it loads it, and reads the tables below from it.
#[no_mangle]
pub static mut ngx_http_smart_sendfile_module: ngx_module_t =
    module::module::<Module>(&raw const callbacks, (&raw mut commands).cast());

static mut commands: [ngx_command_t; 12] = [
    own::<Module, Enabled>(ngx_string!("http_sendfile"), NGX_CONF_FLAG),
    own::<Module, Pass>(ngx_string!("http_sendfile_pass"), NGX_CONF_TAKE1),
    own::<Module, KeyDirective>(ngx_string!("http_sendfile_key"), NGX_CONF_TAKE1),
    own::<Module, Root>(ngx_string!("http_sendfile_root"), NGX_CONF_TAKE1),
    plain_of(
        ngx_string!("http_sendfile_value"),
        NGX_CONF_TAKE1,
        ngx_conf_set_enum_slot,
        offset_of!(LocationConf, encoding),
        (&raw mut encodings).cast(),
    ),
    own::<Module, Fallback>(ngx_string!("http_sendfile_fallback"), NGX_CONF_1MORE),
    plain(
        ngx_string!("http_sendfile_timeout"),
        NGX_CONF_TAKE1,
        ngx_conf_set_msec_slot,
        offset_of!(LocationConf, timeout),
    ),
    plain(
        ngx_string!("http_sendfile_connect_timeout"),
        NGX_CONF_TAKE1,
        ngx_conf_set_msec_slot,
        offset_of!(LocationConf, connect_timeout),
    ),
    own::<Module, NextUpstream>(ngx_string!("http_sendfile_next_upstream"), NGX_CONF_1MORE),
    of_http::<Module, CacheZone>(ngx_string!("http_sendfile_cache_zone"), NGX_CONF_TAKE1),
    own::<Module, CacheDirective>(ngx_string!("http_sendfile_cache"), NGX_CONF_1MORE),
    ngx_command_t::empty(),
];

static mut encodings: [ngx_conf_enum_t; 4] = [
    one_of(ngx_string!("auto"), Encoding::Auto),
    one_of(ngx_string!("raw"), Encoding::Raw),
    one_of(ngx_string!("marshal"), Encoding::Marshal),
    ngx_conf_enum_t { name: ngx_str_t::empty(), value: 0 },
];

const fn one_of(name: ngx_str_t, encoding: Encoding) -> ngx_conf_enum_t {
    ngx_conf_enum_t { name, value: encoding as ngx_uint_t }
}

impl module::Module for Module {
    type Main = MainConf;
    type Location = LocationConf;

    fn module() -> &'static ngx_module_t {
        module::numbered(&raw const ngx_http_smart_sendfile_module)
    }

    fn declare(cf: Conf) -> Result<(), Refusal> {
        vars::register(cf)
    }

    fn register(cf: Conf) -> Result<(), Refusal> {
        let main = main_conf::<Self>(cf);
        if !main.settings().is_empty() {
            main.lookups = Some(counters::declare(cf)?);
        }
        suspend::register::<Handler>(cf)
    }

    fn merge(
        cf: Conf,
        main: &mut MainConf,
        outer: &LocationConf,
        inner: &mut LocationConf,
    ) -> Result<(), Refusal> {
        inner.merge(cf, main, outer)
    }

    fn start() {
        counters::join();
        store::open();
    }

    fn exit() {
        store::close();
        counters::leave();
    }
}

fn duplicate<T>() -> Result<T, Refusal> {
    Err(Refusal::Directive(c"is duplicate"))
}

struct Enabled;
impl Directive for Enabled {
    type Conf = LocationConf;

    /// `on` also makes the default store known, while blocks can still be added.
    fn set(cf: Conf, conf: &mut LocationConf) -> Result<(), Refusal> {
        if conf.enabled != UNSET {
            return duplicate();
        }
        let word = cf.values().next().unwrap_or_default();
        conf.enabled = match word {
            _ if word.eq_ignore_ascii_case(b"on") => 1,
            _ if word.eq_ignore_ascii_case(b"off") => 0,
            _ => {
                return Err(format!(
                    "invalid value \"{}\" in \"http_sendfile\" directive, \
                     it must be \"on\" or \"off\"",
                    String::from_utf8_lossy(word)
                )
                .into());
            }
        };
        let main = main_conf::<Module>(cf);
        if conf.enabled == 1 && main.default_upstream.is_none() {
            let address = borrowed(DEFAULT_ADDRESS);
            main.default_upstream = Some(Upstream::add(cf, &address)?);
        }
        Ok(())
    }
}

struct Pass;
impl Directive for Pass {
    type Conf = LocationConf;

    fn set(cf: Conf, conf: &mut LocationConf) -> Result<(), Refusal> {
        if conf.upstream.is_some() {
            return duplicate();
        }
        let address = &cf.args()[1];
        if address.as_bytes().contains(&b'$') {
            return Err("\"http_sendfile_pass\" takes no variables: name an \"upstream\" block \
                        that chooses the server"
                .into());
        }
        conf.upstream = Some(Upstream::add(cf, address)?);
        Ok(())
    }
}

struct KeyDirective;
impl Directive for KeyDirective {
    type Conf = LocationConf;

    fn set(cf: Conf, conf: &mut LocationConf) -> Result<(), Refusal> {
        if conf.key.is_some() {
            return duplicate();
        }
        let text = &cf.args()[1];
        conf.key = Some(match text.as_bytes() {
            b"$sendfile_id" | b"${sendfile_id}" => Key::Id,
            bytes => Key::Text { value: cf.complex_value(text)?, needs_id: refers_to_id(bytes) },
        });
        Ok(())
    }
}

/// Whether `$sendfile_id` or `${sendfile_id}` is one of a text's variables.
fn refers_to_id(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'$').skip(1).any(|rest| {
        let rest = rest.strip_prefix(b"{").unwrap_or(rest);
        let end = rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'));
        rest[..end.unwrap_or(rest.len())].eq_ignore_ascii_case(b"sendfile_id")
    })
}

struct Root;
impl Directive for Root {
    type Conf = LocationConf;

    fn set(cf: Conf, conf: &mut LocationConf) -> Result<(), Refusal> {
        if !conf.root.is_empty() {
            return duplicate();
        }
        let root = cf.args()[1];
        if !(root.as_bytes().starts_with(b"/") && root.as_bytes().ends_with(b"/")) {
            return Err(
                format!("\"http_sendfile_root\" \"{root}\" must begin and end with \"/\"").into()
            );
        }
        conf.root = root;
        Ok(())
    }
}

/// Reads the words of a directive that names outcomes, or `off`.
fn outcomes(cf: Conf, known: &[(&[u8], usize)]) -> Result<usize, Refusal> {
    let refused = |problem: &str, word: &[u8]| {
        let directive = cf.args()[0];
        let word = String::from_utf8_lossy(word);
        Refusal::from(format!("{problem} \"{word}\" in \"{directive}\" directive"))
    };
    if cf.values().eq([b"off"]) {
        return Ok(0);
    }
    let mut bits = 0;
    for word in cf.values() {
        match known.iter().find(|(name, _)| *name == word) {
            Some((_, bit)) if bits & bit == 0 => bits |= bit,
            Some(_) => return Err(refused("duplicate value", word)),
            None => return Err(refused("invalid value", word)),
        }
    }
    Ok(bits)
}

struct Fallback;
impl Directive for Fallback {
    type Conf = LocationConf;

    fn set(cf: Conf, conf: &mut LocationConf) -> Result<(), Refusal> {
        if conf.fallback.is_some() {
            return duplicate();
        }
        conf.fallback = Some(outcomes(
            cf,
            &[
                (b"miss", fallback::MISS),
                (b"error", fallback::ERROR),
                (b"timeout", fallback::TIMEOUT),
                (b"invalid", fallback::INVALID),
            ],
        )?);
        Ok(())
    }
}

struct NextUpstream;
impl Directive for NextUpstream {
    type Conf = LocationConf;

    fn set(cf: Conf, conf: &mut LocationConf) -> Result<(), Refusal> {
        if conf.next_upstream.is_some() {
            return duplicate();
        }
        conf.next_upstream = Some(outcomes(
            cf,
            &[
                (b"error", fallback::ERROR),
                (b"timeout", fallback::TIMEOUT),
                (b"miss", fallback::MISS),
            ],
        )?);
        Ok(())
    }
}

struct CacheZone;
impl Directive for CacheZone {
    type Conf = MainConf;

    fn set(cf: Conf, main: &mut MainConf) -> Result<(), Refusal> {
        let argument = cf.args()[1].as_bytes();
        main.caches.push(Zone::declare(cf, argument, argument, ())?);
        Ok(())
    }
}

struct CacheDirective;
impl Directive for CacheDirective {
    type Conf = LocationConf;

    fn set(cf: Conf, conf: &mut LocationConf) -> Result<(), Refusal> {
        if !matches!(conf.cache, CacheConf::Unset) {
            return duplicate();
        }
        if cf.args()[1].as_bytes() == b"off" {
            if cf.args().len() > 2 {
                return Err("\"http_sendfile_cache off\" takes no parameters".into());
            }
            conf.cache = CacheConf::Off;
            return Ok(());
        }
        let mut validity = Validity { valid: 10_000, miss: 1_000, stale: 0 };
        for parameter in cf.values().skip(1) {
            let known = [
                (&b"valid="[..], &mut validity.valid),
                (b"miss=", &mut validity.miss),
                (b"stale=", &mut validity.stale),
            ];
            let named = known.into_iter().find_map(|(name, place)| {
                parameter.strip_prefix(name).map(|text| (parse_time(text), place))
            });
            let Some((Some(time), place)) = named else {
                let parameter = String::from_utf8_lossy(parameter);
                return Err(format!("invalid parameter \"{parameter}\"").into());
            };
            *place = time;
        }
        conf.cache = CacheConf::On(Zone::named(cf, &cf.args()[1])?, validity);
        Ok(())
    }
}
