//! A server that runs already, and a connection to it that breaks.

use crate::{
    codex::{begin, end_in, end_of, events_of, key, request, run, texts, until, within},
    stage::{Stage, kill, said},
};
use party_core::{Cost, Failure, Outcome, Sent};
use party_harness::{Harness as _, Recovery, TurnEvent, codex::Codex};
use serde_json::json;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};
use test_support::{Gate, ModelTurn, Scenario, codex_binary};
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// A server that somebody else started; killed with this.
struct Foreign {
    child: Child,
    address: String,
}

impl Foreign {
    fn start(stage: &Stage) -> Self {
        let home = stage.home();
        fs::write(home.join("token"), "tok").unwrap();
        let config = format!(
            "[model_providers.fake]\nname = \"fake\"\nbase_url = \"{}/v1\"\nwire_api = \"responses\"\n\
             env_key = \"OPENAI_API_KEY\"\n",
            stage.fake.base_url()
        );
        fs::write(home.join("config.toml"), config).unwrap();
        let mut command = Command::new(codex_binary());
        command.args(["app-server", "--listen", "ws://127.0.0.1:0", "--ws-auth", "capability-token"]);
        command.arg("--ws-token-file").arg(home.join("token"));
        command.env_clear().envs(stage.bench.env()).env("CODEX_HOME", &home).current_dir(&home);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            line.split_once("listening on: ws://").map(|(_, address)| address.trim().to_owned())
        });
        // It ends where nobody hears it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.unwrap() }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What stands between a client and a server, and can cut their connections.
#[derive(Default)]
struct Wire {
    open: Mutex<Vec<AbortHandle>>,
}

impl Wire {
    async fn to(address: String) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let wire = Arc::new(Self::default());
        let own = Arc::clone(&wire);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = TcpStream::connect(&address).await.unwrap();
                let joined = tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
                own.open.lock().unwrap().push(joined.abort_handle());
            }
        });
        (wire, url)
    }

    fn cut(&self) {
        self.open.lock().unwrap().drain(..).for_each(|joined| joined.abort());
    }
}

/// In the middle of a tool call, and in the middle of what the model says: nothing is done or said twice.
#[tokio::test]
async fn a172_a_turn_survives_the_loss_of_its_socket_and_gives_one_answer() {
    let gate = Gate::new();
    let scenario = Scenario::new()
        .turn(ModelTurn::tool_use("party.wait", json!({})))
        .turn(ModelTurn::text("Once.").gate(&gate));
    let stage = Stage::new(scenario).await;
    let server = Foreign::start(&stage);
    let (wire, url) = Wire::to(server.address.clone()).await;
    let codex = stage.on(Codex::attach(&url, Some("tok")).unwrap());
    let session = stage.open(&codex).await;
    let mut turn = begin(&session, request(1, "Go.", &["wait"])).await;
    let mut events = until(&mut turn, |event| matches!(event, TurnEvent::ToolUse { .. })).await;
    wire.cut();
    stage.tools.release();
    gate.arrived().await;
    wire.cut();
    gate.release();
    events.extend(events_of(turn).await);
    let end = end_in(&events);
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Once.")), "{events:?}");
    assert_eq!(stage.tools.names(), ["wait"]);
    assert!(texts(&events).len() <= 1, "{events:?}");
    assert_eq!(stage.fake.model_requests().len(), 2);
    codex.shutdown().await.unwrap();
}

/// The server is another's: it is not ended with the harness.
#[tokio::test]
async fn a172_an_attached_server_lives_on_and_its_threads_are_found_again() {
    let scenario = Scenario::new()
        .turn(ModelTurn::text("Two.").when("cue-2"))
        .turn(ModelTurn::text("One.").when("cue-1"));
    let stage = Stage::new(scenario).await;
    let mut server = Foreign::start(&stage);
    let url = format!("ws://{}", server.address);
    let attach = || stage.on(Codex::attach(&url, Some("tok")).unwrap());
    let first = attach();
    let token = run(&stage.open(&first).await, request(1, "cue-1", &["share"])).await.token;
    first.shutdown().await.unwrap();
    assert!(server.child.try_wait().unwrap().is_none());
    let second = attach();
    let session = stage.bench.open_with(&second, &stage.tools, token).await;
    let end = run(&session, request(2, "cue-2", &["share"])).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Two."), Sent::Delta));
    assert_eq!(said(&stage.fake.model_requests()[1]), ["cue-1", "cue-2"]);
    second.shutdown().await.unwrap();
}

/// Another process of the host hears the turn that the server went on with, with the host's tools.
#[tokio::test]
async fn a172_a_turn_on_an_attached_server_outlives_its_host() {
    let gate = Gate::new();
    let scenario = Scenario::new()
        .turn(ModelTurn::tool_use("party.share", json!({"text": "hi"})).gate(&gate))
        .turn(ModelTurn::text("Still here."));
    let stage = Stage::new(scenario).await;
    let server = Foreign::start(&stage);
    let (wire, url) = Wire::to(server.address.clone()).await;
    let attach = |url: &str| stage.on(Codex::attach(url, Some("tok")).unwrap());
    let first = attach(&url);
    let session = stage.open(&first).await;
    let mut turn = begin(&session, request(1, "Go.", &["share"])).await;
    let mut seen = until(&mut turn, |event| matches!(event, TurnEvent::Started { .. })).await;
    let Some(TurnEvent::Started { token, .. }) = seen.pop() else { panic!("{seen:?}") };
    gate.arrived().await;
    // As a host that dies: its connection is gone, and nothing is ended in order.
    let hung = tokio::spawn(async move { std::mem::forget(turn) });
    hung.await.unwrap();
    std::mem::forget((session, first));
    wire.cut();
    let second = attach(&format!("ws://{}", server.address));
    let session = stage.bench.open_with(&second, &stage.tools, Some(token)).await;
    let recovery = within(session.recover(key(1, 1))).await.unwrap();
    let Recovery::Running(turn) = recovery else { panic!("{recovery:?}") };
    gate.release();
    let end = end_of(turn).await;
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Still here.")), "{end:?}");
    second.shutdown().await.unwrap();
}

/// A server that is restarted by whoever has it, in the same folder.
#[tokio::test]
async fn a172_a_thread_survives_the_restart_of_an_attached_server() {
    let scenario = Scenario::new()
        .turn(ModelTurn::text("Two.").when("cue-2"))
        .turn(ModelTurn::text("One.").when("cue-1"));
    let stage = Stage::new(scenario).await;
    let server = Foreign::start(&stage);
    let codex = stage.on(Codex::attach(&format!("ws://{}", server.address), Some("tok")).unwrap());
    let session = stage.open(&codex).await;
    let token = run(&session, request(1, "cue-1", &["share"])).await.token;
    kill(i32::try_from(server.child.id()).unwrap());
    drop(server);
    match session.turn(request(2, "cue-2", &["share"])).await {
        Err(error) => assert!(error.is_retryable(), "{error:?}"),
        // It was asked for before the end of the connection was heard of: nobody knows what became of it.
        Ok(turn) => {
            let end = end_of(turn).await;
            assert_eq!((end.failure, end.cost), (Some(Failure::Died), Cost::Unknown), "{end:?}");
        }
    }
    let server = Foreign::start(&stage);
    let codex = stage.on(Codex::attach(&format!("ws://{}", server.address), Some("tok")).unwrap());
    let session = stage.bench.open_with(&codex, &stage.tools, token).await;
    let end = run(&session, request(2, "cue-2", &["share"])).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Two."), Sent::Delta));
    codex.shutdown().await.unwrap();
}
