//! The buffers of an upstream's answers.

use super::chain::{Limit, Target};
use super::draft::Draft;
use super::size::{predominant, round_up, share, share_up_to, times, written};
use super::size::{About, Grouped, Percent, Written};
use crate::core::report::buffers::{Chain, Protocol, Upstream, UpstreamSettings};

/// From which share on, in thousandths, answers that exceed the chain should have a location of their own.
const LONG_MIN: u64 = 50;

/// Buffers for the header and, where nginx buffers the answers, for these.
pub fn advise(draft: &mut Draft) {
    let Some(protocol) = draft.protocol() else { return };
    let prefix = protocol.prefix();
    let measured = &draft.location.measured.upstream;
    let headers = measured.header.count().saturating_add(measured.header_too_big);
    if !draft.sheet.suffices(headers, "headers of upstreams", &format!("{prefix}_buffer_size")) {
        if measured.header_too_big > 0 {
            let count = Grouped(measured.header_too_big);
            draft.sheet.remark(format!(
                "{count} of them were too big for {prefix}_buffer_size (inferred)"
            ));
        }
        return;
    }
    let current = draft.upstream();
    let is_buffering = protocol != Protocol::Grpc && current.is_none_or(|it| it.buffering);
    let answers = measured.response.count();
    let header = header(measured);
    if !is_buffering {
        if protocol != Protocol::Grpc {
            draft.sheet.remark(format!("{prefix}_buffering is off: {prefix}_buffers are not used"));
        }
        advise_header(draft, protocol, header);
    } else if !draft.sheet.suffices(answers, "answers of upstreams", &format!("{prefix}_buffers")) {
        advise_header(draft, protocol, header);
    } else {
        advise_all(draft, protocol, header);
    }
}

/// What every header fits that was measured, and a quarter more, because one that does not fit fails the request; and
/// at least twice what was too small: how big that header was is not known.
fn header(measured: &Upstream) -> u64 {
    let largest = measured.header.quantile(1000).unwrap_or(0);
    let with_margin = largest.saturating_add(largest / 4);
    round_up(with_margin.max(measured.header_too_big_for.saturating_mul(2)))
}

/// What is set for the header, if it serves: a buffer that is known to work is made smaller only where it is more than
/// twice what is needed.
fn kept_header(current: Option<UpstreamSettings>, needed: u64) -> Option<u64> {
    let size = current?.buffer_size;
    (needed..=needed.saturating_mul(2)).contains(&size).then(|| round_up(size))
}

fn reason_of_header(measured: &Upstream) -> String {
    let largest = match measured.header.quantile(1000) {
        Some(largest) => format!(
            "the largest of {} headers is {}, and a quarter more is left to those to come",
            Grouped(measured.header.count()),
            About(largest)
        ),
        None => "no header was whole".to_owned(),
    };
    match measured.header_too_big {
        0 => largest,
        count => format!(
            "{largest}; {} were too big for a buffer of {} (inferred): at least twice that",
            Grouped(count),
            About(measured.header_too_big_for)
        ),
    }
}

/// The buffer for the header alone. It is not made smaller: without buffering the answer passes through it, and
/// otherwise too few answers are known.
fn advise_header(draft: &mut Draft, protocol: Protocol, header: u64) {
    let current = draft.upstream();
    if current.is_some_and(|current| current.buffer_size >= header) {
        return;
    }
    let name = format!("{}_buffer_size", protocol.prefix());
    let left = draft.location.budget.saturating_sub(draft.body());
    let before = current.unwrap_or_else(|| draft.defaults(protocol));
    let mut after = UpstreamSettings { buffer_size: header, ..before };
    if protocol != Protocol::Grpc && largest_of(&after) > largest_of(&before) {
        // nginx demands of a chain that all its buffers but one hold the one for the header.
        let size = round_up(after.buffers.size);
        let number = after.buffers.number.max(times(header, size).saturating_add(1));
        after.buffers = Chain { number, size };
        complete(&mut after);
    }
    let is_chain_named = current.is_none() || after.buffers != before.buffers;
    let chain = if before.buffering && is_chain_named { after.buffers.total() } else { 0 };
    if header.saturating_add(chain) > left {
        return draft.no_room(left, &name);
    }
    name_all(draft, current, after, "nginx demands it of a buffer_size as large as that");
}

/// The buffer for the header and those for the answers.
fn advise_all(draft: &mut Draft, protocol: Protocol, needed: u64) {
    let prefix = protocol.prefix();
    let responses = &draft.location.measured.upstream.response;
    let current = draft.upstream();
    let left = draft.location.budget.saturating_sub(draft.body());
    let kept_header = kept_header(current, needed);
    let room = |header: u64| {
        Limit::of(draft, left.saturating_sub(header), header).map(|most| (header, most))
    };
    let Some((header, most)) = kept_header.and_then(room).or_else(|| room(needed)) else {
        return draft.no_room(left, &format!("{prefix}_buffer_size and {prefix}_buffers"));
    };
    let kept = current.map_or(0, |current| current.buffers.number);
    let target = Target::of(responses, header, kept, &most);
    if target.is_limited && most.is_budget {
        let budget = Written(draft.location.budget);
        draft.sheet.remark(format!(
            "smart_buffers_budget, {budget}, limits {prefix}_buffers to {}",
            About(most.size)
        ));
    }
    let is_fine = current.is_some_and(|current| {
        kept_header == Some(header) && target.is_met_by(current.buffers, &most)
    });
    if is_fine {
        return remark_mixture(draft, prefix);
    }
    let mut after = current.unwrap_or_else(|| draft.defaults(protocol));
    after.buffer_size = header;
    after.buffers = target.chain;
    complete(&mut after);
    let reason = reason_of_chain(draft, current, &target, &most);
    name_all(draft, current, after, &reason);
    remark_mixture(draft, prefix);
}

fn reason_of_chain(
    draft: &Draft,
    current: Option<UpstreamSettings>,
    target: &Target,
    limit: &Limit,
) -> String {
    let measured = &draft.location.measured.upstream;
    let responses = &measured.response;
    let (count, prefix) = (responses.count(), draft.protocol().map_or("", Protocol::prefix));
    let name = format!("{prefix}_buffers");
    let Some(p90) = target.short else {
        return format!(
            "most of {} responses are longer than {}: a chain of {}; {}",
            Grouped(count),
            About(limit.size),
            About(target.chain.total()),
            target.reason(limit)
        );
    };
    let short = predominant(responses, limit.size).map_or(0, |short| short.count());
    let of = match short == count {
        true => format!("{} responses", Grouped(count)),
        false => format!(
            "the {} of {} responses that are no longer than {}",
            Grouped(short),
            Grouped(count),
            About(limit.size)
        ),
    };
    let taken = |chain: Chain| match times(p90, chain.size) {
        1 => "1 allocation".to_owned(),
        number => format!("{} allocations", Grouped(number)),
    };
    let now = match current {
        Some(it) => format!("now {name} {} ({})", written(it.buffers), taken(it.buffers)),
        None => format!("the current {name} are not known"),
    };
    format!(
        "p90 of {of} is {}; {now}, advised {name} {} ({}); {}; {} went to a file",
        About(p90),
        written(target.chain),
        taken(target.chain),
        target.reason(limit),
        Grouped(measured.spilled)
    )
}

/// The larger of the buffer for the header and one of the others, by which nginx judges the other sizes.
fn largest_of(settings: &UpstreamSettings) -> u64 {
    settings.buffer_size.max(settings.buffers.size)
}

/// Makes the other sizes such as nginx accepts: twice the largest buffer, as it would itself where that is allowed.
fn complete(settings: &mut UpstreamSettings) {
    let largest = largest_of(settings);
    let twice = largest.saturating_mul(2);
    let all_but_one = settings.buffers.total().saturating_sub(settings.buffers.size);
    settings.busy_buffers_size = twice.min(all_but_one);
    settings.temp_file_write_size = twice;
    if settings.max_temp_file_size != 0 && settings.max_temp_file_size < largest {
        settings.max_temp_file_size = twice;
    }
}

/// Names all that changes, and what nginx judges by what changes.
fn name_all(
    draft: &mut Draft,
    current: Option<UpstreamSettings>,
    after: UpstreamSettings,
    reason_of_buffers: &str,
) {
    let prefix = after.protocol.prefix();
    let before = current.unwrap_or_else(|| draft.defaults(after.protocol));
    let reason_of_header = reason_of_header(&draft.location.measured.upstream);
    let mut name = |what: &str, size: fn(&UpstreamSettings) -> String, reason: &str| {
        let (name, current) = (format!("{prefix}_{what}"), current.as_ref().map(size));
        draft.sheet.advise(&name, current, size(&after), reason.to_owned());
    };
    if current.is_none() || after.buffer_size != before.buffer_size {
        name("buffer_size", |it| Written(it.buffer_size).to_string(), &reason_of_header);
    }
    // What is the same but for the header's buffer still serves, unless nginx judges it by a larger one now.
    let is_same = after == UpstreamSettings { buffer_size: after.buffer_size, ..before }
        && largest_of(&after) <= largest_of(&before);
    let has_chain = after.protocol != Protocol::Grpc;
    // A size that is not set nginx makes of its own: twice the largest buffer.
    let twice = |it: &UpstreamSettings| largest_of(it).saturating_mul(2);
    let stays = |size: fn(&UpstreamSettings) -> u64| {
        let is_own = size(&before) == twice(&before);
        size(&after) == size(&before)
            && current.is_some()
            && (!is_own || twice(&after) == twice(&before))
    };
    if has_chain && (current.is_none() || !is_same) {
        if current.is_none() || after.buffers != before.buffers {
            name("buffers", |it| written(it.buffers), reason_of_buffers);
        }
        if !stays(|it| it.busy_buffers_size) {
            name(
                "busy_buffers_size",
                |it| Written(it.busy_buffers_size).to_string(),
                "how much may be on its way to the client: at least the largest buffer, at most all but one",
            );
        }
        if !stays(|it| it.temp_file_write_size) {
            name(
                "temp_file_write_size",
                |it| Written(it.temp_file_write_size).to_string(),
                "how much goes to a file at once: at least the largest buffer, advised twice that",
            );
        }
    }
    if after.max_temp_file_size != before.max_temp_file_size {
        name(
            "max_temp_file_size",
            |it| Written(it.max_temp_file_size).to_string(),
            "nginx refuses any but 0 that is less than the largest buffer",
        );
    }
    draft.after.upstream = Some(after);
}

/// Says where the long answers should go, if most answers fit one buffer and many not even all.
fn remark_mixture(draft: &mut Draft, prefix: &str) {
    let responses = &draft.location.measured.upstream.response;
    let Some(buffers) = draft.after.upstream.map(|settings| settings.buffers) else { return };
    let count = responses.count();
    let fit = share_up_to(responses, buffers.size);
    let long = count.saturating_sub(responses.up_to(buffers.total()));
    if share(long, count) < LONG_MIN || fit < 500 {
        return;
    }
    draft.sheet.remark(format!(
        "{} of {} responses ({}) are longer than {}, all {prefix}_buffers, though {} fit one of {}: split the \
         location, so that the long ones have settings of their own",
        Grouped(long),
        Grouped(count),
        Percent(share(long, count)),
        About(buffers.total()),
        Percent(fit),
        Written(buffers.size)
    ));
}
