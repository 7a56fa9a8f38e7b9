//! The runtime binaries that tests run, with their pinned checksums.

use std::process::Command;

/// A binary that npm carries in one package per platform.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// The package's name up to the platform.
    pub(crate) package: &'static str,
    pub(crate) binary: &'static str,
    /// Platform and checksum of its package.
    pub(crate) pins: &'static [(&'static str, &'static str)],
}

/// Claude Code.
pub(crate) const CLAUDE: Runtime = Runtime {
    name: "claude",
    version: "2.1.329",
    package: "@anthropic-ai/claude-code-",
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

impl Runtime {
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
    fn every_pin_is_a_checksum() {
        assert!(CLAUDE.pins.iter().all(|(_, pin)| pin.starts_with("sha512-") && pin.len() == 95));
        assert!(CLAUDE.pin("plan9-mips").unwrap_err().contains("only for linux-x64, "));
    }
}
