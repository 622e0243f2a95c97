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

/// The most instructions that a request may take.
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

const CASES: [Case; 6] = [
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
        headers: &[("Accept-Encoding", "gzip")],
        body: 0,
    },
];

/// The application behind nginx: another nginx, which is not counted.
fn backend() -> Configuration {
    Configuration {
        name: "backend".to_owned(),
        workers: 1,
        modules: Vec::new(),
        http: "default_type text/html;\n".to_owned(),
        server: "location /short { return 200 'a short answer'; }\n\
                 location /accel { add_header X-Accel-Redirect /gif; return 200; }\n"
            .to_owned(),
    }
}

fn front(port: u16) -> Result<Configuration> {
    let locations = CASES.iter().map(|Case { location, directives, .. }| {
        format!("location = {location} {{ {directives} }}\n")
    });
    Ok(Configuration {
        name: "front".to_owned(),
        workers: 1,
        modules: our_module()?,
        http: format!(
            "smart_buffers_zone 1m;\nsmart_buffers on;\n\
             upstream backend {{ server 127.0.0.1:{port}; keepalive 4; }}\n\
             proxy_http_version 1.1;\nproxy_set_header Connection \"\";\n"
        ),
        server: locations.collect(),
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
    let mut ask = || {
        let answer = client.request(method, case.location, case.headers, &body);
        let status = answer.status;
        ensure!(status == 200, "{} is answered with status {status}", case.location);
        Ok(())
    };
    // The first requests also find the functions of shared objects, and the records.
    ask()?;
    ask()?;
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
        writeln!(out, "| {} | {:.0} | ≤ {TARGET} |", case.what, profile.total)?;
    }
    Ok(out)
}
