//! MCP itself: an attempt's tools, listed and called.

use super::{
    NAME,
    admissions::{Admissions, Fingerprint, Grant},
    guard::HungUp,
};
use crate::tool::MOST_BYTES;
use axum::http::request::Parts;
use futures::FutureExt as _;
use party_harness::{ToolCall, ToolReply, ToolSpec};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult,
        ErrorCode, Implementation, ListToolsResult, PaginatedRequestParams, ProtocolVersion,
        ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::Value;
use std::{borrow::Cow, panic::AssertUnwindSafe, sync::Arc};
use tokio_util::sync::CancellationToken;

/// The arguments, and room for what is around them.
pub(super) const BODY_LIMIT: usize = MOST_BYTES + (64 << 10);

/// Where Claude Code puts its id of the call.
const TOOL_USE_ID: &str = "claudecode/toolUseId";

/// The MCP service: one request, one JSON answer, nothing remembered between two requests.
///
/// Nothing is sent before the answer, and Claude Code 2.1.329 waits 60 s for it unless the server's
/// entry in its MCP configuration has a longer `timeout` (330 s was seen to pass with one). An event
/// stream would put that off to 300 s only.
pub(super) fn service(
    admissions: &Arc<Admissions>,
    stop: &CancellationToken,
) -> StreamableHttpService<Door, NeverSessionManager> {
    let door = Door { admissions: Arc::clone(admissions), stop: stop.clone() };
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(BODY_LIMIT);
    StreamableHttpService::new(move || Ok(door.clone()), Arc::default(), config)
}

#[derive(Clone)]
pub(super) struct Door {
    admissions: Arc<Admissions>,
    stop: CancellationToken,
}

impl Door {
    /// Whose request it is, by the fingerprint that the guard left in it.
    fn grant(&self, context: &RequestContext<RoleServer>) -> Result<Arc<Grant>, ErrorData> {
        let fingerprint =
            context.extensions.get::<Parts>().and_then(|parts| parts.extensions.get::<Fingerprint>());
        let grant = fingerprint.and_then(|fingerprint| self.admissions.get(*fingerprint));
        grant.ok_or_else(|| ErrorData::invalid_request("the turn is over", None))
    }

    /// A runtime that hangs up does not stop its call: the port carries it out, and learns that nobody
    /// waits for the answer. The end of the server stops it.
    async fn answer(&self, grant: &Grant, call: ToolCall, hung_up: Option<HungUp>) -> ToolReply {
        if !grant.tools.iter().any(|tool| tool.name == call.name) {
            return ToolReply::error(format!("the tool `{}` is not offered in this turn", call.name));
        }
        // A request whose handler panics is never answered.
        let called = AssertUnwindSafe(async { grant.port.call(call).await }).catch_unwind();
        tokio::select! {
            reply = called => reply.unwrap_or_else(|_| ToolReply::error("the call failed: the host panicked")),
            () = self.stop.cancelled() => ToolReply::error("the party has stopped"),
            () = gone(hung_up) => ToolReply::error("nobody waits for this"),
        }
    }
}

async fn gone(hung_up: Option<HungUp>) {
    match hung_up {
        Some(HungUp(token)) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

impl ServerHandler for Door {
    fn get_info(&self) -> ServerConfig {
        let tools = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(tools).with_server_info(Implementation::new(NAME, env!("CARGO_PKG_VERSION")))
    }

    /// The versions that begin with `initialize`. A probe for a newer one is told so, and the
    /// client falls back.
    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let grant = self.grant(&context)?;
        Ok(ListToolsResult::with_all_items(grant.tools.iter().map(listed).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let grant = self.grant(&context)?;
        let named = context.meta.get(TOOL_USE_ID).and_then(Value::as_str).filter(|id| !id.is_empty());
        let call = ToolCall {
            key: grant.key,
            id: named.map_or_else(|| grant.fresh_id(), str::to_owned),
            name: request.name.into_owned(),
            arguments: Value::Object(request.arguments.unwrap_or_default()),
        };
        let hung_up = context.extensions.get::<Parts>().and_then(|parts| parts.extensions.get().cloned());
        let reply = self.answer(&grant, call, hung_up).await;
        let content = vec![ContentBlock::text(reply.text)];
        let result =
            if reply.is_error { CallToolResult::error(content) } else { CallToolResult::success(content) };
        Ok(result.into())
    }

    /// rmcp hands a request that does not fit its method to here, as if the method were unknown.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(match request.method.as_str() {
            "tools/call" => {
                ErrorData::invalid_params("tools/call takes a name and an object of arguments", None)
            }
            "initialize" | "tools/list" => {
                ErrorData::invalid_params("the parameters do not fit the method", None)
            }
            _ => ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None),
        })
    }
}

/// MCP knows no schema but an object's, and clients drop the whole list over one that does not say
/// so; hence a schema that leaves the type open becomes that of an object.
fn listed(tool: &ToolSpec) -> Tool {
    let mut schema = tool.input_schema.as_object().cloned().unwrap_or_default();
    schema.entry("type").or_insert_with(|| Value::from("object"));
    Tool::new(tool.name.clone(), tool.description.clone(), schema)
}
