//! From a request to its answer.

use std::io::{self, Write};

use nginx_sys::NGX_LOG_NOTICE;

use super::body::Body;
use super::conf::Access;
use super::directives::Module;
use super::history;
use super::removal::{remove, Logged};
use super::status::status;
use crate::core::advice::write_snippet;
use crate::core::api::{self, Content, Method, Refusal, Route, Under};
use crate::core::report::buffers::{Buffers, Filter};
use crate::core::report::{json, page, prometheus};
use crate::core::NoMemory;
use crate::nginx::answer::Answer;
use crate::nginx::content::ContentHandler;
use crate::nginx::phase::INTERNAL_SERVER_ERROR;
use crate::nginx::request::Request;
use crate::{buffers, limit};

const OK: u16 = 200;
const NO_CONTENT: u16 = 204;
const MOVED_PERMANENTLY: u16 = 301;

/// The handler of the locations that have the interface.
pub struct Handler;
impl ContentHandler for Handler {
    fn answer(r: Request) -> Result<Answer, u16> {
        let answer = match Under::of(r.location_name(), r.uri()) {
            Some(Under::Itself) => return Err(move_to_slash(r)),
            Some(Under::Path(path)) => ask(r, path),
            None => Err(Refusal::NoSuchPath),
        };
        let answer = answer.or_else(|refusal| refuse(r, refusal));
        answer.map_err(|NoMemory| INTERNAL_SERVER_ERROR)
    }
}

/// Sends the client from the location's name to the same with a slash.
fn move_to_slash(r: Request) -> u16 {
    let arguments = r.arguments();
    let uri = Body::of(r, |out| {
        out.write_all(r.location_name())?;
        out.write_all(if arguments.is_empty() { b"/" } else { b"/?" })?;
        out.write_all(arguments)
    });
    match uri.is_ok_and(|uri| r.set_location(uri)) {
        true => MOVED_PERMANENTLY,
        false => INTERNAL_SERVER_ERROR,
    }
}

fn ask(r: Request, path: &'static [u8]) -> Result<Answer, Refusal<'static>> {
    let method = match (r.is_get_or_head(), r.is_delete()) {
        (true, _) => Method::Get,
        (_, true) => Method::Delete,
        _ => Method::Other,
    };
    let may_write = r.location_conf::<Module>().access == Some(Access::Write);
    match (api::Request { method, path, query: r.arguments(), may_write }).route()? {
        Route::Page => show_page(r),
        Route::Status => write(r, Content::Json, |out| json::status(&status(), out)),
        Route::Metrics => write(r, Content::Metrics, |out| prometheus::metrics(&status(), out)),
        Route::History => {
            let history = history::report()?;
            write(r, Content::Json, |out| json::history(&history, out))
        }
        Route::Limit(name) => {
            let limit = limit::report::limit(name).ok_or(Refusal::NoZone("limit", name))?;
            write(r, Content::Json, |out| json::limit(&limit, out))
        }
        Route::Key { limit, key } => {
            let state = limit::report::key(limit, &key).ok_or(Refusal::NoZone("limit", limit))?;
            write(r, Content::Json, |out| json::key(limit, &state, out))
        }
        Route::Heaviest { limit, most } => {
            let keys = limit::report::heaviest(limit, most);
            let keys = keys.ok_or(Refusal::NoZone("limit", limit))?;
            write(r, Content::Json, |out| json::top(limit, &keys, out))
        }
        Route::Room(name) => {
            let room = limit::report::room(name).ok_or(Refusal::NoZone("room", name))?;
            let history = history::report()?;
            write(r, Content::Json, |out| json::room(&room, &history, out))
        }
        Route::Session { room, session } => show_session(r, room, session),
        Route::Buffers(filter) => {
            let buffers = buffers_of(&filter)?;
            write(r, Content::Json, |out| json::buffers(&buffers, out))
        }
        Route::Snippet(filter) => {
            let buffers = buffers_of(&filter)?;
            write(r, Content::Directives, |out| write_snippet(&buffers, out))
        }
        Route::Remove(what) => {
            remove(&what)?;
            r.log().write(NGX_LOG_NOTICE, format_args!("smart_api removed {}", Logged(&what)));
            Ok(reply(r, NO_CONTENT, Content::Json, b"")?)
        }
    }
}

fn buffers_of(filter: &Filter) -> Result<Buffers, Refusal<'static>> {
    let buffers = buffers::report().ok_or(Refusal::NotMeasured)?;
    buffers.only(filter).ok_or(Refusal::NoPlace)
}

fn show_page(r: Request) -> Result<Answer, Refusal<'static>> {
    add(r, "Content-Security-Policy", page::CONTENT_SECURITY_POLICY)?;
    Ok(reply(r, OK, Content::Html, page::page())?)
}

fn show_session(r: Request, room: &'static [u8], session: u64) -> Result<Answer, Refusal<'static>> {
    let state = limit::report::session(room, session).ok_or(Refusal::NoZone("room", room))?;
    let state = state.ok_or(Refusal::NotHeld("session"))?;
    let text = r.print(16, |out| write!(out, "{session:016x}")).ok_or(NoMemory)?;
    write(r, Content::Json, |out| json::session(room, text, state, out))
}

/// Answers what cannot be answered.
fn refuse(r: Request, refusal: Refusal<'_>) -> Result<Answer, NoMemory> {
    if let Some(allow) = refusal.allow() {
        add(r, "Allow", allow)?;
    }
    let text = Body::of(r, |out| write!(out, "{refusal}"))?;
    let text = std::str::from_utf8(text).unwrap_or_default();
    let body = Body::of(r, |out| json::error(refusal.status(), text, out))?;
    reply(r, refusal.status(), Content::Json, body)
}

/// Answers with what `write` writes.
fn write(
    r: Request,
    content: Content,
    write: impl FnOnce(&mut Body) -> io::Result<()>,
) -> Result<Answer, Refusal<'static>> {
    let body = Body::of(r, write)?;
    Ok(reply(r, OK, content, body)?)
}

/// An answer that nobody keeps, or takes for anything else than it says it is.
fn reply(
    r: Request,
    status: u16,
    content: Content,
    body: &'static [u8],
) -> Result<Answer, NoMemory> {
    add(r, "X-Content-Type-Options", "nosniff")?;
    match r.set_cache_control(b"no-store") {
        true => Ok(Answer { status, content_type: content.media_type(), body }),
        false => Err(NoMemory),
    }
}

fn add(r: Request, name: &'static str, value: &'static str) -> Result<(), NoMemory> {
    match r.add_header(name, value.as_bytes()) {
        true => Ok(()),
        false => Err(NoMemory),
    }
}
