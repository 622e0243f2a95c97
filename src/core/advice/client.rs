//! `client_header_buffer_size` and `large_client_header_buffers`: headers of requests.

use super::draft::Sheet;
use super::size::{round_up, serves, share, written, About, Grouped, Written, STEP};
use crate::core::report::buffers::{Chain, Server};

const FIRST: &str = "client_header_buffer_size";
const LARGE: &str = "large_client_header_buffers";

/// How many large buffers are advised, and their least size: nginx's default.
const NUMBER: u64 = 4;
const SIZE_MIN: u64 = 8 << 10;

/// No larger buffers are advised because a header was too big: anybody may send such.
const SIZE_MAX: u64 = 64 << 10;

/// From which share of headers on, in thousandths, those that are too big are more than stray.
const TOO_BIG_MIN: u64 = 1;

/// A first buffer that nine of ten headers fit, and large ones of which one holds the largest header: a line may be
/// nearly all of it.
pub fn advise(server: &Server, sheet: &mut Sheet) {
    let headers = server.header.count().saturating_add(server.header_too_big);
    if headers == 0 {
        return sheet.remark(format!(
            "no header of an HTTP/1 request has been measured, and others take no {FIRST}: no advice for it and {LARGE}"
        ));
    }
    if !sheet.suffices(headers, "headers of HTTP/1 requests", &format!("{FIRST} and {LARGE}")) {
        return;
    }
    if let Some(p90) = server.header.quantile(900) {
        advise_first(server, p90, sheet);
    }
    advise_large(server, headers, sheet);
}

fn advise_first(server: &Server, p90: u64, sheet: &mut Sheet) {
    // A larger one than this would be taken for every connection.
    let size = round_up(p90).min(SIZE_MAX);
    let current = server.client_header_buffer_size;
    let is_fine = current
        .is_some_and(|current| serves(current, p90, size) && current <= size.saturating_add(STEP));
    if is_fine {
        return;
    }
    let reason = format!(
        "p90 of {} headers of requests is {}: each that does not fit takes a large buffer too",
        Grouped(server.header.count()),
        About(p90)
    );
    let current = current.map(|size| Written(size).to_string());
    sheet.advise(FIRST, current, Written(size).to_string(), reason);
}

fn advise_large(server: &Server, headers: u64, sheet: &mut Sheet) {
    let largest = server.header.quantile(1000).unwrap_or(0);
    let is_stray = share(server.header_too_big, headers) < TOO_BIG_MIN;
    let count = Grouped(server.header_too_big);
    if server.header_too_big > 0 && is_stray {
        sheet.remark(format!(
            "{count} of {} headers of requests were too big for {LARGE} (inferred): too few to make room for",
            Grouped(headers)
        ));
    }
    let doubled = match is_stray {
        true => 0,
        false => server.header_too_big_for.saturating_mul(2).min(SIZE_MAX),
    };
    let size = round_up(largest.min(SIZE_MAX).max(doubled).max(SIZE_MIN));
    let current = server.large_client_header_buffers;
    // What was measured has passed: larger ones are needed only where something has not.
    if current.is_some_and(|current| current.size >= doubled) {
        return;
    }
    let reason = match doubled {
        0 => format!("the largest of {} headers is {}", Grouped(headers), About(largest)),
        _ => format!(
            "{count} of {} headers were too big for buffers of {} (inferred): twice that, but no more than {}",
            Grouped(headers),
            About(server.header_too_big_for),
            Written(SIZE_MAX)
        ),
    };
    let advised = Chain { number: current.map_or(NUMBER, |it| it.number.max(NUMBER)), size };
    sheet.advise(LARGE, current.map(written), written(advised), reason);
}
