//! What an agent's runtime may see of the host's environment.

use std::collections::BTreeMap;

const BASE: [&str; 7] = ["HOME", "PATH", "USER", "LANG", "TZ", "TMPDIR", "LC_ALL"];

/// The variables that every runtime gets, where the host has them: `HOME`, `PATH`, `USER`, `LANG`,
/// `LC_*`, `TZ`, `TMPDIR`; and those named in `pass`. Nothing else of the host's environment, and
/// so none of its credentials, reaches an agent.
pub fn base_environment<S: AsRef<str>>(pass: &[S]) -> BTreeMap<String, String> {
    let allowed = |name: &str| {
        BASE.contains(&name) || name.starts_with("LC_") || pass.iter().any(|passed| passed.as_ref() == name)
    };
    let readable = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    readable.filter(|(name, _)| allowed(name)).collect()
}
