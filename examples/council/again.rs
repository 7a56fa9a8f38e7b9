//! The command that goes on with a session.

use crate::args::Args;
use party_core::SessionId;
use std::{ffi::OsStr, fmt::Write as _, path::Path};

const PROGRAM: &str = "cargo run --example council --";

/// Shows a session that is over.
pub(crate) fn show(session: SessionId, store: &Path) -> String {
    format!("{PROGRAM} --resume {session} --store {}", quoted(store.as_os_str()))
}

/// Goes on with a session by the same means: they are not stored with it.
pub(crate) fn go_on(session: SessionId, store: &Path, args: &Args) -> String {
    let mut command = show(session, store);
    let pass_env = (!args.pass_env.is_empty()).then(|| args.pass_env.join(","));
    for (option, value) in args.runtimes.again() {
        let _ = write!(command, " {option} {}", quoted(&value));
    }
    if args.runtimes.allow_unknown_prices {
        command.push_str(" --allow-unknown-prices");
    }
    for (option, value) in [
        ("--pass-env", pass_env.as_deref().map(OsStr::new)),
        ("--socket", args.socket.as_deref().map(Path::as_os_str)),
        ("--script", args.script.as_deref().map(Path::as_os_str)),
    ] {
        if let Some(value) = value {
            let _ = write!(command, " {option} {}", quoted(value));
        }
    }
    command
}

/// The text as a shell takes it for one word, in printable characters.
fn quoted(text: &OsStr) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-,".contains(c);
    match text.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        Some(text) if party_examples::printable(text) == text && !text.contains(['\n', '\t']) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => format!("$'{}'", escaped(text.as_encoded_bytes())),
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        match byte {
            b'\'' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_session_goes_on_by_the_means_that_it_was_started_with() {
        let args = ["Ship?", "--claude-mode", "persistent", "--socket", "a b.sock"].map(Into::into);
        let command = go_on(SessionId::derive(&[]), Path::new("a.db"), &Args::parse(args).unwrap());
        assert!(command.ends_with("--store a.db --claude-mode persistent --socket 'a b.sock'"), "{command}");
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        for (text, expected) in [
            (b"/a/b-c_1.db".as_slice(), "/a/b-c_1.db"),
            (b"my store", "'my store'"),
            (b"ann's", r"'ann'\''s'"),
            (b"", "''"),
            (b"a\xff'\n", r"$'a\xff\'\x0a'"),
        ] {
            assert_eq!(quoted(OsStr::from_bytes(text)), expected);
        }
    }
}
