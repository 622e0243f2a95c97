//! Instructions in user space that `smart_buffers` takes for a request, with all that its handler calls.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};

use crate::callgrind::{Profile, Profiled};
use crate::common::client::Client;
use crate::nginx::{our_module, version, Configuration, Nginx};
use crate::site::Site;

/// Requests that are counted of each kind.
const REQUESTS: usize = 1_000;

/// The most instructions that a request should take.
const TARGET: f64 = 250.0;

/// The handler of the LOG phase.
const HANDLER: &str = "ngx_http_smart_buffers_handler";

/// A kind of request.
struct Case {
    what: &'static str,
    location: &'static str,
    /// The location's directives.
    directives: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: usize,
}

const CASES: [Case; 12] = [
    Case {
        what: "a location that is not measured",
        location: "/off",
        directives: "smart_buffers off; empty_gif;",
        headers: &[],
        body: 0,
    },
    Case {
        what: "an answer of nginx's own",
        location: "/gif",
        directives: "empty_gif;",
        headers: &[],
        body: 0,
    },
    Case {
        what: "an upstream's answer",
        location: "/proxy",
        directives: "proxy_pass http://backend/short;",
        headers: &[],
        body: 0,
    },
    Case {
        what: "an upstream's answer to a body of 4k",
        location: "/body",
        directives: "proxy_pass http://backend/short;",
        headers: &[],
        body: 4096,
    },
    Case {
        what: "a location that an upstream's `X-Accel-Redirect` has led to",
        location: "/accel",
        directives: "proxy_pass http://backend/accel;",
        headers: &[],
        body: 0,
    },
    Case {
        what: "an upstream's answer, compressed",
        location: "/gzip",
        directives: "proxy_pass http://backend/long; gzip on; gzip_proxied any;",
        headers: COMPRESSED,
        body: 0,
    },
    Case {
        what: "the same, to a body of 4k",
        location: "/gzip-body",
        directives:
            "proxy_pass http://backend/short; gzip on; gzip_proxied any; gzip_min_length 1;",
        headers: COMPRESSED,
        body: 4096,
    },
    Case {
        what: "a compressed page that `X-Accel-Redirect` has led to",
        location: "/accel-gzip",
        directives: "proxy_pass http://backend/accel-gzip;",
        headers: COMPRESSED,
        body: 0,
    },
    Case {
        what: "the same, to a body of 4k",
        location: "/accel-gzip-body",
        directives: "proxy_pass http://backend/accel-gzip;",
        headers: COMPRESSED,
        body: 4096,
    },
    Case {
        what: "`X-Accel-Redirect` from two of 64 locations in turns",
        location: TURNS[0],
        directives: "proxy_pass http://backend/accel;",
        headers: &[],
        body: 0,
    },
    Case {
        what: "the same, to a compressed page",
        location: TURNS[1],
        directives: "proxy_pass http://backend/accel-gzip;",
        headers: COMPRESSED,
        body: 0,
    },
    Case {
        what: "the same, to a body of 4k",
        location: TURNS[2],
        directives: "proxy_pass http://backend/accel-gzip;",
        headers: COMPRESSED,
        body: 4096,
    },
];

/// The headers of a request whose answer is compressed.
const COMPRESSED: &[(&str, &str)] = &[("Accept-Encoding", "gzip")];

/// Locations of which there are several, numbered, with the same directives.
const TURNS: [&str; 3] = ["/turns", "/turns-gzip", "/turns-gzip-body"];

/// How many locations take no part but in the search for one.
const OTHERS: usize = 58;

impl Case {
    /// The locations that are asked, one after the other.
    fn paths(&self) -> impl Iterator<Item = String> {
        let location = self.location;
        let many = TURNS.contains(&location);
        (0..if many { 2 } else { 1 }).map(move |number| match many {
            true => format!("{location}-{number}"),
            false => location.to_owned(),
        })
    }
}

/// The application behind nginx: another nginx, which is not counted.
fn backend() -> Configuration {
    Configuration {
        name: "backend".to_owned(),
        workers: 1,
        modules: Vec::new(),
        http: "default_type text/html;\n".to_owned(),
        server: "location /short { return 200 'a short answer'; }\n\
                 location = /accel { add_header X-Accel-Redirect /gif; return 200; }\n\
                 location = /accel-gzip { add_header X-Accel-Redirect /long; return 200; }\n"
            .to_owned(),
    }
}

fn front(port: u16) -> Result<Configuration> {
    let own = CASES.iter().flat_map(|case| {
        case.paths().map(|path| format!("location = {path} {{ {} }}\n", case.directives))
    });
    let others = (0..OTHERS).map(|number| {
        format!("location = /other{number} {{ proxy_pass http://backend/short; }}\n")
    });
    let page = "location = /long { default_type text/html; gzip on; }\n".to_owned();
    Ok(Configuration {
        name: "front".to_owned(),
        workers: 1,
        modules: our_module()?,
        http: format!(
            "smart_buffers_zone 1m;\nsmart_buffers on;\n\
             upstream backend {{ server 127.0.0.1:{port}; keepalive 4; }}\n\
             proxy_http_version 1.1;\nproxy_set_header Connection \"\";\n"
        ),
        server: own.chain(others).chain([page]).collect(),
    })
}

/// Counts, prints a table and writes it to `output`.
pub fn run(output: &PathBuf) -> Result<()> {
    let site = Site::make(0)?;
    site.write("long", "smart ".repeat(2_000))?;
    let backend = Nginx::start(&site, &backend())?;
    let options = ["--instr-atstart=no".to_owned(), format!("--toggle-collect={HANDLER}")];
    let mut nginx = Profiled::start(&site, &front(backend.port())?, &options)?;
    nginx.instrument()?;
    let profiles =
        CASES.iter().map(|case| profile(&mut nginx, case)).collect::<Result<Vec<Profile>>>()?;
    nginx.end();
    backend.end();

    let table = table(&profiles)?;
    println!("{table}");
    fs::create_dir_all(output)?;
    let file = output.join("buffers.md");
    fs::write(&file, table).with_context(|| file.display().to_string())
}

fn profile(nginx: &mut Profiled, case: &Case) -> Result<Profile> {
    let mut client = Client::connect(nginx.port());
    let body = vec![b'x'; case.body];
    let method = if case.body > 0 { "POST" } else { "GET" };
    let mut paths = case.paths().collect::<Vec<_>>().into_iter().cycle();
    let mut ask = || {
        let path = paths.next().context("a path")?;
        let answer = client.request(method, &path, case.headers, &body);
        let status = answer.status;
        ensure!(status == 200, "{path} is answered with status {status}");
        let is_compressed = answer.header("Content-Encoding").is_some();
        ensure!(is_compressed != case.headers.is_empty(), "{path}: compressed {is_compressed}");
        Ok(())
    };
    // The first requests also find the functions of shared objects, and the records.
    (0..4).try_for_each(|_| ask())?;
    nginx.count(REQUESTS, || (0..REQUESTS).try_for_each(|_| ask()))
}

fn table(profiles: &[Profile]) -> Result<String> {
    let mut out = format!(
        "# What `smart_buffers` takes\n\n\
         Instructions in user space of its handler, with all that it calls, for a request: callgrind, \
         nginx {}, {REQUESTS} requests each. Written by `scripts/bench buffers`.\n\n\
         | request | instructions | target |\n|---|---:|---:|\n",
        version()?
    );
    for (case, profile) in CASES.iter().zip(profiles) {
        let missed = if profile.total.round() > TARGET { ", missed" } else { "" };
        writeln!(out, "| {} | {:.0} | ≤ {TARGET}{missed} |", case.what, profile.total)?;
    }
    Ok(out)
}
