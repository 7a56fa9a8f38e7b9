//! Tools of the host: what agents may call beside the engine's own tools.

use crate::{Error, ErrorKind, Result};
use futures::future::BoxFuture;
use party_core::{HostToolTerms, SeatId, SessionId, TurnId};
use party_formats::{Engine, engine_tool, is_tool_name};
use party_harness::{ToolReply, ToolSpec, async_trait};
use serde_json::Value;
use std::{collections::BTreeMap, fmt, sync::Arc};
use tokio_util::sync::CancellationToken;

/// So many bytes the arguments of a call may have as JSON text, and so many an answer, at every door.
pub(crate) const MOST_BYTES: usize = 1 << 20;

/// Why a tool failed, in words for the agent that called it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Something of the host that agents may call. A [`Tool`] is made from a closure.
#[async_trait]
pub trait HostTool: fmt::Debug + Send + Sync + 'static {
    /// What a model is told of it. It is looked at once, when a party is started or resumed. The name is
    /// 1 to 64 of `A-Z a-z 0-9 _ -`, the schema one of an object.
    fn spec(&self) -> ToolSpec;

    /// Whether a call may run again where the host went away while it ran and nobody knows how it ended.
    /// What the session was started with counts.
    fn is_idempotent(&self) -> bool;

    /// Runs for one call; `arguments` is a JSON object, and nothing else of it is checked. Calls of one
    /// turn run side by side. The answer is on the log before the agent is told.
    ///
    /// A call ends with its attempt at the turn, or with the party, at the latest: it is cancelled then
    /// ([`CallContext::cancelled`]), and dropped a second later. Where the party was let go, what it gives
    /// in that second is lost. It must not block its thread. A panic and a text of more than 1 MiB are
    /// errors to the agent; arguments of more than 1 MiB do not come here.
    ///
    /// # Errors
    /// Whatever the agent should read; its causes are told too.
    async fn call(&self, arguments: Value, context: CallContext) -> Result<ToolReply, BoxError>;
}

/// A tool that several parties share.
#[async_trait]
impl<T: HostTool + ?Sized> HostTool for Arc<T> {
    fn spec(&self) -> ToolSpec {
        T::spec(self)
    }

    fn is_idempotent(&self) -> bool {
        T::is_idempotent(self)
    }

    async fn call(&self, arguments: Value, context: CallContext) -> Result<ToolReply, BoxError> {
        T::call(self, arguments, context).await
    }
}

/// Who calls a tool, and in which turn.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CallContext {
    /// The session.
    pub session: SessionId,
    /// The seat that calls.
    pub seat: SeatId,
    /// The agent's name.
    pub agent: String,
    /// The turn.
    pub turn: TurnId,
    /// The attempt at the turn that made the call, counted from 1.
    pub attempt: u32,
    /// The runtime's id of the call, unique in the attempt. A call that runs again has the same one.
    pub call: String,
    pub(crate) cancel: CancellationToken,
}

impl CallContext {
    /// Waits until the call is of no more use: its attempt has ended, the party was let go, or it took too
    /// long. Cancel-safe.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Whether the call is of no more use.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

type Handler =
    dyn Fn(Value, CallContext) -> BoxFuture<'static, Result<ToolReply, BoxError>> + Send + Sync + 'static;

/// A tool made from a closure; not idempotent unless it says so.
pub struct Tool {
    spec: ToolSpec,
    idempotent: bool,
    handler: Box<Handler>,
}

impl Tool {
    /// A tool that `handler` answers. `input_schema` is the JSON Schema of its arguments, an object's.
    pub fn new<F, R>(
        name: impl Into<String>,
        description: impl Into<String>,
        input_schema: Value,
        handler: F,
    ) -> Self
    where
        F: Fn(Value, CallContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<ToolReply, BoxError>> + Send + 'static,
    {
        let (name, description) = (name.into(), description.into());
        let spec = ToolSpec::new(name, description, input_schema);
        let handler = Box::new(move |arguments, context| -> BoxFuture<'static, _> {
            Box::pin(handler(arguments, context))
        });
        Self { spec, idempotent: false, handler }
    }

    /// The same tool, whose calls may run again.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }
}

#[async_trait]
impl HostTool for Tool {
    fn spec(&self) -> ToolSpec {
        self.spec.clone()
    }

    fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    async fn call(&self, arguments: Value, context: CallContext) -> Result<ToolReply, BoxError> {
        (self.handler)(arguments, context).await
    }
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tool")
            .field("name", &self.spec.name)
            .field("idempotent", &self.idempotent)
            .finish_non_exhaustive()
    }
}

/// The host's tools by name, checked.
#[derive(Debug, Default)]
pub(crate) struct Toolbox(BTreeMap<String, Offered>);

#[derive(Debug)]
struct Offered {
    spec: ToolSpec,
    idempotent: bool,
    tool: Arc<dyn HostTool>,
}

impl Toolbox {
    pub(crate) fn new(tools: &[Arc<dyn HostTool>]) -> Result<Self> {
        let mut offered = BTreeMap::new();
        for tool in tools {
            let spec = tool.spec();
            let name = spec.name.clone();
            check_spec(&spec)?;
            let one = Offered { spec, idempotent: tool.is_idempotent(), tool: Arc::clone(tool) };
            if offered.insert(name.clone(), one).is_some() {
                return Err(refused(&name, "is given twice"));
            }
        }
        Ok(Self(offered))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn terms(&self) -> Vec<HostToolTerms> {
        let terms = |(name, offered): (&String, &Offered)| HostToolTerms {
            name: name.clone(),
            idempotent: offered.idempotent,
        };
        self.0.iter().map(terms).collect()
    }

    /// Whether a session finds all the tools that it was opened with.
    pub(crate) fn holds_all_of(&self, engine: &Engine) -> Result<()> {
        match engine.host_tools().iter().find(|tool| !self.0.contains_key(&tool.name)) {
            Some(missing) => Err(refused(
                &missing.name,
                &format!("was not given, and session {} was started with it", engine.session()),
            )),
            None => Ok(()),
        }
    }

    pub(crate) fn spec(&self, name: &str) -> Option<ToolSpec> {
        Some(self.0.get(name)?.spec.clone())
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<dyn HostTool>> {
        Some(Arc::clone(&self.0.get(name)?.tool))
    }
}

fn check_spec(spec: &ToolSpec) -> Result<()> {
    let name = &spec.name;
    if !is_tool_name(name) {
        return Err(refused(name, "cannot be offered: a name is 1 to 64 of A-Z a-z 0-9 _ -"));
    }
    if engine_tool(name).is_some() {
        return Err(refused(name, "has the name of an engine's tool"));
    }
    let schema = spec.input_schema.as_object();
    if schema.and_then(|schema| schema.get("type")).and_then(Value::as_str) != Some("object") {
        return Err(refused(name, "takes no object: its schema must have `\"type\": \"object\"`"));
    }
    Ok(())
}

fn refused(name: &str, why: &str) -> Error {
    Error::new(ErrorKind::Tool, format!("the tool `{}` {why}", name.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tool(name: &str, schema: Value) -> Arc<dyn HostTool> {
        Arc::new(Tool::new(name, "Does it.", schema, |_, _| async { Ok("done".into()) }))
    }

    #[test]
    fn a_tool_that_cannot_be_offered_is_refused_by_name() {
        let object = || json!({ "type": "object" });
        let long = "x".repeat(65);
        for (tools, why) in [
            (vec![tool("a b", object())], "the tool `a b` cannot be offered: a name is"),
            (vec![tool("", object())], "the tool `` cannot be offered: a name is"),
            (vec![tool(&long, object())], "cannot be offered: a name is 1 to 64"),
            (vec![tool("share", object())], "the tool `share` has the name of an engine's tool"),
            (vec![tool("x", object()), tool("x", object())], "the tool `x` is given twice"),
            (vec![tool("x", json!(true))], "the tool `x` takes no object"),
            (vec![tool("x", json!({ "type": "string" }))], "the tool `x` takes no object"),
        ] {
            let error = Toolbox::new(&tools).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tool);
            assert!(error.to_string().contains(why), "{error}");
        }
        let terms = Toolbox::new(&[tool("b", object()), tool("A-1_x", object())]).unwrap().terms();
        assert_eq!(terms.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["A-1_x", "b"]);
    }
}
