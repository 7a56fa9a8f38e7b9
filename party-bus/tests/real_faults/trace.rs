//! What a process asks of the system, as `strace` tells it; and errors that it is given instead.

use std::{env, ffi::OsString, fs, path::Path, process::Command};

/// A call that changes a file, or a line that the process told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Write {
        file: String,
        offset: usize,
        bytes: Vec<u8>,
    },
    Sync {
        file: String,
    },
    Cut {
        file: String,
        len: usize,
    },
    Remove {
        file: String,
    },
    /// A sync that failed: the system takes for written what it could not write.
    Lost {
        file: String,
    },
    Told(String),
}

/// The tracer, once it is seen to work.
pub(crate) fn strace() -> OsString {
    let binary = env::var_os("PARTY_TEST_STRACE").unwrap_or_else(|| "strace".into());
    let traced = Command::new(&binary).args(["-o", "/dev/null", "true"]).output();
    let output = traced.unwrap_or_else(|error| {
        panic!("{}: {error}: install strace, or name it by PARTY_TEST_STRACE", binary.display())
    });
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} may not trace processes here: {error}", binary.display());
    binary
}

/// The words that have a command's calls written into files of `folder`, one for each thread, and every
/// so many syncs of a thread fail.
pub(crate) fn into(folder: &Path, failing: Option<u32>) -> Vec<OsString> {
    let calls = "trace=pwrite64,write,fdatasync,fsync,ftruncate,unlink";
    let clock = "--absolute-timestamps=format:unix,precision:ns";
    let words = ["-ff", "-y", "-xx", "-s", "10000000", clock, "-e", calls, "-o"];
    let inject = failing.map(|every| format!("-einject=fsync,fdatasync:error=EIO:when={every}+{every}"));
    let inject = inject.map(OsString::from);
    let words = words.map(OsString::from).into_iter().chain([folder.join("trace").into()]);
    [strace()].into_iter().chain(inject).chain(words).collect()
}

/// The calls in `folder`, in order, that did something.
pub(crate) fn calls(folder: &Path) -> Vec<Call> {
    let files = fs::read_dir(folder).unwrap();
    let texts: Vec<_> = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let mut calls: Vec<_> = texts.iter().flat_map(|text| text.lines()).filter_map(call).collect();
    calls.sort_by_key(|(time, _)| *time);
    calls.into_iter().map(|(_, call)| call).collect()
}

/// Such as `1795205274.150828362 pwrite64(3<\x2f\x74>, "\x00", 1, 0) = 1`.
fn call(line: &str) -> Option<(&str, Call)> {
    let (time, rest) = line.split_once(' ')?;
    let (call, result) = rest.rsplit_once(" = ")?;
    let failed = result.starts_with('-');
    let (name, arguments) = call.strip_suffix(')').unwrap_or(call).trim_end().split_once('(')?;
    let arguments = arguments.trim_end_matches(')');
    let file = || Some(String::from_utf8_lossy(&unhex(between(arguments, '<', '>')?)).into_owned());
    let bytes = || unhex(between(arguments, '"', '"').unwrap_or_default());
    let number = || arguments.rsplit(", ").next()?.parse().ok();
    let call = match name {
        "fdatasync" | "fsync" if failed => Call::Lost { file: file()? },
        _ if failed => return None,
        "pwrite64" => Call::Write { file: file()?, offset: number()?, bytes: bytes() },
        "fdatasync" | "fsync" => Call::Sync { file: file()? },
        "ftruncate" => Call::Cut { file: file()?, len: number()? },
        "unlink" => Call::Remove { file: String::from_utf8_lossy(&bytes()).into_owned() },
        "write" if arguments.starts_with("1<") => {
            Call::Told(String::from_utf8_lossy(&bytes()).trim().to_owned())
        }
        _ => return None,
    };
    Some((time, call))
}

fn between(text: &str, from: char, to: char) -> Option<&str> {
    Some(text.split_once(from)?.1.split_once(to)?.0)
}

fn unhex(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}
