//! The chart of `scripts/bench room`: a crowd, minute by minute.

use std::path::Path;

use anyhow::{anyhow, Result};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::chart::{Painting, FAINT, FONT, GRID, INK};
use crate::room_crowd::{Moment, Story};

const SIZE: (u32, u32) = (1000, 640);
const TOP: i32 = 60;

/// What is drawn, one below the other: a title, a colour, and the figure of a moment.
type Panel = (&'static str, RGBColor, fn(&Moment) -> f64);
const PANELS: [Panel; 3] = [
    ("people who wait", RGBColor(188, 120, 42), |moment| moment.waiting as f64),
    ("seats that are held", RGBColor(9, 105, 218), |moment| moment.held as f64),
    ("requests per second by those who wait", RGBColor(26, 127, 55), |moment| moment.polls),
];

/// Draws the chart as SVG.
pub fn draw(story: &Story, file: &Path) -> Result<()> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    paint(&root, &story.moments).map_err(|error| anyhow!("the chart: {error}"))
}

fn paint<'a>(root: &DrawingArea<SVGBackend<'a>, Shift>, moments: &[Moment]) -> Painting<'a> {
    let text = |size: u32, colour: RGBColor| (FONT, size).into_font().color(&colour);
    root.fill(&WHITE)?;
    let title = "A crowd before a waiting room, and then nobody";
    root.draw(&Text::new(title, (24, 18), text(26, INK)))?;
    let (_, below) = root.split_vertically(TOP);
    let end = moments.last().map_or(1.0, |moment| moment.minute);
    for (area, (name, colour, figure)) in below.split_evenly((PANELS.len(), 1)).iter().zip(PANELS) {
        let most = moments.iter().map(figure).fold(1.0, f64::max) * 1.1;
        let mut chart = ChartBuilder::on(area)
            .margin_left(16)
            .margin_right(32)
            .margin_top(30)
            .x_label_area_size(30)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..end, 0.0..most)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(GRID)
            .y_labels(4)
            .x_label_formatter(&|minute| format!("{minute:.0} min"))
            .y_label_formatter(&|figure| format!("{figure:.0}"))
            .label_style(text(16, FAINT))
            .draw()?;
        let points = moments.iter().map(|moment| (moment.minute, figure(moment)));
        let line: Vec<_> = std::iter::once((0.0, 0.0)).chain(points).collect();
        let below = Polygon::new(line.clone(), colour.mix(0.15).filled());
        chart.draw_series(std::iter::once(below))?;
        chart.draw_series(LineSeries::new(line, colour.stroke_width(2)))?;
        area.draw(&Text::new(name, (88, 6), text(18, colour)))?;
    }
    root.present()
}
