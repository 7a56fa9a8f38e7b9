//! Output that no model can misuse, to a reader that may go away.

use party_core::Record;
use std::io::{self, ErrorKind, Write};

/// Standard output. After the first line that cannot be written, nothing more is.
#[derive(Debug, Default)]
pub struct Output {
    failed: Option<io::Error>,
}

impl Output {
    /// Writes a line. What goes wrong is told by [`finish`](Self::finish).
    pub fn line(&mut self, line: &str) {
        if self.failed.is_some() {
            return;
        }
        let mut stdout = io::stdout().lock();
        self.failed = writeln!(stdout, "{line}").and_then(|()| stdout.flush()).err();
    }

    /// Whether there is any use in writing more.
    pub const fn is_open(&self) -> bool {
        self.failed.is_none()
    }

    /// Whether all was written, as far as anybody read it.
    ///
    /// # Errors
    /// What the system said. A reader that went away, as `head` does, has what it wanted: no error.
    pub fn finish(&mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(io::Error::new(error.kind(), format!("cannot write to standard output: {error}")))
            }
            _ => Ok(()),
        }
    }
}

/// Says something on standard error; where nobody listens any more, as after a hang-up, to nobody.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// The text without control characters, so that what an agent says cannot steer the terminal, nor
/// stand in another order than it was written.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

fn steers(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => c.is_control(),
    }
}

/// A record as one line of JSON.
pub fn record_line(record: &Record) -> String {
    // By way of a value, since a body may have been written over several lines.
    serde_json::to_value(record).map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn characters_that_steer_the_terminal_or_turn_the_text_around_are_replaced() {
        assert_eq!(printable("a\u{1b}[2J\r\n\tb"), "a\u{fffd}[2J\u{fffd}\n\tb");
        for c in "\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}".chars() {
            assert_eq!(printable(&format!("{c}x")), "\u{fffd}x", "{}", c.escape_unicode());
        }
        assert_eq!(printable("مرحبا 👩\u{200d}💻"), "مرحبا 👩\u{200d}💻");
    }
}
