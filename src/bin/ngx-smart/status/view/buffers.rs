//! Buffers: what is advised, what that would change, and what it follows from.

use ratatui::text::{Line, Span};

use super::super::clean::Text;
use super::super::format::{count, share, size};
use super::super::model::{Advice, Buffers, Effect, Quantiles, State};
use super::super::table::{wrapped, FAINT, PLAIN, STRONG};
use super::super::verdict::place;
use super::{quantiles, View};

impl View<'_> {
    pub(super) fn buffers(&self, buffers: &Buffers) -> Vec<Line<'static>> {
        let mut facts = String::new();
        if buffers.unmeasured > 0 {
            facts = format!(
                "{} locations are not measured: smart_buffers_zone has no room for them",
                count(buffers.unmeasured)
            );
        }
        let mut lines = self.title("BUFFERS", &facts);
        for location in &buffers.locations {
            let measured = &location.measured;
            let mut facts = vec![format!("{} requests", count(location.requests))];
            for (number, what) in [
                (measured.upstream.spilled, "answers written to files"),
                (measured.request_bodies_spilled, "request bodies written to files"),
                (measured.upstream.header_too_big, "upstream headers too big (inferred)"),
            ] {
                if number > 0 {
                    facts.push(format!("{} {what}", count(number)));
                }
            }
            let place = place(&location.server, &location.location);
            lines.extend(self.advice(&place, &facts.join(", "), &location.advice));
            for (what, sizes) in [
                ("upstream's header", &measured.upstream.header),
                ("upstream's response", &measured.upstream.response),
                ("own response", &measured.response),
                ("request body", &measured.request_body),
            ] {
                lines.extend(self.measured(what, sizes, bytes));
            }
            lines.extend(self.measured("gzip ratio", &measured.gzip_ratio, ratio));
        }
        for server in &buffers.servers {
            let mut facts = format!("{} request headers", count(server.header.count));
            if server.header_too_big > 0 {
                facts.push_str(&format!(", {} too big (inferred)", count(server.header_too_big)));
            }
            let place = place(&server.server, &Text::default());
            lines.extend(self.advice(&place, &facts, &server.advice));
            lines.extend(self.measured("request's header", &server.header, bytes));
        }
        lines
    }

    fn advice(&self, place: &str, facts: &str, advice: &Advice) -> Vec<Line<'static>> {
        let (verdict, style) = match advice.state {
            State::TooFewSamples => (
                format!(
                    "too few samples yet: {} of {}",
                    count(advice.samples),
                    count(advice.needed)
                ),
                FAINT,
            ),
            State::Fine => ("fine as it is".to_owned(), PLAIN),
            State::Change => ("a change is advised".to_owned(), STRONG),
        };
        let mut lines =
            wrapped(Span::raw("  "), &format!("{place}: {verdict} ({facts})"), style, self.width);
        for directive in &advice.directives {
            let now = directive.current.as_ref().map_or("unknown", Text::as_str);
            let text = format!(
                "{} {}; (now {now}): {}",
                directive.directive, directive.advised, directive.reason
            );
            lines.extend(wrapped(Span::raw("    "), &text, PLAIN, self.width));
        }
        for remark in &advice.remarks {
            lines.extend(wrapped(Span::raw("    "), remark.as_str(), FAINT, self.width));
        }
        if let Some(effect) = &advice.effect {
            lines.extend(wrapped(Span::raw("    "), &change(effect), PLAIN, self.width));
        }
        lines
    }

    /// What was never there has no line.
    fn measured(
        &self,
        what: &str,
        measured: &Quantiles,
        show: fn(f64) -> String,
    ) -> Vec<Line<'static>> {
        if measured.count == 0 {
            return Vec::new();
        }
        let text = format!("{what}: {}", quantiles(measured, show));
        wrapped(Span::raw("    "), &text, FAINT, self.width)
    }
}

/// What an advice would change.
fn change(effect: &Effect) -> String {
    let before = |shown: Option<String>| shown.unwrap_or_else(|| "unknown".to_owned());
    format!(
        "memory per request {} → {}; fit one buffer {} → {}; exceed all buffers {} → {}",
        before(effect.memory_before_bytes.map(size)),
        size(effect.memory_after_bytes),
        before(effect.one_buffer_before.map(share)),
        share(effect.one_buffer_after),
        before(effect.spilled_before.map(share)),
        share(effect.spilled_after)
    )
}

fn bytes(number: f64) -> String {
    size(number as u64)
}

fn ratio(number: f64) -> String {
    format!("{number:.2}")
}
