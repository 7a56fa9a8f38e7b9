//! How tests run the real Codex binary.

use std::path::PathBuf;

/// The Codex binary that `cargo xtask test` fetched.
///
/// # Panics
/// If `PARTY_TEST_CODEX` does not name a file.
pub fn codex_binary() -> PathBuf {
    match std::env::var_os("PARTY_TEST_CODEX").map(PathBuf::from) {
        Some(path) if path.is_file() => path,
        Some(path) => panic!("PARTY_TEST_CODEX: no file {}; run `cargo xtask test`", path.display()),
        None => panic!("PARTY_TEST_CODEX is not set; run `cargo xtask test`"),
    }
}
