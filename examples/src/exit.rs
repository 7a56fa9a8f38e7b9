//! How a host ends.

use std::{error::Error, fmt, process::ExitCode};

/// Finished, absences included.
pub const FINISHED: u8 = 0;
/// Ended without a result.
pub const NO_RESULT: u8 = 1;
/// What the user gave cannot be used; nothing was written.
pub const BAD_INPUT: u8 = 2;
/// Interrupted, and can be resumed.
pub const INTERRUPTED: u8 = 130;

/// What the user gave cannot be used; the text says what, and what could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadInput(String);

impl BadInput {
    /// One clear message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// An error and its causes as one clear message.
    pub fn from_error(error: &dyn Error) -> Self {
        Self(in_full(error))
    }
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for BadInput {}

fn in_full(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some tell their cause themselves.
        if !message.contains(&said) {
            message = format!("{message}: {said}");
        }
        cause = error.source();
    }
    message
}

/// Says what went wrong on stderr, and ends with the exit code for it.
pub fn fail(program: &str, error: &(dyn Error + 'static)) -> ExitCode {
    crate::note(&format!("{program}: {}", crate::printable(&in_full(error))));
    ExitCode::from(if error.is::<BadInput>() { BAD_INPUT } else { NO_RESULT })
}
