//! What the advice about buffers is worth: a mixture of responses before and after it is followed.
//!
//! `cargo test … --test nginx buffers::effect -- --nocapture` prints both.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::common::client::{request, Client};
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::preload::Preload;
use crate::common::process;
use crate::common::setup::{self, Setup};
use crate::common::strace::{Calls, Counting};
use serde_json::Value;

/// Bytes of a request's body.
const BODY: usize = 24_000;

/// Bytes of most responses, and of one in [`LONG_ONE_IN`].
const SHORT: usize = 30_000;
const LONG: usize = 300_000;
const LONG_ONE_IN: usize = 20;

/// Clients at a time, and how often each asks before the advice is followed.
const CLIENTS: usize = 50;
const ROUNDS: usize = 30;

/// How often each asks while system calls are counted.
const TRACED: usize = 4;

/// Clients who do not read at once, while memory is looked at.
const WAITING: usize = 100;

/// What nginx logs when it has no room.
const BODY_TO_FILE: &str = "a client request body is buffered to a temporary file";
const RESPONSE_TO_FILE: &str = "an upstream response is buffered to a temporary file";

/// A mixture under way.
struct Site {
    nginx: Nginx,
    preload: Preload,
    _upstream: Nginx,
    _silence: TcpListener,
    /// Where connections hold little of what a client has not read.
    slow: Port,
}

impl Site {
    fn start() -> Option<Self> {
        let (preload, setup) = Preload::into(Setup::new())?;
        let (slow, silent) = (Port::reserve(), Port::reserve());
        let upstream = Setup::without_module()
            .document("mixture/short", &[b's'; SHORT])
            .document("mixture/long", &[b'l'; LONG])
            .location("/mixture/", "error_page 405 =200 $uri;")
            .start();
        // Nobody accepts there, but the kernel connects.
        let silence = silent.listen(1024);
        let nginx = setup
            .measured()
            .server(&format!("listen {} sndbuf=8k;\n", slow.address()))
            .location("/silent/", &format!("proxy_pass http://{};", silent.address()))
            .location(
                "/mixture/",
                &format!("proxy_pass http://127.0.0.1:{}; # the advice\n", upstream.port()),
            )
            .start();
        Some(Self { nginx, preload, _upstream: upstream, _silence: silence, slow })
    }

    /// Each client asks so often, and reads only when all have been answered in part.
    fn ask(&self, rounds: usize) {
        let mut clients: Vec<Client> =
            (0..CLIENTS).map(|_| Client::connect_narrow(self.slow.number())).collect();
        for round in 0..rounds {
            let is_long = |number: usize| (round * CLIENTS + number) % LONG_ONE_IN == 0;
            for (number, client) in clients.iter_mut().enumerate() {
                let path = if is_long(number) { "/mixture/long" } else { "/mixture/short" };
                client.send(request("POST", path, &[], &[b'x'; BODY]));
            }
            clients.iter_mut().for_each(Client::wait_for_some);
            for (number, client) in clients.iter_mut().enumerate() {
                let length = client.read("POST").body.len();
                assert_eq!(length, if is_long(number) { LONG } else { SHORT });
            }
        }
    }

    /// What a number of requests takes.
    fn trace(&self) -> Traced {
        let counting = Counting::of(self.nginx.worker(), self.nginx.prefix());
        let allocations = self.preload.allocations_of(|| self.ask(TRACED));
        Traced { calls: counting.stop(), allocations }
    }

    /// The memory of a request that is answered to a client who does not read, beside that of one which waits for an
    /// upstream: in bytes, and by a worker that has not served anybody before.
    fn memory(&self) -> u64 {
        let held = |path: &str, body: &[u8], is_answered: bool| {
            self.nginx.reload();
            self.nginx.get("/nowhere");
            let worker = self.nginx.worker();
            let before = process::resident_kib(worker);
            let bytes = request("POST", path, &[], body);
            let mut clients: Vec<Client> = (0..WAITING)
                .map(|_| {
                    let mut client = Client::connect_narrow(self.slow.number());
                    client.send(&bytes);
                    client
                })
                .collect();
            if is_answered {
                clients.iter_mut().for_each(Client::wait_for_some);
            }
            // Who asks last is answered when what came before has been done.
            (0..10).for_each(|_| drop(self.nginx.get("/nowhere")));
            process::resident_kib(worker) - before
        };
        let (waiting, answered) =
            (held("/silent/", b"", false), held("/mixture/short", &[b'x'; BODY], true));
        answered.saturating_sub(waiting) * 1024 / WAITING as u64
    }

    fn location(&self) -> Value {
        self.nginx.location("/mixture/")
    }

    /// Lines of the error log about files for want of buffers.
    fn files(&self) -> [usize; 2] {
        let log = self.nginx.error_log();
        [BODY_TO_FILE, RESPONSE_TO_FILE].map(|text| log.matches(text).count())
    }
}

/// The system calls and the allocations of `TRACED * CLIENTS` requests.
struct Traced {
    calls: Calls,
    allocations: u64,
}

impl Traced {
    fn each(calls: u64) -> f64 {
        calls as f64 / (TRACED * CLIENTS) as f64
    }

    fn all(&self) -> f64 {
        Self::each(self.calls.all())
    }

    fn allocations(&self) -> f64 {
        Self::each(self.allocations)
    }

    fn reads(&self) -> f64 {
        Self::each(self.calls.named(&["recvfrom", "readv", "read"]))
    }

    fn of_files(&self) -> f64 {
        Self::each(
            self.calls.named(&["pwrite64", "pwritev", "pread64", "openat", "unlink", "sendfile"]),
        )
    }
}

/// What one of them is told to be in the effect of an advice.
fn effect(advice: &Value, name: &str) -> f64 {
    advice["effect"][name].as_f64().unwrap_or_else(|| panic!("{name} in {advice:#}"))
}

#[test]
fn advice_that_is_followed_spares_files_system_calls_and_allocations() {
    let Some(site) = Site::start() else {
        return;
    };
    let before = site.trace();
    site.ask(ROUNDS);
    let measured = site.location();
    let requests = (CLIENTS * (ROUNDS + TRACED)) as u64;
    assert_eq!(measured["requests"], requests);
    let [bodies, responses] = site.files();
    let counted = &measured["measured"];
    assert_eq!(counted["request_bodies_spilled"], bodies, "as the log says");
    assert_eq!(counted["upstream"]["spilled"], responses, "as the log says");
    assert_eq!(bodies as u64, requests, "each body is longer than the buffer");
    let long = CLIENTS * (ROUNDS + TRACED) / LONG_ONE_IN;
    assert!(responses > long / 2 && responses <= long, "{responses} of {long}");
    let advice = measured["advice"].clone();
    assert_eq!(advice["state"], "change", "{advice:#}");
    let memory_before = site.memory();

    // As it is given, into the location that it is for.
    let snippet = site.nginx.snippet("", "/mixture/").text();
    let file = site.nginx.prefix().join("advice.conf");
    fs::write(&file, &snippet).expect("a file");
    let include = format!("include {};", file.display());
    site.nginx.reconfigure(|text| text.replace("# the advice", &include));
    assert_accepted(&site.nginx, &snippet);
    site.nginx.reload();

    let (spilled, files) = (site.location(), site.files());
    let after = site.trace();
    site.ask(ROUNDS);
    let followed = site.location();
    assert_eq!(site.files(), files, "nothing goes to a file any more\n{snippet}");
    for counter in [&["request_bodies_spilled"][..], &["upstream", "spilled"]] {
        let told = |location: &Value| {
            counter.iter().fold(&location["measured"], |value, name| &value[*name]).clone()
        };
        assert_eq!(told(&followed), told(&spilled), "{counter:?}");
    }
    assert_eq!(followed["advice"]["state"], "fine", "nothing more to change: {followed:#}");
    let memory_after = site.memory();

    println!("{snippet}");
    println!("per response of {SHORT} bytes, one in {LONG_ONE_IN} of {LONG}; bodies of {BODY}");
    println!("                     before    after");
    println!("system calls       {:>8.1} {:>8.1}", before.all(), after.all());
    println!("reads              {:>8.1} {:>8.1}", before.reads(), after.reads());
    println!("calls for files    {:>8.1} {:>8.1}", before.of_files(), after.of_files());
    println!("allocations        {:>8.1} {:>8.1}", before.allocations(), after.allocations());
    println!("memory, bytes      {memory_before:>8} {memory_after:>8}");
    let predicted = ["memory_before_bytes", "memory_after_bytes"].map(|name| effect(&advice, name));
    println!("memory, predicted  {:>8} {:>8}", predicted[0], predicted[1]);

    assert!(after.all() < before.all() * 0.8, "system calls");
    assert!(after.reads() < before.reads() * 0.8, "reads");
    assert!(after.allocations() < before.allocations() * 0.8, "allocations");
    assert_eq!(after.of_files(), 0.0, "calls for files");
    for (measured, predicted) in [memory_before, memory_after].into_iter().zip(predicted) {
        let ratio = measured as f64 / predicted;
        assert!((0.8..1.2).contains(&ratio), "{measured} bytes, predicted {predicted}");
    }
    // Shares of the mixture, whose quantiles are an eighth too high at most.
    let share = 1.0 / LONG_ONE_IN as f64;
    assert!((effect(&advice, "spilled_before") - share).abs() < 0.01);
    assert_eq!(effect(&advice, "spilled_after"), 0.0);
    assert_eq!(effect(&advice, "one_buffer_before"), 0.0);
    assert!((effect(&advice, "one_buffer_after") - (1.0 - share)).abs() < 0.01);
}

/// Bytes of a file that is compressed, and a part of it that only a number tells from others.
const FILE: usize = 85_000;
const LINE: &str = "so it goes, and so it went before ";

#[test]
fn a_compressed_file_is_read_at_once_if_advice_is_followed() {
    let lines: String = (0..FILE).step_by(LINE.len()).map(|at| format!("{LINE}{at}\n")).collect();
    let file = &lines.as_bytes()[..FILE];
    let nginx = Setup::new()
        .measured()
        .document("texts/page.txt", file)
        .location("/texts/", "sendfile off; gzip on; gzip_types text/plain; # the advice\n")
        .start();
    let ask = |times: usize| {
        let mut client = nginx.connect();
        (0..times).for_each(|_| {
            let answer = client.get_with("/texts/page.txt", &[("Accept-Encoding", "gzip")]);
            assert_eq!(answer.header("Content-Encoding"), Some("gzip"));
            assert!(answer.body.len() < FILE / 3, "{} bytes", answer.body.len());
        });
    };
    let reads = || {
        let counting = Counting::of(nginx.worker(), nginx.prefix());
        ask(10);
        counting.stop().named(&["pread64"])
    };
    assert_eq!(reads(), 30, "three of 32k");
    (0..2).for_each(|_| ask(500));
    let measured = nginx.location_after("/texts/", 1010);
    let told = &measured["measured"]["response"];
    let mean = told["mean"].as_f64().expect("a mean");
    assert!((mean / FILE as f64 - 1.0).abs() < 0.01, "as it was read: {told}");
    let advice = &measured["advice"];
    let directive = &advice["directives"][0];
    assert_eq!(
        (&directive["directive"], &directive["advised"]),
        (&"output_buffers".into(), &"2 88k".into())
    );
    assert_eq!(
        [effect(advice, "one_buffer_before"), effect(advice, "one_buffer_after")],
        [0.0, 1.0]
    );
    // What is read, and what that becomes.
    let memory = effect(advice, "memory_after_bytes");
    assert!(memory > FILE as f64 + 4096.0 && memory < FILE as f64 * 1.4, "{advice:#}");

    let snippet = nginx.snippet("", "/texts/").text();
    nginx.reconfigure(|text| text.replace("# the advice", &snippet));
    assert_accepted(&nginx, &snippet);
    nginx.reload();
    assert_eq!(reads(), 10, "{snippet}");
    assert_eq!(nginx.location("/texts/")["advice"]["state"], "fine");
}

/// `nginx -t` must take the configuration.
#[track_caller]
fn assert_accepted(nginx: &Nginx, snippet: &str) {
    let output = Command::new(setup::binary())
        .args(["-t", "-q", "-e", "stderr", "-p"])
        .arg(nginx.prefix())
        .arg("-c")
        .arg(nginx.prefix().join("nginx.conf"))
        .output()
        .expect("nginx -t");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{snippet}");
}
