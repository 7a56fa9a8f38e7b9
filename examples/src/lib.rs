//! What the example hosts share: exit codes, the store, safe output.

mod exit;
mod file;
pub mod options;
mod output;
mod store;

pub use exit::{BAD_INPUT, BadInput, FINISHED, INTERRUPTED, NO_RESULT, fail};
pub use file::read_text;
pub use output::{Output, note, printable, record_line};
pub use store::{default_store, open_existing, open_store};

/// The README's program, which the tests compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
