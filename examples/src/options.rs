//! What the command lines of the hosts have in common.

use crate::BadInput;
use lexopt::Parser;
use std::{ffi::OsString, path::PathBuf};

/// Keeps the value of an option that may be given once.
///
/// # Errors
/// Where it was given before.
pub fn once<T>(name: &str, place: &mut Option<T>, value: T) -> Result<(), BadInput> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice(name)),
    }
}

/// Keeps a flag that may be given once.
///
/// # Errors
/// Where it was given before.
pub fn flag(name: &str, place: &mut bool) -> Result<(), BadInput> {
    if std::mem::replace(place, true) { Err(twice(name)) } else { Ok(()) }
}

fn twice(name: &str) -> BadInput {
    BadInput::new(format!("--{name} is given twice"))
}

/// The value of an option as text.
///
/// # Errors
/// Where there is none, or it is not UTF-8.
pub fn text(name: &str, parser: &mut Parser) -> Result<String, BadInput> {
    let not_text = |value: OsString| BadInput::new(format!("--{name}: {} is not UTF-8", value.display()));
    value(name, parser)?.into_string().map_err(not_text)
}

/// The value of an option as a path, whatever bytes it is made of.
///
/// # Errors
/// Where there is none, or it is empty.
pub fn path(name: &str, parser: &mut Parser) -> Result<PathBuf, BadInput> {
    let value = value(name, parser)?;
    if value.is_empty() {
        Err(BadInput::new(format!("--{name}: the path is empty")))
    } else {
        Ok(value.into())
    }
}

fn value(name: &str, parser: &mut Parser) -> Result<OsString, BadInput> {
    parser.value().map_err(|_| BadInput::new(format!("--{name} needs a value")))
}

/// What the parser found wrong.
pub fn usage(error: lexopt::Error) -> BadInput {
    BadInput::new(format!("{error}; see --help"))
}
