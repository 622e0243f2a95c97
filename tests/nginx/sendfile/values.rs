//! What a stored value is: a path as it is, or a Ruby String as a Rails application stores it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::common::memcached::Memcached;
use crate::common::setup::Setup;

fn marshalled(name: &str) -> Vec<u8> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/marshal");
    fs::read(directory.join(format!("{name}.bin"))).expect("a value made by Ruby")
}

#[test]
fn smoke_strings_that_ruby_has_marshalled_are_paths() {
    let kanji = "写真/猫.jpg";
    let hundreds = "a".repeat(123);
    let names: [(&str, &[u8]); 9] = [
        ("encoding-utf-8", kanji.as_bytes()),
        ("encoding-us-ascii", b"aa/aa.dat"),
        ("encoding-ascii-8bit", b"aa/\xff\xfe.dat"),
        ("encoding-iso-8859-1", b"gr\xfcn.jpg"),
        ("encoding-shift_jis", b"\x8e\xca\x90\x5e/\x94\x4c.jpg"),
        ("encoding-euc-jp", b"\xbc\xcc\xbf\xbf/\xc7\xad.jpg"),
        ("length-1", b"a"),
        ("length-122", &hundreds.as_bytes()[..122]),
        ("length-123", hundreds.as_bytes()),
    ];
    let memcached = Memcached::start();
    let nginx = Setup::new()
        .store(&memcached.address())
        .location("/auto/", "http_sendfile on; http_sendfile_fallback off;")
        .location(
            "/marshal/",
            "http_sendfile on; http_sendfile_value marshal; http_sendfile_fallback off;",
        )
        .location("/raw/", "http_sendfile on; http_sendfile_value raw; http_sendfile_fallback off;")
        .start();
    for (id, (name, path)) in names.iter().enumerate() {
        let file = nginx.files().join(OsStr::from_bytes(path));
        fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        fs::write(file, name).expect("a file");
        memcached.set(&id.to_string(), marshalled(name));
        assert_eq!(nginx.get(&format!("/auto/{id}")).text(), *name);
        assert_eq!(nginx.get(&format!("/marshal/{id}")).text(), *name);
        let raw = nginx.get(&format!("/raw/{id}"));
        assert_eq!((raw.status, raw.lookup()), (502, "INVALID"), "{name} as it is");
    }
}

#[test]
fn longer_strings_are_read_in_full() {
    let memcached = Memcached::start();
    memcached.set("1", marshalled("length-4096"));
    memcached.set("2", marshalled("length-4097"));
    memcached.set("3", marshalled("length-65536"));
    let nginx =
        Setup::new().store(&memcached.address()).lookups("http_sendfile_fallback off;").start();
    let longest = nginx.get("/file/1");
    assert_eq!((longest.status, longest.lookup()), (404, "FOUND"), "no file has such a name");
    for id in [2, 3] {
        assert_eq!(nginx.get(&format!("/file/{id}")).lookup(), "INVALID", "ID {id}");
    }
}

#[test]
fn anything_else_that_ruby_marshals_is_refused() {
    let names = [
        "other-nil",
        "other-integer",
        "other-array",
        "other-hash",
        "other-symbol",
        "other-object",
        "length-0",
    ];
    let memcached = Memcached::start();
    let nginx =
        Setup::new().store(&memcached.address()).lookups("http_sendfile_fallback off;").start();
    for (id, name) in names.iter().enumerate() {
        memcached.set(&id.to_string(), marshalled(name));
        let response = nginx.get(&format!("/file/{id}"));
        assert_eq!((response.status, response.lookup()), (502, "INVALID"), "{name}");
        nginx.wait_for_error(&format!("invalid path for key \"{id}\": "));
    }
}

#[test]
fn the_mode_decides_what_a_value_is() {
    let memcached = Memcached::start();
    memcached.set("1", "plain");
    memcached.set("2", "\u{4}x");
    memcached.set("3", b"\x04\x08\"\x0aplain");
    let nginx = Setup::new()
        .store(&memcached.address())
        .file("plain", b"plain\n")
        .server("http_sendfile_fallback off;")
        .location("/auto/", "http_sendfile on;")
        .location("/marshal/", "http_sendfile on; http_sendfile_value marshal;")
        .location("/raw/", "http_sendfile on; http_sendfile_value raw;")
        .start();
    for (uri, lookup) in [
        ("/auto/1", "FOUND"),
        ("/raw/1", "FOUND"),
        ("/marshal/1", "INVALID"),
        ("/auto/2", "INVALID"),
        ("/auto/3", "FOUND"),
        ("/marshal/3", "FOUND"),
        ("/raw/3", "INVALID"),
    ] {
        assert_eq!(nginx.get(uri).lookup(), lookup, "{uri}");
    }
}
