//! The buffers of an upstream's answers.

use super::chain::{Limit, Target, SHORT_BUFFERS};
use super::draft::Draft;
use super::size::{round_up, share, share_up_to, times, written};
use super::size::{About, Grouped, Percent, Written};
use crate::core::report::buffers::{Chain, Protocol, Upstream, UpstreamSettings};

/// From which share on, in thousandths, long answers should have a location of their own, if there are as many short
/// ones as the other says.
const LONG_MIN: u64 = 50;
const SHORT_MIN: u64 = 250;

type SizeOf = fn(&UpstreamSettings) -> u64;

/// Sizes that nginx judges by the largest buffer, and why they are what they are.
const JUDGED: [(&str, SizeOf, &str); 2] = [
    (
        "busy_buffers_size",
        |it| it.busy_buffers_size,
        "how much may be on its way to the client: at least the largest buffer, at most all but one",
    ),
    (
        "temp_file_write_size",
        |it| it.temp_file_write_size,
        "how much goes to a file at once: at least the largest buffer, advised twice that",
    ),
];

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
    remark_otherwise(draft, prefix, is_buffering);
    if !is_buffering {
        if protocol != Protocol::Grpc && measured.buffered_otherwise == 0 {
            draft.sheet.remark(format!("{prefix}_buffering is off: {prefix}_buffers are not used"));
        }
        advise_header(draft, protocol, header);
    } else if !draft.sheet.suffices(answers, "answers of upstreams", &format!("{prefix}_buffers")) {
        advise_header(draft, protocol, header);
    } else {
        advise_all(draft, protocol, header);
    }
}

/// Says how many answers are left out, because they had nginx buffer them otherwise than it is set to.
fn remark_otherwise(draft: &mut Draft, prefix: &str, is_buffering: bool) {
    let count = draft.location.measured.upstream.buffered_otherwise;
    if count == 0 {
        return;
    }
    let count = Grouped(count);
    draft.sheet.remark(match is_buffering {
        true => format!(
            "{count} more answers had X-Accel-Buffering: no and used no {prefix}_buffers: they are left out"
        ),
        false => format!(
            "{prefix}_buffering is off: {prefix}_buffers are used only for answers with X-Accel-Buffering: yes; there \
             were {count}, which are left out"
        ),
    });
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
    let present = current.map_or(Chain { number: 0, size: 0 }, |current| current.buffers);
    let target = Target::of(responses, header, present, &most);
    remark_stream(draft, prefix, &target);
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
    let Some(short) = &target.short else {
        return format!(
            "most of {} responses are longer than {}: a chain of {}; {}",
            Grouped(count),
            About(target.bound),
            About(target.chain.total()),
            target.reason(limit)
        );
    };
    let of = match short.count == count {
        true => format!("{} responses", Grouped(count)),
        false => format!(
            "the {} of {} responses that are no longer than {}",
            Grouped(short.count),
            Grouped(count),
            About(short.bound)
        ),
    };
    let taken = |chain: Chain| match times(short.p90, chain.size) {
        1 => "1 allocation".to_owned(),
        number => format!("{} allocations", Grouped(number)),
    };
    let now = match current {
        Some(it) => format!("now {name} {} ({})", written(it.buffers), taken(it.buffers)),
        None => format!("the current {name} are not known"),
    };
    format!(
        "p90 of {of} is {}; {now}, advised {name} {} ({}); {}; {} went to a file",
        About(short.p90),
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

/// Names all that changes, and all if nothing is known of what is set.
fn name_all(
    draft: &mut Draft,
    current: Option<UpstreamSettings>,
    after: UpstreamSettings,
    reason_of_buffers: &str,
) {
    let prefix = after.protocol.prefix();
    let before = current.unwrap_or_else(|| draft.defaults(after.protocol));
    let reason_of_header = reason_of_header(&draft.location.measured.upstream);
    let mut name = |what: &str, text: &dyn Fn(&UpstreamSettings) -> String, reason: &str| {
        let (name, current) = (format!("{prefix}_{what}"), current.as_ref().map(text));
        draft.sheet.advise(&name, current, text(&after), reason.to_owned());
    };
    if current.is_none() || after.buffer_size != before.buffer_size {
        name("buffer_size", &|it| Written(it.buffer_size).to_string(), &reason_of_header);
    }
    let has_chain = after.protocol != Protocol::Grpc;
    if has_chain && (current.is_none() || after.buffers != before.buffers) {
        name("buffers", &|it| written(it.buffers), reason_of_buffers);
    }
    for (what, size, reason) in JUDGED {
        if has_chain && (current.is_none() || !stays(size, &before, &after)) {
            name(what, &|it| Written(size(it)).to_string(), reason);
        }
    }
    if after.max_temp_file_size != before.max_temp_file_size {
        name(
            "max_temp_file_size",
            &|it| Written(it.max_temp_file_size).to_string(),
            "nginx refuses any but 0 that is less than the largest buffer",
        );
    }
    draft.after.upstream = Some(after);
}

/// Whether a size that nginx judges is as advised without being named. One that nobody has set is nginx's own, twice
/// the largest buffer, and changes with that.
fn stays(size: SizeOf, before: &UpstreamSettings, after: &UpstreamSettings) -> bool {
    let is_own = size(before) == largest_of(before).saturating_mul(2);
    size(after) == size(before) && (!is_own || largest_of(after) == largest_of(before))
}

/// Says what serves better than buffers, if most answers are long and come in small pieces: that cannot be seen.
fn remark_stream(draft: &mut Draft, prefix: &str, target: &Target) {
    if target.short.is_none() {
        draft.sheet.remark(format!(
            "most of {} responses are longer than {}: if they are streams of events, such as text/event-stream, set \
             {prefix}_buffering off in their location in place of these buffers, of which each connection takes at \
             least one of {}",
            Grouped(draft.location.measured.upstream.response.count()),
            About(target.bound),
            Written(target.chain.size)
        ));
    }
}

/// Says where the long answers should go, if many fit one buffer and others not even several.
fn remark_mixture(draft: &mut Draft, prefix: &str) {
    let responses = &draft.location.measured.upstream.response;
    let Some(buffers) = draft.after.upstream.map(|settings| settings.buffers) else { return };
    let count = responses.count();
    let fit = share_up_to(responses, buffers.size);
    let several = Chain { number: buffers.number.min(SHORT_BUFFERS), ..buffers };
    let long = count.saturating_sub(responses.up_to(several.total()));
    if share(long, count) < LONG_MIN || fit < SHORT_MIN {
        return;
    }
    draft.sheet.remark(format!(
        "{} of {} responses ({}) take more than {} {prefix}_buffers, {}, though {} fit one of {}: split the \
         location, so that the long ones have settings of their own",
        Grouped(long),
        Grouped(count),
        Percent(share(long, count)),
        several.number,
        About(several.total()),
        Percent(fit),
        Written(buffers.size)
    ));
}
