//! The rows as a picture: how far each ratio is from its goal.

use super::{
    axis::{Axis, LEFT, Place, RIGHT},
    row::{Row, Verdict},
    svg::Svg,
};
use std::collections::BTreeMap;

const WIDTH: f64 = 900.0;
const MARGIN: f64 = 22.0;
const INDENT: f64 = 34.0;
/// Where the figures end, and where goals, marks of verdicts, and verdicts begin.
const FIGURES: f64 = 682.0;
const GOALS: f64 = 698.0;
const MARKS: f64 = 777.0;
const VERDICTS: f64 = 790.0;
/// What of a name fits before the axis begins.
const NAME: usize = 38;
const LINE: f64 = 24.0;
/// What a group has above its rows.
const GROUP: f64 = 30.0;
const TOP: f64 = 98.0;
const LEGEND: [&str; 2] = [
    "Whiskers are the quartiles of what was timed; a triangle is off the scale; a tick or a cross is a count, without a distance.",
    "Hollow is inconclusive: the disk beside the measure changed its speed more than twofold, so the ratio says nothing.",
];
const STYLE: &str = include_str!("plot.css");

/// An SVG of `rows`, the same bytes for the same rows.
pub(super) fn plot<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    let mut benches = BTreeMap::<&str, BTreeMap<&str, &Row>>::new();
    for row in rows {
        benches.entry(&row.bench).or_default().insert(&row.name, row);
    }
    let rows: Vec<&Row> = benches.values().flat_map(BTreeMap::values).copied().collect();
    let axis = Axis::over(rows.iter().copied());
    let bottom = TOP + GROUP * benches.len() as f64 + LINE * rows.len().max(1) as f64 + 8.0;
    let mut svg = Svg::default();
    head(&mut svg, &rows, bottom + 102.0);
    scale(&mut svg, &axis, bottom);
    let mut y = TOP;
    for (bench, rows) in &benches {
        y += GROUP;
        svg.text("bench", MARGIN, y - 8.0, bench);
        for row in rows.values() {
            svg.titled(&format!("{}: {}", row.name, row.what), |svg| line(svg, &axis, row, y + LINE / 2.0));
            y += LINE;
        }
    }
    svg.raw("</svg>");
    svg.finish()
}

fn head(svg: &mut Svg, rows: &[&Row], height: f64) {
    svg.raw(&format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">"#
    ));
    let summary = summary(rows);
    svg.raw(&format!("<title>Ratios and their goals: {summary}</title>\n<style>\n{STYLE}</style>"));
    svg.raw(&format!(
        r#"<rect class="paper" x="0.5" y="0.5" width="{}" height="{}" rx="8"/>"#,
        WIDTH - 1.0,
        height - 1.0
    ));
    svg.text("head", MARGIN, 36.0, "Ratios and their goals");
    svg.text("note", MARGIN, 58.0, &summary);
    svg.text("note end", FIGURES, TOP - 10.0, "ratio");
    svg.text("note", GOALS, TOP - 10.0, "goal");
    svg.text("note", VERDICTS, TOP - 10.0, "verdict");
}

fn summary(rows: &[&Row]) -> String {
    if rows.is_empty() {
        return "no ratios yet".to_owned();
    }
    let count = |word| rows.iter().filter(|row| row.verdict.word() == word).count();
    let counts = ["met", "MISSED", "inconclusive"].map(|word| (count(word), word));
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    counts.collect::<Vec<_>>().join(", ")
}

/// The axis, from above the rows to below them, with what its marks mean.
fn scale(svg: &mut Svg, axis: &Axis, bottom: f64) {
    let goal = axis.goal();
    svg.area("good", (LEFT - 12.0, TOP), goal - LEFT + 12.0, bottom - TOP);
    for (x, label) in axis.ticks() {
        let class = if label == "goal" { "goal" } else { "grid" };
        svg.path(class, (x, TOP), &format!("V{bottom:.1}"));
        svg.text("note middle", x, bottom + 17.0, &label);
    }
    svg.text("note end", goal - 8.0, TOP - 10.0, "← better");
    svg.text("note", goal + 8.0, TOP - 10.0, "worse →");
    let middle = f64::midpoint(LEFT, RIGHT);
    svg.text("note middle", middle, bottom + 34.0, "times better or worse than the goal, logarithmic");
    for (line, legend) in LEGEND.into_iter().enumerate() {
        svg.text("note", MARGIN, bottom + 66.0 + 18.0 * line as f64, legend);
    }
}

fn line(svg: &mut Svg, axis: &Axis, row: &Row, y: f64) {
    let base = y + 4.5;
    svg.text("name", INDENT, base, &shortened(&row.name));
    svg.text("figure end", FIGURES, base, &figure(row.ratio));
    svg.text("figure", GOALS, base, &row.goal.to_string());
    let class = class(&row.verdict);
    svg.text(&format!("verdict {class}-text"), VERDICTS, base, row.verdict.word());
    let Some(distance) = row.goal.distance(row.ratio) else {
        svg.circle("paper-dot", (axis.goal(), y), 9.0);
        tick_or_cross(svg, &row.verdict, (axis.goal(), y));
        return tick_or_cross(svg, &row.verdict, (MARKS, y));
    };
    dot(svg, &row.verdict, (MARKS, y));
    let ends = row.quartiles.map(|(first, third)| [first, third].map(|ratio| row.goal.distance(ratio)));
    if let Some([Some(one), Some(other)]) = ends {
        let [one, other] = [one, other].map(|end| axis.place(end).x());
        let whiskers = format!("m0 -7v14m0 -7H{:.1}m0 -7v14", one.max(other));
        svg.path(&format!("whisker {class}-line"), (one.min(other), y), &whiskers);
    }
    match axis.place(distance) {
        Place::At(x) => dot(svg, &row.verdict, (x, y)),
        Place::Before(x) => svg.path(class, (x - 10.0, y), "l10 -6v12z"),
        Place::Behind(x) => svg.path(class, (x + 10.0, y), "l-10 -6v12z"),
    }
}

/// Verdicts differ by shape too, for who sees no colours.
fn dot(svg: &mut Svg, verdict: &Verdict, (x, y): (f64, f64)) {
    match verdict {
        Verdict::Met | Verdict::Inconclusive(_) => svg.circle(class(verdict), (x, y), 4.2),
        Verdict::Missed => svg.path(class(verdict), (x, y - 6.0), "l6 6l-6 6l-6 -6z"),
    }
}

fn tick_or_cross(svg: &mut Svg, verdict: &Verdict, (x, y): (f64, f64)) {
    let (start, path) = match verdict {
        Verdict::Met => ((x - 5.5, y + 0.5), "l4 4l7.5 -9"),
        Verdict::Missed | Verdict::Inconclusive(_) => ((x - 4.5, y - 4.5), "l9 9m0 -9l-9 9"),
    };
    svg.path(&format!("tick {}-line", class(verdict)), start, path);
}

const fn class(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::Missed => "missed",
        Verdict::Inconclusive(_) => "unsure",
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}

/// Three digits that count, as far as a column is wide.
fn figure(ratio: f64) -> String {
    match ratio.abs() {
        0.0 | 0.01..10.0 => format!("{ratio:.2}"),
        10.0..100.0 => format!("{ratio:.1}"),
        100.0..1e6 => format!("{ratio:.0}"),
        _ => format!("{ratio:.1e}"),
    }
}

#[cfg(test)]
mod tests;
