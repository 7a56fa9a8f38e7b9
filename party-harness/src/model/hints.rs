//! When a provider says that it may be asked again.

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::header::HeaderMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nobody waits longer than a day.
const MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// Where limits tell when they are lifted, as a date or as a span.
const RESETS: [&str; 6] = [
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-output-tokens-reset",
    "anthropic-ratelimit-tokens-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
];

/// The time of this machine's clock.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_second(i64::try_from(since.as_secs()).unwrap_or(i64::MAX)).unwrap_or_default()
}

/// How long to wait, by an answer's headers; `now` is what dates count from. What `retry-after` says
/// goes first; else the limit that is used up and is lifted last.
pub(super) fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let milliseconds = text("retry-after-ms").and_then(seconds).map(|wait| wait / 1_000);
    let after = || text("retry-after").and_then(|value| seconds(value).or_else(|| until(value, now)));
    let reset = |name: &str| {
        let left = text(&name.replace("-reset", "-remaining"));
        let left = left.or_else(|| text(&name.replace("reset", "remaining")));
        let is_used_up = left.is_none_or(|left| left == "0");
        text(name).filter(|_| is_used_up).and_then(|value| until(value, now).or_else(|| span(value)))
    };
    milliseconds.or_else(after).or_else(|| RESETS.iter().filter_map(|name| reset(name)).max())
}

/// A number of seconds, whole or not.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    // What is no number of seconds at all is no hint.
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(MOST))
}

fn until(date: &str, now: Timestamp) -> Option<Duration> {
    let zoned = || rfc2822::parse(date).ok().map(|zoned| zoned.timestamp());
    let at = date.parse::<Timestamp>().ok().or_else(zoned)?;
    // One that is over already is due now.
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default().min(MOST))
}

/// OpenAI's spans: `1s`, `6m0s`, `20ms`.
fn span(text: &str) -> Option<Duration> {
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(digits);
        let letters = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let scale = match &unit[..letters] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * scale).ok()?;
        sum = sum.saturating_add(part);
        rest = &unit[letters..];
    }
    (!text.is_empty()).then(|| sum.min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn waits(headers: &[(&str, &str)]) -> Option<u128> {
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        wait(&headers.iter().map(pair).collect(), now).map(|wait| wait.as_millis())
    }

    #[test]
    fn a_server_says_when_in_many_ways() {
        type Headers<'a> = &'a [(&'a str, &'a str)];
        let cases: [(Headers<'_>, Option<u128>); 12] = [
            (&[], None),
            (&[("retry-after", "7")], Some(7_000)),
            (&[("retry-after", "0.5")], Some(500)),
            (&[("retry-after-ms", "250"), ("retry-after", "7")], Some(250)),
            (&[("retry-after", "Sat, 28 Nov 2026 12:00:09 GMT")], Some(9_000)),
            (&[("retry-after", "Sat, 28 Nov 2026 11:00:00 GMT")], Some(0)),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "1e300")], None),
            (&[("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-reset-tokens", "6m0s")], Some(360_000)),
            (
                &[
                    ("x-ratelimit-reset-requests", "20ms"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                    ("x-ratelimit-remaining-tokens", "900"),
                ],
                Some(20),
            ),
            (&[("anthropic-ratelimit-tokens-reset", "2026-11-28T12:00:30Z")], Some(30_000)),
        ];
        for (headers, expected) in cases {
            assert_eq!(waits(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn nobody_waits_longer_than_a_day() {
        assert_eq!(waits(&[("retry-after", "99999999")]), Some(MOST.as_millis()));
        assert_eq!(waits(&[("x-ratelimit-reset-tokens", "9999999999999d")]), Some(MOST.as_millis()));
    }
}
