//! The runtime binaries that tests run, with their pinned checksums.

use std::process::Command;

/// A binary that npm carries in one package per platform.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// The variable that names the binary to tests.
    pub(crate) variable: &'static str,
    /// The package as npm is asked for it; `{platform}` and `{version}` stand for themselves.
    package: &'static str,
    /// The file in it; `{target}` stands for the compiler's name of the platform.
    binary: &'static str,
    /// Platform and checksum of its package.
    pub(crate) pins: &'static [(&'static str, &'static str)],
}

/// All that tests need.
pub(crate) const ALL: [&Runtime; 4] = [&CLAUDE, &CLAUDE_OLDER, &CODEX, &NODE];

/// Claude Code.
const CLAUDE: Runtime = Runtime {
    name: "claude",
    version: "2.1.329",
    variable: "PARTY_TEST_CLAUDE",
    package: "@anthropic-ai/claude-code-{platform}@{version}",
    binary: "claude",
    pins: &[
        (
            "linux-x64",
            "sha512-+n4lu1ubYAp02Y0X/MAUnxw9yY6SHHZ77F+IoW+V0wVoFuiI9opdH6gofjf14gXJCEYMTNpks7Gn1i8XZTKAWA==",
        ),
        (
            "linux-arm64",
            "sha512-IiG5umFToSCVWqB1lEsxxwIxKgxPXyZ3DRU915v8J4Bz5Q3JpslM0ew1m5yaT+lFXBPvYxmsEgi0XI68XHND0A==",
        ),
        (
            "darwin-x64",
            "sha512-6cjJiD19yxOzdnzErJ8ougFKoksK/wUvOJb6V2iCXg1rM9gGEY1I7HE8jQnvh6buAuXHtHaahfoiiISaplOxYg==",
        ),
        (
            "darwin-arm64",
            "sha512-brgS94FOoB+ekq1gIeNpBtGAbzWxE1UEeBQWfk1KX1BStrMIxwWXriPfQLKEkFTWHpmGXv2fZxxMQJsR+5PhZw==",
        ),
        (
            "linux-x64-musl",
            "sha512-EouW7B/aG3GOQBmzN9MxHV9uTOE2r6E+VIlFBrBgIEBuBBF4qH1GTvg5/CVf53gGp4DgVf1CYdBHjS+2NeDP4A==",
        ),
        (
            "linux-arm64-musl",
            "sha512-uVWrRp60cqvikJ13Rtmlkd8WuJtJEWAuGJzenJ0or0I7by05kRWopFdDdpWYQi8dRIJ6+W9T9w+PA4B+EjfCXQ==",
        ),
    ],
};

/// The Claude Code that npm installs where Node.js is too old for later ones. It differs in what a turn
/// costs, in how it reads messages, and in what it says of a slow MCP server.
const CLAUDE_OLDER: Runtime = Runtime {
    name: "claude",
    version: "2.1.197",
    variable: "PARTY_TEST_CLAUDE_OLDER",
    package: "@anthropic-ai/claude-code-{platform}@{version}",
    binary: "claude",
    pins: &[
        (
            "linux-x64",
            "sha512-rIlKmrY0QMyHgPRX/MYWNj039vbypICvI9jVe3rs9Xy2RnNklySjyPxqh62QadznzoftEO23uYQ1tFePcQ//bg==",
        ),
        (
            "linux-arm64",
            "sha512-sx6SoGj3MNR5CV+YDkNtbLHXa1tn3G8qcYFgm1gnvOi9ODQUKbhiPfankJfkTMDVekOvnKJhm6i9hGFIPzp7cQ==",
        ),
        (
            "darwin-x64",
            "sha512-DOPeGTQqJWVENJsxwMxJtLOx+7OBINEDg9trQldlJR1nBssaYzNj1WWxp37JYSBRjeYLhqLipvDqEA0LMglL7A==",
        ),
        (
            "darwin-arm64",
            "sha512-1FOVhJzkKGWgOEEsvaK3ylCEmjKeJiXwfKl7RtNEbiDj7OxhRQ1G1CLN0HGDTTq1QwY+Dm2x1Yscdv5NfobAxQ==",
        ),
        (
            "linux-x64-musl",
            "sha512-/Ij3+inZf96Lb1BLnO0rWArRi1HqIMh6HeGrQoykrp7a8Yj0SA1EQIO42kpNeVxM9z3o3xUaiIf0FRMzLIp6oQ==",
        ),
        (
            "linux-arm64-musl",
            "sha512-r3taVK9rDaMahHkrCGV8wF1Sjphs7fqXy2ZEznyDGxUqeW6HxgkbG7dPplXnwwGiMTdYLrtQTQMN21ZTxcVHBA==",
        ),
    ],
};

/// Codex.
const CODEX: Runtime = Runtime {
    name: "codex",
    version: "0.169.0",
    variable: "PARTY_TEST_CODEX",
    package: "@openai/codex@{version}-{platform}",
    binary: "vendor/{target}/bin/codex",
    pins: &[
        (
            "linux-x64",
            "sha512-o05NyAOCDygSPRo1yinzxvkRSdmsZyBD9E7mbpmjRanSfM8lypqWtQgEo4XfNkwhuCR2aFu8mlGOsQGFXVbVww==",
        ),
        (
            "linux-arm64",
            "sha512-NZ/DaQUpcQmxmqee7Z9uC1rzw3GhSbooawcaTe1LN5Yk+WlinUKGdTXJgClRT/9ogQEEM9TWxYzvxPfj5G/xFg==",
        ),
        (
            "darwin-x64",
            "sha512-K1FKSsSLl9v3z5TeagBQXyQRDBIGB5Jncy5dxsRxwT3aaTqN3AI8VrCfoxBxKMOOU9O2QX1vg7WkBwNVth/s9A==",
        ),
        (
            "darwin-arm64",
            "sha512-5WsWFBbVP78D+6FvNo1MMVxLPZdmcoQlqVJFrF4qx/TmvneLnMQKtLyXkUo54XOTDfoYKpNouTJ/F7gTVA8FnQ==",
        ),
    ],
};

/// The Node.js that OpenClaw needs; systems mostly have an older one.
const NODE: Runtime = Runtime {
    name: "node",
    version: "24.21.0",
    variable: "PARTY_TEST_NODE",
    package: "node-{platform}@{version}",
    binary: "bin/node",
    pins: &[
        (
            "linux-x64",
            "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
        ),
        (
            "linux-arm64",
            "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==",
        ),
    ],
};

impl Runtime {
    pub(crate) fn package(&self, platform: &str) -> String {
        self.package.replace("{platform}", platform).replace("{version}", self.version)
    }

    pub(crate) fn binary(&self, platform: &str) -> String {
        let target = match platform {
            "linux-x64" => "x86_64-unknown-linux-musl",
            "linux-arm64" => "aarch64-unknown-linux-musl",
            "darwin-x64" => "x86_64-apple-darwin",
            "darwin-arm64" => "aarch64-apple-darwin",
            other => other,
        };
        self.binary.replace("{target}", target)
    }

    pub(crate) fn pin(&self, platform: &str) -> Result<&'static str, String> {
        let found = self.pins.iter().find(|(name, _)| *name == platform);
        found.map(|(_, integrity)| *integrity).ok_or_else(|| {
            let known: Vec<_> = self.pins.iter().map(|(name, _)| *name).collect();
            format!(
                "{} {} is not known for {platform}, only for {}",
                self.name,
                self.version,
                known.join(", ")
            )
        })
    }
}

/// This machine, as npm packages name it.
pub(crate) fn platform() -> String {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let libc = if os == "linux" && has_musl() { "-musl" } else { "" };
    format!("{os}-{arch}{libc}")
}

/// The machine's own C library counts: a musl toolchain may run on a machine with glibc.
fn has_musl() -> bool {
    match Command::new("ldd").arg("--version").output() {
        Ok(output) => [output.stdout, output.stderr].concat().windows(4).any(|word| word == b"musl"),
        Err(_) => cfg!(target_env = "musl"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_is_a_checksum_of_a_named_package() {
        let mut pins = ALL.iter().flat_map(|runtime| runtime.pins);
        assert!(pins.all(|(_, pin)| pin.starts_with("sha512-") && pin.len() == 95));
        assert_eq!(CLAUDE.package("linux-x64"), "@anthropic-ai/claude-code-linux-x64@2.1.329");
        assert_eq!(CODEX.package("linux-x64"), "@openai/codex@0.169.0-linux-x64");
        assert_eq!(CODEX.binary("linux-x64"), "vendor/x86_64-unknown-linux-musl/bin/codex");
        assert!(CLAUDE.pin("plan9-mips").unwrap_err().contains("only for linux-x64, "));
    }
}
