//! The chart: CPU of a request as a ratio to the static file's, over the number of connections.

use std::path::Path;

use anyhow::{anyhow, Result};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::FontTransform;

use crate::sendfile::Results;
use crate::variant::Variant;

const SIZE: (u32, u32) = (1000, 520);
pub const INK: RGBColor = RGBColor(36, 41, 47);
pub const FAINT: RGBColor = RGBColor(110, 119, 129);
pub const GRID: RGBColor = RGBColor(226, 230, 234);
pub const FONT: &str = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif";

/// What is drawn: a label, a colour and a width of line for each variant.
const LINES: [(Variant, &str, RGBColor, u32); 5] = [
    (Variant::Lua, "Lua, from memcached", RGBColor(188, 120, 42), 2),
    (Variant::LuaDictionary, "Lua, from its dictionary", RGBColor(219, 165, 96), 2),
    (Variant::Ours, "http_sendfile, from memcached", RGBColor(9, 105, 218), 4),
    (Variant::OursCached, "http_sendfile, from its cache", RGBColor(26, 127, 55), 4),
    (Variant::Redirect, "a redirect without a lookup", RGBColor(140, 149, 159), 2),
];

/// Draws the chart as SVG.
pub fn draw(results: &Results, connections: &[usize], file: &Path) -> Result<()> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    paint(&root, results, connections).map_err(|error| anyhow!("the chart: {error}"))
}

pub type Painting<'a> =
    Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn paint<'a>(
    root: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    results: &Results,
    connections: &[usize],
) -> Painting<'a> {
    let ratios = |who| -> Vec<f64> {
        let at = |&at: &usize| results.ratio((who, Variant::Static), at, |sample| sample.cpu);
        connections.iter().map(at).collect()
    };
    let lines = LINES.map(|(who, label, colour, width)| (ratios(who), label, colour, width));
    let highest = lines.iter().flat_map(|line| &line.0).copied().fold(1.5, f64::max);
    let top = (highest * 4.0).ceil() / 4.0;

    root.fill(&WHITE)?;
    let text = |size: u32, colour: RGBColor| (FONT, size).into_font().color(&colour);
    let title = "nginx's CPU for a file that is asked for by ID";
    root.draw(&Text::new(title, (24, 18), text(26, INK)))?;
    let subtitle = "1 = the static file itself asked for by name; less is better";
    root.draw(&Text::new(subtitle, (24, 48), text(18, FAINT)))?;

    let last = connections.len().saturating_sub(1) as f64;
    let mut chart = ChartBuilder::on(root)
        .margin_top(84)
        .margin_right(290)
        .margin_left(16)
        .margin_bottom(12)
        .x_label_area_size(52)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..last, 0.75..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(GRID)
        .x_labels(connections.len())
        .x_label_formatter(&|x| {
            let at = connections.get(x.round() as usize);
            at.map(usize::to_string).unwrap_or_default()
        })
        .y_label_formatter(&|y| format!("{y:.2}"))
        .label_style(text(17, FAINT))
        .x_desc("connections")
        .axis_desc_style(text(17, FAINT).transform(FontTransform::None))
        .draw()?;

    let base = [(0.0, 1.0), (last, 1.0)];
    chart.draw_series(LineSeries::new(base, INK.stroke_width(1)))?;
    for (ratios, _, colour, width) in &lines {
        let points: Vec<_> = (0..).map(f64::from).zip(ratios.iter().copied()).collect();
        chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(*width)))?;
        let dots = points.iter().map(|&point| Circle::new(point, width + 1, colour.filled()));
        chart.draw_series(dots)?;
    }

    let mut labels: Vec<_> = lines
        .iter()
        .filter_map(|(ratios, label, colour, _)| {
            let ratio = *ratios.last()?;
            let (x, y) = chart.backend_coord(&(last, ratio));
            Some((x, y, format!("{label} {ratio:.2}"), *colour))
        })
        .collect();
    let (x, y) = chart.backend_coord(&(last, 1.0));
    labels.push((x, y, "the static file 1".to_owned(), INK));
    labels.sort_by_key(|label| label.1);
    spread(&mut labels);
    for (x, y, label, colour) in labels {
        let style = text(17, colour).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(label, (x + 12, y), style))?;
    }
    root.present()
}

/// Moves labels, sorted from top to bottom, apart, so that none covers another: upwards, as the
/// lines crowd at the bottom.
fn spread<A, B>(labels: &mut [(i32, i32, A, B)]) {
    const HEIGHT: i32 = 19;
    let mut lowest = i32::MAX;
    for label in labels.iter_mut().rev() {
        label.1 = label.1.min(lowest);
        lowest = label.1 - HEIGHT;
    }
}
