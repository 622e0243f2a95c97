//! `gzip_buffers`.

use super::draft::Draft;
use super::output;
use super::size::{round_down, round_up, times, written, About, Grouped, Written, STEP};
use crate::core::decimal::Decimal;
use crate::core::report::buffers::Chain;

const NAME: &str = "gzip_buffers";

/// How many are advised.
const NUMBER: u64 = 4;

/// The least ratio, in hundredths, for which it is worth while.
const RATIO_MIN: u64 = 110;

/// What is left of the chain that gzip reads, in four buffers.
pub fn advise(draft: &mut Draft) {
    let samples = draft.location.measured.gzip_ratio.count();
    if samples == 0 || draft.location.settings.gzip == Some(false) {
        return;
    }
    if !draft.sheet.suffices(samples, "compressed answers", NAME) {
        return;
    }
    let (Some(ratio), Some((source, read))) = (draft.ratio(), read_by_gzip(draft)) else {
        return draft.sheet.remark(format!(
            "the buffers that gzip reads from are not known: no advice for {NAME}"
        ));
    };
    if ratio < RATIO_MIN {
        return draft.sheet.remark(format!(
            "gzip makes half of {} answers hardly smaller: they may be compressed already, and gzip_types should not \
             name them; no advice for {NAME}",
            Grouped(samples)
        ));
    }
    let passed = draft.after.upstream.filter(|it| it.buffering).map_or(0, |it| it.buffers.total());
    let left = draft.left().saturating_sub(read.max(passed));
    let compressed = times(read.saturating_mul(100), ratio);
    let size = round_up(times(compressed, NUMBER)).min(round_down(left / NUMBER));
    if size < STEP {
        return draft.no_room(left, NAME);
    }
    let current = draft.location.settings.gzip_buffers;
    let is_fine = current.is_some_and(|current| {
        current.size.abs_diff(size) <= STEP
            && current.total().saturating_add(STEP) >= compressed.min(NUMBER.saturating_mul(size))
            && current.total() <= left
    });
    if is_fine {
        return;
    }
    let advised = Chain { number: NUMBER, size };
    let reason = format!(
        "half of {} compressed answers became {} times smaller or more: {source} of {} become {}, in {NUMBER} buffers",
        Grouped(samples),
        Decimal::of_hundredths(ratio),
        Written(read),
        About(compressed)
    );
    draft.sheet.advise(NAME, current.map(written), written(advised), reason);
    draft.after.gzip_buffers = Some(advised);
}

/// The buffers that gzip reads from most often, and their bytes.
fn read_by_gzip(draft: &Draft) -> Option<(String, u64)> {
    let measured = &draft.location.measured;
    let (passed, own) = (measured.upstream.response.count(), measured.response.count());
    if own > passed {
        let default = Chain { number: output::NUMBER, size: output::SIZE_MIN };
        let chain = draft.after.output_buffers.unwrap_or(default);
        return Some(("output_buffers".to_owned(), chain.total()));
    }
    let settings = draft.after.upstream.filter(|it| Some(it.protocol) == draft.protocol())?;
    let prefix = settings.protocol.prefix();
    match measured.upstream.is_buffered(settings.buffering) {
        true => Some((format!("{prefix}_buffers"), settings.buffers.total())),
        false => Some((format!("{prefix}_buffer_size"), settings.buffer_size)),
    }
}
