//! The status as Prometheus reads it: its text format, version 0.0.4.

mod buffers;
mod family;
mod sendfile;

use std::io::{self, Write};

use self::family::{counter, gauge, histogram, histograms, numbers, samples, Number};
use super::{Kind, Limit, Room, Status, VERDICTS, WAIT_BOUNDS};
use crate::core::decimal::Decimal;

/// `metrics`.
///
/// # Errors
///
/// Those of `out`.
pub fn metrics(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let info = [("version", status.version.as_bytes()), ("nginx", status.nginx.as_bytes())];
    samples(gauge("ngx_smart_info", "What runs; always 1."), [(info, 1)], out)?;
    numbers(&STATUS, [([], status)].into_iter(), out)?;
    status.sendfile.iter().try_for_each(|it| sendfile::write(it, out))?;
    limits(&status.limits, out)?;
    rooms(&status.rooms, out)?;
    status.buffers.iter().try_for_each(|it| buffers::write(it, out))
}

const STATUS: [Number<Status>; 2] = [
    (counter("ngx_smart_panics_total", "Panics that were caught."), |status| status.panics),
    (
        gauge(
            "ngx_smart_config_last_reload_timestamp_seconds",
            "When the configuration was taken into use.",
        ),
        |status| status.configured,
    ),
];

fn limits(limits: &[Limit], out: &mut dyn Write) -> io::Result<()> {
    let of_outcomes = limits.iter().flat_map(|limit| {
        let verdicts = Kind::Limit.columns().iter().zip(limit.values()).take(VERDICTS);
        verdicts.map(|(outcome, count)| {
            ([("zone", limit.name.as_slice()), ("outcome", outcome.as_bytes())], count)
        })
    });
    let requests = counter("ngx_smart_limit_requests_total", "Requests by what the limit said.");
    samples(requests, of_outcomes, out)?;
    numbers(&LIMITS, limits.iter().map(|limit| ([("zone", limit.name.as_slice())], limit)), out)?;
    let evictions = limits.iter().flat_map(|limit| {
        [("false", limit.evicted), ("true", limit.evicted_in_debt)].map(|(debt, count)| {
            ([("zone", limit.name.as_slice()), ("debt", debt.as_bytes())], count)
        })
    });
    let family = counter(
        "ngx_smart_limit_evictions_total",
        "Keys that gave way to others, by whether they still owed requests.",
    );
    samples(family, evictions, out)
}

const LIMITS: [Number<Limit>; 2] = [
    (gauge("ngx_smart_limit_keys", "Keys that the zone holds."), |limit| limit.keys),
    (gauge("ngx_smart_limit_keys_max", "Keys that the zone has room for."), |limit| limit.capacity),
];

fn rooms(rooms: &[Room], out: &mut dyn Write) -> io::Result<()> {
    let named = rooms.iter().map(|room| ([("room", room.name.as_slice())], room));
    numbers(&ROOMS, named.clone(), out)?;
    histograms(
        histogram("ngx_smart_room_wait_seconds", "How long those waited who were admitted."),
        &WAIT_BOUNDS,
        Decimal::of_thousandths,
        named.map(|(labels, room)| (labels, &room.wait)),
        out,
    )
}

const ROOMS: [Number<Room>; 15] = [
    (gauge("ngx_smart_room_waiting", "Visitors who wait."), |room| room.waiting),
    (gauge("ngx_smart_room_waiting_max", "Visitors who may wait."), |room| room.max_waiting),
    (gauge("ngx_smart_room_seats", "Seats that are taken."), |room| room.active),
    (gauge("ngx_smart_room_seats_max", "Seats that may be taken."), |room| room.max_active),
    (
        gauge(
            "ngx_smart_room_seats_provisional",
            "Seats of first visitors who have not come back yet.",
        ),
        |room| room.provisional,
    ),
    (counter("ngx_smart_room_entered_total", "Places taken."), |room| room.entered),
    (counter("ngx_smart_room_admitted_total", "Seats given."), |room| room.admitted),
    (
        counter("ngx_smart_room_absent_total", "Places lost because their owners were absent."),
        |room| room.absent,
    ),
    (counter("ngx_smart_room_expired_total", "Seats that ended."), |room| room.expired),
    (
        counter("ngx_smart_room_refused_total", "Visitors who were told that the room is full."),
        |room| room.refused,
    ),
    (
        counter("ngx_smart_room_passed_total", "Requests that passed by the rate's own capacity."),
        |room| room.passed,
    ),
    (counter("ngx_smart_room_polls_total", "Requests of those who had a place."), |room| {
        room.polls
    }),
    (
        counter(
            "ngx_smart_room_waiting_dry_run_total",
            "Requests that a dry run would have made wait.",
        ),
        |room| room.waiting_dry_run,
    ),
    (
        counter(
            "ngx_smart_room_full_dry_run_total",
            "Requests that a dry run would have turned away.",
        ),
        |room| room.full_dry_run,
    ),
    (
        counter("ngx_smart_room_rebuilds_total", "Times it was mended after a worker's death."),
        |room| room.rebuilt,
    ),
];
