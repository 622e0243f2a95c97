//! An HTTP module: its configuration at each level, and the table of its directives.

use std::ffi::{c_char, c_void};
use std::ptr;

use nginx_sys::{
    ngx_command_t, ngx_conf_t, ngx_cycle, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_http_module,
    ngx_http_module_t, ngx_int_t, ngx_module_t, ngx_str_t, ngx_uint_t, NGX_ERROR,
    NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF, NGX_HTTP_MAIN_CONF_OFFSET,
    NGX_HTTP_MODULE, NGX_HTTP_SRV_CONF, NGX_OK,
};

use super::conf::{self, Conf, Refusal};
use super::guard::{count_panics_in, guard, report_panics};

/// An HTTP module.
pub trait Module: 'static {
    /// What the `http` block keeps.
    type Main: Default + 'static;
    /// What a location keeps; servers and the `http` block keep one too, to inherit from.
    type Location: Default + 'static;

    /// The module, as nginx numbers it.
    fn module() -> &'static ngx_module_t;

    /// Declares variables, before the configuration is read.
    fn declare(_: Conf) -> Result<(), Refusal> {
        Ok(())
    }

    /// Registers handlers, when it has been read.
    fn register(_: Conf) -> Result<(), Refusal> {
        Ok(())
    }

    /// Takes from the outer level what the inner leaves open, and checks the whole.
    fn merge(
        cf: Conf,
        main: &mut Self::Main,
        outer: &Self::Location,
        inner: &mut Self::Location,
    ) -> Result<(), Refusal>;

    /// Runs when a configuration has been accepted, at start and at each reload: in the master, when the zones are
    /// mapped and before its workers are there. Those of the configuration before still run.
    fn accepted(_: &Self::Main) {}

    /// Runs when a process of nginx has started that serves requests or keeps its house.
    fn start() {}

    /// Runs when it exits.
    fn exit() {}
}

/// A directive with a setter of its own. Plain values have nginx's setters.
pub trait Directive {
    /// What it changes: its module's `Main` or `Location`.
    type Conf;

    /// Sets it.
    fn set(cf: Conf, conf: &mut Self::Conf) -> Result<(), Refusal>;
}

/// The setter of a plain value, one of nginx's `ngx_conf_set_…_slot`.
pub type Slot =
    unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

/// Where most directives may stand: `http`, `server`, `location`.
const EVERYWHERE: u32 = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF;

/// A directive of any level, with a plain value at `offset` of the location's configuration.
pub const fn plain(name: ngx_str_t, arguments: u32, set: Slot, offset: usize) -> ngx_command_t {
    plain_of(name, arguments, set, offset, ptr::null_mut())
}

/// The same, with the table of the values that it may have.
pub const fn plain_of(
    name: ngx_str_t,
    arguments: u32,
    set: Slot,
    offset: usize,
    values: *mut c_void,
) -> ngx_command_t {
    ngx_command_t {
        name,
        type_: (EVERYWHERE | arguments) as ngx_uint_t,
        set: Some(set),
        conf: NGX_HTTP_LOC_CONF_OFFSET as ngx_uint_t,
        offset: offset as ngx_uint_t,
        post: values,
    }
}

/// A directive of any level with a setter of its own.
pub const fn own<M: Module, D: Directive<Conf = M::Location>>(
    name: ngx_str_t,
    arguments: u32,
) -> ngx_command_t {
    plain(name, arguments, set::<D>, 0)
}

/// A directive of the `http` block.
pub const fn of_http<M: Module, D: Directive<Conf = M::Main>>(
    name: ngx_str_t,
    arguments: u32,
) -> ngx_command_t {
    ngx_command_t {
        type_: (NGX_HTTP_MAIN_CONF | arguments) as ngx_uint_t,
        conf: NGX_HTTP_MAIN_CONF_OFFSET as ngx_uint_t,
        ..plain(name, arguments, set::<D>, 0)
    }
}

/// A directive of a server, or of all in the `http` block.
pub const fn of_server<M: Module, D: Directive<Conf = M::Location>>(
    name: ngx_str_t,
    arguments: u32,
) -> ngx_command_t {
    ngx_command_t {
        type_: (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | arguments) as ngx_uint_t,
        ..own::<M, D>(name, arguments)
    }
}

unsafe extern "C" fn set<D: Directive>(
    cf: *mut ngx_conf_t,
    _command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    conf::set(cf, |cf| {
        // SAFETY: the command's offset selects the level whose configuration `D::Conf` is, see `own`,
        // `of_server` and `of_http`; nginx passes what the module has created for it.
        D::set(cf, unsafe { &mut *conf.cast::<D::Conf>() })
    })
}

/// The callbacks of a module's configuration.
pub const fn callbacks<M: Module>() -> ngx_http_module_t {
    ngx_http_module_t {
        preconfiguration: Some(preconfiguration::<M>),
        postconfiguration: Some(postconfiguration::<M>),
        create_main_conf: Some(create::<M::Main>),
        init_main_conf: None,
        create_srv_conf: None,
        merge_srv_conf: None,
        create_loc_conf: Some(create::<M::Location>),
        merge_loc_conf: Some(merge::<M>),
    }
}

/// The module itself.
pub const fn module<M: Module>(
    callbacks: *const ngx_http_module_t,
    commands: *mut ngx_command_t,
) -> ngx_module_t {
    ngx_module_t {
        ctx: callbacks.cast_mut().cast(),
        commands,
        type_: NGX_HTTP_MODULE as ngx_uint_t,
        init_module: Some(init_module::<M>),
        init_process: Some(init_process::<M>),
        exit_process: Some(exit_process::<M>),
        ..ngx_module_t::default()
    }
}

unsafe extern "C" fn preconfiguration<M: Module>(cf: *mut ngx_conf_t) -> ngx_int_t {
    report_panics();
    outcome(cf, M::declare)
}

unsafe extern "C" fn postconfiguration<M: Module>(cf: *mut ngx_conf_t) -> ngx_int_t {
    outcome(cf, M::register)
}

/// Runs a step of the configuration and tells nginx how it went.
pub fn outcome(cf: *mut ngx_conf_t, step: fn(Conf) -> Result<(), Refusal>) -> ngx_int_t {
    match conf::set(cf, step).is_null() {
        true => NGX_OK as ngx_int_t,
        false => NGX_ERROR as ngx_int_t,
    }
}

unsafe extern "C" fn create<T: Default + 'static>(cf: *mut ngx_conf_t) -> *mut c_void {
    guard(ptr::null_mut(), || {
        // SAFETY: nginx passes its view of the configuration.
        let kept = unsafe { Conf::from_raw(cf) }.keep(T::default());
        kept.map_or(ptr::null_mut(), |conf| ptr::from_mut(conf).cast())
    })
}

unsafe extern "C" fn merge<M: Module>(
    cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    conf::set(cf, |cf| {
        // SAFETY: nginx passes two different configurations that `create` has made.
        let (outer, inner) =
            unsafe { (&*outer.cast::<M::Location>(), &mut *inner.cast::<M::Location>()) };
        M::merge(cf, main_conf::<M>(cf), outer, inner)
    })
}

/// What the `http` block that is being read keeps of a module.
pub fn main_conf<M: Module>(cf: Conf) -> &'static mut M::Main {
    // SAFETY: inside `http`, `cf->ctx` is the block's context, in which `create` has put it. Nobody
    // holds another reference: callbacks run one at a time and keep none.
    unsafe {
        let context = (*cf.raw()).ctx.cast::<ngx_http_conf_ctx_t>();
        &mut *(*(*context).main_conf.add(M::module().ctx_index)).cast::<M::Main>()
    }
}

/// What the `http` block of the running configuration keeps of a module. `None`: there is no such block.
pub fn running_main_conf<M: Module>() -> Option<&'static M::Main> {
    // SAFETY: a process that has started has a cycle.
    unsafe { main_conf_of::<M>(ngx_cycle) }
}

/// # Safety
/// The configuration of the cycle has been read.
unsafe fn main_conf_of<M: Module>(cycle: *const ngx_cycle_t) -> Option<&'static M::Main> {
    // SAFETY: the cycle's `conf_ctx` has a place for each module; that of `http` is null without an `http`
    // block, else it is as in `main_conf`.
    unsafe {
        let context = *(*cycle).conf_ctx.add(ngx_http_module.index);
        let context = context.cast::<ngx_http_conf_ctx_t>().as_ref()?;
        (*context.main_conf.add(M::module().ctx_index)).cast::<M::Main>().as_ref()
    }
}

unsafe extern "C" fn init_module<M: Module>(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes the new cycle, which it has read; `ngx_cycle` is still the one before.
        match unsafe { main_conf_of::<M>(cycle) } {
            Some(main) => M::accepted(main),
            // Without the block there is no zone of ours, in which they could be counted.
            None => count_panics_in(None),
        }
        NGX_OK as ngx_int_t
    })
}

unsafe extern "C" fn init_process<M: Module>(_cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        M::start();
        NGX_OK as ngx_int_t
    })
}

unsafe extern "C" fn exit_process<M: Module>(_cycle: *mut ngx_cycle_t) {
    guard((), M::exit);
}

/// A reference to a module's static, which nginx numbers when it loads it and changes no more.
pub fn numbered(module: *const ngx_module_t) -> &'static ngx_module_t {
    // SAFETY: the static lives for ever; nginx writes it only before any callback of the module.
    unsafe { &*module }
}
