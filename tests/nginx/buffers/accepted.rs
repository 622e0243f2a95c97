//! Whatever is advised of buffers, nginx accepts as it is.

use std::fmt::Write;

use crate::common::advised;
use crate::common::numbers::Numbers;
use crate::common::setup::Setup;
use ngx_http_smart_module::core::advice::{of_location, of_server, write_snippet, State};
use ngx_http_smart_module::core::report::buffers::{
    Buffers, Chain, Host, Location, Protocol, UpstreamSettings,
};

/// How many locations of each protocol, and of none.
const LOCATIONS: usize = 120;

fn snippet(buffers: &Buffers) -> String {
    let mut text = Vec::new();
    write_snippet(buffers, &mut text).expect("memory");
    String::from_utf8(text).expect("ASCII")
}

/// The settings as directives: those that are not named in `but`, which takes their place.
fn directives(location: &Location, but: &str) -> String {
    let mut text = String::new();
    let mut set = |name: &str, value: Option<String>| {
        let is_advised = but.lines().any(|line| line.starts_with(&format!("{name} ")));
        if let Some(value) = value.filter(|_| !is_advised) {
            write!(text, "{name} {value}; ").expect("memory");
        }
    };
    let switch = |is_on: bool| if is_on { "on".to_owned() } else { "off".to_owned() };
    let buffers = |chain: Chain| format!("{} {}", chain.number, chain.size);
    let settings = &location.settings;
    set("client_body_buffer_size", settings.client_body_buffer_size.map(|size| size.to_string()));
    set("gzip", settings.gzip.map(switch));
    set("gzip_buffers", settings.gzip_buffers.map(buffers));
    set("output_buffers", settings.output_buffers.map(buffers));
    set("sendfile", settings.sendfile.map(switch));
    let Some(upstream) = settings.upstream else { return text };
    let UpstreamSettings { protocol, .. } = upstream;
    let mut set =
        |name: &str, value: String| set(&format!("{}_{name}", protocol.prefix()), Some(value));
    set("buffer_size", upstream.buffer_size.to_string());
    if protocol != Protocol::Grpc {
        set("buffering", switch(upstream.buffering));
        set("buffers", buffers(upstream.buffers));
        // Where nginx's own value is meant none is written: it depends on the others.
        let twice = 2 * upstream.buffer_size.max(upstream.buffers.size);
        if upstream.busy_buffers_size != twice {
            set("busy_buffers_size", upstream.busy_buffers_size.to_string());
        }
        if upstream.temp_file_write_size != twice {
            set("temp_file_write_size", upstream.temp_file_write_size.to_string());
        }
        set("max_temp_file_size", upstream.max_temp_file_size.to_string());
    }
    text
}

fn pass(protocol: Option<Protocol>) -> String {
    match protocol {
        None => "root html;".to_owned(),
        Some(Protocol::Proxy) => "proxy_pass http://127.0.0.1:9;".to_owned(),
        Some(Protocol::Grpc) => "grpc_pass grpc://127.0.0.1:9;".to_owned(),
        Some(protocol) => format!("{}_pass 127.0.0.1:9;", protocol.prefix()),
    }
}

#[track_caller]
fn assert_accepted(setup: &Setup) {
    let check = setup.check();
    assert!(check.accepted, "{}", check.message);
    assert!(!check.message.contains("[warn]"), "{}", check.message);
}

#[test]
fn nginx_accepts_every_advice_in_its_location() {
    let mut numbers = Numbers::new(5);
    for protocol in Protocol::ALL.into_iter().map(Some).chain([None]) {
        let (mut text, mut changes) = (String::new(), 0);
        for place in 0..LOCATIONS {
            let mut location = advised::some_location(&mut numbers, protocol);
            location.location = format!("/{place}").into_bytes();
            let host = advised::some_host(&mut numbers);
            changes += usize::from(of_location(&location, &host).state == State::Change);
            let buffers = Buffers { host, locations: vec![location], ..Buffers::default() };
            let [location] = &buffers.locations[..] else { unreachable!() };
            let advised = snippet(&buffers);
            let now = directives(location, &advised);
            writeln!(text, "location /{place} {{\n{}\n{now}\n{advised}}}", pass(protocol))
                .expect("memory");
        }
        assert!(changes > LOCATIONS / 2, "{protocol:?}: {changes} are no test");
        assert_accepted(&Setup::new().server(&text));
    }
}

#[test]
fn nginx_accepts_every_advice_in_its_server() {
    let mut numbers = Numbers::new(6);
    let (mut text, mut changes) = (String::new(), 0);
    for place in 0..LOCATIONS {
        let server = advised::some_server(&mut numbers);
        changes += usize::from(of_server(&server).state == State::Change);
        let buffers = Buffers { servers: vec![server], ..Buffers::default() };
        let advised = snippet(&buffers);
        writeln!(text, "server {{ server_name s{place}; listen 127.0.0.1:9;\n{advised}}}")
            .expect("memory");
    }
    assert!(changes > LOCATIONS / 4, "{changes} are no test");
    assert_accepted(&Setup::new().http(&text));
}

#[test]
fn nginx_accepts_the_name_of_any_location_in_a_comment() {
    let mut numbers = Numbers::new(7);
    let mut text = String::new();
    for place in 0..40 {
        let mut location = advised::some_location(&mut numbers, Some(Protocol::Proxy));
        let length = numbers.below(4000);
        location.location = (0..length).map(|_| numbers.below(256) as u8).collect();
        location.server = b"\n};{$x'\"\\#\r\0".to_vec();
        location.settings.upstream = None;
        let buffers =
            Buffers { host: Host::default(), locations: vec![location], ..Buffers::default() };
        let advised = snippet(&buffers);
        writeln!(text, "location /{place} {{ proxy_pass http://127.0.0.1:9;\n{advised}}}")
            .expect("memory");
    }
    assert_accepted(&Setup::new().server(&text));
}
