//! A server with a waiting room, and visitors who keep its cookies.

use std::time::Duration;

use serde_json::Value;

use super::client::{request, Client, Response};
use super::clock::Clock;
use super::limit::HEADERS;
use super::nginx::Nginx;
use super::setup::Setup;

/// Between two requests of a visitor who asks for as long as a test goes on: the connections of some thousand
/// requests in a second would use up the machine's ports, which other tests need too.
pub const PAUSE: Duration = Duration::from_millis(1);

/// The media type in which the room itself answers.
pub const ROOM_TYPE: &str = "application/vnd.ngx-smart.room+json";

const LOG: &str = "log_format rooms 'request=$request\\tstatus=$status\\t\
    limit=$smart_limit_status\\tzone=$smart_limit_zone\\tafter=$smart_limit_retry_after\\t\
    room=$smart_limit_room\\tposition=$smart_limit_position\\twaiting=$smart_limit_waiting\\t\
    active=$smart_limit_active\\twait=$smart_limit_wait_time\\trefresh=$smart_limit_refresh\\t\
    session=$smart_limit_session\\tmethod=$request_method\\tbody=$request_body';\n";

/// The session as a header, for locations that have headers of their own.
const SESSION: &str = "add_header X-Session $smart_limit_session always;\n";

/// A server that logs what its rooms decided. Its locations are made by [`Setup::limit`], and answer `ok`.
///
/// It has zones `one` (one key for all, 1 request in a minute), `site` (one key for all, 1000 requests in
/// a second), `address` (the client's, 1 in a minute), and `key` (the argument `k`, 1 in a minute).
pub fn rooms() -> Setup {
    let setup = Setup::new().document("ok", b"ok\n").server(HEADERS).http(LOG).http(
        "smart_limit_zone all zone=one:1m rate=1r/m;
         smart_limit_zone all zone=site:1m rate=1000r/s;
         smart_limit_zone $remote_addr zone=address:1m rate=1r/m;
         smart_limit_zone $arg_k zone=key:1m rate=1r/m;\n",
    );
    let log = format!("access_log {}/access.log rooms;\n", setup.prefix().display());
    setup.server(SESSION).server(&log)
}

/// Such a server with the room `r`, of these parameters. Everyone needs a seat at `/`, nobody at `/counts`.
pub fn room(parameters: &str) -> Setup {
    rooms()
        .http(&format!("smart_limit_room r 1m {parameters};\n"))
        .limit("/", "smart_limit room=r;")
        .limit("/counts", "smart_limit zone=site burst=1000 nodelay room=r;")
}

/// Somebody who comes again and again, with the cookies that he was given: each request is on a connection of its own.
#[derive(Clone, Debug)]
pub struct Visitor {
    port: u16,
    /// Names and values, as they were set last.
    pub cookies: Vec<(String, String)>,
    /// What he sends along with each request.
    pub headers: Vec<(String, String)>,
}

impl Visitor {
    /// Somebody new.
    pub fn new(nginx: &Nginx) -> Self {
        Self::at(nginx.port())
    }

    /// Somebody new, to the server on this port of 127.0.0.1.
    pub fn at(port: u16) -> Self {
        Self { port, cookies: Vec::new(), headers: Vec::new() }
    }

    /// The same, who sends this header along with each request.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, with this cookie.
    pub fn with_cookie(mut self, name: &str, value: &str) -> Self {
        self.keep(name, value);
        self
    }

    /// The value of his cookie of this name.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let found = self.cookies.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// His token for room `r`; panics if he has none.
    #[track_caller]
    pub fn token(&self) -> &str {
        self.cookie("smart_limit_r").expect("a token")
    }

    /// The answer to a GET.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// The answer to a GET with these headers.
    #[track_caller]
    pub fn get_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.request("GET", path, headers, b"")
    }

    /// The answer to a request; its cookies are kept.
    #[track_caller]
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut client = Client::connect(self.port);
        client.send(self.text(method, path, headers, body));
        let response = client.read(method);
        self.keep_cookies(&response);
        response
    }

    /// The answer to a GET with these headers, if it comes whole: its worker may die. Its cookies are kept.
    pub fn try_get(&mut self, path: &str, headers: &[(&str, &str)]) -> Option<Response> {
        let mut client = Client::try_connect(self.port).ok()?;
        client.try_send(&self.text("GET", path, headers, b"")).ok()?;
        let response = client.try_read("GET").ok()?;
        self.keep_cookies(&response);
        Some(response)
    }

    /// What the room says when it is asked, as the page asks it. The answer's media type is the room's own.
    #[track_caller]
    pub fn poll(&mut self, path: &str) -> Value {
        self.poll_as(path, ROOM_TYPE)
    }

    /// The same, of a tab that nobody sees.
    #[track_caller]
    pub fn poll_hidden(&mut self, path: &str) -> Value {
        self.poll_as(path, &format!("{ROOM_TYPE};hidden=1"))
    }

    fn poll_as(&mut self, path: &str, accept: &str) -> Value {
        let response = self.get_with(path, &[("Accept", accept)]);
        assert_eq!(response.header("Content-Type"), Some(ROOM_TYPE), "{response:?}");
        response.json()
    }

    /// Gets a token and a place, with two requests; returns what the room says then.
    #[track_caller]
    pub fn join(&mut self, path: &str) -> Value {
        let first = self.get(path);
        assert_eq!(first.limit(), "WAITING", "{}", first.text());
        self.poll(path)
    }

    /// The bytes of a request of his.
    pub fn text(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut all: Vec<(&str, &str)> = headers.to_vec();
        all.extend(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if !cookies.is_empty() {
            all.push(("Cookie", &cookies));
        }
        request(method, path, &all, body)
    }

    fn keep_cookies(&mut self, response: &Response) {
        for cookie in response.set_cookies() {
            let (pair, _) = cookie.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a name and a value");
            self.keep(name, value);
        }
    }

    fn keep(&mut self, name: &str, value: &str) {
        self.cookies.retain(|(other, _)| other != name);
        self.cookies.push((name.to_owned(), value.to_owned()));
    }
}

impl Response {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The values of all headers `Set-Cookie`.
    pub fn set_cookies(&self) -> Vec<&str> {
        self.all("Set-Cookie")
    }

    /// The values of all headers of this name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str()).collect()
    }
}

/// How many have a place, and how many a seat, in the room of [`room`], as somebody is told who leaves nothing behind.
#[track_caller]
pub fn counts(nginx: &Nginx) -> (u64, u64) {
    let told = Visitor::new(nginx).poll("/counts");
    (told["waiting"].as_u64().expect("a number"), told["active"].as_u64().expect("a number"))
}

/// Somebody with a seat in the room of [`room`].
#[track_caller]
pub fn seated(nginx: &Nginx) -> Visitor {
    let mut visitor = Visitor::new(nginx);
    visitor.get("/");
    let told = visitor.poll("/");
    assert_eq!(told["status"], "admitted", "{told}");
    visitor
}

/// So many who wait at `path`, in the order in which they came; their positions are told.
#[track_caller]
pub fn queue(nginx: &Nginx, path: &str, count: u64) -> Vec<Visitor> {
    let join = |number: u64| {
        let mut visitor = Visitor::new(nginx);
        let told = visitor.join(path);
        assert_eq!((&told["status"], &told["position"]), (&"waiting".into(), &number.into()));
        visitor
    };
    (1..=count).map(join).collect()
}

/// The server of [`room`] with these locations beside, under a clock that stands still with the time of day.
pub fn start_still(parameters: &str, locations: &[(&str, &str)]) -> (Clock, Nginx) {
    let setup = locations.iter().fold(room(parameters), |setup, (path, directives)| {
        setup.limit(path, &format!("{HEADERS} {SESSION} {directives}"))
    });
    let (clock, setup) = Clock::with_time_of_day(setup);
    (clock, setup.start())
}
