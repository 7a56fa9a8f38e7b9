//! The few shapes that the picture is made of, as text.

use std::fmt::Write as _;

/// An SVG under construction. All text that comes from outside goes through [`Svg::text`] or
/// [`Svg::titled`], which escape it.
#[derive(Debug, Default)]
pub(super) struct Svg(String);

impl Svg {
    /// A line of markup as it is.
    pub(super) fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
        self.0.push('\n');
    }

    pub(super) fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = escaped(text);
        self.line(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{text}</text>"#));
    }

    /// What `draw` adds, as a group that a browser explains by `title`.
    pub(super) fn titled(&mut self, title: &str, draw: impl FnOnce(&mut Self)) {
        self.line(format_args!("<g><title>{}</title>", escaped(title)));
        draw(self);
        self.raw("</g>");
    }

    /// A rectangle from `(x, y)`.
    pub(super) fn area(&mut self, class: &str, (x, y): (f64, f64), width: f64, height: f64) {
        self.line(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"/>"#
        ));
    }

    /// A path whose places are relative to `(x, y)`.
    pub(super) fn path(&mut self, class: &str, (x, y): (f64, f64), path: &str) {
        self.line(format_args!(r#"<path class="{class}" d="M{x:.1} {y:.1}{path}"/>"#));
    }

    pub(super) fn circle(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        self.line(format_args!(r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}"/>"#));
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, markup: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{markup}").expect("a string takes text");
    }
}

/// Text that is nothing but text, in XML 1.0, which has no form at all for most control characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            plain => escaped.push(plain),
        }
    }
    escaped
}
