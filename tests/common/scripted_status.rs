//! A status interface that tells its page what a test wants it to be told.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use ngx_http_smart_module::core::report::{json, page, History, KeyState, Status};

use super::browser::{Browser, Tab};
use super::nginx::Nginx;
use super::setup::Setup;

/// A server that has the page, and what its script asks for, at `/ops/`.
pub struct Interface(pub Nginx);

impl Interface {
    /// Starts it, with nothing to tell.
    pub fn start() -> Self {
        let location = format!(
            "index index.html; types {{ text/html html; application/json json; }} charset utf-8;
            etag off; if_modified_since off; add_header Content-Security-Policy \"{}\";",
            page::CONTENT_SECURITY_POLICY
        );
        let setup = Setup::without_module().location("/ops/", &location);
        Self(setup.document("ops/index.html", page::page()).start())
    }

    /// What its page is told from now on, as if it were now.
    pub fn tell(&self, status: &Status, history: &History) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let mut bytes = Vec::new();
        json::status(&Status { time, ..status.clone() }, &mut bytes).expect("memory");
        self.write("status.json", &bytes);
        bytes.clear();
        json::history(&History { time, ..history.clone() }, &mut bytes).expect("memory");
        self.write("history.json", &bytes);
    }

    /// What it is told of a limit's heaviest keys.
    pub fn tell_top(&self, limit: &str, keys: &[KeyState]) {
        let mut bytes = Vec::new();
        json::top(limit.as_bytes(), keys, &mut bytes).expect("memory");
        fs::create_dir_all(self.0.prefix().join("html/ops/limits")).expect("a directory");
        self.write(&format!("limits/{limit}"), &bytes);
    }

    /// A tab with its page, which has been told something.
    pub fn visit<'b>(&self, browser: &'b Browser) -> Tab<'b> {
        let tab = browser.visitor();
        tab.note_complaints();
        tab.go(&format!("http://127.0.0.1:{}/ops/", self.0.port()));
        tab.wait_for("document.title.includes(' · ')");
        tab
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.prefix().join("html/ops").join(name);
        fs::write(path.with_extension("new"), bytes).expect("a file");
        fs::rename(path.with_extension("new"), path).expect("a file");
    }
}
