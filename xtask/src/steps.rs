//! Runs the chosen parts one after the other.

use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Instant;

use crate::fetch::{Fetched, fetch_all};
use crate::parts::Part;
use crate::purity;
use crate::workspace::Workspace;

/// Runs parts until one fails; the result is the line that sums them up.
pub(crate) fn run(workspace: &Workspace, parts: &[Part]) -> Result<String, String> {
    let start = Instant::now();
    let mut download = Download::begin_if(parts.contains(&Part::Real), workspace);
    for part in parts {
        let begun = Instant::now();
        println!("==> {}: {}", part.name(), part.about());
        step(*part, workspace, &mut download)
            .map_err(|error| format!("FAILED in `{}` after {}: {error}", part.name(), seconds(start)))?;
        println!("    {}: {}", part.name(), seconds(begun));
    }
    let names: Vec<_> = parts.iter().map(|part| part.name()).collect();
    Ok(format!("xtask: passed in {}: {}", seconds(start), names.join(", ")))
}

fn step(part: Part, workspace: &Workspace, download: &mut Download) -> Result<(), String> {
    match part {
        Part::Fmt => status(&mut workspace.cargo(["fmt", "--all", "--check"])),
        Part::Purity => purity::check(workspace),
        Part::Clippy => {
            let all = ["clippy", "--workspace", "--all-targets", "--all-features"];
            status(workspace.cargo(all).args(["--", "-D", "warnings"]))?;
            feature_sets(workspace)
        }
        Part::Doc => status(
            workspace
                .cargo(["doc", "--workspace", "--no-deps", "--all-features"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        ),
        Part::Unit => {
            let all = ["test", "--workspace", "--all-features", "--lib", "--bins", "--examples"];
            let mut command = workspace.cargo(all);
            status(command.args(workspace.plain_tests().into_iter().flat_map(|name| ["--test", name])))
        }
        Part::Doctest => status(&mut workspace.cargo(["test", "--workspace", "--all-features", "--doc"])),
        Part::Real => real(workspace, download),
        // Over the whole workspace, because so does the README's first command: it finds all built.
        Part::Examples => status(&mut workspace.cargo(["build", "--workspace", "--examples"])),
    }
}

fn real(workspace: &Workspace, download: &mut Download) -> Result<(), String> {
    let fetched = download.wait()?;
    fetched.iter().for_each(|one| println!("    {}", one.summary()));
    // Of the whole workspace with all features, so that the crates are those that the unit tests have built.
    let mut command = workspace.cargo(["test", "--workspace", "--all-features", "--test", "real*"]);
    status(command.envs(fetched.iter().map(|one| (one.variable(), one.binary()))))
}

/// Each set of features of the crates that have several builds without warnings, too.
fn feature_sets(workspace: &Workspace) -> Result<(), String> {
    let bus = ["", "sqlite", "postgres", "front", "conformance"].map(|features| ("party-bus", features));
    let harness = ["", "model"].map(|features| ("party-harness", features));
    for (name, features) in bus.into_iter().chain(harness) {
        let mut clippy = workspace.cargo(["clippy", "-p", name, "--no-default-features"]);
        status(clippy.args(["--features", features, "--", "-D", "warnings"]))?;
    }
    Ok(())
}

fn status(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo: {status}")) }
}

fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}

/// The fetching of the runtime binaries, which waits for the network while the compiler works.
#[derive(Debug)]
struct Download {
    tools: PathBuf,
    thread: Option<JoinHandle<Result<Vec<Fetched>, String>>>,
}

impl Download {
    fn begin_if(wanted: bool, workspace: &Workspace) -> Self {
        let tools = workspace.tools();
        let folder = tools.clone();
        let thread = wanted.then(|| std::thread::spawn(move || fetch_all(&folder)));
        Self { tools, thread }
    }

    fn wait(&mut self) -> Result<Vec<Fetched>, String> {
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| "the download panicked".to_owned())?,
            None => fetch_all(&self.tools),
        }
    }
}

impl Drop for Download {
    /// A failed step waits for the download, which would else leave its half behind.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
