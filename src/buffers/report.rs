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
fn unmeasured(main: &MainConf, records: &Records<'_>) -> u64 {
    match records.is_full() {
        true => main.locations.iter().filter(|one| records.find(one.tag).is_none()).count() as u64,
        false => 0,
    }
}

fn location(main: &MainConf, records: &Records<'_>, one: &Measured) -> Location {
    let record = one.record.get().copied().flatten().or_else(|| records.find(one.tag));
    let measured = record.map(measured).unwrap_or_default();
    Location {
        server: one.level.server_name().as_bytes().to_vec(),
        location: one.name.clone(),
        settings: settings(&main.modules, one.level, &measured.upstream),
        measured,
        budget: one.budget as u64,
    }
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
fn server(records: &Records<'_>, one: &Measured) -> Option<Server> {
    let record = records.find(one.tag)?;
    Some(Server {
        server: one.level.server_name().as_bytes().to_vec(),
        header: record.sizes(Size::RequestHeader).read(),
        header_too_big: record.counted(Counter::RequestHeaderTooBig),
        header_too_big_for: record.counted(Counter::RequestHeaderTooBigFor),
        client_header_buffer_size: Some(one.level.client_header_buffer_size()),
        large_client_header_buffers: one.level.large_client_header_buffers(),
    })
}
