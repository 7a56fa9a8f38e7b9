//! How tests run the real Claude Code binary.

use std::path::{Path, PathBuf};

/// A version of Claude Code that tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaudeVersion {
    /// 2.1.329.
    Current,
    /// 2.1.197: what npm installs where Node.js is too old for later ones.
    Older,
}

impl ClaudeVersion {
    /// The version's number, as the binary tells it.
    pub const fn number(self) -> &'static str {
        match self {
            Self::Current => "2.1.329",
            Self::Older => "2.1.197",
        }
    }

    /// The variable that names its binary.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Current => "PARTY_TEST_CLAUDE",
            Self::Older => "PARTY_TEST_CLAUDE_OLDER",
        }
    }

    /// The binary that `cargo xtask test` fetched.
    ///
    /// # Panics
    /// If `PARTY_TEST_CLAUDE`, or `PARTY_TEST_CLAUDE_OLDER` for the older one, does not name a file.
    pub fn binary(self) -> PathBuf {
        let variable = self.variable();
        match std::env::var_os(variable).map(PathBuf::from) {
            Some(path) if path.is_file() => path,
            Some(path) => panic!("{variable}: no file {}; run `cargo xtask test`", path.display()),
            None => panic!("{variable} is not set; run `cargo xtask test`"),
        }
    }
}

/// The current Claude Code binary.
///
/// # Panics
/// As [`ClaudeVersion::binary`].
pub fn claude_binary() -> PathBuf {
    ClaudeVersion::Current.binary()
}

/// Makes two tests of each named function, which takes a [`ClaudeVersion`]. A function that is left out
/// is dead code.
#[macro_export]
macro_rules! on_each_claude {
    ($($test:ident),+ $(,)?) => {
        mod v2_1_329 {
            $(#[tokio::test]
            async fn $test() {
                Box::pin(super::$test($crate::ClaudeVersion::Current)).await;
            })+
        }
        mod v2_1_197 {
            $(#[tokio::test]
            async fn $test() {
                Box::pin(super::$test($crate::ClaudeVersion::Older)).await;
            })+
        }
    };
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
