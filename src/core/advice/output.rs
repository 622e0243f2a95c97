//! `sendfile` and `output_buffers`: answers that no upstream gives.

use super::draft::Draft;
use super::size::{predominant, round_down, round_up, serves, written, About, Grouped};
use super::size::{Written, STEP};
use crate::core::report::buffers::Chain;

const NAME: &str = "output_buffers";

/// The size of nginx's default: smaller files take as much as they need.
pub const SIZE_MIN: u64 = 32 << 10;

/// What Linux reads ahead: a larger read has to wait for the disk, and all other requests of the worker with it.
const SIZE_MAX: u64 = 128 << 10;

/// What is shorter is copied as fast as it is sent; and most of it is redirections and error pages, not files.
const SENT_MIN: u64 = STEP;

/// While one is sent the next is read.
pub const NUMBER: u64 = 2;

/// More than these are not few any more.
const NUMBER_MAX: u64 = 8;

/// Where sendfile is off: that it should not be, and the buffers that are used as long as it is, by gzip and by TLS.
pub fn advise(draft: &mut Draft) {
    let count = draft.location.measured.response.count();
    if count == 0 {
        return;
    }
    let set = draft.location.settings.sendfile;
    let figure = "answers without an upstream";
    if !draft.sheet.suffices(count, figure, "sendfile and output_buffers") {
        return;
    }
    if set == Some(true) {
        return draft.sheet.remark(
            "sendfile is on: output_buffers are not used, but for what gzip compresses or TLS encrypts (unless the \
             kernel does that)"
                .to_owned(),
        );
    }
    let p90 = draft.location.measured.response.quantile(900).unwrap_or(0);
    if p90 < SENT_MIN {
        return draft.sheet.remark(format!(
            "p90 of {} answers without an upstream is {}: too short for sendfile and output_buffers to matter",
            Grouped(count),
            About(p90)
        ));
    }
    if draft.location.measured.gzip_ratio.count() == 0 {
        let current = set.map(|_| "off".to_owned());
        let reason = format!(
            "{} answers came from no upstream and nothing was compressed: files go to the client without a copy in \
             nginx, except over TLS",
            Grouped(count)
        );
        draft.sheet.advise("sendfile", current, "on".to_owned(), reason);
        draft.after.sendfile = Some(true);
    }
    if set == Some(false) {
        advise_buffers(draft);
    }
}

fn advise_buffers(draft: &mut Draft) {
    let answers = &draft.location.measured.response;
    let current = draft.location.settings.output_buffers;
    let limit = draft.before_gzip(draft.left());
    if limit < NUMBER.saturating_mul(STEP) {
        return draft.no_room(limit, NAME);
    }
    let p90 =
        predominant(answers, SIZE_MAX).and_then(|short| short.quantile(900)).unwrap_or(SIZE_MAX);
    let most = round_down(limit / NUMBER);
    let size = round_up(p90).clamp(SIZE_MIN, SIZE_MAX).min(most);
    let is_fine = current.is_some_and(|current| {
        serves(current.size, p90, size)
            && current.size <= SIZE_MAX.saturating_add(STEP)
            && (NUMBER..=NUMBER_MAX).contains(&current.number)
            && current.total() <= limit
    });
    if is_fine {
        return;
    }
    let advised = Chain { number: NUMBER, size };
    let reason = format!(
        "p90 of {} answers is {}; used as long as sendfile is off, and for what gzip compresses or TLS encrypts: few \
         and large, because each is one read, but no larger than {}, because the worker waits for the disk in it",
        Grouped(answers.count()),
        About(answers.quantile(900).unwrap_or(0)),
        Written(SIZE_MAX)
    );
    draft.sheet.advise(NAME, current.map(written), written(advised), reason);
    draft.after.output_buffers = Some(advised);
}
