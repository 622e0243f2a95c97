//! States that the status interface is to tell: all that there can be, nothing, and names that would do harm.

use ngx_http_smart_module::core::histogram::Histogram;
use ngx_http_smart_module::core::policy::Outcome;
use ngx_http_smart_module::core::report::buffers::{self, Buffers, Chain, Host, Protocol};
use ngx_http_smart_module::core::report::{
    Cache, History, Kind, Limit, Outcomes, Room, Sendfile, Series, Server, Status,
};

/// Names that would do harm wherever they were not escaped.
pub const HOSTILE_NAMES: [&[u8]; 7] = [
    b"\"},\"panics\":1,\"x\":{\"",
    b"'><script>alert(1)</script><!--",
    b"\\u0000\\",
    b"\"} 1\nngx_smart_panics_total 1\n#",
    b"\0\x01\x1f\x7f\n\r\t\xe2\x80\xa8",
    b"\xff\xc3\xe3\x81\xed\xa0\x80\xf4\x90\x80\x80 \xe5\xba\x83\xe5\xa0\xb4",
    b"{{/*%s%n${jndi:x}*/}}",
];

/// Values, each counted a thousand times.
pub fn counted(values: impl IntoIterator<Item = u64>) -> Histogram {
    let mut histogram = Histogram::default();
    values.into_iter().for_each(|value| histogram.add(value, 1000));
    histogram
}

/// Nothing: no capability is configured.
pub fn empty() -> Status {
    Status::default()
}

/// All that can be told, about what is called `name`.
pub fn full(name: &[u8]) -> Status {
    Status {
        version: "0.1.0",
        nginx: "nginx/1.28.3",
        time: 1_763_800_000,
        process: 123,
        workers: 2,
        configured: 1_763_790_000,
        panics: 1,
        sendfile: Some(sendfile(name)),
        limits: vec![limit(name)],
        rooms: vec![room(name)],
        buffers: Some(buffers(name)),
    }
}

/// The same of each hostile name.
pub fn hostile() -> Status {
    let mut all = full(HOSTILE_NAMES[0]);
    let (sendfile, buffers) = (all.sendfile.as_mut().unwrap(), all.buffers.as_mut().unwrap());
    for name in &HOSTILE_NAMES[1..] {
        let more = full(name);
        let (more_sendfile, more_buffers) = (more.sendfile.unwrap(), more.buffers.unwrap());
        sendfile.servers.extend(more_sendfile.servers);
        sendfile.caches.extend(more_sendfile.caches);
        all.limits.extend(more.limits);
        all.rooms.extend(more.rooms);
        buffers.locations.extend(more_buffers.locations);
        buffers.servers.extend(more_buffers.servers);
    }
    all
}

pub fn limit(name: &[u8]) -> Limit {
    Limit {
        name: name.to_vec(),
        key: name.to_vec(),
        rate: b"1000r/h".to_vec(),
        passed: u64::MAX,
        delayed: 2,
        rejected: 3,
        delayed_dry_run: 4,
        rejected_dry_run: 5,
        keys: 6,
        capacity: 7,
        evicted: 8,
        evicted_in_debt: 9,
    }
}

pub fn room(name: &[u8]) -> Room {
    Room {
        name: name.to_vec(),
        waiting: 1,
        max_waiting: 2,
        active: 3,
        max_active: 4,
        provisional: 5,
        estimated_wait: Some(1500),
        entered: 6,
        admitted: 7,
        absent: 8,
        expired: 9,
        refused: 10,
        passed: 11,
        polls: 12,
        waiting_dry_run: 13,
        full_dry_run: 14,
        rebuilt: 15,
        wait: counted([1000, 61_000]),
    }
}

/// A series of each kind, with a sample and one that is missing.
pub fn history(name: &[u8]) -> History {
    let series = |kind: Kind| Series {
        kind,
        name: name.to_vec(),
        samples: vec![None, Some(vec![u64::MAX; kind.columns().len()])],
    };
    let kinds = [Kind::Sendfile, Kind::Limit, Kind::Room, Kind::Module];
    History { interval: 5000, time: 1_763_800_000, series: kinds.map(series).into() }
}

fn sendfile(name: &[u8]) -> Sendfile {
    let counts = Outcome::ALL.into_iter().zip(1..);
    let server = Server {
        address: name.to_vec(),
        connections: 1,
        in_flight: 2,
        questions: 3,
        connects: 4,
        reconnects: 5,
        failures: 6,
        timeouts: 7,
    };
    let cache = Cache { name: name.to_vec(), size: 1 << 20, entries: 2, misses: 1, evicted: 3 };
    Sendfile {
        outcomes: counts
            .map(|(outcome, count)| Outcomes { outcome, count, time: count * 1_000_001 })
            .collect(),
        in_flight: 9,
        latency: counted([50, 90, 150, 11_000_000]),
        servers: vec![server],
        caches: vec![cache],
    }
}

fn buffers(name: &[u8]) -> Buffers {
    let chain = |number, size| Some(Chain { number, size });
    let locations = Protocol::ALL.map(|protocol| {
        let location = [protocol.prefix().as_bytes(), b" ", name].concat();
        location_of(name, &location, protocol)
    });
    let unknown = buffers::Location { server: name.to_vec(), ..buffers::Location::default() };
    Buffers {
        locations: locations.into_iter().chain([unknown]).collect(),
        servers: vec![
            buffers::Server {
                server: name.to_vec(),
                header: counted([300, 5000]),
                header_too_big: 3,
                header_too_big_for: 8192,
                client_header_buffer_size: Some(1024),
                large_client_header_buffers: chain(4, 8192),
                set_otherwise: 1,
            },
            buffers::Server { server: [name, b" unknown"].concat(), ..buffers::Server::default() },
        ],
        host: Host {
            page_size: 4096,
            tcp_rmem_max: Some(6 << 20),
            tcp_wmem_max: Some(4 << 20),
            rmem_max: Some(212_992),
            wmem_max: None,
        },
        unmeasured: 4,
    }
}

/// A location whose upstream, of some protocol, answers with more than one buffer takes.
fn location_of(server: &[u8], location: &[u8], protocol: Protocol) -> buffers::Location {
    let mut by_protocol = [0; 5];
    by_protocol[protocol as usize] = 2000;
    buffers::Location {
        server: server.to_vec(),
        location: location.to_vec(),
        set_otherwise: 2,
        measured: buffers::Measured {
            requests: 2001,
            body: counted([100, 100_000]),
            bodies_spilled: 1,
            upstream: buffers::Upstream {
                by_protocol,
                header: counted([300, 700]),
                response: counted([9000, 11_800]),
                buffered_otherwise: 0,
                spilled: 2,
                header_too_big: 3,
                header_too_big_for: 4096,
            },
            response: counted([500]),
            gzip_ratio: counted([340]),
        },
        settings: buffers::Settings {
            client_body_buffer_size: Some(16_384),
            upstream: Some(buffers::UpstreamSettings {
                protocol,
                buffering: protocol != Protocol::Grpc,
                buffer_size: 4096,
                buffers: Chain { number: 8, size: 4096 },
                busy_buffers_size: 8192,
                temp_file_write_size: 8192,
                max_temp_file_size: 1 << 30,
            }),
            gzip: Some(true),
            gzip_buffers: Some(Chain { number: 32, size: 4096 }),
            output_buffers: Some(Chain { number: 2, size: 32_768 }),
            sendfile: Some(false),
        },
        budget: 1 << 20,
    }
}
