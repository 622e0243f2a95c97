//! A real browser: Chromium without a window, told by the DevTools protocol over a pipe what to do. One
//! process is the browsers of several visitors, each with cookies of his own.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::thread;

use base64::prelude::{Engine, BASE64_STANDARD};
use serde_json::{json, Value};
use tempfile::TempDir;

use super::{holds_within, patience};

/// Nothing but the pages that a test opens: no updates, no first questions.
const FLAGS: [&str; 12] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
];

/// The browser reads commands from descriptor 3 and writes to 4; it ends when nobody holds the other ends.
const ON_PIPES: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// A running browser.
pub struct Browser {
    child: Child,
    commands: RefCell<Option<ChildStdin>>,
    messages: Receiver<Value>,
    last: Cell<u64>,
    events: RefCell<Vec<Value>>,
    _profile: TempDir,
}

impl Browser {
    /// Starts one.
    pub fn start() -> Self {
        Self::start_with(&json!({}))
    }

    /// Starts one in which its user has forbidden cookies.
    pub fn without_cookies() -> Self {
        const BLOCK: u8 = 2;
        Self::start_with(
            &json!({ "profile": { "default_content_setting_values": { "cookies": BLOCK } } }),
        )
    }

    fn start_with(preferences: &Value) -> Self {
        let profile = tempfile::Builder::new().prefix("ngx-smart-").tempdir().expect("a directory");
        let default = profile.path().join("Default");
        fs::create_dir(&default).expect("a directory");
        fs::write(default.join("Preferences"), preferences.to_string()).expect("a file");
        let found = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|at| at.join("chromium").exists())
        });
        assert!(found, "there is no chromium in PATH: run scripts/setup");
        let mut child = Command::new("sh")
            .args(["-c", ON_PIPES, "sh", "chromium"])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromium starts");
        let commands = RefCell::new(child.stdin.take());
        let output = child.stdout.take().expect("a pipe");
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("a message is JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let (last, events) = (Cell::new(0), RefCell::default());
        Self { child, commands, messages, last, events, _profile: profile }
    }

    /// The only tab of a new visitor's browser.
    pub fn visitor(&self) -> Tab<'_> {
        let context = self.call(None, "Target.createBrowserContext", json!({}));
        Tab::open(self, context["browserContextId"].clone())
    }

    /// The answer to a command; panics if it is refused.
    #[track_caller]
    fn call(&self, session: Option<&Value>, method: &str, parameters: Value) -> Value {
        match self.try_call(session, method, parameters) {
            Ok(result) => result,
            Err(error) => panic!("{method}: {error}"),
        }
    }

    #[track_caller]
    fn try_call(
        &self,
        session: Option<&Value>,
        method: &str,
        parameters: Value,
    ) -> Result<Value, Value> {
        let id = self.last.get() + 1;
        self.last.set(id);
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            command["sessionId"] = session.clone();
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        let mut pipe = self.commands.borrow_mut();
        pipe.as_mut().expect("the browser runs").write_all(&bytes).expect("the browser reads");
        loop {
            let answer = self.messages.recv_timeout(patience());
            let mut message = answer.unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == id {
                return match message.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(message["result"].take()),
                };
            }
            self.events.borrow_mut().push(message);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without its pipe it has nobody to serve.
        drop(self.commands.take());
        if !holds_within(patience(), || self.child.try_wait().is_ok_and(|end| end.is_some())) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A tab.
pub struct Tab<'b> {
    browser: &'b Browser,
    context: Value,
    target: Value,
    session: Value,
}

impl<'b> Tab<'b> {
    fn open(browser: &'b Browser, context: Value) -> Self {
        let place = json!({ "url": "about:blank", "browserContextId": context });
        let target = browser.call(None, "Target.createTarget", place)["targetId"].clone();
        let attach = json!({ "targetId": target, "flatten": true });
        let session = browser.call(None, "Target.attachToTarget", attach)["sessionId"].clone();
        let tab = Self { browser, context, target, session };
        tab.call("Page.enable", json!({}));
        tab
    }

    /// Another tab of the same visitor, in front of the others.
    pub fn another(&self) -> Self {
        let tab = Self::open(self.browser, self.context.clone());
        tab.to_front();
        tab
    }

    /// Goes to an address and waits until it is shown.
    #[track_caller]
    pub fn go(&self, url: &str) {
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert!(answer.get("errorText").is_none(), "{url}: {answer}");
        self.wait_for("document.readyState === 'complete'");
    }

    /// Comes before the visitor's eyes; his other tabs are hidden then.
    pub fn to_front(&self) {
        self.call("Page.bringToFront", json!({}));
    }

    /// Ends the visit.
    pub fn close(self) {
        self.browser.call(None, "Target.closeTarget", json!({ "targetId": self.target }));
    }

    /// Runs no scripts of pages any more.
    pub fn forbid_scripts(&self) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    }

    /// What the visitor has told his browser that he likes, e.g. `prefers-color-scheme` and `dark`.
    pub fn prefer(&self, feature: &str, value: &str) {
        let features = json!([{ "name": feature, "value": value }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// The languages that the visitor reads, as `Accept-Language` tells them.
    pub fn read(&self, languages: &str) {
        let header = json!({ "headers": { "Accept-Language": languages } });
        self.call("Network.enable", json!({}));
        self.call("Network.setExtraHTTPHeaders", header);
    }

    /// The size of his window.
    pub fn resize(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// What an expression is in the page; null while one page gives way to another.
    #[track_caller]
    pub fn evaluate(&self, expression: &str) -> Value {
        let script = json!({ "expression": expression, "returnByValue": true });
        let Ok(mut answer) = self.try_call("Runtime.evaluate", script) else {
            return Value::Null;
        };
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub fn wait_for(&self, expression: &str) {
        // A document that is just coming has no body yet.
        let safe =
            format!("(() => {{ try {{ return ({expression}) }} catch {{ return false }} }})()");
        let is_so = || self.evaluate(&safe) == true;
        assert!(
            holds_within(patience(), is_so),
            "waited in vain: {expression}; the page is {}",
            self.evaluate("document.documentElement.outerHTML")
        );
    }

    /// The text that the visitor can read in the element with this id; empty if there is none.
    #[track_caller]
    pub fn text(&self, id: &str) -> String {
        let script = format!(
            "(element => element?.checkVisibility() ? element.innerText : '')
            (document.getElementById({id:?}))"
        );
        self.evaluate(&script).as_str().unwrap_or_default().to_owned()
    }

    /// The page's title.
    #[track_caller]
    pub fn title(&self) -> String {
        self.evaluate("document.title").as_str().unwrap_or_default().to_owned()
    }

    /// The page's address.
    #[track_caller]
    pub fn url(&self) -> String {
        self.evaluate("location.href").as_str().unwrap_or_default().to_owned()
    }

    /// Clicks on the element with this id, as a person would.
    #[track_caller]
    pub fn click(&self, id: &str) {
        let script = format!("document.getElementById({id:?}).click()");
        let user = json!({ "expression": script, "userGesture": true });
        let answer = self.call("Runtime.evaluate", user);
        assert!(answer.get("exceptionDetails").is_none(), "{script}: {answer}");
    }

    /// How many documents it has shown so far, the empty one of its beginning not counted.
    #[track_caller]
    pub fn documents(&self) -> usize {
        // What has happened until now has arrived when this is answered.
        self.evaluate("0");
        let events = self.browser.events.borrow();
        let is_ours = |event: &&Value| {
            event["sessionId"] == self.session
                && event["method"] == "Page.frameNavigated"
                && event["params"]["frame"].get("parentId").is_none()
        };
        events.iter().filter(is_ours).count()
    }

    /// Notes from now on what the browser complains of.
    pub fn note_complaints(&self) {
        self.call("Log.enable", json!({}));
        self.call("Runtime.enable", json!({}));
    }

    /// What it has complained of: errors of scripts, breaches of a Content-Security-Policy, requests that failed;
    /// also the messages that pages have put before the visitor.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        // What has happened until now has arrived when this is answered.
        self.evaluate("0");
        let events = self.browser.events.borrow();
        let is_complaint = |event: &&Value| {
            event["sessionId"] == self.session
                && match event["method"].as_str().unwrap_or_default() {
                    "Log.entryAdded" => event["params"]["entry"]["level"] == "error",
                    "Runtime.consoleAPICalled" => event["params"]["type"] == "error",
                    method => ["Runtime.exceptionThrown", "Page.javascriptDialogOpening"]
                        .contains(&method),
                }
        };
        events.iter().filter(is_complaint).map(Value::to_string).collect()
    }

    /// What the visitor sees, as a PNG file.
    #[track_caller]
    pub fn take_picture(&self, path: &Path) {
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let data = picture["data"].as_str().expect("a picture");
        let mut bytes = vec![0; data.len()];
        let length = BASE64_STANDARD.decode_slice(data, &mut bytes).expect("base64");
        fs::write(path, &bytes[..length]).expect("a file");
    }

    #[track_caller]
    fn call(&self, method: &str, parameters: Value) -> Value {
        self.browser.call(Some(&self.session), method, parameters)
    }

    #[track_caller]
    fn try_call(&self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.browser.try_call(Some(&self.session), method, parameters)
    }
}
