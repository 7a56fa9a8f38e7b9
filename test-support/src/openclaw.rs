//! How tests run the real OpenClaw gateway.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

/// Node.js and the folder that holds OpenClaw, as `cargo xtask test` fetched them.
///
/// # Panics
/// If `PARTY_TEST_NODE` names no file, or `PARTY_TEST_OPENCLAW` no folder.
pub fn openclaw_programs() -> (PathBuf, PathBuf) {
    let named = |variable: &str| match std::env::var_os(variable).map(PathBuf::from) {
        Some(path) if path.exists() => path,
        Some(path) => panic!("{variable}: no {}; run `cargo xtask test`", path.display()),
        None => panic!("{variable} is not set; run `cargo xtask test`"),
    };
    (named("PARTY_TEST_NODE"), named("PARTY_TEST_OPENCLAW"))
}

/// The environment of a gateway: where it keeps its compiled code, beside its program, so that each test's own
/// need not compile it again.
///
/// # Panics
/// As [`openclaw_programs`].
pub fn openclaw_env() -> BTreeMap<String, String> {
    let cache = openclaw_programs().1.join("compile-cache");
    BTreeMap::from([("NODE_COMPILE_CACHE".to_owned(), cache.display().to_string())])
}

/// What a gateway's configuration says of its models: `fake/m1` and `fake/m2`, which are both the model at
/// `base_url`. A token that they write costs 10 micro-dollars, one that they read nothing.
pub fn openclaw_models(base_url: &str) -> Value {
    let model = |id: &str| {
        json!({"id": id, "name": id, "reasoning": false, "input": ["text"], "contextWindow": 1_000_000,
            "maxTokens": 8192, "cost": {"input": 0, "output": 10, "cacheRead": 0, "cacheWrite": 0}})
    };
    let fake = json!({"baseUrl": format!("{base_url}/v1"), "apiKey": "none", "api": "openai-completions",
        "models": [model("m1"), model("m2")]});
    json!({"models": {"mode": "replace", "providers": {"fake": fake}},
        "agents": {"defaults": {"model": {"primary": "fake/m1"}}}})
}
