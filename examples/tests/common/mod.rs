//! Runs the examples as a user does, in an environment of their own.
#![allow(dead_code, clippy::unwrap_used, reason = "test code; each test binary uses a part of it")]

pub(crate) mod dialogue;
pub(crate) mod voices;

use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// A folder of its own for a store, a home, and whatever else a test writes.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("party.db")
    }

    /// An example with a cleared environment, whose home is this place.
    pub(crate) fn command(&self, example: &str) -> Command {
        let mut command = Command::new(built(example));
        command.env_clear().env("HOME", self.0.path()).env("PATH", "/usr/bin:/bin");
        command.current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn council(&self, args: &[&str]) -> Command {
        let mut command = self.command("council");
        command.args(args).arg("--store").arg(self.store());
        command
    }

    /// The sessions in the store, as `log --json` lists them.
    pub(crate) fn sessions(&self) -> Vec<String> {
        if !self.store().exists() {
            return Vec::new();
        }
        let output = self.command("log").arg("--json").arg("--store").arg(self.store()).output().unwrap();
        // A council that was killed at its very beginning leaves an empty file.
        assert!(output.status.success() || stderr(&output).contains("is empty"), "{}", said(&output));
        lines(&output).iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn records(&self, session: &str) -> Vec<Value> {
        let mut command = self.command("log");
        let output =
            command.args(["--json", "--session", session, "--store"]).arg(self.store()).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        lines(&output)
    }

    /// Names of all files and folders here.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

/// The example's binary; built first, since a single test target does not build it.
fn built(example: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        // What Cargo tells a test of its package looks like a change to build scripts, which would run anew.
        let told = std::env::vars_os().map(|(name, _)| name).filter(|name| {
            let name = name.to_string_lossy();
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        for name in told {
            cargo.env_remove(name);
        }
        let built = cargo.args(["build", "--workspace", "--examples"]).output().unwrap();
        assert!(built.status.success(), "{}", said(&built));
        let test = std::env::current_exe().unwrap();
        test.parent().and_then(Path::parent).unwrap().join("examples")
    });
    folder.join(example)
}

pub(crate) fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Records without what two equal runs may differ in: ids and places are renamed in order of
/// appearance, times and counts of attempts left out; and without trace, lease and attempt records.
pub(crate) fn comparable(records: &[Value]) -> Vec<Value> {
    const ASIDE: [&str; 3] = ["leaseTaken", "attemptEnded", "runtimeBound"];
    let mut names = BTreeMap::new();
    let kept = records.iter().filter(|record| record["class"] != "trace");
    kept.filter(|record| !ASIDE.contains(&record["kind"].as_str().unwrap()))
        .map(|record| renamed(record, &mut names))
        .collect()
}

fn renamed(value: &Value, names: &mut BTreeMap<String, usize>) -> Value {
    const LEFT_OUT: [&str; 7] = ["at", "createdAt", "offset", "turn", "turns", "visibleUpTo", "attempt"];
    match value {
        Value::String(text) if ["ses_", "itm_", "thr_"].iter().any(|kind| text.starts_with(kind)) => {
            let next = names.len();
            Value::from(*names.entry(text.clone()).or_insert(next))
        }
        Value::Array(values) => values.iter().map(|value| renamed(value, names)).collect(),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
            Value::Object(
                kept.map(|(name, value)| (name.clone(), renamed(value, names))).collect::<Map<_, _>>(),
            )
        }
        other => other.clone(),
    }
}
