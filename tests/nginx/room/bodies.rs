//! Every form in which a room answers, to requests with bodies of every kind: the answer is whole, the body
//! is read past, and the connection goes on. And who is let in is let in with the request that he has sent.

use std::fs;

use crate::common::application::{application, pass};
use crate::common::client::{request, Client, Response};
use crate::common::curl::curl;
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::room::{rooms, Visitor, ROOM_TYPE};
use crate::common::setup::Setup;
use crate::common::wait_until;

/// One form of the answer.
struct Form {
    path: &'static str,
    visitor: Visitor,
    limit: &'static str,
    /// A part of the body.
    says: &'static str,
}

/// Rooms whose seat is taken; the one of `/full` has one place, which is taken as well. The pages are answered by
/// a file and by an application.
fn setup(setup: Setup) -> Setup {
    let setup = application(setup);
    let pass = pass(&setup);
    let both = "smart_limit room=full; smart_limit_room_page";
    setup
        .http(
            "smart_limit_room closed 64k max_active=1 session=1h absent=1h;
            smart_limit_room full 64k max_active=1 max_waiting=1 session=1h absent=1h;
            client_max_body_size 20m;\n",
        )
        .limit("/closed", "smart_limit room=closed;")
        .limit("/file", "smart_limit room=closed; smart_limit_room_page /page?of=$uri;")
        .limit("/named", "smart_limit room=closed; smart_limit_room_page @named;")
        .limit("/full", "smart_limit room=full;")
        .limit("/fullfile", &format!("{both} /page;"))
        .limit("/free", "")
        .location("= /page", "internal; try_files /page.html =404;")
        .location("@named", &pass)
        .document("page.html", b"an own page\n")
}

/// Takes the seat of a room.
#[track_caller]
fn take_seat(nginx: &Nginx, path: &str) -> Visitor {
    let mut visitor = Visitor::new(nginx);
    assert_eq!(visitor.join(path)["status"], "admitted", "{path}");
    visitor
}

fn start(own: Setup) -> (Nginx, Vec<Form>) {
    let nginx = setup(own).start();
    take_seat(&nginx, "/closed");
    take_seat(&nginx, "/full");
    assert_eq!(Visitor::new(&nginx).join("/full")["status"], "waiting");
    let forms = forms(&nginx);
    (nginx, forms)
}

fn forms(nginx: &Nginx) -> Vec<Form> {
    let newcomer = Visitor::new(nginx);
    let mut waiting = newcomer.clone();
    assert_eq!(waiting.join("/closed")["position"], 1);
    let mut late = newcomer.clone();
    assert_eq!(late.join("/full")["status"], "full");
    let wants = |visitor: &Visitor, accept| visitor.clone().with("Accept", accept);
    let image = newcomer.clone().with("Sec-Fetch-Dest", "image");
    let form =
        |path, visitor: &Visitor, limit, says| Form { path, visitor: visitor.clone(), limit, says };
    vec![
        form("/closed", &newcomer, "WAITING", "<!doctype html>"),
        form("/closed", &waiting, "WAITING", "<!doctype html>"),
        form("/closed", &wants(&waiting, "application/json"), "WAITING", "\"position\":1,"),
        form("/closed", &wants(&newcomer, ROOM_TYPE), "WAITING", "\"position\":null,"),
        form("/closed", &image, "WAITING", ""),
        form("/file", &waiting, "WAITING", "an own page\n"),
        form("/named", &waiting, "WAITING", "/named ["),
        form("/full", &late, "FULL", "<!doctype html>"),
        form("/full", &wants(&late, ROOM_TYPE), "FULL", "\"status\":\"full\""),
        form("/full", &image, "WAITING", ""),
        form("/fullfile", &late, "FULL", "an own page\n"),
    ]
}

impl Form {
    fn name(&self) -> String {
        format!("{} {:?} {}", self.path, self.visitor.headers, self.limit)
    }

    fn text(&self, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        self.visitor.text(method, self.path, headers, body)
    }

    #[track_caller]
    fn check(&self, method: &str, response: &Response) {
        assert_eq!(response.verdict(), format!("503 {}", self.limit), "{}", self.name());
        assert_eq!(response.header("Cache-Control"), Some("no-store"), "{}", self.name());
        let text = response.text();
        if method == "HEAD" {
            assert_eq!(text, "", "{}", self.name());
        } else {
            assert!(text.contains(self.says), "{}: {text}", self.name());
            assert_eq!(text.is_empty(), self.says.is_empty(), "{}: {text}", self.name());
        }
    }

    /// Reads the answer, and asserts that the connection then answers another request.
    #[track_caller]
    fn check_and_go_on(&self, client: &mut Client, method: &str) -> Response {
        let response = client.read(method);
        self.check(method, &response);
        assert_eq!(client.get("/free").text(), "ok\n", "{}", self.name());
        response
    }
}

/// What a request with a body is, and the same in chunks.
fn in_chunks(form: &Form, body: &[u8]) -> Vec<u8> {
    let mut bytes = form.text("POST", &[("Transfer-Encoding", "chunked")], b"");
    for chunk in body.chunks(70_000) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[test]
fn bodies_of_every_size_are_read_past() {
    let (nginx, forms) = start(rooms());
    for form in &forms {
        let mut client = nginx.connect();
        for size in [0, 1, 3_000, 200_000, 10_000_000] {
            let body = vec![b'x'; size];
            // The application is told the body in a header.
            if form.path == "/named" && size > 200_000 {
                continue;
            }
            client.send(form.text("POST", &[], &body));
            form.check_and_go_on(&mut client, "POST");
            client.send(in_chunks(form, &body));
            form.check_and_go_on(&mut client, "POST");
        }
    }
}

#[test]
fn a_body_may_come_after_the_answer() {
    let (nginx, forms) = start(rooms());
    let body = vec![b'x'; 100_000];
    // The application answers when it has the body.
    for form in forms.iter().filter(|form| form.path != "/named") {
        let mut client = nginx.connect();
        let bytes = form.text("POST", &[], &body);
        let (before, after) = bytes.split_at(bytes.len() - 50_000);
        client.send(before);
        form.check("POST", &client.read("POST"));
        for part in after.chunks(10_000) {
            client.send(part);
        }
        assert_eq!(client.get("/free").text(), "ok\n", "{}", form.name());
    }
}

#[test]
fn only_an_application_is_asked_for_a_body() {
    let (nginx, forms) = start(rooms());
    for form in &forms {
        let mut client = nginx.connect();
        let expects = [("Expect", "100-continue"), ("Content-Length", "5")];
        client.send(form.text("POST", &expects, b""));
        if form.path == "/named" {
            client.send("12345");
            let response = form.check_and_go_on(&mut client, "POST");
            assert_eq!(
                response.text(),
                "/named [12345] \n",
                "it gets the body though nobody asked"
            );
            continue;
        }
        form.check("POST", &client.read("POST"));
        client.send("12345");
        assert_eq!(client.get("/free").text(), "ok\n", "{}", form.name());
    }
}

#[test]
fn a_head_is_answered_with_the_length_of_the_answer() {
    let (nginx, forms) = start(rooms());
    for form in &forms {
        let mut client = nginx.connect();
        client.send(form.text("GET", &[], b""));
        let length = form.check_and_go_on(&mut client, "GET").body.len().to_string();
        client.send(form.text("HEAD", &[], b""));
        let head = form.check_and_go_on(&mut client, "HEAD");
        assert_eq!(head.header("Content-Length"), Some(length.as_str()), "{}", form.name());
    }
}

#[test]
fn requests_sent_without_waiting_are_answered_in_turn() {
    let (nginx, forms) = start(rooms());
    let mut client = nginx.connect();
    let methods = ["GET", "POST", "HEAD", "PUT"];
    let all = forms.iter().flat_map(|form| {
        methods.map(|method| {
            let body = if matches!(method, "POST" | "PUT") { &[b'x'; 50_000][..] } else { b"" };
            form.text(method, &[], body)
        })
    });
    client.send(all.collect::<Vec<_>>().concat());
    for form in &forms {
        methods.iter().for_each(|method| form.check(method, &client.read(method)));
    }
    assert_eq!(client.get("/free").text(), "ok\n");
}

#[test]
fn conditions_and_ranges_change_no_answer() {
    let (nginx, forms) = start(rooms());
    // The application is asked as nginx asks it for any page, and answers as it likes.
    for form in forms.iter().filter(|form| form.path != "/named") {
        let mut client = nginx.connect();
        client.send(form.text("GET", &[], b""));
        let whole = form.check_and_go_on(&mut client, "GET").body.len();
        for (name, value) in [
            ("Range", "bytes=0-3"),
            ("If-None-Match", "*"),
            ("If-Match", "\"another\""),
            ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),
            ("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            client.send(form.text("GET", &[(name, value)], b""));
            let response = form.check_and_go_on(&mut client, "GET");
            assert_eq!(response.body.len(), whole, "{} {name}", form.name());
        }
    }
}

/// What curl sends to be known as a visitor.
fn curl_headers(visitor: &Visitor) -> Vec<String> {
    let cookies = visitor.cookies.iter().map(|(name, value)| format!("Cookie: {name}={value}"));
    let headers = visitor.headers.iter().map(|(name, value)| format!("{name}: {value}"));
    cookies.chain(headers).flat_map(|header| ["-H".to_owned(), header]).collect()
}

#[test]
fn http_2_gets_every_form_whatever_it_sends() {
    let port = Port::reserve();
    let own = rooms().https(&port);
    let path = own.prefix().join("body");
    fs::write(&path, vec![b'x'; 2_000_000]).expect("a file");
    let (_nginx, forms) = start(own);
    let (body, told) = (format!("@{}", path.display()), "%{http_version} %{http_code} ");
    let free = format!("https://{}/free", port.address());
    let all = ["--insecure", "--http2", "-o", "/dev/null", "-w", told];
    for form in &forms {
        let uri = format!("https://{}{}", port.address(), form.path);
        let headers = curl_headers(&form.visitor);
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let long = if form.path == "/named" { "long" } else { body.as_str() };
        for arguments in [&[][..], &["--head"], &["--data", "short"], &["--data-binary", long]] {
            let next = ["--next", "--silent", "--insecure", "--http2", free.as_str()];
            let seen = curl(&[&all[..], arguments, &headers, &[uri.as_str()], &next].concat());
            let seen = String::from_utf8_lossy(&seen).into_owned();
            assert_eq!(seen, "2 503 ok\n", "{} {arguments:?}", form.name());
        }
    }
}

#[test]
fn whoever_waits_with_a_good_status_can_be_answered_compressed() {
    // nginx compresses no answer of 429 or 503.
    let own = rooms()
        .http("gzip on; gzip_types *; gzip_min_length 0; gzip_http_version 1.0;\n")
        .server("smart_limit_room_status 200;\n");
    let (nginx, forms) = start(own);
    for form in forms.iter().filter(|form| form.limit == "WAITING" && !form.says.is_empty()) {
        let uri = format!("http://127.0.0.1:{}{}", nginx.port(), form.path);
        let headers = curl_headers(&form.visitor);
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let head = ["--dump-header", "-", "-o", "/dev/null", "-H", "Accept-Encoding: gzip"];
        let head = curl(&[&head[..], &headers, &[uri.as_str()]].concat());
        let head = String::from_utf8_lossy(&head).into_owned();
        assert!(head.starts_with("HTTP/1.1 200 "), "{}: {head}", form.name());
        assert!(head.contains("Content-Encoding: gzip\r\n"), "{}: {head}", form.name());
        let body = curl(&[&["--compressed"][..], &headers, &[uri.as_str()]].concat());
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(body.contains(form.says), "{}: {body}", form.name());
    }
}

#[test]
fn clients_that_leave_leave_nothing_behind() {
    // For so long nginx keeps a connection whose client leaves while nobody reads what it sends.
    let (nginx, forms) = start(rooms().server("keepalive_timeout 1s;\n"));
    let worker = nginx.worker();
    let open = crate::common::process::descriptors(worker);
    for form in &forms {
        let bytes = form.text("POST", &[], &[b'x'; 100_000]);
        for part in [bytes.len() / 4, bytes.len() - 1, bytes.len()] {
            let mut client = nginx.connect();
            client.send(&bytes[..part]);
            client.abort();
            let mut client = nginx.connect();
            client.send(&bytes[..part]);
            drop(client);
        }
    }
    wait_until("every connection to be closed", || {
        crate::common::process::descriptors(worker) <= open
    });
    for form in &forms {
        let mut client = nginx.connect();
        client.send(form.text("GET", &[], b""));
        form.check_and_go_on(&mut client, "GET");
    }
}

#[test]
fn error_page_is_for_who_is_refused_and_not_for_who_waits() {
    let error = "error_page 503 /sorry.html;";
    let nginx = setup(rooms())
        .limit("/waits", &format!("smart_limit room=closed; {error}"))
        .limit("/is-full", &format!("smart_limit room=full; {error}"))
        .limit("/refused", &format!("smart_limit zone=key; smart_limit room=closed; {error}"))
        .document("sorry.html", b"sorry\n")
        .start();
    let mut inside = take_seat(&nginx, "/closed");
    take_seat(&nginx, "/full");
    Visitor::new(&nginx).join("/full");
    let mut newcomer = Visitor::new(&nginx);
    assert!(newcomer.get("/waits").text().contains("<!doctype html>"));
    assert!(newcomer.get("/waits").text().contains("<!doctype html>"), "with a place, too");
    let mut late = Visitor::new(&nginx);
    late.get("/is-full");
    let full = late.get("/is-full");
    assert_eq!(full.verdict(), "503 FULL");
    assert!(full.text().contains("<!doctype html>"));
    let verdicts = [1, 2].map(|_| inside.get("/refused?k=a"));
    assert_eq!(verdicts.clone().map(|one| one.verdict()), ["200 ADMITTED", "503 REJECTED"]);
    assert_eq!(verdicts[1].text(), "sorry\n");
}

#[test]
fn an_own_page_may_itself_have_limits_and_a_room() {
    let nginx = setup(rooms())
        .limit("/waits", "smart_limit room=closed; smart_limit_room_page /limited.html;")
        .location(
            "= /limited.html",
            "smart_limit zone=one; smart_limit room=full; smart_limit_room_page /page;",
        )
        .document("limited.html", b"a limited page\n")
        .start();
    take_seat(&nginx, "/closed");
    for _ in 0..3 {
        let response = nginx.get("/waits");
        assert_eq!(response.verdict(), "503 WAITING");
        assert_eq!(
            response.text(),
            "a limited page\n",
            "whoever is shown it has been decided about"
        );
    }
    assert_eq!(nginx.get("/limited.html").text(), "an own page\n", "who asks for it waits for it");
}

#[test]
fn who_is_let_in_is_let_in_with_what_he_has_sent() {
    let own = rooms();
    let own = setup(own);
    let pass = pass(&own);
    let nginx = own.location("/app", &format!("smart_limit room=closed; {pass}")).start();
    let mut client = nginx.connect();
    let mut visitor = Visitor::new(&nginx);
    let body = "0123456789".repeat(2_000);
    assert_eq!(visitor.request("POST", "/app", &[], body.as_bytes()).verdict(), "503 WAITING");
    // The same request once more is the one that gets the seat.
    let bytes = visitor.text("POST", "/app?a=b", &[], body.as_bytes());
    let expects = [("Expect", "100-continue"), ("Content-Length", "5")];
    client.send(bytes);
    let response = client.read("POST");
    assert_eq!(response.verdict(), "200 ADMITTED");
    assert_eq!(response.header("X-Method"), Some("POST"));
    assert_eq!(response.text(), format!("/app?a=b [{body}] \n"));
    client.send(visitor.text("PUT", "/app", &expects, b""));
    assert_eq!(client.read("HEAD").status, 100, "somebody reads this body");
    client.send("12345");
    let response = client.read("PUT");
    assert_eq!(response.header("X-Method"), Some("PUT"));
    assert_eq!(response.text(), "/app [12345] \n");
    client.send(request("GET", "/free", &[], b""));
    assert_eq!(client.read("GET").text(), "ok\n");
}
