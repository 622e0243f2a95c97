//! What the room answers: a page for people, JSON for programs, and an operator's own page.

use super::conf::Page;
use super::visitor::Visitor;
use crate::core::room::accept::{Language, Wanted, ROOM_TYPE};
use crate::core::room::report::{Report, Status};
use crate::core::room::{json, page};
use crate::core::NoMemory;
use crate::nginx::answer::Answer;
use crate::nginx::preaccess::Passage;
use crate::nginx::request::Request;
use crate::shm::room::Told;

/// Of a full room, where that of the waiting page says nothing is wrong.
const UNAVAILABLE: u16 = 503;

/// Answers a visitor, in the form that he wants.
pub fn reply(visitor: &Visitor, status: Status, told: &Told) -> Result<Passage, NoMemory> {
    let (r, wanted) = (visitor.r, visitor.wanted());
    add(r, "Vary", b"Accept, Accept-Language, Cookie")?;
    let refresh = r.print_number(told.refresh).ok_or(NoMemory)?;
    if matches!(status, Status::Waiting | Status::Full) {
        add(r, "Retry-After", refresh)?;
    }
    let report = report(visitor, status, told);
    let status = http_status(visitor, status);
    match (wanted, visitor.conf.room_page()) {
        (Wanted::Page, Page::Builtin) => show_page(r, status, &report),
        (Wanted::Page, Page::Own(page)) => {
            if r.is_get_or_head() {
                add(r, "Refresh", refresh)?;
            }
            Ok(Passage::Page { status, page })
        }
        (Wanted::Json, _) => show_json(r, status, "application/json", &report),
        (Wanted::Room { .. }, _) => show_json(r, status, ROOM_TYPE, &report),
    }
}

/// Answers a request for a part of a page, which cannot wait: with the status alone.
pub fn status_alone(visitor: &Visitor, told: &Told) -> Result<Passage, NoMemory> {
    let r = visitor.r;
    add(r, "Retry-After", r.print_number(told.refresh).ok_or(NoMemory)?)?;
    let status = http_status(visitor, Status::Waiting);
    Ok(Passage::Answer(Answer { status, content_type: "text/plain", body: b"" }))
}

fn http_status(visitor: &Visitor, status: Status) -> u16 {
    let of_room = visitor.conf.room_status as u16;
    match status {
        Status::Admitted | Status::Passed => 200,
        Status::Waiting => of_room,
        Status::Full if of_room >= 400 => of_room,
        Status::Full => UNAVAILABLE,
    }
}

fn report(visitor: &Visitor, status: Status, told: &Told) -> Report<'static> {
    Report {
        room: visitor.room.zone.name().as_bytes(),
        order: visitor.settings.rules.order,
        status,
        position: told.position,
        waiting: told.waiting,
        active: told.active,
        max_active: told.max_active,
        wait_seconds: told.wait_seconds(),
        refresh_seconds: told.refresh,
    }
}

fn show_page(r: Request, status: u16, report: &Report) -> Result<Passage, NoMemory> {
    let language = Language::from_accept(r.headers(b"accept-language"));
    let method = match r.is_get_or_head() {
        true => page::Method::Get(r.unparsed_uri()),
        false => page::Method::Other,
    };
    let render = |out: &mut &mut [u8]| page::render(report, language, method, out);
    let body = r.print(page::length_max(report, method), render).ok_or(NoMemory)?;
    Ok(Passage::Answer(Answer { status, content_type: "text/html", body }))
}

fn show_json(
    r: Request,
    status: u16,
    content_type: &'static str,
    report: &Report,
) -> Result<Passage, NoMemory> {
    let body = r.print(json::length_max(report), |out| json::write(report, out));
    Ok(Passage::Answer(Answer { status, content_type, body: body.ok_or(NoMemory)? }))
}

fn add(r: Request, name: &'static str, value: &'static [u8]) -> Result<(), NoMemory> {
    match r.add_header(name, value) {
        true => Ok(()),
        false => Err(NoMemory),
    }
}
