//! What a location or a server is set to once an advice is followed; and inputs at random.

#![allow(dead_code)]

use ngx_http_smart_module::core::advice::{Advice, Directive};
use ngx_http_smart_module::core::histogram::Histogram;
use ngx_http_smart_module::core::report::buffers::{
    Chain, Host, Location, Protocol, Server, UpstreamSettings,
};

use super::numbers::Numbers;

/// nginx's `k` and `m`.
pub fn size(text: &str) -> u64 {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1 << 10),
        Some(b'm') => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    digits.parse::<u64>().expect("a size") * unit
}

pub fn chain(text: &str) -> Chain {
    let (number, of) = text.split_once(' ').expect("a number and a size");
    Chain { number: number.parse().expect("a number"), size: size(of) }
}

/// What nginx sets of itself where a page has 4k.
pub fn defaults(protocol: Protocol) -> UpstreamSettings {
    UpstreamSettings {
        protocol,
        buffering: protocol != Protocol::Grpc,
        buffer_size: 4096,
        buffers: Chain { number: 8, size: 4096 },
        busy_buffers_size: 8192,
        temp_file_write_size: 8192,
        max_temp_file_size: 1 << 30,
    }
}

/// The location with all that is advised.
pub fn follow(location: &Location, advice: &Advice) -> Location {
    let mut location = location.clone();
    let measured = location.measured.upstream.protocol();
    for Directive { name, advised, .. } in &advice.directives {
        let settings = &mut location.settings;
        match name.as_str() {
            "client_body_buffer_size" => settings.client_body_buffer_size = Some(size(advised)),
            "gzip_buffers" => settings.gzip_buffers = Some(chain(advised)),
            "output_buffers" => settings.output_buffers = Some(chain(advised)),
            "sendfile" => settings.sendfile = Some(advised == "on"),
            name => {
                let (prefix, what) = name.split_once('_').expect("a module's");
                let protocol = Protocol::ALL.into_iter().find(|it| it.prefix() == prefix);
                let protocol = protocol.expect("a module");
                assert!(measured.is_none_or(|it| it == protocol), "{name}");
                let known = settings.upstream.filter(|it| it.protocol == protocol);
                let upstream = known.unwrap_or(defaults(protocol));
                let upstream = settings.upstream.insert(upstream);
                match what {
                    "buffer_size" => upstream.buffer_size = size(advised),
                    "buffers" => upstream.buffers = chain(advised),
                    "busy_buffers_size" => upstream.busy_buffers_size = size(advised),
                    "temp_file_write_size" => upstream.temp_file_write_size = size(advised),
                    "max_temp_file_size" => upstream.max_temp_file_size = size(advised),
                    _ => panic!("{name}"),
                }
            }
        }
    }
    location
}

/// The server with all that is advised.
pub fn follow_server(server: &Server, advice: &Advice) -> Server {
    let mut server = server.clone();
    for Directive { name, advised, .. } in &advice.directives {
        match name.as_str() {
            "client_header_buffer_size" => server.client_header_buffer_size = Some(size(advised)),
            "large_client_header_buffers" => {
                server.large_client_header_buffers = Some(chain(advised));
            }
            _ => panic!("{name}"),
        }
    }
    server
}

/// What nginx says of the sizes of an upstream's buffers when it merges its configuration.
pub fn refusal(it: &UpstreamSettings) -> Option<&'static str> {
    let largest = it.buffer_size.max(it.buffers.size);
    if it.protocol == Protocol::Grpc {
        None
    } else if it.buffers.number < 2 {
        Some("buffers")
    } else if it.busy_buffers_size < largest
        || it.busy_buffers_size > (it.buffers.number - 1) * it.buffers.size
    {
        Some("busy_buffers_size")
    } else if it.temp_file_write_size < largest {
        Some("temp_file_write_size")
    } else if it.max_temp_file_size != 0 && it.max_temp_file_size < largest {
        Some("max_temp_file_size")
    } else {
        None
    }
}

/// Some sizes, of a few kinds, more or fewer than suffice.
fn sizes(numbers: &mut Numbers, bits: u64) -> Histogram {
    let mut histogram = Histogram::default();
    for _ in 0..numbers.below(4) {
        let bits = numbers.below(bits) + 1;
        let (least, times) = (numbers.below(1 << bits), numbers.below(3000));
        for _ in 0..8 {
            histogram.add(least + numbers.below(1 + least / 4), times);
        }
    }
    histogram
}

fn some_chain(numbers: &mut Numbers) -> Chain {
    let size = [1 << 10, 4096, 8192, 12 << 10, 16 << 10, 40 << 10, 128 << 10, 5000];
    Chain { number: 2 + numbers.below(40), size: numbers.one_of(&size) }
}

/// Settings that nginx accepts.
fn some_upstream(numbers: &mut Numbers, protocol: Protocol) -> UpstreamSettings {
    let buffers = some_chain(numbers);
    let all_but_one = (buffers.number - 1) * buffers.size;
    let buffer_size = [1 << 10, 4096, 8192, 64 << 10];
    let buffer_size = numbers.one_of(&buffer_size).min(all_but_one);
    let largest = buffer_size.max(buffers.size);
    UpstreamSettings {
        protocol,
        buffering: protocol != Protocol::Grpc && numbers.below(4) > 0,
        buffer_size,
        buffers,
        busy_buffers_size: largest + numbers.below(1 + all_but_one - largest),
        temp_file_write_size: largest + numbers.below(largest),
        max_temp_file_size: [0, 1 << 30, largest][numbers.below(3) as usize],
    }
}

fn maybe<T>(numbers: &mut Numbers, value: T) -> Option<T> {
    (numbers.below(5) > 0).then_some(value)
}

/// A location of a protocol, or of none.
pub fn some_location(numbers: &mut Numbers, protocol: Option<Protocol>) -> Location {
    let mut location = Location {
        server: b"example.com".to_vec(),
        location: b"/".to_vec(),
        budget: 1 << (12 + numbers.below(12)),
        ..Location::default()
    };
    let measured = &mut location.measured;
    measured.requests = numbers.below(100_000);
    measured.body = sizes(numbers, 26);
    measured.bodies_spilled = numbers.below(1000);
    measured.response = sizes(numbers, 30);
    if numbers.below(2) == 0 {
        measured.gzip_ratio = sizes(numbers, 11);
    }
    let settings = &mut location.settings;
    if let Some(protocol) = protocol {
        measured.upstream.by_protocol[protocol as usize] = 1000;
        measured.upstream.header = sizes(numbers, 15);
        measured.upstream.response = sizes(numbers, 34);
        measured.upstream.spilled = numbers.below(1000);
        let some = some_upstream(numbers, protocol);
        settings.upstream = maybe(numbers, some);
        if numbers.below(3) == 0 {
            let buffer_size = settings.upstream.map_or(4096, |it| it.buffer_size);
            measured.upstream.header_too_big = 1 + numbers.below(5000);
            measured.upstream.header_too_big_for = buffer_size;
        }
    }
    let body = 1 << (10 + numbers.below(12));
    settings.client_body_buffer_size = maybe(numbers, body);
    let (gzip, sendfile) = (numbers.below(3) > 0, numbers.below(2) == 0);
    (settings.gzip, settings.sendfile) = (maybe(numbers, gzip), maybe(numbers, sendfile));
    let (gzip, output) = (some_chain(numbers), some_chain(numbers));
    (settings.gzip_buffers, settings.output_buffers) =
        (maybe(numbers, gzip), maybe(numbers, output));
    location
}

pub fn some_server(numbers: &mut Numbers) -> Server {
    let mut server = Server { server: b"example.com".to_vec(), ..Server::default() };
    server.header = sizes(numbers, 17);
    let first = 1 << (9 + numbers.below(8));
    let large = Chain { size: 8192 << numbers.below(3), ..some_chain(numbers) };
    server.client_header_buffer_size = maybe(numbers, first);
    server.large_client_header_buffers = maybe(numbers, large);
    if numbers.below(2) == 0 {
        server.header_too_big = 1 + numbers.below(5000);
        server.header_too_big_for = large.size;
    }
    server
}

/// A host that tells all, something or nothing.
pub fn some_host(numbers: &mut Numbers) -> Host {
    let mut limit = || {
        let limit = 1 << (12 + numbers.below(13));
        maybe(numbers, limit)
    };
    Host {
        page_size: 4096,
        tcp_rmem_max: limit(),
        tcp_wmem_max: limit(),
        rmem_max: limit(),
        wmem_max: limit(),
    }
}
