//! What an agent may see of the user's environment.

mod common;

use common::{Place, said};
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};

/// Stands in for `claude`: keeps its environment, and fails.
const SPY: &str = "#!/bin/sh
[ \"$1\" = --version ] && echo '2.1.329 (Claude Code)' && exit 0
/usr/bin/env >> \"$HOME/seen\"
exit 1
";

#[test]
fn a159_an_agent_sees_the_allow_list_and_what_is_passed_by_name() {
    let place = Place::new();
    let spy = place.path("claude");
    fs::write(&spy, SPY).unwrap();
    fs::set_permissions(&spy, fs::Permissions::from_mode(0o700)).unwrap();
    let mut council = place.council(&["Ship?", "--harness", "claude", "--claude-bin", "./claude"]);
    council
        .args(["--personas", "mary", "--pass-env", "PASSED"])
        .env("PASSED", "1")
        .env("LC_TIME", "C")
        .env("USER", "ann");
    for secret in [
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "CLAUDECODE",
        "NODE_OPTIONS",
        "LD_PRELOAD_X",
    ] {
        council.env(secret, "secret");
    }
    let output = council.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let seen = fs::read_to_string(place.path("seen")).unwrap();
    assert!(!seen.contains("secret"), "{seen}");
    let names: BTreeSet<&str> =
        seen.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    for allowed in ["HOME", "PATH", "USER", "LC_TIME", "PASSED"] {
        assert!(names.contains(allowed), "{allowed} is missing: {names:?}");
    }
    let own = |name: &str| ["PWD", "_", "SHLVL", "OLDPWD"].contains(&name);
    let fixed = |name: &str| {
        name.starts_with("CLAUDE_CODE_")
            || name.starts_with("MCP_")
            || name == "DISABLE_AUTOUPDATER"
            || name == "ENABLE_TOOL_SEARCH"
    };
    let base = |name: &str| ["HOME", "PATH", "USER", "LC_TIME", "PASSED"].contains(&name);
    let unexpected: Vec<&&str> =
        names.iter().filter(|name| !own(name) && !fixed(name) && !base(name)).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}
