//! The handler: takes the measure of a request that is over.
//!
//! What a request needs is measured where it is decided. The location that has passed it on had the buffers for its
//! body and for the upstream's answer, wherever `X-Accel-Redirect` or `error_page` has led since; the last location had
//! those for what was compressed, and for what no upstream gave; and the server that listens those for its header.
//! A subrequest, which nginx tells of where `log_subrequest` is on, has an upstream of its own, and nothing else.

use super::conf::{Gzip, Measured, Modules, Passer};
use super::directives::Module;
use super::zone::Zone;
use crate::nginx::finished::{self, Compressed, Upstream};
use crate::nginx::phase::phase_handler;
use crate::nginx::request::Request;
use crate::shm::buffers::{Counter, Record, Size};

/// The longest body that is none: two records end an answer of FastCGI, and a chunk of five bytes one of HTTP.
const NO_BODY: u64 = 24;

phase_handler!(ngx_http_smart_buffers_handler, finished::run, measure);

fn measure(r: Request) {
    let main = r.main_conf::<Module>();
    let Some(zone) = main.zone else { return };
    let last = r.location_conf::<Module>().measured;
    let upstream = r.upstream();
    let passer = upstream.and_then(|upstream| main.passers.find(upstream.conf()));
    let Some(first) = passer.as_ref().map(|passer| passer.location).or(last) else { return };
    let mut is_passed = false;
    if let Some(record) = first.record(zone) {
        record.count(Counter::Requests);
        if r.is_main() {
            measure_body(r, record);
        }
        if let (Some(upstream), Some(passer)) = (upstream, &passer) {
            is_passed = measure_upstream(r, upstream, passer, record);
        }
    }
    if !r.is_main() {
        return;
    }
    if let Some(last) = last {
        measure_last(r, &main.modules, last, zone, is_passed);
    }
    if r.is_http1() {
        measure_header(r, zone);
    }
}

fn measure_body(r: Request, record: Record<'_>) {
    if let Some(body) = r.body() {
        record.sizes(Size::RequestBody).add(body.size);
        if body.is_spilled {
            record.count(Counter::BodiesSpilled);
        }
    }
}

/// What is to be known of an upstream's answer. Tells whether it had a body that was read: nobody else answers then.
fn measure_upstream(r: Request, upstream: Upstream, passer: &Passer, record: Record<'_>) -> bool {
    match upstream.answer(r) {
        Some(answer) => {
            record.count_protocol(passer.protocol);
            record.sizes(Size::UpstreamHeader).add(answer.header);
            // An answer without a body takes no buffer for it, and says nothing of what others need.
            let response = answer.response.filter(|response| *response > NO_BODY);
            match response {
                Some(response) if answer.is_as_set => {
                    record.sizes(Size::UpstreamResponse).add(response);
                    if answer.is_spilled {
                        record.count(Counter::UpstreamSpilled);
                    }
                }
                // It says nothing of the buffers that it would have had.
                Some(_) => record.count(Counter::BufferedOtherwise),
                None => {}
            }
            response.is_some()
        }
        None => {
            if let Some(size) = upstream.header_was_too_big_for() {
                record.count_protocol(passer.protocol);
                let (count, largest) =
                    (Counter::UpstreamHeaderTooBig, Counter::UpstreamHeaderTooBigFor);
                record.count_too_big(count, largest, size);
            }
            false
        }
    }
}

/// What is to be known of the location that has sent the answer. `is_passed`: it is an upstream's, which is not to be
/// asked again.
fn measure_last(r: Request, modules: &Modules, last: &Measured, zone: Zone, is_passed: bool) {
    let gzip = modules.gzip.as_ref().and_then(|gzip| Some((gzip, r.gzip(gzip.module)?)));
    let own = if is_passed || r.is_of_upstream() { 0 } else { r.whole_body_sent().unwrap_or(0) };
    if gzip.is_none() && own == 0 {
        return;
    }
    let Some(record) = last.record(zone) else { return };
    let ratio = gzip.and_then(|(gzip, compressed)| ratio(r, gzip, compressed));
    if own > 0 {
        // The buffers hold what is read, which gzip has sent so many times smaller.
        let read = ratio.map_or(own, |ratio| own.saturating_mul(ratio) / 100);
        record.sizes(Size::Response).add(read);
    }
    ratio.into_iter().for_each(|ratio| record.sizes(Size::GzipRatio).add(ratio));
}

/// How many times smaller an answer was made, in hundredths. `None`: it was not compressed to its end.
#[inline]
fn ratio(r: Request, gzip: &Gzip, compressed: Compressed) -> Option<u64> {
    match gzip.is_known.get() {
        Some(true) => compressed.ratio(),
        _ => compare_ratio(r, gzip, compressed),
    }
}

/// The same as nginx tells it; and finds out, once, whether it can be had for less.
#[cold]
fn compare_ratio(r: Request, gzip: &Gzip, compressed: Compressed) -> Option<u64> {
    let told = r.evaluate(gzip.ratio).and_then(hundredths)?;
    if gzip.is_known.get().is_none() {
        gzip.is_known.set(Some(compressed.ratio() == Some(told)));
    }
    Some(told)
}

fn measure_header(r: Request, zone: Zone) {
    let Some(server) = r.listening_conf::<Module>().server else { return };
    let Some(record) = server.record(zone) else { return };
    match r.header_was_too_big_for() {
        Some(size) => {
            let (count, largest) = (Counter::RequestHeaderTooBig, Counter::RequestHeaderTooBigFor);
            record.count_too_big(count, largest, size);
        }
        None => {
            let length = r.header_length();
            length.into_iter().for_each(|length| record.sizes(Size::RequestHeader).add(length));
        }
    }
}

/// A number with two decimals, as `$gzip_ratio` is, in hundredths. `None`: it is `-`.
fn hundredths(text: &[u8]) -> Option<u64> {
    let (whole, decimals) = std::str::from_utf8(text).ok()?.split_once('.')?;
    let hundredths: u64 = decimals.get(..2)?.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(hundredths)
}
