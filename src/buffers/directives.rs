//! The module and its directives.
#![allow(non_upper_case_globals)]

use std::mem::offset_of;

use nginx_sys::{
    ngx_command_t, ngx_conf_set_flag_slot, ngx_conf_set_size_slot, ngx_http_module_t, ngx_module_t,
    NGX_CONF_FLAG, NGX_CONF_TAKE1,
};
use ngx::ngx_string;

use super::conf::{LocationConf, MainConf, Modules};
use super::handler::ngx_http_smart_buffers_handler;
use super::{host, zone};
use crate::nginx::conf::{Conf, Refusal};
use crate::nginx::finished;
use crate::nginx::module::{self, main_conf, of_http, plain, Directive};
use crate::nginx::zone::Zone;

/// The module.
pub struct Module;

static callbacks: ngx_http_module_t = module::callbacks::<Module>();

/// nginx numbers the module when it loads it, and reads the tables below from it.
#[no_mangle]
pub static mut ngx_http_smart_buffers_module: ngx_module_t =
    module::module::<Module>(&raw const callbacks, (&raw mut commands).cast());

static mut commands: [ngx_command_t; 4] = [
    of_http::<Module, ZoneDirective>(ngx_string!("smart_buffers_zone"), NGX_CONF_TAKE1),
    plain(
        ngx_string!("smart_buffers"),
        NGX_CONF_FLAG,
        ngx_conf_set_flag_slot,
        offset_of!(LocationConf, enabled),
    ),
    plain(
        ngx_string!("smart_buffers_budget"),
        NGX_CONF_TAKE1,
        ngx_conf_set_size_slot,
        offset_of!(LocationConf, budget),
    ),
    ngx_command_t::empty(),
];

impl module::Module for Module {
    type Main = MainConf;
    type Location = LocationConf;

    fn module() -> &'static ngx_module_t {
        module::numbered(&raw const ngx_http_smart_buffers_module)
    }

    fn declare(cf: Conf) -> Result<(), Refusal> {
        main_conf::<Self>(cf).modules = Modules::find(cf)?;
        Ok(())
    }

    fn register(cf: Conf) -> Result<(), Refusal> {
        let main = main_conf::<Self>(cf);
        main.seal();
        match main.zone {
            Some(_) => finished::register(cf, Some(ngx_http_smart_buffers_handler)),
            None => Ok(()),
        }
    }

    fn merge(
        cf: Conf,
        main: &mut MainConf,
        outer: &LocationConf,
        inner: &mut LocationConf,
    ) -> Result<(), Refusal> {
        inner.merge(cf, main, outer)
    }

    fn accepted(main: &MainConf) {
        if let Some(records) = main.zone.as_ref().and_then(Zone::get) {
            records.retain(|tag| main.has(tag));
            main.host.get_or_init(host::read);
        }
    }
}

struct ZoneDirective;
impl Directive for ZoneDirective {
    type Conf = MainConf;

    fn set(cf: Conf, main: &mut MainConf) -> Result<(), Refusal> {
        if main.zone.is_some() {
            return Err(Refusal::Directive(c"is duplicate"));
        }
        let size = cf.args()[1].as_bytes();
        let name = cf.copy(zone::NAME)?;
        main.zone = Some(Zone::declare_named(cf, size, name, size, ())?);
        Ok(())
    }
}
