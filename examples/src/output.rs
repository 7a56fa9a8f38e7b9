//! Output that no model can misuse, to a reader that may go away.

use party_core::Record;
use std::io::Write;

/// Standard output. Once its reader is gone, nothing more is written.
#[derive(Debug, Default)]
pub struct Output {
    gone: bool,
}

impl Output {
    /// Writes a line.
    pub fn line(&mut self, line: &str) {
        if self.gone {
            return;
        }
        let mut stdout = std::io::stdout().lock();
        self.gone = writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_err();
    }
}

/// The text without control characters, so that what an agent says cannot steer the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// A record as one line of JSON.
pub fn record_line(record: &Record) -> String {
    // By way of a value, since a body may have been written over several lines.
    serde_json::to_value(record).map(|value| value.to_string()).unwrap_or_default()
}
