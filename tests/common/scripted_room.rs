//! A room that tells browsers what a test wants them to be told.

use std::collections::HashMap;
use std::fs;

use ngx_http_smart_module::core::room::accept::{Language, ROOM_TYPE};
use ngx_http_smart_module::core::room::json;
use ngx_http_smart_module::core::room::page::{self, Method};
use ngx_http_smart_module::core::room::report::{Report, Status};
use ngx_http_smart_module::core::room::rules::Order;

use super::browser::{Browser, Tab};
use super::nginx::Nginx;
use super::setup::Setup;

/// How the page is asked for.
pub const GET: Method = Method::Get(b"/some/where?a=1&b=%20");

/// The server's directives.
pub const ROOM: &str = "default_type text/html; etag off; if_modified_since off;
    types { application/vnd.ngx-smart.room+json json; }
    location / {
        if ($http_accept ~ ^application/vnd.ngx-smart.room.json) { rewrite ^ /told.json last; }
        rewrite ^ /page.html last;
    }
    location ~ png$ { types { image/png png; } }
    location = /told.json { internal; }
    location = /page.html { internal; error_page 405 =200 /page.html; }\n";

/// Who waits at this place.
pub fn waiting(position: Option<u64>) -> Report<'static> {
    Report {
        room: b"front",
        order: Order::Fifo,
        status: Status::Waiting,
        position,
        waiting: 1240,
        active: 50,
        max_active: 50,
        wait_seconds: Some(185),
        refresh_seconds: 1,
    }
}

/// A server that tells polls what a test wants them to be told.
pub struct Room(pub Nginx);

impl Room {
    /// Starts it.
    pub fn start() -> Self {
        let log = "log_format polls 'request=$request\\tstatus=$status\\taccept=$http_accept';\n";
        let setup = Setup::without_module().http(log);
        let log = format!("access_log {}/access.log polls;\n", setup.prefix().display());
        Self(setup.server(&log).server(ROOM).start())
    }

    /// The page that the next visitor gets.
    pub fn show(&self, report: &Report, method: Method) {
        self.write("page.html", &rendered(report, Language::English, method));
    }

    /// The site itself, which the next visitor gets.
    pub fn open(&self) {
        self.write("page.html", b"<!doctype html><title>Site</title><p id=site>Welcome");
    }

    /// What polls are told from now on.
    pub fn tell(&self, report: &Report) {
        let mut bytes = Vec::new();
        json::write(report, &mut bytes).expect("memory takes everything");
        self.write("told.json", &bytes);
    }

    /// Changes one of its files, in one moment.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.prefix().join("html").join(name);
        fs::write(path.with_extension("new"), bytes).expect("a file");
        fs::rename(path.with_extension("new"), path).expect("a file");
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/some/where?a=1&b=%20#there", self.0.port())
    }

    /// What was asked for by polls: the values of `Accept`.
    pub fn polls(&self) -> Vec<String> {
        let accepts = self.0.access_log().into_iter().map(|mut entry| entry.remove("accept"));
        accepts.flatten().filter(|accept| accept.starts_with(ROOM_TYPE)).collect()
    }

    /// How often its page was asked for.
    pub fn visits(&self, method: &str) -> usize {
        let is_visit = |entry: &HashMap<String, String>| {
            entry["request"].starts_with(&format!("{method} /some/where?a=1&b=%20 "))
                && !entry["accept"].starts_with(ROOM_TYPE)
        };
        self.0.access_log().iter().filter(|entry| is_visit(entry)).count()
    }
}

/// The builtin page.
pub fn rendered(report: &Report, language: Language, method: Method) -> Vec<u8> {
    let mut bytes = Vec::new();
    page::render(report, language, method, &mut bytes).expect("memory takes everything");
    bytes
}

/// A tab that shows the page of one who waits at place 12.
pub fn visit<'b>(room: &Room, browser: &'b Browser, method: Method) -> Tab<'b> {
    room.show(&waiting(Some(12)), method);
    room.tell(&waiting(Some(12)));
    let tab = browser.visitor();
    tab.go(&room.url());
    tab
}
