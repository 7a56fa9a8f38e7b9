//! One launch of the CLI as a value: arguments, environment, message, and the files it reads.

use super::{
    identity,
    tools::{self, Offer},
};
use crate::{Environment, Error, ErrorKind, Result, RuntimeSpec, TurnRequest};
use party_core::Usd;
use serde_json::{Value, json};
use std::{fmt, path::PathBuf};

/// Linux takes no longer argument, its end included.
const ARGUMENT_LIMIT: usize = 128 * 1024 - 1;

/// Every argument of each launch beyond the plain `-p --agent NAME --output-format stream-json
/// --verbose --setting-sources user --settings PATH`, with its reason.
const EXTRA_ARGUMENTS: [(&str, &str); 2] = [
    (
        "--input-format=stream-json",
        "the message goes in on stdin, marked as composed by a client: \
      as an argument it is limited to 128 KiB, and its `@path` and `/command` are carried out",
    ),
    ("--strict-mcp-config", "no server of the user's own settings, which would offer foreign tools"),
];

/// Every variable beyond those that the host gave, with its reason.
const EXTRA_ENV: [(&str, &str, &str); 4] = [
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1", "one result per process"),
    ("DISABLE_AUTOUPDATER", "1", "a running host keeps the version that it probed"),
    ("ENABLE_TOOL_SEARCH", "false", "no tool is deferred, and no placeholder for deferred ones is offered"),
    ("MCP_TIMEOUT", "10000", "the host's server is on loopback: 30 s of waiting for a dead one are too long"),
];

/// How a runtime session begins its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    Fresh(String),
    Resume(String),
}

impl Start {
    /// The runtime session's id.
    pub(super) fn id(&self) -> &str {
        let (Self::Fresh(id) | Self::Resume(id)) = self;
        id
    }
}

/// What the model is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) text: String,
    /// The message's own id. A session that has a message of this id does nothing with it.
    pub(super) id: Option<String>,
}

/// A launch, complete: what it does is in here and nowhere else.
pub(super) struct LaunchPlan {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: Environment,
    pub(super) cwd: PathBuf,
    pub(super) stdin: Vec<u8>,
    /// Files of the seat's folder to write before, for their owner only.
    pub(super) files: Vec<(PathBuf, Vec<u8>)>,
}

/// Neither the values of variables nor the contents of files are shown.
impl fmt::Debug for LaunchPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<_> = self.files.iter().map(|(path, _)| path).collect();
        f.debug_struct("LaunchPlan")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &self.env)
            .field("cwd", &self.cwd)
            .field("stdin", &self.stdin.len())
            .field("files", &files)
            .finish()
    }
}

impl LaunchPlan {
    pub(super) fn new(
        program: PathBuf,
        spec: &RuntimeSpec,
        request: &TurnRequest,
        start: &Start,
        message: &Message,
    ) -> Result<Self> {
        Self {
            program,
            args: arguments(spec, request, start)?,
            env: environment(spec),
            cwd: spec.cwd.clone(),
            stdin: stdin_line(message),
            files: files(spec, request)?,
        }
        .checked(spec)
    }

    /// The plan, if the system takes its arguments.
    pub(super) fn checked(self, spec: &RuntimeSpec) -> Result<Self> {
        match self.args.iter().find(|argument| argument.len() >= ARGUMENT_LIMIT) {
            Some(long) => Err(invalid(format!(
                "the agent `{}` needs an argument of {} bytes, but claude takes at most {ARGUMENT_LIMIT}",
                spec.agent,
                long.len()
            ))),
            None => Ok(self),
        }
    }
}

fn arguments(spec: &RuntimeSpec, request: &TurnRequest, start: &Start) -> Result<Vec<String>> {
    let mut args = common_arguments(spec, &tools::offer(request)?)?;
    if tools::endpoint(request)?.is_some() {
        args.push(format!("--mcp-config={}", text(mcp_path(spec))?));
    }
    if let Some(limit) = request.limit {
        args.push(format!("--max-budget-usd={}", dollars(limit)?));
    }
    args.push(start_argument(start));
    Ok(args)
}

/// The arguments that both transports start the CLI with.
pub(super) fn common_arguments(spec: &RuntimeSpec, offer: &Offer) -> Result<Vec<String>> {
    let name = identity::agent_name(spec);
    let mut args: Vec<String> = ["-p", "--output-format=stream-json", "--verbose", "--setting-sources=user"]
        .map(str::to_owned)
        .to_vec();
    args.extend(EXTRA_ARGUMENTS.map(|(argument, _)| argument.to_owned()));
    // Without it all built-in tools are offered: files, shells, and messages past the host.
    args.push(format!("--tools={}", offer.own.join(",")));
    args.push(format!("--settings={}", text(settings_path(spec))?));
    args.push(format!("--agents={}", json!({ &name: definition(spec, offer) })));
    args.push(format!("--agent={name}"));
    args.extend(spec.model.iter().map(|model| format!("--model={model}")));
    Ok(args)
}

pub(super) fn start_argument(start: &Start) -> String {
    match start {
        Start::Fresh(id) => format!("--session-id={id}"),
        Start::Resume(id) => format!("--resume={id}"),
    }
}

/// The agent's own definition, inline: a file of the working folder is not found with
/// `--setting-sources user`. Its `tools` keep a server's other tools away.
fn definition(spec: &RuntimeSpec, offer: &Offer) -> Value {
    json!({
        "description": "A seat of a party.",
        "prompt": spec.system_prompt,
        "tools": offer.all(),
    })
}

pub(super) fn environment(spec: &RuntimeSpec) -> Environment {
    let mut env = spec.env.clone();
    env.extend(EXTRA_ENV.map(|(name, value, _)| (name.to_owned(), value.to_owned())));
    let (name, value) = marker(spec);
    env.insert(name, value);
    env
}

/// The variable by which all processes of the seat are known: the CLI's own scratch folder, which
/// would else be shared by all seats of a machine.
pub(super) fn marker(spec: &RuntimeSpec) -> (String, String) {
    ("CLAUDE_CODE_TMPDIR".to_owned(), scratch(spec).to_string_lossy().into_owned())
}

pub(super) fn scratch(spec: &RuntimeSpec) -> PathBuf {
    spec.folder.join("claude-tmp")
}

fn settings_path(spec: &RuntimeSpec) -> PathBuf {
    spec.folder.join("claude-settings.json")
}

fn mcp_path(spec: &RuntimeSpec) -> PathBuf {
    spec.folder.join("claude-mcp.json")
}

/// The file that allows what is offered. Whoever is asked is asked for everything, also for what the
/// CLI by itself, or the user's own settings, would allow: a rule to ask goes before one to allow.
pub(super) fn settings_file(spec: &RuntimeSpec, offer: &Offer) -> (PathBuf, Vec<u8>) {
    let permissions = match offer.ask {
        true => json!({"allow": offer.host, "ask": offer.own}),
        false => json!({"allow": offer.all()}),
    };
    (settings_path(spec), json!({"permissions": permissions}).to_string().into_bytes())
}

fn files(spec: &RuntimeSpec, request: &TurnRequest) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = vec![settings_file(spec, &tools::offer(request)?)];
    if let Some(mcp) = tools::endpoint(request)? {
        files.push((mcp_path(spec), tools::mcp_config(mcp).to_string().into_bytes()));
    }
    Ok(files)
}

/// One user message, for either transport. What it says is text to every version that was measured:
/// `client_composed` switches off `@path` and `/command`, where a version knows it; one that does not
/// looks for them in the last block only, and the model is not sent an empty one.
pub(super) fn stdin_line(message: &Message) -> Vec<u8> {
    let text = |text: &str| json!({"type": "text", "text": text});
    let mut line = json!({
        "type": "user",
        "message": {"role": "user", "content": [text(&message.text), text("")]},
        "parent_tool_use_id": null,
        "session_id": "",
        "client_composed": true,
    });
    if let Some(id) = &message.id {
        line["uuid"] = json!(id);
    }
    let mut line = line.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// The limit holds for one process, also where it resumes a session.
fn dollars(limit: Usd) -> Result<String> {
    let micros = limit.as_micros();
    if micros == 0 {
        return Err(invalid("claude takes no limit of 0 USD"));
    }
    Ok(format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000))
}

fn text(path: PathBuf) -> Result<String> {
    path.into_os_string()
        .into_string()
        .map_err(|path| invalid(format!("{} is not valid UTF-8", path.display())))
}

pub(super) fn invalid(context: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, context)
}
