//! The host's tools at a gateway: a node, as OpenClaw calls a machine that others' agents may use.

use super::{
    desk::Desk,
    link::{COMMAND, Conn, Link},
};
use crate::{
    Error, ErrorKind, Result, ToolReply,
    jsonl::view::{Fields, Json},
    openclaw::codec::Frame,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a gateway may take for each answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is told of the tools, and how long lies between.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// How many calls may run at once.
const CALLS: usize = 256;

/// How many answers may be on their way beside those; a gateway that asks for more is told nothing.
const ANSWERS: usize = 1024;

/// What a gateway says when an agent calls for a tool that its turn does not have.
const NOT_HERE: &str = "this tool is not available in this turn";

/// What it says when too many calls run at once.
const TOO_MANY: &str = "too many tools run at once; try again";

/// The node of a harness.
#[derive(Debug)]
pub(super) struct Node {
    link: Link,
    operator: Arc<Link>,
    desk: Arc<Desk>,
    /// What the gateway was told last, and over which connection.
    told: Mutex<Option<(Arc<Conn>, Vec<Value>)>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A call, as a gateway asks for it.
#[derive(Debug, Deserialize)]
struct Params {
    tool: String,
    #[serde(default)]
    arguments: Value,
}

impl Node {
    pub(super) fn new(
        link: Link,
        operator: Arc<Link>,
        desk: Arc<Desk>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let (told, tasks) = (Mutex::new(None), TaskTracker::new());
        Arc::new(Self { link, operator, desk, told, tasks, stop })
    }

    /// Makes the gateway offer what is on the desk.
    ///
    /// # Errors
    /// Where it does not: it is out of reach, or refuses this node.
    pub(super) async fn offer(self: &Arc<Self>, patience: Duration) -> Result<()> {
        let mut told = self.told.lock().await;
        let conn = self.link.conn(patience).await?;
        let tools = self.desk.descriptors();
        let is_new = !told.as_ref().is_some_and(|(before, _)| Arc::ptr_eq(before, &conn));
        if !is_new && told.as_ref().is_some_and(|(_, before)| *before == tools) {
            return Ok(());
        }
        if is_new {
            self.serve(&conn);
        }
        *told = None;
        self.tell(&conn, &tools).await?;
        *told = Some((conn, tools));
        Ok(())
    }

    /// Tells of the tools until the gateway has taken all of them.
    async fn tell(&self, conn: &Conn, tools: &[Value]) -> Result<()> {
        let mut refused = not_taken();
        for _ in 0..ATTEMPTS {
            match update(conn, tools).await {
                Ok(taken) if taken >= tools.len() => return Ok(()),
                // It knows the node, and nobody has said yet what that may do; or it does not know it yet.
                Ok(_) => refused = self.approve().await.err().unwrap_or_else(not_taken),
                // What was approved a moment ago makes it refuse for another moment.
                Err(error) if conn.is_alive() && error.kind() == ErrorKind::Io => refused = error,
                Err(error) => return Err(error),
            }
            sleep(PAUSE).await;
        }
        Err(refused)
    }

    /// The same in the background, where nobody waits for it.
    pub(super) fn tidy(self: &Arc<Self>) {
        let node = Arc::clone(self);
        self.tasks.spawn(async move {
            let offering = node.offer(PATIENCE);
            let offered =
                tokio::select! { offered = offering => offered, () = node.stop.cancelled() => return };
            if let Err(error) = offered {
                tracing::debug!(%error, "the gateway still lists tools of a turn that has ended");
            }
        });
    }

    /// Ends what runs, and waits for it.
    pub(super) async fn end(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.link.close().await;
        *self.told.lock().await = None;
    }

    /// A node that a gateway sees for the first time has no commands until an operator says so, which
    /// this host is too.
    async fn approve(&self) -> Result<()> {
        let Some(device) = self.link.device() else { return Err(not_taken()) };
        let conn = self.operator.conn(PATIENCE).await?;
        let listed = conn.ask("node.pair.list", json!({}), PATIENCE).await?.payload("the list of nodes")?;
        let ours = |one: &&Value| one["nodeId"] == device && one["commands"] == json!([COMMAND]);
        let pending = listed["pending"].as_array().into_iter().flatten().find(ours);
        let Some(request) = pending.and_then(|one| one["requestId"].as_str()) else {
            return Err(not_taken());
        };
        let approved = conn.ask("node.pair.approve", json!({ "requestId": request }), PATIENCE).await?;
        approved.payload("this host's tools").map(drop)
    }

    /// Answers calls until the connection ends; then connects again, as long as turns have tools.
    fn serve(self: &Arc<Self>, conn: &Arc<Conn>) {
        let (node, conn) = (Arc::clone(self), Arc::downgrade(conn));
        let Some(strong) = conn.upgrade() else { return };
        let mut events = strong.follow(None);
        drop(strong);
        self.tasks.spawn(async move {
            let calls = TaskTracker::new();
            let mut running = BTreeMap::new();
            let stop = node.stop.child_token();
            loop {
                let next = tokio::select! { next = events.next() => next, () = stop.cancelled() => None };
                let (Some(text), Some(conn)) = (next, conn.upgrade()) else { break };
                node.take(&text, &conn, &calls, &mut running, &stop);
            }
            // Nobody can be told their answers any more.
            stop.cancel();
            if !node.stop.is_cancelled() && !node.desk.is_empty() {
                node.tidy();
            }
        });
    }

    fn take(
        &self,
        text: &str,
        conn: &Arc<Conn>,
        calls: &TaskTracker,
        running: &mut BTreeMap<String, CancellationToken>,
        stop: &CancellationToken,
    ) {
        let Some(Frame::Event(event)) = Frame::read(text) else { return };
        let fields = event.payload.map(Json::fields).unwrap_or_default();
        let string = |name: &str| fields.get(name).and_then(Json::string);
        match &*event.name {
            "node.invoke.cancel" => {
                if let Some(call) = string("invokeId").and_then(|id| running.remove(&id)) {
                    call.cancel();
                }
            }
            "node.invoke.request" => {
                let Some(id) = string("id") else { return };
                running.retain(|_, call| !call.is_cancelled());
                let cancelled = stop.child_token();
                let has_room = running.len() < CALLS;
                if has_room {
                    running.insert(id.clone(), cancelled.clone());
                } else if calls.len() >= CALLS + ANSWERS {
                    return tracing::warn!("a gateway asks for more calls than can be refused");
                }
                let node_id = string("nodeId").unwrap_or_default();
                let errand = has_room.then(|| self.answer(&fields));
                let answering = async move {
                    match errand {
                        Some(errand) => errand.await,
                        None => ToolReply::error(TOO_MANY),
                    }
                };
                let conn = Arc::clone(conn);
                calls.spawn(async move {
                    let reply = tokio::select! {
                        biased;
                        () = cancelled.cancelled() => return,
                        reply = answering => reply,
                    };
                    cancelled.cancel();
                    let result =
                        json!({"content": [{"type": "text", "text": reply.text}], "isError": reply.is_error});
                    let params =
                        json!({"id": id, "nodeId": node_id, "ok": true, "payloadJSON": result.to_string()});
                    if let Err(error) = conn.ask("node.invoke.result", params, PATIENCE).await {
                        tracing::debug!(%error, "the answer of a tool did not reach the gateway");
                    }
                });
            }
            _ => {}
        }
    }

    /// What an agent is told.
    fn answer(&self, fields: &Fields<'_>) -> impl Future<Output = ToolReply> + use<> {
        let string = |name: &str| fields.get(name).and_then(Json::string);
        let params = string("paramsJSON").and_then(|json| serde_json::from_str::<Params>(&json).ok());
        let is_known = string("command").as_deref() == Some(COMMAND);
        let errand = params.filter(|_| is_known).and_then(|params| {
            let (session, id) = (string("sessionKey")?, string("idempotencyKey")?);
            self.desk.find(&session, id, &params.tool, params.arguments)
        });
        async move {
            match errand {
                Some(errand) => errand.run().await,
                None => ToolReply::error(NOT_HERE),
            }
        }
    }
}

/// Tells the gateway of the tools, and says how many it took.
async fn update(conn: &Conn, tools: &[Value]) -> Result<usize> {
    let params = json!({ "tools": tools });
    let taken = conn.ask("node.pluginTools.update", params, PATIENCE).await?.payload("this host's tools")?;
    Ok(taken["tools"].as_array().map_or(0, Vec::len))
}

fn not_taken() -> Error {
    Error::new(
        ErrorKind::Launch,
        "the gateway takes no tools of this host; look for it with `openclaw nodes pending` where the gateway \
         runs, approve it with `openclaw nodes approve REQUEST`, and see that `gateway.nodes.pluginTools.enabled` \
         is not false",
    )
}
