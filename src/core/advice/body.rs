//! `client_body_buffer_size`.

use super::draft::Draft;
use super::size::{
    predominant, round_down, round_up, serves, share_up_to, About, Grouped, Percent,
};
use super::size::{Written, STEP};

const NAME: &str = "client_body_buffer_size";

/// A buffer for the p99 of the bodies, in no more than half of the budget. nginx takes as much as a body needs where
/// the client tells its length, so that too large a buffer costs only those who do not.
pub fn advise(draft: &mut Draft) {
    let (location, current) = (draft.location, draft.location.settings.client_body_buffer_size);
    let bodies = &location.measured.body;
    if !draft.sheet.suffices(bodies.count(), "bodies of requests", NAME) {
        return;
    }
    let limit = round_down(location.budget / 2);
    let Some(p99) = predominant(bodies, limit).and_then(|short| short.quantile(990)) else {
        let p50 = About(bodies.quantile(500).unwrap_or(0));
        return draft.sheet.remark(format!(
            "p50 of {} bodies of requests is {p50}: more than half of smart_buffers_budget, {}, so that most go to a \
             file whatever {NAME} is",
            Grouped(bodies.count()),
            About(limit)
        ));
    };
    let size = round_up(p99).min(limit);
    if size < STEP {
        return draft.no_room(limit, NAME);
    }
    if current.is_some_and(|current| current <= limit && serves(current, p99, size)) {
        return;
    }
    let exceed = |size| Percent(1000_u64.saturating_sub(share_up_to(bodies, size)));
    let now = match current {
        Some(size) => format!("now {} exceed {}", exceed(size), Written(size)),
        None => "the current size is not known".to_owned(),
    };
    let whose = match bodies.quantile(990) == Some(p99) {
        true => "",
        false => " that half of smart_buffers_budget can hold",
    };
    draft.sheet.advise(
        NAME,
        current.map(|size| Written(size).to_string()),
        Written(size).to_string(),
        format!(
            "p99 of {} bodies of requests{whose} is {}, and {} went to a file; {now}, then {} would exceed {}",
            Grouped(bodies.count()),
            About(p99),
            Grouped(location.measured.bodies_spilled),
            exceed(size),
            Written(size)
        ),
    );
    draft.after.client_body_buffer_size = Some(size);
}
