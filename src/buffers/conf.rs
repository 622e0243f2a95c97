//! The configuration: which locations are measured, and whose requests are theirs.

use std::cell::{Cell, OnceCell, RefCell};
use std::hash::Hasher;

use nginx_sys::{ngx_flag_t, ngx_module_t};
use siphasher::sip::SipHasher13;

use super::passers::Passers;
use super::zone::Zone;
use crate::core::report::buffers::{Host, Protocol};
use crate::nginx::conf::{merge_flag, merge_uint, ComplexValue, Conf, Refusal, UNSET, UNSET_UINT};
use crate::nginx::level::{Level, UPSTREAMS};
use crate::shm::buffers::Record;

/// `smart_buffers_budget` where nothing is set.
const DEFAULT_BUDGET: usize = 1024 * 1024;

/// What the `http` block keeps.
#[derive(Default)]
pub struct MainConf {
    /// The zone, if it has been declared.
    pub zone: Option<Zone>,
    /// The locations that are measured, and the servers whose requests may have to be.
    pub locations: Vec<&'static Measured>,
    pub servers: Vec<&'static Measured>,
    /// Who passes requests on, by the address of the configuration that a request's upstream has.
    listed: Vec<(usize, Passer)>,
    /// The same, once all are known.
    pub passers: Passers,
    /// The modules that are there.
    pub modules: Modules,
    /// What the host allows, once the configuration is accepted.
    pub host: OnceCell<Host>,
}

/// Modules of nginx.
#[derive(Default)]
pub struct Modules {
    /// Those that pass requests on.
    pub upstreams: Vec<(Protocol, &'static ngx_module_t)>,
    /// The one that compresses.
    pub gzip: Option<Gzip>,
    /// The one that copies what cannot be sent as it is, into `output_buffers`.
    pub copy: Option<&'static ngx_module_t>,
}

/// The module that compresses.
pub struct Gzip {
    pub module: &'static ngx_module_t,
    /// Its `$gzip_ratio`.
    pub ratio: ComplexValue,
    /// Whether what the module keeps of a request tells the same, once a worker has compared the two: to have nginx
    /// print a number in order to read it costs more than all else that is measured.
    pub is_known: Cell<Option<bool>>,
}

/// A location that passes requests on.
#[derive(Clone, Copy)]
pub struct Passer {
    pub location: &'static Measured,
    pub protocol: Protocol,
}

/// A location or a server, and where it is measured.
pub struct Measured {
    /// What tells it from others.
    pub tag: u64,
    /// Its name; empty for a server.
    pub name: Vec<u8>,
    /// All that have it, in their order; there is one.
    levels: RefCell<Vec<Level>>,
    pub budget: usize,
    /// Its record, once a request in this worker, or a report, has found it.
    pub known: Cell<Option<Record<'static>>>,
    /// Whether there was no room for one.
    is_refused: Cell<bool>,
}

/// A location's configuration. nginx's own setters write the plain fields, by offset.
#[repr(C)]
pub struct LocationConf {
    pub enabled: ngx_flag_t,
    pub budget: usize,
    /// Where it is measured.
    pub measured: Option<&'static Measured>,
    /// Where the headers are measured that the server reads; of servers alone.
    pub server: Option<&'static Measured>,
}

impl Default for LocationConf {
    fn default() -> Self {
        Self { enabled: UNSET, budget: UNSET_UINT, measured: None, server: None }
    }
}

impl Modules {
    /// Finds them.
    pub fn find(cf: Conf) -> Result<Self, Refusal> {
        let upstreams = UPSTREAMS.iter().filter_map(|(protocol, name)| {
            let module = cf.module(name)?;
            Some((*protocol, module))
        });
        let gzip = match cf.module(c"ngx_http_gzip_filter_module") {
            Some(module) => {
                let ratio = crate::nginx::conf::borrowed(b"$gzip_ratio");
                let ratio = cf.complex_value(&ratio)?;
                Some(Gzip { module, ratio, is_known: Cell::new(None) })
            }
            None => None,
        };
        Ok(Self {
            upstreams: upstreams.collect(),
            gzip,
            copy: cf.module(c"ngx_http_copy_filter_module"),
        })
    }
}

impl LocationConf {
    /// Takes from the outer level what this one leaves open.
    pub fn merge(&mut self, cf: Conf, main: &mut MainConf, outer: &Self) -> Result<(), Refusal> {
        merge_flag(&mut self.enabled, outer.enabled, 0);
        merge_uint(&mut self.budget, outer.budget, DEFAULT_BUDGET);
        let level = Level::being_merged(cf);
        if level.is_server() {
            let server = Measured::new(level, None, self.budget);
            self.server = Some(intern(cf, &mut main.servers, server)?);
        }
        if self.enabled == 1 {
            if main.zone.is_none() {
                return Err("\"smart_buffers\" needs \"smart_buffers_zone\"".into());
            }
            let part_of = outer.measured.filter(|_| level.is_nameless());
            let measured = match part_of {
                Some(location) => location,
                None => {
                    let location = Measured::new(level, Some(level.name()), self.budget);
                    intern(cf, &mut main.locations, location)?
                }
            };
            self.measured = Some(measured);
            main.listen_to(level, measured);
        }
        Ok(())
    }
}

/// The one of several that are told alike: servers of one name, and locations of one name in such.
fn intern(
    cf: Conf,
    known: &mut Vec<&'static Measured>,
    wanted: Measured,
) -> Result<&'static Measured, Refusal> {
    if let Some(known) = known.iter().find(|known| known.tag == wanted.tag) {
        known.levels.borrow_mut().append(&mut wanted.levels.borrow_mut());
        return Ok(known);
    }
    let kept: &'static Measured = cf.keep(wanted)?;
    known.push(kept);
    Ok(kept)
}

impl MainConf {
    /// Takes note of by what a request's upstream tells that this level has passed it on.
    fn listen_to(&mut self, level: Level, location: &'static Measured) {
        for (protocol, module) in &self.modules.upstreams {
            let passer = Passer { location, protocol: *protocol };
            self.listed.push((level.address(module), passer));
        }
    }

    /// Makes ready to be asked who passes requests on: all are known.
    pub fn seal(&mut self) {
        self.passers = Passers::new(&std::mem::take(&mut self.listed));
    }

    /// Whether a record is still of this configuration.
    pub fn has(&self, tag: u64) -> bool {
        self.locations.iter().chain(&self.servers).any(|measured| measured.tag == tag)
    }
}

impl Measured {
    /// A location; without a name, a server.
    fn new(level: Level, name: Option<Vec<u8>>, budget: usize) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(level.server_name().as_bytes());
        hasher.write_u8(0);
        if let Some(name) = &name {
            // What no location of a server takes has an empty name.
            hasher.write_u8(1);
            hasher.write(name);
        }
        let tag = hasher.finish().max(1);
        let levels = RefCell::new(vec![level]);
        let (known, is_refused) = (Cell::new(None), Cell::new(false));
        Self { tag, name: name.unwrap_or_default(), levels, budget, known, is_refused }
    }

    /// Those whose settings count: who answers requests itself, if any does, rather than by `return` or a redirect.
    pub fn levels(&self) -> Vec<Level> {
        let all = self.levels.borrow();
        let answering: Vec<_> = all.iter().copied().filter(Level::has_handler).collect();
        if answering.is_empty() {
            all.clone()
        } else {
            answering
        }
    }

    /// Its record. `None`: there is no room for one.
    #[inline]
    pub fn record(&self, zone: Zone) -> Option<Record<'static>> {
        match self.known.get() {
            None => self.claim(zone),
            known => known,
        }
    }

    /// Takes one, unless there was no room before.
    #[cold]
    fn claim(&self, zone: Zone) -> Option<Record<'static>> {
        if !self.is_refused.get() {
            self.known.set(zone.exclusively(|records| records.claim(self.tag)).flatten());
            self.is_refused.set(self.known.get().is_none());
        }
        self.known.get()
    }
}
