//! How tests run the real Claude Code binary.

use std::path::{Path, PathBuf};

/// The real Claude Code binary that `cargo xtask test` fetched.
///
/// # Panics
/// If `PARTY_TEST_CLAUDE` does not name a file.
pub fn claude_binary() -> PathBuf {
    let path = std::env::var_os("PARTY_TEST_CLAUDE").map(PathBuf::from);
    match path {
        Some(path) if path.is_file() => path,
        Some(path) => panic!("PARTY_TEST_CLAUDE: no file {}; run `cargo xtask test`", path.display()),
        None => panic!("PARTY_TEST_CLAUDE is not set; run `cargo xtask test`"),
    }
}

/// The whole environment for a Claude Code process that may talk to `base_url` only.
///
/// Use it after `env_clear`. The home is its only folder: `home/tmp` is made here, because the CLI puts
/// sockets into it.
///
/// # Panics
/// If `home/tmp` cannot be made.
pub fn claude_env(home: &Path, base_url: &str) -> Vec<(String, String)> {
    let tmp = home.join("tmp");
    if let Err(error) = std::fs::create_dir_all(&tmp) {
        panic!("cannot make {}: {error}", tmp.display());
    }
    let (home, tmp) = (home.to_string_lossy(), tmp.to_string_lossy());
    [
        ("HOME", home.as_ref()),
        ("PATH", "/usr/bin:/bin"),
        ("LANG", "C.UTF-8"),
        ("TMPDIR", tmp.as_ref()),
        ("CLAUDE_CODE_TMPDIR", tmp.as_ref()),
        ("ANTHROPIC_API_KEY", "sk-ant-fake"),
        ("ANTHROPIC_BASE_URL", base_url),
        ("DISABLE_TELEMETRY", "1"),
        ("DISABLE_ERROR_REPORTING", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}
