//! Files that a user names.

use crate::BadInput;
use std::{fs, io::Read as _, path::Path};

/// The text of a file that an option named, of at most `limit` bytes. Only a regular file is opened,
/// since a pipe may never have a writer.
///
/// # Errors
/// What is wrong with it, by the name of the option and of the file.
pub fn read_text(option: &str, file: &Path, limit: u64) -> Result<String, BadInput> {
    let refuse = |why: &str| BadInput::new(format!("{option} {}: {why}", file.display()));
    let refused = |error: std::io::Error| refuse(&error.to_string());
    if !fs::metadata(file).map_err(refused)?.is_file() {
        return Err(refuse("is not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(file).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(refused)?;
    if bytes.len() as u64 > limit {
        return Err(refuse(&format!("is larger than {} KiB", limit >> 10)));
    }
    String::from_utf8(bytes).map_err(|_| refuse("is not UTF-8"))
}
