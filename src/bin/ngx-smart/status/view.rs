//! The whole status as lines, the same for a snapshot and for a screen that stays.

mod buffers;
mod limits;

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::clean::Text;
use super::format::{count, duration, latency, rate, size};
use super::model::{Cache, Heaviest, Named, Quantiles, Sendfile, Server, Status};
use super::rates::{Growth, Kind, Past, MINUTE, OUTCOMES};
use super::table::{chart, wrapped, Table, BAD, FAINT, GOOD, PLAIN, STRONG, WARNING};
use super::verdict::Problem;

/// What is shown, and how wide.
pub struct View<'a> {
    pub status: &'a Status,
    pub past: &'a Past,
    pub heaviest: &'a Heaviest,
    pub problems: &'a [Problem],
    /// On the clock of `past`.
    pub now: f64,
    pub width: usize,
    /// Whether the last minutes are shown as charts.
    pub charts: bool,
}

/// Columns of what has a rate: its name, per second, something else, the total.
const COLUMNS: [usize; 4] = [16, 9, 9, 13];
/// What is left of a line for a chart, less than which is none.
const BESIDE_CHART: usize = 2 + 16 + 2 + 9 + 2 + 9 + 2 + 13 + 2;
const CHART_MIN: usize = 8;
const CHART_MAX: usize = 60;

/// Whether anything is wrong, in a line.
pub fn headline(problems: &[Problem]) -> Line<'static> {
    let style = problems.first().map_or(GOOD, mark_style);
    let words = match problems.len() {
        0 => "All is well".to_owned(),
        1 => "1 problem".to_owned(),
        number => format!("{number} problems"),
    };
    Span::styled(words, style).into()
}

fn mark_style(problem: &Problem) -> Style {
    if problem.is_bad {
        BAD
    } else {
        WARNING
    }
}

/// All but the headline.
pub fn lines(view: &View) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for problem in view.problems {
        let mark = if problem.is_bad { "! " } else { "- " };
        let mark = Span::styled(mark, mark_style(problem));
        lines.extend(wrapped(mark, &problem.text, PLAIN, view.width));
    }
    lines.extend(view.facts());
    if let Some(sendfile) = &view.status.sendfile {
        lines.extend(view.sendfile(sendfile));
    }
    for (name, limit) in &view.status.limits.0 {
        lines.extend(view.limit(name, limit));
    }
    for (name, room) in &view.status.rooms.0 {
        lines.extend(view.room(name, room));
    }
    if let Some(buffers) = &view.status.buffers {
        lines.extend(view.buffers(buffers));
    }
    lines
}

impl View<'_> {
    fn facts(&self) -> Vec<Line<'static>> {
        let Status { ngx_smart, nginx, workers, process, time, configured, .. } = self.status;
        let age = duration(time.saturating_sub(*configured) as f64);
        let known = self.past.known(self.now).min(MINUTE);
        let facts = format!(
            "ngx-smart {ngx_smart}, {nginx}, {workers} workers, configured {age} ago, told by \
             process {process}; rates of the last {known:.0} s"
        );
        wrapped(Span::raw(""), &facts, FAINT, self.width)
    }

    fn title(&self, title: &str, facts: &str) -> Vec<Line<'static>> {
        let mut lines = vec![Line::default()];
        lines.extend(wrapped(Span::raw(""), title, STRONG, self.width));
        if !facts.is_empty() {
            lines.extend(wrapped(Span::raw("  "), facts, PLAIN, self.width));
        }
        lines
    }

    fn growth(&self, kind: Kind, name: &Text, column: &str) -> Growth {
        self.past.growth(kind, name, column, self.now, MINUTE).unwrap_or_default()
    }

    /// A chart, where there is room for one.
    fn chart(&self, values: impl Fn(usize) -> Vec<Option<f64>>) -> String {
        let room = self.width.saturating_sub(BESIDE_CHART).min(CHART_MAX);
        if self.charts && room >= CHART_MIN {
            chart(&values(room))
        } else {
            String::new()
        }
    }

    fn rates(&self, kind: Kind, name: &Text, column: &str) -> String {
        self.chart(|number| self.past.rates(kind, name, column, self.now, number))
    }

    fn sendfile(&self, sendfile: &Sendfile) -> Vec<Line<'static>> {
        let Sendfile { lookups, in_flight, servers, caches, .. } = sendfile;
        let facts = format!(
            "{} in flight; the store answered in {}",
            count(*in_flight),
            quantiles(&sendfile.latency, latency)
        );
        let mut lines = self.title("LOOKUPS", &facts);
        let mut table = Table::new(&["outcome", "/s", "mean", "total"], &COLUMNS);
        for (outcome, ended) in OUTCOMES.iter().zip(lookups.all()) {
            let name = Text::default();
            let growth = self.growth(Kind::Sendfile, &name, outcome);
            let time = self.growth(Kind::Sendfile, &name, &format!("{outcome}_microseconds"));
            // Where nothing ended so in the last minute: what it was before.
            let mean = match (growth.count > 0.0, ended.count > 0) {
                (true, _) => latency(time.count / growth.count / 1e6),
                (false, true) => latency(ended.seconds / ended.count as f64),
                (false, false) => "-".to_owned(),
            };
            let failed = matches!(*outcome, "error" | "timeout" | "invalid");
            let style = row_style(ended.count, failed && growth.count > 0.0);
            let cells = vec![(*outcome).to_owned(), rate(growth.rate()), mean, count(ended.count)];
            table.row(style, cells, self.rates(Kind::Sendfile, &name, outcome));
        }
        lines.extend(table.lines(self.width));
        if !servers.is_empty() {
            lines.extend(self.servers(servers));
        }
        if !caches.0.is_empty() {
            lines.extend(self.caches(caches));
        }
        lines
    }

    fn servers(&self, servers: &[Server]) -> Vec<Line<'static>> {
        let titles =
            ["server", "asked/s", "in flight", "connections", "failures", "timeouts", "reconnects"];
        let mut table = Table::new(&titles, &COLUMNS);
        for server in servers {
            let asked = self.growth(Kind::Server, &server.address, "questions");
            let Server { in_flight, connections, failures, timeouts, reconnects, .. } = *server;
            let mut cells = vec![server.address.to_string(), rate(asked.rate())];
            cells.extend([in_flight, connections, failures, timeouts, reconnects].map(count));
            table.row(PLAIN, cells, String::new());
        }
        below(table.lines(self.width))
    }

    fn caches(&self, caches: &Named<Cache>) -> Vec<Line<'static>> {
        let titles = ["cache", "evicted/s", "size", "entries", "misses", "evicted"];
        let mut table = Table::new(&titles, &COLUMNS);
        for (name, cache) in &caches.0 {
            let evicted = self.growth(Kind::Cache, name, "evicted");
            let mut cells = vec![name.to_string(), rate(evicted.rate()), size(cache.size_bytes)];
            cells.extend([cache.entries, cache.misses, cache.evicted].map(count));
            table.row(PLAIN, cells, String::new());
        }
        below(table.lines(self.width))
    }
}

/// A table that stands below another one.
fn below(table: Vec<Line<'static>>) -> Vec<Line<'static>> {
    std::iter::once(Line::default()).chain(table).collect()
}

/// A row of what never happened is faint, one of what should not happen now is not.
fn row_style(total: u64, is_bad: bool) -> Style {
    match (total, is_bad) {
        (_, true) => BAD,
        (0, _) => FAINT,
        _ => PLAIN,
    }
}

fn quantiles(quantiles: &Quantiles, show: impl Fn(f64) -> String) -> String {
    let Quantiles { count: number, p50, p90, p99 } = *quantiles;
    let show = |quantile: Option<f64>| quantile.map_or("-".to_owned(), &show);
    if number == 0 {
        return "- (none yet)".to_owned();
    }
    let [p50, p90, p99] = [p50, p90, p99].map(show);
    format!("p50 {p50}, p90 {p90}, p99 {p99} (of {})", count(number))
}
