//! Buffers as metrics: what was counted, and where a change is advised.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::family::{counter, gauge, numbers, samples, Labels, Number};
use crate::core::advice::{self, Advice, State};
use crate::core::report::buffers::{Buffers, Location, Protocol, Server};

pub(super) fn write(buffers: &Buffers, out: &mut dyn Write) -> io::Result<()> {
    let locations = buffers.locations.iter();
    numbers(&LOCATIONS, locations.clone().map(|it| (labels(it), it)), out)?;
    let responses = locations.clone().flat_map(|location| {
        let counted = Protocol::ALL.into_iter().zip(location.measured.upstream.by_protocol);
        counted.filter(|(_, count)| *count > 0).map(|(protocol, count)| {
            let [server, place] = labels(location);
            ([server, place, ("protocol", protocol.prefix().as_bytes())], count)
        })
    });
    samples(
        counter("ngx_smart_buffers_upstream_responses_total", "Answers of upstreams."),
        responses,
        out,
    )?;
    samples(
        gauge(
            "ngx_smart_buffers_advised",
            "Whether another setting of buffers is advised: 1 if it is.",
        ),
        advised(buffers).into_iter().map(|(labels, is_advised)| (labels, u64::from(is_advised))),
        out,
    )?;
    let servers = buffers.servers.iter();
    numbers(&SERVERS, servers.map(|it| ([("server", it.server.as_slice())], it)), out)
}

/// Whether a change is advised of each location, and of each server itself, which has no location's name. Nor has what
/// was asked of a server and no location has taken: the two are one.
fn advised(buffers: &Buffers) -> BTreeMap<Labels<'_, 2>, bool> {
    let is_change = |advice: Advice| advice.state == State::Change;
    let locations = buffers.locations.iter();
    let of_location = |it| (labels(it), is_change(advice::of_location(it, &buffers.host)));
    let mut advised: BTreeMap<_, _> = locations.map(of_location).collect();
    for server in &buffers.servers {
        let itself: Labels<2> = [("server", &server.server), ("location", b"")];
        *advised.entry(itself).or_default() |= is_change(advice::of_server(server));
    }
    advised
}

fn labels(location: &Location) -> Labels<'_, 2> {
    [("server", &location.server), ("location", &location.location)]
}

const LOCATIONS: [Number<Location>; 4] = [
    (counter("ngx_smart_buffers_requests_total", "Requests that were measured."), |location| {
        location.measured.requests
    }),
    (
        counter(
            "ngx_smart_buffers_request_bodies_spilled_total",
            "Bodies of requests that were written to a file because the buffer was too small.",
        ),
        |location| location.measured.bodies_spilled,
    ),
    (
        counter(
            "ngx_smart_buffers_upstream_spilled_total",
            "Answers of upstreams that were written to a file because the buffers were too small.",
        ),
        |location| location.measured.upstream.spilled,
    ),
    (
        counter(
            "ngx_smart_buffers_upstream_header_too_big_total",
            "Answers of upstreams whose header was too big for the buffer; inferred.",
        ),
        |location| location.measured.upstream.header_too_big,
    ),
];

const SERVERS: [Number<Server>; 1] = [(
    counter(
        "ngx_smart_buffers_client_header_too_big_total",
        "Requests whose header was too big for the buffers; inferred.",
    ),
    |server| server.header_too_big,
)];
