//! The chart of `scripts/bench limit`: instructions of a call, this module's beside limit_req's.

use std::path::Path;

use anyhow::{anyhow, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::chart::{Painting, FAINT, FONT, GRID, INK};
use crate::limit::Results;
use crate::limit_instructions::{Case, Row};

const WIDTH: i32 = 1000;
const TOP: i32 = 84;
const LEFT: i32 = 310;
const RIGHT: i32 = 60;
/// Of a bar, and of a pair of bars with the space below.
const BAR: i32 = 13;
const PAIR: i32 = 36;
const THEIRS: RGBColor = RGBColor(188, 120, 42);
const OURS: RGBColor = RGBColor(9, 105, 218);

/// Draws the chart as SVG.
pub fn draw(results: &Results, file: &Path) -> Result<()> {
    // A logged refusal is five times as long, and it is the log's.
    let is_drawn = |row: &&Row| matches!(row.case, Case::Pass | Case::Refuse | Case::New);
    let rows: Vec<&Row> = results.instructions.0.iter().filter(is_drawn).collect();
    let height = TOP + PAIR * i32::try_from(rows.len())?;
    let root = SVGBackend::new(file, (WIDTH as u32, height as u32)).into_drawing_area();
    paint(&root, &rows, height).map_err(|error| anyhow!("the chart: {error}"))
}

fn paint<'a>(
    root: &DrawingArea<SVGBackend<'a>, Shift>,
    rows: &[&Row],
    height: i32,
) -> Painting<'a> {
    let text = |size: u32, colour: RGBColor| (FONT, size).into_font().color(&colour);
    let at = |style: TextStyle<'static>, side| style.pos(Pos::new(side, VPos::Center));
    root.fill(&WHITE)?;
    let title = "Instructions of a call of the limiter";
    root.draw(&Text::new(title, (24, 18), text(26, INK)))?;
    let subtitle = "in user space; less is better";
    root.draw(&Text::new(subtitle, (24, 48), text(18, FAINT)))?;
    for (name, x, colour) in [("limit_req", LEFT, THEIRS), ("smart_limit", LEFT + 120, OURS)] {
        root.draw(&Rectangle::new([(x, 52), (x + BAR, 52 + BAR)], colour.filled()))?;
        let style = at(text(18, colour), HPos::Left);
        root.draw(&Text::new(name, (x + BAR + 6, 52 + BAR / 2), style))?;
    }
    root.draw(&PathElement::new([(LEFT, TOP - 6), (LEFT, height - 10)], GRID.stroke_width(1)))?;

    let most = rows.iter().flat_map(|row| [row.limit_req, row.smart_limit]).fold(1.0, f64::max);
    let scale = f64::from(WIDTH - LEFT - RIGHT) / most;
    for (row, top) in rows.iter().zip((TOP..).step_by(PAIR as usize)) {
        let style = at(text(17, INK), HPos::Right);
        root.draw(&Text::new(label(row), (LEFT - 12, top + BAR), style))?;
        for (count, top, colour) in
            [(row.limit_req, top, THEIRS), (row.smart_limit, top + BAR, OURS)]
        {
            let right = LEFT + (count * scale).round() as i32;
            root.draw(&Rectangle::new([(LEFT, top), (right, top + BAR - 1)], colour.filled()))?;
            let style = at(text(15, colour), HPos::Left);
            let middle = (right + 6, top + BAR / 2);
            root.draw(&Text::new(format!("{count:.0}"), middle, style))?;
        }
    }
    root.present()
}

fn label(row: &Row) -> String {
    let among = match row.held {
        None => "a full zone".to_owned(),
        Some(1) => "1 key".to_owned(),
        Some(_) => format!("{} keys", row.among()),
    };
    format!("{}, {}, {among}", row.case.name(), row.key.name()).replace('`', "")
}
