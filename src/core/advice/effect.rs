//! What an advice would change.

use super::draft::Draft;
use super::size::{least_of, share_up_to, times};
use super::{Effect, SAMPLES_MIN};
use crate::core::histogram::Histogram;
use crate::core::report::buffers::{Chain, Measured, Settings, UpstreamSettings};

/// Of an advice that is complete. `None`: see [`super::Advice::effect`].
pub fn of(draft: &Draft) -> Option<Effect> {
    let measured = &draft.location.measured;
    let answers = measured.upstream.response.count().max(measured.response.count());
    if !draft.sheet.is_change() || answers < SAMPLES_MIN {
        return None;
    }
    let (before, after) =
        (Use::of(measured, &draft.location.settings), Use::of(measured, &draft.after)?);
    Some(Effect {
        memory_before: before.as_ref().map(|it| it.memory),
        memory_after: after.memory,
        one_buffer_before: before.as_ref().map(|it| it.one_buffer),
        one_buffer_after: after.one_buffer,
        spilled_before: before.as_ref().map(|it| it.spilled),
        spilled_after: after.spilled,
    })
}

/// What settings mean for what was measured.
struct Use {
    memory: u64,
    one_buffer: u64,
    spilled: u64,
}

impl Use {
    /// `None`: a setting that matters is not known.
    fn of(measured: &Measured, settings: &Settings) -> Option<Self> {
        let is_own = measured.response.count() > measured.upstream.response.count();
        let answers = if is_own { &measured.response } else { &measured.upstream.response };
        // What a typical request takes has gzip's part in it where most are compressed.
        let ratio = &measured.gzip_ratio;
        let is_compressed =
            settings.gzip != Some(false) && ratio.count() >= answers.count().div_ceil(2);
        let answer = match is_own {
            true => Self::of_own(answers, settings, is_compressed)?,
            false => Self::of_upstream(answers, settings.upstream?),
        };
        let body = match measured.body.count() >= SAMPLES_MIN {
            true => measured.body.quantile(900)?.min(settings.client_body_buffer_size?),
            false => 0,
        };
        let gzip = match is_compressed {
            true => {
                let ratio = least_of(ratio.quantile(500)?).max(100);
                let compressed = times(answers.quantile(900)?.saturating_mul(100), ratio);
                taken(settings.gzip_buffers?, compressed)
            }
            false => 0,
        };
        let memory = answer.memory.saturating_add(body).saturating_add(gzip);
        Some(Self { memory, ..answer })
    }

    fn of_upstream(responses: &Histogram, settings: UpstreamSettings) -> Self {
        let p90 = responses.quantile(900).unwrap_or(0);
        if !settings.buffering {
            // Through the buffer for the header, and never to a file.
            let one_buffer = share_up_to(responses, settings.buffer_size);
            return Self { memory: settings.buffer_size, one_buffer, spilled: 0 };
        }
        Self {
            memory: settings.buffer_size.saturating_add(taken(settings.buffers, p90)),
            one_buffer: share_up_to(responses, settings.buffers.size),
            spilled: 1000_u64.saturating_sub(share_up_to(responses, settings.buffers.total())),
        }
    }

    fn of_own(answers: &Histogram, settings: &Settings, is_compressed: bool) -> Option<Self> {
        if settings.sendfile? && !is_compressed {
            return Some(Self { memory: 0, one_buffer: 1000, spilled: 0 });
        }
        let buffers = settings.output_buffers?;
        let p90 = answers.quantile(900)?;
        let memory = taken(buffers, p90).min(p90);
        Some(Self { memory, one_buffer: share_up_to(answers, buffers.size), spilled: 0 })
    }
}

/// The bytes of as many buffers as so much takes.
fn taken(buffers: Chain, length: u64) -> u64 {
    times(length, buffers.size).min(buffers.number).saturating_mul(buffers.size)
}
