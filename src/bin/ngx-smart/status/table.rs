//! Tables, charts of one line, and text that is broken to a width.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

pub const PLAIN: Style = Style::new();
pub const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
pub const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
pub const GOOD: Style = Style::new().fg(Color::Green).add_modifier(Modifier::BOLD);
pub const WARNING: Style = Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD);
pub const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
pub const CHART: Style = Style::new().fg(Color::Cyan);

const INDENT: usize = 2;
const GAP: usize = 2;
/// The widest that the first column may be, where others stand beside it.
const NAME_MAX: usize = 32;

/// A table: its first column is of names, flush left, the others are flush right. Where it is too wide, the last
/// columns are left out.
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<Span<'static>>>,
    /// What stands after the last column, a line each.
    charts: Vec<String>,
    /// The least width of each column, so that tables one below the other are in line.
    widths: &'static [usize],
}

impl Table {
    pub fn new(header: &[&str], widths: &'static [usize]) -> Self {
        let header = header.iter().map(|title| (*title).to_owned()).collect();
        Table { header, rows: Vec::new(), charts: Vec::new(), widths }
    }

    pub fn row(&mut self, style: Style, cells: Vec<String>, chart: String) {
        self.rows.push(cells.into_iter().map(|cell| Span::styled(cell, style)).collect());
        self.charts.push(chart);
    }

    /// The lines, none wider than `width`.
    pub fn lines(self, width: usize) -> Vec<Line<'static>> {
        let columns = self.fitting(width);
        let mut lines = vec![line(
            self.header.into_iter().map(|title| Span::styled(title, FAINT)).collect(),
            &columns,
            String::new(),
        )];
        for (row, chart) in self.rows.into_iter().zip(self.charts) {
            lines.push(line(row, &columns, chart));
        }
        lines
    }

    /// The widths of those columns that have room.
    fn fitting(&self, width: usize) -> Vec<usize> {
        let mut columns = Vec::new();
        let mut used = INDENT;
        for index in 0..self.header.len() {
            let cells = self.rows.iter().filter_map(|row| row.get(index)).map(Span::width);
            let title = Span::raw(&*self.header[index]).width();
            let least = self.widths.get(index).copied().unwrap_or(0);
            let mut wanted = cells.max().unwrap_or(0).max(title).max(least);
            if index == 0 {
                wanted = wanted.min(NAME_MAX).min(width.saturating_sub(INDENT));
            } else {
                used += GAP;
            }
            used += wanted;
            if used > width {
                break;
            }
            columns.push(wanted);
        }
        columns
    }
}

fn line(cells: Vec<Span<'static>>, columns: &[usize], chart: String) -> Line<'static> {
    let mut spans = vec![Span::raw(" ".repeat(INDENT))];
    for (index, (cell, width)) in cells.into_iter().zip(columns).enumerate() {
        let cell = Span::styled(cut(&cell.content, *width), cell.style);
        let padding = Span::raw(" ".repeat(width.saturating_sub(cell.width())));
        if index == 0 {
            spans.extend([cell, padding]);
        } else {
            spans.extend([Span::raw(" ".repeat(GAP)), padding, cell]);
        }
    }
    if !chart.is_empty() {
        spans.extend([Span::raw(" ".repeat(GAP)), Span::styled(chart, CHART)]);
    }
    Line::from(spans)
}

/// As much of a text as has room, with an ellipsis for the rest.
pub fn cut(text: &str, width: usize) -> String {
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for character in text.chars() {
        let longer = format!("{short}{character}");
        if Span::raw(&*longer).width() + 1 > width {
            break;
        }
        short = longer;
    }
    if width > 0 {
        short.push('…');
    }
    short
}

/// A text in lines that are not wider than `width`, after `first` and as far to the right as its end.
pub fn wrapped(first: Span<'static>, text: &str, style: Style, width: usize) -> Vec<Line<'static>> {
    let indent = first.width();
    let room = width.saturating_sub(indent).max(8);
    let mut lines = Vec::new();
    let mut current = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let longer = if current.is_empty() { word.to_owned() } else { format!("{current} {word}") };
        if Span::raw(&*longer).width() > room && !current.is_empty() {
            lines.push(std::mem::replace(&mut current, word.to_owned()));
        } else {
            current = longer;
        }
    }
    lines.push(current);
    let begin = |index: usize| if index == 0 { first.clone() } else { " ".repeat(indent).into() };
    let whole =
        |(index, text)| Line::from(vec![begin(index), Span::styled(cut(text, room), style)]);
    lines.iter().map(String::as_str).enumerate().map(whole).collect()
}

/// A chart: each value as a bar between 0 and the highest one, what is unknown as a space.
pub fn chart(values: &[Option<f64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = values.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |value: &Option<f64>| match value {
        None => ' ',
        Some(value) if *value > 0.0 => {
            // What is not 0 shall not look as if it were.
            let height = (value / highest * 7.0).ceil() as usize;
            BARS[height.clamp(1, 7)]
        }
        Some(_) => BARS[0],
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|line| line.to_string().trim_end().to_owned()).collect()
    }

    fn table() -> Table {
        let mut table = Table::new(&["NAME", "/s", "total"], &[6]);
        table.row(PLAIN, vec!["a".into(), "1.5".into(), "1,000".into()], "▁█".into());
        table.row(PLAIN, vec!["写真写真".into(), "0".into(), "1".into()], String::new());
        table
    }

    #[test]
    fn a_table_has_columns_as_wide_as_what_is_in_them() {
        assert_eq!(
            text(&table().lines(80)),
            ["  NAME       /s  total", "  a         1.5  1,000  ▁█", "  写真写真    0      1"]
        );
    }

    #[test]
    fn a_table_that_is_too_wide_loses_columns_and_then_letters() {
        assert_eq!(text(&table().lines(20))[1], "  a         1.5  ▁█");
        assert_eq!(text(&table().lines(7))[2], "  写真…");
        for width in 0..30 {
            for line in table().lines(width) {
                let chart = if line.to_string().contains('█') { GAP + 2 } else { 0 };
                assert!(line.width() <= width.max(INDENT) + chart, "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_text_is_broken_between_words() {
        let lines = wrapped(Span::raw("! "), "one two three fourfourfour", PLAIN, 11);
        assert_eq!(text(&lines), ["! one two", "  three", "  fourfour…"]);
    }

    #[test]
    fn a_chart_shows_what_is_little_and_what_is_unknown() {
        let values = [None, Some(0.0), Some(0.001), Some(50.0), Some(100.0)];
        assert_eq!(chart(&values), " ▁▂▅█");
        assert_eq!(chart(&[Some(0.0); 3]), "▁▁▁");
    }
}
