//! What a process is started with, apart from the session that it goes on with.

use super::{lines, mcp::SERVER};
use crate::claude_code::{
    codec::Required,
    launch::{
        LaunchPlan, Message, Start, common_arguments, environment, settings_file, start_argument, stdin_line,
    },
    tools::{Offer, full_names},
};
use crate::{Result, RuntimeSpec, ToolSpec, TurnRequest};
use std::path::PathBuf;

/// Every argument beyond those of a process per turn, with its reason. `--max-budget-usd` is not among
/// them: it counts over all turns of a process, so a turn's limit would be the first turn's.
const EXTRA_ARGUMENTS: [(&str, &str); 1] = [(
    "--replay-user-messages",
    "says when a message is taken, and at once when the session has it already: without it, a message \
      that was sent late belongs to nobody's turn, and a repeated one is answered by silence",
)];

/// How the CLI is told to ask its host.
const ASK: &str = "--permission-prompt-tool=stdio";

/// All that is fixed when a process starts. A turn of another shape needs a process of its own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    args: Vec<String>,
    files: Vec<(PathBuf, Vec<u8>)>,
    tools: Vec<ToolSpec>,
    own_tools: bool,
}

impl Shape {
    pub(super) fn of(spec: &RuntimeSpec, request: &TurnRequest) -> Result<Self> {
        let offer = Offer::new(SERVER, request)?;
        let mut args = common_arguments(spec, &offer)?;
        args.extend(EXTRA_ARGUMENTS.map(|(argument, _)| argument.to_owned()));
        args.extend(request.ask.then(|| ASK.to_owned()));
        let (files, tools) = (vec![settings_file(spec, &offer)], request.tools.clone());
        Ok(Self { args, files, tools, own_tools: !request.own_tools.is_empty() })
    }

    /// Whether the process has tools of its own, and can leave processes behind.
    pub(super) const fn has_own_tools(&self) -> bool {
        self.own_tools
    }

    /// The tools that the process was told of.
    pub(super) fn tools(&self) -> &[ToolSpec] {
        &self.tools
    }

    /// The server that a run cannot do without.
    pub(super) fn required(&self) -> Option<Required> {
        let tools = full_names(SERVER, &self.tools);
        (!tools.is_empty()).then(|| Required { server: SERVER.to_owned(), tools })
    }

    /// The launch that begins with `message`. The CLI reads ahead: the message need not wait for the
    /// answer to the line that opens the protocol.
    pub(super) fn plan(
        &self,
        program: PathBuf,
        spec: &RuntimeSpec,
        start: &Start,
        message: &Message,
    ) -> Result<LaunchPlan> {
        let servers: &[&str] = if self.tools.is_empty() { &[] } else { &[SERVER] };
        let stdin = [lines::initialize(servers), stdin_line(message)].concat();
        let (mut args, files) = (self.args.clone(), self.files.clone());
        args.push(start_argument(start));
        LaunchPlan { program, args, env: environment(spec), cwd: spec.cwd.clone(), stdin, files }
            .checked(spec)
    }
}
