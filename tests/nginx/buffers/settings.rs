//! The current settings, which are read from the structures of nginx's modules.

use crate::common::nginx::Nginx;
use crate::common::setup::{self, Setup};
use crate::common::upstreams::{ask, Upstreams, BUFFERED, PROTOCOLS};
use serde_json::{json, Value};

/// The settings that a location is told to have, once an upstream has answered there.
#[track_caller]
fn settings(nginx: &Nginx, protocol: &str) -> Value {
    let mut client = nginx.connect();
    ask(&mut client, protocol, (100, 1));
    nginx.location_after(&format!("/{protocol}/"), 1)["settings"].clone()
}

/// The settings of a protocol: buffering, buffer_size, buffers, busy_buffers_size, temp_file_write_size and
/// max_temp_file_size, in KiB.
fn settings_of(protocol: &str, buffering: bool, kib: [u64; 6]) -> Value {
    let [buffer, number, size, busy, write, most] = kib;
    let mut settings = serde_json::Map::new();
    let mut set = |name: &str, value: Value| settings.insert(format!("{protocol}_{name}"), value);
    set("buffering", json!(buffering));
    set("buffer_size", json!(buffer * 1024));
    set("buffers", json!({"number": number, "size": size * 1024}));
    set("busy_buffers_size", json!(busy * 1024));
    set("temp_file_write_size", json!(write * 1024));
    set("max_temp_file_size", json!(most * 1024));
    settings.into()
}

#[track_caller]
fn assert_has(settings: &Value, wanted: &Value) {
    for (name, value) in wanted.as_object().expect("an object") {
        assert_eq!(&settings[name], value, "{name} in {settings:#}");
    }
}

#[test]
fn settings_are_told_as_they_are_at_whatever_level_they_are_set() {
    let upstreams = Upstreams::start();
    let all = "PROTOCOL_buffer_size 5k; PROTOCOL_buffers 7 6k; PROTOCOL_busy_buffers_size 13k;
        PROTOCOL_temp_file_write_size 17k; PROTOCOL_max_temp_file_size 19m;";
    let others = "client_body_buffer_size 3k; gzip on; gzip_buffers 5 9k; output_buffers 3 11k; sendfile on;";
    let expected = |protocol| {
        let mut expected = settings_of(protocol, true, [5, 7, 6, 13, 17, 19 * 1024]);
        expected["client_body_buffer_size"] = json!(3 * 1024);
        expected["gzip"] = json!(true);
        expected["gzip_buffers"] = json!({"number": 5, "size": 9 * 1024});
        expected["output_buffers"] = json!({"number": 3, "size": 11 * 1024});
        expected["sendfile"] = json!(true);
        expected
    };
    let every = BUFFERED.map(|protocol| all.replace("PROTOCOL", protocol)).concat();
    let at_each_level = [
        upstreams.passing(&BUFFERED, "").http(&every).http(others),
        upstreams.passing(&BUFFERED, "").server(&every).server(others),
        upstreams.passing(&BUFFERED, &format!("{all} {others}")),
        // The inner level prevails, also where the outer one stands after it.
        upstreams.passing(&BUFFERED, &format!("{all} {others}"))
            .server("proxy_buffers 9 4k; fastcgi_buffers 9 4k; uwsgi_buffers 9 4k; scgi_buffers 9 4k; gzip off;")
            .http("client_body_buffer_size 1k; sendfile off; output_buffers 1 4k;\n"),
    ];
    for setup in at_each_level {
        let nginx = setup.start();
        for protocol in BUFFERED {
            assert_has(&settings(&nginx, protocol), &expected(protocol));
        }
    }
}

#[test]
fn smoke_settings_that_nobody_has_set_are_nginxs_own() {
    let upstreams = Upstreams::start();
    let nginx = upstreams.passing(&PROTOCOLS, "").start();
    for protocol in BUFFERED {
        let told = settings(&nginx, protocol);
        assert_has(&told, &settings_of(protocol, true, [4, 8, 4, 8, 8, 1024 * 1024]));
        assert_eq!(told["client_body_buffer_size"], 8 * 1024);
        assert_eq!((&told["gzip"], &told["sendfile"]), (&json!(false), &json!(false)));
        assert_eq!(told["gzip_buffers"], json!({"number": 32, "size": 4096}));
        assert_eq!(told["output_buffers"], json!({"number": 2, "size": 32 * 1024}));
    }
    let grpc = settings(&nginx, "grpc");
    assert_eq!(grpc["grpc_buffer_size"], 4096);
    assert!(grpc["grpc_buffers"].is_null(), "gRPC has none: {grpc}");
    assert!(grpc["proxy_buffers"].is_null(), "only the protocol's own: {grpc}");
    let server = nginx.server("");
    assert_eq!(server["settings"]["client_header_buffer_size"], 1024);
    assert_eq!(
        server["settings"]["large_client_header_buffers"],
        json!({"number": 4, "size": 8192})
    );
}

#[test]
fn settings_without_buffering_are_told_as_such() {
    let upstreams = Upstreams::start();
    let nginx =
        upstreams.passing(&BUFFERED, "PROTOCOL_buffering off; PROTOCOL_buffer_size 6k;").start();
    for protocol in BUFFERED {
        let told = settings(&nginx, protocol);
        let expected = settings_of(protocol, false, [6, 8, 4, 12, 12, 1024 * 1024]);
        assert_has(&told, &expected);
    }
    let grpc = upstreams.passing(&["grpc"], "grpc_buffer_size 7k;").start();
    assert_eq!(settings(&grpc, "grpc")["grpc_buffer_size"], 7 * 1024);
}

#[test]
fn smoke_the_version_of_nginx_is_one_whose_settings_are_known() {
    assert!(setup::version() >= (1, 22, 0));
    let nginx = Setup::new().measured().location("/", "return 204;").start();
    let settings = nginx.location("/")["settings"].clone();
    assert!(
        !settings["gzip_buffers"].is_null() && !settings["output_buffers"].is_null(),
        "{settings}"
    );
}
