//! The workspace, as Cargo knows it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The names of test programs that need the real runtime binaries begin with this.
const REAL: &str = "real";

/// What `cargo metadata` tells.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    metadata: Value,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self, String> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("run it as `cargo xtask`")?;
        let root = Path::new(&package).parent().ok_or("the xtask package has no parent folder")?;
        let mut command = bare_cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root);
        let text = output(&mut command)?;
        let metadata = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
        Ok(Self { root: root.to_owned(), metadata })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where fetched binaries live: inside the target folder, so that `cargo clean` removes them.
    pub(crate) fn tools(&self) -> PathBuf {
        let target = self.metadata["target_directory"].as_str().map(PathBuf::from);
        target.unwrap_or_else(|| self.root.join("target")).join("tools")
    }

    /// Cargo in the workspace's root.
    pub(crate) fn cargo<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = bare_cargo();
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// The test programs that need no real runtime, by name: new ones are run without being listed here.
    pub(crate) fn plain_tests(&self) -> BTreeSet<&str> {
        plain_tests(&self.metadata)
    }
}

fn all(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn plain_tests(metadata: &Value) -> BTreeSet<&str> {
    let targets = all(&metadata["packages"]).flat_map(|package| all(&package["targets"]));
    let tests = targets.filter(|target| all(&target["kind"]).any(|kind| kind == "test"));
    tests.filter_map(|test| test["name"].as_str()).filter(|name| !name.starts_with(REAL)).collect()
}

/// Cargo without what `cargo run` adds to the environment, which would look like a change to some build scripts.
fn bare_cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}: {}", output.status, stderr.trim()));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_tests_are_those_of_all_crates_without_the_real_ones() {
        let metadata = json!({"packages": [
            {"name": "a", "targets": [{"kind": ["test"], "name": "replay"}, {"kind": ["lib"], "name": "a"}]},
            {"name": "b", "targets": [{"kind": ["test"], "name": "real_one"}, {"kind": ["test"], "name": "c"}]}]});
        assert_eq!(plain_tests(&metadata).into_iter().collect::<Vec<_>>(), ["c", "replay"]);
    }
}
