//! The pure crates depend on no runtime, clock or source of randomness.

use std::collections::BTreeSet;

use crate::workspace::{Workspace, output};

const PURE: [&str; 2] = ["party-core", "party-formats"];

const FORBIDDEN: [&str; 11] = [
    "async-std",
    "async-trait",
    "chrono",
    "futures-executor",
    "getrandom",
    "mio",
    "rand",
    "rand_core",
    "rusqlite",
    "time",
    "tokio",
];

pub(crate) fn check(workspace: &Workspace) -> Result<(), String> {
    for name in PURE {
        let mut command = workspace.cargo(["tree", "--package", name, "--all-features"]);
        let tree = output(command.args(["--edges", "normal,build", "--prefix", "none"]))?;
        let found = forbidden(&tree);
        if !found.is_empty() {
            return Err(format!("{name} must stay pure, but depends on {}", found.join(", ")));
        }
        check_lints(workspace, name)?;
        println!("    {name}: {} crates in all, none of them impure", crates(&tree).len());
    }
    Ok(())
}

/// Calls into the standard library show in no tree: clippy forbids them, by this file.
fn check_lints(workspace: &Workspace, name: &str) -> Result<(), String> {
    let path = workspace.root().join(name).join("clippy.toml");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{name}/clippy.toml: {error}"))?;
    let lists = text.lines().any(|line| line.trim_start().starts_with("disallowed-methods"));
    if lists { Ok(()) } else { Err(format!("{name}/clippy.toml has no disallowed-methods")) }
}

fn crates(tree: &str) -> BTreeSet<&str> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

fn forbidden(tree: &str) -> Vec<&str> {
    crates(tree).into_iter().filter(|name| FORBIDDEN.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_are_compared() {
        let tree =
            "party-core v0.1.0 (party-core)\nrand_core v0.9.3\ntime-macros v0.2.1\ntokio v1.54.1 (*)\n";
        assert_eq!(forbidden(tree), ["rand_core", "tokio"]);
        assert_eq!(crates(tree).len(), 4);
    }
}
