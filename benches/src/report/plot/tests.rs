use super::*;
use crate::{Goal, Measured};

fn timed(bench: &str, name: &str, goal: Goal, ratio: f64, quartiles: (f64, f64), moved: f64) -> Row {
    let measured = Measured {
        ratio,
        quartiles,
        difference: 0.0,
        difference_quartiles: (0.0, 0.0),
        sides: (0.0, 0.0),
        disk_moved: moved,
        sync_us: 0.0,
    };
    Row { bench: bench.to_owned(), ..Row::timed(name, goal, &measured, "ours / theirs") }
}

fn counted(bench: &str, name: &str, goal: Goal, ratio: f64) -> Row {
    Row { bench: bench.to_owned(), ..Row::counted(name, goal, ratio, "synced commits / turns") }
}

/// A row of every kind, none at its place.
fn one_of_each() -> Vec<Row> {
    vec![
        timed("turn", "turn_vs_raw", Goal::AtMost(3.0), 4.303, (3.45, 4.54), 1.2),
        counted("turn", "commits_per_turn", Goal::Counted(1.0), 1.0),
        counted("turn", "syncs_per_read", Goal::Counted(0.0), 0.5),
        timed("decode", "decode_vs_python", Goal::AtLeast(10.0), 41.0, (38.0, 43.5), 1.0),
        counted("decode", "peak_of_a_large_line", Goal::AtMost(3.0), 1.52),
        timed("append", "append_p50_vs_raw", Goal::AtMost(1.3), 1.114, (1.10, 1.12), 1.1),
        timed("append", "append_64_writers_vs_raw", Goal::AtLeast(0.8), 0.77, (0.61, 0.86), 3.4),
        timed("append", "far_better", Goal::AtMost(5.0), -0.2, (-0.4, 0.1), 1.0),
        timed("append", "far_worse", Goal::AtLeast(1000.0), 1.0, (0.9, 1.1), 1.0),
    ]
}

#[test]
fn rows_of_every_kind_are_drawn_as_in_the_kept_picture() {
    let drawn = plot(&one_of_each());
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/plot/kept.svg");
    if std::env::var_os("PARTY_KEEP_PICTURE").is_some() {
        std::fs::write(kept, &drawn).unwrap();
    }
    assert_eq!(drawn, std::fs::read_to_string(kept).unwrap(), "PARTY_KEEP_PICTURE=1 keeps the new one");
}

#[test]
fn the_order_of_the_rows_changes_no_byte() {
    let mut backwards = one_of_each();
    backwards.reverse();
    assert_eq!(plot(&backwards), plot(&one_of_each()));
}

#[test]
fn no_text_of_a_row_becomes_markup() {
    let hostile = "</text><script>alert('1')</script>&\"\u{0}\u{1b}\u{ffff}\n";
    let mut row = counted(hostile, hostile, Goal::AtMost(1.0), f64::NAN);
    hostile.clone_into(&mut row.what);
    let drawn = plot(&[row]);
    let escaped = "&lt;/text&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}\u{fffd}\u{fffd}\u{fffd}";
    assert!(drawn.contains(&format!("<title>{escaped}: {escaped}</title>")), "{drawn}");
    assert!(drawn.contains(&format!(">{escaped}</text>")), "{drawn}");
    assert!(!drawn.contains("<script"), "{drawn}");
    assert!(!drawn.chars().any(|character| character.is_control() && character != '\n'), "{drawn}");
}

#[test]
fn no_ratio_makes_a_place_that_is_no_number() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -0.0, 0.0, f64::MIN_POSITIVE, f64::MAX];
    let mut rows = Vec::new();
    for (number, ratio) in odd.into_iter().enumerate() {
        for goal in odd.into_iter().flat_map(|goal| [Goal::AtMost(goal), Goal::AtLeast(goal)]) {
            let name = format!("{number} {goal:?}");
            rows.push(timed("odd", &name, goal, ratio, (ratio, 1.0), f64::NAN));
        }
    }
    let drawn = plot(&rows);
    let places = drawn.lines().filter(|line| !line.starts_with("<text") && !line.starts_with("<g>"));
    assert!(places.clone().count() > rows.len());
    for line in places {
        assert!(!line.contains("NaN") && !line.contains("inf"), "{line}");
    }
}

#[test]
fn a_run_without_rows_says_so() {
    let drawn = plot(&[]);
    assert!(drawn.contains(">no ratios yet</text>"), "{drawn}");
    assert!(drawn.ends_with("</svg>\n"));
    assert!(!drawn.contains("<g>"), "{drawn}");
}

#[test]
fn a_run_of_one_row_is_drawn_whole() {
    let drawn = plot(&[counted("turn", "commits_per_turn", Goal::Counted(1.0), 1.0)]);
    for text in [">turn</text>", ">commits_per_turn</text>", ">1.00</text>", ">= 1</text>", ">met</text>"] {
        assert!(drawn.contains(text), "{text} in {drawn}");
    }
    assert_eq!(drawn.matches("<g>").count(), 1, "{drawn}");
}

#[test]
fn a_long_name_is_cut_where_the_axis_begins() {
    let drawn = plot(&[counted("turn", &"é".repeat(60), Goal::AtMost(1.0), 1.0)]);
    assert!(drawn.contains(&format!(">{}…</text>", "é".repeat(NAME - 1))), "{drawn}");
}

#[test]
fn a_figure_keeps_the_digits_that_count() {
    let figures = [0.0, 1.0, 0.0042, 0.846, 41.04, 15_321.4, 1.5e9, -0.2, f64::NAN].map(figure);
    assert_eq!(figures, ["0.00", "1.00", "4.2e-3", "0.85", "41.0", "15321", "1.5e9", "-0.20", "NaN"]);
}
