//! What a client is told: `Retry-After` (RFC 9110, 10.2.3), and the fields `RateLimit-Policy` and
//! `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11.

use std::io::{self, Write};

use super::handler::Answered;
use crate::core::verdict::Quota;
use crate::core::NoMemory;
use crate::nginx::request::Request;

/// The most bytes of an item beside its name: four numbers and their names.
const ITEM: usize = 96;

/// Says after how many seconds the request would pass.
pub fn add_retry_after(r: Request, seconds: u64) -> Result<(), NoMemory> {
    let value = r.print_number(seconds).ok_or(NoMemory)?;
    add(r, "Retry-After", value)
}

/// Says what each limit allows, and what is left of it. One that runs dry allows everything, and is not told.
pub fn add_draft(r: Request, answers: &[Answered], is_charged: bool) -> Result<(), NoMemory> {
    let told = || answers.iter().filter(|one| !one.vote.is_dry);
    if told().next().is_none() {
        return Ok(());
    }
    let list = |item: fn(&mut &mut [u8], Quota) -> io::Result<()>| {
        let length = |one: &Answered| ITEM + 2 * one.zone.name().len;
        r.print(told().map(length).sum(), |text| {
            for (place, one) in told().enumerate() {
                text.write_all(if place == 0 { b"" } else { b", " })?;
                write_name(text, one.zone.name().as_bytes())?;
                item(text, one.vote.quota(is_charged))?;
            }
            Ok(())
        })
    };
    let policy = list(|text, quota| write!(text, ";q={};w={}", quota.quota, quota.window));
    let left = list(|text, quota| write!(text, ";r={};t={}", quota.remaining, quota.reset));
    add(r, "RateLimit-Policy", policy.ok_or(NoMemory)?)?;
    add(r, "RateLimit", left.ok_or(NoMemory)?)
}

/// A name as a string of structured fields (RFC 9651, 3.3.3), which has printable ASCII only.
fn write_name(text: &mut &mut [u8], name: &[u8]) -> io::Result<()> {
    text.write_all(b"\"")?;
    for byte in name {
        match byte {
            b'"' | b'\\' => text.write_all(&[b'\\', *byte])?,
            b' '..=b'~' => text.write_all(&[*byte])?,
            _ => text.write_all(b"?")?,
        }
    }
    text.write_all(b"\"")
}

fn add(r: Request, name: &'static str, value: &'static [u8]) -> Result<(), NoMemory> {
    match r.add_header(name, value) {
        true => Ok(()),
        false => Err(NoMemory),
    }
}
