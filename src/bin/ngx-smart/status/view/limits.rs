//! Limits, with their heaviest keys, and waiting rooms.

use ratatui::text::Line;

use super::super::clean::Text;
use super::super::format::{count, duration, latency, rate, share};
use super::super::model::{Key, Limit, Room};
use super::super::rates::Kind;
use super::super::table::{Table, PLAIN};
use super::{below, quantiles, row_style, View, COLUMNS};

impl View<'_> {
    pub(super) fn limit(&self, name: &Text, limit: &Limit) -> Vec<Line<'static>> {
        let facts = format!(
            "{} at {}; {} of {} keys; {} evicted, {} of them in debt",
            limit.key,
            limit.rate,
            count(limit.keys),
            count(limit.capacity),
            count(limit.evicted.saturating_add(limit.evicted_in_debt)),
            count(limit.evicted_in_debt)
        );
        let mut lines = self.title(&format!("LIMIT {name}"), &facts);
        let growth = |verdict: &str| self.growth(Kind::Limit, name, verdict);
        let all: f64 =
            ["passed", "delayed", "rejected"].map(|verdict| growth(verdict).count).iter().sum();
        let mut table = Table::new(&["verdict", "/s", "share", "total"], &COLUMNS);
        for (verdict, total) in [
            ("passed", limit.passed),
            ("delayed", limit.delayed),
            ("rejected", limit.rejected),
            ("delayed_dry_run", limit.delayed_dry_run),
            ("rejected_dry_run", limit.rejected_dry_run),
        ] {
            let is_dry_run = verdict.ends_with("_dry_run");
            if is_dry_run && total == 0 {
                continue;
            }
            let growth = growth(verdict);
            // A dry run lets pass what it counts.
            let part = if all > 0.0 { share(growth.count / all) } else { "-".to_owned() };
            let style = row_style(total, verdict == "rejected" && growth.count > 0.0);
            let cells = vec![verdict.to_owned(), rate(growth.rate()), part, count(total)];
            table.row(style, cells, self.rates(Kind::Limit, name, verdict));
        }
        lines.extend(table.lines(self.width));
        if let Some(keys) = self.heaviest.get(name).filter(|keys| !keys.is_empty()) {
            lines.extend(self.keys(keys));
        }
        lines
    }

    fn keys(&self, keys: &[Key]) -> Vec<Line<'static>> {
        let mut table = Table::new(&["heaviest keys", "times", "excess", "idle"], &COLUMNS);
        for Key { key, count: times, excess, idle_seconds } in keys {
            let excess = excess.map_or("-".to_owned(), |excess| format!("{excess:.1}"));
            let idle = idle_seconds.map_or("-".to_owned(), latency);
            table.row(PLAIN, vec![key.to_string(), count(*times), excess, idle], String::new());
        }
        below(table.lines(self.width))
    }

    pub(super) fn room(&self, name: &Text, room: &Room) -> Vec<Line<'static>> {
        let wait = room.estimated_wait_seconds.map_or("cannot be foreseen".to_owned(), duration);
        let mut facts = format!(
            "who comes now waits: {wait}; those admitted waited {}",
            quantiles(&room.wait, duration)
        );
        if room.provisional > 0 {
            let provisional = count(room.provisional);
            facts.push_str(&format!("; {provisional} seats of first visitors not back yet"));
        }
        if room.waiting_dry_run > 0 || room.full_dry_run > 0 {
            let (wait, full) = (count(room.waiting_dry_run), count(room.full_dry_run));
            facts.push_str(&format!(
                "; a dry run would have made {wait} requests wait and turned {full} away"
            ));
        }
        let mut lines = self.title(&format!("ROOM {name}"), &facts);
        let mut table = Table::new(&["", "now", "of", ""], &COLUMNS);
        for (what, column, number, most) in [
            ("seats taken", "active", room.active, room.max_active),
            ("waiting", "waiting", room.waiting, room.max_waiting),
        ] {
            let chart =
                self.chart(|parts| self.past.highest(Kind::Room, name, column, self.now, parts));
            let cells = vec![what.to_owned(), count(number), count(most), String::new()];
            table.row(PLAIN, cells, chart);
        }
        lines.extend(table.lines(self.width));
        let mut table = Table::new(&["", "/s", "", "total"], &COLUMNS);
        for (what, total) in [
            ("entered", room.entered),
            ("admitted", room.admitted),
            ("absent", room.absent),
            ("refused", room.refused),
        ] {
            let growth = self.growth(Kind::Room, name, what);
            let style = row_style(total, what == "refused" && growth.count > 0.0);
            let cells = vec![what.to_owned(), rate(growth.rate()), String::new(), count(total)];
            table.row(style, cells, self.rates(Kind::Room, name, what));
        }
        // No history is kept of these, and where they never happen nobody misses them.
        for (what, total) in [("expired", room.expired), ("passed", room.passed)] {
            if total > 0 {
                let cells = vec![what.to_owned(), "-".to_owned(), String::new(), count(total)];
                table.row(PLAIN, cells, String::new());
            }
        }
        lines.extend(table.lines(self.width));
        lines
    }
}
