//! Files that somebody has changed with care.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// `file` with `change` made to one of its lines, and an end that fits.
pub(crate) fn resealed(file: &[u8], line: usize, change: impl FnOnce(String) -> String) -> Vec<u8> {
    let text = std::str::from_utf8(file).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.pop();
    lines[line - 1] = change(std::mem::take(&mut lines[line - 1]));
    let mut file: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
    let sha256: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    let end = json!({ "end": { "records": lines.len() - 1, "sha256": sha256 } });
    file.extend_from_slice(format!("{end}\n").as_bytes());
    file
}

/// The same, with a field of the line set, or of its record.
pub(crate) fn with(file: &[u8], line: usize, field: &str, value: Value) -> Vec<u8> {
    resealed(file, line, |text| {
        let mut read: Value = serde_json::from_str(&text).unwrap();
        let fields = if line == 1 { &mut read } else { &mut read["record"] };
        fields[field] = value;
        read.to_string()
    })
}
