//! The module and its directive.
#![allow(non_upper_case_globals)]

use nginx_sys::{
    ngx_command_t, ngx_http_module_t, ngx_module_t, ngx_uint_t, NGX_CONF_NOARGS, NGX_CONF_TAKE1,
    NGX_HTTP_LOC_CONF,
};
use ngx::ngx_string;

use super::conf::{Access, LocationConf, MainConf};
use super::handler::Handler;
use super::{history, zone};
use crate::nginx::conf::{Conf, Refusal};
use crate::nginx::guard::count_panics_in;
use crate::nginx::level::Level;
use crate::nginx::module::{self, main_conf, own, Directive};
use crate::nginx::{content, time_of_day};

/// The module.
pub struct Module;

static callbacks: ngx_http_module_t = module::callbacks::<Module>();

/// nginx numbers the module when it loads it, and reads the tables below from it.
#[no_mangle]
pub static mut ngx_http_smart_api_module: ngx_module_t =
    module::module::<Module>(&raw const callbacks, (&raw mut commands).cast());

static mut commands: [ngx_command_t; 2] = [
    ngx_command_t {
        type_: (NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1) as ngx_uint_t,
        ..own::<Module, ApiDirective>(ngx_string!("smart_api"), 0)
    },
    ngx_command_t::empty(),
];

impl module::Module for Module {
    type Main = MainConf;
    type Location = LocationConf;

    fn module() -> &'static ngx_module_t {
        module::numbered(&raw const ngx_http_smart_api_module)
    }

    fn merge(
        cf: Conf,
        _: &mut MainConf,
        outer: &LocationConf,
        inner: &mut LocationConf,
    ) -> Result<(), Refusal> {
        if outer.access.is_some() && Level::being_merged(cf).is_nameless() {
            inner.access = outer.access;
            content::inherit::<Handler>(cf);
        }
        Ok(())
    }

    fn accepted(main: &MainConf) {
        main.configured.set(time_of_day());
        let history = main.zone.as_ref().and_then(zone::Zone::get);
        count_panics_in(history.map(|history| history.panics()));
    }

    fn start() {
        history::start();
    }

    fn exit() {
        history::stop();
    }
}

struct ApiDirective;
impl Directive for ApiDirective {
    type Conf = LocationConf;

    fn set(cf: Conf, conf: &mut LocationConf) -> Result<(), Refusal> {
        if conf.access.is_some() {
            return Err(Refusal::Directive(c"is duplicate"));
        }
        conf.access = Some(match cf.values().next() {
            None => Access::Read,
            Some(b"write") => Access::Write,
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                return Err(format!("invalid parameter \"{other}\"").into());
            }
        });
        content::serve::<Handler>(cf)?;
        zone::declare(cf, main_conf::<Module>(cf))
    }
}
