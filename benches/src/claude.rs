//! What Claude Code wrote: the recordings, lines of any size, and the official SDK that reads them.

use crate::scratch;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// All recordings of a runtime, by the name of their folder, one after the other.
///
/// # Panics
/// Where they are not there.
pub fn recordings(runtime: &str) -> Vec<u8> {
    let bytes: Vec<u8> =
        files(runtime).iter().flat_map(|file| fs::read(file).expect("a recording")).collect();
    assert!(!bytes.is_empty(), "there are no recordings");
    bytes
}

fn files(runtime: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../party-harness/tests/fixtures").join(runtime);
    let versions = fs::read_dir(folder).expect("there are recordings").flatten();
    let versions = versions.map(|version| version.path()).filter(|path| path.is_dir());
    let files = versions.flat_map(|version| fs::read_dir(version).expect("a folder").flatten());
    let mut files: Vec<_> = files.map(|file| file.path()).collect();
    files.sort();
    files
}

/// Lines of `bytes` bytes, by what they are.
pub fn large_lines(bytes: usize) -> impl Iterator<Item = (String, Vec<u8>)> {
    let kinds = [
        (
            "an assistant's text",
            r#"{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":""#,
            r#""}]}}"#,
        ),
        (
            "a tool's result",
            r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":""#,
            r#""}]}}"#,
        ),
        (
            "a result",
            r#"{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":""#,
            r#""}"#,
        ),
    ];
    let texts = [
        ("plain", "x".repeat(40)),
        ("with escapes", format!("{}\\n", "x".repeat(38))),
        ("all escapes", r"\n".repeat(20)),
    ];
    kinds.into_iter().flat_map(move |(kind, head, tail)| {
        texts.clone().into_iter().map(move |(name, text)| {
            let room = (bytes - head.len() - tail.len() - 1) / text.len();
            (format!("{kind}, {name}"), format!("{head}{}{tail}\n", text.repeat(room)).into_bytes())
        })
    })
}

/// The largest memory that this process ever had resident, in bytes.
///
/// # Panics
/// Where the system does not tell.
pub fn rss_peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

/// The official SDK for Python, in an environment of its own in the target folder.
#[derive(Debug)]
pub struct PythonSdk {
    python: PathBuf,
    program: PathBuf,
}

impl PythonSdk {
    /// The version that is compared with.
    pub const VERSION: &str = "0.2.186";

    /// Installs it where it is not there.
    ///
    /// # Errors
    /// Why it cannot be had, such as without Python or without a network.
    pub fn install() -> Result<Self, String> {
        let venv = scratch().join(format!("claude-agent-sdk-{}", Self::VERSION));
        let python = venv.join("bin/python");
        let program = venv.join("decode.py");
        if !installed(&python) {
            let _ = fs::remove_dir_all(&venv);
            run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
            let package = format!("claude-agent-sdk=={}", Self::VERSION);
            // The wheel brings a whole binary along.
            let pip = ["-m", "pip", "install", "--quiet", "--no-binary", "claude-agent-sdk"];
            run(Command::new(&python).args(pip).arg(package))?;
        }
        fs::write(&program, PROGRAM).map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Self { python, program })
    }

    /// Seconds in which it reads all recordings once, of `rounds`.
    ///
    /// # Errors
    /// What it said instead.
    pub fn seconds_per_round(&self, rounds: usize) -> Result<f64, String> {
        let mut command = Command::new(&self.python);
        let said = run(command.arg(&self.program).arg(rounds.to_string()).args(files("claude")))?;
        said.trim().parse().map_err(|_| format!("it said `{said}`"))
    }
}

/// An installation may have been cut off.
fn installed(python: &Path) -> bool {
    run(Command::new(python).args(["-c", "import claude_agent_sdk"])).is_ok()
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// The SDK's own transport over bytes in memory instead of a pipe, and its parser of messages: what it
/// does with output before anybody gets it. Control lines go elsewhere, as in its `Query`.
const PROGRAM: &str = r#"
import asyncio, sys, time
import anyio
from anyio.abc import ByteReceiveStream
from anyio.streams.text import TextReceiveStream
from claude_agent_sdk import ClaudeAgentOptions
from claude_agent_sdk._internal.message_parser import parse_message
from claude_agent_sdk._internal.transport.subprocess_cli import SubprocessCLITransport

rounds = int(sys.argv[1])
data = b"".join(open(file, "rb").read() for file in sys.argv[2:])

class Stdout(ByteReceiveStream):
    def __init__(self):
        self.at = 0

    async def receive(self, max_bytes=65536):
        chunk = data[self.at:self.at + max_bytes]
        self.at += len(chunk)
        if not chunk:
            raise anyio.EndOfStream
        return chunk

    async def aclose(self):
        pass

class Ended:
    async def wait(self):
        return 0

CONTROL = ("control_request", "control_response", "control_cancel_request")

async def read():
    transport = SubprocessCLITransport("", ClaudeAgentOptions(cli_path="claude"))
    transport._process, transport._stdout_stream = Ended(), TextReceiveStream(Stdout())
    parsed = 0
    async for line in transport.read_messages():
        if line.get("type") not in CONTROL:
            parsed += parse_message(line) is not None
    assert parsed > 100, parsed

async def main():
    begun = time.perf_counter()
    for _ in range(rounds):
        await read()
    print((time.perf_counter() - begun) / rounds)

asyncio.run(main())
"#;
