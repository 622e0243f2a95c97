//! What a server or a location has been told, by whatever module: read from nginx's own structures.
//!
//! Those of nginx's core are public, and so is what every module that passes requests to upstreams begins its own
//! with. Other modules keep theirs to themselves: of these the layout is written down here, as it is in the versions
//! that are tested, and nothing is read of any other. A module is found by its name, never linked to.

use std::ffi::c_void;

use nginx_sys::{
    nginx_version, ngx_bufs_t, ngx_flag_t, ngx_hash_t, ngx_http_conf_ctx_t,
    ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_http_core_srv_conf_t,
    ngx_http_upstream_conf_t, ngx_module_t, ngx_str_t,
};

use super::conf::Conf;
use crate::core::report::buffers::{Chain, Protocol, UpstreamSettings};

/// The versions of nginx whose own structures are known: 1.22.1 to 1.31.x.
const KNOWN: std::ops::Range<u32> = 1_022_001..1_032_000;

/// The modules that pass requests on, each with what it speaks.
pub const UPSTREAMS: [(Protocol, &std::ffi::CStr); 5] = [
    (Protocol::Proxy, c"ngx_http_proxy_module"),
    (Protocol::Fastcgi, c"ngx_http_fastcgi_module"),
    (Protocol::Uwsgi, c"ngx_http_uwsgi_module"),
    (Protocol::Scgi, c"ngx_http_scgi_module"),
    (Protocol::Grpc, c"ngx_http_grpc_module"),
];

/// A server, or a location in it.
#[derive(Clone, Copy)]
pub struct Level {
    server: *mut *mut c_void,
    location: *mut *mut c_void,
}

/// What `ngx_http_gzip_filter_module` begins its configuration with (`ngx_http_gzip_conf_t`).
#[repr(C)]
struct GzipConf {
    enable: ngx_flag_t,
    no_buffer: ngx_flag_t,
    types: ngx_hash_t,
    bufs: ngx_bufs_t,
}

/// All that `ngx_http_copy_filter_module` keeps (`ngx_http_copy_filter_conf_t`).
#[repr(C)]
struct CopyConf {
    bufs: ngx_bufs_t,
}

impl Level {
    /// The level whose configuration is being merged.
    pub fn being_merged(cf: Conf) -> Self {
        // SAFETY: while nginx merges, `cf->ctx` has the configurations of the inner level, which live as long as
        // the whole.
        unsafe {
            let context = (*cf.raw()).ctx.cast::<ngx_http_conf_ctx_t>();
            Self { server: (*context).srv_conf, location: (*context).loc_conf }
        }
    }

    fn server(&self) -> &ngx_http_core_srv_conf_t {
        // SAFETY: nginx's core keeps one of each server, as long as the configuration.
        unsafe { &*(*self.server.add(ngx_http_core_module.ctx_index)).cast() }
    }

    fn location(&self) -> &ngx_http_core_loc_conf_t {
        // SAFETY: nginx's core keeps one of each location, as long as the configuration.
        unsafe { &*(*self.location.add(ngx_http_core_module.ctx_index)).cast() }
    }

    /// What a module keeps of the location; null if it keeps nothing.
    fn conf<T>(&self, module: &ngx_module_t) -> *const T {
        // SAFETY: there is a slot for each HTTP module.
        unsafe { (*self.location.add(module.ctx_index)).cast_const().cast() }
    }

    /// The address of what a module keeps of the location.
    pub fn address(&self, module: &ngx_module_t) -> usize {
        self.conf::<c_void>(module).addr()
    }

    /// Whether it is a server, or the `http` block, rather than a location.
    pub fn is_server(&self) -> bool {
        // SAFETY: a server's context lives as long as the configuration; the `http` block has none.
        unsafe { self.server().ctx.as_ref() }
            .is_none_or(|context| std::ptr::eq(context.loc_conf, self.location))
    }

    /// Whether it is the block of an `if` or of a `limit_except`, which is part of a location.
    pub fn is_nameless(&self) -> bool {
        self.location().noname() != 0
    }

    /// Whether a module has taken over to answer its requests, as by `proxy_pass`.
    pub fn has_handler(&self) -> bool {
        self.location().handler.is_some()
    }

    /// The first name of the server; empty if it has none.
    pub fn server_name(&self) -> &ngx_str_t {
        &self.server().server_name
    }

    /// The location as it is written. Whether a regular expression minds case cannot be told any more.
    pub fn name(&self) -> Vec<u8> {
        let location = self.location();
        let modifier: &[u8] = match location {
            _ if location.exact_match() != 0 => b"= ",
            _ if location.noregex() != 0 => b"^~ ",
            _ if is_regular_expression(location) => b"~ ",
            _ => b"",
        };
        [modifier, location.name.as_bytes()].concat()
    }

    /// `client_body_buffer_size`.
    pub fn client_body_buffer_size(&self) -> u64 {
        self.location().client_body_buffer_size as u64
    }

    /// `sendfile`.
    pub fn sendfile(&self) -> bool {
        self.location().sendfile == 1
    }

    /// `client_header_buffer_size`.
    pub fn client_header_buffer_size(&self) -> u64 {
        self.server().client_header_buffer_size as u64
    }

    /// `large_client_header_buffers`.
    pub fn large_client_header_buffers(&self) -> Option<Chain> {
        chain(self.server().large_client_header_buffers)
    }

    /// What the module of a protocol was told.
    pub fn upstream(&self, protocol: Protocol, module: &ngx_module_t) -> Option<UpstreamSettings> {
        // SAFETY: the structures of all five modules begin with this one (`ngx_http_proxy_loc_conf_t`, …).
        let conf = unsafe { self.conf::<ngx_http_upstream_conf_t>(module).as_ref()? };
        let size = |size: usize| size as u64;
        if protocol == Protocol::Grpc {
            return Some(UpstreamSettings {
                protocol,
                buffering: false,
                buffer_size: size(conf.buffer_size),
                buffers: Chain { number: 0, size: 0 },
                busy_buffers_size: 0,
                temp_file_write_size: 0,
                max_temp_file_size: 0,
            });
        }
        Some(UpstreamSettings {
            protocol,
            buffering: conf.buffering == 1,
            buffer_size: size(conf.buffer_size),
            buffers: chain(conf.bufs)?,
            busy_buffers_size: size(conf.busy_buffers_size),
            temp_file_write_size: size(conf.temp_file_write_size),
            max_temp_file_size: size(conf.max_temp_file_size),
        })
    }

    /// `gzip` and `gzip_buffers`. `None`: they are not known in this version.
    pub fn gzip(&self, module: &ngx_module_t) -> Option<(bool, Chain)> {
        // SAFETY: the structure of the module, in the versions that are known.
        let conf = unsafe { self.known::<GzipConf>(module)?.as_ref()? };
        Some((conf.enable == 1, chain(conf.bufs)?))
    }

    /// `output_buffers`. `None`: it is not known in this version.
    pub fn output_buffers(&self, module: &ngx_module_t) -> Option<Chain> {
        // SAFETY: the structure of the module, in the versions that are known.
        let conf = unsafe { self.known::<CopyConf>(module)?.as_ref()? };
        chain(conf.bufs)
    }

    fn known<T>(&self, module: &ngx_module_t) -> Option<*const T> {
        KNOWN.contains(&nginx_version).then(|| self.conf::<T>(module))
    }
}

/// Whether a location is given by a regular expression.
pub fn is_regular_expression(_location: &ngx_http_core_loc_conf_t) -> bool {
    #[cfg(ngx_feature = "pcre")]
    {
        !_location.regex.is_null()
    }
    #[cfg(not(ngx_feature = "pcre"))]
    {
        false
    }
}

/// Buffers as nginx keeps them. `None`: these can be none.
fn chain(bufs: ngx_bufs_t) -> Option<Chain> {
    let number = u64::try_from(bufs.num).ok().filter(|number| *number > 0)?;
    (bufs.size > 0).then_some(Chain { number, size: bufs.size as u64 })
}
