//! Lookups of `http_sendfile` as metrics.

use std::io::{self, Write};

use super::family::{counter, gauge, histogram, histograms, numbers, samples, Number};
use crate::core::decimal::Decimal;
use crate::core::report::{Cache, Sendfile, Server, LOOKUP_BOUNDS};

pub(super) fn write(sendfile: &Sendfile, out: &mut dyn Write) -> io::Result<()> {
    let by_outcome = || {
        let outcomes = sendfile.by_outcome();
        outcomes.map(|(outcome, count, time)| ([("outcome", outcome.as_bytes())], count, time))
    };
    samples(
        counter("ngx_smart_sendfile_lookups_total", "Lookups by what has become of them."),
        by_outcome().map(|(labels, count, _)| (labels, count)),
        out,
    )?;
    samples(
        counter("ngx_smart_sendfile_lookup_seconds_total", "How long lookups took together."),
        by_outcome().map(|(labels, _, time)| (labels, Decimal::of_millionths(time))),
        out,
    )?;
    histograms(
        histogram(
            "ngx_smart_sendfile_lookup_duration_seconds",
            "How long those lookups took that asked the store.",
        ),
        &LOOKUP_BOUNDS,
        Decimal::of_millionths,
        [([], &sendfile.latency)].into_iter(),
        out,
    )?;
    numbers(&SENDFILE, [([], sendfile)].into_iter(), out)?;
    let servers = sendfile.servers.iter();
    numbers(&SERVERS, servers.map(|it| ([("server", it.address.as_slice())], it)), out)?;
    let caches = sendfile.caches.iter();
    numbers(&CACHES, caches.map(|it| ([("zone", it.name.as_slice())], it)), out)
}

const SENDFILE: [Number<Sendfile>; 1] =
    [(gauge("ngx_smart_sendfile_in_flight", "Requests that wait for the store."), |sendfile| {
        sendfile.in_flight
    })];

const SERVERS: [Number<Server>; 7] = [
    (gauge("ngx_smart_sendfile_server_connections", "Connections that are open."), |server| {
        server.connections
    }),
    (
        gauge(
            "ngx_smart_sendfile_server_in_flight",
            "Questions that the server owes an answer to.",
        ),
        |server| server.in_flight,
    ),
    (
        counter(
            "ngx_smart_sendfile_server_questions_total",
            "Questions that the server was asked.",
        ),
        |server| server.questions,
    ),
    (
        counter("ngx_smart_sendfile_server_connects_total", "Connections that were made."),
        |server| server.connects,
    ),
    (
        counter(
            "ngx_smart_sendfile_server_reconnects_total",
            "Connections that took the place of one that was lost.",
        ),
        |server| server.reconnects,
    ),
    (
        counter(
            "ngx_smart_sendfile_server_failures_total",
            "Times that the server could not be reached, broke off, or answered nonsense.",
        ),
        |server| server.failures,
    ),
    (
        counter(
            "ngx_smart_sendfile_server_timeouts_total",
            "Times that the server did not answer, or could not be reached, in time.",
        ),
        |server| server.timeouts,
    ),
];

const CACHES: [Number<Cache>; 4] = [
    (gauge("ngx_smart_sendfile_cache_size_bytes", "Size of the zone."), |cache| cache.size),
    (
        gauge(
            "ngx_smart_sendfile_cache_entries",
            "Entries that the cache holds, of paths and of misses.",
        ),
        |cache| cache.entries,
    ),
    (gauge("ngx_smart_sendfile_cache_misses", "Misses that the cache holds."), |cache| {
        cache.misses
    }),
    (
        counter("ngx_smart_sendfile_cache_evictions_total", "Entries that gave way to others."),
        |cache| cache.evicted,
    ),
];
