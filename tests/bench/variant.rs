//! Who is measured: the module and its peers, each as an nginx of its own.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};

use crate::common::client::Client;
use crate::memcached::Memcached;
use crate::nginx::{our_module, Configuration};
use crate::site::{uri, Site};

/// A way to answer a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Variant {
    /// The file by its own name.
    Static,
    /// An empty answer.
    Return,
    /// An internal redirect to the file; the path is in the configuration.
    Redirect,
    /// nginx's own client of memcached; answers with the path itself.
    MemcachedPass,
    /// Lua that asks memcached and redirects.
    Lua,
    /// The same, with a dictionary in shared memory in front, which has all answers.
    LuaDictionary,
    /// This module, asking memcached each time.
    Ours,
    /// This module, with its cache, which has all answers.
    OursCached,
}

impl Variant {
    /// All, in the order of the report.
    pub const ALL: [Self; 8] = [
        Self::Static,
        Self::Return,
        Self::Redirect,
        Self::MemcachedPass,
        Self::Lua,
        Self::LuaDictionary,
        Self::Ours,
        Self::OursCached,
    ];

    /// The name in tables and charts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "the static file itself",
            Self::Return => "`return 200`",
            Self::Redirect => "internal redirect, no lookup",
            Self::MemcachedPass => "`memcached_pass`, sends no file",
            Self::Lua => "Lua, from memcached",
            Self::LuaDictionary => "Lua, from `lua_shared_dict`",
            Self::Ours => "`http_sendfile`, from memcached",
            Self::OursCached => "`http_sendfile`, from its cache",
        }
    }

    /// The path of a request for an entry of the site.
    pub fn request(self, (id, path): &(u64, String)) -> String {
        match self {
            Self::Static => format!("/files/{path}"),
            _ => uri(*id),
        }
    }

    /// Its nginx.
    pub fn configuration(self, site: &Site, store: &Memcached) -> Result<Configuration> {
        let store = store.address();
        let files = "location /files/ { internal; }";
        let (mut modules, mut http) = (vec![], String::new());
        let server = match self {
            Self::Static => String::new(),
            Self::Return => "location /file/ { return 200; }".to_owned(),
            Self::Redirect => {
                let mut map = String::new();
                for (id, path) in site.entries() {
                    writeln!(map, "{} {path};", uri(*id))?;
                }
                let map = site.write("map", map)?.display().to_string();
                http = format!(
                    "map_hash_max_size 262144; map_hash_bucket_size 128;
                    map $uri $path {{ include {map}; }}"
                );
                format!("location /file/ {{ error_page 418 = /files/$path; return 418; }} {files}")
            }
            Self::MemcachedPass => {
                http = format!(
                    "upstream store {{
                        server {store}; keepalive 1024; keepalive_requests 1000000000;
                    }}"
                );
                "location /file/ { set $memcached_key $uri; memcached_pass store; }".to_owned()
            }
            Self::Lua | Self::LuaDictionary => {
                modules = ["ndk_http_module.so", "ngx_http_lua_module.so"]
                    .map(|module| PathBuf::from("/usr/lib/nginx/modules").join(module))
                    .to_vec();
                if self == Self::LuaDictionary {
                    http = "lua_shared_dict lookups 16m;".to_owned();
                }
                let (host, port) = store.split_once(':').context("an address has a port")?;
                let script = site.write("lookup.lua", include_str!("lookup.lua"))?;
                format!(
                    "set $store_host {host}; set $store_port {port};
                    location /file/ {{ content_by_lua_file {}; }} {files}",
                    script.display()
                )
            }
            Self::Ours | Self::OursCached => {
                modules = our_module()?;
                let mut cache = "";
                if self == Self::OursCached {
                    http = "http_sendfile_cache_zone lookups:16m;".to_owned();
                    cache = "http_sendfile_cache lookups valid=1h;";
                }
                format!(
                    "location /file/ {{
                        http_sendfile on; http_sendfile_pass {store}; {cache}
                    }} {files}"
                )
            }
        };
        let name = format!("{self:?}");
        Ok(Configuration { name, workers: 1, modules, http, server })
    }

    /// Asks for every entry once and compares the answers: with this nothing is cold any more.
    pub fn check(self, site: &Site, port: u16) -> Result<()> {
        let mut client = Client::connect(port);
        for entry in site.entries() {
            let response = client.get(&self.request(entry));
            let expected = match self {
                Self::Return => vec![],
                Self::MemcachedPass => entry.1.clone().into_bytes(),
                _ => site.content(&entry.1)?,
            };
            ensure!(
                response.status == 200 && response.body == expected,
                "{}: {} is answered with status {} and {} bytes instead of {}",
                self.name(),
                self.request(entry),
                response.status,
                response.body.len(),
                expected.len()
            );
        }
        Ok(())
    }
}
