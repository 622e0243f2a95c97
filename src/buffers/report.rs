//! What was measured, for the status interface.

use super::conf::{MainConf, Measured, Modules};
use super::directives::Module;
use super::zone::Zone;
use crate::core::report::buffers::{
    Buffers, Location, Server, Settings, Upstream, UpstreamSettings,
};
use crate::nginx::level::Level;
use crate::nginx::module::running_main_conf;
use crate::shm::buffers::{Counter, Record, Records, Size};

/// All that is measured. `None`: nothing is.
pub fn report() -> Option<Buffers> {
    let main = running_main_conf::<Module>()?;
    let records = main.zone.as_ref().and_then(Zone::get)?;
    Some(Buffers {
        locations: main.locations.iter().map(|one| location(main, records, one)).collect(),
        servers: main.servers.iter().filter_map(|one| server(records, one)).collect(),
        host: main.host.get().copied().unwrap_or_default(),
        unmeasured: unmeasured(main, records),
    })
}

/// Locations that there is no room for.
fn unmeasured(main: &MainConf, records: &Records<'static>) -> u64 {
    match records.is_full() {
        true => main.locations.iter().filter(|one| record(records, one).is_none()).count() as u64,
        false => 0,
    }
}

fn location(main: &MainConf, records: &Records<'static>, one: &Measured) -> Location {
    let measured = record(records, one).map(measured).unwrap_or_default();
    let levels = one.levels();
    let settings = |level: &Level| settings(&main.modules, *level, &measured.upstream);
    let (settings, set_otherwise) = first_of(levels.iter().map(settings)).unwrap_or_default();
    Location {
        server: server_name(&levels),
        location: one.name.clone(),
        settings,
        set_otherwise,
        measured,
        budget: one.budget as u64,
    }
}

/// The record of a location or a server, if a request has made it one. It is searched among all, so that it is kept.
fn record(records: &Records<'static>, one: &Measured) -> Option<Record<'static>> {
    if one.known.get().is_none() {
        one.known.set(records.find(one.tag));
    }
    one.known.get()
}

fn server_name(levels: &[Level]) -> Vec<u8> {
    levels.first().map(|level| level.server_name().as_bytes().to_vec()).unwrap_or_default()
}

/// The first, and how many differ from it.
fn first_of<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<(T, u64)> {
    let first = all.next()?;
    let others = all.filter(|other| *other != first).count() as u64;
    Some((first, others))
}

fn measured(record: Record<'_>) -> crate::core::report::buffers::Measured {
    let sizes = |size| record.sizes(size).read();
    crate::core::report::buffers::Measured {
        requests: record.counted(Counter::Requests),
        body: sizes(Size::RequestBody),
        bodies_spilled: record.counted(Counter::BodiesSpilled),
        upstream: Upstream {
            by_protocol: record.protocols(),
            header: sizes(Size::UpstreamHeader),
            response: sizes(Size::UpstreamResponse),
            buffered_otherwise: record.counted(Counter::BufferedOtherwise),
            spilled: record.counted(Counter::UpstreamSpilled),
            header_too_big: record.counted(Counter::UpstreamHeaderTooBig),
            header_too_big_for: record.counted(Counter::UpstreamHeaderTooBigFor),
        },
        response: sizes(Size::Response),
        gzip_ratio: sizes(Size::GzipRatio),
    }
}

/// What a location is set to; of the protocols the one that most answers came by.
fn settings(modules: &Modules, level: Level, measured: &Upstream) -> Settings {
    let gzip = modules.gzip.as_ref().and_then(|gzip| level.gzip(gzip.module));
    Settings {
        client_body_buffer_size: Some(level.client_body_buffer_size()),
        upstream: upstream(modules, level, measured),
        gzip: gzip.map(|(is_on, _)| is_on),
        gzip_buffers: gzip.map(|(_, buffers)| buffers),
        output_buffers: modules.copy.and_then(|module| level.output_buffers(module)),
        sendfile: Some(level.sendfile()),
    }
}

fn upstream(modules: &Modules, level: Level, measured: &Upstream) -> Option<UpstreamSettings> {
    let most = measured.protocol()?;
    let (protocol, module) = modules.upstreams.iter().find(|(protocol, _)| *protocol == most)?;
    level.upstream(*protocol, module)
}

/// A server, if it has read headers.
fn server(records: &Records<'static>, one: &Measured) -> Option<Server> {
    let record = record(records, one)?;
    let levels = one.levels();
    let buffers = |level: &Level| {
        (Some(level.client_header_buffer_size()), level.large_client_header_buffers())
    };
    let ((client_header_buffer_size, large_client_header_buffers), set_otherwise) =
        first_of(levels.iter().map(buffers)).unwrap_or_default();
    Some(Server {
        server: server_name(&levels),
        header: record.sizes(Size::RequestHeader).read(),
        header_too_big: record.counted(Counter::RequestHeaderTooBig),
        header_too_big_for: record.counted(Counter::RequestHeaderTooBigFor),
        client_header_buffer_size,
        large_client_header_buffers,
        set_otherwise,
    })
}
