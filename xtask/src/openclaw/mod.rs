//! OpenClaw, which is no binary but a package of npm with hundreds of others below it.

use std::fs;
use std::path::Path;

use crate::fetch::{Failed, Fetched, Scratch, attempts, describe, is_whole, move_in, npm, remove};
use crate::integrity::integrity;

const PACKAGE: &str = include_str!("package.json");

/// Names each package with its checksum, which npm holds it to.
const LOCK: &str = include_str!("package-lock.json");

/// What the gateway is started by.
const PROGRAM: &str = "node_modules/openclaw/openclaw.mjs";

/// No install scripts run: the gateway needs none of them.
const INSTALL: [&str; 5] = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"];

/// Makes sure that the package is in the tools folder; the variable names the folder that holds its
/// `node_modules`.
pub(crate) fn fetch(tools: &Path) -> Result<Fetched, String> {
    let what = format!("openclaw {}", version()?);
    let pin = integrity(LOCK.as_bytes()).map_err(|error| error.to_string())?;
    let folder = tools.join(what.replace(' ', "-"));
    let cached = is_whole(&folder, &folder.join(PROGRAM), &pin);
    if !cached {
        let scratch = Scratch::new(tools, &what.replace(' ', "-"))?;
        let unpacked = scratch.0.join("unpacked");
        attempts(&what, |_| install(&unpacked)).map_err(|error| format!("{what}: {error}"))?;
        move_in(&unpacked, &folder, Path::new(PROGRAM), &pin)?;
        if !is_whole(&folder, &folder.join(PROGRAM), &pin) {
            return Err(format!("{what}: npm brought no {PROGRAM}"));
        }
    }
    Ok(Fetched::new("PARTY_TEST_OPENCLAW", folder, what, cached))
}

fn install(folder: &Path) -> Result<(), Failed> {
    remove(folder).map_err(Failed::ForGood)?;
    let failed = |error| Failed::ForGood(describe(folder, &error));
    fs::create_dir_all(folder).map_err(failed)?;
    fs::write(folder.join("package.json"), PACKAGE).map_err(failed)?;
    fs::write(folder.join("package-lock.json"), LOCK).map_err(failed)?;
    npm(&INSTALL, folder)
}

/// The version that the lock pins.
fn version() -> Result<String, String> {
    let lock: serde_json::Value = serde_json::from_str(LOCK).map_err(|error| format!("the lock: {error}"))?;
    let version = lock["packages"]["node_modules/openclaw"]["version"].as_str();
    version.map(str::to_owned).ok_or_else(|| "the lock names no openclaw".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_pins_each_package_by_checksum() {
        let lock: serde_json::Value = serde_json::from_str(LOCK).unwrap();
        let packages = lock["packages"].as_object().unwrap().iter().filter(|(name, _)| !name.is_empty());
        let unpinned: Vec<_> = packages.filter(|(_, one)| !one["integrity"].is_string()).collect();
        assert!(unpinned.iter().all(|(_, one)| one["inBundle"] == true), "{unpinned:?}");
        assert!(version().unwrap().starts_with("2026."));
    }
}
