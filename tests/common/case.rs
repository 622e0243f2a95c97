//! A location of which a few things are known, and what is expected of the advice for it.

use ngx_http_smart_module::core::advice::{Advice, Directive, State};
use ngx_http_smart_module::core::histogram::Histogram;
use ngx_http_smart_module::core::report::buffers::{Chain, Host, Location, Protocol, Settings};

use super::advised::defaults;

pub const K: u64 = 1 << 10;
pub const M: u64 = 1 << 20;

/// So many values of each size.
pub fn of(values: &[(u64, u64)]) -> Histogram {
    let mut histogram = Histogram::default();
    values.iter().for_each(|(value, times)| histogram.add(*value, *times));
    histogram
}

/// A host whose sockets hold 10m.
pub fn host() -> Host {
    Host {
        page_size: 4096,
        tcp_rmem_max: Some(6 * M),
        tcp_wmem_max: Some(4 * M),
        rmem_max: Some(212_992),
        wmem_max: Some(212_992),
    }
}

/// The host of the published examples.
pub fn published() -> Host {
    Host { page_size: 4096, rmem_max: Some(163_840), wmem_max: Some(163_840), ..Host::default() }
}

/// A location as nginx sets it, with these answers of its upstream.
pub fn passes(protocol: Protocol, responses: &[(u64, u64)]) -> Location {
    let mut location = Location { budget: M, ..Location::default() };
    let upstream = &mut location.measured.upstream;
    upstream.response = of(responses);
    let count = upstream.response.count();
    upstream.header = of(&[(400, count)]);
    upstream.by_protocol[protocol as usize] = count;
    location.measured.requests = count;
    location.settings = Settings {
        client_body_buffer_size: Some(16 * K),
        upstream: Some(defaults(protocol)),
        gzip: Some(false),
        gzip_buffers: Some(Chain { number: 32, size: 4096 }),
        output_buffers: Some(Chain { number: 2, size: 32 * K }),
        sendfile: Some(true),
    };
    location
}

/// A location without an upstream.
pub fn serves(responses: &[(u64, u64)]) -> Location {
    let mut location = passes(Protocol::Proxy, &[]);
    location.settings.upstream = None;
    location.measured.response = of(responses);
    location
}

#[track_caller]
pub fn named<'a>(advice: &'a Advice, name: &str) -> &'a Directive {
    let found = advice.directives.iter().find(|directive| directive.name == name);
    found.unwrap_or_else(|| panic!("{name}: {advice:#?}"))
}

#[track_caller]
pub fn assert_advised(advice: &Advice, expected: &[(&str, &str)]) {
    let directives = advice.directives.iter();
    let advised: Vec<_> = directives.map(|it| (it.name.as_str(), it.advised.as_str())).collect();
    assert_eq!(advised, expected, "{advice:#?}");
}

#[track_caller]
pub fn assert_fine(advice: &Advice) {
    assert_eq!((advice.state, &advice.directives[..]), (State::Fine, &[][..]), "{advice:#?}");
    assert_eq!(advice.effect, None);
}

#[track_caller]
pub fn assert_remark(advice: &Advice, text: &str) {
    assert!(advice.remarks.iter().any(|remark| remark.contains(text)), "{text}: {advice:#?}");
}
