//! What comes of a request: its outcomes, statuses and variables; which requests are looked up;
//! which key is asked for.

use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::setup::Setup;
use crate::common::store::Store;

/// `/file/ID` without fallback, files for IDs 0 to 9.
fn without_fallback(address: &str) -> Nginx {
    Setup::new().store(address).files(0..10).lookups("http_sendfile_fallback off;").start()
}

#[test]
fn smoke_an_id_becomes_its_file() {
    let memcached = Memcached::with_paths(0..10);
    let nginx = without_fallback(&memcached.address());
    let response = nginx.get("/file/7");
    assert_eq!((response.status, response.lookup()), (200, "FOUND"));
    assert_eq!(response.body, crate::common::site::content_of(7));
    assert_eq!(response.header("X-Path"), Some("07/7.dat"));
    assert_eq!(response.header("X-Addr"), Some(memcached.address().as_str()));
}

#[test]
fn smoke_a_miss_is_404_and_an_invalid_value_502() {
    let memcached = Memcached::start();
    memcached.set("2", "/etc/passwd");
    let nginx = without_fallback(&memcached.address());
    let miss = nginx.get("/file/1");
    assert_eq!((miss.status, miss.lookup()), (404, "MISS"));
    let invalid = nginx.get("/file/2");
    assert_eq!((invalid.status, invalid.lookup()), (502, "INVALID"));
    nginx.wait_for_error("invalid path for key \"2\"");
}

#[test]
fn a_dead_store_is_502_and_a_silent_one_504() {
    let nobody = Port::reserve();
    let nginx = without_fallback(&nobody.address());
    let error = nginx.get("/file/1");
    assert_eq!((error.status, error.lookup()), (502, "ERROR"));
    nginx.wait_for_error("Connection refused");

    let silent = Store::start(|_| Ok(()));
    let hurry = "http_sendfile_fallback off; http_sendfile_timeout 100ms;";
    let nginx = Setup::new().store(&silent.address()).lookups(hurry).start();
    let timeout = nginx.get("/file/1");
    assert_eq!((timeout.status, timeout.lookup()), (504, "TIMEOUT"));
    nginx.wait_for_error("memcached timed out");
}

#[test]
fn a_file_that_is_not_there_is_404_although_it_was_found() {
    let memcached = Memcached::start();
    memcached.set("1", "no/such/file");
    let nginx = without_fallback(&memcached.address());
    let response = nginx.get("/file/1");
    assert_eq!((response.status, response.lookup()), (404, "FOUND"));
}

#[test]
fn error_pages_are_shown_and_the_log_keeps_the_outcome() {
    let memcached = Memcached::with_paths(0..10);
    memcached.set("66", "a/../b");
    let silent = Store::start(|_| Ok(()));
    let nobody = Port::reserve();
    let nginx = Setup::new()
        .store(&memcached.address())
        .files(0..10)
        .server("http_sendfile_fallback off;\n")
        .server("error_page 404 /missing.html; error_page 502 504 =200 /sorry.html;\n")
        .document("missing.html", b"missing page\n")
        .document("sorry.html", b"sorry page\n")
        .lookups("")
        .location("/dead/", &format!("http_sendfile on; http_sendfile_pass {};", nobody.address()))
        .location(
            "/silent/",
            &format!(
                "http_sendfile on; http_sendfile_pass {}; http_sendfile_timeout 100ms;",
                silent.address()
            ),
        )
        .start();
    let (asked, died, slept) = (memcached.address(), nobody.address(), silent.address());
    for (uri, status, body, lookup, id, path, address, target) in [
        ("/file/7", 200, None, "FOUND", "7", "07/7.dat", &asked, "/files/07/7.dat"),
        ("/file/11", 404, Some("missing page\n"), "MISS", "11", "-", &asked, "/missing.html"),
        ("/file/66", 200, Some("sorry page\n"), "INVALID", "66", "-", &asked, "/sorry.html"),
        ("/dead/1", 200, Some("sorry page\n"), "ERROR", "1", "-", &died, "/sorry.html"),
        ("/silent/1", 200, Some("sorry page\n"), "TIMEOUT", "1", "-", &slept, "/sorry.html"),
    ] {
        let response = nginx.get(uri);
        assert_eq!(response.status, status, "{uri}");
        assert!(body.is_none_or(|body| response.text() == body), "{uri}: {}", response.text());
        let line = nginx.wait_for_access(&format!(" {uri} "));
        let seen = ["lookup", "id", "path", "addr", "uri"].map(|field| line[field].as_str());
        assert_eq!(seen, [lookup, id, path, address.as_str(), target], "{uri}");
        let time = &line["time"];
        assert!(
            time.parse::<f64>().is_ok()
                && time.split_once('.').is_some_and(|(_, ms)| ms.len() == 3),
            "{time}"
        );
    }
}

#[test]
fn a_request_that_is_not_looked_up_has_no_variables_but_the_id() {
    let nginx = Setup::new().document("plain.txt", b"plain\n").start();
    assert_eq!(nginx.get("/plain.txt").status, 200);
    let line = nginx.wait_for_access("/plain.txt");
    for field in ["lookup", "id", "path", "addr", "time"] {
        assert_eq!(line[field], "-", "{field}");
    }
}

#[test]
fn only_get_and_head_are_looked_up() {
    let store = Store::start(|exchange| exchange.path());
    let nginx = without_fallback(&store.address());
    let head = nginx.connect().request("HEAD", "/file/7", &[], b"");
    assert_eq!((head.status, head.lookup()), (200, "FOUND"));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let response = nginx.connect().request(method, "/file/7", &[], b"body");
        assert_eq!(response.lookup(), "-", "{method}");
        assert!(matches!(response.status, 404 | 405), "{method}: {}", response.status);
    }
    assert_eq!(store.requests(), 1);
}

#[test]
fn the_id_is_the_digits_at_the_end_of_the_normalised_path() {
    let store = Store::start(|exchange| exchange.path());
    let nginx = without_fallback(&store.address());
    for (uri, id) in [
        ("/file/7", "7"),
        ("/file/7?x=8", "7"),
        ("/file/7?", "7"),
        ("/file/%37", "7"),
        ("/file//7", "7"),
        ("/file/x/../7", "7"),
        ("/file/photo7", "7"),
        ("/file/photo-7", "7"),
        ("/file/5.7", "7"),
        ("/file/5/7", "7"),
        ("/file/%C3%A97", "7"),
        ("/file/0", "0"),
    ] {
        let response = nginx.get(uri);
        assert_eq!((response.status, response.lookup()), (200, "FOUND"), "{uri}");
        assert_eq!(
            response.body,
            crate::common::site::content_of(id.parse().expect("a number")),
            "{uri}"
        );
    }
    let asked = store.requests();
    for uri in [
        "/file/",
        "/file/abc",
        "/file/7x",
        "/file/7.dat",
        "/file/7/",
        "/file/%D9%A3",
        "/file/7%20",
        "/file/?id=7",
    ] {
        let response = nginx.get(uri);
        assert_eq!(response.lookup(), "-", "{uri}");
        assert_ne!(response.status, 200, "{uri}");
    }
    assert_eq!(store.requests(), asked, "declined requests ask nobody");
}

#[test]
fn zeros_in_front_belong_to_the_id() {
    let memcached = Memcached::start();
    memcached.set("7", "07/7.dat");
    memcached.set("007", "08/8.dat");
    memcached.set("000", "09/9.dat");
    let nginx = without_fallback(&memcached.address());
    for (uri, id) in [("/file/7", 7), ("/file/007", 8), ("/file/000", 9)] {
        assert_eq!(nginx.get(uri).body, crate::common::site::content_of(id), "{uri}");
    }
}

#[test]
fn the_key_is_any_value_of_nginx() {
    let memcached = Memcached::start();
    memcached.set("file:7", "07/7.dat");
    memcached.set("/uri/some/name", "08/8.dat");
    memcached.set("chosen", "09/9.dat");
    memcached.set("constant", "01/1.dat");
    let nginx = Setup::new()
        .store(&memcached.address())
        .server("http_sendfile_fallback off;")
        .files(0..10)
        .location("/id/", "http_sendfile on; http_sendfile_key file:$sendfile_id;")
        .location("/uri/", "http_sendfile on; http_sendfile_key $uri;")
        .location("/argument/", "http_sendfile on; http_sendfile_key $arg_key;")
        .location("/constant/", "http_sendfile on; http_sendfile_key constant;")
        .location("/both/", "http_sendfile on; http_sendfile_key $arg_key$sendfile_id;")
        .start();
    for (uri, id) in [
        ("/id/7", 7),
        ("/uri/some/name", 8),
        ("/argument/?key=chosen", 9),
        ("/argument/5?key=chosen", 9),
        ("/constant/", 1),
    ] {
        let response = nginx.get(uri);
        assert_eq!((response.status, response.lookup()), (200, "FOUND"), "{uri}");
        assert_eq!(response.body, crate::common::site::content_of(id), "{uri}");
    }
    for uri in
        ["/id/", "/id/x", "/argument/", "/argument/7", "/argument/?key=", "/both/?key=chosen"]
    {
        assert_eq!(nginx.get(uri).lookup(), "-", "{uri}: no ID, or an empty key");
    }
}

#[test]
fn the_arguments_go_along() {
    let memcached = Memcached::with_paths(7..8);
    let nginx = Setup::new()
        .store(&memcached.address())
        .server("http_sendfile_root /echo/;\n")
        .location("/echo/", "internal; return 200 \"$uri $args $arg_b\";")
        .lookups("")
        .start();
    assert_eq!(nginx.get("/file/7?a=1&b=%20x").text(), "/echo/07/7.dat a=1&b=%20x %20x");
    assert_eq!(nginx.get("/file/7").text(), "/echo/07/7.dat  ");
}

#[test]
fn the_redirect_is_not_looked_up_again() {
    let store = Store::start(|exchange| {
        exchange.value(if exchange.key == "7" { "12/34" } else { "07/7.dat" })
    });
    let nginx = Setup::new()
        .store(&store.address())
        .server("http_sendfile on;\n")
        .file("12/34", b"thirty-four\n")
        .file("07/7.dat", b"a second lookup\n")
        .start();
    let response = nginx.get("/any/7");
    assert_eq!((response.status, response.text().as_str()), (200, "thirty-four\n"));
    assert_eq!((store.requests(), store.requests_for("7")), (1, 1));
}

#[test]
fn a_redirect_of_another_kind_is_looked_up() {
    let memcached = Memcached::with_paths(0..10);
    let nginx = Setup::new()
        .store(&memcached.address())
        .files(0..10)
        .lookups("")
        .server("rewrite ^/photo/(.*)$ /file/$1;\n")
        .location("/tried/", "try_files /nothing /file/9;")
        .location("/named/", "error_page 418 = @named; return 418;")
        .location("@named", "http_sendfile on;")
        .start();
    assert_eq!(nginx.get("/photo/5").body, crate::common::site::content_of(5), "rewrite");
    assert_eq!(nginx.get("/tried/x").body, crate::common::site::content_of(9), "try_files");
    assert_eq!(nginx.get("/named/3").body, crate::common::site::content_of(3), "a named location");
}

#[test]
fn connections_to_the_store_stay_open() {
    let store = Store::start(|exchange| exchange.path());
    let nginx = without_fallback(&store.address());
    let mut client = nginx.connect();
    for round in 0..100 {
        assert_eq!(client.get("/file/7").status, 200, "round {round}");
    }
    assert_eq!(store.requests(), 100);
    assert!(store.connections() <= 4, "{} connections for one client", store.connections());
}

#[test]
fn a_key_after_an_error_page_names_its_own_id() {
    let memcached = Memcached::start();
    memcached.set("picture:0", crate::common::site::path_of(0));
    memcached.set("picture:1", "wrong");
    let nginx = Setup::new()
        .store(&memcached.address())
        .files(0..1)
        .location(
            "/first/",
            "http_sendfile on; http_sendfile_fallback off; error_page 404 = /picture/0;",
        )
        .location("/picture/", "http_sendfile on; http_sendfile_key picture:$sendfile_id;")
        .start();
    let response = nginx.get("/first/1");
    assert_eq!((response.status, response.body), (200, crate::common::site::content_of(0)));
    let log = nginx.wait_for_access("/first/1");
    assert_eq!(log["id"], "0");
}
